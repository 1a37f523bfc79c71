"""create_agent_pool and its plain twin: an agent, or a registered pool, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentreg import (
    AgentPool,
    AgentRegistry,
    NameTakenError,
    ReservedNameError,
    create_agent_pool,
    create_agent_pool_sync,
)
from tests.crew import Closing, Echo, Plain, finish, turns

Factory = Callable[..., Any]


def create(*args: Any, **kwargs: Any) -> Any:
    """`create_agent_pool`, waited for."""
    return finish(create_agent_pool(*args, **kwargs))


BOTH = pytest.mark.parametrize("factory", [create, create_agent_pool_sync], ids=["async", "sync"])


@BOTH
def test_one_instance_is_a_plain_agent(factory: Factory) -> None:
    agent = factory(Echo, name="agent", goal="repeat")

    assert type(agent) is Echo
    assert agent.goal == "repeat"
    assert AgentRegistry.all_with_pools() == {"agent": agent}


@BOTH
def test_several_instances_are_a_registered_pool(factory: Factory) -> None:
    pool = factory(Echo, 2, name="pool", goal="repeat")

    assert type(pool) is AgentPool
    assert AgentRegistry.get_pool("pool") is pool
    assert AgentRegistry.names() == ["pool_0", "pool_1"]
    assert [member.goal for member in pool.instances] == ["repeat", "repeat"]


@BOTH
def test_a_pool_may_be_left_unregistered(factory: Factory) -> None:
    pool = factory(Echo, 2, register=False, name="pool")

    assert len(pool) == 2
    assert AgentRegistry.get_pool("pool") is None


@BOTH
@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_is_refused(factory: Factory, number: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {number}"):
        factory(Echo, number)

    assert AgentRegistry.names() == []


@BOTH
@pytest.mark.parametrize("number", [1, 2])
def test_arguments_by_position_follow_the_decision_to_register(factory: Factory, number: int) -> None:
    class Addressed(Echo):
        def __init__(self, address: str, name: str | None = None) -> None:
            super().__init__(name)
            self.address = address

    made = factory(Addressed, number, True, "here", name="made")

    members = made.instances if number > 1 else [made]
    assert [member.address for member in members] == ["here"] * number


@BOTH
def test_a_class_that_is_none_of_ours_makes_a_pool_too(factory: Factory) -> None:
    pool = factory(Plain, 2, name="pool")

    assert [AgentRegistry.get(f"pool_{index}") for index in range(2)] == pool.instances


@BOTH
@pytest.mark.parametrize("taken", ["pool", "pool_0", "pool_1"])
def test_a_name_that_is_taken_leaves_nothing_behind(factory: Factory, taken: str) -> None:
    holder = Echo(taken)

    with pytest.raises(NameTakenError, match=f"'{taken}' is held by") as kept:
        factory(Echo, 2, name="pool")

    assert AgentRegistry.all_with_pools() == {taken: holder}
    assert kept.value.name == taken


@BOTH
def test_the_name_of_another_pool_leaves_that_pool_alone(factory: Factory) -> None:
    holder = AgentPool(Plain, 1, name="pool")
    AgentRegistry.register_pool(holder)

    with pytest.raises(NameTakenError) as kept:
        factory(Plain, 2, name="pool")

    assert AgentRegistry.all_with_pools() == {"pool": holder, "pool_0": holder.instances[0]}
    assert kept.value.name == "pool"


@BOTH
def test_a_reserved_name_leaves_nothing_behind(factory: Factory) -> None:
    AgentRegistry.reserved_names.add("Pool")

    with pytest.raises(ReservedNameError):
        factory(Echo, 2, name="pool")

    assert AgentRegistry.all_with_pools() == {}


@BOTH
def test_members_of_a_pool_that_could_not_be_registered_are_cleaned_up(factory: Factory) -> None:
    closed: list[str] = []

    class Closable(Echo):
        def cleanup(self) -> Any:
            closed.append(self.name)

    holder = Echo("pool")

    with pytest.raises(NameTakenError):
        factory(Closable, 2, name="pool")

    assert closed == ["pool_0", "pool_1"]
    assert AgentRegistry.names() == [holder.name]


@BOTH
def test_a_member_that_fails_leaves_nothing_behind(factory: Factory) -> None:
    class Failing(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            if name == "pool_1":
                raise LookupError("lost")

    with pytest.raises(LookupError, match="lost") as kept:
        factory(Failing, 3, name="pool")

    assert AgentRegistry.all_with_pools() == {}
    assert type(kept.value) is LookupError


@pytest.mark.parametrize("number", [1, 3])
def test_asynchronous_set_up_is_waited_for(number: int) -> None:
    class Connected(Closing):
        connected = False

        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Connected:
            agent = cls(**kwargs)
            await turns(1)
            agent.connected = True
            return agent

    made = create(Connected, number, name="made")

    members = made.instances if number > 1 else [made]
    assert [member.connected for member in members] == [True] * number


def test_members_with_an_asynchronous_clean_up_are_cleaned_up_after_a_clash() -> None:
    made: list[Counted] = []

    class Counted(Closing):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            made.append(self)

    holder = Echo("pool")

    with pytest.raises(NameTakenError):
        create(Counted, 2, name="pool")

    assert [agent.closed for agent in made] == [1, 1]
    assert AgentRegistry.names() == [holder.name]


def test_a_pool_that_is_cancelled_while_it_is_made_leaves_nothing_behind() -> None:
    class Endless(Echo):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Endless:
            agent = cls(**kwargs)
            await asyncio.Event().wait()
            return agent

    async def cancelled() -> None:
        making = asyncio.create_task(create_agent_pool(Endless, 3, name="pool"))
        await turns()
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    finish(cancelled())

    assert AgentRegistry.all_with_pools() == {}


class Equipped(Plain):
    """Takes what it is made with; has no ``create_safe``."""

    def __init__(self, *tools: str, colour: str = "none", **rest: Any) -> None:
        super().__init__()
        self.tools, self.colour, self.rest = tools, colour, rest


@pytest.mark.parametrize("number", [1, 2])
def test_arguments_reach_the_constructor_of_a_class_without_create_safe(number: int) -> None:
    made = finish(create_agent_pool(Equipped, number, True, "saw", "axe", colour="red", name="pool"))

    members = made.instances if number > 1 else [made]
    assert [(member.tools, member.colour) for member in members] == [(("saw", "axe"), "red")] * number


def test_a_plain_class_among_asynchronous_pools_gets_its_arguments_too() -> None:
    pool = finish(AgentPool.create_async(Equipped, 2, "saw", colour="red", name="pool"))

    assert [(member.tools, member.colour) for member in pool.instances] == [(("saw",), "red")] * 2


def test_a_class_whose_create_safe_is_no_function_is_constructed() -> None:
    class Odd(Equipped):
        create_safe = "not callable"

    made = finish(create_agent_pool(Odd, 1, True, "saw"))

    assert made.tools == ("saw",)


def test_a_clean_up_that_fails_in_the_factory_is_logged_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Echo):
        made = 0

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            Broken.made += 1
            if Broken.made == 3:
                raise OSError("no third")

        async def cleanup(self) -> None:
            if Broken.made and self.name.endswith("0"):
                raise RuntimeError("stuck")
            raise asyncio.CancelledError

    with pytest.raises(OSError, match="no third"):
        finish(AgentPool.create_async(Broken, 3, name="pool"))

    assert "the clean-up of Broken failed: RuntimeError('stuck')" in caplog.text
    assert "RuntimeError: stuck" in caplog.text
    assert "the clean-up of Broken failed: 'it was cancelled'" in caplog.text
