"""Who answers: agents are asked now and then, and what came of it is kept.

`HealthMixin` adds the questions to a registry class, and `HealthMonitor` is
ready-made. Nothing is asked by itself: await a check, or run `watch` as a
task of your own.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, NoReturn

from agentreg import AgentRegistry
from agentreg.events import AgentUnregistered, RegistryEvent, Resync

__all__ = ["HealthMixin", "HealthMonitor", "HealthStatus"]

TEXT_LIMIT = 500  # characters kept of an error's text
_log = logging.getLogger("agentreg")
_lock = threading.RLock()
_asking: set[asyncio.Task[Any]] = set()  # an event loop holds its tasks weakly


@dataclass(frozen=True)
class HealthStatus:
    """What the checks of an agent showed.

    Attributes:
        healthy: Whether it counts as healthy: it has passed a check, and since the last one that it passed it has
            failed fewer than ``failure_threshold``.
        latency: Seconds that the last check took, passed or not.
        error: Why it failed its last check, shortened; None if it passed.
        last_check: When the last check ended, in UTC; for display.
        consecutive_failures: How many checks it has failed since the last one that it passed.
    """

    healthy: bool
    latency: float
    error: str | None
    last_check: datetime
    consecutive_failures: int


class HealthMixin:
    """What a registry class gains: asking agents whether they are well.

    A check calls the agent's ``ping()`` if it has one, else ``run("ping")``:
    give it a ``ping`` where a run has a price. It is passed when the call
    returns in time and raises nothing; what it returns does not matter, but
    for ``ping()`` returning ``False``. A plain function is called in a
    thread of its own, so that it can't block the event loop; the thread is
    a daemon that ends with the call. A call that ran over its time and
    can't be stopped is waited for, within the time of the next check,
    before the agent is asked again: so there is one at most.

    A check returns its own result, as it is. *Healthy*, in `get_status` and
    `get_healthy_agents`, is the longer view: an agent has to pass a check
    to become healthy, and fail `failure_threshold` in a row to stop being
    so. One that never passed is unhealthy from its first failure; one that
    was never checked has no status, and is not offered as healthy.

    What is known of an agent goes with it. A successor of the same name
    starts afresh, and an answer of its predecessor is not counted.
    Every subclass, and every other class with this mixin, sees the same
    checks, each with its own `failure_threshold`.

    Thread-safe: yes, and from any number of event loops.

    Example:
        >>> import asyncio
        >>> class Sensor:
        ...     def ping(self): ...
        >>> sensor = Sensor()
        >>> name = HealthMonitor.register(sensor, "sensor")
        >>> asyncio.run(HealthMonitor.check_all_agents())
        {'sensor': True}
        >>> HealthMonitor.get_healthy_agents()
        ['sensor']
    """

    failure_threshold: int = 3
    """Failures in a row that make a healthy agent unhealthy; with 1 or less, the first does."""

    clock: Callable[[], float] = staticmethod(time.monotonic)
    """Seconds, never going back: what latencies are measured and rounds are timed with."""

    @classmethod
    async def check_agent_health(cls, name: str, timeout: float | None = 5.0) -> bool:
        """Whether the agent or pool member *name* answers now, within *timeout* seconds (None: however long).

        False for an unknown name, and when the agent that was asked has
        left the name by the time it answers. Whatever the agent raises
        counts as a failure; its text stands in `get_status`. Cancelling the
        check cancels the question, and counts nothing.

        >>> import asyncio
        >>> asyncio.run(HealthMonitor.check_agent_health("nobody"))
        False
        """
        _check_limits(timeout)
        live = _live()
        case = live.open(name)  # before the agent is looked up: a case may be older than its agent, never newer
        try:
            agent = AgentRegistry.get(name)
            if agent is None:
                return False
            started = cls.clock()
            error = await _ask(case, agent, timeout)
            return live.enter(case, error, cls.clock() - started) and error is None
        finally:
            live.close_case(case)

    @classmethod
    async def check_all_agents(cls, max_concurrency: int = 32, timeout: float | None = 5.0) -> dict[str, bool]:
        """Name -> whether it answered, for every agent that is registered now, pool members included.

        In registration order; False also for those that left meanwhile. At
        most *max_concurrency* are asked at a time, each with *timeout*
        seconds. Members on loan are asked as well.
        """
        _check_limits(timeout, max_concurrency)
        results = dict.fromkeys(AgentRegistry.names(), False)
        names = iter(list(results))

        async def ask_next() -> None:
            for name in names:  # shared: each takes the next one
                try:
                    results[name] = await cls.check_agent_health(name, timeout)
                except Exception:  # an overriding method's
                    _log.exception("the health check of %r failed", name)

        await asyncio.gather(*(ask_next() for _ in range(min(max_concurrency, len(results)))))
        return results

    @classmethod
    def get_healthy_agents(cls) -> list[str]:
        """The names of the agents that count as healthy, in registration order.

        As of their last checks: one that has failed fewer than
        `failure_threshold` since it passed is still among them. Those who
        left are not, but one may be collected before you look it up.
        """
        cases = _live().cases
        threshold = cls.failure_threshold
        known = ((name, cases.get(name)) for name in AgentRegistry.names())
        return [name for name, case in known if case and case.last and _healthy(case.last, threshold)]

    @classmethod
    def get_status(cls, name: str) -> HealthStatus | None:
        """What the checks of *name* showed; None if it is unknown or was never checked.

        >>> import asyncio
        >>> class Sulky:
        ...     async def ping(self):
        ...         raise OSError("not today")
        >>> sulky = Sulky()
        >>> name = HealthMonitor.register(sulky, "sulky")
        >>> asyncio.run(HealthMonitor.check_agent_health("sulky"))
        False
        >>> status = HealthMonitor.get_status("sulky")
        >>> status.healthy, status.error, status.consecutive_failures
        (False, 'not today', 1)
        """
        case = _live().cases.get(name)
        if case is None or case.last is None:
            return None
        return replace(case.last, healthy=_healthy(case.last, cls.failure_threshold))

    @classmethod
    async def watch(
        cls,
        interval: float = 30.0,
        *,
        timeout: float | None = 5.0,
        max_concurrency: int = 32,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> NoReturn:
        """Check all agents every *interval* seconds, for ever; run it as a task, and cancel that to end it.

        The first round starts at once, and a late one as soon as the one
        before has ended. A round that fails is logged, and the next comes.
        """
        if not interval > 0:
            raise ValueError(f"interval: expected seconds above 0, got {interval!r}")
        _check_limits(timeout, max_concurrency)
        while True:
            started = cls.clock()
            try:
                await cls.check_all_agents(max_concurrency, timeout)
            except Exception:
                _log.exception("a round of health checks failed")
            await sleep(max(0.0, interval - (cls.clock() - started)))


class HealthMonitor(HealthMixin, AgentRegistry):
    """`AgentRegistry` with health checks: the same agents, and who of them answers."""


# -- what is known ----------------------------------------------------------


class _Case:
    """One registration under examination; whoever registers the name next has another.

    Attributes:
        checks: How many are under way.
        last: What the last one showed, or None; it is ``healthy`` if any was passed.
        overdue: A question that outlived its check, or None.
    """

    __slots__ = ("checks", "last", "name", "overdue")

    def __init__(self, name: str) -> None:
        self.name = name
        self.checks = 0
        self.last: HealthStatus | None = None
        self.overdue: _Question | None = None


class _Live:
    """The cases of one registry state; a departure takes the case away, and what is entered there later is lost.

    Thread-safe: yes, by the lock; single look-ups in `cases` need none.
    """

    def __init__(self) -> None:
        self.cases: dict[str, _Case] = {}
        self._departed = 0
        self._subscription = AgentRegistry.subscribe(self._hear)
        self._subscription.listing, self._subscription.capabilities = {}, {}  # else it keeps the names of the dead

    def close(self) -> None:
        self._subscription.close()

    def open(self, name: str) -> _Case:
        """The case of *name*, for one check."""
        fresh = _Case(name)
        with _lock:
            case = self.cases.setdefault(name, fresh)
            case.checks += 1
            return case

    def close_case(self, case: _Case) -> None:
        """The check is over: a case in which nothing was found is dropped."""
        with _lock:
            case.checks -= 1
            empty = not case.checks and case.last is None and case.overdue is None
            if empty and self.cases.get(case.name) is case:
                self.cases.pop(case.name, None)  # a finalizer may have been quicker

    def enter(self, case: _Case, error: str | None, latency: float) -> bool:
        """Keep what a check showed; whether the case is still that of its name."""
        _ = AgentRegistry.revision
        ended = datetime.now(timezone.utc)
        with _lock:
            last = case.last
            passed_once = error is None or (last is not None and last.healthy)
            failures = 0 if error is None else 1 if last is None else last.consecutive_failures + 1
            case.last = HealthStatus(passed_once, latency, error, ended, failures)
            return self.cases.get(case.name) is case

    def _hear(self, event: RegistryEvent) -> None:
        gone: Any = None  # dropped outside the lock: it may be the last reference to a question
        with _lock:
            if isinstance(event, AgentUnregistered):
                gone = self.cases.pop(event.name, None)
                self._departed += gone is not None
                if self._departed > 1024 and self._departed > 4 * len(self.cases):
                    self._compact()
            elif isinstance(event, Resync):
                gone, self.cases = self.cases, {}  # a name in the listing may be a successor's

    def _compact(self) -> None:
        # a dict never shrinks on deletion: copy what is left into a fresh one
        departed = self._departed
        cases = dict(self.cases)
        if self._departed == departed:  # else a finalizer came in between
            self.cases, self._departed = cases, 0


def _healthy(last: HealthStatus, threshold: int) -> bool:
    return last.healthy and last.consecutive_failures < max(1, threshold)


def _live() -> _Live:
    """The present state's cases, which have heard of everything up to now."""
    live = AgentRegistry.extension_state(_Live, _Live)
    _ = AgentRegistry.revision
    return live


