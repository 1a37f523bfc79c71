"""The end of a pool: nothing is lent any more, and every member is taken back and cleaned up on its own."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, PoolClosedError, PoolExhaustedError, cleanup_all_pools
from tests.crew import Closing, Echo, Hearing, JumpingLoop, LoopThread, Meeting, Plain, Waiting, finish, jump, turns


def test_cleaning_up_cleans_every_member_and_leaves_the_registry() -> None:
    pool = AgentPool(Closing, 3, name="pool")
    AgentRegistry.register_pool(pool)
    members = pool.get_all_instances()

    finish(pool.cleanup())

    assert [member.closed for member in members] == [1, 1, 1]
    assert AgentRegistry.all_with_pools() == {}
    assert AgentRegistry.get_pool("pool") is None


def test_a_pool_that_was_never_registered_is_cleaned_up_too() -> None:
    pool = AgentPool(Closing, 2, name="pool")
    members = pool.get_all_instances()

    finish(pool.cleanup())

    assert [member.closed for member in members] == [1, 1]
    assert AgentRegistry.names() == []


def test_cleaning_up_again_does_nothing() -> None:
    pool = AgentPool(Closing, 2, name="pool")
    AgentRegistry.register_pool(pool)
    members = pool.get_all_instances()
    finish(pool.cleanup())

    with Hearing() as heard:
        finish(pool.cleanup())

    assert [member.closed for member in members] == [1, 1]
    assert heard == []


def test_cleaning_up_again_leaves_a_successor_alone() -> None:
    pool = AgentPool(Closing, 1, name="pool")
    AgentRegistry.register_pool(pool)
    finish(pool.cleanup())
    successor = AgentPool(Closing, 1, name="pool")
    AgentRegistry.register_pool(successor)

    finish(pool.cleanup())

    assert AgentRegistry.get_pool("pool") is successor
    assert AgentRegistry.get("pool_0") is successor.instances[0]


def test_a_pool_that_was_replaced_leaves_its_successor_alone_when_it_is_cleaned_up() -> None:
    pool = AgentPool(Closing, 1, name="pool")
    AgentRegistry.register_pool(pool)
    AgentRegistry.unregister("pool")
    successor = AgentPool(Closing, 1, name="pool")
    AgentRegistry.register_pool(successor)
    member = pool.instances[0]

    finish(pool.cleanup())

    assert member.closed == 1
    assert AgentRegistry.all_with_pools() == {"pool_0": successor.instances[0], "pool": successor}


def test_a_cleaned_up_pool_lends_nothing_any_more() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    finish(pool.cleanup())

    with pytest.raises(PoolClosedError) as caught:
        pool.acquire_instance("a")
    with pytest.raises(PoolClosedError):
        pool.acquire_instance("a", timeout=30)
    assert jump(lambda loop: pool.acquire_instance_async("a", timeout=None)) is None
    assert isinstance(caught.value, PoolExhaustedError)
    assert pool.get_available_count() == 0


def test_branches_lose_what_they_held() -> None:
    pool = AgentPool(Closing, 2, name="pool")
    member = pool.acquire_instance("a")

    finish(pool.cleanup())

    assert pool.get_instance_for_branch("a") is None
    assert pool.release_instance("a") is False
    assert (pool.get_available_count(), pool.get_allocated_count()) == (0, 0)
    assert member.closed == 1
    assert member.acquire_instance("b") is True


def test_a_block_that_outlives_its_pool_ends_quietly() -> None:
    pool = AgentPool(Closing, 1, name="pool")

    with pool.borrow("a") as member:
        finish(pool.cleanup())

    assert member.closed == 1


def test_a_task_that_waits_is_told_at_once() -> None:
    pool = AgentPool(Closing, 1, name="pool")
    pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> tuple[Any, float]:
        waiting = asyncio.create_task(pool.acquire_instance_async("b", timeout=1000))
        await turns()
        await pool.cleanup()
        return await waiting, loop.now

    assert jump(wait) == (None, 0.0)


def test_a_block_that_waits_is_told_at_once() -> None:
    pool = AgentPool(Closing, 1, name="pool")
    pool.acquire_instance("a")

    async def block() -> None:
        async with pool.aborrow("b", timeout=1000):
            pass

    async def wait(loop: JumpingLoop) -> float:
        waiting = asyncio.create_task(block())
        await turns()
        await pool.cleanup()
        with pytest.raises(PoolClosedError):
            await waiting
        return loop.now

    assert jump(wait) == 0.0


def test_a_thread_that_waits_is_told_at_once() -> None:
    pool = AgentPool(Closing, 1, name="pool")
    pool.acquire_instance("a")
    waiting = Waiting(lambda: pool.acquire_instance("b", timeout=math.inf))

    finish(pool.cleanup())

    with pytest.raises(PoolClosedError):
        waiting.result()


def test_a_task_that_waits_in_another_loop_is_told_at_once() -> None:
    pool = AgentPool(Closing, 1, name="pool")
    pool.acquire_instance("a")

    async def start() -> asyncio.Task[Any]:
        task = asyncio.create_task(pool.acquire_instance_async("b", timeout=None))
        await turns()
        return task

    async def end(task: asyncio.Task[Any]) -> Any:
        return await task

    with LoopThread() as loop:
        task = loop.finish(start())
        finish(pool.cleanup())
        assert loop.finish(end(task)) is None


def test_members_are_cleaned_up_side_by_side() -> None:
    class Joining(Echo):
        async def cleanup(self) -> None:
            await meeting()

    meeting = Meeting(3)

    finish(AgentPool(Joining, 3, name="pool").cleanup())

    assert meeting.arrived == 3


def test_a_member_may_be_cleaned_up_by_a_plain_method_or_not_at_all() -> None:
    class Closable(Plain):
        closed = False

        def cleanup(self) -> None:
            self.closed = True

    closable, plain = AgentPool(Closable, 2, name="closable"), AgentPool(Plain, 2, name="plain")
    members = closable.get_all_instances()

    async def clean() -> None:
        await closable.cleanup()
        await plain.cleanup()

    finish(clean())

    assert [member.closed for member in members] == [True, True]


def ends(kind: str) -> Any:
    """A clean-up that ends in a certain way."""

    async def cleanup(self: Closing) -> None:
        self.closed += 1
        if self.name != "pool_0":
            return
        if kind == "an error":
            raise OSError("stuck")
        task = asyncio.create_task(asyncio.Event().wait())
        await turns(1)
        task.cancel()
        await task

    return cleanup


@pytest.mark.parametrize("kind", ["an error", "a cancellation of its own"])
def test_a_member_whose_clean_up_fails_does_not_stop_the_others(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    class Ending(Closing):
        cleanup = ends(kind)

    pool = AgentPool(Ending, 3, name="pool")
    AgentRegistry.register_pool(pool)
    members = pool.get_all_instances()

    finish(pool.cleanup())

    assert [member.closed for member in members] == [1, 1, 1]
    assert AgentRegistry.all_with_pools() == {}
    assert "the clean-up of Ending failed" in caplog.text


def test_a_member_whose_release_raises_is_cleaned_up_all_the_same() -> None:
    class Sticky(Closing):
        def release_instance(self, branch_id: str) -> bool:
            raise OSError("sticky")

    pool = AgentPool(Sticky, 2, name="pool")
    AgentRegistry.register_pool(pool)
    members = [pool.acquire_instance(branch) for branch in "ab"]

    finish(pool.cleanup())

    assert [member.closed for member in members] == [1, 1]
    assert pool.get_allocated_count() == 0
    assert AgentRegistry.all_with_pools() == {}


def test_two_clean_ups_at_once_clean_every_member_once() -> None:
    class Slow(Closing):
        async def cleanup(self) -> None:
            await turns(3)
            await super().cleanup()

    pool = AgentPool(Slow, 2, name="pool")
    AgentRegistry.register_pool(pool)
    members = pool.get_all_instances()

    async def clean() -> None:
        await asyncio.gather(pool.cleanup(), pool.cleanup(), pool.cleanup())

    finish(clean())

    assert [member.closed for member in members] == [1, 1]
    assert AgentRegistry.all_with_pools() == {}


def test_a_clean_up_that_is_cancelled_leaves_the_registry_all_the_same() -> None:
    class Endless(Closing):
        async def cleanup(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(self.name)

    stopped: list[str] = []
    pool = AgentPool(Endless, 2, name="pool")
    AgentRegistry.register_pool(pool)

    async def cancelled() -> list[str]:
        cleaning = asyncio.create_task(pool.cleanup())
        await turns()
        cleaning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cleaning
        await turns()
        return sorted(stopped)

    assert finish(cancelled()) == ["pool_0", "pool_1"]
    assert AgentRegistry.all_with_pools() == {}


def test_a_cleaned_up_pool_that_is_kept_does_not_keep_its_members() -> None:
    pool = AgentPool(Closing, 2, name="pool")
    ghosts = [weakref.ref(member) for member in pool.instances]

    finish(pool.cleanup())
    gc.collect()

    assert [ghost() for ghost in ghosts] == [None, None]
    assert len(pool) == 2


def test_nothing_is_lent_while_the_members_are_being_cleaned_up() -> None:
    class Checking(Closing):
        async def cleanup(self) -> None:
            await turns(2)
            with pytest.raises(PoolClosedError):
                pool.acquire_instance("late")
            await super().cleanup()

    pool = AgentPool(Checking, 2, name="pool")
    members = pool.get_all_instances()

    finish(pool.cleanup())

    assert [member.closed for member in members] == [1, 1]


def test_the_names_of_a_cleaned_up_pool_are_free() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(pool)
    finish(pool.cleanup())

    again = AgentPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(again)

    assert AgentRegistry.get_pool("pool") is again


def test_a_members_alias_leaves_with_it() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(pool)
    AgentRegistry.register(pool.instances[0], "alias")

    finish(pool.cleanup())

    assert AgentRegistry.names() == []


# -- all of them ------------------------------------------------------------


def test_all_registered_pools_are_cleaned_up_side_by_side() -> None:
    class Joining(Echo):
        async def cleanup(self) -> None:
            await meeting()

    meeting = Meeting(3)
    for name in ("one", "two", "three"):
        AgentRegistry.register_pool(AgentPool(Joining, 1, name=name))
    agent = Closing("agent")

    finish(cleanup_all_pools())

    assert meeting.arrived == 3
    assert AgentRegistry.all_with_pools() == {"agent": agent}
    assert agent.closed == 0


def test_a_pool_that_can_not_be_cleaned_up_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(AgentPool):
        async def cleanup(self) -> None:
            raise OSError("broken")

    broken, sound = Broken(Closing, 1, name="broken"), AgentPool(Closing, 1, name="sound")
    for pool in (broken, sound):
        AgentRegistry.register_pool(pool)

    finish(cleanup_all_pools())

    assert AgentRegistry.get_pool("sound") is None
    assert "the clean-up of Broken failed" in caplog.text


def test_without_a_pool_there_is_nothing_to_clean_up() -> None:
    finish(cleanup_all_pools())
