"""A js-doc-store-server as a source, and as a place to write to; above all, everything that can go wrong with one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from agentreg.extensions.definitions.errors import ContentError, SourceUnavailableError
from agentreg.extensions.definitions.sources.source import Source
from tests.extensions.definitions.doc_server import (
    EMAIL,
    PASSWORD,
    Answer,
    DocServer,
    cut_off,
    doc_server,
    drip,
    flood,
    hang,
    hang_up,
    status,
)
from tests.extensions.definitions.stores import markdown
from tests.watchdog import run_threads

pytest.importorskip("httpx", reason="js-doc-store-server needs httpx: pip install 'agentreg[http]'")

from agentreg.extensions.definitions.sources.docstore import BODY_LIMIT, DocStoreClient, DocStoreError, DocStoreSource

QUERY = "/admin/query"


@pytest.fixture
def server() -> Iterator[DocServer]:
    with doc_server() as running:
        yield running


@pytest.fixture
def source(server: DocServer) -> Iterator[DocStoreSource]:
    opened = DocStoreSource(server.url, EMAIL, PASSWORD)
    yield opened
    opened.close()


def add(server: DocServer, **row: Any) -> None:
    server.tables["agents"].append({"_id": str(len(server.tables["agents"])), **row})


def names(source: Source) -> list[str]:
    return [definition.name for definition in source.load().definitions]


# -- reading ----------------------------------------------------------------


def test_rows_are_definitions_of_the_registry(server: DocServer, source: DocStoreSource) -> None:
    add(server, name="scout", content=markdown(tools="read, grep", model="qwen3.6:latest"))
    add(server, name="planner", content=markdown("planner"))

    listing = source.load()

    scout, planner = listing.definitions
    assert (scout.name, scout.source, scout.file_path) == ("scout", "registry", "registry://scout")
    assert (scout.tools, scout.model) == (("read", "grep"), "qwen3.6:latest")
    assert planner.name == "planner"
    assert listing.problems == ()


def test_it_logs_in_once_and_then_shows_its_token(server: DocServer, source: DocStoreSource) -> None:
    source.load()
    source.load()

    assert server.requests == ["/auth/login", QUERY, QUERY]
    (token,) = server.tokens
    assert server.authorizations == [None, f"Bearer {token}", f"Bearer {token}"]


def test_nothing_is_sent_before_the_first_call(server: DocServer, source: DocStoreSource) -> None:
    assert server.requests == []
    assert source.remote
    assert source.name == f"{server.url}/agents"


def test_a_listing_is_the_same_object_until_the_rows_change(server: DocServer, source: DocStoreSource) -> None:
    add(server, name="scout", content=markdown())
    first = source.load()

    assert source.load() is first
    server.tables["agents"][0]["content"] = markdown(body="New.")
    assert source.load().definitions[0].body == "New."


def test_another_table_can_be_read(server: DocServer) -> None:
    server.tables["others"] = [{"name": "guide", "content": markdown("guide")}]

    assert names(DocStoreSource(server.url, EMAIL, PASSWORD, "others")) == ["guide"]


def test_the_row_of_the_worked_example_loads(server: DocServer, source: DocStoreSource) -> None:
    """Its header says only the name, and ends with ``...``."""
    add(
        server,
        name="security-auditor",
        description="Audits code for security vulnerabilities",
        version="1.0.0",
        tags="security,audit,subagent",
        model="qwen3.6:latest",
        tools="read, grep, find, ls, bash",
        content="---\nname: security-auditor\n...\n---\n\nYou are a security auditor...",
        source="registry",
    )

    (auditor,) = source.load().definitions

    assert auditor.description == "Audits code for security vulnerabilities"
    assert (auditor.version, auditor.model) == ("1.0.0", "qwen3.6:latest")
    assert auditor.tags == ("security", "audit", "subagent")
    assert auditor.tools == ("read", "grep", "find", "ls", "bash")
    assert "You are a security auditor..." in auditor.body


def test_a_bad_row_is_a_problem_and_the_others_load(server: DocServer, source: DocStoreSource) -> None:
    add(server, name="scout", content=markdown())
    add(server, name="prose", content="You are without a header.")
    add(server, name="broken", content="---\nname: broken\ndescription: never closed")
    add(server, name="half", content="---\nname: half\ndescription: \ud800\n---\n")
    add(server, name="empty", content="")
    add(server, name="number", content=7)
    add(server, content=markdown("nameless"))
    add(server, name=["a", "list"], content=markdown())
    add(server, name="planner", content=markdown("planner"))

    listing = source.load()

    assert [definition.name for definition in listing.definitions] == ["scout", "planner"]
    assert [problem.path for problem in listing.problems] == [
        "registry://prose",
        "registry://broken",
        "registry://half",
        "registry://empty",
        "registry://number",
        "registry://(row 7)",
        "registry://(row 8)",
    ]
    assert {problem.severity for problem in listing.problems} == {"error"}


# -- tokens -----------------------------------------------------------------


def test_a_token_that_has_expired_is_renewed_once(server: DocServer, source: DocStoreSource) -> None:
    add(server, name="scout", content=markdown())
    source.load()
    server.tokens.clear()

    assert names(source) == ["scout"]
    assert server.requests == ["/auth/login", QUERY, QUERY, "/auth/login", QUERY]


def test_a_server_that_takes_no_token_at_all_is_not_asked_for_ever(server: DocServer, source: DocStoreSource) -> None:
    source.load()
    server.fail(QUERY, *[status(401)] * 9)

    with pytest.raises(SourceUnavailableError, match="refused with status 401"):
        source.load()

    assert server.requests[2:] == [QUERY, "/auth/login", QUERY]


def test_a_fresh_token_that_is_refused_is_not_renewed(server: DocServer, source: DocStoreSource) -> None:
    server.fail(QUERY, status(401), status(401))

    with pytest.raises(SourceUnavailableError, match="refused with status 401"):
        source.load()

    assert server.requests == ["/auth/login", QUERY]


def test_a_wrong_password_is_said_without_showing_it(server: DocServer) -> None:
    source = DocStoreSource(server.url, EMAIL, "guessed")

    with pytest.raises(
        SourceUnavailableError, match=r"/auth/login was refused.*check the email and the password"
    ) as caught:
        source.load()

    assert "guessed" not in f"{caught.value!s} {caught.value!r} {source.client!r} {source.name}"


def test_threads_whose_token_has_expired_all_get_through(server: DocServer, source: DocStoreSource) -> None:
    add(server, name="scout", content=markdown())
    source.load()
    server.tokens.clear()

    assert run_threads(*[lambda: names(source)] * 6) == [["scout"]] * 6


# -- what goes wrong --------------------------------------------------------


def other_than_json(content: bytes) -> Answer:
    return status(200, content, "text/html")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (status(500, b"<h1>Oops</h1>", "text/html"), "refused with status 500: <h1>Oops</h1>; see the server's log"),
        (status(503), "refused with status 503"),
        (status(404, {"error": "no such table"}), "no such table"),
        (status(200, {"success": False, "error": "busy"}), "busy"),
        (status(200, b"{cut o"), "its answer is no JSON"),
        (status(200, b"\xff\xfe"), "its answer is no JSON"),
        (status(200, b"[" * 100_000), "its answer is no JSON"),
        (status(200, b""), "its answer is no JSON"),
        (status(200, []), "its answer is no object"),
        (status(200, {"success": True}), "its data is not a list of rows"),
        (status(200, {"success": True, "data": {}}), "its data is not a list of rows"),
        (status(200, {"success": True, "data": [1]}), "its data is not a list of rows"),
        (other_than_json(b"<html>"), "answers with text/html instead of JSON"),
        (other_than_json(b'{"success": true, "data": []}'), "answers with text/html instead of JSON"),
        (status(302, Location="http://127.0.0.1:1/elsewhere"), "redirected to http://127.0.0.1:1/elsewhere"),
        (status(200, b"no gzip", **{"Content-Encoding": "gzip"}), "DecodingError"),
        (hang_up, "RemoteProtocolError"),
        (cut_off, "RemoteProtocolError"),
    ],
)
@pytest.mark.parametrize("path", ["/auth/login", QUERY])
def test_whatever_is_wrong_the_source_is_unavailable_and_well_again_later(
    server: DocServer, source: DocStoreSource, path: str, fault: Answer, message: str
) -> None:
    add(server, name="scout", content=markdown())
    server.fail(path, fault)

    with pytest.raises(SourceUnavailableError) as caught:
        source.load()

    if path == QUERY or "rows" not in message:
        assert message in str(caught.value)
    assert str(caught.value).startswith(f"{server.url}: ")
    assert caught.value.cause
    assert server.requests.count(path) == 1  # nothing is tried twice
    assert names(source) == ["scout"]


@pytest.mark.parametrize("fault", [hang, drip], ids=["silent", "dripping"])
def test_a_slow_server_is_left_after_the_timeout(server: DocServer, fault: Answer) -> None:
    server.fail(QUERY, fault)
    source = DocStoreSource(server.url, EMAIL, PASSWORD, timeout=0.3)

    with pytest.raises(SourceUnavailableError, match="ReadTimeout"):
        source.load()


def test_time_that_logging_in_took_is_not_given_again(server: DocServer) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 3.0
        return now[0]

    source = DocStoreSource(server.url, EMAIL, PASSWORD, timeout=5.0, clock=clock)

    with pytest.raises(SourceUnavailableError, match="ReadTimeout"):
        source.load()

    assert QUERY not in server.requests


def test_an_answer_without_end_is_cut(server: DocServer, source: DocStoreSource) -> None:
    server.fail(QUERY, flood)

    with pytest.raises(SourceUnavailableError, match=f"its answer is longer than {BODY_LIMIT:,} bytes"):
        source.load()


def test_a_server_that_is_down_is_unavailable_until_it_is_up() -> None:
    with doc_server() as server:
        url = server.url
    source = DocStoreSource(url, EMAIL, PASSWORD)

    with pytest.raises(SourceUnavailableError, match=r"ConnectError.*see that the server runs and can be reached"):
        source.load()


def test_the_password_does_not_follow_a_redirect(server: DocServer, source: DocStoreSource) -> None:
    with doc_server() as thief:
        server.fail("/auth/login", status(307, Location=f"{thief.url}/auth/login"))

        with pytest.raises(SourceUnavailableError, match="give the server's own address"):
            source.load()

        assert thief.requests == []


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://localhost", "", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="expected one such as http://localhost:3000"):
        DocStoreSource(url, EMAIL, PASSWORD)


def test_a_password_in_the_address_is_not_shown() -> None:
    client = DocStoreClient("http://ann:secret@localhost:3000/", EMAIL, PASSWORD)

    assert client.url == "http://localhost:3000"


def test_its_error_survives_pickling() -> None:
    error = DocStoreError("here", "it is down", "start it", 503)

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), vars(again)) == (str(error), vars(error))


# -- writing ----------------------------------------------------------------


def test_a_client_does_everything_that_the_server_can(server: DocServer) -> None:
    with DocStoreClient(server.url, EMAIL, PASSWORD) as client:
        client.create_table("notes", [{"name": "text", "type": "text", "required": True}])
        first = client.insert("notes", {"text": "one"})
        client.insert("notes", {"text": "two"})
        client.update("notes", {"text": "one"}, {"text": "three"})

        assert server.columns["notes"] == [{"name": "text", "type": "text", "required": True}]
        assert client.query("notes", {"text": {"$regex": "t"}}, {"text": -1}, limit=1) == [
            {"_id": server.tables["notes"][1]["_id"], "text": "two"}
        ]
        client.remove("notes", {"text": "two"})
        assert client.query("notes") == [{"_id": first, "text": "three"}]


def test_the_table_is_made_with_the_columns_that_its_users_know(server: DocServer, source: DocStoreSource) -> None:
    source.create_table()

    columns = server.columns["agents"]
    assert [column["name"] for column in columns] == [
        *("name", "description", "version", "tags", "model", "tools", "content", "source")
    ]
    assert [column["name"] for column in columns if column.get("required")] == ["name", "content"]
    assert {column["type"] for column in columns} == {"text"}


def test_putting_inserts_then_updates_and_leaves_alone_what_is_the_same(
    server: DocServer, source: DocStoreSource
) -> None:
    texts = [markdown(), markdown(), markdown(model="opus", tags="[a, b]"), markdown(model="opus", tags="[a, b]")]

    assert [source.put(text) for text in texts] == ["created", "unchanged", "updated", "unchanged"]

    (row,) = server.tables["agents"]
    assert (row["name"], row["model"], row["tags"], row["source"]) == ("scout", "opus", "a,b", "registry")
    assert row["content"] == texts[-1]


def test_a_row_that_the_server_does_not_take_is_told_apart_from_an_outage(
    server: DocServer, source: DocStoreSource
) -> None:
    server.fail("/admin/insert", status(413, {"error": "too large"}), status(500))

    with pytest.raises(ContentError, match=r"the server does not take 'scout': .*too large"):
        source.put(markdown())
    with pytest.raises(SourceUnavailableError):
        source.put(markdown())
