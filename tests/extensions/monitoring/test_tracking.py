"""Tasks are counted for each agent, by hand, in blocks, and by listening to the registry."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from agentreg import AgentRegistry, BaseAgent, ExecutionConfig, Orchestra
from agentreg.extensions.monitoring import Tracking, record_task, tracked
from agentreg.extensions.monitoring.tracking import SETTLE_AT
from tests.extensions.monitoring.hands import START, Hands


class Echo(BaseAgent):
    """Answers what it is asked, unless that is "fail"."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        if prompt == "fail":
            raise LookupError("lost")
        return prompt


def counted(tracking: Tracking) -> dict[str, tuple[int, int]]:
    """Agent -> tasks and failures."""
    return {name: (figures.tasks, figures.failures) for name, figures in tracking.figures().items()}


def test_tasks_are_counted_with_their_times() -> None:
    tracking = Tracking(clock=Hands())
    for seconds, ok in ((1.0, True), (2.0, False), (6.0, True)):
        tracking.record("ann", seconds, ok)

    figures = tracking.figures()["ann"]

    assert (figures.tasks, figures.failures, figures.seconds, figures.mean, figures.last) == (3, 1, 9.0, 3.0, START)
    assert figures.success_rate == pytest.approx(2 / 3)


def test_what_was_drained_is_not_handed_out_again() -> None:
    tracking = Tracking()
    tracking.record("ann", 1.0, True)
    tracking.record("ann", 3.0, False)

    times, errors = tracking.drain()

    assert times["ann"].cell == (2, 1.0, 3.0, 4.0)
    assert errors["ann"].cell == (2, 0.0, 1.0, 1.0)
    assert tracking.drain() == ({}, {})
    assert tracking.figures()["ann"].tasks == 2


@pytest.mark.parametrize(("failed", "cell"), [(0, (3, 0.0, 0.0, 0.0)), (3, (3, 1.0, 1.0, 3.0))])
def test_errors_are_noughts_and_ones(failed: int, cell: tuple[int, float, float, float]) -> None:
    tracking = Tracking()
    for number in range(3):
        tracking.record("ann", 1.0, number >= failed)

    _, errors = tracking.drain()

    assert errors["ann"].cell == cell
    assert errors["ann"].sketch.quantile(0.5) == pytest.approx(cell[1], rel=0.01)


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_a_time_that_can_not_be_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds: expected a number from 0 up"):
        record_task("ann", seconds, ok=True)


@pytest.mark.parametrize("agent", ["", None, 7])
def test_an_agent_without_a_name_is_refused(agent: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="agent: expected a name"):
        record_task(agent, 1.0, ok=True)


@pytest.mark.parametrize("agent", ["\ud800", "x" * 513])
def test_tasks_under_a_name_that_can_not_be_are_dropped_and_counted(agent: str) -> None:
    tracking = Tracking()

    tracking.record(agent, 1.0, True)

    assert tracking.figures() == {}
    assert tracking.dropped == 1


def test_a_block_is_a_task() -> None:
    with Tracking().attach() as tracking, tracked("ann"):
        pass

    assert counted(tracking) == {"ann": (1, 0)}


def test_what_a_block_raises_passes_through_and_is_a_failure() -> None:
    with Tracking().attach() as tracking, pytest.raises(LookupError, match="lost"), tracked("ann"):
        raise LookupError("lost")

    assert counted(tracking) == {"ann": (1, 1)}


def test_an_asynchronous_block_is_a_task_and_a_cancelled_one_a_failure() -> None:
    async def work() -> None:
        async with tracked("ann"):
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            async with tracked("ann"):
                raise asyncio.CancelledError

    with Tracking().attach() as tracking:
        asyncio.run(work())

    assert counted(tracking) == {"ann": (2, 1)}


def test_a_block_takes_an_agent_itself() -> None:
    ann = Echo("ann")
    with Tracking().attach() as tracking, tracked(ann):
        pass
    record_task(ann, 1.0, ok=True)

    assert counted(tracking) == {"ann": (1, 0)}
    assert counted(Tracking.current()) == {"ann": (1, 0)}


