"""Pools in a crowd of threads: nobody shares a member, nobody is forgotten, nothing is lost."""

from __future__ import annotations

import asyncio
import collections
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, NameTakenError, PoolClosedError, PoolExhaustedError, table
from tests.crew import Closing, Echo, Owners, Plain, Running, Waiting, finish
from tests.watchdog import run_in_fork, run_threads

THREADS = 8


def in_threads(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """*work* for each number, in a thread each."""
    return run_threads(*(lambda number=number: work(number) for number in range(threads)))


@pytest.mark.parametrize("kind", [Echo, Plain])
def test_a_storm_of_threads_never_shares_a_member_and_loses_none(kind: type, restless_threads: None) -> None:
    pool = AgentPool(kind, 3, name="pool")
    owners = Owners()

    def borrow(thread: int) -> int:
        borrowed = 0
        for number in range(1250):
            branch = f"{thread}.{number}"
            try:
                with (
                    pool.borrow(branch, timeout=(None, 0.0001, 60)[number % 3]) as member,
                    owners.owning(member, branch),
                ):
                    assert pool.get_instance_for_branch(branch) is member
                    borrowed += 1
            except PoolExhaustedError:
                assert number % 3 != 2, "it was not served within a minute"
        return borrowed

    borrowed = sum(in_threads(borrow))

    statistics = pool.get_statistics()
    assert owners.twice == []
    assert pool.available_instances == {0, 1, 2}
    assert statistics["total_allocations"] == statistics["total_releases"] == borrowed >= THREADS * 416
    assert statistics["peak_concurrent_usage"] <= 3


def test_of_eight_branches_that_ask_at_once_as_many_are_served_as_there_are_members() -> None:
    for size in range(1, 6):
        pool = AgentPool(Echo, size, name=f"pool {size}")

        def ask(number: int, pool: AgentPool = pool) -> Any:
            try:
                return pool.acquire_instance(f"branch {number}")
            except PoolExhaustedError:
                return None

        served = [member for member in in_threads(ask) if member is not None]

        assert len(served) == len(set(served)) == size


def test_threads_of_one_branch_all_get_the_same_member() -> None:
    for round_ in range(30):
        pool = AgentPool(Echo, 4, name=f"pool {round_}")

        members = in_threads(lambda number, pool=pool: pool.acquire_instance("branch", timeout=30))  # type: ignore[misc]

        assert len(set(members)) == 1
        assert pool.get_statistics()["total_allocations"] == 1
        assert pool.get_available_count() == 3


def test_of_eight_threads_that_give_back_at_once_one_does() -> None:
    for round_ in range(30):
        pool = AgentPool(Echo, 2, name=f"pool {round_}")
        pool.acquire_instance("branch")

        given = in_threads(lambda number, pool=pool: pool.release_instance("branch"))  # type: ignore[misc]

        assert sorted(given) == [False] * 7 + [True]
        assert pool.get_available_count() == 2


def test_every_one_of_fifty_waiting_threads_gets_its_turn_in_order() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("first")
    order: list[int] = []

    def borrow(number: int) -> None:
        with pool.borrow(f"branch {number}", timeout=60):
            order.append(number)

    waiting = [Waiting(lambda number=number: borrow(number)) for number in range(50)]  # type: ignore[misc]

    pool.release_instance("first")
    for thread in waiting:
        thread.result()

    assert order == list(range(50))


def test_a_pool_that_is_cleaned_up_in_a_storm_sends_everybody_home() -> None:
    pool = AgentPool(Closing, 2, name="pool")
    AgentRegistry.register_pool(pool)
    members = pool.get_all_instances()
    busy = threading.Barrier(THREADS + 1)

    def borrow(thread: int) -> str:
        for number in range(100_000):
            if number == 5:
                busy.wait(30)
            try:
                with pool.borrow(f"{thread}.{number}", timeout=60):
                    pass
            except PoolClosedError:
                return "sent home"
        return "never sent home"

    def clean() -> str:
        busy.wait(30)
        finish(pool.cleanup())
        return "sent home"

    ends = run_threads(clean, *(lambda thread=thread: borrow(thread) for thread in range(THREADS)))

    assert ends == ["sent home"] * (THREADS + 1)
    assert [member.closed for member in members] == [1, 1]
    assert (pool.get_available_count(), pool.get_allocated_count()) == (0, 0)
    assert AgentRegistry.all_with_pools() == {}


def test_clean_ups_in_eight_threads_clean_every_member_once() -> None:
    for round_ in range(20):
        pool = AgentPool(Closing, 3, name=f"pool {round_}")
        AgentRegistry.register_pool(pool)
        members = pool.get_all_instances()

        in_threads(lambda number, pool=pool: finish(pool.cleanup()))  # type: ignore[misc]

        assert [member.closed for member in members] == [1, 1, 1]
    assert AgentRegistry.all_with_pools() == {}


def test_of_pools_that_are_made_at_once_under_one_name_one_is_whole_and_the_others_leave_nothing() -> None:
    for round_ in range(20):

        def make(number: int, name: str = f"pool {round_}") -> AgentPool | None:
            try:
                pool = AgentPool(Echo, 3, name=name)
                AgentRegistry.register_pool(pool)
            except NameTakenError:
                return None
            return pool

        pools = [pool for pool in in_threads(make, 4) if pool is not None]

        names = [f"pool {round_}_{index}" for index in range(3)]
        assert len(pools) <= 1
        assert AgentRegistry.names() == (names if pools else [])
        if pools:
            assert [AgentRegistry.get(name) for name in names] == pools[0].instances
            finish(pools[0].cleanup())


def test_pools_that_come_and_go_under_one_name_are_never_half_there() -> None:
    done = threading.Event()
    rounds = collections.Counter[str]()

    def come_and_go(number: int) -> None:
        try:
            for _ in range(100):
                pool = AgentPool(Plain, 3, name="pool")
                try:
                    AgentRegistry.register_pool(pool)
                except NameTakenError:
                    rounds["taken"] += 1
                    continue
                with pool.borrow("branch", timeout=30) as member:
                    assert AgentRegistry.get(member.name) is member
                AgentRegistry.unregister_pool(pool)
        finally:
            if number == 0:
                done.set()

    def look(number: int) -> None:
        while not done.is_set():
            everything = AgentRegistry.all_with_pools()
            assert set(everything) in (set(), {"pool", "pool_0", "pool_1", "pool_2"})
            pool = everything.get("pool")
            if pool is not None:
                assert [everything[f"pool_{index}"] for index in range(3)] == pool.instances

    in_threads(lambda number: come_and_go(number) if number < 3 else look(number), 5)

    assert AgentRegistry.all_with_pools() == {}


def test_a_thread_waits_without_using_the_processor() -> None:
    pool = AgentPool(Echo, 1, name="pool")
    pool.acquire_instance("a")
    asked = 0

    class Counting(AgentPool):
        @staticmethod
        def clock() -> float:
            nonlocal asked
            asked += 1
            return 0.0

    counting = Counting(Echo, 1, name="counting")
    counting.acquire_instance("a")
    waiting = Waiting(lambda: counting.acquire_instance("b", timeout=60))
    before = asked
    other = Waiting(lambda: pool.acquire_instance("b", timeout=60))
    Running(lambda: pool.release_instance("a"))
    other.result()

    assert asked == before
    counting.release_instance("a")
    assert waiting.result() is counting.instances[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_has_a_pool_that_works_though_threads_were_waiting() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    AgentRegistry.register_pool(pool)
    members = [pool.acquire_instance(branch) for branch in "ab"]

    async def wait_in_a_loop() -> None:
        waiting = asyncio.create_task(pool.acquire_instance_async("parent", timeout=None))
        await asyncio.sleep(0)

        def in_the_child() -> None:
            assert pool.release_instance("a") is True
            assert pool.acquire_instance("c") is members[0]
            assert pool.release_instance("b") is True
            assert finish_in_a_thread(lambda: pool.acquire_instance("d", timeout=30)) is members[1]

        run_in_fork(in_the_child)
        pool.release_instance("a")
        assert await waiting is members[0]

    finish(wait_in_a_loop())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_that_is_forked_in_the_middle_of_a_loan_has_a_pool_that_works() -> None:
    pool = AgentPool(Echo, 2, name="pool")
    in_the_middle, forked = threading.Event(), threading.Event()

    def stay_there(frame: FrameType, event: str, arg: Any) -> Any:
        if table.lock._is_owned() and not in_the_middle.is_set():  # type: ignore[attr-defined]
            in_the_middle.set()
            forked.wait(0.3)  # the fork should wait for this thread to be through
        return stay_there

    def ask() -> Any:
        sys.settrace(stay_there)
        try:
            return pool.acquire_instance("a")
        finally:
            sys.settrace(None)

    def in_the_child() -> None:
        assert pool.acquire_instance("b") is not None
        assert pool.release_instance("b") is True

    thread = Running(ask)
    assert in_the_middle.wait(30)
    run_in_fork(in_the_child, timeout=10)
    forked.set()

    assert thread.result() is pool.get_instance_for_branch("a")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("ask_first", [True, False])
def test_a_child_process_does_not_wait_for_a_member_that_a_thread_of_the_parent_was_asking(ask_first: bool) -> None:
    asked, answered = threading.Event(), threading.Event()
    asking: threading.Thread | None = None

    class Slow(Plain):
        def acquire_instance(self, branch_id: str) -> bool:
            asked.set()
            return answered.wait(30) if threading.current_thread() is asking else True

    def in_the_child() -> None:
        if ask_first:
            assert pool.acquire_instance("a", timeout=1) is pool.instances[0]
        assert pool.release_instance("a") is True
        assert pool.get_available_count() == 1
        assert pool.acquire_instance("b", timeout=1) is pool.instances[0]

    def ask() -> Any:
        nonlocal asking
        asking = threading.current_thread()
        return pool.acquire_instance("a")

    pool = AgentPool(Slow, 1, name="pool")
    thread = Running(ask)
    assert asked.wait(30)
    try:
        run_in_fork(in_the_child, timeout=10)
    finally:
        answered.set()

    assert thread.result() is pool.instances[0]


def finish_in_a_thread(function: Callable[[], Any]) -> Any:
    """The result of *function* in a thread: in a forked child, the event loop of the parent seems to run here."""
    return Running(function).result()
