"""Writes to the store, in groups: what comes while one is under way goes into the next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.backend import Delete, Patch, Put, Renew
from agentreg.extensions.coordination.ending import end

__all__ = ["Beats", "Writes"]

_log = logging.getLogger(__name__)
_GROUP = 500
_SHARE, _MOMENT = 0.3, 0.005  # of the last transaction's time, and at most so many seconds, the next one waits for more
_PAUSE = 0.5  # seconds until a heartbeat is handed to the store, which must have it within one
_LOOK = 0.25  # seconds between looks whether they are written
_PROMISE = 1.0  # seconds that they may be late, until no more are taken
_REMEMBERED = 2.0  # seconds that a failure counts

Item = Put | Patch | Delete


class Writes:
    """Carries out items for many callers, those that wait at the same time in one transaction.

    A transaction takes nearly as long for one as for many. Callers who ask
    again and again would come in two crowds, one of which waits while the
    other is served; so the next transaction waits a moment for those who
    have just been answered.
    """

    def __init__(self, directory: AgentDirectory) -> None:
        self._directory = directory
        self._waiting: deque[tuple[Item, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._failure: tuple[float, Exception] | None = None
        self._crowd = 1  # how many ask at about the same time
        self._moment = 0.0  # seconds to wait for them
        self._gathered = asyncio.Event()

    @property
    def trouble(self) -> Exception | None:
        """Why the last write failed, if that was just now."""
        failure = self._failure
        if failure is None or asyncio.get_running_loop().time() - failure[0] > _REMEMBERED:
            return None
        return failure[1]

    async def do(self, item: Item) -> Any:
        """The result of *item*, once the store has it and the directory shows it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._crowd:
            self._gathered.set()
        if self._task is None:
            self._task = loop.create_task(self._work(), name="agentreg-service-writes")
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                loop, group = asyncio.get_running_loop(), self._take()
                began = loop.time()
                await self._carry_out(group)
                self._moment = min(_SHARE * (loop.time() - began), _MOMENT)
                self._crowd = min(len(group) + len(self._waiting), _GROUP)
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Wait a moment, if it is worth it."""
        if len(self._waiting) < self._crowd:
            self._gathered.clear()
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._gathered.wait(), self._moment)

    def _take(self) -> list[tuple[Item, asyncio.Future[Any]]]:
        """The next items, as long as they are of one kind."""
        waiting, kind = self._waiting, type(self._waiting[0][0])
        group: list[tuple[Item, asyncio.Future[Any]]] = []
        while waiting and len(group) < _GROUP and type(waiting[0][0]) is kind:
            group.append(waiting.popleft())
        return group

    async def _carry_out(self, group: list[tuple[Item, asyncio.Future[Any]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results = await self.together([item for item, _ in group])
        except Exception as error:
            if isinstance(error, (DirectoryUnavailableError, DamagedStoreError)):
                self._failure = loop.time(), error
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        self._failure = None
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def together(self, batch: list[Any]) -> list[Any]:
        """The results of a *batch* of one kind, at once."""
        try:
            return (await self._directory.carry_out(batch)).results
        except DamagedStoreError as error:  # it was set aside: the next write begins a new file
            _log.error("%s", error)
            return (await self._directory.carry_out(batch)).results

    async def close(self) -> None:
        """Wait until everything is written."""
        while self._task is not None:
            await asyncio.wait((self._task,))


class Beats:
    """Heartbeats that the store has not heard of yet.

    Attributes:
        trouble: Why they could not be written for more than a second; None if they are.
    """

    def __init__(self, directory: AgentDirectory) -> None:
        self._directory = directory
        self._lateness = getattr(directory.store, "lateness", _never_late)
        self._note = getattr(directory.store, "note", None)
        self._waiting: dict[str, AgentMetadata] = {}  # by their tokens
        self._since: float | None = None  # when the oldest of them was due, in the loop's time
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.trouble: Exception | None = None

    @property
    def pending(self) -> int:
        """How many wait to be handed to the store."""
        return len(self._waiting)

    def note(self, record: AgentMetadata) -> None:
        """*record* has beaten. The directory shows it at once, the store within a second."""
        self._directory.hear(record)
        self._waiting[record.token] = record
        if self._task is None:
            self._begin()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._since = loop.time() + _PAUSE
        self._task = loop.create_task(self._work(), name="agentreg-service-beats")
        if self._watch is None:
            self._watch = loop.create_task(self._look(), name="agentreg-service-beats-watch")

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_PAUSE)
                await self.flush()
        finally:
            self._task = None

    async def flush(self) -> None:
        """Hand them to the store now; if it is away, they wait for the next time."""
        waiting, self._waiting = self._waiting, {}
        began, now = asyncio.get_running_loop().time(), self._directory.clock()
        batch = [Renew(record.runtime_id, record.agent_id, token) for token, record in waiting.items()]
        try:
            if waiting and self._note is not None:
                ages = [max(now - record.beat, 0.0) for record in waiting.values()]
                self._note(batch, ages)  # whether it succeeds is seen by its lateness
            elif waiting:
                await self._directory.store.renew(batch)
        except (DirectoryUnavailableError, DamagedStoreError) as error:
            _log.debug("heartbeats wait: %s", error)
            self._failure = error
            self._waiting = waiting | self._waiting
        else:
            self._failure = None
            self._since = began + _PAUSE if self._waiting else None

    async def _look(self) -> None:
        """See whether they are written in time, until none wait any more."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(_LOOK)
                late, reason = self._lateness()
                late = max(late, 0.0 if self._since is None else loop.time() - self._since)
                self.trouble = self._failure or reason or _late(self._directory) if late > _PROMISE else None
                if not late and self._task is None:
                    break
        finally:
            self._watch = None

    async def close(self) -> None:
        """Write what waits, and end."""
        tasks = [task for task in (self._task, self._watch) if task is not None]
        await end(tasks)
        await self.flush()


def _never_late() -> tuple[float, Exception | None]:
    return 0.0, None


def _late(directory: AgentDirectory) -> Exception:
    return DirectoryUnavailableError(directory.store.url, f"heartbeats wait for more than {_PROMISE:g} s to be written")
