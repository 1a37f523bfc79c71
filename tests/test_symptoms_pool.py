"""What users of agents, pools and orchestras have suffered from elsewhere, and must not suffer from here."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from agentreg import (
    AgentPool,
    AgentRegistry,
    ExecutionConfig,
    NameTakenError,
    Orchestra,
    PoolExhaustedError,
    create_agent_pool,
)
from tests.crew import Closing, Echo, JumpingLoop, Plain, Running, Waiting, finish, jump, passing, turns
from tests.watchdog import elsewhere, run_threads


def test_no_hang_after_hundreds_of_agents_in_cycles_whose_finalizers_unregister() -> None:
    class Leaving(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.myself = self

        def __del__(self) -> None:
            AgentRegistry.unregister_if_same(self.name, self)
            AgentRegistry.unregister_instance(self)

    def come_and_go() -> None:
        for number in range(1000):
            Leaving(f"agent {number % 50} {number}")

    elsewhere(come_and_go)
    gc.collect()

    assert AgentRegistry.names() == []


def test_no_hang_when_an_agents_acquire_instance_calls_the_registry() -> None:
    class Asking(Echo):
        def acquire_instance(self, branch_id: str) -> bool:
            run_threads(AgentRegistry.all, AgentRegistry.all_with_pools, AgentRegistry.names)
            AgentRegistry.register(self, f"{self.name} for {branch_id}")
            return super().acquire_instance(branch_id)

        def release_instance(self, branch_id: str) -> bool:
            elsewhere(lambda: AgentRegistry.unregister_if_same(f"{self.name} for {branch_id}", self))
            return super().release_instance(branch_id)

    pool = AgentPool(Asking, 1, name="pool")
    AgentRegistry.register_pool(pool)

    def borrow() -> list[str]:
        AgentRegistry.get_or_acquire("pool", "branch")
        names = AgentRegistry.names()
        AgentRegistry.release_to_pool("pool", "branch")
        return names

    assert elsewhere(borrow) == ["pool_0", "pool_0 for branch"]
    assert AgentRegistry.names() == ["pool_0"]


def test_an_agent_is_not_accepted_under_a_pools_name() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    AgentRegistry.register_pool(pool)

    with pytest.raises(NameTakenError, match="'pool' is held by AgentPool"):
        Echo("pool")

    assert AgentRegistry.get_pool("pool") is pool
    assert AgentRegistry.get("pool") is None


def test_a_pool_does_not_replace_a_living_agent_called_like_its_first_member() -> None:
    agent = Echo("pool_0")

    with pytest.raises(NameTakenError):
        AgentPool(Echo, 2, name="pool")
    with pytest.raises(NameTakenError):
        AgentRegistry.register_pool(AgentPool(Plain, 2, name="pool"))

    assert AgentRegistry.all_with_pools() == {"pool_0": agent}


def test_an_automatic_name_that_is_taken_does_not_raise() -> None:
    holders = [Echo(f"Echo-{number}") for number in range(1, 6)]

    agents = [Echo() for _ in range(3)]

    assert [agent.name for agent in agents] == ["Echo-6", "Echo-7", "Echo-8"]
    assert len(holders) == 5


@pytest.mark.parametrize("taken", ["pool", "pool_0", "pool_1", "pool_2"])
def test_no_half_registered_pool_is_left_after_a_clash(taken: str) -> None:
    pool = AgentPool(Plain, 3, name="pool")
    holder = Echo(taken)

    with pytest.raises(NameTakenError):
        AgentRegistry.register_pool(pool)

    assert AgentRegistry.all_with_pools() == {taken: holder}
    assert not AgentRegistry.is_pool("pool")
    assert not AgentRegistry.is_pool_instance("pool_1")


def test_no_members_are_left_registered_after_a_failed_pool() -> None:
    made: list[Echo] = []

    class Failing(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            made.append(self)
            if len(made) == 3:
                raise LookupError("lost")

    with pytest.raises(LookupError) as kept:
        AgentPool(Failing, 5, name="pool")

    assert AgentRegistry.names() == []
    assert (len(made), kept.type) == (3, LookupError)


def test_no_members_are_leaked_when_one_fails_in_create_async() -> None:
    made: list[Connecting] = []

    class Connecting(Closing):
        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Connecting:
            agent = cls(**kwargs)
            made.append(agent)
            await turns(int(agent.name[-1]))
            if agent.name == "pool_2":
                raise LookupError("no connection")
            return agent

    with pytest.raises(LookupError) as kept:
        finish(AgentPool.create_async(Connecting, 5, name="pool"))

    assert {agent.name: agent.closed for agent in made if agent.name != "pool_2"} == {
        "pool_0": 1,
        "pool_1": 1,
        "pool_3": 1,
        "pool_4": 1,
    }
    assert AgentRegistry.names() == []
    assert kept.type is LookupError


def test_a_failed_constructor_does_not_keep_its_name() -> None:
    class Failing(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            raise LookupError("lost")

    try:
        Failing("agent")
    except LookupError as error:
        kept = error

    assert AgentRegistry.get("agent") is None
    assert Echo("agent").name == "agent"
    assert kept.__traceback__ is not None


def test_members_of_a_pool_are_given_back_after_a_run() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(pool)

    for _ in range(10):
        assert finish(Orchestra.run("task", ["pool"])).success

    assert pool.get_available_count() == 2
    assert pool.get_statistics()["total_releases"] == 10


def test_two_branches_never_own_one_agent() -> None:
    pool = AgentPool(Plain, 3, name="pool")
    owners: dict[int, str] = {}
    stolen: list[str] = []

    def borrow(thread: int) -> None:
        for number in range(300):
            branch = f"{thread}.{number}"
            with pool.borrow(branch, timeout=60) as member:
                if owners.setdefault(id(member), branch) != branch:
                    stolen.append(branch)
                for _ in range(number % 7):
                    pool.get_instance_for_branch(branch)
                if owners.pop(id(member), None) != branch:
                    stolen.append(branch)

    run_threads(*(lambda thread=thread: borrow(thread) for thread in range(8)))

    assert stolen == []
    assert pool.get_available_count() == 3


def test_a_branch_that_holds_an_agent_itself_does_not_share_it_with_the_pool() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.instances[0].acquire_instance("outside the pool")

    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("a")


def test_a_waiter_is_woken_when_the_release_comes_from_another_thread() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b", timeout=None))
        await turns()
        Running(lambda: pool.release_instance("a"))
        return await waiting

    assert finish(wait()) is member
    waiting = Waiting(lambda: pool.acquire_instance("c", timeout=60))
    Running(lambda: pool.release_instance("b"))
    assert waiting.result() is member


def test_a_waiter_is_woken_behind_a_hundred_that_timed_out() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> Any:
        for number in range(100):
            assert await pool.acquire_instance_async(f"impatient {number}", timeout=0.1) is None
        impatient = [
            asyncio.create_task(pool.acquire_instance_async(f"impatient {number}", timeout=1)) for number in range(100)
        ]
        await turns(2)
        patient = asyncio.create_task(pool.acquire_instance_async("patient"))
        await asyncio.wait(impatient)
        pool.release_instance("a")
        return await patient

    assert jump(wait) is member


def test_a_pool_does_not_poll_spin_or_block_the_event_loop() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> tuple[int, float]:
        waiting = [asyncio.create_task(pool.acquire_instance_async(f"b{number}", timeout=None)) for number in range(50)]
        await turns(2)
        before = loop.rounds
        await passing(3000)
        rounds = loop.rounds - before
        for task in waiting:
            task.cancel()
        return rounds, loop.now

    rounds, now = jump(wait)

    assert rounds <= 2
    assert now == pytest.approx(3000, abs=0.01)


class Busy(Closing):
    """Runs until the first of its runs is let go."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        if prompt == "long":
            await asyncio.Event().wait()
        assert self.closed == 0, "it was cleaned up while it was used"
        return prompt


