"""AgentPool: how its members are made and named, and what it shows."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from agentreg import (
    Agent,
    AgentPool,
    AgentRegistered,
    AgentRegistry,
    AgentUnregistered,
    InstanceAllocation,
    NameTakenError,
    PoolExhaustedError,
)
from tests.crew import Closing, Echo, Hearing, Meeting, Plain, finish, turns


class Nameless(Echo):
    """Takes no name."""

    def __init__(self, tone: str = "kind") -> None:
        super().__init__()
        self.tone = tone


class Passing(Echo):
    """Takes a name among whatever it is given, and passes it on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Stubborn(Echo):
    """Takes any name and uses its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("stubborn")


class Addressed(Echo):
    """Takes an argument before its name."""

    def __init__(self, address: str, name: str | None = None, *, tone: str = "kind") -> None:
        super().__init__(name)
        self.address, self.tone = address, tone


# -- making -----------------------------------------------------------------


def test_members_are_made_at_once_and_named_by_their_numbers() -> None:
    pool = AgentPool(Echo, 3, name="pool")

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1", "pool_2"]
    assert AgentRegistry.all() == {f"pool_{index}": member for index, member in enumerate(pool.instances)}


def test_a_pool_is_called_after_its_class_by_default() -> None:
    pool = AgentPool(Echo, 1)

    assert pool.base_name == "Echo"
    assert pool.instances[0].name == "Echo_0"


def test_a_pool_keeps_what_it_was_made_of() -> None:
    pool = AgentPool(Echo, 2, name="pool")

    assert (pool.agent_class, pool.num_instances, pool.base_name) == (Echo, 2, "pool")


def test_every_member_is_given_the_arguments() -> None:
    pool = AgentPool(Addressed, 2, "here", name="pool", tone="rude")

    assert [(member.address, member.tone, member.name) for member in pool.instances] == [
        ("here", "rude", "pool_0"),
        ("here", "rude", "pool_1"),
    ]


@pytest.mark.parametrize("number", [0, -1])
def test_a_pool_has_at_least_one_member(number: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {number}"):
        AgentPool(Echo, number)

    with pytest.raises(ValueError, match=f"at least 1, got {number}"):
        finish(AgentPool.create_async(Echo, number))


@pytest.mark.parametrize("kind", [Echo, Nameless, Passing, Closing, Agent])
def test_members_never_appear_under_another_name(kind: type[Echo]) -> None:
    with Hearing() as heard:
        pool = AgentPool(kind, 3, name="pool")

    assert [(type(event), event.name) for event in heard] == [
        (AgentRegistered, "pool_0"),
        (AgentRegistered, "pool_1"),
        (AgentRegistered, "pool_2"),
    ]
    assert [member.name for member in pool.instances] == ["pool_0", "pool_1", "pool_2"]


@pytest.mark.parametrize("kind", [Echo, Nameless, Passing, Closing, Agent])
def test_members_made_asynchronously_never_appear_under_another_name(kind: type[Echo]) -> None:
    with Hearing() as heard:
        pool = finish(AgentPool.create_async(kind, 3, name="pool"))

    assert sorted((event.name, type(event)) for event in heard) == [
        ("pool_0", AgentRegistered),
        ("pool_1", AgentRegistered),
        ("pool_2", AgentRegistered),
    ]
    assert [member.name for member in pool.instances] == ["pool_0", "pool_1", "pool_2"]


def test_a_class_that_takes_no_name_has_the_attribute_set() -> None:
    class Thing:
        pass

    pool = AgentPool(Thing, 2, name="pool")

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]


def test_a_class_that_insists_on_a_name_of_its_own_ends_under_the_members() -> None:
    pool = AgentPool(Stubborn, 2, name="pool")

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]
    assert AgentRegistry.all() == {f"pool_{index}": member for index, member in enumerate(pool.instances)}


def test_a_name_that_can_only_be_passed_by_position_is_set_instead() -> None:
    class Positional:
        def __init__(self, name: str = "anybody", /) -> None:
            self.name = name

    pool = AgentPool(Positional, 2, name="pool")

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]


def test_a_class_without_a_signature_has_the_attribute_set() -> None:
    class Words(dict[str, str]):
        __slots__ = ("__weakref__", "name")

    pool = AgentPool(Words, 2, name="pool")

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]


@pytest.mark.parametrize(
    "make",
    [lambda name: Echo(name), lambda: Echo(), lambda **kwargs: Echo(**kwargs), functools.partial(Echo, goal="repeat")],
    ids=["with a name", "without", "with keywords", "partial"],
)
def test_a_function_may_make_the_members(make: Any) -> None:
    pool = AgentPool(make, 2, name="pool")

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]
    assert AgentRegistry.names() == ["pool_0", "pool_1"]
    assert [AgentRegistry.get(f"pool_{index}") for index in range(2)] == pool.instances


def test_a_function_gives_its_name_to_the_pool() -> None:
    def crew(name: str) -> Echo:
        return Echo(name)

    assert AgentPool(crew, 1).base_name == "crew"
    assert AgentPool(functools.partial(Echo), 1).base_name == "partial"


class Sibling(Echo):
    """Makes another agent of its own class, before or after it is registered itself."""

    def __init__(self, name: str | None = None, *, before: int = 0, after: int = 0) -> None:
        self.helpers = [Sibling() for _ in range(before)]
        super().__init__(name)
        self.helpers += [Sibling() for _ in range(after)]


class NamelessSibling(Echo):
    """The same without a name to be given."""

    def __init__(self, *, before: int = 0, after: int = 0) -> None:
        self.helpers = [NamelessSibling() for _ in range(before)]
        super().__init__()
        self.helpers += [NamelessSibling() for _ in range(after)]


@pytest.mark.parametrize("kind", [Sibling, NamelessSibling])
@pytest.mark.parametrize("when", ["before", "after"])
def test_members_may_make_helpers_of_their_own_class(kind: Any, when: str) -> None:
    pool = AgentPool(kind, 2, name="pool", **{when: 1})

    helpers = [helper.name for member in pool.instances for helper in member.helpers]
    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]
    assert all(name.startswith(kind.__name__) for name in helpers)


def test_agents_made_after_a_pool_have_names_of_their_own() -> None:
    pool = AgentPool(Nameless, 1, name="pool")

    assert Nameless().name.startswith("Nameless-")
    assert pool.instances[0].name == "pool_0"


# -- failing ----------------------------------------------------------------


class Third(Closing):
    """The third that is made fails."""

    made: list[Third]

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.made.append(self)
        if len(self.made) == 3:
            raise LookupError("no place for a third")


def test_what_a_member_raises_comes_out_unchanged_and_the_others_are_undone() -> None:
    class Counted(Third):
        made: list[Third] = []  # noqa: RUF012

    with Hearing() as heard, pytest.raises(LookupError, match="no place for a third") as kept:
        AgentPool(Counted, 4, name="pool")

    assert AgentRegistry.names() == []
    assert len(Counted.made) == 3
    assert {event.name for event in heard if isinstance(event, AgentUnregistered)} == {"pool_0", "pool_1", "pool_2"}
    assert type(kept.value) is LookupError


def test_members_that_are_undone_are_cleaned_up_where_that_needs_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    class Closable(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            if name == "pool_2":
                raise LookupError

        def cleanup(self) -> Any:
            closed.append(self.name)
            raise OSError("stuck")

    with pytest.raises(LookupError):
        AgentPool(Closable, 3, name="pool")

    assert closed == ["pool_0", "pool_1"]
    assert "the clean-up of Closable failed" in caplog.text
    assert "stuck" in caplog.text


def test_a_pool_whose_member_has_a_taken_name_is_undone() -> None:
    holder = Echo("pool_1")

    with pytest.raises(NameTakenError, match="'pool_1' is held by <Echo 'pool_1'>") as kept:
        AgentPool(Echo, 3, name="pool")

    assert AgentRegistry.all() == {"pool_1": holder}
    assert kept.value.name == "pool_1"


def test_a_pool_can_be_made_again_after_it_failed() -> None:
    class Counted(Third):
        made: list[Third] = []  # noqa: RUF012

    with pytest.raises(LookupError) as kept:
        AgentPool(Counted, 3, name="pool")

    pool = AgentPool(Counted, 3, name="pool")

    assert AgentRegistry.names() == ["pool_0", "pool_1", "pool_2"]
    assert len(pool) == 3
    assert kept.value is not None


def test_a_member_that_is_interrupted_undoes_the_others_too() -> None:
    class Interrupted(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            kept.append(self)
            if name == "pool_1":
                raise KeyboardInterrupt

    kept: list[Echo] = []

    with pytest.raises(KeyboardInterrupt):
        AgentPool(Interrupted, 2, name="pool")

    assert AgentRegistry.names() == []


# -- making asynchronously --------------------------------------------------


class Connecting(Closing):
    """Is set up asynchronously."""

    connected = False

    @classmethod
    async def create_safe(cls, **kwargs: Any) -> Connecting:
        agent = cls(**kwargs)
        await turns(2)
        agent.connected = True
        return agent


def test_members_are_set_up_asynchronously_when_the_class_knows_how() -> None:
    pool = finish(AgentPool.create_async(Connecting, 2, name="pool"))

    assert pool.agent_class is Connecting
    assert [(member.name, member.connected) for member in pool.instances] == [("pool_0", True), ("pool_1", True)]


def test_a_pool_of_a_subclass_is_made_by_create_async_too() -> None:
    class Own(AgentPool):
        pass

    assert type(finish(Own.create_async(Connecting, 1))) is Own


def test_members_are_set_up_side_by_side_and_kept_in_order() -> None:
    class Joining(Echo):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Joining:
            agent = cls(**kwargs)
            await meeting()
            await turns(3 - int(agent.name[-1]))
            return agent

    meeting = Meeting(3)

    pool = finish(AgentPool.create_async(Joining, 3, name="pool"))

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1", "pool_2"]


def test_a_class_without_create_safe_is_called() -> None:
    pool = finish(AgentPool.create_async(Plain, 2, name="pool"))

    assert [(type(member), member.name) for member in pool.instances] == [(Plain, "pool_0"), (Plain, "pool_1")]


def test_create_async_gives_every_member_the_arguments() -> None:
    pool = finish(AgentPool.create_async(Addressed, 2, "here", name="pool", tone="rude"))

    assert [(member.address, member.tone) for member in pool.instances] == [("here", "rude")] * 2


def test_a_create_safe_that_takes_no_name_makes_named_members() -> None:
    class Own(Echo):
        @classmethod
        async def create_safe(cls, address: str) -> Own:
            await turns(1)
            return cls()

    with Hearing() as heard:
        pool = finish(AgentPool.create_async(Own, 2, "here", name="pool"))

    assert [member.name for member in pool.instances] == ["pool_0", "pool_1"]
    assert sorted(event.name for event in heard if isinstance(event, AgentRegistered)) == ["pool_0", "pool_1"]


def test_a_set_up_may_start_tasks_that_make_agents_of_the_same_class_later() -> None:
    class Own(Echo):
        @classmethod
        async def create_safe(cls) -> Own:
            async def later() -> Own:
                await turns(3)
                return cls()

            tasks.append(asyncio.ensure_future(later()))
            return cls()

    async def make() -> list[str]:
        pool = await AgentPool.create_async(Own, 2, name="pool")
        helpers = await asyncio.gather(*tasks)
        return [member.name for member in (*pool.instances, *helpers)]

    tasks: list[asyncio.Future[Own]] = []

    members = finish(make())

    assert members[:2] == ["pool_0", "pool_1"]
    assert [name[:4] for name in members[2:]] == ["Own-", "Own-"]


def test_when_one_set_up_fails_the_other_members_are_cleaned_up_and_unregistered() -> None:
    class Shaky(Connecting):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Shaky:
            if kwargs["name"] == "pool_1":
                raise LookupError("no connection")
            agent = cls(**kwargs)
            await turns(5)
            made.append(agent)
            return agent

    made: list[Shaky] = []

    with pytest.raises(LookupError, match="no connection") as kept:
        finish(AgentPool.create_async(Shaky, 3, name="pool"))

    assert [(agent.name, agent.closed) for agent in made] == [("pool_0", 1), ("pool_2", 1)]
    assert AgentRegistry.names() == []
    assert type(kept.value) is LookupError


def test_a_member_whose_set_up_fails_after_it_was_made_gives_its_name_back_even_while_the_exception_is_kept() -> None:
    class Shaky(Connecting):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Shaky:
            agent = cls(**kwargs)
            await turns(1)
            raise LookupError(f"{agent.name} has no connection")

    with pytest.raises(LookupError, match="no connection") as kept:
        finish(AgentPool.create_async(Shaky, 2, name="pool"))

    assert AgentRegistry.names() == []
    assert kept.value.__traceback__ is not None


@pytest.mark.parametrize("moment", range(6))
def test_a_pool_cancelled_while_it_is_made_leaves_nothing_behind(moment: int) -> None:
    class Slow(Connecting):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Slow:
            agent = cls(**kwargs)
            made.append(agent)
            if agent.name != "pool_1":  # the others are through before
                await asyncio.Event().wait()
            return agent

    async def cancelled() -> None:
        making = asyncio.create_task(AgentPool.create_async(Slow, 3, name="pool"))
        await turns(moment)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    made: list[Slow] = []

    finish(cancelled())

    assert [agent.closed for agent in made if agent.name == "pool_1"] in ([1], [])
    made.clear()
    assert AgentRegistry.names() == []


def test_a_member_whose_clean_up_fails_does_not_keep_the_others_from_being_undone() -> None:
    class Shaky(Closing):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Shaky:
            if kwargs["name"] == "pool_2":
                raise LookupError("no connection")
            made.append(cls(**kwargs))
            return made[-1]

        async def cleanup(self) -> None:
            await super().cleanup()
            raise OSError("it is logged, and the next is cleaned up")

    made: list[Shaky] = []

    with pytest.raises(LookupError, match="no connection"):
        finish(AgentPool.create_async(Shaky, 3, name="pool"))

    assert [agent.closed for agent in made] == [1, 1]
    assert AgentRegistry.names() == []


# -- looking ----------------------------------------------------------------


def test_a_fresh_pool_has_everything_on_the_shelf() -> None:
    pool = AgentPool(Echo, 2, name="pool")

    assert pool.available_instances == {0, 1}
    assert pool.allocated_instances == {}
    assert pool.instance_to_branch == {}
    assert (pool.get_available_count(), pool.get_allocated_count()) == (2, 0)


def test_a_loan_shows_in_every_table() -> None:
    pool = AgentPool(Echo, 2, name="pool")

    member = pool.acquire_instance("branch")

    assert pool.available_instances == {1}
    assert pool.instance_to_branch == {0: "branch"}
    assert (pool.get_available_count(), pool.get_allocated_count()) == (1, 1)
    assert pool.get_instance_for_branch("branch") is member
    allocation = pool.allocated_instances["branch"]
    assert isinstance(allocation, InstanceAllocation)
    assert (allocation.instance_id, allocation.agent_instance, allocation.branch_id) == (0, member, "branch")


def test_a_branch_that_holds_nothing_has_no_member() -> None:
    assert AgentPool(Echo, 1).get_instance_for_branch("branch") is None


def test_the_list_of_all_members_is_a_copy() -> None:
    pool = AgentPool(Echo, 2, name="pool")

    pool.get_all_instances().clear()

    assert pool.get_all_instances() == pool.instances
    assert len(pool.instances) == 2


def test_the_length_of_a_pool_is_its_size_and_a_pool_is_true() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    pool.acquire_instance("a")

    assert len(pool) == 2
    assert bool(pool) is True


def test_the_repr_of_a_pool_has_the_numbers() -> None:
    pool = AgentPool(Echo, 3, name="pool")
    pool.acquire_instance("a")

    assert repr(pool) == "AgentPool(name='pool', instances=3, available=2, allocated=1)"


def test_an_allocation_can_be_made_by_hand() -> None:
    allocation = InstanceAllocation(1, "member", "branch", 12.5)

    assert (allocation.instance_id, allocation.agent_instance, allocation.branch_id, allocation.allocated_at) == (
        1,
        "member",
        "branch",
        12.5,
    )


def test_a_registered_pool_is_found_with_its_members() -> None:
    pool = AgentPool(Echo, 2, name="pool")

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.get_pool("pool") is pool
    assert AgentRegistry.names() == ["pool_0", "pool_1"]
    assert AgentRegistry.is_pool_instance("pool_1")


def test_an_exhausted_pool_says_so_in_numbers() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    pool.acquire_instance("a")
    pool.acquire_instance("b")

    with pytest.raises(PoolExhaustedError) as caught:
        pool.acquire_instance("c")

    error = caught.value
    assert (error.pool_name, error.total_instances, error.allocated_instances, error.requested_count) == (
        "pool",
        2,
        2,
        1,
    )
    assert "pool 'pool' has no free member (2 of 2 on loan, 1 asked for)" in str(error)
