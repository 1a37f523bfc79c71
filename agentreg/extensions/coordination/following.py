"""Keeping a copy of a store current."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from agentreg.extensions.coordination.backend import Answer, Backend, Changes
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.memory import MemoryBackend
from agentreg.extensions.coordination.record import AgentMetadata
from agentreg.extensions.coordination.replica import Replica

__all__ = ["Follower", "here"]

_log = logging.getLogger(__name__)

#: The newest revision that this process has written, by store: its other directories look whether they have it.
_newest: dict[str, int] = {}

#: The records that this process has registered in stores elsewhere, by token: they know the live agents.
here: weakref.WeakValueDictionary[str, AgentMetadata] = weakref.WeakValueDictionary()


class Follower:
    """A store and this process' copy of it. Over a store in memory both are the same, and always current.

    Attributes:
        backend: The store.
        replica: The copy.
        remote: Whether there is a difference between the two.
        following: Whether `follow` is running.
        contact: When the store last answered it, in the event loop's time.
        on_load: Awaited after each full listing.
        on_break: Called before that, when the copy was loaded already.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self.backend = backend
        self.remote = not isinstance(backend, MemoryBackend)
        self.replica = backend.replica if isinstance(backend, MemoryBackend) else Replica(clock)
        self.following = False
        self.contact = 0.0
        self.on_load: Callable[[], Awaitable[None]] | None = None
        self.on_break: Callable[[], None] | None = None
        self._loaded = not self.remote
        self._away = False

    async def write(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for a write, and until the copy shows it."""
        answer = await call
        if self.remote:
            url = self.backend.url
            if _newest.get(url, 0) < answer.revision:
                _newest[url] = answer.revision
            if self._loaded:
                await self.pull()
        return answer

    async def fresh(self) -> None:
        """Make sure that the copy shows what this process has written; the whole store, unless it is being followed."""
        if not self.remote:
            return
        url = self.backend.url
        if not self._loaded:
            await self.load()
        elif not self.following:
            await self.pull()
        elif _newest.get(url, 0) > self.replica.revision:
            await self.pull()
            _newest[url] = self.replica.revision

    async def load(self) -> None:
        """Take over everything; listeners hear of what differs from before."""
        snapshot = await self.backend.list()
        self.adopt(snapshot.records)
        with self.replica.lock:
            self.replica.load(snapshot, tell=self._loaded)
        _newest[self.backend.url] = snapshot.revision
        if self._loaded and self.on_break is not None:
            self.on_break()
        self._loaded = True
        if self.on_load is not None:
            await self.on_load()

    async def pull(self, wait: float = 0.0) -> None:
        """Take over what is new, after *wait* seconds at most."""
        replica = self.replica
        changes = await self.backend.changes(replica.revision, replica.mark, wait)
        if replica is not self.replica:  # shut down meanwhile
            return
        if changes is None:
            await self.load()
        else:
            self._take_over(changes)

    def _take_over(self, changes: Changes) -> None:
        replica, now = self.replica, self.replica.clock()
        ages = {beat.agent_id: beat.age for beat in changes.beats}
        with replica.lock:
            for change in changes.changes:
                if change.revision > replica.revision:
                    if change.record is not None:
                        self.adopt([change.record])
                        change.record.beat = now - max(ages.get(change.agent_id, 0.0), 0.0)
                    replica.apply(change)
            if changes.revision >= replica.revision:
                replica.revision = changes.revision
            if changes.mark >= replica.mark:
                replica.hear(changes.beats, now)
                replica.mark = changes.mark

    def adopt(self, records: Iterable[AgentMetadata]) -> None:
        """Join records with the live agents of this process."""
        for record in records:
            ours = here.get(record.token)
            if ours is not None:
                record._agent = ours._agent
                if ours.a2a_card is not None:
                    record.a2a_card = ours.a2a_card

    def forget(self) -> None:
        """Begin a new, empty copy, with the listeners of the old one."""
        old = self.replica
        self.replica = Replica(old.clock)
        self.replica.listeners, self.replica.beat_listeners = old.listeners, old.beat_listeners
        self.replica.breaks = old.breaks
        self._loaded = False

    async def follow(self, lease: float, on_gap: Callable[[], None]) -> None:
        """Feed the copy until cancelled. *on_gap* is called when the store is back after half a *lease* or more."""
        loop = asyncio.get_running_loop()
        wait, pause = max(min(lease / 4, 1.0), 0.05), 0.05
        while True:
            try:
                await self.pull(wait)
            except Exception as error:
                self.lost(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
                continue
            pause = 0.05
            if loop.time() - self.contact > lease / 2:
                on_gap()
            self.contact = loop.time()
            self._found()

    def lost(self, error: Exception) -> None:
        """The store gives no answer, or nothing that makes sense: say so once."""
        if not self._away:
            self._away = True
            known = isinstance(error, DirectoryUnavailableError)
            _log.warning("%s; look-ups are answered from what was known", error, exc_info=None if known else error)

    def _found(self) -> None:
        if self._away:
            self._away = False
            _log.warning("the directory at %s is back", self.backend.url)
