"""Who listens to calls hears of every run that an orchestra or a peer started, and nothing is timed for nobody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, CallFinished, ExecutionConfig, Orchestra, registry
from tests.crew import Echo, JumpingLoop, Plain, finish, jump, turns


@pytest.fixture
def heard() -> Iterator[list[CallFinished]]:
    """What a listener was told."""
    heard: list[CallFinished] = []
    with AgentRegistry.on_call(heard.append):
        yield heard


class Failing(Echo):
    """Fails."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        raise LookupError("lost")


class Endless(Echo):
    """Never returns."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()


def told(heard: list[CallFinished]) -> list[tuple[str, bool]]:
    """Names and outcomes."""
    return [(call.name, call.ok) for call in heard]


def test_a_peers_run_is_told_of(heard: list[CallFinished]) -> None:
    caller, peer = Echo("caller"), Echo("peer")

    finish(caller.invoke_agent(peer.name, "?"))

    assert told(heard) == [("peer", True)]


def test_a_run_of_something_else_under_a_name_is_told_of_by_that_name(heard: list[CallFinished]) -> None:
    caller, peer = Echo("caller"), Plain()
    AgentRegistry.register(peer, "plain")

    finish(caller.invoke_agent("plain", "?"))

    assert told(heard) == [("plain", True)]


def test_a_run_that_failed_is_told_of(heard: list[CallFinished]) -> None:
    caller, peer = Echo("caller"), Failing("peer")

    with pytest.raises(LookupError):
        finish(caller.invoke_agent(peer.name, "?"))

    assert told(heard) == [("peer", False)]


def test_a_run_that_was_cancelled_is_told_of(heard: list[CallFinished]) -> None:
    caller, peer = Echo("caller"), Endless("peer")

    async def cancelled() -> None:
        call = asyncio.create_task(caller.invoke_agent(peer.name, "?"))
        await turns()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    finish(cancelled())

    assert told(heard) == [("peer", False)]


def test_a_call_that_was_refused_is_not_told_of(heard: list[CallFinished]) -> None:
    caller = Echo("caller", allowed_peers=[])

    with pytest.raises(PermissionError):
        finish(caller.invoke_agent("peer", "?"))

    assert heard == []


def test_of_a_pool_the_member_is_told_of(heard: list[CallFinished]) -> None:
    AgentRegistry.register_pool(AgentPool(Echo, 2, name="pool"))
    caller = Echo("caller")

    async def both() -> None:
        await caller.invoke_agent("pool", "?")
        await Orchestra.run("task", ["pool"])

    finish(both())

    assert told(heard) == [("pool_0", True), ("pool_0", True)]


def test_every_node_of_an_orchestra_is_told_of(heard: list[CallFinished]) -> None:
    agents = [Echo("a"), Failing("b"), Echo("c")]

    finish(Orchestra.run("task", [agent.name for agent in agents]))

    assert told(heard) == [("a", True), ("b", False)]


def test_a_node_that_ran_out_of_time_is_told_of(heard: list[CallFinished]) -> None:
    agent = Endless("agent")

    async def run(loop: JumpingLoop) -> None:
        await Orchestra.run("task", [agent.name], execution_config=ExecutionConfig(node_timeout=5))

    jump(run)

    assert told(heard) == [("agent", False)]


def test_an_agent_that_is_run_directly_is_nobodys_business(heard: list[CallFinished]) -> None:
    finish(Echo("agent").run("?"))

    assert heard == []


def test_calls_inside_calls_are_told_of_from_the_inside_out(heard: list[CallFinished]) -> None:
    class Handing(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return await self.invoke_agent("peer", prompt)

    caller, middle, peer = Echo("caller"), Handing("middle"), Echo("peer")

    finish(caller.invoke_agent(middle.name, "?"))

    assert told(heard) == [(peer.name, True), (middle.name, True)]


def test_the_seconds_are_those_of_the_run(heard: list[CallFinished]) -> None:
    agent = Echo("agent")
    before = time.perf_counter()

    finish(Orchestra.run("task", [agent.name]))

    assert 0 <= heard[0].seconds <= time.perf_counter() - before


def test_waiting_for_a_member_is_not_part_of_the_run(heard: list[CallFinished]) -> None:
    pool = AgentPool(Echo, 1, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("somebody")

    async def wait() -> float:
        call = asyncio.create_task(Orchestra.run("task", ["pool"]))
        await turns(50)
        released = time.perf_counter()
        pool.release_instance("somebody")
        await call
        return time.perf_counter() - released

    after_release = finish(wait())

    assert heard[0].seconds <= after_release


def test_several_listeners_hear_until_they_are_closed() -> None:
    one: list[CallFinished] = []
    other: list[CallFinished] = []
    caller, peer = Echo("caller"), Echo("peer")
    first, second = AgentRegistry.on_call(one.append), AgentRegistry.on_call(other.append)

    finish(caller.invoke_agent(peer.name, 1))
    first.close()
    finish(caller.invoke_agent(peer.name, 2))
    second.close()
    second.close()
    finish(caller.invoke_agent(peer.name, 3))

    assert (len(one), len(other)) == (1, 2)


def test_a_listener_that_fails_is_logged_and_neither_the_call_nor_the_others_suffer(
    heard: list[CallFinished], caplog: pytest.LogCaptureFixture
) -> None:
    def failing(call: CallFinished) -> None:
        raise OSError("deaf")

    caller, peer = Echo("caller"), Echo("peer")
    other: list[CallFinished] = []

    with AgentRegistry.on_call(failing), AgentRegistry.on_call(other.append), caplog.at_level(logging.ERROR):
        answer = finish(caller.invoke_agent(peer.name, "hello"))

    assert answer == "hello"
    assert told(heard) == told(other) == [("peer", True)]
    assert "deaf" in caplog.text


class Watch:
    """The module of time, as far as runs are timed with it: it counts how often it is read."""

    reads = 0

    def perf_counter(self) -> float:
        self.reads += 1
        return 0.0


def test_nothing_is_timed_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, peer, watch = Echo("caller"), Echo("peer"), Watch()
    monkeypatch.setattr(registry, "time", watch)
    with AgentRegistry.on_call(lambda call: None):
        finish(caller.invoke_agent(peer.name, "hello"))
    reads = watch.reads

    finish(caller.invoke_agent(peer.name, "hello"))

    assert reads > 0
    assert watch.reads == reads
