"""The full form: complete records, filters, merge patches, statistics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.extensions.service import create_app, open_directory
from agentreg.extensions.service.full.changing import merged

from .driving import Client, FakeClock, alive, run, service, until
from .sql import AVAILABLE, TRENDS, USAGE, ask

EXAMPLE: dict[str, Any] = {
    "agent_id": "agent_1723456789_abc123",
    "name": "api-integration-specialist",
    "file_path": "/root/repo/.claude/agents/api-integration-specialist.md",
    "status": "active",
    "created_at": "2024-08-14T15:30:45Z",
    "last_modified": "2024-08-14T15:30:45Z",
    "last_activity": "2024-08-14T15:35:20Z",
    "version": "1.0.0",
    "config": {
        "description": "Advanced API integration specialist...",
        "color": "blue",
        "priority": 8,
        "tools": ["Read", "Write", "Edit", "MultiEdit", "Bash"],
        "mcp_servers": ["context7", "perplexity", "github-official"],
        "resource_limit": "1024mb",
        "conflict_resolution": "merge",
        "specialization": "api_integration",
    },
    "resources": {
        "memory_allocated": "1024mb",
        "memory_used": "256mb",
        "cpu_priority": "normal",
        "active_tasks": 2,
        "max_concurrent_tasks": 10,
    },
    "performance": {
        "uptime": "99.8%",
        "avg_response_time": "1.2s",
        "task_success_rate": "98.5%",
        "error_count": 3,
        "total_tasks": 1247,
    },
    "relationships": {
        "parent_agent": None,
        "child_agents": [],
        "template_source": "api-specialist",
        "cloned_from": None,
    },
}
AGENTS = "/registry/agents"
ONE = f"{AGENTS}/{EXAMPLE['agent_id']}"


async def put(client: Client, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    answer = await client.http.put(path, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()})
    return answer.status_code, answer.json()


async def delete(client: Client, path: str) -> tuple[int, Any]:
    answer = await client.http.delete(path)
    return answer.status_code, answer.json()


@run
async def test_a_complete_record_comes_back_as_it_was_sent() -> None:
    async with service() as client:
        answer = await client.http.post(AGENTS, json=EXAMPLE)
        status, found = await client.get(ONE)

    assert (answer.status_code, answer.headers["location"], status) == (201, ONE, 200)
    sent = {name: value for name, value in EXAMPLE.items() if name != "last_modified"}
    assert {name: found[name] for name in sent} == sent
    assert found["health"] == "active"
    assert answer.headers["etag"] == f'"{found["revision"]}"'
    assert answer.headers["agentreg-revision"] == "1"


@run
async def test_a_name_is_enough_and_the_record_is_complete_all_the_same() -> None:
    async with service() as client:
        status, record = await client.post(AGENTS, {"name": "small"})

    assert (status, record["status"]) == (201, "active")
    for part in ("config", "resources", "performance", "relationships"):
        assert EXAMPLE[part].keys() == record[part].keys()
    for moment in ("created_at", "last_modified", "last_activity"):
        assert record[moment].endswith("Z")


@run
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, None),
        ({"name": ""}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": "x" * 257}, "/name"),
        ({"name": "x", "config": []}, "/config"),
        ({"name": "x", "config": {"tools": "Bash"}}, "/config/tools"),
        ({"name": "x", "config": {"tools": [1]}}, "/config/tools"),
        ({"name": "x", "config": {"priority": "high"}}, "/config/priority"),
        ({"name": "x", "config": {"priority": True}}, "/config/priority"),
        ({"name": "x", "status": "sleeping"}, "/status"),
        ({"name": "x", "status": "offline"}, "/status"),
        ({"name": "x", "created_at": "yesterday"}, "/created_at"),
        ({"name": "x", "pid": -1}, "/pid"),
        ({"name": "x", "capabilities": ["a", "b\n"]}, "/capabilities/1"),
    ],
)
async def test_what_can_be_no_record_is_a_problem_with_its_place(body: Any, pointer: str | None) -> None:
    async with service() as client:
        answer = await client.http.post(AGENTS, json=body)
        _, listing = await client.get(AGENTS)

    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (problem["status"], problem["title"], problem["type"]) == (400, "Bad Request", "about:blank")
    assert (bool(problem["detail"]), problem.get("pointer") or None) == (True, pointer)
    assert listing["total"] == 0


@run
async def test_an_id_that_is_taken_is_a_conflict() -> None:
    async with service() as client:
        await client.post(AGENTS, EXAMPLE)

        status, problem = await client.post(AGENTS, {**EXAMPLE, "name": "thief"})
        _, record = await client.get(ONE)

    assert (status, problem["pointer"], record["name"]) == (409, "/agent_id", EXAMPLE["name"])


@run
async def test_a_merge_patch_changes_what_it_names_and_nothing_else() -> None:
    async with service() as client:
        _, before = await client.post(AGENTS, EXAMPLE)

        patch = {"status": "idle", "version": "2", "config": {"priority": 9, "color": None, "extra": {"a": 1}}}
        status, after = await put(client, ONE, patch)

    assert status == 200
    expected = {**before["config"], "priority": 9, "color": None, "extra": {"a": 1}}
    assert (after["status"], after["version"], after["config"]) == ("idle", "2", expected)
    assert after["revision"] == before["revision"] + 1
    for untouched in ("name", "created_at", "resources", "performance", "relationships", "file_path"):
        assert after[untouched] == before[untouched]


@run
async def test_a_record_that_was_got_can_be_sent_back_whole() -> None:
    async with service() as client:
        _, record = await client.post(AGENTS, EXAMPLE)

        status, after = await put(client, ONE, {**record, "name": "renamed"})

    assert (status, after["name"]) == (200, "renamed")
    assert after["config"] == record["config"]


@run
@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"agent_id": "other"}, "/agent_id"),
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"colour": "blue"}, "/colour"),
        ({"config": {"tools": {}}}, "/config/tools"),
        ({"config": 7}, "/config"),
        ({"status": "gone"}, "/status"),
        ({"capabilities": "all"}, "/capabilities"),
        ({"capabilities": ["a", 1]}, "/capabilities/1"),
    ],
)
async def test_a_patch_that_makes_no_record_changes_nothing(patch: Any, pointer: str) -> None:
    async with service() as client:
        _, before = await client.post(AGENTS, EXAMPLE)

        status, problem = await put(client, ONE, patch)
        _, after = await client.get(ONE)

    assert (status, problem["pointer"]) == (400, pointer)
    assert after["revision"] == before["revision"]


@run
async def test_a_change_on_condition_is_made_to_that_revision_only() -> None:
    async with service() as client:
        _, record = await client.post(AGENTS, EXAMPLE)
        revision = record["revision"]

        changes = (put(client, ONE, {"version": str(n)}, if_match=f'"{revision}"') for n in range(5))
        answers = await asyncio.gather(*changes)

        assert sorted(status for status, _ in answers) == [200, 412, 412, 412, 412]
        assert (await put(client, ONE, {"version": "x"}, if_match="*"))[0] == 200
        assert (await put(client, ONE, {"version": "x"}, if_match="latest"))[0] == 400


@run
async def test_what_is_unknown_is_not_found() -> None:
    async with service() as client:
        assert (await client.get(f"{AGENTS}/nobody"))[0] == 404
        assert (await put(client, f"{AGENTS}/nobody", {}))[0] == 404
        assert (await delete(client, f"{AGENTS}/nobody"))[0] == 404


@run
async def test_what_was_deleted_is_gone() -> None:
    async with service() as client:
        await client.post(AGENTS, {"name": "x", "agent_id": "x"})

        assert (await delete(client, f"{AGENTS}/x"))[0] == 200
        assert (await client.get(f"{AGENTS}/x"))[0] == 404
        assert await client.agents() == []


@run
async def test_one_with_tasks_is_deleted_by_force_or_when_another_takes_them() -> None:
    tools = {"tools": ["Bash"]}
    async with service() as client:
        for name, tasks in (("busy", 3), ("heir", 1), ("other", 2)):
            body = {"name": name, "agent_id": name, "config": tools, "resources": {"active_tasks": tasks}}
            await client.post(AGENTS, body)
        await client.post(AGENTS, {"name": "unable", "agent_id": "unable"})

        assert (await delete(client, f"{AGENTS}/busy"))[0] == 409
        status, answer = await delete(client, f"{AGENTS}/busy?migrate_tasks=true")
        assert (status, answer["tasks_migrated_to"]) == (200, "heir")
        assert (await client.get(f"{AGENTS}/heir"))[1]["resources"]["active_tasks"] == 4
        assert (await delete(client, f"{AGENTS}/heir?force=true"))[0] == 200
        assert (await delete(client, f"{AGENTS}/other?migrate_tasks=true"))[0] == 409
        assert (await delete(client, f"{AGENTS}/other?force=maybe"))[0] == 400


# -- one record, two forms ----------------------------------------------------


@run
async def test_either_form_shows_the_others_records() -> None:
    async with service() as client:
        await client.register(id="simple", name="claude-code", meta={"k": 1})
        await client.post(AGENTS, {"name": "rich", "agent_id": "full", "status": "idle"})

        assert await client.statuses() == {"simple": "active", "full": "active"}
        _, listing = await client.get(AGENTS)

    shown = {record["agent_id"]: (record["name"], record["status"]) for record in listing["agents"]}
    assert shown == {"simple": ("claude-code", "active"), "full": ("rich", "idle")}


@run
async def test_the_stale_are_in_error_and_the_stopped_offline_until_they_are_heard_of_again() -> None:
    clock = FakeClock()
    async with service(clock=clock) as client:
        await client.post(AGENTS, {"name": "a", "agent_id": "a", "status": "maintenance"})
        clock.pass_by(90)
        assert (await client.get(f"{AGENTS}/a"))[1]["status"] == "error"
        await client.post("/heartbeat", {"id": "a"})
        assert (await client.get(f"{AGENTS}/a"))[1]["status"] == "maintenance"
        clock.pass_by(90)
        assert (await put(client, f"{AGENTS}/a", {"version": "2"}))[1]["status"] == "maintenance"
        assert (await put(client, f"{AGENTS}/a", {"status": "offline"}))[1]["status"] == "offline"
        assert await client.statuses() == {"a": "stopped"}
        assert (await put(client, f"{AGENTS}/a", {"status": "active"}))[1]["health"] == "active"


@run
async def test_registering_again_in_the_simple_form_keeps_what_it_does_not_speak_of() -> None:
    async with service() as client:
        await client.post(AGENTS, EXAMPLE)
        await client.register(id=EXAMPLE["agent_id"], name="again")

        _, record = await client.get(ONE)

    assert (record["name"], record["config"], record["created_at"]) == (
        "again",
        EXAMPLE["config"],
        EXAMPLE["created_at"],
    )


# -- asking -------------------------------------------------------------------


async def crew(client: Client) -> None:
    for name, priority, tools, status in (
        ("ann", 9, ["Bash", "Read"], "active"),
        ("bob", 7, ["Read"], "idle"),
        ("cid", 2.5, ["Bash"], "active"),
        ("dot", None, [], "maintenance"),
    ):
        config = {"priority": priority, "tools": tools, "description": f"{name} does things"}
        body = {"name": name, "agent_id": name, "status": status, "config": config, "capabilities": [f"Talk {name}"]}
        assert (await client.post(AGENTS, body))[0] == 201


@run
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "ann bob cid dot"),
        ("status=active", "ann cid"),
        ("status=idle,maintenance", "bob dot"),
        ("priority=7", "bob"),
        ("priority=2.5", "cid"),
        ("min_priority=7", "ann bob"),
        ("min_priority=-1", "ann bob cid"),
        ("tools=Bash", "ann cid"),
        ("tools=Bash,Read", "ann bob cid"),
        ("tools=Read&tools=Bash", "ann bob cid"),
        ("tools=bash", ""),
        ("capability=talk%20bob", "bob"),
        ("runtime=service", "ann bob cid dot"),
        ("runtime=nowhere", ""),
        ("text=BOB", "bob"),
        ("text=does", "ann bob cid dot"),
        ("sort=-name", "dot cid bob ann"),
        ("sort=-priority", "ann bob cid dot"),
        ("sort=priority&limit=2", "dot cid"),
        ("limit=1&offset=3", "dot"),
        ("offset=99", ""),
        ("status=active&min_priority=5&tools=Bash", "ann"),
    ],
)
async def test_a_question_gets_those_who_are_meant_in_order(query: str, names: str) -> None:
    async with service() as client:
        await crew(client)

        status, answer = await client.get(f"{AGENTS}?{query}")

    assert status == 200
    assert " ".join(record["name"] for record in answer["agents"]) == names


@run
@pytest.mark.parametrize(
    "query",
    [
        *("status=sleeping", "status=", "priority=high", "priority=nan", "min_priority=inf", "limit=0", "limit=-1"),
        *("limit=ten", "limit=10001", "offset=-1", "offset=1.5", "sort=height", "sort=--name", "tools=,", "color=blue"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(query: str) -> None:
    async with service() as client:
        answer = await client.http.get(f"{AGENTS}?{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert query.partition("=")[0] in answer.json()["detail"]


@run
async def test_the_pages_of_a_listing_follow_one_another() -> None:
    async with service() as client:
        await crew(client)
        path: str | None = f"{AGENTS}?limit=3&status=active,idle,maintenance"
        pages = []
        while path is not None:
            _, page = await client.get(path)
            pages.append([record["name"] for record in page["agents"]])
            path = page["next"]
            assert page["total"] == 4

    assert pages == [["ann", "bob", "cid"], ["dot"]]


@run
async def test_the_statistics_say_what_all_records_say_together() -> None:
    async with service() as client:
        _, empty = await client.get("/registry/stats")
        await client.post(AGENTS, EXAMPLE)
        await client.post(AGENTS, {"name": "b", "status": "idle", "performance": {"avg_response_time": "800ms"}})
        _, stats = await client.get("/registry/stats")

    assert (empty["agent_counts"]["total"], empty["performance_metrics"]["uptime"]) == (0, None)
    assert stats["agent_counts"] == {"total": 2, "active": 1, "idle": 1, "error": 0, "maintenance": 0, "offline": 0}
    assert stats["resource_utilization"] == {
        "memory": "25% (0.25GB / 1GB)",
        "cpu": "10% average",
        "task_queue": "2 pending",
    }
    assert stats["performance_metrics"] == {"avg_response_time": "1s", "success_rate": "98.5%", "uptime": "99.8%"}
    assert stats["top_performers"] == [{EXAMPLE["name"]: "98.5% success rate"}]


# -- SQL ----------------------------------------------------------------------


@run
async def test_peoples_own_sql_works_while_the_service_runs(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    async with service(f"sqlite:///{path}") as client:
        await client.post(AGENTS, EXAMPLE)
        await client.post(AGENTS, {**EXAMPLE, "agent_id": "b", "name": "b", "status": "idle"})
        await client.register(id="simple")

        assert [row["name"] for row in ask(path, AVAILABLE)] == [EXAMPLE["name"]]
        assert [tuple(row) for row in ask(path, USAGE)] == [
            (EXAMPLE["name"], "256mb", 2, "1.2s"),
            ("agent", None, None, None),
        ]
        days = [tuple(row) for row in ask(path, TRENDS)]

    assert days[-1] == ("2024-08-14", 2, 1.2, 4)
    assert len(days) == 2


@run
async def test_a_heartbeat_reaches_the_file_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    query = "SELECT last_heartbeat, revision FROM agents"
    async with service(f"sqlite:///{path}") as client:
        await client.register(id="a")
        (before,) = ask(path, query)
        await client.post("/heartbeat", {"id": "a"})

        async def is_there() -> bool:
            (row,) = ask(path, query)
            return bool(row["last_heartbeat"] > before["last_heartbeat"])

        await until(is_there)

        assert ask(path, query)[0]["revision"] == before["revision"]


# -- merge patches ------------------------------------------------------------

plain = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
values: st.SearchStrategy[Any] = st.deferred(
    lambda: plain | st.lists(plain, max_size=2) | st.dictionaries(st.sampled_from("abc"), values, max_size=3)
)


@given(values, values)
def test_a_merge_patch_twice_is_a_merge_patch_once(target: Any, patch: Any) -> None:
    once = merged(target, patch)

    assert merged(once, patch) == once


@given(st.dictionaries(st.sampled_from("abcd"), st.integers()), st.dictionaries(st.sampled_from("abcd"), st.integers()))
def test_the_difference_as_a_merge_patch_leads_from_one_to_the_other(old: dict[str, int], new: dict[str, int]) -> None:
    patch = {**dict.fromkeys(old), **new}

    assert merged(old, patch) == new


@run
async def test_the_answer_to_a_registration_has_the_revision_that_a_change_may_be_bound_to(tmp_path: Path) -> None:
    async with service(f"sqlite:///{tmp_path}/agents.db") as client:
        made = await client.http.post(AGENTS, json={"agent_id": "a", "name": "a"})
        _, found = await client.get(f"{AGENTS}/a")
        changed = await client.http.put(
            f"{AGENTS}/a", json={"version": "2"}, headers={"If-Match": made.headers["etag"]}
        )

    assert made.json() == found
    assert made.headers["etag"] == f'"{found["revision"]}"'
    assert changed.status_code == 200


@run
@pytest.mark.parametrize("field", ["created_at", "last_activity"])
@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59"]
)
async def test_a_time_beyond_the_calendar_is_refused_and_spoils_no_listing(field: str, moment: str) -> None:
    async with service() as client:
        made, problem = await client.post(AGENTS, {"name": "a", field: moment})
        await client.post(AGENTS, {"agent_id": "b", "name": "b"})
        changed = await client.http.put(f"{AGENTS}/b", json={"last_activity": moment})
        status, page = await client.get(AGENTS)

    assert (made, problem["pointer"], changed.status_code) == (400, f"/{field}", 400)
    assert (status, [agent["name"] for agent in page["agents"]]) == (200, ["b"])


@run
async def test_a_number_that_is_too_large_is_told_where() -> None:
    async with service() as client:
        answer = await client.http.post(
            AGENTS, content=b'{"name": "a", "config": {"x": 1e400}}', headers={"Content-Type": "application/json"}
        )

    assert (answer.status_code, answer.json()["pointer"]) == (400, "/config")


@run
async def test_a_list_that_comes_as_a_repeated_parameter_is_the_same_list() -> None:
    async with service() as client:
        for name, status, tools in (("a", "active", ["Bash"]), ("b", "idle", ["Edit"]), ("c", "error", ["Read"])):
            await client.post(AGENTS, {"agent_id": name, "name": name, "status": status, "config": {"tools": tools}})
        _, tools_of = await client.get(f"{AGENTS}?tools=Bash&tools=Edit")
        _, statuses = await client.get(f"{AGENTS}?status=idle&limit=5&status=error,active&tools=Read")

    assert [agent["agent_id"] for agent in tools_of["agents"]] == ["a", "b"]
    assert [agent["agent_id"] for agent in statuses["agents"]] == ["c"]


@run
async def test_a_method_that_is_not_allowed_is_answered_with_all_that_are() -> None:
    async with service() as client:
        one = await client.http.post(f"{AGENTS}/a", json={})
        all_of_them = await client.http.delete(AGENTS)

    assert (one.status_code, one.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")
    assert (all_of_them.status_code, all_of_them.headers["allow"]) == (405, "GET, HEAD, POST")


@run
async def test_an_error_of_the_service_s_own_is_a_problem_document_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Any) -> None:
        raise ValueError("year 10000 is out of range")

    monkeypatch.setattr("agentreg.extensions.service.full.routes.full", broken)
    app = create_app(open_directory("memory://"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.post("/register", json={})
        answer = await client.get(AGENTS)

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["title"] == "Internal Server Error"
