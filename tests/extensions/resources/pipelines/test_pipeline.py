"""Steps in order, and all of them undone when one fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.resources.conflicts import DecisionLog
from agentreg.extensions.resources.pipelines import Pipeline, PipelineError, Run, Skipped, Step

NAMES = "abcdef"


class World:
    """Where steps leave their traces, and what was done in which order."""

    def __init__(self) -> None:
        self.traces: dict[str, str] = {}
        self.history: list[str] = []
        self.blocked = asyncio.Event()

    def step(self, name: str, how: str = "fine", undo: str = "fine", vital: bool = True) -> Step:
        async def do(run: Run) -> Any:
            if how == "skips":
                return Skipped("nothing to do")
            if how == "fails":
                raise ValueError(name)
            if how in ("times out", "cancelled"):
                self.blocked.set()
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(0)
            if how == "late":  # it ends in spite of being cancelled
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.get_running_loop().create_future()
            self.traces[name] = run.request
            self.history.append(f"do {name}")
            return f"it was {name}"

        async def take_back(run: Run) -> None:
            self.history.append(f"undo {name}")
            if undo == "fails":
                raise OSError(name)
            await asyncio.sleep(0)
            del self.traces[name]

        timeout = 0.001 if how in ("times out", "late") else None
        return Step(name, do, take_back, timeout, vital=vital)


def behind(error: BaseException) -> BaseException | None:
    """What a cancellation was raised from; Python 3.10 wraps it in another one."""
    return error.__cause__ or (error.__context__ and error.__context__.__cause__)


def outcomes(steps: Any) -> dict[str, str]:
    return {step.name: step.outcome for step in steps}


def test_all_steps_are_done_in_order_and_reported() -> None:
    world, log = World(), DecisionLog()
    clock = iter(range(100)).__next__

    result = asyncio.run(Pipeline(map(world.step, "abc"), log, clock).run("scout"))

    assert world.history == ["do a", "do b", "do c"]
    assert [(step.name, step.seconds, step.outcome, step.detail) for step in result.steps] == [
        ("a", 1, "done", "it was a"),
        ("b", 1, "done", "it was b"),
        ("c", 1, "done", "it was c"),
    ]
    assert log.decisions("scout")[0].steps == result.steps


def test_a_step_that_fails_undoes_those_before_it_in_reverse() -> None:
    world = World()
    pipeline = Pipeline([world.step("a"), world.step("b"), world.step("c", "fails"), world.step("d")])

    with pytest.raises(PipelineError, match=r"failed in the step 'c': ValueError: c; everything before it was undone"):
        asyncio.run(pipeline.run("scout"))

    assert world.history == ["do a", "do b", "undo b", "undo a"]
    assert world.traces == {}


def test_an_undo_that_fails_is_reported_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    pipeline = Pipeline([world.step("a"), world.step("b", undo="fails"), world.step("c", "fails")])

    with pytest.raises(PipelineError, match=r"see to them by hand: b \(OSError: b\)") as caught:
        asyncio.run(pipeline.run("scout"))

    assert world.traces == {"b": "scout"}
    assert outcomes(caught.value.steps) == {"a": "undone", "b": "undo failed", "c": "failed"}
    assert [type(error) for error in caught.value.exceptions] == [ValueError, OSError]
    assert caught.value.__cause__ is caught.value.cause
    assert "the step 'b' could not be undone" in caplog.text


def test_a_step_that_runs_over_its_time_is_cancelled_and_the_others_are_undone() -> None:
    world = World()

    with pytest.raises(PipelineError) as caught:
        asyncio.run(Pipeline([world.step("a"), world.step("b", "times out")]).run("scout"))

    assert isinstance(caught.value.cause, TimeoutError)
    assert outcomes(caught.value.steps) == {"a": "undone", "b": "timed out"}


def test_a_step_that_ends_after_its_time_is_undone_too() -> None:
    world = World()

    with pytest.raises(PipelineError):
        asyncio.run(Pipeline([world.step("a", "late")]).run("scout"))

    assert world.history == ["do a", "undo a"]
    assert world.traces == {}


def test_an_undo_that_hangs_has_failed_after_its_time() -> None:
    async def hang(run: Run) -> None:
        await asyncio.get_running_loop().create_future()

    world = World()
    stuck = Step("stuck", lambda run: None, hang, undo_timeout=0.001)

    with pytest.raises(PipelineError) as caught:
        asyncio.run(Pipeline([world.step("a"), stuck, world.step("b", "fails")]).run("scout"))

    assert isinstance(caught.value.failed_undos["stuck"], TimeoutError)
    assert world.traces == {}


def test_a_cancelled_run_is_undone_to_the_end_however_often_it_is_cancelled() -> None:
    async def main() -> World:
        world = World()
        steps = [world.step("a"), world.step("b"), world.step("c", "cancelled")]
        task = asyncio.create_task(Pipeline(steps).run("scout"))
        await world.blocked.wait()
        for _ in range(20):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(behind(caught.value), PipelineError)
        return world

    world = asyncio.run(main())

    assert world.history == ["do a", "do b", "undo b", "undo a"]
    assert world.traces == {}


def test_a_step_that_had_nothing_to_do_is_not_undone() -> None:
    world = World()

    with pytest.raises(PipelineError) as caught:
        asyncio.run(Pipeline([world.step("a", "skips"), Step("b", None), world.step("c", "fails")]).run("scout"))

    assert outcomes(caught.value.steps) == {"a": "skipped", "b": "skipped", "c": "failed"}
    assert world.history == []


def test_a_step_that_is_not_vital_may_fail() -> None:
    world = World()

    result = asyncio.run(Pipeline([world.step("a", "fails", vital=False), world.step("b")]).run("scout"))

    assert [step.name for step in result.troubles] == ["a"]
    assert world.history == ["do b"]


def test_steps_at_the_end_that_are_not_vital_are_gone_through_even_when_cancelled() -> None:
    async def main() -> World:
        world = World()

        async def wait(run: Run) -> None:
            world.blocked.set()
            for _ in range(5):
                await asyncio.sleep(0)

        pipeline = Pipeline([world.step("a"), Step("wait", wait, vital=False), world.step("b", vital=False)])
        task = asyncio.create_task(pipeline.run("scout"))
        await world.blocked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return world

    assert asyncio.run(main()).history == ["do a", "do b"]


# -- other steps ------------------------------------------------------------


def test_steps_can_be_left_out_replaced_and_added() -> None:
    first = Pipeline([Step(name, None) for name in "abc"])

    other = first.without("b").before("c", Step("x", None)).after("c", Step("y", None)).replaced("a", Step("z", None))

    assert [step.name for step in other.steps] == ["z", "x", "c", "y"]
    assert [step.name for step in first.steps] == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["without", "replaced", "before", "after"])
def test_a_step_that_there_is_not_is_told_with_those_that_there_are(change: str) -> None:
    with pytest.raises(LookupError, match="there is no step 'x'; the steps are a, b"):
        getattr(Pipeline([Step("a", None), Step("b", None)]), change)("x")


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two steps are called 'a'"):
        Pipeline([Step("a", None)]).after("a", Step("a", None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step("", None), "name of a step"),
        (lambda: Step("a", None, timeout=-1), "timeout of the step 'a': expected 0 seconds or more"),
        (lambda: Step("a", None, undo_timeout=float("nan")), "undo_timeout of the step 'a'"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(make: Callable[[], Step], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# -- what must always hold --------------------------------------------------

HOW = st.sampled_from(["fine", "fine", "fine", "skips", "fails", "times out", "late", "cancelled"])
STEPS = st.lists(st.tuples(HOW, st.sampled_from(["fine", "fine", "fails"])), max_size=len(NAMES))


@settings(deadline=None, max_examples=100)
@given(STEPS, st.integers(1, 4))
def test_whatever_fails_no_trace_is_left_but_of_undos_that_failed(steps: list[tuple[str, str]], cancels: int) -> None:
    log = DecisionLog()
    bad = next((place for place, (how, _) in enumerate(steps) if how not in ("fine", "skips")), None)

    async def main() -> tuple[World, BaseException | None]:
        world = World()
        made = [world.step(name, how, undo) for name, (how, undo) in zip(NAMES, steps, strict=False)]
        task = asyncio.create_task(Pipeline(made, log).run("scout"))
        if bad is not None and steps[bad][0] == "cancelled":
            await world.blocked.wait()
            for _ in range(cancels):
                task.cancel()
                await asyncio.sleep(0)
        try:
            await task
        except PipelineError as error:
            return world, error
        except asyncio.CancelledError as error:
            return world, behind(error)
        return world, None

    world, error = asyncio.run(main())

    late = bad is not None and steps[bad][0] == "late"
    reached = steps if bad is None else steps[: bad + late]
    done = [name for name, (how, _) in zip(NAMES, reached, strict=False) if how in ("fine", "late")]
    failing = {name for name, (_, undo) in zip(NAMES, steps, strict=False) if undo == "fails"} & set(done)
    (decision,) = log.decisions("scout")
    if bad is None:
        assert error is None
        assert list(world.traces) == done
        assert decision.choice == "done"
    else:
        assert isinstance(error, PipelineError)
        assert error.step == NAMES[bad]
        assert set(world.traces) == set(error.failed_undos) == failing
        assert world.history == [f"do {name}" for name in done] + [f"undo {name}" for name in reversed(done)]
        assert decision.choice == ("cancelled" if steps[bad][0] == "cancelled" else "failed")
    assert [step.name for step in decision.steps] == list(NAMES[: len(steps)])
