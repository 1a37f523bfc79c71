"""What tasks took, and whether they went well: counted for each agent as they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from typing_extensions import Self

from agentreg import AgentRegistry, AgentUnregistered, CallFinished, RegistryEvent
from agentreg.extensions.monitoring.metrics.names import is_agent_name
from agentreg.extensions.monitoring.metrics.sketch import Sketch
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["TaskFigures", "Tracking", "record_task", "tracked"]

FOLD_AT = 8192  # tasks that wait to be counted
SETTLE_AT = 65_536  # tasks of which each one's time is kept
AGENTS = 20_000
_FOREVER = float("inf")
_KEY = "agentreg.monitoring"
_now = time.perf_counter


@dataclass(frozen=True)
class TaskFigures:
    """What is known of an agent's tasks since they were counted first.

    Attributes:
        tasks: How many have ended.
        failures: How many of these failed.
        seconds: What all took together.
        last: When the last one was counted, in seconds since 1970.

    Example:
        >>> figures = TaskFigures(tasks=8, failures=2, seconds=4.0, last=0.0)
        >>> figures.mean, figures.success_rate
        (0.5, 0.75)
    """

    tasks: int
    failures: int
    seconds: float
    last: float

    @property
    def mean(self) -> float:
        """Seconds that a task took on average."""
        return self.seconds / self.tasks

    @property
    def success_rate(self) -> float:
        """The part of the tasks that did not fail, from 0 to 1."""
        return 1 - self.failures / self.tasks


class _Account:
    """One agent's tasks: in all, and since the last `Tracking.drain`.

    Attributes:
        noted: The seconds of tasks that `settle` has still to sum up.
    """

    __slots__ = ("failed", "failures", "last", "noted", "recent", "seconds", "tasks")

    def __init__(self) -> None:
        self.tasks = self.failures = self.failed = 0
        self.seconds = self.last = 0.0
        self.noted: list[float] = []
        self.recent: Summary | None = None

    def settle(self) -> None:
        """Sum up what was noted: many at once take less time."""
        noted, self.noted = self.noted, []
        if not noted:
            return
        self.tasks += len(noted)
        self.seconds += sum(noted)
        if self.recent is None:
            self.recent = Summary.of(noted)
        else:
            self.recent.extend(noted)

    def fail(self) -> None:
        """One of those that were noted has failed."""
        self.failures += 1
        self.failed += 1

    def take(self) -> tuple[Summary, Summary] | None:
        """Times and errors since the last call; None if there was no task."""
        times, failed = self.recent, self.failed
        self.recent, self.failed = None, 0
        return None if times is None else (times, _errors(times.count, failed))

    @property
    def figures(self) -> TaskFigures:
        return TaskFigures(self.tasks, self.failures, self.seconds, self.last)


def _errors(tasks: int, failed: int) -> Summary:
    """Each task counts as 0, or as 1 if it failed: the mean is the error rate."""
    sketch = Sketch.of([1.0])
    counts = dict.fromkeys(sketch.counts, failed) | {0: tasks - failed}
    low, high = float(failed == tasks), float(failed > 0)
    return Summary(
        tasks, low, high, float(failed), Sketch({bucket: count for bucket, count in counts.items() if count})
    )


class Tracking:
    """Counts tasks. A `Sampler` hands what it has counted to a `MetricsStore`.

    Thread-safe: yes. A task is noted without a lock, and counted some time
    later, at most when something is asked.

    Args:
        clock: Gives the seconds since 1970.
        limit: How many agents it counts for; tasks of any more are dropped, and counted in `dropped`.

    Attributes:
        dropped: How many tasks were not counted.
        noted: Agent, seconds and outcome of the tasks that wait to be counted.

    Example:
        >>> tracking = Tracking()
        >>> tracking.record("planner", 0.5, ok=True)
        >>> tracking.record("planner", 1.5, ok=False)
        >>> tracking.figures()["planner"].mean
        1.0
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, limit: int = AGENTS) -> None:
        self.dropped = 0
        self._clock = clock
        self._limit = limit
        self.noted: list[tuple[str, float, bool]] = []
        self._lock = threading.RLock()  # a finalizer may end a task while its thread counts
        self._counting = False
        self._unsettled = 0
        self._accounts: dict[str, _Account] = {}
        self._departed: set[str] = set()
        self._subscriptions: list[Any] = []

    # -- counting -----------------------------------------------------------

    def record(self, agent: object, seconds: float, ok: bool) -> None:
        """Count a task of *agent* (its name, or an object with one) that took *seconds* and went well, or not.

        Raises ValueError or TypeError if the agent has no name, or the time
        is no number of seconds from 0 up.
        """
        if type(agent) is not str or not agent:
            agent = _name_of(agent)
        if not 0.0 <= seconds < _FOREVER:
            raise ValueError(f"seconds: expected a number from 0 up, got {seconds!r:.80}")
        self.noted.append((agent, seconds, ok))
        if len(self.noted) >= FOLD_AT:
            self.fold()

    def on_call(self, event: CallFinished) -> None:
        """Count a run that an Orchestra or ``invoke_agent`` started: a listener for ``AgentRegistry.on_call``."""
        self.record(event.name, event.seconds, event.ok)

    def tracked(self, agent: object) -> Tracked:
        """A block whose time counts as a task of *agent*; see `tracked`."""
        return Tracked(self, agent if type(agent) is str and agent else _name_of(agent))

    # -- the registry -------------------------------------------------------

    def attach(self) -> Self:
        """From now on count every run that an Orchestra or ``invoke_agent`` starts, and what `record_task` says.

        Agents that leave the registry are forgotten once `drain` has handed
        out what they did. Calling it again is harmless.

        >>> with Tracking().attach() as tracking:
        ...     record_task("planner", 0.5, ok=True)
        >>> list(tracking.figures())
        ['planner']
        """
        with self._lock:
            if not self._subscriptions:
                self._subscriptions = [
                    AgentRegistry.on_call(self.on_call),
                    AgentRegistry.subscribe(self._on_change),
                ]
        _desk().tracking = self
        return self

    @staticmethod
    def current() -> Tracking:
        """The one that was attached last and not closed; if there is none, the registry has one of its own.

        >>> record_task("planner", 0.5, ok=True)
        >>> Tracking.current().figures()["planner"].tasks
        1
        """
        return _desk().tracking

    def close(self) -> None:
        """Hear of no more runs; what was counted can still be asked for."""
        with self._lock:
            subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.close()
        desk = _desk()
        if desk.tracking is self:
            desk.tracking = Tracking()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _on_change(self, event: RegistryEvent) -> None:
        if isinstance(event, AgentUnregistered):
            with self._lock:
                self._fold()
                if event.name in self._accounts:
                    self._departed.add(event.name)

    # -- asking -------------------------------------------------------------

    def figures(self) -> dict[str, TaskFigures]:
        """Agent -> what is known of its tasks; agents without any are not in it."""
        with self._counted() as accounts:
            return {name: account.figures for name, account in accounts.items()}

    def drain(self) -> tuple[dict[str, Summary], dict[str, Summary]]:
        """Agent -> the times of its tasks since the last call, and agent -> their errors (1 for each that failed)."""
        times: dict[str, Summary] = {}
        errors: dict[str, Summary] = {}
        with self._counted() as accounts:
            for name, account in accounts.items():
                taken = account.take()
                if taken is not None:
                    times[name], errors[name] = taken
            self._see_off()
        return times, errors

    def forget(self, agent: str) -> None:
        """Count *agent*'s tasks anew from now on."""
        with self._lock:
            self._fold()
            self._accounts.pop(agent, None)

    def fold(self) -> None:
        """Count what was noted."""
        with self._lock:
            self._fold()

    @contextmanager
    def _counted(self) -> Iterator[dict[str, _Account]]:
        """The accounts, with all that was noted until now, and nothing that is noted meanwhile."""
        with self._lock:
            self._fold()
            was, self._counting = self._counting, True
            try:
                self._settle()
                yield self._accounts
            finally:
                self._counting = was

    # -- with the lock held -------------------------------------------------

    def _fold(self) -> None:
        if self._counting:  # this is a finalizer, in the midst of it
            return
        self._counting = True
        try:
            self._distribute()
            if self._unsettled >= SETTLE_AT:
                self._settle()
        finally:
            self._counting = False

    def _distribute(self) -> None:
        now, accounts = self._clock(), self._accounts
        batch = self.noted[:]  # other threads append behind it meanwhile
        del self.noted[: len(batch)]
        self._unsettled += len(batch)
        for name, seconds, ok in batch:
            account = accounts.get(name) or self._opened(name)
            if account is None:
                self.dropped += 1
                continue
            account.noted.append(seconds)
            account.last = now
            if not ok:
                account.fail()

    def _settle(self) -> None:
        self._unsettled = 0
        for account in self._accounts.values():
            account.settle()

    def _opened(self, name: str) -> _Account | None:
        if len(self._accounts) >= self._limit:
            self._see_off()
        if len(self._accounts) >= self._limit or not is_agent_name(name):
            return None
        account = self._accounts[name] = _Account()
        return account

    def _see_off(self) -> None:
        """Forget those who have left, unless they are back."""
        departed, self._departed = self._departed, set()
        for name in departed:
            if AgentRegistry.get(name) is None:
                self._accounts.pop(name, None)


