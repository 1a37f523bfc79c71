"""AgentDirectory, on every store."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agentreg import BaseAgent
from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    AgentIdTakenError,
    AgentMetadata,
    AgentRegistryConfig,
    AgentStatus,
    BackendURLError,
    Change,
    Listing,
    RegistryEvent,
    RegistryEventType,
    Resync,
)
from agentreg.extensions.coordination.backend import Beat

from .stores import STORES, Store, make_store, run, until


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return make_store(request.param, tmp_path, request)


class Worker:
    """A plain class, as people have them."""

    def __init__(self, agent_id: str | None = None, *capabilities: str, **attributes: Any) -> None:
        self.agent_id = agent_id
        self.capabilities = list(capabilities)
        self.__dict__.update(attributes)

    def run(self, task: str) -> str:
        raise AssertionError("a directory calls nobody")


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Ear:
    """Hears everything, in order."""

    def __init__(self, directory: AgentDirectory) -> None:
        self.events: list[RegistryEvent] = []
        for kind in RegistryEventType:
            directory.subscribe(kind, self.hear)

    def hear(self, event: RegistryEvent) -> None:
        self.events.append(event)

    def heard(self) -> list[tuple[str, str | None]]:
        return [(event.event_type.value, event.agent_id or event.runtime_id) for event in self.events]

    def of(self, kind: RegistryEventType) -> list[RegistryEvent]:
        return [event for event in self.events if event.event_type is kind]


def ids(records: list[AgentMetadata]) -> list[str]:
    return [record.agent_id for record in records]


QUICK = AgentDirectoryConfig(heartbeat_timeout=0.6, auto_deregister_timeout=1.2)
UNWATCHED = AgentDirectoryConfig(enable_heartbeat_monitoring=False)

# -- registering ----------------------------------------------------------------------------------


@run
async def test_an_agent_is_found_under_its_id_until_it_is_deregistered(store: Store) -> None:
    worker = Worker("ann", "Python code generation")
    async with store.directory() as directory:
        agent_id = await directory.register_agent(worker, "runtime_1")
        there = await directory.get_agent("ann")
        assert there is not None
        assert (agent_id, there.agent_id, there.runtime_id, there.name) == ("ann", "ann", "runtime_1", "ann")
        assert there.agent is worker
        assert there.status is AgentStatus.ACTIVE
        assert there.capabilities == ("Python code generation",)
        assert (there.max_concurrency, there.memory_limit_mb, there.budget_limit_usd) == (10, 512, 1.0)
        assert (there.host, there.pid) == (os.uname().nodename, os.getpid())
        assert there.last_heartbeat.tzinfo is timezone.utc
        assert abs(there.registered_at - datetime.now(timezone.utc)) < timedelta(seconds=60)

        assert await directory.deregister_agent("ann", "runtime_1") is True
        assert await directory.get_agent("ann") is None
        assert await directory.deregister_agent("ann", "runtime_1") is False


@run
async def test_an_id_is_the_argument_else_the_agents_own_else_made_up(store: Store) -> None:
    own, none = Worker("own"), Worker(None)
    async with store.directory() as directory:
        assert await directory.register_agent(own, "r", "given") == "given"
        assert await directory.register_agent(own, "r") == "own"
        made = await directory.register_agent(none, "r")

    assert made.startswith("agent_")
    assert len(made) == len("agent_") + 8
    int(made.removeprefix("agent_"), 16)


@run
async def test_a_known_id_is_refused_naming_its_holder_and_the_holder_stays(store: Store) -> None:
    first, second = Worker("ann"), Worker("ann")
    async with store.directory() as directory:
        await directory.register_agent(first, "runtime_1")
        with pytest.raises(ValueError, match="already registered by runtime 'runtime_1'") as caught:
            await directory.register_agent(second, "runtime_2")
        there = await directory.get_agent("ann")

        assert isinstance(caught.value, AgentIdTakenError)
        assert there is not None
        assert there.agent is first


@run
async def test_an_id_that_another_directory_holds_is_refused(store: Store) -> None:
    mine, theirs = Worker("ann"), Worker("ann")
    async with store.directory() as one, store.directory() as two:
        await one.register_agent(mine, "runtime_1")
        with pytest.raises(ValueError, match="already registered"):
            await two.register_agent(theirs, "runtime_2")


class Skill:
    def __init__(self, name: str, tags: list[str]) -> None:
        self.name = name
        self.tags = tags


class Card:
    skills = (Skill("Translate", ["German", "French"]), Skill("Summarise", []))


CARDS = [
    ({"_a2a_card": {"capability": "code generation"}}, None, ("code generation",)),
    ({"_a2a_card": {"capabilities": ["a", "b", "a"]}}, None, ("a", "b")),
    ({"_a2a_card": {"capabilities": "one"}}, None, ("one",)),
    ({"_a2a_card": {"capability": "x", "capabilities": ["y"]}}, None, ("x", "y")),
    ({"_a2a_card": {"skills": [{"name": "s", "tags": ["t"]}]}}, None, ("s", "t")),
    ({"_a2a_card": {"capabilities": {"streaming": True}, "skills": [{"id": "s"}]}}, None, ("s",)),
    ({"_a2a_card": Card()}, None, ("Translate", "German", "French", "Summarise")),
    ({"_a2a_card": {}}, None, ()),
    ({"_a2a_card": {"capability": "card"}}, ["given"], ("given",)),
    ({}, None, ("own",)),
    ({}, [], ()),
]


@pytest.mark.parametrize(("attributes", "given", "expected"), CARDS)
@run
async def test_capabilities_are_the_argument_else_the_cards_else_the_agents_own(
    attributes: dict[str, Any], given: list[str] | None, expected: tuple[str, ...]
) -> None:
    worker = Worker("ann", "own", **attributes)
    directory = AgentDirectory()
    await directory.register_agent(worker, "r", capabilities=given)

    assert directory.agents["ann"].capabilities == expected


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"runtime_id": 5}, TypeError, "runtime_id: expected text, got 5"),
    ({"runtime_id": ""}, ValueError, "runtime_id: expected 1 to 255 printable characters"),
    ({"agent_id": 7}, TypeError, "agent_id: expected text"),
    ({"agent_id": "x" * 256}, ValueError, "agent_id"),
    ({"agent_id": "a\nb"}, ValueError, "agent_id"),
    ({"capabilities": ["ok", 3]}, TypeError, "capabilities: expected texts, got 3"),
    ({"capabilities": 3}, TypeError, "capabilities"),
    ({"capabilities": ["ok", " "]}, ValueError, "capabilities"),
    ({"capabilities": ["x" * 1001]}, ValueError, "expected at most 1000 characters"),
    ({"capabilities": [str(n) for n in range(1001)]}, ValueError, "expected at most 1000 texts"),
    ({"max_concurrency": -1}, ValueError, "max_concurrency: expected a number from 0 up, got -1"),
    ({"budget_limit_usd": "much"}, ValueError, "budget_limit_usd"),
    ({"metadata": {"a": {1, 2}}}, ValueError, "metadata: expected a plain JSON object"),
    ({"metadata": [1]}, TypeError, "metadata"),
    ({"endpoint": 80}, TypeError, "endpoint: expected text"),
    ({"agent": None}, TypeError, "agent: expected a live object"),
    ({"agent": Worker(7)}, TypeError, "the agent's agent_id: expected text, got 7"),  # type: ignore[arg-type]
    ({"agent": Worker("ann", name=b"Ann")}, TypeError, "the agent's name: expected text, got b'Ann'"),
    ({"agent": Worker("ann", capabilities=5)}, TypeError, "the agent's capabilities: expected texts, got 5"),
    ({"agent": Worker("ann", 5)}, TypeError, "the agent's capabilities: expected texts, got 5"),  # type: ignore[arg-type]
    ({"agent": Worker("ann", _a2a_card={"capability": 5})}, TypeError, "capability: expected texts, got 5"),
]


@pytest.mark.parametrize(("wrong", "error", "words"), REFUSED)
@run
async def test_what_is_not_as_expected_is_refused_before_anything_changes(
    wrong: dict[str, Any], error: type[Exception], words: str
) -> None:
    directory = AgentDirectory()
    arguments = {"agent": Worker("ann"), "runtime_id": "r", **wrong}

    with pytest.raises(error, match=words):
        await directory.register_agent(**arguments)
    assert (len(directory.agents), directory.revision) == (0, 0)


@run
async def test_a_card_with_something_else_than_text_is_refused_before_anything_changes(store: Store) -> None:
    async with store.directory() as directory:
        with pytest.raises(TypeError, match="expected texts, got 1"):
            await directory.register_agent(Worker("ann", _a2a_card={"capabilities": ["x", 1]}), "new runtime")

        assert "new runtime" not in directory.runtime_agents
        assert await directory.get_agent("ann") is None


@run
async def test_a_registered_agent_may_be_a_base_agent_of_this_process(store: Store) -> None:
    class Translator(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> None: ...

    translator = Translator("translator", capabilities=["translation"])
    async with store.directory() as directory:
        agent_id = await directory.register_agent(translator, "r")
        [found] = await directory.find_agents_by_capability("translation")

        assert found.agent_id == agent_id
        assert found.name == "translator"
        assert found.agent is translator


# -- leaving --------------------------------------------------------------------------------------


@run
async def test_one_runtime_cant_remove_anothers_agent(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker("ann", "x")
    async with store.directory() as directory:
        await directory.register_agent(worker, "runtime_1")
        revision = directory.revision
        with caplog.at_level(logging.WARNING):
            assert await directory.deregister_agent("ann", "runtime_2") is False

        assert "runtime_2" in caplog.text
        assert directory.revision == revision
        assert directory.runtime_agents["runtime_1"] == {"ann"}


@run
async def test_an_unknown_runtime_does_not_remove_an_agent_by_halves(store: Store) -> None:
    worker = Worker("ann", "x")
    async with store.directory() as directory:
        await directory.register_agent(worker, "runtime_1")

        assert await directory.deregister_agent("ann", "unknown") is False
        assert ids(await directory.find_agents_by_capability("x")) == ["ann"]
        assert "unknown" not in directory.runtime_agents


@run
async def test_an_agent_that_nobody_holds_any_more_leaves_as_collected(store: Store) -> None:
    async with store.directory() as directory:
        ear = Ear(directory)
        worker = Worker("ann", "x")
        await directory.register_agent(worker, "r")
        del worker
        gc.collect()

        assert await directory.get_agent("ann") is None
        assert await directory.find_agents_by_capability("x") == []
        await until(lambda: ear.of(RegistryEventType.AGENT_DEREGISTERED))
        assert ear.of(RegistryEventType.AGENT_DEREGISTERED)[0].metadata == {"reason": "collected"}


@run
async def test_a_collected_agent_leaves_by_itself_when_nobody_asks(store: Store) -> None:
    async with store.directory() as directory:
        ear = Ear(directory)
        worker = Worker("ann", "x")
        await directory.register_agent(worker, "r")
        del worker
        gc.collect()

        await until(lambda: ear.of(RegistryEventType.RUNTIME_LEFT))


@run
async def test_a_late_collection_never_removes_the_successor(store: Store) -> None:
    async with store.directory() as directory:
        first, second = Worker("ann"), Worker("ann")
        await directory.register_agent(first, "r")
        await directory.deregister_agent("ann", "r")
        await directory.register_agent(second, "r")
        del first
        gc.collect()

        there = await directory.get_agent("ann")
        assert there is not None
        assert there.agent is second


class Slotted:
    __slots__ = ("agent_id",)

    def __init__(self) -> None:
        self.agent_id = "slotted"


@run
async def test_an_agent_that_cant_be_held_weakly_is_held_until_it_is_deregistered(store: Store) -> None:
    async with store.directory() as directory:
        await directory.register_agent(Slotted(), "r")
        gc.collect()

        there = await directory.get_agent("slotted")
        assert there is not None
        assert isinstance(there.agent, Slotted)
        assert await directory.deregister_agent("slotted", "r") is True
        del there
        gc.collect()
        assert [each for each in gc.get_objects() if type(each) is Slotted] == []


@run
async def test_a_shutdown_takes_this_directorys_agents_along_and_no_others(store: Store) -> None:
    mine, theirs = Worker("mine"), Worker("theirs")
    async with store.directory() as other:
        ear = Ear(other)
        directory = store.directory()
        await directory.start()
        await directory.register_agent(mine, "r1")
        await other.register_agent(theirs, "r2")
        await directory.shutdown()

        await until(lambda: ear.of(RegistryEventType.AGENT_DEREGISTERED))
        assert [e.metadata["reason"] for e in ear.of(RegistryEventType.AGENT_DEREGISTERED)] == ["shutdown"]
        assert ids(await other.list_agents()) == ["theirs"]


# -- looking --------------------------------------------------------------------------------------


@run
async def test_lists_are_in_registration_order_by_runtime_and_by_status(store: Store) -> None:
    workers = [Worker(name) for name in ("c", "a", "b")]
    async with store.directory() as directory:
        for worker, runtime in zip(workers, ("r1", "r2", "r1"), strict=True):
            await directory.register_agent(worker, runtime)
        await directory.update_agent_status("a", AgentStatus.DEGRADED)

        assert ids(await directory.list_agents()) == ["c", "a", "b"]
        assert ids(await directory.list_agents("r1")) == ["c", "b"]
        assert ids(await directory.list_agents("r2", AgentStatus.ACTIVE)) == []
        assert ids(await directory.list_agents(status_filter="active")) == ["c", "b"]
        assert ids(await directory.find_agents_by_runtime("r2")) == ["a"]
        assert ids(await directory.find_agents_by_runtime("nowhere")) == []
        assert ids(await directory.find_agents_by_status(AgentStatus.DEGRADED)) == ["a"]
        with pytest.raises(ValueError, match="expected one of active, degraded"):
            await directory.list_agents(status_filter="asleep")


@run
async def test_a_search_ranks_by_the_best_capability_and_then_by_registration(store: Store) -> None:
    workers = [
        Worker("late", "something else", "Python code generation for experts"),
        Worker("exact", "irrelevant python things and more", "Python"),
        Worker("second", "python code"),
        Worker("third", "Python code"),
        Worker("none", "javascript"),
    ]
    async with store.directory() as directory:
        for worker in workers:
            await directory.register_agent(worker, "r")

        assert ids(await directory.find_agents_by_capability("python")) == ["exact", "second", "third", "late"]
        assert ids(await directory.find_agents_by_capability("PYTHON", limit=2)) == ["exact", "second"]
        assert ids(await directory.find_agents_by_capability("ytho")) == ["late", "exact", "second", "third"]
        assert await directory.find_agents_by_capability("cobol") == []
        for empty in ("", "  "):
            with pytest.raises(ValueError, match="expected something to look for"):
                await directory.find_agents_by_capability(empty)


@run
async def test_only_the_active_are_offered_unless_asked_otherwise(store: Store) -> None:
    workers = [Worker(name, "work") for name in ("a", "b", "c")]
    async with store.directory() as directory:
        for worker in workers:
            await directory.register_agent(worker, "r")
        await directory.update_agent_status("a", AgentStatus.UNHEALTHY)
        await directory.update_agent_status("b", "offline")

        assert ids(await directory.find_agents_by_capability("work")) == ["c"]
        assert ids(await directory.find_agents_by_capability("work", limit=1)) == ["c"]
        assert ids(await directory.find_agents_by_capability("work", AgentStatus.UNHEALTHY)) == ["a"]
        assert ids(await directory.find_agents_by_capability("work", status_filter=None)) == ["a", "b", "c"]
        assert ids(await directory.find_agents_by_capability("work", status_filter=None, limit=2)) == ["a", "b"]


@run
async def test_reading_an_unknown_key_creates_nothing_and_the_departed_leave_no_key(store: Store) -> None:
    worker = Worker("ann", "Translation")
    async with store.directory() as directory:
        await directory.register_agent(worker, "r")
        assert directory.runtime_agents["r"] == {"ann"}
        assert directory.capability_index["translation"] == {"ann"}
        assert directory.status_index[AgentStatus.ACTIVE] == {"ann"}
        views: list[Any] = [directory.agents, directory.runtime_agents, directory.capability_index]
        for view in views:
            with pytest.raises(KeyError):
                view["unknown"]
            with pytest.raises(TypeError):
                view["unknown"] = 1
        with pytest.raises(KeyError):
            directory.status_index["asleep"]  # type: ignore[index]
        await directory.deregister_agent("ann", "r")

        assert [dict(view) for view in views] == [{}, {}, {}]
        assert (await directory.get_metrics())["runtime_distribution"] == {}
        assert (await directory.get_metrics())["capability_index_size"] == 0


@run
async def test_the_metrics_count(store: Store) -> None:
    workers = [Worker(name, "x", "y") for name in ("a", "b", "c")]
    async with store.directory() as directory:
        for worker, runtime in zip(workers, ("r1", "r1", "r2"), strict=True):
            await directory.register_agent(worker, runtime)
        await directory.update_agent_status("a", AgentStatus.DEGRADED)
        await directory.deregister_agent("b", "r1")
        await directory.find_agents_by_capability("x")

        assert await directory.get_metrics() == {
            "total_agents": 2,
            "total_runtimes": 2,
            "status_distribution": {"active": 1, "degraded": 1},
            "runtime_distribution": {"r1": 1, "r2": 1},
            "total_queries": 1,
            "total_registrations": 3,
            "total_deregistrations": 1,
            "capability_index_size": 2,
            "dropped_events": 0,
            "revision": 5,
        }


@run
async def test_a_directory_that_is_not_started_registers_and_finds(store: Store) -> None:
    worker = Worker("ann", "x")
    directory = store.directory()
    await directory.register_agent(worker, "r")

    assert ids(await directory.find_agents_by_capability("x")) == ["ann"]
    assert await directory.update_agent_heartbeat("ann") is True
    assert await directory.update_agent_status("ann", "degraded") is True
    assert await directory.deregister_agent("ann", "r") is True
    await directory.shutdown()


@run
async def test_the_views_of_a_remote_store_are_empty_before_the_start(store: Store) -> None:
    worker = Worker("ann", "x")
    async with store.directory() as writer:
        await writer.register_agent(worker, "r")
        directory = store.directory()
        if store.remote:
            assert dict(directory.agents) == {}
        async with directory:
            assert list(directory.agents) == ["ann"]


@run
async def test_what_one_directory_writes_the_next_one_in_this_process_reads_at_once(store: Store) -> None:
    worker = Worker("ann", "x")
    async with store.directory() as one, store.directory() as two:
        await one.register_agent(worker, "r")
        there = await two.get_agent("ann")
        assert there is not None
        assert there.agent is worker
        await two.update_agent_status("ann", "degraded")
        assert ids(await one.find_agents_by_status("degraded")) == ["ann"]
        await two.deregister_agent("ann", "r")
        assert await one.get_agent("ann") is None


@run
async def test_a_record_can_be_updated_and_others_see_it(store: Store) -> None:
    worker = Worker("ann", "x")
    async with store.directory() as one, store.directory() as two:
        await one.register_agent(worker, "r")
        done = await one.update_record(
            "ann",
            name="Ann",
            capabilities=["y"],
            work_state="idle",
            completed_tasks=3,
            metadata={"a": [1]},
            endpoint="http://x",
        )
        there = await two.get_agent("ann")

        assert done is True
        assert there is not None
        assert (there.capabilities, there.work_state.value, there.completed_tasks) == (("y",), "idle", 3)
        assert (there.metadata, there.endpoint, there.name) == ({"a": [1]}, "http://x", "Ann")
        assert await two.find_agents_by_capability("x") == []
        assert type(there.to_dict()["work_state"]) is str
        assert ids(await two.find_agents_by_capability("y")) == ["ann"]
        assert await one.update_record("nobody", endpoint="x") is False
        with pytest.raises(TypeError, match="no such field to update"):
            await one.update_record("ann", status="active")


@run
async def test_many_records_are_entered_in_one_step(store: Store) -> None:
    records = [AgentMetadata(f"agent {n}", f"r{n % 3}", capabilities=[f"skill {n % 10}"]) for n in range(500)]
    async with store.directory() as directory:
        assert await directory.register_records(records) == [None] * 500
        [holder] = await directory.register_records([AgentMetadata("agent 7", "other")])

        assert holder is not None
        assert holder.runtime_id == "r1"
        for wrong in (AgentMetadata("", "r"), AgentMetadata("x", 5)):  # type: ignore[arg-type]
            with pytest.raises((TypeError, ValueError), match="expected"):
                await directory.register_records([wrong])
        assert len(directory.agents) == 500
        assert len(await directory.find_agents_by_capability("skill 3")) == 50


def test_a_record_reads_as_plain_json() -> None:
    directory = AgentDirectory()
    worker = Worker("ann", "x", _a2a_card=Card())
    asyncio.run(directory.register_agent(worker, "r", metadata={"a": 1}))
    plain = directory.agents["ann"].to_dict()

    assert json.loads(json.dumps(plain)) == plain
    assert plain["agent_id"] == "ann"
    assert plain["last_heartbeat"].endswith("Z")
    assert set(plain) >= {"config", "resources", "performance", "relationships", "metadata", "work_state", "token"}


# -- status and heartbeats ------------------------------------------------------------------------


@run
async def test_a_change_of_status_is_an_event_and_no_change_is_none(store: Store) -> None:
    worker = Worker("ann")
    async with store.directory() as directory:
        ear = Ear(directory)
        await directory.register_agent(worker, "r")
        assert await directory.update_agent_status("ann", AgentStatus.ACTIVE) is True
        assert await directory.update_agent_status("ann", AgentStatus.UNHEALTHY) is True
        assert await directory.update_agent_status("ann", "unhealthy", runtime_id="r") is True
        assert await directory.update_agent_status("nobody", "active") is False
        with pytest.raises(ValueError, match="expected one of active, degraded, unhealthy, offline; got 'ill'"):
            await directory.update_agent_status("ann", "ill")
        await until(lambda: ear.of(RegistryEventType.AGENT_STATUS_CHANGED))

    [event] = ear.of(RegistryEventType.AGENT_STATUS_CHANGED)
    assert event.metadata == {"old_status": AgentStatus.ACTIVE, "new_status": AgentStatus.UNHEALTHY}
    assert isinstance(event.metadata["new_status"], AgentStatus)
    assert (event.agent_id, event.runtime_id) == ("ann", "r")
    assert event.timestamp.tzinfo is timezone.utc


@run
async def test_an_agents_heartbeat_is_an_event_and_its_runtimes_is_none(store: Store) -> None:
    workers = [Worker("a"), Worker("b")]
    async with store.directory() as directory:
        ear = Ear(directory)
        for worker in workers:
            await directory.register_agent(worker, "r")
        before = directory.agents["b"].last_heartbeat
        assert await directory.update_agent_heartbeat("a") is True
        assert await directory.update_agent_heartbeat("nobody") is False
        assert await directory.heartbeat_runtime("r") == 2
        assert await directory.heartbeat_runtime("nowhere") == 0
        assert directory.agents["b"].last_heartbeat >= before
        await until(lambda: ear.of(RegistryEventType.AGENT_HEARTBEAT))

    assert [event.agent_id for event in ear.of(RegistryEventType.AGENT_HEARTBEAT)] == ["a"]


@run
async def test_ones_own_beat_that_comes_back_late_from_the_store_is_not_told_twice() -> None:
    worker = Worker("a")
    async with AgentDirectory(backend=f"memory://late-{id(worker)}") as directory:
        ear = Ear(directory)
        await directory.register_agent(worker, "r")
        replica = directory._follower.replica
        replica.echoes.add("a")  # as when a beat has gone out
        replica.beat(replica.records["a"], 5.0)
        replica.hear([Beat("r", "a", 0.0)], 6.0)  # and comes back a second later
        replica.hear([Beat("r", "a", 0.0)], 7.0)  # which is somebody else's
        await until(lambda: len(ear.of(RegistryEventType.AGENT_HEARTBEAT)) == 2)


@run
async def test_the_overdue_are_not_offered_even_if_no_monitor_has_come_round() -> None:
    clock = FakeClock()
    directory = AgentDirectory(clock=clock)
    a, b = Worker("a", "x"), Worker("b", "x")
    await directory.register_agent(a, "r")
    await directory.register_agent(b, "r")
    clock.now += 20
    await directory.update_agent_heartbeat("b")
    clock.now += 15

    assert ids(await directory.find_agents_by_capability("x")) == ["b"]
    assert ids(await directory.find_agents_by_status(AgentStatus.UNHEALTHY)) == ["a"]
    assert directory.agents["a"].status is AgentStatus.UNHEALTHY
    clock.now += 26
    assert ids(await directory.list_agents()) == ["b"]
    clock.now += 1000
    assert await directory.list_agents() == []
    assert len(directory.agents) == 0


@run
async def test_nobody_is_overdue_without_monitoring() -> None:
    clock = FakeClock()
    directory = AgentDirectory(AgentDirectoryConfig(enable_heartbeat_monitoring=False), clock=clock)
    worker = Worker("a", "x")
    await directory.register_agent(worker, "r")
    clock.now += 1e6

    assert ids(await directory.find_agents_by_capability("x")) == ["a"]


@run
async def test_a_late_heartbeat_gives_back_the_status_that_was_lost_by_lapse_only() -> None:
    clock = FakeClock()
    directory = AgentDirectory(clock=clock)
    workers = [Worker(name) for name in ("well", "degraded", "ill")]
    for worker in workers:
        await directory.register_agent(worker, "r")
    await directory.update_agent_status("degraded", "degraded")
    await directory.update_agent_status("ill", "unhealthy")
    clock.now += 31
    assert [record.status.value for record in await directory.list_agents()] == ["unhealthy"] * 3
    for name in ("well", "degraded", "ill"):
        await directory.update_agent_heartbeat(name)
    assert [record.status.value for record in await directory.list_agents()] == ["active", "degraded", "unhealthy"]
    clock.now += 31
    await directory.list_agents()
    assert await directory.heartbeat_runtime("r") == 3
    assert [record.status.value for record in await directory.list_agents()] == ["active", "degraded", "unhealthy"]


@run
async def test_setting_a_lapsed_agent_active_counts_as_a_heartbeat() -> None:
    clock = FakeClock()
    directory = AgentDirectory(clock=clock)
    worker = Worker("a", "x")
    await directory.register_agent(worker, "r")
    clock.now += 45
    assert await directory.find_agents_by_capability("x") == []
    await directory.update_agent_status("a", AgentStatus.ACTIVE)
    clock.now += 29

    assert ids(await directory.find_agents_by_capability("x")) == ["a"]


@run
async def test_a_missed_heartbeat_makes_unhealthy_and_then_deregisters(store: Store) -> None:
    worker = Worker("ann", "x")
    async with store.directory(QUICK) as directory:
        ear = Ear(directory)
        await directory.register_agent(worker, "r")
        await until(lambda: ear.of(RegistryEventType.RUNTIME_LEFT))

    assert ear.heard() == [
        ("agent_registered", "ann"),
        ("runtime_joined", "r"),
        ("agent_status_changed", "ann"),
        ("agent_deregistered", "ann"),
        ("runtime_left", "r"),
    ]
    assert ear.events[2].metadata == {"old_status": AgentStatus.ACTIVE, "new_status": AgentStatus.UNHEALTHY}
    assert ear.events[3].metadata == {"reason": "expired"}


@run
async def test_a_directory_that_beats_by_itself_keeps_its_agents(store: Store) -> None:
    mine, theirs = Worker("mine", "x"), Worker("theirs", "x")
    async with store.directory(QUICK, auto_heartbeat=True) as one, store.directory(QUICK) as two:
        ear = Ear(two)
        await one.register_agent(mine, "r1")
        await two.register_agent(theirs, "r2")
        await until(lambda: ("runtime_left", "r2") in ear.heard())

        assert ids(await two.find_agents_by_capability("x")) == ["mine"]
        assert ids(await one.find_agents_by_capability("x")) == ["mine"]


@run
async def test_beats_through_one_directory_count_in_the_other(store: Store) -> None:
    worker = Worker("ann", "x")
    async with store.directory(UNWATCHED) as one, store.directory(QUICK) as two:
        await one.register_agent(worker, "r")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            await one.update_agent_heartbeat("ann")
            await asyncio.sleep(0.05)
            assert ids(await two.find_agents_by_capability("x")) == ["ann"]


@run
async def test_the_id_of_one_whose_lease_has_run_out_is_free_in_the_same_step() -> None:
    clock = FakeClock()
    directory = AgentDirectory(clock=clock)
    old, new = Worker("ann"), Worker("ann")
    await directory.register_agent(old, "before")
    clock.now += 59
    with pytest.raises(ValueError, match="already registered"):
        await directory.register_agent(new, "after")
    clock.now += 2
    await directory.register_agent(new, "after")

    assert directory.agents["ann"].agent is new
    assert list(directory.runtime_agents) == ["after"]


@pytest.mark.parametrize("back", ["beats", "is set active", "is set degraded"])
@run
async def test_one_that_came_back_and_falls_silent_again_is_unhealthy_again_after_one_lease(back: str) -> None:
    clock = FakeClock()
    directory = AgentDirectory(AgentDirectoryConfig(heartbeat_timeout=5, auto_deregister_timeout=500), clock=clock)
    worker = Worker("ann")
    await directory.register_agent(worker, "r")
    clock.now += 6
    assert [each.agent_id for each in await directory.find_agents_by_status(AgentStatus.UNHEALTHY)] == ["ann"]
    if back == "beats":
        await directory.update_agent_heartbeat("ann")
    else:
        await directory.update_agent_status("ann", back.removeprefix("is set "))
    clock.now += 4
    assert await directory.find_agents_by_status(AgentStatus.UNHEALTHY) == []

    clock.now += 2

    assert [each.agent_id for each in await directory.find_agents_by_status(AgentStatus.UNHEALTHY)] == ["ann"]


# -- other processes ------------------------------------------------------------------------------


REGISTER = """
import asyncio, sys
from agentreg.extensions.coordination import AgentDirectory

