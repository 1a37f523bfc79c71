"""isolated_registry(): an empty registry for a block, and the one before it back afterwards."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from agentreg import AgentRegistered, AgentRegistry, AgentUnregistered, BaseAgent, CallFinished
from agentreg.testing import isolated_registry
from tests.mirror import Mirror
from tests.watchdog import run_threads


class Probe:
    """A small agent."""


class Worker(BaseAgent):
    """An agent of ours."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class Pool:
    """A small pool."""

    num_instances = 1

    def __init__(self, base_name: str) -> None:
        self.base_name = base_name
        self.instances = [Probe()]

    def get_available_count(self) -> int:
        return 1


class State:
    """What an extension keeps."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_block_starts_empty() -> None:
    agent, pool = Probe(), Pool("pool")
    AgentRegistry.register(agent)
    AgentRegistry.register_pool(pool)
    AgentRegistry.reserved_names.add("user")

    with isolated_registry():
        assert AgentRegistry.all_with_pools() == {}
        assert AgentRegistry.reserved_names == set()
        assert AgentRegistry.revision == 0
        assert AgentRegistry.register(agent) == "BaseAgent-1"
        AgentRegistry.register(agent, "user")
        AgentRegistry.register_pool(pool)


def test_the_registry_before_is_back_untouched() -> None:
    agent, pool = Probe(), Pool("pool")
    AgentRegistry.register(agent)
    AgentRegistry.register_pool(pool)
    AgentRegistry.reserved_names.add("user")
    state = AgentRegistry.extension_state("index", State)
    before = AgentRegistry.all_with_pools()
    revision = AgentRegistry.revision

    with isolated_registry():
        AgentRegistry.register(Probe(), "inside")
        AgentRegistry.register(agent, "inside too")
        AgentRegistry.reserved_names.add("inside")
        AgentRegistry.clear()
        AgentRegistry.unregister_if_same("BaseAgent-1", agent)

    assert AgentRegistry.all_with_pools() == before
    assert AgentRegistry.is_pool_instance("pool_0")
    assert AgentRegistry.reserved_names == {"user"}
    assert AgentRegistry.revision == revision
    assert AgentRegistry.extension_state("index", State) is state
    assert not state.closed
    assert AgentRegistry.register(Probe()) == "BaseAgent-2"


def test_what_was_registered_inside_is_not_there_afterwards() -> None:
    agent = Probe()

    with isolated_registry():
        AgentRegistry.register(agent, "inside")

    assert AgentRegistry.get("inside") is None
    assert AgentRegistry.all() == {}


def test_the_registry_before_is_back_after_an_error() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "outside")

    with pytest.raises(RuntimeError, match="mine"), isolated_registry():
        raise RuntimeError("mine")

    assert AgentRegistry.all() == {"outside": agent}


def test_blocks_may_be_nested() -> None:
    agents = [Probe() for _ in range(3)]
    AgentRegistry.register(agents[0], "outside")

    with isolated_registry():
        AgentRegistry.register(agents[1], "inside")
        with isolated_registry():
            AgentRegistry.register(agents[2], "innermost")
            assert AgentRegistry.names() == ["innermost"]
        assert AgentRegistry.names() == ["inside"]

    assert AgentRegistry.names() == ["outside"]


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_blocks_that_overlap_end_at_the_first_registry(first_to_end: int) -> None:
    agent = Probe()
    AgentRegistry.register(agent, "outside")
    AgentRegistry.reserved_names.add("user")
    blocks = [isolated_registry(), isolated_registry()]
    blocks[0].__enter__()
    blocks[1].__enter__()

    blocks[first_to_end].__exit__(None, None, None)
    half_way = AgentRegistry.names()
    blocks[1 - first_to_end].__exit__(None, None, None)

    assert half_way == []
    assert AgentRegistry.all() == {"outside": agent}
    assert AgentRegistry.reserved_names == {"user"}


def test_a_block_that_goes_on_keeps_its_place_when_an_outer_one_ends() -> None:
    agent, inner = Probe(), Probe()
    AgentRegistry.register(agent, "outside")
    blocks = [isolated_registry() for _ in range(3)]
    for block in blocks:
        block.__enter__()
    AgentRegistry.register(inner, "innermost")

    blocks[0].__exit__(None, None, None)
    blocks[1].__exit__(None, None, None)

    assert AgentRegistry.names() == ["innermost"]
    blocks[2].__exit__(None, None, None)
    assert AgentRegistry.names() == ["outside"]


def test_a_block_holds_for_every_thread() -> None:
    agent = Probe()
    entered, seen = threading.Event(), threading.Event()

    def isolate() -> None:
        with isolated_registry():
            AgentRegistry.register(agent, "inside")
            entered.set()
            seen.wait(30)

    def look() -> list[str]:
        entered.wait(30)
        try:
            return AgentRegistry.names()
        finally:
            seen.set()

    _, names = run_threads(isolate, look)

    assert names == ["inside"]
    assert AgentRegistry.names() == []


def test_listeners_outside_hear_nothing_of_what_is_inside() -> None:
    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)
    agent = Probe()

    with isolated_registry():
        AgentRegistry.register(agent, "inside")
        AgentRegistry.clear()
    AgentRegistry.register(agent, "outside")

    assert [(type(event), event.name) for event in heard] == [(AgentRegistered, "outside")]


def test_listeners_inside_hear_nothing_of_what_is_outside() -> None:
    heard: list[Any] = []
    agent = Probe()
    AgentRegistry.register(agent, "outside")

    with isolated_registry():
        assert AgentRegistry.subscribe(heard.append).listing == {}
        AgentRegistry.register(agent, "inside")
    AgentRegistry.unregister("outside")
    AgentRegistry.clear()

    assert [(type(event), event.name) for event in heard] == [(AgentRegistered, "inside")]


def test_a_subscription_may_be_closed_inside_and_outside() -> None:
    outer: list[Any] = []
    inner: list[Any] = []
    agent = Probe()
    outer_subscription = AgentRegistry.subscribe(outer.append)
    with isolated_registry():
        inner_subscription = AgentRegistry.subscribe(inner.append)
        outer_subscription.close()
        AgentRegistry.register(agent, "inside")
    inner_subscription.close()
    AgentRegistry.register(agent, "outside")

    assert outer == []
    assert len(inner) == 1


def test_an_agent_that_died_meanwhile_is_gone_afterwards_and_told_of() -> None:
    mirror = Mirror()
    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)
    agents = [Probe(), Probe()]
    AgentRegistry.register(agents[0], "dies")
    AgentRegistry.register(agents[1], "stays")

    with isolated_registry():
        del agents[0]
        AgentRegistry.names()

    assert AgentRegistry.get("dies") is None
    assert AgentRegistry.names() == ["stays"]
    assert [type(event) for event in heard] == [AgentRegistered, AgentRegistered, AgentUnregistered]
    mirror.check()


def test_the_state_of_extensions_is_swapped_and_closed_at_the_end_of_the_block() -> None:
    outer = AgentRegistry.extension_state("index", State)

    with isolated_registry():
        inner = AgentRegistry.extension_state("index", State)
        assert inner is not outer
        before = inner.closed

    assert (before, inner.closed) == (False, True)
    assert not outer.closed
    assert AgentRegistry.extension_state("index", State) is outer


def test_a_state_that_fails_to_close_does_not_keep_the_block_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    class Sticky(State):
        def close(self) -> None:
            raise RuntimeError("it sticks")

    agent = Probe()
    AgentRegistry.register(agent, "outside")

    with isolated_registry():
        AgentRegistry.extension_state("sticky", Sticky)
        state = AgentRegistry.extension_state("index", State)

    assert state.closed
    assert AgentRegistry.names() == ["outside"]
    assert "it sticks" in caplog.text


def test_call_listeners_are_put_aside_too() -> None:
    calls: list[CallFinished] = []
    inner_calls: list[CallFinished] = []
    AgentRegistry.on_call(calls.append)

    with isolated_registry():
        workers = [Worker("caller"), Worker("callee")]
        asyncio.run(workers[0].invoke_agent("callee", "inside"))
        AgentRegistry.on_call(inner_calls.append)
        asyncio.run(workers[0].invoke_agent("callee", "inside"))
    workers = [Worker("caller"), Worker("callee")]
    asyncio.run(workers[0].invoke_agent("callee", "outside"))

    assert (len(calls), len(inner_calls)) == (1, 1)


def test_leaving_a_block_lets_its_agents_alone() -> None:
    with isolated_registry():
        worker = Worker("worker")

    assert worker.name == "worker"
    assert AgentRegistry.unregister_instance(worker) is False
    assert AgentRegistry.register(worker, "worker") == "worker"


def test_replaced_reserved_names_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentRegistry, "reserved_names", {"user"})

    with isolated_registry():
        AgentRegistry.reserved_names = {"inside"}

    assert AgentRegistry.reserved_names == {"user"}
