"""Pools in the registry: all or nothing, members' names, acquiring by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from agentreg import AgentPool, AgentRegistry, BaseAgent, NameTakenError, PoolExhaustedError


class Probe:
    """A small agent."""


class Named:
    """A small agent that knows its name."""

    def __init__(self, name: Any = "") -> None:
        self.name = name


@dataclass
class Loan:
    """What a pool notes of a member on loan."""

    agent_instance: Any


class Pool:
    """The least that is a pool; it lends its members in order, and nothing waits."""

    def __init__(self, base_name: str, *instances: Any) -> None:
        self.base_name = base_name
        self.instances = list(instances)
        self.num_instances = len(instances)
        self.allocated_instances: dict[str, Loan] = {}
        self.timeouts: list[float | None] = []

    def get_available_count(self) -> int:
        return self.num_instances - len(self.allocated_instances)

    def acquire_instance(self, branch_id: str, timeout: float | None = None) -> Any:
        self.timeouts.append(timeout)
        if branch_id not in self.allocated_instances:
            if not self.get_available_count():
                raise PoolExhaustedError(self.base_name, self.num_instances, len(self.allocated_instances))
            taken = [loan.agent_instance for loan in self.allocated_instances.values()]
            free = next(member for member in self.instances if member not in taken)
            self.allocated_instances[branch_id] = Loan(free)
        return self.allocated_instances[branch_id].agent_instance

    def release_instance(self, branch_id: str) -> bool:
        return self.allocated_instances.pop(branch_id, None) is not None

    def __repr__(self) -> str:
        return f"<Pool {self.base_name}>"


def browsers(size: int = 2) -> Pool:
    """A registered pool."""
    pool = Pool("browser", *(Named() for _ in range(size)))
    AgentRegistry.register_pool(pool)
    return pool


# -- register_pool ----------------------------------------------------------


def test_a_pool_is_registered_with_its_members() -> None:
    first, second = Named(), Named()
    pool = Pool("browser", first, second)

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.get_pool("browser") is pool
    assert AgentRegistry.all() == {"browser_0": first, "browser_1": second}
    assert AgentRegistry.all_with_pools() == {"browser_0": first, "browser_1": second, "browser": pool}
    assert (AgentRegistry.names(), AgentRegistry.count()) == (["browser_0", "browser_1"], 2)


def test_a_pool_is_no_agent() -> None:
    browsers()

    assert AgentRegistry.get("browser") is None
    with pytest.raises(LookupError, match="no agent is named 'browser'; the nearest names are 'browser_"):
        AgentRegistry.require("browser")


def test_pools_stand_behind_the_agents_in_all_with_pools() -> None:
    browsers(1)
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert list(AgentRegistry.all_with_pools()) == ["browser_0", "planner", "browser"]


def test_a_pool_is_held_strongly() -> None:
    browsers()

    assert AgentRegistry.is_pool("browser")
    assert AgentRegistry.count() == 2


def test_the_same_pool_may_be_registered_again() -> None:
    pool = browsers()
    revision = AgentRegistry.revision

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.revision == revision
    assert AgentRegistry.get_pool("browser") is pool


def test_a_pool_needs_no_length_and_no_name() -> None:
    assert not hasattr(Pool, "__len__")
    pool = browsers()

    assert not hasattr(pool, "name")
    assert AgentRegistry.get_instance_count("browser") == 2


def test_a_pool_without_members_is_a_pool() -> None:
    AgentRegistry.register_pool(Pool("empty"))

    assert AgentRegistry.is_pool("empty")
    assert AgentRegistry.get_instance_count("empty") == 0


def test_a_pool_that_is_false_is_a_pool() -> None:
    class Empty(Pool):
        def __bool__(self) -> bool:
            return False

    pool = Empty("empty", Probe())
    AgentRegistry.register_pool(pool)

    assert AgentRegistry.get_pool("empty") is pool
    assert AgentRegistry.get_from_pool("empty", "branch") is pool.instances[0]
    with pytest.raises(NameTakenError, match="'empty' is held by <Pool empty>"):
        AgentRegistry.register(Probe(), "empty")


def test_members_are_given_their_names() -> None:
    pool = browsers()

    assert [member.name for member in pool.instances] == ["browser_0", "browser_1"]


def test_a_name_that_is_right_is_not_set_again() -> None:
    class Fixed:
        name = property(lambda self: "browser_0")

    AgentRegistry.register_pool(Pool("browser", Fixed()))

    assert AgentRegistry.count() == 1


def test_a_member_without_a_name_is_not_given_one() -> None:
    member = Probe()

    AgentRegistry.register_pool(Pool("browser", member))

    assert vars(member) == {}
    assert AgentRegistry.get("browser_0") is member


def test_a_member_that_refuses_its_name_is_found_under_it_all_the_same() -> None:
    class Stubborn:
        name = property(lambda self: "my own")

    first, second = Named("first"), Stubborn()

    AgentRegistry.register_pool(Pool("browser", first, second))

    assert AgentRegistry.all() == {"browser_0": first, "browser_1": second}
    assert (first.name, second.name) == ("browser_0", "my own")


def test_a_member_that_fails_on_its_name_keeps_the_whole_pool_out() -> None:
    class Failing:
        @property
        def name(self) -> str:
            return "my own"

        @name.setter
        def name(self, name: str) -> None:
            raise RuntimeError("not today")

    first = Named("first")

    with pytest.raises(RuntimeError, match="not today"):
        AgentRegistry.register_pool(Pool("browser", first, Failing()))

    assert AgentRegistry.all_with_pools() == {}
    assert first.name == "first"


def test_a_member_that_is_registered_under_that_very_name_is_no_clash() -> None:
    first, second = Named("browser_0"), Named()
    AgentRegistry.register(first, "browser_0")
    revision = AgentRegistry.revision

    AgentRegistry.register_pool(Pool("browser", first, second))

    assert AgentRegistry.all() == {"browser_0": first, "browser_1": second}
    assert AgentRegistry.is_pool_instance("browser_0")
    assert AgentRegistry.revision == revision + 2


def test_a_member_that_cannot_be_weakly_referenced_keeps_the_whole_pool_out() -> None:
    first = Named("first")

    with pytest.raises(TypeError, match="a tuple can't be weakly referenced"):
        AgentRegistry.register_pool(Pool("browser", first, ()))

    assert AgentRegistry.all_with_pools() == {}
    assert first.name == "first"


def test_members_of_a_pool_that_is_not_registered_are_ordinary_agents() -> None:
    member = Named("browser_0")
    AgentRegistry.register(member, "browser_0")
    Pool("browser", member)

    assert not AgentRegistry.is_pool_instance("browser_0")
    assert AgentRegistry.normalize_agent_name("browser_0") == "browser_0"
    assert AgentRegistry.unregister_if_same("browser_0", member) is True


def register_agent(name: str) -> object:
    agent = Named(name)
    AgentRegistry.register(agent, name)
    return agent


def register_pool(name: str) -> object:
    pool = Pool(name, Named())
    AgentRegistry.register_pool(pool)
    return pool


@pytest.mark.parametrize("taken", ["browser", "browser_0", "browser_2"])
@pytest.mark.parametrize("register", [register_agent, register_pool])
def test_any_clash_keeps_the_whole_pool_out(register: Callable[[str], object], taken: str) -> None:
    holder = register(taken)
    before, revision = AgentRegistry.all_with_pools(), AgentRegistry.revision
    members = [Named("mine"), Named("browser_1"), Probe()]
    pool = Pool("browser", *members)
    heard: list[object] = []
    AgentRegistry.subscribe(heard.append)

    with pytest.raises(NameTakenError) as refusal:
        AgentRegistry.register_pool(pool)

    assert (refusal.value.name, refusal.value.holder) == (taken, repr(holder))
    assert AgentRegistry.all_with_pools() == before
    assert AgentRegistry.revision == revision
    assert heard == []
    assert [vars(member) for member in members] == [{"name": "mine"}, {"name": "browser_1"}, {}]
    assert not AgentRegistry.is_pool("browser") or taken == "browser"
    assert not AgentRegistry.is_pool_instance("browser_1")


def test_another_pool_of_the_same_name_is_refused() -> None:
    pool = browsers()

    with pytest.raises(NameTakenError, match="the name 'browser' is held by <Pool browser>; pass another name"):
        AgentRegistry.register_pool(Pool("browser", Named()))

    assert AgentRegistry.get_pool("browser") is pool


def test_a_collected_agent_is_no_clash() -> None:
    AgentRegistry.register(Probe(), "browser")
    AgentRegistry.register(Probe(), "browser_1")

    pool = browsers()

    assert AgentRegistry.get("browser_1") is pool.instances[1]


def test_a_refused_pool_that_is_kept_does_not_keep_the_holder() -> None:
    holder = Probe()
    AgentRegistry.register(holder, "browser_1")
    with pytest.raises(NameTakenError) as refusal:
        AgentRegistry.register_pool(Pool("browser", Named(), Named()))

    del holder

    assert AgentRegistry.get("browser_1") is None
    assert refusal.value.name == "browser_1"


def test_one_agent_may_be_two_members() -> None:
    member = Named()

    AgentRegistry.register_pool(Pool("browser", member, member))

    assert AgentRegistry.all() == {"browser_0": member, "browser_1": member}


# -- leaving ----------------------------------------------------------------


def test_unregistering_a_pool_takes_its_members_along() -> None:
    pool = browsers()
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    AgentRegistry.unregister("browser")

    assert AgentRegistry.all_with_pools() == {"planner": agent}
    assert not AgentRegistry.is_pool("browser")
    assert not AgentRegistry.is_pool_instance("browser_0")
    assert len(pool.instances) == 2


def test_a_pool_may_be_registered_again_after_it_left() -> None:
    pool = browsers()
    AgentRegistry.unregister("browser")

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.get("browser_1") is pool.instances[1]
    assert AgentRegistry.is_pool_instance("browser_1")


def test_a_member_cannot_be_unregistered_by_itself() -> None:
    pool = browsers()

    with pytest.raises(ValueError, match="Cannot unregister") as refusal:
        AgentRegistry.unregister("browser_1")

    assert str(refusal.value) == (
        "Cannot unregister pool instance 'browser_1' individually. Use unregister('browser') to remove the entire pool."
    )
    assert AgentRegistry.get("browser_1") is pool.instances[1]


def test_a_farewell_of_a_member_does_nothing() -> None:
    pool = browsers()
    member = pool.instances[0]

    assert AgentRegistry.unregister_if_same("browser_0", member) is False
    assert AgentRegistry.unregister_instance(member) is False
    assert AgentRegistry.get("browser_0") is member


def test_an_alias_of_a_member_may_leave() -> None:
    member = browsers().instances[0]
    AgentRegistry.register(member, "helper")

    assert AgentRegistry.unregister_if_same("helper", member) is True
    assert AgentRegistry.get("browser_0") is member


def test_a_farewell_under_a_pools_name_does_nothing() -> None:
    pool = browsers()

    assert AgentRegistry.unregister_if_same("browser", pool) is False
    assert AgentRegistry.is_pool("browser")


def test_unregister_pool_removes_this_very_pool() -> None:
    pool = browsers()

    assert AgentRegistry.unregister_pool(Pool("browser", Named())) is False
    assert AgentRegistry.is_pool("browser")
    assert AgentRegistry.unregister_pool(pool) is True
    assert AgentRegistry.unregister_pool(pool) is False
    assert AgentRegistry.all_with_pools() == {}


def test_a_late_farewell_of_a_pool_does_not_remove_its_successor() -> None:
    old = browsers()
    AgentRegistry.unregister("browser")
    new = browsers()

    assert AgentRegistry.unregister_pool(old) is False
    assert AgentRegistry.get_pool("browser") is new
    assert AgentRegistry.count() == 2


def test_a_member_that_the_pool_let_go_is_gone_and_its_name_free() -> None:
    pool = browsers()
    pool.instances.clear()
    agent = Probe()

    assert AgentRegistry.names() == []
    assert not AgentRegistry.is_pool_instance("browser_0")
    AgentRegistry.register(agent, "browser_0")
    AgentRegistry.unregister("browser")
    assert AgentRegistry.all_with_pools() == {"browser_0": agent}


def test_clear_empties_pools_and_leaves_them_alone() -> None:
    pool = browsers()

    AgentRegistry.clear()

    assert AgentRegistry.all_with_pools() == {}
    assert not AgentRegistry.is_pool("browser")
    assert not AgentRegistry.is_pool_instance("browser_0")
    assert AgentRegistry.normalize_agent_name("browser_0") == "browser_0"
    assert [member.name for member in pool.instances] == ["browser_0", "browser_1"]
    AgentRegistry.register_pool(pool)
    assert AgentRegistry.get("browser_0") is pool.instances[0]


# -- asking -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_pool", "is_member", "pool_name", "normal"),
    [
        ("browser", True, False, None, "browser"),
        ("browser_0", False, True, "browser", "browser"),
        ("browser_1", False, True, "browser", "browser"),
        ("browser_2", False, False, None, "browser_2"),
        ("planner", False, False, None, "planner"),
        ("planner_0", False, False, None, "planner_0"),
        ("nobody", False, False, None, "nobody"),
        ("", False, False, None, ""),
    ],
)
def test_names_are_known_by_registration_not_by_their_looks(
    name: str, is_pool: bool, is_member: bool, pool_name: str | None, normal: str
) -> None:
    pool = browsers()
    agents = [Probe(), Probe()]
    AgentRegistry.register(agents[0], "planner")
    AgentRegistry.register(agents[1], "planner_0")

    assert AgentRegistry.get_pool(name) is (pool if is_pool else None)
    assert AgentRegistry.is_pool(name) is is_pool
    assert AgentRegistry.is_pool_instance(name) is is_member
    assert AgentRegistry.get_pool_name_for_instance(name) == pool_name
    assert AgentRegistry.normalize_agent_name(name) == normal


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("browser", "browser", True),
        ("browser", "browser_0", True),
        ("browser_1", "browser_0", True),
        ("browser_0", "browser_7", False),
        ("browser", "planner", False),
        ("planner", "planner", True),
        ("nobody", "nobody", True),
        ("nobody", "somebody", False),
    ],
)
def test_members_and_their_pool_are_the_same_agent(first: str, second: str, same: bool) -> None:
    browsers()
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.are_same_agent(first, second) is same
    assert AgentRegistry.are_same_agent(second, first) is same


def test_counts_of_pools_agents_and_the_unknown() -> None:
    pool = browsers(3)
    pool.acquire_instance("branch")
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    counts = {
        name: (AgentRegistry.get_instance_count(name), AgentRegistry.get_available_count(name))
        for name in ("browser", "browser_0", "planner", "nobody")
    }

    assert counts == {"browser": (3, 2), "browser_0": (1, 1), "planner": (1, 1), "nobody": (0, 0)}


def test_a_collected_agent_counts_nothing() -> None:
    AgentRegistry.register(Probe(), "planner")

    assert AgentRegistry.get_instance_count("planner") == 0
    assert AgentRegistry.get_available_count("planner") == 0


# -- acquiring by name ------------------------------------------------------


def test_get_or_acquire_gives_an_agent_with_or_without_a_branch() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.get_or_acquire("planner") is agent
    assert AgentRegistry.get_or_acquire("planner", "branch") is agent
    assert AgentRegistry.get_or_acquire("nobody", "branch") is None


def test_get_or_acquire_gives_a_member_of_a_pool_for_the_branch() -> None:
    pool = browsers()

    first = AgentRegistry.get_or_acquire("browser", "branch-1")
    second = AgentRegistry.get_or_acquire("browser", "branch-2")

    assert [first, second] == pool.instances
    assert AgentRegistry.get_or_acquire("browser", "branch-1") is first


@pytest.mark.parametrize("name", ["browser", "browser_0"])
@pytest.mark.parametrize("branch_id", [None, ""])
def test_without_a_branch_id_there_is_no_member_but_an_error_in_the_log(
    name: str, branch_id: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    pool = browsers()

    assert AgentRegistry.get_or_acquire(name, branch_id) is None

    [record] = caplog.records
    assert (record.name, record.levelno) == ("agentreg", logging.ERROR)
    assert record.getMessage() == f"a branch id is needed to acquire from {name!r}"
    assert pool.allocated_instances == {}


def test_a_members_name_gives_it_only_to_the_branch_that_holds_exactly_it() -> None:
    pool = browsers()
    member = AgentRegistry.get_or_acquire("browser", "branch-1")

    assert AgentRegistry.get_or_acquire("browser_0", "branch-1") is member
    assert AgentRegistry.get_or_acquire("browser_1", "branch-1") is None
    assert AgentRegistry.get_or_acquire("browser_0", "branch-2") is None
    assert list(pool.allocated_instances) == ["branch-1"]


def test_get_pool_instance_acquires_nothing() -> None:
    pool = browsers()
    AgentRegistry.get_from_pool("browser", "branch-1")

    assert AgentRegistry.get_pool_instance("browser_0", "branch-1") is pool.instances[0]
    assert AgentRegistry.get_pool_instance("browser_1", "branch-1") is None
    assert AgentRegistry.get_pool_instance("browser_1", "branch-2") is None
    assert AgentRegistry.get_pool_instance("browser", "branch-1") is None
    assert AgentRegistry.get_pool_instance("nobody", "branch-1") is None
    assert list(pool.allocated_instances) == ["branch-1"]


@pytest.mark.parametrize("acquire", [AgentRegistry.get_or_acquire, AgentRegistry.get_from_pool])
def test_an_exhausted_pool_raises_with_its_numbers(acquire: Callable[[str, str], Any]) -> None:
    browsers(1)
    acquire("browser", "branch-1")

    with pytest.raises(PoolExhaustedError, match=r"pool 'browser' has no free member \(1 of 1 on loan"):
        acquire("browser", "branch-2")


def test_get_from_pool_passes_the_timeout_on() -> None:
    pool = browsers()

    AgentRegistry.get_from_pool("browser", "branch-1", 0.5)
    AgentRegistry.get_from_pool("browser", "branch-2", timeout=2.0)
    AgentRegistry.get_from_pool("browser", "branch-2")

    assert pool.timeouts == [0.5, 2.0, None]


def test_release_to_pool_gives_back() -> None:
    pool = browsers(1)
    AgentRegistry.get_from_pool("browser", "branch-1")

    assert AgentRegistry.release_to_pool("browser", "branch-1") is True
    assert AgentRegistry.release_to_pool("browser", "branch-1") is False
    assert AgentRegistry.get_from_pool("browser", "branch-2") is pool.instances[0]


@pytest.mark.parametrize(
    ("ask", "answer"),
    [(AgentRegistry.get_from_pool, None), (AgentRegistry.release_to_pool, False)],
)
@pytest.mark.parametrize("name", ["nobody", "planner", "browser_0"])
def test_what_is_no_pool_lends_nothing_and_is_a_warning(
    ask: Callable[[str, str], Any], answer: object, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    browsers()
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert ask(name, "branch") is answer

    [record] = caplog.records
    assert (record.name, record.levelno) == ("agentreg", logging.WARNING)
    assert record.getMessage() == f"no pool is registered under the name {name!r}"


# -- our own pools, and mocks -----------------------------------------------


def test_an_agent_pool_goes_through_the_registry() -> None:
    class Browser(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return prompt

    pool = AgentPool(Browser, 2, name="browser")
    AgentRegistry.register_pool(pool)

    member = AgentRegistry.get_or_acquire("browser", "branch")

    assert member is pool.instances[0]
    assert member.name == "browser_0"
    assert AgentRegistry.get_or_acquire("browser_0", "branch") is member
    assert AgentRegistry.get_available_count("browser") == 1
    assert AgentRegistry.release_to_pool("browser", "branch") is True
    assert AgentRegistry.get_pool_instance("browser_0", "branch") is None


@pytest.mark.parametrize("kind", [Mock, MagicMock])
def test_mocks_may_be_members_and_pools(kind: type[Mock]) -> None:
    members = [kind(), kind()]
    pool = kind(base_name="browser", instances=members, num_instances=2)
    pool.get_available_count.return_value = 1
    pool.acquire_instance.return_value = members[0]
    pool.release_instance.return_value = True

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.get_pool("browser") is pool
    assert AgentRegistry.get("browser_1") is members[1]
    assert [member.name for member in members] == ["browser_0", "browser_1"]
    assert AgentRegistry.get_instance_count("browser") == 2
    assert AgentRegistry.get_available_count("browser") == 1
    assert AgentRegistry.get_or_acquire("browser", "branch") is members[0]
    assert AgentRegistry.get_pool_instance("browser_0", "branch") is None
    assert AgentRegistry.release_to_pool("browser", "branch") is True
    AgentRegistry.unregister("browser")
    assert AgentRegistry.all_with_pools() == {}