class Tracked:
    """A block, plain or asynchronous, that is timed: one after the other, not one in the other.

    An exception passes through, and counts as a failure.
    """

    __slots__ = ("_agent", "_started", "_tracking")

    def __init__(self, tracking: Tracking, agent: str) -> None:
        self._tracking = tracking
        self._agent = agent

    def __enter__(self) -> Self:
        self._started = _now()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # as `Tracking.record` does it, without the checks
        noted = self._tracking.noted
        noted.append((self._agent, _now() - self._started, kind is None))
        if len(noted) >= FOLD_AT:
            self._tracking.fold()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)


class _Desk:
    """Where `record_task` and `tracked` of this registry hand things in."""

    def __init__(self) -> None:
        self.tracking = Tracking()


def _desk() -> _Desk:
    return AgentRegistry.extension_state(_KEY, _Desk)


def record_task(agent: object, seconds: float, ok: bool) -> None:
    """Count a task of *agent* (its name, or an object with one) that took *seconds* and went well, or not.

    It counts in `Tracking.current`: the one that was attached last.
    Thread-safe.

    Raises ValueError or TypeError if the agent has no name, or the time is no
    number of seconds from 0 up.

    >>> record_task("planner", -1, ok=True)
    Traceback (most recent call last):
    ValueError: seconds: expected a number from 0 up, got -1
    """
    AgentRegistry.extension_state(_KEY, _Desk).tracking.record(agent, seconds, ok)


def tracked(agent: object) -> Tracked:
    """A block whose time counts as a task of *agent* (its name, or an object with one); ``async with`` does, too.

    What it raises passes through, and counts as a failure. Runs that an
    Orchestra or ``invoke_agent`` starts are counted without it.

    >>> with Tracking().attach() as tracking:
    ...     with tracked("planner"):
    ...         pass
    >>> tracking.figures()["planner"].success_rate
    1.0
    """
    tracking = AgentRegistry.extension_state(_KEY, _Desk).tracking
    return Tracked(tracking, agent if type(agent) is str and agent else _name_of(agent))


def _name_of(agent: object) -> str:
    name = agent if isinstance(agent, str) else getattr(agent, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"agent: expected a name or an object with one, got {type(agent).__name__}")
    if not is_agent_name(name):
        raise ValueError(f"agent: expected a name of 1 to 512 characters, got {name!r:.80}")
    return name
