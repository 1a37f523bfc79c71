"""Mirroring: from a directory's changes to news, for any number of mirrors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from agentreg import RegistryError
from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, AgentStatus, Change, Listing
from agentreg.extensions.coordination.ending import end
from agentreg.extensions.service.mirror.feed import Feed
from agentreg.extensions.service.mirror.news import Kind, Mirror, News, described

__all__ = ["Mirroring"]

_log = logging.getLogger(__name__)
BOUND = 10_000
_PAUSE = 1.0  # seconds, when the store gives no answer


class Mirroring:
    """Reads a directory's changes once, and feeds every mirror at its own pace. For one event loop.

    The directory never waits: reading along is a position in its history. A
    mirror that hangs, fails or is slow has no effect on it, nor on others.

    An agent that stops has left, although the service lists it as stopped
    for a while longer; it joins when it comes back. One that is stale has
    changed.

    Args:
        directory: Whose changes; it has to be started.
        mirrors: Who is told.
        bound: How many of the news may wait for each mirror.
        clock: Seconds since 1970.

    Raises:
        ValueError: *bound* is less than 1.
        TypeError: A mirror lacks one of its three methods.
    """

    def __init__(
        self,
        directory: AgentDirectory,
        mirrors: Iterable[Mirror],
        *,
        bound: int = BOUND,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if bound < 1:
            raise ValueError(f"bound: expected how many news may wait, from 1 up, got {bound!r}")
        mirrors = tuple(mirrors)
        for mirror in mirrors:
            _check(mirror)
        self._directory = directory
        self._clock = clock
        self._present: dict[str, dict[str, Any]] = {}
        self._revision = 0
        self._read = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._following: asyncio.Task[None] | None = None
        self.feeds = tuple(Feed(mirror, self._listed, self._notice, bound) for mirror in mirrors)
        """What waits for each mirror, and what was dropped."""

    def start(self) -> None:
        """Begin; what is there already joins."""
        if self.feeds and self._following is None:
            self._following = asyncio.create_task(self._follow(), name="agentreg-mirroring")
            self._tasks = [asyncio.create_task(feed.run(), name="agentreg-mirror") for feed in self.feeds]

    async def close(self, limit: float = 1.0) -> None:
        """End: no more news; those that wait have *limit* seconds to be delivered, and are lost then."""
        following, self._following = self._following, None
        if following is None:
            return
        flushing = asyncio.create_task(self._flush(following))
        await asyncio.wait([flushing], timeout=limit)
        await end((flushing, following, *self._tasks))
        for feed in self.feeds:
            if feed.waiting:
                _log.warning("the end came before %r had its last %d news", feed.mirror, feed.waiting)
            await feed.close()

    async def _flush(self, following: asyncio.Task[None]) -> None:
        """What has happened by now is delivered."""
        while self._revision < self._directory.revision and not following.done():
            self._read.clear()
            await self._read.wait()
        for feed in self.feeds:
            feed.end()
        await asyncio.gather(*self._tasks)

    # -- reading along ------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                async for item in self._directory.watch():
                    self._take(item)
                return
            except RegistryError as error:
                _log.warning("mirrors get no news for now: %s", error)
                await asyncio.sleep(_PAUSE)

    def _take(self, item: Listing | Change) -> None:
        self._revision = max(self._revision, item.revision)
        self._read.set()
        if isinstance(item, Listing):
            self._present = {each.agent_id: described(each) for each in item.agents if not _is_over(each)}
            for feed in self.feeds:
                feed.begin_anew()
            return
        news = self._news_of(item)
        if news is not None:
            for feed in self.feeds:
                feed.put(news)

    def _news_of(self, change: Change) -> News | None:
        """What is new in *change*, for somebody who knows who is present."""
        record = change.record or self._directory.agents.get(change.agent_id)
        if change.kind == "deregistered":
            return self._left(change.agent_id, change.reason)
        if (change.fields or {}).get("status") == AgentStatus.OFFLINE.value:
            return self._left(change.agent_id, "stopped")
        if record is None:
            return None  # it is gone by now, which is the news of a later change
        if _is_over(record):
            return self._left(change.agent_id, "stopped") if change.kind == "registered" else None
        kind: Kind = "changed" if change.agent_id in self._present else "joined"
        self._present[change.agent_id] = described(record)
        return self._news(kind, self._present[change.agent_id])

    def _left(self, agent_id: str, reason: str | None) -> News | None:
        agent = self._present.pop(agent_id, None)
        return None if agent is None else self._news("left", {**agent, "reason": reason})

    # -- news ---------------------------------------------------------------

    def _listed(self) -> list[News]:
        return [self._news("joined", agent) for agent in self._present.values()]

    def _notice(self) -> News:
        return self._news("resync", {})

    def _news(self, kind: Kind, agent: dict[str, Any]) -> News:
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        return News(kind, self._revision, now.isoformat().replace("+00:00", "Z"), agent)


def _check(mirror: Mirror) -> None:
    missing = [name for name in ("joined", "changed", "left") if not callable(getattr(mirror, name, None))]
    if missing:
        raise TypeError(f"mirrors: expected objects with joined, changed and left; {mirror!r} lacks {missing[0]}()")


def _is_over(record: AgentMetadata) -> bool:
    return record.status is AgentStatus.OFFLINE
