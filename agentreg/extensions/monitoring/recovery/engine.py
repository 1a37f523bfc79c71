"""`Recovery`: carries plans out, one at a time for each agent, and says what happens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from agentreg.extensions.monitoring.recovery.calling import Caller, OverTimeError
from agentreg.extensions.monitoring.recovery.events import (
    GaveUp,
    Listener,
    PlanFinished,
    PlanStarted,
    RecoveryEvent,
    StepFailed,
    StepFinished,
    StepSkipped,
    StepStarted,
)
from agentreg.extensions.monitoring.recovery.finding import Finding
from agentreg.extensions.monitoring.recovery.plan import Case, RecoveryPlan, Step
from agentreg.extensions.monitoring.recovery.restarts import RestartLimit

__all__ = ["Outcome", "Recovery"]

_log = logging.getLogger("agentreg")


@dataclass(frozen=True)
class Outcome:
    """How a recovery went.

    Attributes:
        finding: What it was about.
        state: ``"recovered"``: a step has brought the agent back; ``"done"``: every step was taken, none says so;
            ``"given up"``: it was restarted too often; ``"over"``: the finding was no longer true when its turn
            came; ``"no plan"``: there is none for its condition.
        failed: The steps that failed.
    """

    finding: Finding
    state: Literal["recovered", "done", "given up", "over", "no plan"]
    failed: tuple[str, ...] = ()


class Recovery:
    """Carries out plans.

    On each agent one plan runs at a time; others wait for it, and a finding
    that is already being dealt with, or waits for its turn, is not dealt
    with twice: all who ask get the one outcome. Different agents are
    recovered at the same time.

    A step that raises or is over its time is an event, and the next goes
    on. Once an agent would have to be restarted more often than *limit*
    says, there is a `GaveUp`: the plan's restarts are left out, its other
    steps are taken, and from then on nothing is done for the agent until
    `reset`.

    Not thread-safe: it belongs to one event loop.

    Args:
        plans: One for each condition.
        listeners: Called with every event, in order; one that raises is logged.
        limit: How often an agent may be restarted.
        still: Asked when a plan's turn has come, whether the finding is still true; see `HealthChecks.holds`.
        clock: Seconds, never going back.
        wall: Seconds since 1970, for events.

    Example:
        >>> import asyncio
        >>> from agentreg.extensions.monitoring.recovery import Finding, RecoveryPlan, Step
        >>> plan = RecoveryPlan("disk_full", (Step("delete old logs", lambda case: True),))
        >>> recovery = Recovery([plan], listeners=[lambda event: print(type(event).__name__)])
        >>> asyncio.run(recovery.recover(Finding("disk_full", "planner", 0.0))).state
        PlanStarted
        StepStarted
        StepFinished
        PlanFinished
        'recovered'
    """

    def __init__(
        self,
        plans: Iterable[RecoveryPlan],
        *,
        listeners: Iterable[Listener] = (),
        limit: RestartLimit | None = None,
        still: Callable[[Finding], bool] = lambda finding: True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._plans: dict[str, RecoveryPlan] = {}
        for plan in plans:
            if plan.condition in self._plans:
                raise ValueError(f"plans: there are two for {plan.condition!r}; expected one for each condition")
            self._plans[plan.condition] = plan
        self._listeners = list(listeners)
        self._limit = RestartLimit() if limit is None else limit
        self._still, self._clock, self._wall = still, clock, wall
        self._caller = Caller()
        self._under_way: dict[tuple[str, str], asyncio.Task[Outcome]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def recover(self, finding: Finding) -> Outcome:
        """Do what the plan for *finding* says. Being cancelled while waiting does not stop the plan."""
        key = finding.agent, finding.condition
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.get_running_loop().create_task(self._in_turn(finding))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)

    async def recover_all(self, findings: Iterable[Finding]) -> list[Outcome]:
        """The outcomes of *findings*, in their order; different agents at the same time."""
        return list(await asyncio.gather(*map(self.recover, findings)))

    def has_given_up(self, agent: str) -> bool:
        """Whether *agent* was restarted too often, and is left alone."""
        return self._limit.has_given_up(agent)

    def reset(self, agent: str) -> None:
        """Look after *agent* again: somebody has mended it, or it has left for good."""
        self._limit.reset(agent)

    async def close(self) -> None:
        """Cancel what is under way, and wait for that."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one plan -----------------------------------------------------------

    async def _in_turn(self, finding: Finding) -> Outcome:
        turn = self._turns.setdefault(finding.agent, asyncio.Lock())
        try:
            async with turn:
                return await self._dealt_with(finding)
        finally:
            if not any(
                agent == finding.agent for agent, condition in self._under_way if condition != finding.condition
            ):
                self._turns.pop(finding.agent, None)

    async def _dealt_with(self, finding: Finding) -> Outcome:
        plan = self._plans.get(finding.condition)
        if plan is None:
            return Outcome(finding, "no plan")
        if self._limit.has_given_up(finding.agent):
            return Outcome(finding, "given up")
        if not self._still(finding):
            return Outcome(finding, "over")
        case = Case(finding)
        self._tell(PlanStarted(*self._what(finding), finding.detail))
        may_restart: bool | None = None
        for step in plan.steps:
            if step.restarts and may_restart is None and not case.recovered:
                may_restart = self._allowed(finding)
            await self._take(step, case, may_restart)
        failed = tuple(case.failed)
        self._tell(PlanFinished(*self._what(finding), case.recovered, failed))
        if case.recovered:
            return Outcome(finding, "recovered", failed)
        return Outcome(finding, "given up" if may_restart is False else "done", failed)

    def _allowed(self, finding: Finding) -> bool:
        if self._limit.allows(finding.agent, self._clock()):
            return True
        self._tell(GaveUp(*self._what(finding), self._limit.restarts, self._limit.period))
        return False

    async def _take(self, step: Step, case: Case, may_restart: bool | None) -> None:
        what = self._what(case.finding)
        if case.recovered and step.only_if_needed:
            self._tell(StepSkipped(*what, step.name, "the agent is well again"))
        elif step.restarts and may_restart is False:
            self._tell(StepSkipped(*what, step.name, "it was restarted too often"))
        else:
            self._tell(StepStarted(*what, step.name))
            self._tell(await self._outcome(step, case))

    async def _outcome(self, step: Step, case: Case) -> RecoveryEvent:
        started = self._clock()
        reason = ""
        recovered = False
        try:
            recovered = await self._caller.call((case.agent, step.name), step.limit, step.function, case) is True
        except OverTimeError as error:
            reason = str(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:500]
        seconds = self._clock() - started
        what = self._what(case.finding)
        if reason:
            case.failed.append(step.name)
            return StepFailed(*what, step.name, seconds, reason)
        case.recovered = case.recovered or recovered
        return StepFinished(*what, step.name, seconds, recovered)

    def _what(self, finding: Finding) -> tuple[str, str, float]:
        return finding.agent, finding.condition, self._wall()

    def _tell(self, event: RecoveryEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _log.exception("a listener of the recovery failed at %r", event)
