"""Watching over leases: the overdue become unhealthy and leave, the collected leave, one's own are renewed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence

from agentreg.extensions.coordination.backend import Delete, Patch
from agentreg.extensions.coordination.config import AgentDirectoryConfig
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.following import Follower
from agentreg.extensions.coordination.liveness import Liveness
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus

__all__ = ["Keeper"]

_log = logging.getLogger(__name__)

_WELL = (AgentStatus.ACTIVE, AgentStatus.DEGRADED)


class Keeper:
    """Carries out in the store what time does to the records.

    Directories of several processes keep the same store; each write says
    which registration it means and what was heard of it, so that only one
    of them takes effect, and none against an agent that has beaten since.

    Attributes:
        liveness: Who is overdue.
        works: Awaited in each round of `keep`, after the rest.
    """

    def __init__(self, follower: Follower, config: AgentDirectoryConfig) -> None:
        self.liveness = Liveness(follower.replica, config)
        self.works: list[Callable[[], Awaitable[None]]] = []
        self._follower = follower
        self._config = config
        self._pid = os.getpid()
        self._checking = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_round = 0.0

    def begin_anew(self) -> None:
        """The copy is another one."""
        self.liveness = Liveness(self._follower.replica, self._config)

    async def keep(self) -> None:
        """Do it in rounds until cancelled."""
        loop = asyncio.get_running_loop()
        self._loop, self._last_round = loop, loop.time()
        pause = max(min(self._config.heartbeat_timeout / 20, 0.4), 0.01)
        try:
            while True:
                await asyncio.sleep(pause)
                await self._round()
        finally:
            self._loop = None

    async def _round(self) -> None:
        for work in (self.sweep, self.check_leases, self._check_processes, *self.works):
            try:
                await work()
            except DirectoryUnavailableError as error:
                self._follower.lost(error)
            except Exception:
                _log.exception("keeping the directory at %s failed; it goes on", self._follower.backend.url)

    # -- the overdue --------------------------------------------------------

    async def check_leases(self) -> None:
        """Mark the overdue, and remove those that have been so for long."""
        if self._checking or not self._config.enable_heartbeat_monitoring or not self._can_judge():
            return
        self._checking = True
        try:
            await self._carry_out()
        finally:
            self._checking = False

    def _can_judge(self) -> bool:
        """Whether this process could have heard of those who are alive."""
        if self._loop is None:
            return True
        now, patience = self._loop.time(), self._config.heartbeat_timeout / 2
        if now - self._last_round > patience:
            self.liveness.pause()
        self._last_round = now
        return not self._follower.remote or now - self._follower.contact <= patience

    async def _carry_out(self) -> None:
        replica = self._follower.replica
        lapsed, expired = self.liveness.overdue(replica.clock())
        await self._lapse([*lapsed, *expired], replica.mark)
        await self._remove(expired, "expired", replica.mark)

    async def _lapse(self, records: Iterable[AgentMetadata], mark: int | None) -> None:
        batch = [
            Patch(
                record.agent_id,
                record.token,
                {"status": AgentStatus.UNHEALTHY.value, "lapsed_from": record.status.value},
                mark,
            )
            for record in records
            if record.status in _WELL
        ]
        if batch:
            await self._follower.write(self._follower.backend.patch(batch))

    async def _remove(self, records: Sequence[AgentMetadata], reason: str, mark: int | None) -> None:
        batch = [Delete(record.agent_id, record.token, reason, mark) for record in records]
        if batch:
            await self._follower.write(self._follower.backend.delete(batch))

    async def _check_processes(self) -> None:
        """Remove the agents of this machine's processes that have ended."""
        if self._follower.remote and self._config.enable_heartbeat_monitoring:
            ended = self.liveness.ended()
            await self._lapse(ended, None)
            await self._remove(ended, "died", None)

    async def revive(self, records: Iterable[AgentMetadata]) -> None:
        """Give those who have beaten again the status that they had before they lapsed."""
        batch = [
            Patch(record.agent_id, record.token, {"status": record.lapsed_from.value, "lapsed_from": None})
            for record in records
            if record.lapsed_from is not None
        ]
        if batch:
            await self._follower.write(self._follower.backend.patch(batch))

    # -- the collected ------------------------------------------------------

    async def sweep(self) -> None:
        """Remove the agents that were collected."""
        dead = self._follower.replica.dead
        if not dead:
            return
        batch = []
        while dead:
            reference = dead.popleft()
            if os.getpid() == self._pid:  # a forked child's copies are not the agents
                batch.append(Delete(reference.agent_id, reference.token, "collected"))
        if batch:
            await self._follower.write(self._follower.backend.delete(batch))
