"""What lies beneath: `_agents` and `_pools` as people know them, and tables that shrink again."""

from __future__ import annotations

import copy
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from agentreg import AgentRegistered, AgentRegistry, AgentUnregistered, BaseAgent, table
from agentreg.testing import isolated_registry
from tests.mirror import Mirror


class Probe:
    """A small agent."""


class Able(BaseAgent):
    """An agent with capabilities."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class Pool:
    """A small pool."""

    def __init__(self, base_name: str, size: int) -> None:
        self.base_name = base_name
        self.instances = [Probe() for _ in range(size)]
        self.num_instances = size

    def get_available_count(self) -> int:
        return self.num_instances


# -- _agents ----------------------------------------------------------------


def test_agents_is_a_weak_value_dictionary() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "probe")

    assert isinstance(AgentRegistry._agents, weakref.WeakValueDictionary)
    assert AgentRegistry._agents["probe"] is agent
    assert AgentRegistry._agents.get("probe") is agent
    assert AgentRegistry._agents.get("nobody", 5) == 5
    assert "probe" in AgentRegistry._agents
    assert "nobody" not in AgentRegistry._agents
    assert dict(AgentRegistry._agents) == {"probe": agent}
    assert list(AgentRegistry._agents.keys()) == ["probe"]
    assert list(AgentRegistry._agents.values()) == [agent]
    assert list(AgentRegistry._agents.items()) == [("probe", agent)]
    assert [reference() for reference in AgentRegistry._agents.valuerefs()] == [agent]
    assert len(AgentRegistry._agents) == 1
    assert bool(AgentRegistry._agents)
    with pytest.raises(KeyError, match="nobody"):
        AgentRegistry._agents["nobody"]


def test_the_dead_are_not_in_agents() -> None:
    AgentRegistry.register(Probe(), "probe")

    assert AgentRegistry._agents.get("probe") is None
    assert "probe" not in AgentRegistry._agents
    assert dict(AgentRegistry._agents) == {}
    assert len(AgentRegistry._agents) == 0
    assert not AgentRegistry._agents


def test_copies_of_agents_are_independent() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "probe")

    twin = copy.copy(AgentRegistry._agents)
    merged = AgentRegistry._agents | {"other": agent}
    twin.clear()

    assert sorted(merged) == ["other", "probe"]
    assert AgentRegistry.names() == ["probe"]


WRITES: list[tuple[Callable[[Any, Probe], Any], list[str], int]] = [
    (lambda agents, new: agents.__setitem__("new", new), ["a", "b", "new"], 1),
    (lambda agents, new: agents.__setitem__("a", new), ["b", "a"], 2),
    (lambda agents, new: agents.__setitem__("a", agents["a"]), ["a", "b"], 0),
    (lambda agents, new: agents.__delitem__("a"), ["b"], 1),
    (lambda agents, new: agents.pop("a"), ["b"], 1),
    (lambda agents, new: agents.pop("nobody", None), ["a", "b"], 0),
    (lambda agents, new: agents.popitem(), ["b"], 1),
    (lambda agents, new: agents.clear(), [], 2),
    (lambda agents, new: agents.update({"a": new, "new": new}), ["b", "a", "new"], 3),
    (lambda agents, new: agents.update(new=new), ["a", "b", "new"], 1),
    (lambda agents, new: agents.setdefault("a", new), ["a", "b"], 0),
    (lambda agents, new: agents.setdefault("new", new), ["a", "b", "new"], 1),
    (lambda agents, new: agents.__ior__({"new": new}), ["a", "b", "new"], 1),
]


@pytest.mark.parametrize(("write", "names", "changes"), WRITES)
def test_writing_to_agents_keeps_revision_and_listeners_right(
    write: Callable[[Any, Probe], Any], names: list[str], changes: int
) -> None:
    agents = {name: Probe() for name in "ab"}
    for name, agent in agents.items():
        AgentRegistry.register(agent, name)
    mirror = Mirror()
    before = AgentRegistry.revision
    new = Probe()

    write(AgentRegistry._agents, new)

    assert AgentRegistry.names() == names
    assert AgentRegistry.revision == before + changes
    mirror.check()


def test_writing_to_agents_returns_what_a_dict_would() -> None:
    agents = {name: Probe() for name in "abc"}
    for name, agent in agents.items():
        AgentRegistry.register(agent, name)

    assert AgentRegistry._agents.pop("a") is agents["a"]
    assert AgentRegistry._agents.pop("a", 5) == 5
    assert AgentRegistry._agents.setdefault("b", agents["c"]) is agents["b"]
    assert AgentRegistry._agents.popitem() == ("b", agents["b"])
    with pytest.raises(KeyError):
        AgentRegistry._agents.pop("a")
    with pytest.raises(KeyError):
        del AgentRegistry._agents["a"]


def test_an_agent_written_to_agents_is_found_and_leaves_by_itself() -> None:
    agent = Probe()
    AgentRegistry._agents["probe"] = agent
    assert AgentRegistry.get("probe") is agent

    del agent

    assert AgentRegistry.names() == []


def test_writing_over_a_name_takes_it_over_and_says_so() -> None:
    old, new = Probe(), Probe()
    AgentRegistry.register(old, "probe")
    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)

    AgentRegistry._agents["probe"] = new
    AgentRegistry.names()

    assert [type(event) for event in heard] == [AgentUnregistered, AgentRegistered]
    assert AgentRegistry.get("probe") is new
    assert AgentRegistry.unregister_if_same("probe", old) is False


def test_what_cannot_be_weakly_referenced_cannot_be_written_to_agents() -> None:
    with pytest.raises(TypeError, match="can't be weakly referenced"):
        AgentRegistry._agents["five"] = 5

    assert AgentRegistry.names() == []


def test_deleting_a_pools_name_from_agents_is_a_key_error_and_leaves_the_pool() -> None:
    AgentRegistry.register_pool(Pool("pool", 1))

    with pytest.raises(KeyError):
        del AgentRegistry._agents["pool"]

    assert AgentRegistry.is_pool("pool")
    assert AgentRegistry.names() == ["pool_0"]


def test_a_member_deleted_from_agents_is_no_member_any_more() -> None:
    AgentRegistry.register_pool(Pool("pool", 2))
    mirror = Mirror()

    AgentRegistry._agents.pop("pool_0")

    assert AgentRegistry.names() == ["pool_1"]
    assert not AgentRegistry.is_pool_instance("pool_0")
    mirror.check()
    AgentRegistry.unregister("pool")
    assert AgentRegistry.all_with_pools() == {}


def test_agents_follows_clear_compaction_and_isolation() -> None:
    agent = Probe()

    AgentRegistry.clear()
    AgentRegistry.register(agent, "outer")
    churn(3000)
    with isolated_registry():
        AgentRegistry.register(agent, "inner")
        inside = list(AgentRegistry._agents)

    assert inside == ["inner"]
    assert list(AgentRegistry._agents) == ["outer"]


# -- _pools -----------------------------------------------------------------


def test_pools_is_a_dict_of_pools_by_name() -> None:
    pool, other = Pool("pool", 1), Pool("other", 1)
    AgentRegistry.register_pool(pool)
    AgentRegistry.register_pool(other)

    assert AgentRegistry._pools == {"pool": pool, "other": other}
    assert list(AgentRegistry._pools.keys()) == ["pool", "other"]


def test_pools_follows_unregister_clear_and_isolation() -> None:
    pool, other = Pool("pool", 1), Pool("other", 1)
    AgentRegistry.register_pool(pool)
    AgentRegistry.register_pool(other)

    AgentRegistry.unregister("other")
    with isolated_registry():
        inside = dict(AgentRegistry._pools)
    outside = dict(AgentRegistry._pools)
    AgentRegistry.clear()

    assert inside == {}
    assert outside == {"pool": pool}
    assert AgentRegistry._pools == {}


# -- a bound get ------------------------------------------------------------


def churn(count: int) -> None:
    """Agents that come and go, so that the table is copied into a smaller one."""
    agents = [Probe() for _ in range(count)]
    for agent in agents:
        AgentRegistry.register(agent)
    del agent
    agents.clear()
    AgentRegistry.all()


def test_a_get_taken_earlier_stays_right() -> None:
    class MyRegistry(AgentRegistry):
        pass

    agents = [Probe() for _ in range(4)]
    AgentRegistry.register(agents[0], "a")
    gets = [AgentRegistry.get, MyRegistry.get]

    for get in gets:
        assert get("a") is agents[0]
        churn(3000)
        assert get("a") is agents[0]
        AgentRegistry.register(agents[1], "b")
        assert get("b") is agents[1]
        with isolated_registry():
            assert get("a") is None
            AgentRegistry.register(agents[2], "a")
            assert get("a") is agents[2]
            churn(3000)
            assert get("a") is agents[2]
        assert get("a") is agents[0]
        AgentRegistry.clear()
        assert get("a") is None
        AgentRegistry.register(agents[3], "c")
        assert get("c") is agents[3]
        AgentRegistry.clear()
        AgentRegistry.register(agents[0], "a")


# -- as small as a fresh one ------------------------------------------------

TABLES = ("entries", "pools", "rosters", "members", "capabilities", "log", "extensions")


def sizes() -> dict[str, int]:
    return {name: sys.getsizeof(getattr(table.now.table, name)) for name in TABLES}


def pass_through_collected(count: int) -> None:
    agents = [Probe() for _ in range(count)]
    for agent in agents:
        AgentRegistry.register(agent)


def pass_through_unregistered(count: int) -> None:
    agents = [Probe() for _ in range(count)]
    names = [AgentRegistry.register(agent) for agent in agents]
    for name, agent in zip(names, agents, strict=True):
        AgentRegistry.unregister_if_same(name, agent)


def pass_through_unregistered_by_name(count: int) -> None:
    agents = [Probe() for _ in range(count)]
    for name in [AgentRegistry.register(agent) for agent in agents]:
        AgentRegistry.unregister(name)


def pass_through_one_by_one(count: int) -> None:
    for _ in range(count):
        AgentRegistry.register(Probe())


def pass_through_one_name(count: int) -> None:
    for _ in range(count):
        AgentRegistry.register(Probe(), "probe")


def pass_through_capable(count: int) -> None:
    agents = [Able(capabilities=[f"capability {index}"]) for index in range(count // 4)]
    assert len(agents) == AgentRegistry.count() - 10


def pass_through_pool(count: int) -> None:
    AgentRegistry.register_pool(Pool("pool", count))
    AgentRegistry.unregister("pool")


def pass_through_cleared(count: int) -> None:
    survivors = AgentRegistry.all()
    agents = [Probe() for _ in range(count)]
    for agent in agents:
        AgentRegistry.register(agent)
    AgentRegistry.clear()
    for name, agent in survivors.items():
        AgentRegistry.register(agent, name)


PASSAGES = [
    pass_through_collected,
    pass_through_unregistered,
    pass_through_unregistered_by_name,
    pass_through_one_by_one,
    pass_through_one_name,
    pass_through_capable,
    pass_through_pool,
    pass_through_cleared,
]


@pytest.mark.parametrize("listening", [False, True], ids=["", "listening"])
@pytest.mark.parametrize("pass_through", PASSAGES)
def test_a_registry_that_has_seen_many_is_as_small_as_a_fresh_one(
    pass_through: Callable[[int], None], listening: bool
) -> None:
    survivors = [Probe() for _ in range(10)]
    with isolated_registry():
        for index, agent in enumerate(survivors):
            AgentRegistry.register(agent, f"survivor {index}")
        fresh = sizes()
    for index, agent in enumerate(survivors):
        AgentRegistry.register(agent, f"survivor {index}")
    if listening:
        AgentRegistry.subscribe(lambda event: None)

    pass_through(20_000)
    AgentRegistry.names()

    # holes of a thousand entries may wait to be closed, those of twenty thousand may not
    assert {name: size for name, size in sizes().items() if size > fresh[name] + 80_000} == {}
    now = table.now.table
    assert (len(now.entries), len(now.gone), len(now.log), len(now.members), len(now.capabilities)) == (10, 0, 0, 0, 0)
    assert (len(now.pools), len(now.rosters)) == (0, 0)
    assert AgentRegistry.count() == 10


def test_a_hundred_thousand_short_lived_agents_leave_nothing() -> None:
    keep = Probe()
    AgentRegistry.register(keep, "keep")
    fresh = sizes()

    pass_through_collected(100_000)
    AgentRegistry.names()

    assert {name: size for name, size in sizes().items() if size > fresh[name] + 200} == {}
    assert AgentRegistry.all() == {"keep": keep}
    assert len(table.now.table.gone) == 0


def test_reading_all_closes_the_holes_that_agents_have_left() -> None:
    keep = Probe()
    AgentRegistry.register(keep, "keep")
    fresh = sizes()
    pass_through_unregistered(600)

    AgentRegistry.all()

    assert sizes()["entries"] <= fresh["entries"] + 200
