"""Borrowing from a pool: at once, in turn, with a time limit, and giving back whatever happens."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import math
import queue
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from agentreg import AgentPool, AgentRegistry, PoolClosedError, PoolExhaustedError
from tests.crew import Echo, JumpingLoop, LoopThread, Plain, Running, Waiting, finish, jump, passing, turns
from tests.watchdog import elsewhere

# -- at once ----------------------------------------------------------------


def test_a_free_member_is_borrowed_and_given_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    member = pool.acquire_instance("a")

    assert member is pool.instances[0]
    assert pool.release_instance("a") is True
    assert pool.acquire_instance("b") is member


def test_branches_hold_different_members() -> None:
    pool = AgentPool(Echo, 3, name="pool")

    members = [pool.acquire_instance(branch) for branch in "abc"]

    assert {member.name for member in members} == {"pool_0", "pool_1", "pool_2"}


def test_a_branch_that_asks_again_gets_the_same_member() -> None:
    pool = AgentPool(Echo, 2, name="pool")

    member = pool.acquire_instance("a")

    assert pool.acquire_instance("a") is member
    assert pool.acquire_instance("a", timeout=1) is member
    assert finish(pool.acquire_instance_async("a")) is member
    assert pool.get_allocated_count() == 1


def test_a_branch_that_asked_twice_gives_back_once() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    pool.acquire_instance("a")
    pool.acquire_instance("a")

    assert pool.release_instance("a") is True
    assert pool.release_instance("a") is False
    assert pool.get_available_count() == 2


def test_a_branch_that_holds_a_member_of_an_exhausted_pool_still_gets_it() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    assert pool.acquire_instance("a") is member
    assert finish(pool.acquire_instance_async("a", timeout=0)) is member


def test_what_a_branch_does_not_hold_it_can_not_give_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    assert pool.release_instance("b") is False
    assert pool.get_allocated_count() == 1


def test_a_borrowed_member_is_held_for_its_branch() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    member = pool.acquire_instance("a")

    assert member.acquire_instance("b") is False
    assert member.acquire_instance("a") is True
    pool.release_instance("a")
    assert member.acquire_instance("b") is True


def test_members_without_an_acquire_instance_of_their_own_can_be_borrowed() -> None:
    pool = AgentPool(Plain, 1, name="pool")

    member = pool.acquire_instance("a")

    assert type(member) is Plain
    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("b")
    assert pool.release_instance("a") is True
    assert pool.acquire_instance("b") is member


@pytest.mark.parametrize("kind", [Mock, MagicMock])
def test_mocks_can_be_borrowed(kind: type[Mock]) -> None:
    pool = AgentPool(kind, 2, name="pool")
    AgentRegistry.register_pool(pool)

    members = [pool.acquire_instance(branch) for branch in "ab"]

    assert [member.name for member in members] == ["pool_0", "pool_1"]
    assert pool.release_instance("a") is True
    members[0].acquire_instance.assert_called_once_with("a")
    members[0].release_instance.assert_called_once_with("a")
    finish(pool.cleanup())
    members[1].cleanup.assert_called_once_with()


def test_without_a_time_out_an_exhausted_pool_raises_at_once() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    for patience in ({}, {"timeout": None}, {"timeout": 0}, {"timeout": -1}):
        asking = Waiting(functools.partial(pool.acquire_instance, "b", **patience), may_wait=False)
        with pytest.raises(PoolExhaustedError):
            asking.result()


def test_after_the_time_an_exhausted_pool_raises() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    with pytest.raises(PoolExhaustedError) as caught:
        elsewhere(lambda: pool.acquire_instance("b", timeout=0.01))

    assert caught.value.allocated_instances == 1


@pytest.mark.parametrize(
    ("patience", "seconds"), [({}, 30.0), ({"timeout": 5}, 5.0), ({"timeout": 0}, 0.0), ({"timeout": -1}, 0.0)]
)
def test_a_task_is_told_none_when_its_time_is_over(patience: dict[str, Any], seconds: float) -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> tuple[Any, float]:
        return await pool.acquire_instance_async("b", **patience), loop.now

    member, waited = jump(wait)

    assert member is None
    assert waited == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_a_task_may_wait_for_ever(timeout: float | None) -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> Any:
        loop.call_later(3000, pool.release_instance, "a")
        return await pool.acquire_instance_async("b", timeout=timeout)

    assert jump(wait) is member


def test_a_thread_may_wait_for_ever() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")
    waiting = Waiting(lambda: pool.acquire_instance("b", timeout=math.inf))

    pool.release_instance("a")

    assert waiting.result() is member


def test_how_often_other_pools_look_again_may_be_passed_and_means_nothing() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    assert finish(pool.acquire_instance_async("a", timeout=1, retry_interval=0.5)) is pool.instances[0]


# -- in turn ----------------------------------------------------------------


def test_a_waiting_thread_gets_what_another_gives_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")
    waiting = Waiting(lambda: pool.acquire_instance("b", timeout=30))

    pool.release_instance("a")

    assert waiting.result() is member
    assert pool.instance_to_branch == {0: "b"}


def test_waiting_threads_are_served_first_come_first_served() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("first")
    order: list[str] = []

    def borrow(branch: str) -> None:
        pool.acquire_instance(branch, timeout=30)
        order.append(branch)
        pool.release_instance(branch)

    branches = [f"branch {number}" for number in range(8)]
    threads = [Waiting(lambda branch=branch: borrow(branch)) for branch in branches]  # type: ignore[misc]

    pool.release_instance("first")
    for thread in threads:
        thread.result()

    assert order == branches


def test_waiting_tasks_are_served_first_come_first_served() -> None:
    pool = AgentPool(Echo, 3, name="pool")
    order: list[int] = []

    async def borrow(number: int) -> None:
        async with pool.aborrow(f"branch {number}"):
            order.append(number)
            await turns(number % 5)

    async def everybody() -> None:
        await asyncio.gather(*(borrow(number) for number in range(200)))

    finish(everybody())

    assert order == list(range(200))
    assert pool.get_available_count() == 3


def test_threads_and_tasks_stand_in_one_line() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("first")
    order: list[str] = []

    async def aborrow(branch: str) -> None:
        async with pool.aborrow(branch):
            order.append(branch)

    def borrow(branch: str) -> None:
        with pool.borrow(branch, timeout=30):
            order.append(branch)

    async def start(branch: str) -> asyncio.Task[None]:
        task = asyncio.create_task(aborrow(branch))
        await turns()
        return task

    async def end(task: asyncio.Task[None]) -> None:
        await task

    with LoopThread() as loop:
        task = loop.finish(start("task 1"))
        thread = Waiting(lambda: borrow("thread 2"))
        other_task = loop.finish(start("task 3"))
        other_thread = Waiting(lambda: borrow("thread 4"))
        pool.release_instance("first")
        thread.result()
        other_thread.result()
        loop.finish(end(task))
        loop.finish(end(other_task))

    assert order == ["task 1", "thread 2", "task 3", "thread 4"]


def test_nobody_overtakes_those_who_wait() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def overtake() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        with pytest.raises(PoolExhaustedError):
            pool.acquire_instance("c")
        assert await pool.acquire_instance_async("c", timeout=0) is None
        return await waiting

    assert finish(overtake()) is pool.instances[0]


def test_two_tasks_of_a_branch_that_wait_get_the_same_member() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    pool.acquire_instance("x")
    pool.acquire_instance("y")

    async def ask_twice() -> list[Any]:
        tasks = [asyncio.create_task(pool.acquire_instance_async("a")) for _ in range(2)]
        await turns()
        pool.release_instance("y")
        return await asyncio.gather(*tasks)

    assert finish(ask_twice()) == [pool.instances[1]] * 2
    assert pool.get_allocated_count() == 2


def test_a_waiting_branch_that_is_served_elsewhere_is_served_here_too() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("x")

    async def ask_twice() -> Any:
        task = asyncio.create_task(pool.acquire_instance_async("a"))
        await turns()
        pool.release_instance("x")
        assert pool.acquire_instance("a") is member
        return await task

    assert finish(ask_twice()) is member


def test_a_branch_whose_member_is_given_back_before_it_knows_of_it_asks_again() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def play() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        assert pool.release_instance("b") is True
        assert pool.get_available_count() == 1
        return await waiting

    assert finish(play()) is member
    assert pool.get_instance_for_branch("b") is member
    statistics = pool.get_statistics()
    assert (statistics["total_allocations"], statistics["total_releases"]) == (2, 1)


def test_a_branch_whose_member_is_given_back_before_it_knows_of_it_has_lost_its_turn() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def play() -> list[Any]:
        tasks = [asyncio.create_task(pool.acquire_instance_async(branch)) for branch in "bc"]
        await turns()
        pool.release_instance("a")
        pool.release_instance("b")
        served = [await tasks[1]]
        pool.release_instance("c")
        return [*served, await tasks[0]]

    assert finish(play()) == [member, member]


class Slowing(AgentPool):
    """A pool on whose clock an hour passes between any two looks."""

    hours = 0

    @staticmethod
    def clock() -> float:
        Slowing.hours += 1
        return 3600.0 * Slowing.hours


def test_a_thread_whose_time_is_over_before_it_could_wait_does_not_wait() -> None:
    pool = Slowing(Echo, 1, name="pool")
    pool.acquire_instance("a")

    with pytest.raises(PoolExhaustedError):
        elsewhere(lambda: pool.acquire_instance("b", timeout=3000))


def test_a_task_whose_time_is_over_before_it_could_wait_does_not_wait() -> None:
    pool = Slowing(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> tuple[Any, float]:
        return await pool.acquire_instance_async("b", timeout=3000), loop.now

    assert jump(wait) == (None, 0.0)


# -- giving up --------------------------------------------------------------


@pytest.mark.parametrize("patience", [0.01, 1.0, 29.0])
def test_a_waiter_that_timed_out_blocks_nobody(patience: float) -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> Any:
        impatient = [asyncio.create_task(pool.acquire_instance_async(f"i{n}", timeout=patience)) for n in range(100)]
        await turns()
        patient = asyncio.create_task(pool.acquire_instance_async("patient"))
        assert await asyncio.gather(*impatient) == [None] * 100
        pool.release_instance("a")
        return await patient

    assert jump(wait) is member
    assert pool.instance_to_branch == {0: "patient"}


def race(release_first: bool, before: int, between: int, after: int) -> Callable[[AgentPool], Awaitable[str]]:
    """A waiter is cancelled and a member given back, as near to each other as possible."""

    async def play(pool: AgentPool) -> str:
        pool.acquire_instance("holder")
        cancelled = asyncio.create_task(pool.acquire_instance_async("cancelled"))
        await turns(before)
        patient = asyncio.create_task(pool.acquire_instance_async("patient"))
        await turns(before)
        for step in (True, False) if release_first else (False, True):
            if step:
                pool.release_instance("holder")
            else:
                cancelled.cancel()
            await turns(between)
        await turns(after)
        outcome: Any = (await asyncio.gather(cancelled, return_exceptions=True))[0]
        if not isinstance(outcome, asyncio.CancelledError):
            assert pool.get_instance_for_branch("cancelled") is outcome
            pool.release_instance("cancelled")
        else:
            assert pool.get_instance_for_branch("cancelled") is None
        assert await patient is pool.instances[0]
        pool.release_instance("patient")
        return type(outcome).__name__

    return play


@pytest.mark.parametrize("times", [*itertools.product([True, False], range(4), range(4), range(3))], ids=str)
def test_a_waiter_cancelled_while_it_is_handed_a_member_loses_nothing(times: tuple[bool, int, int, int]) -> None:
    pool = AgentPool(Echo, 1, name="pool")

    async def play() -> str:
        return await race(*times)(pool)

    assert finish(play()) in ("CancelledError", "Echo")
    assert pool.get_available_count() == 1
    assert pool.instances[0].acquire_instance("anybody")


def test_both_outcomes_of_that_race_occur() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    async def play() -> set[str]:
        return {await race(*times)(pool) for times in itertools.product([True, False], range(4), range(4), range(3))}

    assert finish(play()) == {"CancelledError", "Echo"}


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1], [1, 0]])
def test_of_two_tasks_of_a_branch_it_takes_both_to_give_a_member_up(cancelled: list[int]) -> None:
    pool = AgentPool(Echo, 1, name="pool")

    async def share() -> list[Any]:
        pool.acquire_instance("x")
        tasks = [asyncio.create_task(pool.acquire_instance_async("b")) for _ in range(2)]
        await turns()
        pool.release_instance("x")
        for index in cancelled:
            tasks[index].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = finish(share())

    assert [type(outcome) for index, outcome in enumerate(outcomes) if index not in cancelled] == [Echo] * (
        2 - len(cancelled)
    )
    assert pool.get_available_count() == (1 if len(cancelled) == 2 else 0)


class Interruption(BaseException):
    """What a signal handler raises."""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system has no signals for threads")
def test_a_thread_that_is_interrupted_while_it_waits_blocks_nobody() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")
    me = threading.get_ident()

    def raise_it(number: int, frame: object) -> None:
        raise Interruption

    def at_the_gate(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and "acquire_instance" in frame.f_code.co_name and function.__name__ == "acquire":
            threading.Thread(target=signal.pthread_kill, args=(me, signal.SIGUSR1), daemon=True).start()

    before = signal.signal(signal.SIGUSR1, raise_it)
    sys.setprofile(at_the_gate)
    try:
        with pytest.raises(Interruption):
            pool.acquire_instance("b", timeout=30)
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGUSR1, before)

    pool.release_instance("a")
    assert pool.get_available_count() == 1


def test_a_waiter_whose_loop_was_closed_is_passed_over() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")
    closed = asyncio.new_event_loop()
    lost = closed.create_task(pool.acquire_instance_async("lost"))
    closed.run_until_complete(turns())
    lost._log_destroy_pending = False  # type: ignore[attr-defined]
    closed.close()

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        return await waiting

    assert finish(wait()) is member
    assert pool.get_instance_for_branch("lost") is None


def test_a_waiter_whose_loop_was_closed_does_not_keep_the_member() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")
    closed = asyncio.new_event_loop()
    lost = closed.create_task(pool.acquire_instance_async("lost"))
    closed.run_until_complete(turns())
    lost._log_destroy_pending = False  # type: ignore[attr-defined]
    closed.close()

    assert pool.release_instance("a") is True

    assert pool.get_available_count() == 1


def test_a_task_whose_branch_also_waited_in_a_loop_that_was_closed_holds_the_member_properly() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")
    closed = asyncio.new_event_loop()
    lost = closed.create_task(pool.acquire_instance_async("b"))
    closed.run_until_complete(turns())
    lost._log_destroy_pending = False  # type: ignore[attr-defined]
    closed.close()

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        return await waiting

    assert finish(wait()) is member
    assert pool.get_instance_for_branch("b") is member
    assert member.acquire_instance("somebody else") is False


def test_a_lost_waiter_that_is_collected_late_takes_nothing_from_its_branch() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.acquire_instance("a")
    closed = asyncio.new_event_loop()
    lost = closed.create_task(pool.acquire_instance_async("b"))
    closed.run_until_complete(turns())
    lost._log_destroy_pending = False  # type: ignore[attr-defined]
    closed.close()

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        return await waiting

    assert finish(wait()) is member
    del lost
    gc.collect()

    assert pool.get_instance_for_branch("b") is member
    assert pool.get_available_count() == 0


# -- in blocks --------------------------------------------------------------


def test_a_block_borrows_and_gives_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    with pool.borrow("a") as member:
        assert pool.get_instance_for_branch("a") is member

    assert pool.get_available_count() == 1


def test_an_async_block_borrows_and_gives_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    async def block() -> None:
        async with pool.aborrow("a") as member:
            assert pool.get_instance_for_branch("a") is member

    finish(block())

    assert pool.get_available_count() == 1


def test_a_block_that_fails_gives_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    with pytest.raises(LookupError, match="lost"), pool.borrow("a"):
        raise LookupError("lost")

    assert pool.get_available_count() == 1


@pytest.mark.parametrize("failure", [LookupError, KeyboardInterrupt, GeneratorExit])
def test_an_async_block_that_fails_gives_back(failure: type[BaseException]) -> None:
    pool = AgentPool(Echo, 1, name="pool")

    async def block() -> None:
        with pytest.raises(failure):
            async with pool.aborrow("a"):
                raise failure

    finish(block())

    assert pool.get_available_count() == 1


def test_an_async_block_that_is_cancelled_gives_back() -> None:
    pool = AgentPool(Echo, 1, name="pool")

    async def block() -> None:
        async with pool.aborrow("a"):
            await asyncio.Event().wait()

    async def cancelled() -> None:
        task = asyncio.create_task(block())
        await turns()
        assert pool.get_available_count() == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    finish(cancelled())

    assert pool.get_available_count() == 1


def test_a_block_for_which_no_member_comes_free_raises() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    with pytest.raises(PoolExhaustedError), pool.borrow("b"):
        pass
    with pytest.raises(PoolExhaustedError), pool.borrow("b", timeout=0.01):
        pass

    assert pool.get_allocated_count() == 1


@pytest.mark.parametrize(("patience", "seconds"), [({}, 30.0), ({"timeout": 5}, 5.0)])
def test_an_async_block_for_which_no_member_comes_free_raises(patience: dict[str, Any], seconds: float) -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def block(loop: JumpingLoop) -> float:
        with pytest.raises(PoolExhaustedError):
            async with pool.aborrow("b", **patience):
                pass
        return loop.now

    assert jump(block) == pytest.approx(seconds, abs=0.01)


# -- members that refuse ----------------------------------------------------


class Moody(Echo):
    """Can be told not to let itself be held."""

    refuses = False
    error: BaseException | None = None

    def acquire_instance(self, branch_id: str) -> bool:
        if self.error is not None:
            raise self.error
        return not self.refuses and super().acquire_instance(branch_id)


def test_a_member_that_refuses_is_passed_over() -> None:
    pool = AgentPool(Moody, 2, name="pool")
    pool.instances[0].refuses = True

    assert pool.acquire_instance("a") is pool.instances[1]
    assert pool.available_instances == {0}


def test_a_pool_whose_free_members_all_refuse_is_exhausted() -> None:
    pool = AgentPool(Moody, 2, name="pool")
    for member in pool.instances:
        member.refuses = True

    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("a")
    assert finish(pool.acquire_instance_async("a", timeout=0)) is None

    assert pool.get_available_count() == 2
    assert pool.get_instance_for_branch("a") is None


def test_a_member_that_refused_once_is_offered_to_the_next_who_asks() -> None:
    pool = AgentPool(Moody, 1, name="pool")
    member = pool.instances[0]
    member.refuses = True
    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("a")

    member.refuses = False

    assert pool.acquire_instance("a") is member


def test_what_a_member_raises_when_it_is_to_be_held_comes_out_and_the_member_goes_back() -> None:
    pool = AgentPool(Moody, 1, name="pool")
    member = pool.instances[0]
    member.error = OSError("out of order")

    with pytest.raises(OSError, match="out of order"):
        pool.acquire_instance("a")
    with pytest.raises(OSError, match="out of order"):
        finish(pool.acquire_instance_async("a"))

    member.error = None
    assert pool.get_available_count() == 1
    assert pool.acquire_instance("a") is member


def test_a_member_that_refuses_a_waiter_is_offered_to_the_next() -> None:
    class Choosy(Echo):
        def acquire_instance(self, branch_id: str) -> bool:
            return branch_id != "unwanted" and super().acquire_instance(branch_id)

    pool = AgentPool(Choosy, 1, name="pool")
    member = pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> list[Any]:
        tasks = [asyncio.create_task(pool.acquire_instance_async(branch)) for branch in ("unwanted", "b")]
        await turns()
        pool.release_instance("a")
        return [await tasks[1], await tasks[0]]

    assert jump(wait) == [member, None]


def test_a_waiter_that_was_refused_goes_on_waiting_for_another_member() -> None:
    pool = AgentPool(Moody, 2, name="pool")
    first, second = (pool.acquire_instance(branch) for branch in "ab")

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("c"))
        await turns()
        first.refuses = True
        pool.release_instance("a")
        await turns()
        assert not waiting.done()
        pool.release_instance("b")
        return await waiting

    assert finish(wait()) is second


def test_a_waiter_that_was_refused_gets_the_member_once_somebody_else_has_had_it() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    member = pool.instances[0]
    member.acquire_instance("outside the pool")

    async def wait(loop: JumpingLoop) -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("a", timeout=30))
        await turns()
        member.release_instance("outside the pool")
        assert pool.acquire_instance("b") is member
        pool.release_instance("b")
        return await waiting

    assert jump(wait) is member


def test_a_thread_that_was_refused_is_out_of_time_when_its_time_is_over() -> None:
    pool = AgentPool(Moody, 1, name="pool")
    pool.instances[0].refuses = True

    with pytest.raises(PoolExhaustedError):
        elsewhere(lambda: pool.acquire_instance("a", timeout=0.02))

    assert pool.get_available_count() == 1


class Considering(Plain):
    """Takes its time over the first who asks, and then answers what it is told to; agrees to everybody else."""

    def __init__(self, asked: threading.Event, answers: queue.Queue[bool]) -> None:
        self.asked = asked
        self.answers = answers

    def acquire_instance(self, branch_id: str) -> bool:
        if self.asked.is_set():
            return True
        self.asked.set()
        return self.answers.get(timeout=30)


@pytest.fixture
def considering() -> tuple[AgentPool, threading.Event, queue.Queue[bool]]:
    """A pool of two that take their time, and what tells and answers them."""
    asked, answers = threading.Event(), queue.Queue[bool]()
    return AgentPool(Considering, 2, asked, answers, name="pool"), asked, answers


@pytest.mark.parametrize("answer", [True, False])
def test_two_threads_of_a_branch_never_hold_different_members(
    answer: bool, considering: tuple[AgentPool, threading.Event, queue.Queue[bool]]
) -> None:
    pool, asked, answers = considering
    first = Running(lambda: pool.acquire_instance("a"))
    assert asked.wait(30)
    second = Waiting(lambda: pool.acquire_instance("a"))

    answers.put(answer)

    assert first.result() is second.result()
    assert pool.allocated_instances["a"].agent_instance is first.result()
    assert pool.get_statistics()["total_allocations"] == 1


@pytest.mark.parametrize("answer", [True, False])
def test_a_task_waits_for_the_answer_that_a_thread_of_its_branch_gets(
    answer: bool, considering: tuple[AgentPool, threading.Event, queue.Queue[bool]]
) -> None:
    pool, asked, answers = considering

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("a"))
        await turns()
        assert not waiting.done()
        answers.put(answer)
        return await waiting

    first = Running(lambda: pool.acquire_instance("a"))
    assert asked.wait(30)

    assert finish(wait()) is first.result()
    assert pool.allocated_instances["a"].agent_instance is first.result()


def test_a_task_that_is_cancelled_while_it_waits_for_that_answer_changes_nothing(
    considering: tuple[AgentPool, threading.Event, queue.Queue[bool]],
) -> None:
    pool, asked, answers = considering

    async def give_up() -> None:
        waiting = asyncio.create_task(pool.acquire_instance_async("a"))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    first = Running(lambda: pool.acquire_instance("a"))
    assert asked.wait(30)
    finish(give_up())
    answers.put(True)

    assert first.result() is pool.instances[0]
    assert pool.get_instance_for_branch("a") is pool.instances[0]
    assert pool.get_allocated_count() == 1


@pytest.mark.parametrize("answer", [True, False])
def test_a_member_that_is_given_back_while_it_is_asked_is_not_lost(
    answer: bool, considering: tuple[AgentPool, threading.Event, queue.Queue[bool]]
) -> None:
    pool, asked, answers = considering
    first = Running(lambda: pool.acquire_instance("a", timeout=30))
    assert asked.wait(30)

    assert pool.release_instance("a") is True
    answers.put(answer)

    member = first.result()
    assert pool.get_instance_for_branch("a") is member
    assert pool.get_available_count() == 1
    pool.release_instance("a")
    assert pool.get_available_count() == 2
    statistics = pool.get_statistics()
    assert statistics["total_allocations"] == statistics["total_releases"]


def test_a_pool_that_is_cleaned_up_while_a_member_is_asked_lends_it_to_nobody(
    considering: tuple[AgentPool, threading.Event, queue.Queue[bool]],
) -> None:
    pool, asked, answers = considering
    first = Running(lambda: pool.acquire_instance("a", timeout=30))
    assert asked.wait(30)

    finish(pool.cleanup())
    answers.put(True)

    with pytest.raises(PoolClosedError):
        first.result()
    assert (pool.get_available_count(), pool.get_allocated_count()) == (0, 0)


# -- members that call back -------------------------------------------------


class Curious(Echo):
    """Uses the registry and its pool whenever it is borrowed or given back."""

    pool: AgentPool | None = None

    def look_around(self) -> None:
        if self.pool is not None:
            AgentRegistry.all_with_pools()
            AgentRegistry.get_available_count("pool")
            self.pool.get_statistics()
            repr(self.pool)
            with self.pool.borrow("inner") as other:
                assert other is not self

    def acquire_instance(self, branch_id: str) -> bool:
        if branch_id != "inner":
            self.look_around()
        return super().acquire_instance(branch_id)

    def release_instance(self, branch_id: str) -> bool:
        if branch_id != "inner":
            elsewhere(self.look_around)
        return super().release_instance(branch_id)


def test_a_member_may_use_the_registry_and_the_pool_when_it_is_borrowed_or_given_back() -> None:
    pool = AgentPool(Curious, 2, name="pool")
    AgentRegistry.register_pool(pool)
    for member in pool.instances:
        member.pool = pool

    def borrow() -> None:
        with pool.borrow("a"):
            pass

    elsewhere(borrow)

    assert pool.get_available_count() == 2


def test_a_member_may_give_itself_back_while_it_is_being_borrowed() -> None:
    class Fickle(Plain):
        def acquire_instance(self, branch_id: str) -> bool:
            return not pool.release_instance(branch_id)

    pool = AgentPool(Fickle, 1, name="pool")

    with pytest.raises(PoolExhaustedError):
        elsewhere(lambda: pool.acquire_instance("a"))

    assert pool.get_available_count() == 1


# -- members that fail to be given back -------------------------------------


class Sticky(Echo):
    """Can not be given back properly."""

    error: BaseException = OSError("sticky")

    def release_instance(self, branch_id: str) -> bool:
        super().release_instance(branch_id)
        raise self.error


def test_a_member_whose_release_raises_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    pool = AgentPool(Sticky, 1, name="pool")
    pool.acquire_instance("a")

    assert pool.release_instance("a") is True

    assert pool.acquire_instance("b") is pool.instances[0]
    assert "the release of member 0 of pool 'pool' failed" in caplog.text
    assert "sticky" in caplog.text


def test_a_member_whose_release_is_interrupted_is_not_lost() -> None:
    pool = AgentPool(Sticky, 1, name="pool")
    pool.acquire_instance("a")
    pool.instances[0].error = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        pool.release_instance("a")

    assert pool.get_available_count() == 1


def test_a_waiter_gets_a_member_whose_release_raises() -> None:
    pool = AgentPool(Sticky, 1, name="pool")
    member = pool.acquire_instance("a")

    async def wait() -> Any:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        pool.release_instance("a")
        return await waiting

    assert finish(wait()) is member


def test_a_member_is_lent_again_only_when_its_own_release_is_through() -> None:
    releasing, released = threading.Event(), threading.Event()

    class Slow(Plain):
        def release_instance(self, branch_id: str) -> bool:
            releasing.set()
            return released.wait(30)

    pool = AgentPool(Slow, 1, name="pool")
    pool.acquire_instance("a")
    giving_back = Running(lambda: pool.release_instance("a"))
    assert releasing.wait(30)

    with pytest.raises(PoolExhaustedError):
        pool.acquire_instance("b")

    released.set()
    assert giving_back.result() is True
    assert pool.acquire_instance("b") is pool.instances[0]


# -- without polling --------------------------------------------------------


def test_a_waiting_task_does_not_keep_the_loop_busy() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> int:
        waiting = [asyncio.create_task(pool.acquire_instance_async(f"b{n}", timeout=1000)) for n in range(10)]
        await turns()
        before = loop.rounds
        await passing(900)
        rounds = loop.rounds - before
        assert [task.done() for task in waiting] == [False] * 10
        return rounds

    assert jump(wait) <= 2


def test_a_waiting_task_does_not_block_the_loop() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def wait() -> int:
        waiting = asyncio.create_task(pool.acquire_instance_async("b"))
        await turns()
        went_on = 0
        for _ in range(1000):
            await asyncio.sleep(0)
            went_on += 1
        pool.release_instance("a")
        await waiting
        return went_on

    assert finish(wait()) == 1000


def test_a_waiting_task_is_woken_in_the_round_after_the_release() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> tuple[float, int]:
        waiting = asyncio.create_task(pool.acquire_instance_async("b", timeout=1000))
        await turns()
        loop.call_later(100, pool.release_instance, "a")
        before = loop.rounds
        await waiting
        return loop.now, loop.rounds - before

    now, rounds = jump(wait)

    assert now == pytest.approx(100, abs=0.01)
    assert rounds <= 6


def test_a_closed_pool_tells_a_block_that_it_is_closed() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    finish(pool.cleanup())

    with pytest.raises(PoolClosedError, match="pool 'pool' was cleaned up"), pool.borrow("a"):
        pass

    async def block() -> None:
        async with pool.aborrow("a"):
            pass

    with pytest.raises(PoolClosedError, match="make a new one"):
        finish(block())


class Hesitant(Plain):
    """Raises when it is asked whether it may be lent, the first time."""

    asked = 0

    def acquire_instance(self, branch_id: str) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError(f"not for {branch_id}")
        return True


def test_a_member_that_raises_when_it_is_asked_is_free_for_the_next_who_asks() -> None:
    pool = AgentPool(Hesitant, 1, name="pool")

    with pytest.raises(RuntimeError, match="not for a"):
        pool.acquire_instance("a")

    assert pool.get_available_count() == 1
    assert pool.allocated_instances == {}
    assert pool.acquire_instance("b") is pool.instances[0]
