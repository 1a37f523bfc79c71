"""What time does to the records: the silent become stale, the ended stopped, and both are forgotten in the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import platform
import time
from collections.abc import Iterable

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentMetadata,
    AgentStatus,
    DamagedStoreError,
    DirectoryUnavailableError,
)
from agentreg.extensions.coordination.backend import Delete, Patch
from agentreg.extensions.coordination.ending import end
from agentreg.extensions.coordination.processes import Process
from agentreg.extensions.service.endings import Endings
from agentreg.extensions.service.limits import Timing
from agentreg.extensions.service.writing import Writes

__all__ = ["HERE", "RUNTIME", "Minder", "is_local"]

_log = logging.getLogger(__name__)

#: Who owns the records of those that register with the service.
RUNTIME = "service"
#: What this machine is called in a record.
HERE = frozenset(("", "localhost", "127.0.0.1", platform.node().lower()))
_PAUSE = 0.25  # seconds between rounds
_ROUNDS = 2  # processes are looked at in every second one


def is_local(host: str) -> bool:
    """Whether *host* is this machine, as far as its name says.

    >>> is_local("localhost"), is_local("elsewhere.example")
    (True, False)
    """
    return host.lower() in HERE


class Minder:
    """Judges heartbeats by the directory's clock, and processes by the process table.

    What was not heard while the service was away is held against nobody:
    from its start, everyone has a full lease.
    """

    def __init__(self, directory: AgentDirectory, writes: Writes, timing: Timing) -> None:
        self._directory = directory
        self._writes = writes
        self._timing = timing
        self._floor = directory.clock()
        self._stopped: dict[str, float] = {}
        self._due = -math.inf
        self._endings = Endings(self._hurry)
        self._position = (-1, -1)
        self._suspects: dict[Process, list[AgentMetadata]] = {}
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Judge from now on, in rounds."""
        self._floor, self._due = self._directory.clock(), -math.inf
        self._task = asyncio.create_task(self._mind(), name="agentreg-service-minder")

    async def close(self) -> None:
        """No more."""
        if self._task is not None:
            await end([self._task])
        self._endings.close()

    def _hurry(self) -> None:
        """A process has ended."""
        self._ended.set()

    async def _pause(self) -> bool:
        """Wait for the next round; whether it comes early."""
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _PAUSE)
        early = self._ended.is_set()
        self._ended.clear()
        return early

    async def _mind(self) -> None:
        count = 0
        while True:
            early = await self._pause()
            count += 1
            try:
                if self._directory.clock() >= self._due:
                    await self.judge()
                if early or count % _ROUNDS == 0:
                    await self.look()
            except (DirectoryUnavailableError, DamagedStoreError) as error:
                _log.debug("nobody is judged: %s", error)
            except Exception:
                _log.exception("judging heartbeats failed; it goes on")

    # -- heartbeats ---------------------------------------------------------

    async def judge_if_due(self) -> None:
        """Make sure that what is shown now is true now; if the store is away, as far as is known."""
        if self._directory.clock() >= self._due:
            with contextlib.suppress(DirectoryUnavailableError, DamagedStoreError):
                await self.judge()

    async def judge(self) -> None:
        """Mark the silent as stale, and forget those that have been stale or stopped for long."""
        now, timing = self._directory.clock(), self._timing
        lapsed, forgotten, stopped = [], [], {}
        self._due = now + min(timing.stale_after, timing.prune_after)
        for record in await self._directory.list_agents():
            if record.status is AgentStatus.OFFLINE:
                since = stopped[record.token] = self._stopped_at(record, now)
            else:
                since = max(record.heard, self._floor) + timing.stale_after
                if record.status is not AgentStatus.UNHEALTHY:
                    lapsed += [record] if now >= since else []
                    self._due = min(self._due, since)
            forgotten += [record] if now >= since + timing.prune_after else []
            self._due = min(self._due, since + timing.prune_after)
        self._stopped = stopped
        await self._lapse(lapsed)
        await self._forget(forgotten)

    def _stopped_at(self, record: AgentMetadata, now: float) -> float:
        """When it stopped, on the directory's clock; of a stop before this service began, by the time of day."""
        known = self._stopped.get(record.token)
        return now - max(time.time() - record.last_activity.timestamp(), 0.0) if known is None else known

    async def _lapse(self, records: Iterable[AgentMetadata]) -> None:
        batch = [
            Patch(each.agent_id, each.token, {"status": "unhealthy", "lapsed_from": each.status.value})
            for each in records
        ]
        if batch:
            await self._writes.together(batch)

    async def _forget(self, records: Iterable[AgentMetadata], reason: str = "expired") -> None:
        batch = [Delete(each.agent_id, each.token, reason) for each in records]
        if batch:
            await self._writes.together(batch)

    # -- processes ----------------------------------------------------------

    async def look(self) -> None:
        """Mark those as stopped whose process on this machine has ended."""
        if self._position != self._directory.position:
            self._position = self._directory.position
            self._suspects = _by_process(self._directory.records())
        ended = self._endings.among(self._suspects)
        over = [each for process in ended for each in self._suspects[process]]
        await self._stop([each for each in over if each.runtime_id == RUNTIME])
        foreign = [each for each in over if each.runtime_id != RUNTIME]
        await self._lapse(each for each in foreign if each.status is not AgentStatus.UNHEALTHY)
        await self._forget(foreign, "died")  # as every directory does

    async def _stop(self, records: Iterable[AgentMetadata]) -> None:
        fields = {"status": "offline", "lapsed_from": None, "worked": time.time()}
        batch = [Patch(each.agent_id, each.token, fields) for each in records]
        if batch:
            await self._writes.together(batch)


def _by_process(records: Iterable[AgentMetadata]) -> dict[Process, list[AgentMetadata]]:
    """Those that are there by what they say, by their processes on this machine."""
    found: dict[Process, list[AgentMetadata]] = {}
    for record in records:
        process = record.process
        if process.pid and record.status is not AgentStatus.OFFLINE:
            found.setdefault(process, []).append(record)
    return {process: records for process, records in found.items() if is_local(process.host)}