if hasattr(os, "register_at_fork"):
    # a child must not inherit the lock from a thread that it doesn't have
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


# -- asking -----------------------------------------------------------------


async def _ask(case: _Case, agent: Any, timeout: float | None) -> str | None:
    """Why the agent did not pass, or None."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    if case.overdue is not None:
        try:
            await asyncio.wait_for(case.overdue.ended(), timeout)
        except asyncio.TimeoutError:
            return f"no answer within {timeout} s: an earlier question is still unanswered"
        case.overdue = None
    question = _Question()
    left = None if timeout is None else max(0.0, timeout - (loop.time() - started))
    try:
        answered = await question.ask(agent, left)
    finally:
        if question.goes_on():
            case.overdue = question
    return question.failure if answered else f"no answer within {timeout} s"


class _Question:
    """A question to an agent; it may outlive the check that asked it.

    It keeps no reference to the agent once that has answered.

    Attributes:
        failure: Why the agent did not pass, or None.
    """

    def __init__(self) -> None:
        self.failure: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._worker: _Worker | None = None

    async def ask(self, agent: Any, timeout: float | None) -> bool:
        """Whether the agent answered in time; the question is cancelled if not."""
        task = self._task = asyncio.get_running_loop().create_task(self._put(agent))
        _asking.add(task)
        task.add_done_callback(self._over)
        try:
            await asyncio.wait({task}, timeout=timeout)  # not wait_for: it would wait for who ignores being cancelled
        finally:
            answered = task.done()
            task.cancel()
        if not answered:
            await asyncio.sleep(0)  # who lets itself be cancelled has ended then
        elif task.cancelled():
            self.failure = "the agent cancelled the question"
        else:
            task.result()  # an interrupt comes out
        return answered

    def _over(self, task: asyncio.Task[None]) -> None:
        _asking.discard(task)
        self._task = None  # it may hold an error, that its traceback, and that the agent

    def goes_on(self) -> bool:
        """Whether the agent's code may still be running."""
        task, worker = self._task, self._worker
        return (task is not None and not task.done()) or (worker is not None and worker.running)

    async def ended(self) -> None:
        """Wait until it doesn't; a coroutine of another event loop is not waited for."""
        if self._worker is not None:
            await self._worker.ended()
        task = self._task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait({task})

    async def _put(self, agent: Any) -> None:
        try:
            ping = getattr(agent, "ping", None)
            if not callable(ping):
                await self._call(agent.run, "ping")
            elif await self._call(ping) is False:
                self.failure = "ping() returned False"
        except Exception as error:
            self.failure = _text_of(error)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if _is_async(function):
            return await function(*arguments)
        worker = _Worker()
        answering = worker.start(functools.partial(function, *arguments))
        self._worker = worker
        answer, failure = await answering
        if failure is not None:
            raise _Failure(failure)
        return await answer if inspect.isawaitable(answer) else answer