def test_runs_are_tracked_by_themselves() -> None:
    ann, bob = Echo("ann"), Echo("bob")

    async def work() -> None:
        await ann.invoke_agent("bob", "hello")
        with pytest.raises(LookupError):
            await ann.invoke_agent("bob", "fail")
        await Orchestra.run("hello", topology={"agents": ["ann"], "flows": []}, execution_config=ExecutionConfig())

    with Tracking().attach() as tracking:
        asyncio.run(work())

    assert counted(tracking) == {"bob": (2, 1), "ann": (1, 0)}
    assert bob.name == "bob"


def test_who_was_closed_hears_of_no_more_runs() -> None:
    ann, bob = Echo("ann"), Echo("bob")
    tracking = Tracking().attach()
    tracking.attach()
    tracking.close()
    tracking.close()

    asyncio.run(ann.invoke_agent(bob.name, "hello"))
    record_task("ann", 1.0, ok=True)

    assert tracking.figures() == {}
    assert Tracking.current() is not tracking


def test_an_agent_that_leaves_is_forgotten_once_its_tasks_were_handed_out() -> None:
    tracking = Tracking().attach()
    ann = Echo("ann")
    record_task(ann, 1.0, ok=True)
    del ann
    gc.collect()
    AgentRegistry.names()

    times, _ = tracking.drain()

    assert list(times) == ["ann"]
    assert tracking.figures() == {}
    tracking.close()


def test_an_agent_that_came_back_is_not_forgotten() -> None:
    tracking = Tracking().attach()
    ann = Echo("ann")
    record_task(ann, 1.0, ok=True)
    AgentRegistry.unregister("ann")
    AgentRegistry.register(ann, "ann")

    tracking.drain()

    assert list(tracking.figures()) == ["ann"]
    tracking.close()


def test_agents_that_come_and_go_leave_nothing_behind_even_if_nobody_drains() -> None:
    with Tracking(limit=10).attach() as tracking:
        for number in range(100):
            agent = Echo(f"agent-{number}")
            record_task(agent, 1.0, ok=True)
            del agent

        assert len(tracking.figures()) <= 10
        assert tracking.dropped == 0


def test_beyond_the_limit_tasks_are_dropped_and_counted() -> None:
    tracking = Tracking(limit=2)
    for number in range(5):
        tracking.record(f"agent-{number}", 1.0, True)

    assert len(tracking.figures()) == 2
    assert tracking.dropped == 3


def test_a_forgotten_agent_is_counted_anew() -> None:
    tracking = Tracking()
    tracking.record("ann", 1.0, True)
    tracking.forget("ann")

    tracking.record("ann", 1.0, True)

    assert counted(tracking) == {"ann": (1, 0)}


def test_many_tasks_that_nobody_asks_for_are_summed_up_meanwhile() -> None:
    tracking = Tracking()
    for number in range(2 * SETTLE_AT):
        tracking.record(f"agent-{number % 3}", 0.5, number % 4 > 0)

    figures = tracking.figures()
    times, errors = tracking.drain()

    assert sum(each.tasks for each in figures.values()) == 2 * SETTLE_AT
    assert sum(each.failures for each in figures.values()) == SETTLE_AT // 2
    assert sum(each.count for each in times.values()) == 2 * SETTLE_AT
    assert sum(each.total for each in errors.values()) == SETTLE_AT // 2
    assert {each.high for each in times.values()} == {0.5}


class Late:
    """Ends a task when it is collected, whoever is at work then."""

    def __init__(self, tracking: Tracking) -> None:
        self.itself, self.tracking = self, tracking

    def __del__(self) -> None:
        self.tracking.record("late", 1.0, True)
        self.tracking.figures()


def test_a_finalizer_may_end_a_task_while_tasks_are_counted() -> None:
    late = 5
    tracking = Tracking(clock=gc.collect)  # the clock is read in the midst of counting
    for number in range(late):
        Late(tracking)
        tracking.record(f"agent-{number}", 1.0, True)
        tracking.fold()

    gc.collect()

    assert tracking.figures()["late"].tasks == late
    assert len(tracking.figures()) == late + 1


def test_no_task_is_lost_between_threads() -> None:
    tracking = Tracking()
    go = threading.Barrier(4)

    def work() -> None:
        go.wait()
        for number in range(10_000):
            tracking.record("ann", 1.0, number % 2 == 0)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    go.wait()
    drained = 0
    while any(thread.is_alive() for thread in threads):
        drained += sum(times.count for times in tracking.drain()[0].values())
    drained += sum(times.count for times in tracking.drain()[0].values())

    assert counted(tracking) == {"ann": (30_000, 15_000)}
    assert drained == 30_000