class Worker:
    capabilities = ["work"]

async def main():
    directory = AgentDirectory(backend=sys.argv[1])
    await directory.start()
    workers = [Worker() for _ in sys.argv[2:]]
    for worker, name in zip(workers, sys.argv[2:]):
        await directory.register_agent(worker, "far", name)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await directory.shutdown()

asyncio.run(main())
"""


@pytest.fixture
def elsewhere(store: Store) -> Iterator[Any]:
    """Registers agents in another process."""
    processes: list[subprocess.Popen[str]] = []

    def start(*names: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", REGISTER, store.url, *names]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@run
async def test_agents_of_another_process_are_seen_and_leave_with_it(store: Store, elsewhere: Any) -> None:
    if not store.remote:
        pytest.skip("memory is one process'")
    async with store.directory() as directory:
        process = await asyncio.to_thread(elsewhere, "far 1", "far 2")
        await until(lambda: len(directory.agents) == 2)
        found = await directory.find_agents_by_capability("work")
        assert ids(found) == ["far 1", "far 2"]
        assert [record.agent for record in found] == [None, None]
        assert found[0].pid == process.pid
        process.stdin.close()
        await until(lambda: not directory.agents)


@run
async def test_a_killed_process_agents_are_gone_within_a_second_long_before_their_leases(
    store: Store, elsewhere: Any
) -> None:
    if not store.remote:
        pytest.skip("memory is one process'")
    async with store.directory() as directory:
        ear = Ear(directory)
        process = await asyncio.to_thread(elsewhere, "far")
        await until(lambda: "far" in directory.agents)
        process.kill()
        process.wait()
        await until(lambda: ear.of(RegistryEventType.RUNTIME_LEFT))

    assert ear.heard()[-3:] == [("agent_status_changed", "far"), ("agent_deregistered", "far"), ("runtime_left", "far")]
    assert ear.events[-2].metadata == {"reason": "died"}


@run
async def test_a_restarted_worker_does_not_collide_with_its_killed_former_self(store: Store, elsewhere: Any) -> None:
    if not store.remote:
        pytest.skip("memory is one process'")
    process = await asyncio.to_thread(elsewhere, "worker 1")
    process.kill()
    process.wait()
    worker = Worker("worker 1")
    directory = store.directory()
    assert await directory.register_agent(worker, "far") == "worker 1"
    await directory.shutdown()


# -- events ---------------------------------------------------------------------------------------


@run
async def test_the_runtime_joins_after_its_first_agent_and_leaves_after_its_last(store: Store) -> None:
    a, b = Worker("a", "x"), Worker("b")
    async with store.directory() as directory:
        ear = Ear(directory)
        await directory.register_agent(a, "r")
        await directory.register_agent(b, "r")
        await directory.deregister_agent("a", "r")
        await directory.deregister_agent("b", "r")
        await until(lambda: len(ear.events) == 6)

    assert ear.heard() == [
        ("agent_registered", "a"),
        ("runtime_joined", "r"),
        ("agent_registered", "b"),
        ("agent_deregistered", "a"),
        ("agent_deregistered", "b"),
        ("runtime_left", "r"),
    ]
    assert [int(event.revision) for event in ear.events] == [1, 1, 2, 3, 4, 4]
    assert ear.events[0].metadata == {"capabilities": ["x"]}
    assert ear.events[1].agent_id is None


@run
async def test_registration_never_waits_for_someone_to_read_the_events() -> None:
    directory = AgentDirectory(AgentDirectoryConfig(event_queue_size=1))
    workers = [Worker(f"w{n}") for n in range(300)]
    for worker in workers:
        await directory.register_agent(worker, "r")

    assert (await directory.get_metrics())["dropped_events"] == 301
    assert len(directory.agents) == 300


@run
async def test_callbacks_of_every_kind_are_called_and_one_that_fails_spoils_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    async def coroutine(event: RegistryEvent) -> None:
        await asyncio.sleep(0)
        heard.append("coroutine")

    class Plain:
        def __call__(self, event: RegistryEvent) -> None:
            heard.append("callable")

    class Async:
        __hash__ = None  # type: ignore[assignment]

        async def __call__(self, event: RegistryEvent) -> None:
            heard.append("async callable")

    def fails(event: RegistryEvent) -> None:
        heard.append("fails")
        raise RuntimeError("no")

    a, b = Worker("a"), Worker("b")
    async with store.directory() as directory:
        for callback in (fails, coroutine, Plain(), Async()):
            directory.subscribe(RegistryEventType.AGENT_REGISTERED, callback)
        with caplog.at_level(logging.ERROR):
            await directory.register_agent(a, "r")
            await directory.register_agent(b, "r")
            await until(lambda: len(heard) == 8)

    assert sorted(heard) == sorted(["fails", "coroutine", "callable", "async callable"] * 2)
    assert caplog.text.count("RuntimeError: no") == 2


@run
async def test_a_slow_callback_delays_only_itself_and_loses_the_oldest(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    slow_heard: list[str | None] = []

    async def slow(event: RegistryEvent) -> None:
        await gate.wait()
        slow_heard.append(event.agent_id)

    workers = [Worker(f"w{n}") for n in range(20)]
    quick_heard: list[str | None] = []
    config = AgentDirectoryConfig(event_queue_size=5)
    async with store.directory(config) as directory:
        directory.subscribe(RegistryEventType.AGENT_REGISTERED, slow)
        directory.subscribe(RegistryEventType.AGENT_REGISTERED, lambda event: quick_heard.append(event.agent_id))
        with caplog.at_level(logging.WARNING):
            for worker in workers:
                await directory.register_agent(worker, "r")
                await until(lambda: worker.agent_id in quick_heard)
        metrics = await directory.get_metrics()
        gate.set()
        await until(lambda: len(slow_heard) == 6)

    assert quick_heard == [worker.agent_id for worker in workers]
    assert slow_heard == ["w0", "w15", "w16", "w17", "w18", "w19"]
    assert metrics["dropped_events"] == 14
    assert caplog.text.count("slower than the events") == 1


@run
async def test_a_callback_that_calls_the_directory_does_not_deadlock(store: Store) -> None:
    a, b = Worker("a", "x"), Worker("b", "x")
    found: list[list[str]] = []
    async with store.directory() as directory:

        async def callback(event: RegistryEvent) -> None:
            if event.agent_id == "a":
                await directory.register_agent(b, "r")
            found.append(ids(await directory.find_agents_by_capability("x")))

        directory.subscribe(RegistryEventType.AGENT_REGISTERED, callback)
        await directory.register_agent(a, "r")
        await until(lambda: len(found) == 2)

    assert found == [["a", "b"], ["a", "b"]]


@run
async def test_after_unsubscribing_nothing_comes_any_more(store: Store) -> None:
    heard: list[RegistryEvent] = []
    a, b = Worker("a"), Worker("b")
    async with store.directory() as directory:
        directory.subscribe(RegistryEventType.AGENT_REGISTERED, heard.append)
        assert heard.append in directory.event_listeners[RegistryEventType.AGENT_REGISTERED]
        await directory.register_agent(a, "r")
        await until(lambda: heard)
        assert directory.unsubscribe(RegistryEventType.AGENT_REGISTERED, heard.append) is True
        assert directory.unsubscribe(RegistryEventType.AGENT_REGISTERED, heard.append) is False
        assert directory.event_listeners[RegistryEventType.AGENT_REGISTERED] == []
        await directory.register_agent(b, "r")
        await asyncio.sleep(0.05)

    assert [event.agent_id for event in heard] == ["a"]
    with pytest.raises(TypeError, match="expected something callable"):
        directory.subscribe(RegistryEventType.AGENT_REGISTERED, 5)  # type: ignore[arg-type]


@run
async def test_events_before_the_start_are_dropped_and_counted(store: Store) -> None:
    heard: list[RegistryEvent] = []
    a, b = Worker("a"), Worker("b")
    directory = store.directory()
    directory.subscribe(RegistryEventType.AGENT_REGISTERED, heard.append)
    await directory.register_agent(a, "r")
    await directory.get_agent("a")
    async with directory:
        await directory.register_agent(b, "r")
        await until(lambda: heard)
        assert [event.agent_id for event in heard] == ["b"]
        if not store.remote:
            assert (await directory.get_metrics())["dropped_events"] == 2


@run
async def test_a_shutdown_delivers_what_was_accepted_and_leaves_no_task(store: Store) -> None:
    heard: list[str | None] = []

    async def slow(event: RegistryEvent) -> None:
        await asyncio.sleep(0.01)
        heard.append(event.agent_id)

    workers = [Worker(f"w{n}") for n in range(20)]
    before = asyncio.all_tasks()
    directory = store.directory()
    await directory.start()
    await directory.start()
    directory.subscribe(RegistryEventType.AGENT_REGISTERED, slow)
    for worker in workers:
        await directory.register_agent(worker, "r")
    await directory.shutdown()
    await directory.shutdown()

    assert heard == [worker.agent_id for worker in workers]
    assert asyncio.all_tasks() == before
    assert len(directory.agents) == 0


@run
async def test_two_starts_at_once_are_one(store: Store) -> None:
    before = asyncio.all_tasks()
    directory = store.directory()
    await asyncio.gather(directory.start(), directory.start())
    names = sorted(task.get_name() for task in asyncio.all_tasks() - before)
    await asyncio.gather(directory.shutdown(), directory.shutdown())

    assert len([name for name in names if name.startswith("agentreg-directory-keeper")]) == 1
    assert asyncio.all_tasks() == before


@run
async def test_a_directory_can_be_started_again(store: Store) -> None:
    directory = store.directory()
    worker = Worker("ann", "x")
    for _ in range(3):
        async with directory:
            await directory.register_agent(worker, "r")
            assert ids(await directory.find_agents_by_capability("x")) == ["ann"]


# -- watching -------------------------------------------------------------------------------------


@run
async def test_a_watcher_gets_a_listing_and_then_every_change_in_order(store: Store) -> None:
    workers = [Worker(f"w{n}") for n in range(50)]
    items: list[Listing | Change] = []
    async with store.directory() as directory:
        await directory.register_agent(workers[0], "r")

        async def read() -> None:
            async for item in directory.watch():
                items.append(item)
                if item.revision == 99:
                    break

        reading = asyncio.create_task(read())
        await until(lambda: items)
        for worker in workers[1:]:
            await directory.register_agent(worker, "r")
            await directory.deregister_agent(str(worker.agent_id), "r")
        await asyncio.wait_for(reading, 20)

    assert isinstance(items[0], Listing)
    assert ids(list(items[0].agents)) == ["w0"]
    assert [int(item.revision) for item in items] == list(range(1, 100))
    assert [item.kind for item in items[1:3] if isinstance(item, Change)] == ["registered", "deregistered"]


@run
async def test_a_watcher_resumes_where_it_was(store: Store) -> None:
    workers = [Worker(f"w{n}") for n in range(10)]
    async with store.directory() as directory:
        for worker in workers:
            await directory.register_agent(worker, "r")
        revisions = []
        async for item in directory.watch(since=4):
            revisions.append(int(item.revision))
            if item.revision == 10:
                break

    assert revisions == [5, 6, 7, 8, 9, 10]


@run
async def test_another_directory_resumes_from_the_stores_log(store: Store) -> None:
    workers = [Worker(f"w{n}") for n in range(10)]
    async with store.directory() as directory:
        for worker in workers:
            await directory.register_agent(worker, "r")
        async with store.directory() as late:
            revisions = []
            async for item in late.watch(since=4):
                revisions.append(int(item.revision))
                if item.revision == 10:
                    break

    assert revisions == [5, 6, 7, 8, 9, 10]


@run
async def test_a_watcher_of_a_future_revision_is_told_to_resynchronise(store: Store) -> None:
    worker = Worker("ann")
    async with store.directory() as directory:
        await directory.register_agent(worker, "r")
        item = await directory.watch(since=1000).__anext__()

    assert isinstance(item, Resync)
    assert (int(item.revision), ids(list(item.agents))) == (1, ["ann"])


@run
async def test_a_watcher_that_sleeps_too_long_is_told_to_resynchronise() -> None:
    directory = AgentDirectory()
    async with directory:
        watch = directory.watch()
        await watch.__anext__()
        for number in range(6000):
            await directory.register_records([AgentMetadata(f"w{number}", "r")])
            await directory.deregister_agent(f"w{number}", "r")
        item = await watch.__anext__()

    assert isinstance(item, Resync)
    assert (item.revision, item.agents) == (12000, ())


@run
async def test_a_watch_ends_with_the_directory(store: Store) -> None:
    items: list[Listing | Change] = []
    async with store.directory() as directory:

        async def read() -> None:
            items.extend([item async for item in directory.watch()])

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.02)
    await asyncio.wait_for(reading, 1)
    assert len(items) == 1


# -- directories in threads -----------------------------------------------------------------------


def test_directories_in_several_threads_share_a_store_in_memory() -> None:
    threads = 4
    barrier = threading.Barrier(threads)
    failures: list[BaseException] = []
    keep = AgentDirectory(backend="memory://threads")

    async def work(number: int) -> None:
        async with AgentDirectory(backend="memory://threads") as directory:
            ear = Ear(directory)
            workers = [Worker(f"w{number}-{n}", "x") for n in range(100)]
            barrier.wait()
            for worker in workers:
                await directory.register_agent(worker, f"r{number}")
                await directory.find_agents_by_capability("x", limit=3)
            barrier.wait()
            assert len(directory.agents) == 100 * threads
            barrier.wait()
            await until(lambda: len(ear.of(RegistryEventType.AGENT_REGISTERED)) >= 100)
            barrier.wait()

    def run_it(number: int) -> None:
        try:
            asyncio.run(work(number))
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    running = [threading.Thread(target=run_it, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    assert failures == []
    assert len(keep.agents) == 0


# -- configuring ----------------------------------------------------------------------------------


def test_the_defaults_are_those_documented() -> None:
    assert AgentRegistryConfig is AgentDirectoryConfig
    assert AgentDirectoryConfig() == AgentDirectoryConfig(
        enable_heartbeat_monitoring=True,
        heartbeat_timeout=30.0,
        auto_deregister_timeout=60.0,
        enable_event_broadcasting=True,
        event_queue_size=100,
    )


NONSENSE: list[dict[str, Any]] = [
    {"heartbeat_timeout": -1},
    {"heartbeat_timeout": 0},
    {"heartbeat_timeout": float("nan")},
    {"heartbeat_timeout": "30"},
    {"heartbeat_timeout": 30, "auto_deregister_timeout": 20},
    {"auto_deregister_timeout": float("inf")},
    {"event_queue_size": 0},
    {"event_queue_size": 1.5},
    {"event_queue_size": True},
]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_configuration_that_makes_no_sense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        AgentDirectoryConfig(**nonsense)


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda directory: directory.find_agents_by_capability("x", limit="2"), "limit: expected None or a whole number"),
    (lambda directory: directory.find_agents_by_capability(5), "capability: expected text"),
    (lambda directory: directory.watch(since="x").__anext__(), "since: expected None or a revision"),
    (lambda directory: directory.watch(since=-1).__anext__(), "since: expected None or a revision"),
]


@pytest.mark.parametrize(("call", "words"), WRONG)
@run
async def test_an_argument_of_the_wrong_kind_is_named(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        await call(AgentDirectory())


def test_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(TypeError, match="config: expected an AgentDirectoryConfig"):
        AgentDirectory({"heartbeat_timeout": 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="auto_heartbeat: expected True or False"):
        AgentDirectory(auto_heartbeat="no")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="event_type: expected one of agent_registered"):
        AgentDirectory().subscribe("nonsense", print)


@run
async def test_a_change_of_capabilities_keeps_the_place_in_the_order() -> None:
    directory = AgentDirectory()
    workers = [Worker(name, "x", "only a") for name in ("a", "b")]
    for worker in workers:
        await directory.register_agent(worker, "r")
    await directory.update_record("a", capabilities=["new", "x"])

    assert ids(await directory.find_agents_by_capability("x")) == ["a", "b"]
    assert ids(await directory.find_agents_by_capability("only a")) == ["b"]
    for name in ("b", "a"):
        await directory.update_agent_status(name, "offline")
    assert ids(await directory.find_agents_by_status("offline")) == ["a", "b"]


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "mysql://u:secret@h/db", "memory://a/b"])
def test_an_address_of_no_known_form_is_refused_with_the_known_ones_and_without_its_password(url: Any) -> None:
    with pytest.raises(BackendURLError) as caught:
        AgentDirectory(backend=url)
    assert "sqlite:///path" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_backend_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="expected an address or an object with the methods of Backend, got 5"):
        AgentDirectory(backend=5)  # type: ignore[arg-type]


@run
async def test_events_can_be_switched_off(store: Store) -> None:
    worker = Worker("ann")
    async with store.directory(AgentDirectoryConfig(enable_event_broadcasting=False)) as directory:
        ear = Ear(directory)
        await directory.register_agent(worker, "r")
        await directory.update_agent_heartbeat("ann")
        await asyncio.sleep(0.02)
        assert (await directory.get_metrics())["dropped_events"] == 0

    assert ear.events == []


def test_a_directory_that_is_dropped_leaves_nothing_listening() -> None:
    keep = AgentDirectory(backend="memory://dropped")
    listeners = keep._replica.listeners
    other = AgentDirectory(backend="memory://dropped")
    assert len(listeners) == 2
    del other
    gc.collect()

    assert len(listeners) == 1
