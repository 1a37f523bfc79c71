"""Waiting for an allocation: from tasks, loops and threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from agentreg.extensions.resources import (
    Allocation,
    AllocationEndedError,
    AllocationTimeoutError,
    ResourceError,
)
from tests.extensions.resources.clocks import manager_of
from tests.watchdog import run_threads


def test_what_is_granted_is_ready_at_once() -> None:
    allocation = manager_of(10).allocate("ann", 1)

    assert asyncio.run(allocation.ready()) is allocation
    assert allocation.wait(0) is allocation


def test_a_task_waits_until_it_is_granted() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob = manager.allocate("bob", 10)

    async def main() -> Allocation:
        waiting = asyncio.create_task(bob.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        manager.release("ann")
        return await waiting

    assert asyncio.run(main()) is bob


def test_it_is_granted_by_another_thread_and_waited_for_in_several_loops_and_threads() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob = manager.allocate("bob", 10)
    waiting = threading.Barrier(4)

    def in_a_loop() -> Any:
        async def main() -> Any:
            task = asyncio.create_task(bob.ready())
            await asyncio.sleep(0)
            await asyncio.to_thread(waiting.wait, 30)
            return await task

        return asyncio.run(main())

    def in_a_thread() -> Any:
        waiting.wait(30)
        return bob.wait(30)

    def grant() -> Any:
        waiting.wait(30)
        manager.release("ann")
        return bob

    assert run_threads(in_a_loop, in_a_loop, in_a_thread, grant) == [bob] * 4


def test_who_is_not_served_in_time_keeps_the_place_in_the_line() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob = manager.allocate("bob", 10)

    with pytest.raises(TimeoutError, match="of 'bob' was not granted within 0 s"):
        asyncio.run(bob.ready(timeout=0))
    with pytest.raises(AllocationTimeoutError, match="waiting for room"):
        bob.wait(timeout=0)
    assert bob.state == "waiting"
    manager.release("ann")

    assert bob.granted


def test_a_cancelled_task_leaves_the_others_waiting() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob = manager.allocate("bob", 10)

    async def main() -> Allocation:
        gives_up, stays = asyncio.create_task(bob.ready()), asyncio.create_task(bob.ready())
        await asyncio.sleep(0)
        gives_up.cancel()
        await asyncio.gather(gives_up, return_exceptions=True)
        assert gives_up.cancelled()
        manager.release("ann")
        return await stays

    assert asyncio.run(main()) is bob


def test_who_waits_for_what_was_cancelled_is_told() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob = manager.allocate("bob", 10)

    async def main() -> None:
        waiting = asyncio.create_task(bob.ready())
        await asyncio.sleep(0)
        bob.cancel()
        await waiting

    with pytest.raises(AllocationEndedError, match=r"of 'bob' was cancelled \(cancelled\); allocate anew"):
        asyncio.run(main())
    with pytest.raises(ResourceError):
        bob.wait()


def test_what_was_preempted_is_not_ready() -> None:
    manager = manager_of(10)
    low = manager.allocate("low", 10, "low")
    manager.allocate("critical", 10, "critical")

    with pytest.raises(AllocationEndedError, match=r"was preempted \('critical' is critical\)"):
        asyncio.run(low.ready())


def test_a_loop_that_was_closed_holds_nobody_up() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob, cyd = manager.allocate("bob", 5), manager.allocate("cyd", 5)

    async def give_up() -> None:
        task = asyncio.create_task(bob.ready())
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(give_up())
    manager.release("ann")

    assert (bob.granted, cyd.granted) == (True, True)


def test_an_allocation_shows_what_it_is() -> None:
    manager = manager_of(10)

    assert repr(manager.allocate("ann", 10)) == "<Allocation of 10B for 'ann': granted (granted)>"
    assert repr(manager.allocate("bob", 10)) == "<Allocation of 10B for 'bob': waiting (waiting for room)>"
