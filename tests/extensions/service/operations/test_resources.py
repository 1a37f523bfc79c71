"""Memory of the agents: who has a share, who waits; and a registration is undone as a whole when a part fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.resources import ConflictPolicies, Notice
from agentreg.extensions.service.operations import OperationsConfig

from ..driving import FakeClock, child, run, until
from .hands import AGENTS, Office, clock, eventually, files_in, office, told

SMALL = OperationsConfig(memory="4GB", reserved="1GB", cpu=8)
GB = 1 << 30


def granted(gigabytes: int, priority: str = "normal") -> dict[str, Any]:
    return {"state": "granted", "host": "local", "memory": gigabytes * GB, "priority": priority}


def waiting(gigabytes: int, priority: str = "normal") -> dict[str, Any]:
    return {"state": "waiting", "host": None, "memory": gigabytes * GB, "priority": priority}


async def ask_for(here: Office, agent_id: str, gigabytes: int, priority: int = 5, **record: Any) -> Any:
    """What an agent that asks for so much is answered about it."""
    config = {"resource_limit": f"{gigabytes}GB", "priority": priority}
    return (await here.enter(agent_id, config=config, **record))["resources"]["allocation"]


async def holders(here: Office) -> tuple[list[str], list[str]]:
    """Who has memory, and who waits."""
    _, state = await here.get("/registry/resources")
    has = [each["agent_id"] for host in state["hosts"] for each in host["allocations"]]
    return has, [each["agent_id"] for each in state["waiting"]]


@run
async def test_who_asks_for_memory_has_it_or_waits() -> None:
    async with office(SMALL) as here:
        first, second = await ask_for(here, "a", 2, name="ann"), await ask_for(here, "b", 2)
        none = await here.enter("c")
        _, state = await here.get("/registry/resources")

    assert (first, second) == (granted(2), waiting(2))
    assert "allocation" not in none["resources"]
    assert state["budget"] == {"memory": 4 * GB, "reserved": GB, "cpu": 8}
    assert state["utilization"]["memory_text"] == "67% (2GB / 3GB)"
    (host,) = state["hosts"]
    assert host["memory"] == {"total": 3 * GB, "allocated": 2 * GB, "free": GB}
    assert [(each["agent_id"], each["agent"], each["memory"]) for each in host["allocations"]] == [("a", "ann", 2 * GB)]
    (place,) = state["waiting"]
    assert (place["agent_id"], place["priority"], place["since"]) == ("b", "normal", "2023-11-14T22:13:20Z")
    assert (state["proposal"], state["advice"]) == (None, [])


@run
async def test_who_waits_is_served_by_priority_and_the_stream_tells() -> None:
    async with office(SMALL) as here, told(here) as events:
        for agent_id, priority in (("a", 5), ("b", 5), ("c", 8)):
            await ask_for(here, agent_id, 2, priority)
        status, _ = await here.delete(f"{AGENTS}/a")
        while (frame := await events.next("agent_updated"))["data"]["agent_id"] != "c":
            pass
        seen = frame["data"]["changes"]["resources"]["allocation"]

        assert status == 200
        assert seen == await here.allocation("c") == granted(2, "important")
        assert await holders(here) == (["c"], ["b"])


@run
async def test_one_that_had_to_make_way_waits_again_and_comes_back() -> None:
    async with office(SMALL) as here:
        first = await ask_for(here, "low", 2, priority=1)
        second = await ask_for(here, "high", 2, priority=10)
        await eventually(lambda: here.allocation("low"), waiting(2, "low"))
        await here.delete(f"{AGENTS}/high")
        await eventually(lambda: here.allocation("low"), granted(2, "low"))

    assert (first, second) == (granted(2, "low"), granted(2, "critical"))


async def leaves_by_farewell(here: Office) -> None:
    await here.post("/deregister", {"id": "a"})


async def leaves_by_deletion(here: Office) -> None:
    await here.delete(f"{AGENTS}/a")


async def leaves_by_status(here: Office) -> None:
    await here.put("a", status="offline")


@pytest.mark.parametrize("leave", [leaves_by_farewell, leaves_by_deletion, leaves_by_status])
@run
async def test_whoever_leaves_gives_its_memory_back(leave: Any) -> None:
    async with office(SMALL) as here:
        await ask_for(here, "a", 2)
        await ask_for(here, "b", 2)
        await leave(here)

        await eventually(lambda: here.allocation("b"), granted(2))
        assert await holders(here) == (["b"], [])


@run
async def test_one_whose_process_has_ended_gives_its_memory_back() -> None:
    process = child()
    async with office(SMALL) as here:
        await ask_for(here, "a", 2, pid=process.pid)
        await ask_for(here, "b", 2)
        process.kill()
        process.communicate()

        await eventually(lambda: here.allocation("b"), granted(2))


@run
async def test_the_silent_give_their_memory_back_and_ask_again_when_they_are_heard_of() -> None:
    time = FakeClock()
    async with office(SMALL, clock=time) as here:
        await ask_for(here, "a", 2)
        await ask_for(here, "b", 2)
        time.pass_by(80)
        await here.post("/heartbeat", {"id": "b"})
        time.pass_by(20)
        await here.get(AGENTS)
        await eventually(lambda: here.allocation("b"), granted(2))
        await here.post("/heartbeat", {"id": "a"})

        await eventually(lambda: here.allocation("a"), waiting(2))


@run
async def test_another_limit_is_another_share() -> None:
    async with office(SMALL) as here:
        await ask_for(here, "a", 1)
        await ask_for(here, "b", 2)
        await here.put("a", config={"resource_limit": "3GB"})
        await eventually(lambda: here.allocation("a"), waiting(3))
        await here.put("b", config={"resource_limit": None})
        await eventually(lambda: here.allocation("a"), granted(3))

        assert await here.allocation("b") is None


@run
async def test_what_a_caller_says_of_its_share_counts_for_nothing() -> None:
    async with office(SMALL) as here:
        await ask_for(here, "a", 2)
        shown = await here.put("a", resources={"allocation": None, "memory_used": "1mb"})
        _, whole = await here.get(f"{AGENTS}/a")
        await here.put("a", **whole)
        made_up = await here.enter("b", resources={"allocation": granted(64)})

        assert shown["resources"]["allocation"] == await here.allocation("a") == granted(2)
        assert "allocation" not in made_up["resources"]


@pytest.mark.parametrize(("limit", "status"), [("much", 400), ("-1gb", 400), ([1], 400), ("5GB", 409)])
@run
async def test_what_can_never_be_granted_is_refused(limit: Any, status: int) -> None:
    async with office(SMALL) as here:
        found, problem = await here.post(AGENTS, {"agent_id": "a", "name": "a", "config": {"resource_limit": limit}})
        unknown, _ = await here.get(f"{AGENTS}/a")
        await here.enter("b")
        answer = await here.client.http.put(f"{AGENTS}/b", json={"config": {"resource_limit": limit}})

        assert (found, problem["pointer"], unknown) == (status, "/config/resource_limit", 404)
        assert answer.status_code == status
        assert await holders(here) == ([], [])


@run
async def test_without_a_budget_everybody_is_granted_what_they_ask_for() -> None:
    async with office() as here:
        for agent_id in "ab":
            answer = await here.enter(agent_id, config={"resource_limit": "500gb"})
            assert "allocation" not in answer["resources"]
        await here.enter("c", config={"resource_limit": "as much as it takes"})
        _, state = await here.get("/registry/resources")

        assert state["budget"] == {"memory": None, "reserved": 0, "cpu": None}
        assert state["utilization"]["memory"] is None
        assert await holders(here) == (["a", "b"], [])


@run
async def test_shares_are_given_again_after_a_restart_first_to_those_who_had_one(tmp_path: Path) -> None:
    files, store = files_in(tmp_path), f"sqlite:///{tmp_path / 'records.db'}"
    async with office(SMALL, files, backend=store) as here:
        for agent_id in "abc":
            await ask_for(here, agent_id, 2)
        await leaves_by_farewell(here)
        await eventually(lambda: here.allocation("b"), granted(2))
        await here.put("a", status="active")
        await eventually(lambda: here.allocation("a"), waiting(2))
    async with office(SMALL, files, backend=store) as here:
        assert await holders(here) == (["b"], ["a", "c"])

        await here.delete(f"{AGENTS}/b")
        await eventually(lambda: here.allocation("a"), granted(2))
        _, answer = await here.get("/registry/decisions?name=b&limit=1")

    released = [step for step in answer["decisions"][0]["steps"] if step["name"] == "release"]
    assert released[0]["outcome"] == "done"


@run
async def test_a_budget_that_nobody_has_asked_for_brings_no_advice_to_take_it_away() -> None:
    async with office(SMALL) as here:
        await here.sample()
        _, state = await here.get("/registry/resources")

    assert state["advice"] == []


@run
async def test_there_is_advice_when_memory_runs_short() -> None:
    async with office(SMALL) as here:
        await ask_for(here, "a", 3)
        await here.sample()
        _, state = await here.get("/registry/resources")

    (advice,) = state["advice"]
    assert (advice["direction"], advice["time"]) == ("up", "2023-11-14T22:13:20Z")
    assert advice["amount"] > 0


@run
async def test_several_hosts_are_repacked_as_a_proposal() -> None:
    hosts = {"a": "4GB", "b": "4GB"}
    async with office(OperationsConfig(hosts=hosts)) as here:
        for agent_id in "xy":
            await ask_for(here, agent_id, 3)
        for agent_id in "xy":
            await here.put(agent_id, config={"resource_limit": "1GB"})
            await eventually(lambda agent_id=agent_id: memory_of(here, agent_id), GB)  # type: ignore[misc]
        _, state = await here.get("/registry/resources")

    assert [host["name"] for host in state["hosts"]] == ["a", "b"]
    assert [set(move) for move in state["proposal"]["moves"]] == [{"agent", "from", "to"}]


async def memory_of(here: Office, agent_id: str) -> Any:
    return (await here.allocation(agent_id))["memory"]


# -- undo -------------------------------------------------------------------------


@run
async def test_a_registration_that_fails_leaves_no_trace_and_says_where_it_failed() -> None:
    def refuse(notice: Notice) -> None:
        if notice.name == "a" and notice.kind == "registered":
            raise RuntimeError("nobody wants it")

    async with office(SMALL, notify=refuse) as here:
        await here.enter("before", config={"resource_limit": "1GB"})
        status, problem = await here.post(AGENTS, {"agent_id": "a", "name": "a", "config": {"resource_limit": "2GB"}})
        unknown, _ = await here.get(f"{AGENTS}/a")
        _, decisions = await here.get("/registry/decisions?name=a")

        assert (status, problem["step"], unknown) == (500, "notify", 404)
        assert "nobody wants it" in problem["detail"]
        await eventually(lambda: holders(here), (["before"], []))
        outcomes = {step["name"]: step["outcome"] for step in decisions["decisions"][0]["steps"]}
        assert (outcomes["allocate"], outcomes["enter"], outcomes["notify"]) == ("undone", "undone", "failed")


@run
async def test_of_two_who_take_one_id_at_once_one_has_it_and_its_memory() -> None:
    async with office(SMALL) as here:
        body = {"agent_id": "a", "name": "a", "config": {"resource_limit": "2GB"}}
        answers = await asyncio.gather(*(here.post(AGENTS, body) for _ in range(5)))

        assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409]
        refusals = [problem for status, problem in answers if status == 409]
        assert {problem["pointer"] for problem in refusals} == {"/agent_id"}
        assert await holders(here) == (["a"], [])


@run
async def test_tasks_are_handed_over_or_their_agent_stays() -> None:
    async with office(SMALL) as here:
        await ask_for(here, "a", 2, resources={"active_tasks": 2}, capabilities=["c"])
        busy, problem = await here.delete(f"{AGENTS}/a")
        alone, _ = await here.delete(f"{AGENTS}/a?migrate_tasks=true")
        kept = await here.allocation("a")
        await here.enter("b", resources={"active_tasks": 1}, capabilities=["c"])
        status, answer = await here.delete(f"{AGENTS}/a?migrate_tasks=true")
        _, heir = await here.get(f"{AGENTS}/b")
        forced, _ = await here.delete(f"{AGENTS}/b?force=true&migrate_tasks=true")

        assert (busy, problem["step"], alone, kept) == (409, "graceful_end", 409, granted(2))
        assert (status, answer["tasks_migrated_to"], heir["resources"]["active_tasks"]) == (200, "b", 3)
        assert forced == 200
        assert await holders(here) == ([], [])


# -- names and decisions ------------------------------------------------------------


@run
async def test_names_repeat_unless_they_may_not() -> None:
    async with office() as here:
        for agent_id in "ab":
            await here.enter(agent_id, name="ann")
    async with office(OperationsConfig(unique_names="refuse")) as here:
        await here.enter("a", name="ann")
        status, problem = await here.post(AGENTS, {"agent_id": "b", "name": "ann"})
        await here.post("/deregister", {"id": "a"})
        free, _ = await here.post(AGENTS, {"agent_id": "b", "name": "ann"})
    async with office(OperationsConfig(unique_names="suffix")) as here:
        names = [(await here.enter(agent_id, name="ann"))["name"] for agent_id in "abc"]

    assert (status, problem["step"], problem["pointer"]) == (409, "validate_unique_name", "/name")
    assert free == 201
    assert names == ["ann", "ann-20231114-221320", "ann-20231114-221320-2"]


@run
async def test_a_name_that_is_asked_about_is_decided_over_http() -> None:
    async with office(OperationsConfig(unique_names="ask")) as here:
        await here.enter("a", name="ann")
        entering = asyncio.create_task(here.post(AGENTS, {"agent_id": "b", "name": "ann"}))

        async def questions() -> Any:
            return (await here.get("/registry/decisions/pending"))[1]["pending"]

        await until(questions)
        (question,) = await questions()
        path = f"/registry/decisions/{question['id']}/answer"
        wrong, _ = await here.post(path, {"choice": "perhaps"})
        status, answer = await here.post(path, {"choice": "name_suffix", "by": "bob", "reason": "both are needed"})
        again, _ = await here.post(path, {"choice": "refuse"})
        entered, record = await entering
        unknown, _ = await here.post("/registry/decisions/none/answer", {"choice": "refuse"})
        _, about = await here.get("/registry/decisions?name=ann")

    assert (question["subject"], question["default"]) == ("ann", "refuse")
    assert question["deadline"] == "2023-11-14T22:18:20Z"
    assert {"refuse", "name_suffix"} <= set(question["choices"])
    assert (wrong, status, answer["by"], again, unknown) == (400, 200, "bob", 409, 404)
    assert (entered, record["name"]) == (201, "ann-20231114-221320")
    assert [each["by"] for each in about["decisions"] if each["kind"] == "name"] == ["bob", "policy"]


@run
async def test_decisions_are_found_by_id_and_by_name_and_outlive_the_service(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    async with office(files=files) as here:
        await here.enter("a", name="ann")
        await here.enter("b", name="bob")
        await here.delete(f"{AGENTS}/a")
    async with office(files=files) as here:
        _, by_name = await here.get("/registry/decisions?name=ann")
        _, by_id = await here.get("/registry/decisions?name=a")
        _, latest = await here.get("/registry/decisions?limit=1")

    assert [each["choice"] for each in by_name["decisions"]] == ["deregistered", "registered"]
    assert by_id == by_name
    assert [each["subject"] for each in latest["decisions"]] == ["a"]
    assert by_name["decisions"][1]["steps"][0]["name"] == "validate_name"


@run
async def test_tools_are_narrowed_to_what_is_allowed() -> None:
    async with office(OperationsConfig(policies=ConflictPolicies(allowed_tools=["Read", "Grep"]))) as here:
        record = await here.enter("a", config={"tools": ["Read", "Bash"]})
        _, answer = await here.get("/registry/decisions?name=a")

    assert record["config"]["tools"] == ["Read"]
    assert any("Bash" in each["reason"] for each in answer["decisions"])


@run
async def test_memory_that_was_allocated_counts_where_a_record_does_not_say_what_it_was_given() -> None:
    async with office(SMALL, wall=clock()) as here:
        await here.enter("a", config={"resource_limit": "1GB"}, resources={"memory_used": "512mb"})
        await here.sample()
        _, latest = await here.get("/registry/metrics/latest?metric=memory_usage")

    assert latest["values"] == {"a": 0.5}
