"""RegistrationPipeline: everything that entering an agent takes, all of it or nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentreg import NameTakenError
from agentreg.extensions.resources.conflicts import (
    AgentRequest,
    ConflictContext,
    ConflictResolver,
    ResourceOffice,
)
from agentreg.extensions.resources.pipelines.enrolment import Connections, Enrolment, Notice, let_go_of
from agentreg.extensions.resources.pipelines.entering import Entering, LiveAgents
from agentreg.extensions.resources.pipelines.errors import PipelineError
from agentreg.extensions.resources.pipelines.performing import uninterrupted
from agentreg.extensions.resources.pipelines.pipeline import Pipeline, PipelineResult
from agentreg.extensions.resources.pipelines.registering import Registering
from agentreg.extensions.resources.pipelines.step import Run, Step

__all__ = ["REGISTRATION_STEPS", "REGISTRATION_TIMEOUTS", "RegistrationPipeline", "RegistrationResult"]

_log = logging.getLogger("agentreg")

REGISTRATION_STEPS = (
    "validate_name",
    "check_resources",
    "verify_tool_permissions",
    "connect_mcp_servers",
    "allocate",
    "enter",
    "notify",
    "monitor",
    "watch_file",
)
"""The steps of a registration, in order."""

REGISTRATION_TIMEOUTS: Mapping[str, float] = {
    "connect_mcp_servers": 60.0,
    "allocate": 60.0,
    "enter": 30.0,
    "notify": 30.0,
    "monitor": 30.0,
    "watch_file": 30.0,
}
"""Step -> seconds that it may take. The first three have none: they may wait for a person, who has a time-out."""


@dataclass(frozen=True)
class RegistrationResult(PipelineResult):
    """What came of a registration.

    Attributes:
        request: The request as it was accepted, without the agent.
        steps: What became of each step, in order.
        name: The name that the agent is registered under.
        token: Of its registration, as whoever entered it gave it.
    """

    name: str
    token: Any


class RegistrationPipeline(Pipeline):
    """Everything that entering an agent takes, all of it or nothing.

    The steps are `REGISTRATION_STEPS`: the name is free, or the resolver
    finds another; there is memory, and room at its MCP servers; its tools
    are allowed; it is connected; it has its share; it is entered; others
    are told; it is monitored; its file is watched. A step whose part is
    not given is skipped.

    Two registrations of one name at once: one has it, and for the other it
    is a conflict of names, treated by the policies. If somebody else was
    quicker at the end, all is undone and tried again, *attempts* times in
    all, with the name counting as taken.

    Undone is everything but what others were told: they get a notice
    ``withdrawn``. What is undone is this registration (by its token),
    never one of the same name.

    Thread-safe: no. It belongs to one event loop; runs may overlap.

    Args:
        entering: Where agents are entered; by default `AgentRegistry`.
        resolver: Who resolves conflicts, and whose log records the runs.
        context: The permissions of tools, and how room is made; its other fields are filled in from here.
        connections: Who connects to MCP servers.
        resources: Who gives shares of memory.
        notify: Called with a `Notice`.
        monitor: Called with the request; it may return a function that ends the monitoring.
        watch: The same for watching the file, of requests with one.
        timeouts: Step -> seconds, None for however long, beside `REGISTRATION_TIMEOUTS`.
        attempts: How often it is tried when somebody else was quicker.
        clock: Seconds, monotonic, for measuring.

    Attributes:
        enrolments: Name -> what each registered agent was given; a `DeregistrationPipeline` gives it back.

    Raises:
        ValueError: *timeouts* names an unknown step, or *attempts* is below 1.

    Example:
        >>> import asyncio
        >>> class Scout: ...
        >>> scout = Scout()
        >>> result = asyncio.run(RegistrationPipeline().run(AgentRequest("scout", agent=scout)))
        >>> result.name, [step.name for step in result.steps if step.outcome == "done"]
        ('scout', ['validate_name', 'check_resources', 'verify_tool_permissions', 'enter'])
    """

    kind = "registration"
    success = "registered"

    def __init__(
        self,
        entering: Entering | None = None,
        resolver: ConflictResolver | None = None,
        context: ConflictContext | None = None,
        connections: Connections | None = None,
        resources: ResourceOffice | None = None,
        notify: Callable[[Notice], Any] | None = None,
        monitor: Callable[[AgentRequest], Any] | None = None,
        watch: Callable[[AgentRequest], Any] | None = None,
        timeouts: Mapping[str, float | None] | None = None,
        attempts: int = 3,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts: expected at least 1, got {attempts}")
        resolver = resolver or ConflictResolver()
        context = replace(context or ConflictContext(), resources=resources, connections=connections)
        self.enrolments: dict[str, Enrolment] = {}
        self._parts = Registering(
            entering=LiveAgents() if entering is None else entering,
            resolver=resolver,
            context=context,
            connections=connections,
            resources=resources,
            notify=notify,
            monitor=monitor,
            watch=watch,
            enrolments=self.enrolments,
        )
        self._attempts = attempts
        limits = with_limits(REGISTRATION_TIMEOUTS, timeouts, REGISTRATION_STEPS)
        super().__init__(_steps(self._parts, limits), resolver.log, clock)

    async def run(self, request: AgentRequest) -> RegistrationResult:
        """Register an agent.

        Raises:
            PipelineError: a step failed, and everything before it was undone; of a refused request, the cause is a
                `ConflictRefusedError`.
            asyncio.CancelledError: the run was cancelled; the same.
        """
        lost: set[str] = set()
        for attempt in range(1, self._attempts + 1):
            try:
                return await self._try(Run(request, {"enrolment": Enrolment(request), "lost": lost}))
            except PipelineError as error:
                if not isinstance(error.cause, NameTakenError) or error.failed_undos or attempt == self._attempts:
                    raise
                lost.add(error.cause.name)
        raise AssertionError("a last attempt returns or raises")

    async def departed(self, name: str, token: Any = None) -> bool:
        """Give back what an agent had that has left by itself: connections, its share, its monitoring.

        With *token*, only if that is its registration. Returns whether
        there was something of it; errors go to the log ``agentreg``. It is
        gone through to the end, even when it is cancelled.
        """
        enrolment = self.enrolments.get(name)
        if enrolment is None or (token is not None and enrolment.token != token):
            return False
        del self.enrolments[name]
        errors, cancellation = await uninterrupted(let_go_of(enrolment))
        for error in errors:
            _log.error("something that %r had could not be given back", name, exc_info=error)
        if cancellation is not None:
            raise cancellation
        return True

    def _complete(self, run: Run, asked: Any) -> None:
        enrolment: Enrolment = run.values["enrolment"]
        enrolment.request = replace(run.request, agent=None)
        self.enrolments[enrolment.request.name] = enrolment
        super()._complete(run, asked)

    async def _try(self, run: Run) -> RegistrationResult:
        try:
            result = await self._go(run, run.request)
            enrolment: Enrolment = run.values["enrolment"]
            request = enrolment.request
            return RegistrationResult(request, result.steps, request.name, enrolment.token)
        finally:
            for name in [name for name, each in self._parts.claims.items() if each is run]:
                del self._parts.claims[name]


def with_limits(
    defaults: Mapping[str, float], timeouts: Mapping[str, float | None] | None, names: tuple[str, ...]
) -> dict[str, float | None]:
    """The time-outs of all steps.

    Raises:
        ValueError: *timeouts* names an unknown step.
    """
    for name in timeouts or {}:
        if name not in names:
            raise ValueError(f"timeouts: expected steps among {', '.join(names)}, got {name!r}")
    return {**defaults, **(timeouts or {})}


def _steps(parts: Registering, limits: Mapping[str, float | None]) -> list[Step]:
    monitor = parts.begins("monitor", parts.monitor) if parts.monitor else None
    what: dict[str, tuple[Callable[[Run], Any] | None, Callable[[Run], Any] | None]] = {
        "validate_name": (parts.validate_name, None),
        "check_resources": (parts.check_resources, None),
        "verify_tool_permissions": (parts.verify_tools, None),
        "connect_mcp_servers": (parts.connect, parts.disconnect),
        "allocate": (parts.allocate, parts.release),
        "enter": (parts.enter, parts.remove),
        "notify": (parts.tell, parts.tell_otherwise) if parts.notify else (None, None),
        "monitor": (monitor, parts.ends("monitor")),
        "watch_file": (parts.watch_file if parts.watch else None, parts.ends("watch_file")),
    }
    return [Step(name, *what[name], timeout=limits.get(name)) for name in REGISTRATION_STEPS]
