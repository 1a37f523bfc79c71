"""``/registry/definitions``: stored, found, changed, compared, brought back."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.definitions import DefinitionStore, StoredDefinition
from agentreg.extensions.service.definitions.comparing import difference

from .driving import Client, run, service
from .serving import serving

ALL = "/registry/definitions"
ONE = f"{ALL}/scout"


def markdown(name: str = "scout", body: str = "You are a scout.", **more: str) -> str:
    lines = [f"name: {name}", f"description: {name} looks around", *(f"{key}: {value}" for key, value in more.items())]
    return "\n".join(["---", *lines, "---", body, ""])


def served(**options: Any) -> Any:
    return service(definitions=DefinitionStore(":memory:"), **options)


async def create(client: Client, content: str, **more: Any) -> dict[str, Any]:
    status, answer = await client.post(ALL, {"content": content, **more})
    assert status == 201, answer
    return dict(answer)


async def put(client: Client, path: str, body: Any, matching: str | None = None) -> tuple[int, Any]:
    headers = {} if matching is None else {"if-match": matching}
    answer = await client.http.put(path, json=body, headers=headers)
    return answer.status_code, answer.json()


# -- storing and finding --------------------------------------------------------


@run
async def test_a_stored_definition_is_shown_with_its_text_and_all_that_it_says() -> None:
    content = markdown(tools="Read, Grep", model="opus", tags="[recon]")
    async with served() as client:
        answer = await client.http.post(ALL, json={"content": content, "tags": ["x"], "status": "deprecated"})
        status, found = await client.get(ONE)

    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (201, ONE, '"1"')
    assert answer.headers["agentreg-revision"] == "0"
    assert (status, found) == (200, answer.json())
    assert (found["name"], found["version"], found["status"], found["tags"]) == (
        *("scout", 1, "deprecated"),
        ["recon", "x"],
    )
    assert (found["content"], found["model"], found["tools"]) == (content, "opus", ["Read", "Grep"])
    assert (found["change"], found["restores"]) == ("created", None)
    assert found["definition"]["body"] == "You are a scout."
    assert found["definition"]["source"] == "registry"
    assert found["updated_at"].endswith("Z")
    assert len(found["digest"]) == 64


@run
async def test_the_list_has_a_line_for_each_by_name_and_no_texts() -> None:
    async with served() as client:
        for name in ("scout", "auditor", "planner"):
            await create(client, markdown(name))
        status, page = await client.get(ALL)

    assert (status, page["total"], page["next"]) == (200, 3, None)
    assert [row["name"] for row in page["definitions"]] == ["auditor", "planner", "scout"]
    assert set(page["definitions"][0]) == {
        *("name", "version", "status", "tags", "description", "model", "tools", "updated_at", "digest")
    }
    assert page["definitions"][0]["tools"] is None  # nothing is said: all


@run
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("text=AUDIT", ["auditor"]),
        ("text=looks", ["auditor", "planner", "scout"]),
        ("text=secret-tag", ["planner"]),
        ("tags=recon", ["planner", "scout"]),
        ("tags=recon,secret-tag", ["planner"]),
        ("tags=recon&tags=secret-tag", ["planner"]),
        ("tags=nobody", []),
        ("status=deprecated", ["scout"]),
        ("status=active,deprecated", ["auditor", "planner", "scout"]),
        ("limit=1&offset=1", ["planner"]),
        ("offset=9", []),
    ],
)
async def test_the_list_can_be_narrowed(query: str, expected: list[str]) -> None:
    async with served() as client:
        await create(client, markdown("auditor"))
        await create(client, markdown("planner", tags="[recon, secret-tag]"))
        await create(client, markdown("scout"), tags=["recon"], status="deprecated")
        page = (await client.get(f"{ALL}?{query}"))[1]

    assert [row["name"] for row in page["definitions"]] == expected


@run
async def test_pages_lead_from_one_to_the_next_through_everything() -> None:
    async with served() as client:
        for number in range(5):
            await create(client, markdown(f"agent-{number}"), tags=["a b"])
        path, seen = f"{ALL}?limit=2&tags=a b", []
        while path:
            page = (await client.get(path))[1]
            seen += [row["name"] for row in page["definitions"]]
            path = page["next"]

    assert seen == [f"agent-{number}" for number in range(5)]


@run
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit: expected a whole number from 1"),
        ("limit=x", "limit: "),
        ("offset=-1", "offset: "),
        ("status=gone", "status: expected active or deprecated, got 'gone'"),
        ("tag=x", "tag: no such parameter; there are text, tags, status, limit, offset"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(query: str, named: str) -> None:
    async with served() as client:
        status, answer = await client.get(f"{ALL}?{query}")

    assert (status, answer["detail"].startswith(named)) == (400, True)


@run
async def test_names_of_any_kind_are_found_again() -> None:
    async with served() as client:
        for name in ("a/b", "über 日本", "a?b#c", "x%2Fy"):
            status, answer = await client.post(ALL, {"content": markdown(f"'{name}'")})
            assert status == 201, answer
            made = await client.http.post(ALL, json={"content": markdown(f"'{name}-2'")})
            found = (await client.get(made.headers["location"]))[1]

            assert found["name"] == f"{name}-2"


# -- what can't be stored ---------------------------------------------------------


@run
@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"content": "---\nname: scout\n---\nNo description"}, 400, "content:2:1: the description is missing"),
        ({"content": "---\nname: scout\ndescription: x"}, 400, "content:1:1: "),
        ({"content": "You are nobody."}, 400, "content:1:1: "),
        ({"content": ""}, 400, "content:1:1: "),
        ({}, 400, "body: Object missing required field `content`"),
        ({"content": 7}, 400, "content: Expected `str`"),
        ({"content": markdown(), "tags": "a"}, 400, "tags: Expected `array`"),
        ({"content": markdown(), "tags": [" "]}, 400, "tags: expected texts that are not empty"),
        ({"content": markdown(), "status": "gone"}, 400, "status: "),
        ({"content": markdown("x" * 300)}, 400, "the name 'xxx"),
    ],
)
async def test_what_is_no_definition_is_refused_with_its_place(body: Any, status: int, named: str) -> None:
    async with served() as client:
        answer = await client.http.post(ALL, json=body)
        page = (await client.get(ALL))[1]

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"].startswith(named)
    assert page["total"] == 0


@run
async def test_a_bad_header_is_refused_with_line_and_column() -> None:
    async with served() as client:
        content = "---\nname: scout\ndescription: Looks \0around\n---\n"
        status, answer = await client.post(ALL, {"content": content})

    assert (status, answer["pointer"]) == (400, "/content")
    assert (answer["line"], answer["column"]) == (3, 20)


@run
async def test_a_name_that_is_taken_is_refused_with_the_way_out() -> None:
    async with served() as client:
        await create(client, markdown())
        status, answer = await client.post(ALL, {"content": markdown(body="Other.")})

    assert (status, answer["version"]) == (409, 1)
    assert "PUT /registry/definitions/scout" in answer["detail"]


# -- changing ---------------------------------------------------------------------


@run
async def test_a_new_version_says_which_one_it_replaces() -> None:
    async with served() as client:
        await create(client, markdown())
        by_body = await put(client, ONE, {"content": markdown(body="Two."), "replaces": 1})
        by_header = await put(client, ONE, {"content": markdown(body="Three.")}, '"2"')
        by_any = await put(client, ONE, {"content": markdown(body="Four.")}, "*")

    assert [status for status, _ in (by_body, by_header, by_any)] == [200] * 3
    assert [answer["version"] for _, answer in (by_body, by_header, by_any)] == [2, 3, 4]


@run
@pytest.mark.parametrize(
    ("body", "matching", "expected"),
    [
        ({"replaces": 1}, None, 409),
        ({"replaces": 9}, None, 409),
        ({}, '"1"', 412),
        ({}, None, 428),
        ({"replaces": 0}, None, 400),
        ({"replaces": "2"}, None, 400),
        ({}, "2.5", 400),
        ({}, '"0"', 400),
    ],
)
async def test_a_lost_update_is_refused_and_changes_nothing(
    body: dict[str, Any], matching: str | None, expected: int
) -> None:
    async with served() as client:
        await create(client, markdown())
        await put(client, ONE, {"content": markdown(body="Theirs."), "replaces": 1})
        status, answer = await put(client, ONE, {"content": markdown(body="Mine."), **body}, matching)
        found = (await client.get(ONE))[1]

    assert status == expected, answer
    assert "Theirs." in found["content"]
    if expected in (409, 412):
        assert answer["version"] == 2


@run
async def test_status_and_tags_change_without_a_new_version() -> None:
    async with served() as client:
        await create(client, markdown(tags="[own]"))
        status, changed = await put(client, ONE, {"status": "deprecated", "tags": ["more"]})
        stale = await put(client, ONE, {"status": "active"}, '"7"')
        nothing = await put(client, ONE, {})

    assert (status, changed["version"], changed["status"], changed["tags"]) == (200, 1, "deprecated", ["own", "more"])
    assert (stale[0], nothing[0]) == (412, 400)


@run
async def test_a_new_version_may_not_rename() -> None:
    async with served() as client:
        await create(client, markdown())
        status, answer = await put(client, ONE, {"content": markdown("spy"), "replaces": 1})

    assert (status, "'spy'" in answer["detail"]) == (400, True)


# -- history ----------------------------------------------------------------------


@run
async def test_every_version_stays_to_be_seen_compared_and_brought_back() -> None:
    async with served() as client:
        first = await create(client, markdown())
        await put(client, ONE, {"content": markdown(body="You are two."), "replaces": 1})
        status, back = await client.post(f"{ONE}/rollback", {"version": 1})
        versions = (await client.get(f"{ONE}/versions"))[1]
        old = (await client.get(f"{ONE}/versions/1"))[1]
        same = (await client.get(f"{ONE}?version=1"))[1]
        diff = (await client.get(f"{ONE}/diff?from=1&to=2"))[1]
        latest = (await client.get(f"{ONE}/diff"))[1]
        none = (await client.get(f"{ONE}/diff?from=1&to=3"))[1]

    assert (status, back["version"], back["digest"], back["restores"]) == (200, 3, first["digest"], 1)
    assert (versions["name"], versions["removed"]) == ("scout", False)
    assert [(each["version"], each["change"]) for each in versions["versions"]] == [
        *((1, "created"), (2, "updated"), (3, "rolled back"))
    ]
    assert set(versions["versions"][0]) == {"version", "created_at", "digest", "status", "change", "restores"}
    assert old == same == {**first, "definition": old["definition"]}
    assert (diff["from"], diff["to"]) == (1, 2)
    assert "-You are a scout.\n+You are two.\n" in diff["diff"]
    assert (latest["from"], latest["to"]) == (2, 3)
    assert none["diff"] == ""


@run
async def test_a_removed_definition_keeps_its_history_until_it_is_purged() -> None:
    async with served() as client:
        await create(client, markdown())
        removed = await client.http.delete(ONE)
        gone = await client.get(ONE)
        versions = (await client.get(f"{ONE}/versions"))[1]
        old = await client.get(f"{ONE}/versions/1")
        back = await client.post(f"{ONE}/rollback", {"version": 1})
        purged = await client.http.delete(f"{ONE}?purge=true")
        nothing = await client.get(f"{ONE}/versions")

    assert (removed.status_code, removed.json()) == (200, {"ok": True, "name": "scout", "purged": False})
    assert (gone[0], versions["removed"], old[0], back[0]) == (404, True, 200, 200)
    assert (purged.json()["purged"], nothing[0]) == (True, 404)


@run
@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", f"{ALL}/nobody", 404),
        ("GET", f"{ALL}/nobody/versions", 404),
        ("GET", f"{ALL}/nobody/diff", 404),
        ("DELETE", f"{ALL}/nobody", 404),
        ("GET", f"{ONE}/versions/9", 404),
        ("GET", f"{ONE}/versions/9007199254740993", 400),
        ("GET", f"{ONE}/versions/x", 400),
        ("GET", f"{ONE}?version=0", 400),
        ("GET", f"{ONE}?v=1", 400),
        ("GET", f"{ONE}/diff?from=9", 404),
        ("GET", f"{ONE}/diff?from=x", 400),
        ("DELETE", f"{ONE}?purge=perhaps", 400),
        ("POST", ONE, 405),
    ],
)
async def test_what_is_not_there_is_said(method: str, path: str, expected: int) -> None:
    async with served() as client:
        await create(client, markdown())
        answer = await client.http.request(method, path, json={} if method == "POST" else None)

    assert (answer.status_code, answer.headers["content-type"]) == (expected, "application/problem+json")


@run
async def test_a_name_that_is_not_there_comes_with_those_that_look_like_it() -> None:
    async with served() as client:
        await create(client, markdown())
        answer = (await client.get(f"{ALL}/scuot"))[1]

    assert answer["nearest"] == ["scout"]
    assert "'scout'" in answer["detail"]


@run
@pytest.mark.parametrize("path", [ALL, ONE, f"{ONE}/versions"])
async def test_a_service_without_a_table_says_so(path: str) -> None:
    async with service() as client:
        status, answer = await client.get(path)

    assert (status, answer["detail"].startswith("no definitions table here")) == (404, True)


@run
async def test_a_table_that_cant_be_used_is_503_with_the_reason_and_the_rest_works(tmp_path: Any) -> None:
    (tmp_path / "in-the-way").touch()
    async with service(definitions=DefinitionStore(tmp_path / "in-the-way" / "definitions.db")) as client:
        answer = await client.http.get(ALL)

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "in-the-way" in answer.json()["detail"]
        assert await client.register(id="a") == "a"


# -- differences ------------------------------------------------------------------


def versions(*contents: str) -> list[StoredDefinition]:
    with DefinitionStore(":memory:") as store:
        made = [store.create(contents[0])]
        for content in contents[1:]:
            made.append(store.update("scout", content, made[-1].version))
        return made


def patched(old: str, diff: str) -> str:
    """*old* with a unified diff applied."""
    before, after, at = old.split("\n"), [], 0
    lines = diff.split("\n")[2:-1]
    for number, line in enumerate(lines):
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            until = int(start) - (0 if count == "0" else 1)
            after += before[at:until]
            at = until
        elif line.startswith("\\"):
            continue
        else:
            bare = number + 1 < len(lines) and lines[number + 1].startswith("\\")
            if line[0] in " -":
                at += 1
            if line[0] in " +":
                after.append(line[1:])
            if line[0] in " +" and not bare and at >= len(before) - 1:
                continue
    return "\n".join([*after, *before[at:]])


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_a_difference_leads_from_one_text_to_the_other(before: list[str], after: list[str]) -> None:
    old, new = versions(*(markdown(body="\n".join(body)) for body in (before, after)))

    assert patched(old.content, difference(old, new)) == new.content


def test_long_texts_are_compared_in_one_piece() -> None:
    lines = [str(number) for number in range(30_000)]
    changed = [*lines[:10], "new", *lines[12:]]
    old, new = versions(markdown(body="\n".join(lines)), markdown(body="\n".join(changed)))

    text = difference(old, new)

    assert text.count("\n") == 6
    assert "-10\n-11\n+new\n" in text
    assert patched(old.content, text) == new.content


def test_a_text_that_does_not_end_its_last_line_is_marked() -> None:
    old, new = versions(markdown(), markdown() + "no end")

    assert difference(old, new).endswith("+no end\n\\ No newline at end of file\n")


# -- the served table ---------------------------------------------------------------


def test_a_served_workspace_keeps_its_definitions_over_a_restart(tmp_path: Any) -> None:
    with serving(tmp_path) as running:
        created = running.ask("POST", ALL, {"content": markdown()})[1]
        login = running.post("/auth/login", email="ann", password="any")[1]
        inserted = running.ask(
            "POST",
            "/admin/insert",
            {"tableName": "agents", "data": {"name": "planner", "content": markdown("planner")}},
            Authorization=f"Bearer {login['token']}",
        )
        assert running.end() == 0
    with serving(tmp_path) as running:
        found = running.ask("GET", ONE)[1]
        names = [row["name"] for row in running.ask("GET", ALL)[1]["definitions"]]

    assert inserted[0] == 200
    assert found == created
    assert names == ["planner", "scout"]
    assert (tmp_path / "data" / "definitions.db").is_file()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_table_that_another_program_holds_is_503_until_it_lets_go(tmp_path: Any) -> None:
    with serving(tmp_path) as running:
        running.ask("POST", ALL, {"content": markdown()})
        with closing(sqlite3.connect(tmp_path / "data" / "definitions.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            status, answer = running.ask("GET", ALL)
            other.execute("ROLLBACK")
        later = running.ask("GET", ALL)[0]

    assert (status, "definitions.db" in answer["detail"], later) == (503, True, 200)
