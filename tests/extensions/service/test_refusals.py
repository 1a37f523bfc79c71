"""What the service doesn't take, and what it says then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentreg.extensions.service import Limits, create_app, open_directory

from .driving import run, service


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels - 1):
        inner = {"x": inner}
    return inner


@run
@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": 7}, "name: Expected `str | null`, got `int`"),
        ({"cwd": ["/"]}, "cwd: "),
        ({"pid": "12"}, "pid: "),
        ({"pid": True}, "pid: "),
        ({"pid": 1.5}, "pid: "),
        ({"pid": -1}, "pid: expected a whole number from 0"),
        ({"pid": 2**70}, "pid: expected a whole number from 0"),
        ({"host": 1}, "host: "),
        ({"meta": []}, "meta: "),
        ({"meta": "text"}, "meta: "),
        ({"id": 7}, "id: "),
        ({"token": 7}, "token: "),
        ([], "body: Expected `object`, got `array`"),
        ({"name": "x" * 257}, "name: expected at most 256 characters, got 257"),
        ({"id": "x" * 257}, "id: expected at most 256 characters"),
        ({"cwd": "x" * 4097}, "cwd: expected at most 4,096 characters"),
        ({"name": "two\nlines"}, "name: expected text without control characters"),
        ({"meta": {"x": nested(40)}}, "meta: expected at most 32 levels"),
    ],
)
async def test_what_can_be_no_agent_is_refused_with_its_place(body: Any, named: str) -> None:
    async with service() as client:
        status, answer = await client.post("/register", body)

        assert (status, answer["ok"]) == (400, False)
        assert answer["error"].startswith(named)
        assert await client.agents() == []


@run
async def test_metadata_up_to_its_bounds_are_taken_and_no_more() -> None:
    async with service() as client:
        await client.register(id="a", name="n" * 256, cwd="c" * 4096, meta=nested(32))
        await client.register(id="b", meta={"k": "x" * 65_000})

        status, answer = await client.post("/register", {"meta": {"k": "x" * 66_000}})

        assert (status, answer["error"].startswith("meta: expected at most 65,536 bytes of JSON, got")) == (413, True)


@run
@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b'{"a":1} x', "no JSON"),
        (b'{"meta":{"a":NaN}}', "no JSON"),
        (b'{"name":"\xff"}', "not UTF-8"),
        (b'{"meta":{"a":"\xc3"}}', "UTF-8"),
        (b'{"name":"\\ud800"}', "no JSON"),
        (b'{"meta":{"a":1e999}}', "Number out of range"),
        (b'{"meta":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "nested too deep"),
    ],
)
async def test_a_body_that_is_no_json_is_refused(raw: bytes, named: str) -> None:
    async with service() as client:
        answer = await client.http.post("/register", content=raw, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert named in answer.json()["error"]


@run
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
async def test_a_body_of_another_kind_is_refused(kind: str | None) -> None:
    async with service() as client:
        headers = {} if kind is None else {"content-type": kind}
        answer = await client.http.post("/register", content=b"{}", headers=headers)

    assert (answer.status_code, "Content-Type: application/json" in answer.json()["error"]) == (415, True)


@run
async def test_a_content_type_may_name_its_charset() -> None:
    async with service() as client:
        headers = {"content-type": "Application/JSON; charset=utf-8"}
        assert (await client.http.post("/register", content=b"{}", headers=headers)).status_code == 200


@run
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_long_is_refused_with_the_limit(declared: bool) -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        for _ in range(30):
            sent += 100_000
            yield b"x" * 100_000

    async with service() as client:
        headers = {"content-type": "application/json", **({"content-length": "3000000"} if declared else {})}
        answer = await client.http.post("/register", content=chunks(), headers=headers)

    assert (answer.status_code, sent) == (413, 3_000_000)
    assert "longer than 1,000,000 bytes" in answer.json()["error"]
    assert "connection" not in answer.headers


@run
async def test_of_a_body_without_end_only_so_much_is_read() -> None:
    read = 0
    answers: list[Any] = []
    app = create_app(open_directory("memory://"), limits=Limits(body=1_000, drained=5_000))

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1_000
        return {"type": "http.request", "body": b"x" * 1_000, "more_body": True}

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/register", "headers": headers}
    await app(scope, receive, send)

    assert (answers[0]["status"], read) == (413, 6_000)
    assert (b"connection", b"close") in answers[0]["headers"]


@run
async def test_a_caller_who_leaves_in_the_middle_gets_no_answer_and_registers_nobody() -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[Any] = []
    async with service() as client:
        app = client.http._transport.app  # type: ignore[attr-defined]
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: Any) -> None:
            answers.append(message)

        await app({"type": "http", "method": "POST", "path": "/register", "headers": headers}, receive, send)

        assert (answers, await client.agents()) == ([], [])


# -- who asks -----------------------------------------------------------------


@run
@pytest.mark.parametrize("host", ["evil.example", "evil.example:7847", "127.0.0.1.evil.example", "", "10.0.0.7"])
@pytest.mark.parametrize("path", ["/agents", "/health", "/nowhere"])
async def test_a_foreign_host_is_refused(host: str, path: str) -> None:
    async with service() as client:
        assert (await client.get(path, headers={"host": host}))[0] == 403


@run
@pytest.mark.parametrize("host", ["localhost", "LocalHost:99", "127.0.0.1:7847", "[::1]", "[::1]:7847", "mine.example"])
async def test_its_own_names_are_answered(host: str) -> None:
    async with service(hosts=["mine.example"]) as client:
        assert (await client.get("/agents", headers={"host": host}))[0] == 200


@run
@pytest.mark.parametrize(("host", "expected"), [("10.0.0.7:80", 200), ("[fe80::1]:80", 200), ("evil.example", 403)])
async def test_with_a_star_numeric_hosts_are_answered_and_strange_names_are_not(host: str, expected: int) -> None:
    async with service(hosts=["*"]) as client:
        assert (await client.get("/agents", headers={"host": host}))[0] == expected


@run
@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:7847", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1:8000", 403),
        ("null", 403),
        ("", 403),
        ("https://board.example", 200),
    ],
)
async def test_pages_of_other_origins_are_refused_unless_they_are_allowed(origin: str, expected: int) -> None:
    async with service(origins=["https://board.example"]) as client:
        answer = await client.http.get("/agents", headers={"origin": origin})

    allowed = answer.headers.get("access-control-allow-origin")
    assert answer.status_code == expected
    assert allowed == ("https://board.example" if origin == "https://board.example" else None)


@run
async def test_without_configuration_there_is_no_cors() -> None:
    async with service() as client:
        answer = await client.http.options("/agents", headers={"origin": "http://127.0.0.1:7847"})

    assert not [name for name in answer.headers if name.startswith("access-control")]


@run
@pytest.mark.parametrize(
    ("shown", "expected"),
    [(None, 401), ("Bearer wrong", 401), ("Basic secret", 401), ("Bearer secret", 200), ("bearer secret", 200)],
)
@pytest.mark.parametrize("path", ["/agents"])
async def test_a_service_with_a_token_wants_to_see_it(shown: str | None, expected: int, path: str) -> None:
    async with service(token="secret") as client:
        answer = await client.http.get(path, headers={} if shown is None else {"authorization": shown})

    assert answer.status_code == expected
    assert (answer.headers.get("www-authenticate") is not None) == (expected == 401)


@run
async def test_the_health_of_a_service_with_a_token_is_open() -> None:
    async with service(token="secret") as client:
        assert (await client.get("/health"))[0] == 200
        assert (await client.get("/nowhere"))[0] == 401


@pytest.mark.parametrize("token", ["", "  ", 7])
def test_a_token_that_protects_nothing_is_refused(token: Any) -> None:
    with pytest.raises(ValueError, match="token: expected None or some text"):
        create_app(open_directory("memory://"), token=token)


# -- what there is not --------------------------------------------------------


@run
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/register", "POST"),
        ("PUT", "/heartbeat", "POST"),
        ("DELETE", "/deregister", "POST"),
        ("POST", "/agents", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
async def test_another_method_is_refused_with_those_that_there_are(method: str, path: str, allowed: str) -> None:
    async with service() as client:
        answer = await client.http.request(method, path, json={})

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@run
async def test_a_head_request_has_no_body() -> None:
    async with service() as client:
        answer = await client.http.head("/agents")

    assert (answer.status_code, answer.content) == (200, b"")


@run
async def test_an_unknown_path_is_answered_with_a_problem_document() -> None:
    async with service() as client:
        answer = await client.http.get("/nowhere")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(answer.content)["status"] == 404


@run
async def test_nothing_that_was_refused_leaves_a_trace() -> None:
    async with service() as client:
        refused: list[Any] = [{"name": 7}, {"meta": []}, {"pid": -1}]
        for body in refused:
            await client.post("/register", body)

        assert (await client.get("/health"))[1]["count"] == 0
