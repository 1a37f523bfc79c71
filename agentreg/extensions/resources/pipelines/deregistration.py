"""DeregistrationPipeline: everything that an agent's leaving takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from agentreg.extensions.resources.conflicts import DecisionLog, ResourceOffice
from agentreg.extensions.resources.pipelines.deregistering import Deregistering, DeregistrationRequest
from agentreg.extensions.resources.pipelines.enrolment import Connections, Enrolment, Notice
from agentreg.extensions.resources.pipelines.entering import Entering, LiveAgents
from agentreg.extensions.resources.pipelines.pipeline import Pipeline, PipelineResult
from agentreg.extensions.resources.pipelines.registration import with_limits
from agentreg.extensions.resources.pipelines.step import Run, Step
from agentreg.extensions.resources.pipelines.tasks import Chooser, TaskDesk

__all__ = ["DEREGISTRATION_STEPS", "DEREGISTRATION_TIMEOUTS", "DeregistrationPipeline"]

DEREGISTRATION_STEPS = (
    "exists",
    "active_tasks",
    "graceful_end",
    "close_connections",
    "release",
    "remove",
    "notify",
    "clean",
    "update_dependents",
)
"""The steps of a deregistration, in order."""

DEREGISTRATION_TIMEOUTS: Mapping[str, float] = {
    "exists": 30.0,
    "active_tasks": 30.0,
    "close_connections": 60.0,
    "release": 30.0,
    "remove": 30.0,
    "notify": 30.0,
    "clean": 30.0,
    "update_dependents": 30.0,
}
"""Step -> seconds that it may take. ``graceful_end`` has none of its own: it waits for *grace* seconds."""


class DeregistrationPipeline(Pipeline):
    """Everything that an agent's leaving takes.

    The steps are `DEREGISTRATION_STEPS`: the agent is there; it gets no new
    tasks; those that it has go to others, end within *grace* seconds, or
    are ended; its connections and its share are given back; it is removed;
    others are told; its monitoring ends; those who depend on it are told.

    Up to ``remove``, a step that fails undoes those before it, and the
    agent stays, with its tasks, connections and share. Once it is removed,
    the last three are all gone through, whatever happens: a failure is
    reported in the result, and a cancellation waits. Tasks that were ended
    by force can't be brought back.

    Thread-safe: no. It belongs to one event loop; runs may overlap.

    Args:
        entering: Where agents are removed; by default `AgentRegistry`.
        enrolments: What agents were given: those of a `RegistrationPipeline`.
        tasks: Who keeps the agents' tasks.
        connections: Who connects them again when a later step fails.
        resources: Who gives them their share again when a later step fails.
        notify: Called with a `Notice`.
        clean: Called with the name, to remove what was kept about it.
        update_dependents: Called with the name, and name -> tasks for those who were given its tasks.
        grace: Seconds that its tasks have to end.
        timeouts: Step -> seconds, None for however long, beside `DEREGISTRATION_TIMEOUTS`.
        log: Where runs are recorded.
        clock: Seconds, monotonic, for measuring.

    Raises:
        ValueError: *timeouts* names an unknown step, or *grace* is below 0.

    Example:
        >>> import asyncio
        >>> from agentreg import AgentRegistry
        >>> class Scout: ...
        >>> scout = Scout()
        >>> name = AgentRegistry.register(scout, "scout")
        >>> result = asyncio.run(DeregistrationPipeline().deregister("scout"))
        >>> AgentRegistry.get("scout") is None
        True
    """

    kind = "deregistration"
    success = "deregistered"

    def __init__(
        self,
        entering: Entering | None = None,
        enrolments: dict[str, Enrolment] | None = None,
        tasks: TaskDesk | None = None,
        connections: Connections | None = None,
        resources: ResourceOffice | None = None,
        notify: Callable[[Notice], Any] | None = None,
        clean: Callable[[str], Any] | None = None,
        update_dependents: Callable[[str, dict[str, list[Any]]], Any] | None = None,
        grace: float = 30.0,
        timeouts: Mapping[str, float | None] | None = None,
        log: DecisionLog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not grace >= 0:
            raise ValueError(f"grace: expected 0 seconds or more, got {grace!r}")
        self._parts = Deregistering(
            entering=LiveAgents() if entering is None else entering,
            enrolments={} if enrolments is None else enrolments,
            desk=tasks,
            connections=connections,
            resources=resources,
            notify=notify,
            clean=clean,
            update_dependents=update_dependents,
            grace=grace,
        )
        limits = with_limits(DEREGISTRATION_TIMEOUTS, timeouts, DEREGISTRATION_STEPS)
        super().__init__(_steps(self._parts, limits), log, clock)

    async def deregister(
        self,
        name: str,
        force: bool = False,
        migrate_tasks: bool | str | Chooser = False,
        reason: str = "deregistered",
        token: Any = None,
    ) -> PipelineResult:
        """Have the agent *name* leave.

        With *migrate_tasks*, its tasks go to others: True for whoever is
        least busy and can do them, a name, or a function of its name and
        the task that returns a name, or None to keep the task. With
        *force*, those that are left then are ended at once; else they have
        *grace* seconds. With *token*, only that registration is meant.

        Raises:
            PipelineError: a step up to ``remove`` failed, and the agent stays; the cause is an `AgentNotFoundError`
                if it is not there, a `TasksActiveError` if its tasks did not end.
            asyncio.CancelledError: the run was cancelled; the same, unless the agent was removed already.
        """
        return await self.run(DeregistrationRequest(name, force, migrate_tasks, reason, token))


def _steps(parts: Deregistering, limits: Mapping[str, float | None]) -> list[Step]:
    desk = parts.desk is not None
    what: dict[str, tuple[Callable[[Run], Any] | None, Callable[[Run], Any] | None]] = {
        "exists": (parts.exists, None),
        "active_tasks": (parts.look_at_tasks if desk else None, parts.resume),
        "graceful_end": (parts.end_tasks if desk else None, parts.move_back),
        "close_connections": (parts.disconnect, parts.reconnect),
        "release": (parts.release, parts.allocate_again),
        "remove": (parts.remove, parts.restore),
        "notify": (parts.tell if parts.notify else None, None),
        "clean": (parts.tidy, None),
        "update_dependents": (parts.tell_dependents if parts.update_dependents else None, None),
    }
    vital = DEREGISTRATION_STEPS[: DEREGISTRATION_STEPS.index("remove") + 1]
    return [Step(name, *what[name], timeout=limits.get(name), vital=name in vital) for name in DEREGISTRATION_STEPS]
