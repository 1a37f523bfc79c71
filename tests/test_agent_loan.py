"""One branch at a time may hold an agent: asking, waiting in turn, giving back."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import threading
from typing import Any

import pytest

from tests.crew import Echo, JumpingLoop, LoopThread, Running, finish, jump, turns
from tests.watchdog import run_in_fork, run_threads


def test_one_branch_at_a_time_holds_an_agent() -> None:
    agent = Echo("agent")

    assert agent.acquire_instance("a") is True
    assert agent.acquire_instance("b") is False
    assert agent.release_instance("a") is True
    assert agent.acquire_instance("b") is True


def test_the_branch_that_holds_an_agent_may_ask_again() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    assert agent.acquire_instance("a") is True
    assert agent.release_instance("a") is True
    assert agent.acquire_instance("b") is True


def test_only_the_branch_that_holds_an_agent_gives_it_back() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    assert agent.release_instance("b") is False
    assert agent.acquire_instance("b") is False


def test_giving_back_twice_is_harmless() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    assert agent.release_instance("a") is True
    assert agent.release_instance("a") is False


def test_what_nobody_holds_can_not_be_given_back() -> None:
    assert Echo("agent").release_instance("a") is False


def test_agents_are_held_each_on_its_own() -> None:
    one, other = Echo("one"), Echo("other")
    one.acquire_instance("a")

    assert other.acquire_instance("a") is True
    assert other.acquire_instance("b") is False
    assert one.acquire_instance("b") is False


def test_a_free_agent_is_held_without_waiting() -> None:
    agent = Echo("agent")

    assert finish(agent.acquire_instance_async("a")) is True
    assert agent.acquire_instance("b") is False


def test_the_branch_that_holds_an_agent_does_not_wait_for_itself() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    assert finish(agent.acquire_instance_async("a", timeout=None)) is True


def test_waiting_branches_are_served_first_come_first_served() -> None:
    agent = Echo("agent")
    order: list[int] = []

    async def branch(number: int) -> None:
        assert await agent.acquire_instance_async(f"branch {number}")
        order.append(number)
        await turns(number % 3)
        agent.release_instance(f"branch {number}")

    async def all_branches() -> None:
        agent.acquire_instance("first")
        tasks = []
        for number in range(20):
            tasks.append(asyncio.create_task(branch(number)))
            await turns(2)
        agent.release_instance("first")
        await asyncio.gather(*tasks)

    finish(all_branches())

    assert order == list(range(20))


def test_nobody_overtakes_those_who_wait() -> None:
    agent = Echo("agent")

    async def overtaken() -> bool:
        agent.acquire_instance("a")
        waiting = asyncio.create_task(agent.acquire_instance_async("b"))
        await turns()
        agent.release_instance("a")
        overtook = agent.acquire_instance("c")
        assert await waiting
        return overtook

    assert finish(overtaken()) is False


@pytest.mark.parametrize(("patience", "seconds"), [({}, 30.0), ({"timeout": 5.0}, 5.0), ({"timeout": 0.0}, 0.0)])
def test_waiting_ends_with_the_time(patience: dict[str, Any], seconds: float) -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> tuple[bool, float]:
        return await agent.acquire_instance_async("b", **patience), loop.now

    held, waited = jump(wait)

    assert held is False
    assert waited == pytest.approx(seconds, abs=0.01)


def test_without_a_time_out_a_branch_waits_for_ever() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> bool:
        loop.call_later(3000, agent.release_instance, "a")
        return await agent.acquire_instance_async("b", timeout=None)

    assert jump(wait) is True


def test_a_waiter_that_timed_out_takes_no_turn_and_blocks_none() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    async def wait(loop: JumpingLoop) -> list[bool]:
        impatient = asyncio.create_task(agent.acquire_instance_async("b", timeout=1))
        patient = asyncio.create_task(agent.acquire_instance_async("c", timeout=100))
        assert await impatient is False
        agent.release_instance("a")
        return [await patient, agent.acquire_instance("b")]

    assert jump(wait) == [True, False]


@pytest.mark.parametrize("times", [*itertools.product(range(4), repeat=3)], ids=str)
def test_a_waiter_cancelled_at_whatever_moment_takes_no_turn_and_blocks_none(times: tuple[int, int, int]) -> None:
    before, between, after = times
    agent = Echo("agent")

    async def race() -> bool:
        agent.acquire_instance("a")
        cancelled = asyncio.create_task(agent.acquire_instance_async("b"))
        await turns(before)
        patient = asyncio.create_task(agent.acquire_instance_async("c"))
        await turns(between)
        agent.release_instance("a")
        await turns(after)
        cancelled.cancel()
        (outcome,) = await asyncio.gather(cancelled, return_exceptions=True)
        if outcome is True:  # it came too late
            agent.release_instance("b")
        else:
            assert isinstance(outcome, asyncio.CancelledError)
        return await patient

    assert finish(race()) is True
    assert agent.acquire_instance("b") is False


def test_two_tasks_of_a_branch_share_their_turn() -> None:
    agent = Echo("agent")

    async def share() -> list[bool]:
        agent.acquire_instance("a")
        tasks = [asyncio.create_task(agent.acquire_instance_async(branch)) for branch in ("b", "c", "b")]
        await turns()
        agent.release_instance("a")
        await turns()
        shared = [tasks[0].done(), tasks[1].done(), tasks[2].done()]
        agent.release_instance("b")
        await asyncio.gather(*tasks)
        return shared

    assert finish(share()) == [True, False, True]


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1], [1, 0]])
def test_of_two_tasks_of_a_branch_it_takes_both_to_give_up_the_turn(cancelled: list[int]) -> None:
    agent = Echo("agent")

    async def share() -> bool:
        agent.acquire_instance("a")
        tasks = [asyncio.create_task(agent.acquire_instance_async("b")) for _ in range(2)]
        await turns()
        agent.release_instance("a")
        for index in cancelled:
            tasks[index].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return agent.acquire_instance("c")

    assert finish(share()) is (len(cancelled) == 2)


def test_giving_back_from_another_thread_wakes_who_waits() -> None:
    agent = Echo("agent")

    async def wait() -> bool:
        agent.acquire_instance("a")
        waiting = asyncio.create_task(agent.acquire_instance_async("b"))
        await turns()
        Running(lambda: agent.release_instance("a"))
        return await waiting

    assert finish(wait()) is True


def test_those_who_wait_in_several_loops_are_served_in_order() -> None:
    agent = Echo("agent")
    agent.acquire_instance("first")
    order: list[str] = []

    async def ask(branch: str, asked: threading.Event) -> None:
        waiting = asyncio.ensure_future(agent.acquire_instance_async(branch))
        await turns()
        asked.set()
        assert await waiting
        order.append(branch)
        agent.release_instance(branch)

    with LoopThread() as one, LoopThread() as other:
        outcomes = []
        for number, thread in enumerate([one, other, other, one, other, one]):
            asked = threading.Event()
            outcomes.append(thread.start(ask(f"branch {number}", asked)))
            assert asked.wait(30)
        agent.release_instance("first")
        for outcome in outcomes:
            outcome.result(30)

    assert order == [f"branch {number}" for number in range(6)]


def test_of_eight_threads_exactly_one_holds_an_agent() -> None:
    for round_ in range(50):
        agent = Echo(f"agent {round_}")

        held = run_threads(*(functools.partial(agent.acquire_instance, f"branch {number}") for number in range(8)))

        assert sorted(held) == [False] * 7 + [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_may_borrow_and_give_back() -> None:
    agent = Echo("agent")
    agent.acquire_instance("a")

    def in_the_child() -> None:
        assert agent.acquire_instance("b") is False
        assert agent.release_instance("a") is True
        assert agent.acquire_instance("b") is True

    run_in_fork(in_the_child)

    assert agent.acquire_instance("b") is False