def test_no_agent_is_cleaned_up_that_another_run_is_still_using() -> None:
    agent = Busy("agent")

    async def two() -> tuple[int, Any]:
        long = asyncio.create_task(Orchestra.run("long", ["agent"]))
        await turns()
        short = await Orchestra.run("short", ["agent"])
        closed, there = agent.closed, AgentRegistry.get("agent")
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        assert short.success
        return closed, there

    assert finish(two()) == (0, agent)
    assert agent.closed == 1


def test_agents_are_cleaned_up_when_the_run_is_cancelled() -> None:
    agent = Busy("agent")

    async def cancelled() -> None:
        running = asyncio.create_task(Orchestra.run("long", ["agent"]))
        await turns()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    finish(cancelled())

    assert agent.closed == 1
    assert AgentRegistry.get("agent") is None


def test_one_failing_clean_up_does_not_stop_the_rest() -> None:
    class Stuck(Closing):
        async def cleanup(self) -> None:
            raise OSError("stuck")

    class Endless(Closing):
        async def cleanup(self) -> None:
            await asyncio.Event().wait()

    agents = [Stuck("stuck"), Endless("endless"), Closing("a"), Closing("b")]

    result = jump(
        lambda loop: Orchestra.run(
            "task", [agent.name for agent in agents], execution_config=ExecutionConfig(cleanup_timeout=5)
        )
    )

    assert result.success
    assert set(result.cleanup_errors) == {"stuck", "endless"}
    assert [agent.closed for agent in agents[2:]] == [1, 1]
    assert AgentRegistry.names() == []


def test_a_failed_factory_leaves_no_name_behind_to_trip_over() -> None:
    holder = Echo("pool")
    for _ in range(3):
        with pytest.raises(NameTakenError):
            finish(create_agent_pool(Closing, 3, name="pool"))
    AgentRegistry.unregister_instance(holder)

    pool = finish(create_agent_pool(Closing, 3, name="pool"))

    assert AgentRegistry.get_pool("pool") is pool
