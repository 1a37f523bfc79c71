"""`HealthChecks`: does an agent answer, has it enough of everything, can it work?"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from agentreg.extensions.monitoring.recovery.calling import Caller, OverTimeError
from agentreg.extensions.monitoring.recovery.finding import RESOURCES_EXHAUSTED, UNRESPONSIVE, Finding

__all__ = ["HealthChecks", "ResourceLimits", "Usage", "file_permissions"]

_log = logging.getLogger("agentreg")


@dataclass(frozen=True)
class Usage:
    """What an agent uses.

    Attributes:
        memory: As a fraction of its share.
        cpu: As a fraction of its share.
        queue: How many tasks wait for it.
    """

    memory: float = 0.0
    cpu: float = 0.0
    queue: float = 0.0


@dataclass(frozen=True)
class ResourceLimits:
    """What is too much: to be at a limit is.

    Attributes:
        memory: As a fraction of the share.
        cpu: As a fraction of the share.
        cpu_for: Seconds that it has to last: a processor may be busy for a while.
        queue: Tasks.

    Example:
        >>> ResourceLimits().excess(Usage(memory=0.45))
        0.5
    """

    memory: float = 0.90
    cpu: float = 0.80
    cpu_for: float = 120.0
    queue: float = 100.0

    def excess(self, usage: Usage) -> float:
        """How far *usage* is, as a fraction of the limit that it is nearest to; 1 or more is too much."""
        return max(usage.memory / self.memory, usage.cpu / self.cpu, usage.queue / self.queue)


class HealthChecks:
    """Checks agents, and says what it has found.

    What it asks is handed in; each function may be a plain one, which runs
    in a thread for that one call, or a coroutine function, and has *timeout*
    seconds. One that is still stuck from the round before counts as failed
    without being called again.

    - *ping*: an agent that fails it *failures* times in a row is
      ``unresponsive``. It fails by raising, by returning False, or by
      taking too long.
    - *usage*: an agent at a limit is ``resources_exhausted``; its CPU, when
      it has been so at each check for ``limits.cpu_for`` seconds.
    - *functions*: condition -> a check of what the agent needs to work: its
      tools, its MCP connections (call that ``connection_failures``), its
      files (`file_permissions`). It returns None where all is well, else a
      text that says what isn't, or raises.

    Not thread-safe: it belongs to one event loop.

    Args:
        agents: The names of those who are to be checked now.
        ping: Agent's name -> whatever.
        usage: Agent's name -> its `Usage`, or None where that isn't known.
        functions: Condition -> check.
        limits: For the usage.
        interval: Seconds from round to round.
        timeout: Seconds that a single check has.
        failures: How many pings in a row must fail.
        concurrency: How many agents are checked at a time.
        clock: Seconds, never going back.
        wall: Seconds since 1970, for `Finding.since`.

    Example:
        >>> import asyncio
        >>> def ping(agent):
        ...     raise ConnectionError("no line")
        >>> checks = HealthChecks(lambda: ["planner"], ping=ping, failures=2)
        >>> [len(asyncio.run(checks.check())) for _ in range(2)]
        [0, 1]
        >>> print(checks.findings()[0].condition)
        unresponsive
    """

    def __init__(
        self,
        agents: Callable[[], Iterable[str]],
        *,
        ping: Callable[[str], Any] | None = None,
        usage: Callable[[str], Any] | None = None,
        functions: Mapping[str, Callable[[str], Any]] | None = None,
        limits: ResourceLimits | None = None,
        interval: float = 30.0,
        timeout: float = 5.0,
        failures: int = 3,
        concurrency: int = 32,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        for what, value in (("interval", interval), ("timeout", timeout)):
            if not value > 0:
                raise ValueError(f"{what}: expected seconds above 0, got {value!r}")
        if failures < 1 or concurrency < 1:
            raise ValueError(f"failures and concurrency: expected 1 or more, got {failures!r} and {concurrency!r}")
        self._agents, self._ping, self._usage = agents, ping, usage
        self._functions = dict(functions or {})
        self._limits = ResourceLimits() if limits is None else limits
        self._interval, self._timeout, self._failures = interval, timeout, failures
        self._concurrency, self._clock, self._wall = concurrency, clock, wall
        self._caller = Caller()
        self._known: dict[str, _Known] = {}

    async def check(self) -> list[Finding]:
        """One round over all agents: everything that is wrong now, agents in their order.

        What is known of an agent that isn't among them any more is dropped.
        """
        names = list(dict.fromkeys(self._agents()))
        self._known = {name: self._known.get(name) or _Known() for name in names}
        waiting = iter(names)

        async def check_next() -> None:
            for name in waiting:  # shared: each takes the next one
                await self.check_agent(name)

        await asyncio.gather(*(check_next() for _ in range(min(self._concurrency, len(names)))))
        return self.findings()

    async def check_agent(self, agent: str) -> list[Finding]:
        """Everything that is wrong with one agent now."""
        known = self._known.setdefault(agent, _Known())
        if self._ping is not None:
            await self._check_ping(agent, known)
        if self._usage is not None:
            await self._check_usage(agent, known)
        for condition, function in self._functions.items():
            problem, answer = await self._asked(agent, condition, function)
            self._enter(known, agent, condition, problem or (None if answer is None else str(answer)))
        return list(known.findings.values())

    def findings(self) -> list[Finding]:
        """What was wrong at the last checks."""
        return [finding for known in self._known.values() for finding in known.findings.values()]

    def holds(self, finding: Finding) -> bool:
        """Whether *finding* was still true at the last check; for `Recovery(still=checks.holds)`."""
        known = self._known.get(finding.agent)
        return known is not None and known.findings.get(finding.condition) == finding

    def forget(self, agent: str) -> None:
        """Begin anew with *agent*: it was restarted."""
        self._known.pop(agent, None)

    async def watch(
        self,
        handle: Callable[[list[Finding]], Awaitable[object]],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> NoReturn:
        """Check every *interval* seconds, for ever, and hand what was found to *handle*; to be run as a task.

        The next round waits for *handle*. One that fails is logged.
        """
        while True:
            started = self._clock()
            try:
                await handle(await self.check())
            except Exception:
                _log.exception("a round of health checks failed")
            await sleep(max(0.0, self._interval - (self._clock() - started)))

    # -- single checks ------------------------------------------------------

    async def _check_ping(self, agent: str, known: _Known) -> None:
        assert self._ping is not None
        problem, answer = await self._asked(agent, UNRESPONSIVE, self._ping)
        if problem is None and answer is False:
            problem = "its ping returned False"
        known.failures = known.failures + 1 if problem else 0
        if known.failures >= self._failures:
            problem = f"{problem}, {known.failures} times in a row"
        self._enter(known, agent, UNRESPONSIVE, problem if known.failures >= self._failures else None)

    async def _check_usage(self, agent: str, known: _Known) -> None:
        assert self._usage is not None
        problem, usage = await self._asked(agent, RESOURCES_EXHAUSTED, self._usage)
        if problem is not None or usage is None:  # that nobody knows is not the agent's fault
            known.busy_since = None
            self._enter(known, agent, RESOURCES_EXHAUSTED, None)
            return
        now = self._clock()
        if usage.cpu < self._limits.cpu:
            known.busy_since = None
        elif known.busy_since is None:
            known.busy_since = now
        lasting = known.busy_since is not None and now - known.busy_since >= self._limits.cpu_for
        self._enter(known, agent, RESOURCES_EXHAUSTED, self._too_much(usage, lasting))

    def _too_much(self, usage: Usage, cpu_lasts: bool) -> str | None:
        limits = self._limits
        found = [f"memory at {usage.memory:.0%} of its share"] if usage.memory >= limits.memory else []
        found += [f"CPU at {usage.cpu:.0%} for {limits.cpu_for:g} s or more"] if cpu_lasts else []
        found += [f"{usage.queue:g} tasks wait"] if usage.queue >= limits.queue else []
        return ", ".join(found) or None

    async def _asked(self, agent: str, what: str, function: Callable[[str], Any]) -> tuple[str | None, Any]:
        """(what went wrong, the answer)."""
        try:
            return None, await self._caller.call((agent, what), self._timeout, function, agent)
        except OverTimeError as error:
            return str(error), None
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:500], None

    def _enter(self, known: _Known, agent: str, condition: str, problem: str | None) -> None:
        if problem is None:
            known.findings.pop(condition, None)
        elif condition not in known.findings:
            known.findings[condition] = Finding(condition, agent, self._wall(), problem)


class _Known:
    """What is known of one agent."""

    def __init__(self) -> None:
        self.failures = 0
        self.busy_since: float | None = None
        self.findings: dict[str, Finding] = {}


def file_permissions(files: Callable[[str], Mapping[str, str]]) -> Callable[[str], str | None]:
    """A check that an agent may do with its files what it has to.

    *files*: agent's name -> path -> which of ``r`` (read), ``w`` (write) and
    ``x`` (run, or enter a folder) it needs; ``""``: it must be there.
    Checked for the user that this process runs as.

    >>> check = file_permissions(lambda agent: {"/no/such/file": "r"})
    >>> check("planner")
    '/no/such/file is missing'
    """

    def check(agent: str) -> str | None:
        problems = [_file_problem(path, mode) for path, mode in files(agent).items()]
        return "; ".join(problem for problem in problems if problem) or None

    return check


_MODES = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}
_VERBS = {"r": "read", "w": "written", "x": "run or entered"}


def _file_problem(path: str, mode: str) -> str | None:
    unknown = set(mode) - set(_MODES)
    if unknown:
        raise ValueError(f"permissions of {path!r}: expected some of r, w and x, got {mode!r}")
    if not os.path.lexists(path) or not os.access(path, os.F_OK):
        return f"{path} is missing"
    refused = [_VERBS[each] for each in mode if not os.access(path, _MODES[each])]
    return f"{path} can't be {', '.join(refused)}" if refused else None
