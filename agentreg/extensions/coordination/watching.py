"""Watching a directory: a listing, then every change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import TypeVar

from agentreg.extensions.coordination.events import Change, Listing, Resync
from agentreg.extensions.coordination.following import Follower

__all__ = ["Watchers"]

L = TypeVar("L", bound=Listing)


class Watchers:
    """Those who read a directory's changes, each at its own pace.

    A reader is a position in the copy's history, and nothing waits for it:
    one that is slow costs no memory, and resynchronises when the history has
    passed it by.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._ends = 0

    async def watch(self, since: int | None) -> AsyncIterator[Listing | Change]:
        """See `AgentDirectory.watch`; the copy is fresh."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        with self._follower.replica.lock:
            self._follower.replica.keep_history()
        began, breaks = self._ends, self._follower.replica.breaks
        if since is None:
            yield (listing := self._listing(Listing))
            position = listing.revision
        else:
            position = since
            async for item in self._missed(since):
                position = item.revision
                yield item
        while began == self._ends:
            batch = self._after(position) if breaks == self._follower.replica.breaks else None
            if batch is None:
                breaks = self._follower.replica.breaks
                yield (listing := self._listing(Resync))
                position = listing.revision
                continue
            for change in batch:
                position = change.revision
                yield change
            if not batch:
                await self._news(position, breaks)

    def _listing(self, kind: type[L]) -> L:
        replica = self._follower.replica
        with replica.lock:
            return kind(replica.revision, tuple(replica.records.values()))

    def _after(self, position: int) -> list[Change] | None:
        replica = self._follower.replica
        with replica.lock:
            return replica.since(position)

    async def _missed(self, since: int) -> AsyncIterator[Resync | Change]:
        """What came after *since*, from the store if this copy's history begins later."""
        follower = self._follower
        if not follower.remote or (type(since) is int and self._after(since) is not None):
            return
        missed = await follower.backend.changes(since, follower.replica.mark)
        await follower.fresh()
        if missed is None:
            yield self._listing(Resync)
            return
        follower.adopt([change.record for change in missed.changes if change.record is not None])
        for change in missed.changes:
            yield change

    async def _news(self, position: int, breaks: int) -> None:
        """Wait until there is a change after *position*, or nobody will bring one any more."""
        follower = self._follower
        if follower.remote and not follower.following:
            await follower.pull(wait=1.0)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            if follower.replica.revision == position and follower.replica.breaks == breaks:
                await waiter
        finally:
            self._waiters.discard(waiter)

    def wake(self) -> None:
        """There is news. From any thread."""
        if not self._waiters or self._loop is None:
            return
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def end(self) -> None:
        """Those who watch now get no more."""
        self._ends += 1
        self._wake()