class _Failure(Exception):
    """What a plain function raised, as text: its traceback would hold the agent."""


class _Worker:
    """A thread for one call of a plain function.

    Its own, and a daemon: hanging in a pool's, it would keep others
    waiting, and the program from ending.

    Thread-safe: yes; who waits is woken in the event loop that it waits in.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._returned = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def running(self) -> bool:
        """Whether the call has not returned; a forked child does not have the thread."""
        return not self._returned and self._process == os.getpid()

    def start(self, function: Callable[[], Any]) -> asyncio.Future[tuple[Any, str | None]]:
        """Call *function*; to come: what it returned (only `_gist` of it), and the text of what it raised."""
        answer: asyncio.Future[tuple[Any, str | None]] = asyncio.get_running_loop().create_future()
        work = functools.partial(contextvars.copy_context().run, self._work, [function], answer)
        threading.Thread(target=work, name="agentreg-ping", daemon=True).start()
        return answer

    async def ended(self) -> None:
        """Wait for the call to return."""
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with _lock:
            if not self.running:
                return
            self._waiting.add(gate)
        try:
            await gate
        finally:
            with _lock:
                self._waiting.discard(gate)

    def _work(self, functions: list[Callable[[], Any]], answer: asyncio.Future[tuple[Any, str | None]]) -> None:
        result, failure = None, None
        try:
            result = _gist(functions.pop()())  # popped: nothing here holds the agent once it has answered
        except BaseException as error:
            failure = _text_of(error)
        with _lock:
            self._returned = True
            waiting = list(self._waiting)
        _post(answer, (result, failure))
        for gate in waiting:
            _post(gate, None)


def _post(future: asyncio.Future[Any], result: Any) -> None:
    """Give *future* its result, from any thread."""
    try:
        future.get_loop().call_soon_threadsafe(_give, future, result)
    except RuntimeError:  # the loop was closed: nobody waits any more
        _discard(result)


def _give(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        _discard(result)
    else:
        future.set_result(result)


def _discard(result: tuple[Any, str | None] | None) -> None:
    if result is not None and inspect.iscoroutine(result[0]):
        result[0].close()  # else it would complain that nobody awaited it


def _gist(result: Any) -> Any:
    """What may be awaited is kept, of anything else only whether it is False: it might be the agent."""
    return result if inspect.isawaitable(result) else result is not False


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return (text or type(error).__name__)[:TEXT_LIMIT]


def _check_limits(timeout: float | None, max_concurrency: int = 1) -> None:
    if max_concurrency < 1:
        raise ValueError(f"max_concurrency: expected 1 or more, got {max_concurrency!r}")
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout: expected None or seconds from 0 up, got {timeout!r}")
