"""Pipeline: named steps in order, and all of them undone when one fails."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import Self

from agentreg.extensions.resources.conflicts import Decision, DecisionLog, StepReport
from agentreg.extensions.resources.pipelines.errors import PipelineError, told
from agentreg.extensions.resources.pipelines.performing import Outcome, perform, uninterrupted
from agentreg.extensions.resources.pipelines.step import Run, Skipped, Step

__all__ = ["Pipeline", "PipelineResult"]

_log = logging.getLogger("agentreg")


@dataclass(frozen=True)
class PipelineResult:
    """What came of a run.

    Attributes:
        request: The request as it is now.
        steps: What became of each step, in order.
    """

    request: Any
    steps: tuple[StepReport, ...]

    @property
    def troubles(self) -> tuple[StepReport, ...]:
        """The steps that failed without failing the run."""
        return tuple(step for step in self.steps if step.outcome in ("failed", "timed out", "cancelled"))


class Pipeline:
    """Named steps in order. When one fails, those before it are undone, the last first.

    A run that is cancelled is undone as well, to the end, before the
    cancellation goes on; but for steps at the end that are not vital: once
    they are reached, they are all gone through. An undo that fails is
    reported, and the others go on. Each run is recorded in *log*, with what
    became of each step.

    Immutable: `without`, `replaced`, `before` and `after` make others.

    Thread-safe: no. Runs may overlap within one event loop; *clock* is
    monotonic and measures how long steps take.

    Raises:
        ValueError: two steps have one name.

    Example:
        >>> import asyncio
        >>> world = set()
        >>> add = Step("add", lambda run: world.add(run.request), lambda run: world.discard(run.request))
        >>> fail = Step("fail", lambda run: 1 / 0)
        >>> try:
        ...     asyncio.run(Pipeline([add, fail]).run("scout"))
        ... except PipelineError as error:
        ...     print(error.step, [step.outcome for step in error.steps], world)
        fail ['undone', 'failed'] set()
    """

    kind = "pipeline"
    """What it calls its runs, in errors and in the log."""

    success = "done"
    """What it calls a run that went well."""

    def __init__(
        self,
        steps: Iterable[Step],
        log: DecisionLog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.steps = _distinct(steps)
        self.log = log
        self._clock = clock

    # -- other steps --------------------------------------------------------

    def without(self, *names: str) -> Self:
        """The same without these steps.

        >>> [step.name for step in Pipeline([Step("a", None), Step("b", None)]).without("a").steps]
        ['b']

        Raises:
            LookupError: there is no such step.
        """
        places = {self._place(name) for name in names}
        return self._with([step for place, step in enumerate(self.steps) if place not in places])

    def replaced(self, name: str, *steps: Step) -> Self:
        """The same with *steps* in the place of one.

        >>> [step.name for step in Pipeline([Step("a", None)]).replaced("a", Step("b", None), Step("c", None)).steps]
        ['b', 'c']
        """
        place = self._place(name)
        return self._with([*self.steps[:place], *steps, *self.steps[place + 1 :]])

    def before(self, name: str, *steps: Step) -> Self:
        """The same with *steps* before one.

        >>> [step.name for step in Pipeline([Step("a", None)]).before("a", Step("b", None)).steps]
        ['b', 'a']
        """
        place = self._place(name)
        return self._with([*self.steps[:place], *steps, *self.steps[place:]])

    def after(self, name: str, *steps: Step) -> Self:
        """The same with *steps* behind one.

        >>> [step.name for step in Pipeline([Step("a", None)]).after("a", Step("b", None)).steps]
        ['a', 'b']
        """
        place = self._place(name) + 1
        return self._with([*self.steps[:place], *steps, *self.steps[place:]])

    # -- running ------------------------------------------------------------

    async def run(self, request: Any) -> PipelineResult:
        """Go through all the steps.

        Raises:
            PipelineError: a step failed; everything before it is undone, as far as that could be done.
            asyncio.CancelledError: the run was cancelled; the same.
        """
        return await self._go(Run(request), request)

    async def _go(self, run: Run, asked: Any) -> PipelineResult:
        done: list[Step] = []
        tail = _tail(self.steps)
        for place, step in enumerate(self.steps[:tail]):
            outcome = await self._do(step, run, done)
            if outcome.error is not None and (step.vital or isinstance(outcome.error, asyncio.CancelledError)):
                await self._give_up(run, asked, step, outcome.error, done, self.steps[place + 1 :])
        if tail < len(self.steps):  # else nothing may interrupt what is complete
            _, cancellation = await uninterrupted(self._do_all(self.steps[tail:], run, done))
            if cancellation is not None:
                self._complete(run, asked)
                raise cancellation
        self._complete(run, asked)
        return PipelineResult(run.request, tuple(run.steps))

    async def _do_all(self, steps: Sequence[Step], run: Run, done: list[Step]) -> None:
        for step in steps:
            await self._do(step, run, done)

    async def _do(self, step: Step, run: Run, done: list[Step]) -> Outcome:
        if step.do is None:
            run.steps.append(StepReport(step.name, 0.0, "skipped", "nothing was set up for it"))
            return Outcome(True)
        started = self._clock()
        outcome = await perform(step.do, run, step.timeout)
        run.steps.append(_report(step, self._clock() - started, outcome))
        if outcome.finished and not isinstance(outcome.value, Skipped):
            done.append(step)
        if not step.vital and outcome.error is not None:
            _log.error("the step %r failed, and the rest goes on", step.name, exc_info=outcome.error)
        return outcome

    async def _give_up(
        self,
        run: Run,
        asked: Any,
        step: Step,
        error: BaseException,
        done: list[Step],
        rest: Sequence[Step],
    ) -> None:
        failed, cancellation = await uninterrupted(self._undo(run, done))
        run.steps += [StepReport(each.name, 0.0, "not begun") for each in rest]
        failure = PipelineError(self.kind, self._subject(asked), step.name, error, failed, run.steps)
        cancelled = isinstance(error, asyncio.CancelledError)
        self._record(run, asked, "cancelled" if cancelled else "failed", str(failure))
        if cancelled:
            raise error from failure
        if cancellation is not None:
            raise cancellation from failure
        raise failure from error

    async def _undo(self, run: Run, done: Sequence[Step]) -> dict[str, BaseException]:
        """Undo what is done, the last first; what could not be undone."""
        failed: dict[str, BaseException] = {}
        for step in reversed(done):
            if step.undo is None:
                continue
            outcome = await perform(step.undo, run, step.undo_timeout)
            if outcome.error is not None:
                failed[step.name] = outcome.error
                _log.error("the step %r could not be undone", step.name, exc_info=outcome.error)
            _mark(run, step.name, outcome.error)
        return failed

    # -- the rest -----------------------------------------------------------

    def _complete(self, run: Run, asked: Any) -> None:
        self._record(run, asked, self.success, _summary(run.steps))

    def _subject(self, request: Any) -> str:
        return str(getattr(request, "name", request))

    def _record(self, run: Run, asked: Any, choice: str, reason: str) -> None:
        if self.log is None:
            return
        subject, now = self._subject(asked), self._subject(run.request)
        names = () if now == subject else (now,)
        steps = tuple(run.steps)
        self.log.record(
            Decision(self.kind, subject, "pipeline", choice, reason, by="pipeline", names=names, steps=steps)
        )

    def _place(self, name: str) -> int:
        names = [step.name for step in self.steps]
        if name not in names:
            raise LookupError(f"there is no step {name!r}; the steps are {', '.join(names)}")
        return names.index(name)

    def _with(self, steps: Iterable[Step]) -> Self:
        other = copy.copy(self)
        other.steps = _distinct(steps)
        return other


def _distinct(steps: Iterable[Step]) -> tuple[Step, ...]:
    found: dict[str, Step] = {}
    for step in steps:
        if step.name in found:
            raise ValueError(f"two steps are called {step.name!r}; a step's name must be unlike any other")
        found[step.name] = step
    return tuple(found.values())


def _tail(steps: Sequence[Step]) -> int:
    """Where the steps begin of which none, to the end, is vital."""
    place = len(steps)
    while place and not steps[place - 1].vital:
        place -= 1
    return place


def _report(step: Step, seconds: float, outcome: Outcome) -> StepReport:
    if outcome.error is None:
        if isinstance(outcome.value, Skipped):
            return StepReport(step.name, seconds, "skipped", outcome.value.reason)
        return StepReport(step.name, seconds, "done", outcome.value if isinstance(outcome.value, str) else "")
    word = "failed"
    if isinstance(outcome.error, asyncio.CancelledError):
        word = "cancelled"
    elif isinstance(outcome.error, TimeoutError) and step.timeout is not None:
        word = "timed out"
    return StepReport(step.name, seconds, word, told(outcome.error))


def _mark(run: Run, name: str, error: BaseException | None) -> None:
    """Say in the report of a step what became of its undo."""
    for place, report in enumerate(run.steps):
        if report.name == name:
            word, detail = ("undone", report.detail) if error is None else ("undo failed", told(error))
            run.steps[place] = replace(report, outcome=word, detail=detail)


def _summary(steps: Sequence[StepReport]) -> str:
    failed = [step.name for step in steps if step.outcome in ("failed", "timed out", "cancelled")]
    done = sum(step.outcome == "done" for step in steps)
    text = f"{done} of {len(steps)} steps were done"
    return f"{text}; these failed without failing the rest: {', '.join(failed)}" if failed else text
