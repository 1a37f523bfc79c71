"""The routes of a js-doc-store-server: with its own clients, and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.definitions import (
    Catalog,
    ContentError,
    DefinitionStore,
    DocStoreClient,
    DocStoreError,
    DocStoreSource,
    SourceUnavailableError,
    migrate,
)
from agentreg.extensions.definitions.sources.rows import COLUMNS
from agentreg.extensions.service.docstore import Bearers

from .driving import Client, FakeClock, run, service
from .test_definitions import markdown
from .threaded import ThreadedService

LOGIN = {"email": "ann@example.org", "password": "secret"}
EXAMPLE = {
    "name": "security-auditor",
    "description": "Audits code for security vulnerabilities",
    "version": "1.0.0",
    "tags": "security,audit,subagent",
    "model": "qwen3.6:latest",
    "tools": "read, grep, find, ls, bash",
    "content": "---\nname: security-auditor\n...\n---\n\nYou are a security auditor...",
    "source": "registry",
}


# -- its own clients --------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedService]:
    running = ThreadedService(token="secret")
    yield running
    running.stop()


@pytest.fixture
def running(server: ThreadedService) -> ThreadedService:
    for stored in server.definitions.query():
        server.definitions.purge(stored.name)
    return server


@pytest.fixture
def source(running: ThreadedService) -> Iterator[DocStoreSource]:
    opened = DocStoreSource(running.url, LOGIN["email"], LOGIN["password"])
    yield opened
    opened.close()


@pytest.fixture
def client(source: DocStoreSource) -> DocStoreClient:
    return source.client


def names(source: DocStoreSource) -> list[str]:
    return [definition.name for definition in source.load().definitions]


def test_a_source_reads_what_the_service_keeps(running: ThreadedService, source: DocStoreSource) -> None:
    running.definitions.create(markdown(tools="read, grep", model="qwen3.6:latest"), tags=["x"])
    running.definitions.create(markdown("planner"))

    planner, scout = source.load().definitions

    assert (planner.name, scout.name, scout.source, scout.file_path) == (
        "planner",
        "scout",
        "registry",
        "registry://scout",
    )
    assert (scout.tools, scout.model, scout.tags) == (("read", "grep"), "qwen3.6:latest", ("x",))


def test_a_listing_is_the_same_object_until_the_rows_change(running: ThreadedService, source: DocStoreSource) -> None:
    running.definitions.create(markdown())
    first = source.load()

    assert source.load() is first
    running.definitions.update("scout", markdown(body="New."), replaces=1)
    assert source.load().definitions[0].body == "New."


def test_the_table_is_made_as_often_as_anybody_likes(source: DocStoreSource) -> None:
    source.create_table()
    source.create_table()

    assert names(source) == []


def test_putting_inserts_then_updates_and_leaves_alone_what_is_the_same(
    running: ThreadedService, source: DocStoreSource
) -> None:
    texts = [markdown(), markdown(), markdown(model="opus", tags="[a, b]"), markdown(model="opus", tags="[a, b]")]

    assert [source.put(text) for text in texts] == ["created", "unchanged", "updated", "unchanged"]

    (row,) = source.client.query("agents")
    assert (row["name"], row["model"], row["tags"], row["source"]) == ("scout", "opus", "a,b", "registry")
    assert row["content"] == texts[-1] == running.definitions.require("scout").content
    assert [stored.version for stored in running.definitions.history("scout")] == [1, 2]


def test_a_folder_can_be_copied_to_the_service(
    tmp_path: Path, running: ThreadedService, source: DocStoreSource
) -> None:
    folder = tmp_path / ".claude" / "agents"
    folder.mkdir(parents=True)
    for name in ("scout", "planner"):
        (folder / f"{name}.md").write_text(markdown(name), encoding="utf-8")

    first, second = migrate(folder, source), migrate(folder, source)

    assert sorted(stored.name for stored in running.definitions.query()) == ["planner", "scout"]
    assert str(first) != str(second)
    assert all(len(running.definitions.history(name)) == 1 for name in ("planner", "scout"))


def test_the_worked_example_goes_in_and_comes_out_as_it_was(client: DocStoreClient, source: DocStoreSource) -> None:
    made = client.insert("agents", EXAMPLE)

    (row,) = client.query("agents", {"tags": {"$regex": "audit"}})
    (auditor,) = source.load().definitions
    assert row == {"_id": made, **EXAMPLE}
    assert auditor.description == EXAMPLE["description"]
    assert (auditor.version, auditor.tags[1], auditor.tools) == (
        "1.0.0",
        "audit",
        ("read", "grep", "find", "ls", "bash"),
    )


def test_an_id_is_the_same_from_query_to_query_and_after_an_update(client: DocStoreClient) -> None:
    made = client.insert("agents", EXAMPLE)
    client.update("agents", {"_id": made}, {"version": "1.1.0", "content": EXAMPLE["content"] + " Be kind."})

    (row,) = client.query("agents", {"_id": made})

    assert row == {"_id": made, **EXAMPLE, "version": "1.1.0", "content": EXAMPLE["content"] + " Be kind."}


def test_an_update_of_what_is_so_already_makes_no_version(running: ThreadedService, client: DocStoreClient) -> None:
    client.insert("agents", EXAMPLE)

    client.update("agents", {"name": EXAMPLE["name"]}, {"version": "1.0.0", "name": EXAMPLE["name"]})

    assert len(running.definitions.history(EXAMPLE["name"])) == 1


def test_rows_are_sorted_and_limited(client: DocStoreClient) -> None:
    for name, model in (("a", "small"), ("b", "large"), ("c", "small")):
        client.insert("agents", {"name": name, "content": markdown(name), "model": model})

    def found(**asked: Any) -> list[str]:
        return [row["name"] for row in client.query("agents", **asked)]

    assert found() == ["a", "b", "c"]
    assert found(sort={"model": -1, "name": -1}) == ["c", "a", "b"]
    assert found(sort={"name": -1}, limit=2) == ["c", "b"]
    assert found(filter={"model": "small"}, limit=1) == ["a"]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, ["a", "b"]),
        ({"name": "a"}, ["a"]),
        ({"name": {"$eq": "a"}}, ["a"]),
        ({"name": {"$ne": "a"}}, ["b"]),
        ({"name": {"$in": ["b", "z"]}}, ["b"]),
        ({"version": {"$gt": "1.0"}}, ["b"]),
        ({"version": {"$gte": "1.0"}}, ["a", "b"]),
        ({"version": {"$lt": "2.0"}}, ["a"]),
        ({"version": {"$lte": "2.0"}}, ["a", "b"]),
        ({"model": {"$exists": True}}, ["a"]),
        ({"model": {"$exists": False}}, ["b"]),
        ({"tags": {"$regex": "^x,y$"}}, ["a"]),
        ({"tags": "x,y"}, ["a"]),
        ({"content": {"$regex": "b looks"}}, ["b"]),
    ],
)
def test_filters_are_about_the_texts_of_a_row(client: DocStoreClient, filter: Any, expected: list[str]) -> None:
    client.insert("agents", {"name": "a", "content": markdown("a"), "version": "1.0", "tags": "x,y", "model": "m"})
    client.insert("agents", {"name": "b", "content": markdown("b"), "version": "2.0"})

    assert [row["name"] for row in client.query("agents", filter)] == expected


def test_what_is_removed_is_gone_but_for_its_history(running: ThreadedService, client: DocStoreClient) -> None:
    client.insert("agents", EXAMPLE)

    client.remove("agents", {"name": EXAMPLE["name"]})

    assert client.query("agents") == []
    assert len(running.definitions.history(EXAMPLE["name"])) == 1


def test_a_row_that_is_there_is_not_inserted_again(client: DocStoreClient, source: DocStoreSource) -> None:
    client.insert("agents", EXAMPLE)

    with pytest.raises(DocStoreError, match=r"status 409.*is there already") as caught:
        client.insert("agents", EXAMPLE)

    assert caught.value.status == 409
    assert len(client.query("agents")) == 1


def test_an_update_that_one_row_cant_take_changes_none(client: DocStoreClient) -> None:
    client.insert("agents", {"name": "a", "description": "A", "content": "---\nname: a\n---\nA"})
    client.insert("agents", {"name": "b", "content": markdown("b")})
    before = client.query("agents")

    with pytest.raises(DocStoreError, match=r"status 400: .*content:1:1"):
        client.update("agents", {}, {"content": "---\nmodel: m\n---\nText"})

    assert client.query("agents") == before


def test_a_row_that_is_no_definition_is_told_apart_from_an_outage(
    running: ThreadedService, source: DocStoreSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ContentError, match="the server does not take 'scout'"):
        source.put(markdown(body="x" * 1_000_000))
    with pytest.raises(DocStoreError, match=r"status 400"):
        source.client.insert("agents", {"name": "a", "content": "no header"})


@pytest.mark.parametrize("asked", ["query", "update", "remove", "insert"])
def test_another_table_is_refused_by_name(client: DocStoreClient, asked: str) -> None:
    calls: dict[str, Any] = {
        "query": lambda: client.query("notes"),
        "update": lambda: client.update("notes", {}, {"content": "x"}),
        "remove": lambda: client.remove("notes", {}),
        "insert": lambda: client.insert("notes", {"name": "a", "content": "x"}),
    }
    with pytest.raises(
        DocStoreError, match=r"status 404: .*there is no table 'notes'; this service keeps 'agents' only"
    ):
        calls[asked]()


def test_no_other_table_can_be_made(client: DocStoreClient) -> None:
    with pytest.raises(DocStoreError, match=r"status 400: .*keeps the table 'agents' only"):
        client.create_table("notes", [{"name": "text", "type": "text"}])
    with pytest.raises(DocStoreError, match=r"status 400: .*got 'author'"):
        client.create_table("agents", [{"name": "author", "type": "text"}])


def test_a_wrong_password_is_refused_and_a_token_that_is_forgotten_renewed(
    running: ThreadedService, source: DocStoreSource
) -> None:
    with pytest.raises(SourceUnavailableError, match="check the email and the password"):
        DocStoreSource(running.url, LOGIN["email"], "guessed").load()

    source.load()
    source.client._token = "old"  # as after a restart of the service
    assert names(source) == []


def test_threads_that_update_the_same_rows_all_get_through(running: ThreadedService, client: DocStoreClient) -> None:
    client.insert("agents", EXAMPLE)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda number: client.update("agents", {}, {"version": f"{number}.0"}), range(12)))

    assert len(running.definitions.history(EXAMPLE["name"])) == 13


def test_a_catalog_has_the_definitions_of_a_service_and_does_without_it_when_it_is_down() -> None:
    server = ThreadedService(token="secret")
    catalog = Catalog([DocStoreSource(server.url, LOGIN["email"], LOGIN["password"])])
    try:
        server.definitions.create(markdown())
        catalog.refresh()
        there = catalog.get("scout")
    finally:
        server.stop()
    catalog.refresh()

    assert there is not None
    assert catalog.get("scout") is None


# -- by hand ----------------------------------------------------------------------


async def logged_in(client: Client, password: str = "secret") -> dict[str, str]:
    status, answer = await client.post("/auth/login", {"email": "ann", "password": password})
    assert (status, answer["success"]) == (200, True)
    return {"authorization": f"Bearer {answer['token']}"}


def store() -> DefinitionStore:
    return DefinitionStore(":memory:")


@run
async def test_every_verb_answers_as_its_clients_expect() -> None:
    async with service(definitions=store()) as client:
        headers = await logged_in(client, "any will do")

        async def ask(verb: str, **body: Any) -> tuple[int, Any]:
            return await client.post(f"/admin/{verb}", {"tableName": "agents", **body}, headers=headers)

        columns = [{"name": name, "type": "text", "required": name in ("name", "content")} for name in COLUMNS]
        assert await ask("create-table", columns=columns) == (200, {"success": True})
        status, inserted = await ask("insert", data=EXAMPLE)
        assert (status, inserted["success"], len(inserted["id"])) == (200, True, 32)
        assert await ask("query", filter={}) == (200, {"success": True, "data": [{"_id": inserted["id"], **EXAMPLE}]})
        assert await ask("query", filter={"name": "nobody"}) == (200, {"success": True, "data": []})
        updated = await ask("update", filter={"name": EXAMPLE["name"]}, update={"$set": {"version": "2"}})
        assert updated == (200, {"success": True, "count": 1})
        assert await ask("remove", filter={"name": EXAMPLE["name"]}) == (200, {"success": True, "count": 1})


@run
@pytest.mark.parametrize(
    ("verb", "body", "named"),
    [
        ("insert", {"data": {"name": "a"}}, "data: Object missing required field `content`"),
        ("insert", {"data": {"content": "a"}}, "data: Object missing required field `name`"),
        ("insert", {"data": {**EXAMPLE, "author": "me"}}, "data: Object contains unknown field `author`"),
        ("insert", {"data": {**EXAMPLE, "content": 7}}, "data.content: Expected `str`"),
        ("insert", {}, "body: Object missing required field `data`"),
        ("insert", {"data": {**EXAMPLE, "name": " "}}, ""),
        ("query", {"filter": {"name": {"$where": "1"}}}, "filter.name.$where: unknown operator"),
        ("query", {"filter": {"name": {"$regex": "("}}}, "filter.name.$regex: the regular expression"),
        ("query", {"filter": []}, "filter: "),
        ("query", {"sort": {"name": 2}}, "sort"),
        ("query", {"limit": 0}, "limit: "),
        ("update", {"filter": {}}, "body: Object missing required field `update`"),
        ("update", {"filter": {}, "update": {"$inc": {"x": 1}}}, "update: Object "),
        ("update", {"filter": {}, "update": {"$set": {"_id": "x"}}}, "update.$set: Object contains unknown field"),
        ("update", {"filter": {}, "update": {"$set": {"name": "other"}}}, "the content names 'other'"),
        ("update", {"update": {"$set": {}}}, "body: Object missing required field `filter`"),
        ("remove", {}, "body: Object missing required field `filter`"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_leaves_everything(verb: str, body: Any, named: str) -> None:
    async with service(definitions=store()) as client:
        headers = await logged_in(client)
        await client.post("/admin/insert", {"tableName": "agents", "data": EXAMPLE}, headers=headers)
        status, answer = await client.post(f"/admin/{verb}", {"tableName": "agents", **body}, headers=headers)
        rows = (await client.post("/admin/query", {"tableName": "agents"}, headers=headers))[1]["data"]

    assert (status, answer["success"]) == (400, False) or (verb, body["data"]["name"], status) == ("insert", " ", 409)
    assert answer["error"].startswith(named), answer
    assert [row["name"] for row in rows] == [EXAMPLE["name"]]


@run
@pytest.mark.parametrize("verb", ["create-table", "insert", "query", "update", "remove"])
@pytest.mark.parametrize("shown", [None, "Bearer wrong", "Basic secret", "Bearer"])
async def test_nobody_gets_in_without_a_token(verb: str, shown: str | None) -> None:
    for token in ("secret", None):
        async with service(definitions=store(), token=token) as client:
            headers = {} if shown is None else {"authorization": shown}
            answer = await client.http.post(f"/admin/{verb}", json={"tableName": "agents"}, headers=headers)

        assert (answer.status_code, answer.json()["success"]) == (401, False)
        assert "POST /auth/login" in answer.json()["error"]


@run
async def test_the_password_is_the_services_token_and_the_token_itself_will_do() -> None:
    async with service(definitions=store(), token="secret") as client:
        wrong = await client.post("/auth/login", {"email": "ann", "password": "guessed"})
        none = await client.post("/auth/login", {})
        bearer = await logged_in(client)
        own = {"authorization": "Bearer secret"}
        answers = [
            (await client.post("/admin/query", {"tableName": "agents"}, headers=each))[0] for each in (bearer, own)
        ]
        elsewhere = (await client.get("/agents", headers=bearer))[0]

    assert (wrong[0], wrong[1]["success"], none[0]) == (401, False, 401)
    assert answers == [200, 200]
    assert elsewhere == 401  # it is for these routes only


@run
async def test_hosts_kinds_and_sizes_are_checked_here_too_in_their_clients_words() -> None:
    async with service(definitions=store()) as client:
        stranger = await client.http.post("/auth/login", json={}, headers={"host": "evil.example"})
        page = await client.http.post("/auth/login", json={}, headers={"origin": "http://evil.example"})
        form = await client.http.post("/auth/login", data={"password": "x"})
        large = await client.http.post("/auth/login", json={"password": "x" * 1_100_000})
        method = await client.http.get("/admin/query")
        nowhere = await client.http.post("/admin/drop-table", json={})

    answers = (stranger, page, form, large, method, nowhere)
    assert [answer.status_code for answer in answers] == [403, 403, 415, 413, 405, 404]
    assert all(answer.json()["success"] is False and answer.json()["error"] for answer in answers)


@run
async def test_a_service_without_a_table_refuses_rows_but_not_the_login() -> None:
    async with service() as client:
        headers = await logged_in(client)
        status, answer = await client.post("/admin/query", {"tableName": "agents"}, headers=headers)

    assert (status, answer["success"]) == (404, False)


# -- tokens that expire -------------------------------------------------------------


def test_a_bearer_expires_after_its_time() -> None:
    clock = FakeClock()
    bearers = Bearers("secret", lifetime=60, clock=clock)
    bearer = bearers.log_in("secret")
    assert bearer is not None

    clock.pass_by(59.9)
    assert bearers.is_live(bearer)
    clock.pass_by(0.1)
    assert not bearers.is_live(bearer)
    assert bearers.is_live("secret")


def test_of_very_many_bearers_the_oldest_goes_first() -> None:
    bearers = Bearers(None, most=3, clock=FakeClock())
    given = [str(bearers.log_in("any")) for _ in range(5)]

    assert [bearers.is_live(bearer) for bearer in given] == [False, False, True, True, True]


def test_bearers_that_have_expired_are_forgotten() -> None:
    clock = FakeClock()
    bearers = Bearers(None, lifetime=1, clock=clock)
    for _ in range(50):
        bearers.log_in("any")
        clock.pass_by(1)

    assert len(bearers) == 1
