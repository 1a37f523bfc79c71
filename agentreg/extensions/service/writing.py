"""Writes to the store, in groups: what comes while one is under way goes into the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.backend import Delete, Patch, Put, Renew

__all__ = ["Beats", "Writes"]

_log = logging.getLogger(__name__)
_GROUP = 500
_PAUSE = 0.35  # seconds until a heartbeat is handed to the store, which must have it within one
_REMEMBERED = 2.0  # seconds that a failure counts

Item = Put | Patch | Delete


class Writes:
    """Carries out items for many callers, those that wait at the same time in one transaction."""

    def __init__(self, directory: AgentDirectory) -> None:
        self._directory = directory
        self._waiting: deque[tuple[Item, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._failure: tuple[float, Exception] | None = None

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
        if self._task is None:
            self._task = loop.create_task(self._work(), name="agentreg-service-writes")
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._carry_out(self._take())
        finally:
            self._task = None

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
    """Heartbeats that the store has not heard of yet."""

    def __init__(self, directory: AgentDirectory) -> None:
        self._directory = directory
        self._waiting: dict[str, Renew] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, record: AgentMetadata) -> None:
        """*record* has beaten. The directory shows it at once, the store within a second."""
        self._directory.hear(record)
        self._waiting[record.token] = Renew(record.runtime_id, record.agent_id, record.token)
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="agentreg-service-beats")

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
        try:
            if waiting:
                await self._directory.store.renew(list(waiting.values()))
        except (DirectoryUnavailableError, DamagedStoreError) as error:
            _log.debug("heartbeats wait: %s", error)
            self._waiting = waiting | self._waiting

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self.flush()
