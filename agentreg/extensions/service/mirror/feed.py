"""A feed: what waits for one mirror, and the task that hands it over."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from agentreg.extensions.service.mirror.news import Mirror, News, Undelivered

__all__ = ["Feed"]

_log = logging.getLogger(__name__)
BATCH = 100  #: news that are handed over at once, to a mirror that takes several

Listing = Callable[[], list[News]]


class Feed:
    """Hands news to one mirror, in order, at its pace. For one event loop.

    At most *bound* of the news wait. When more come, the oldest are dropped,
    and with them, as there is a hole now, all others; in their place the
    mirror is brought up to date from a listing.

    Args:
        mirror: Who is told.
        listing: Everyone who is there, as ``joined``, with the revision that this is true at.
        notice: The ``resync`` that goes before a listing.
        bound: How much may wait.

    Attributes:
        mirror: As given.
        dropped: How many of the news were dropped so far.
        failed: How many calls of the mirror have failed.
        resyncs: How often it was brought up to date from a listing, the beginning included.
    """

    def __init__(self, mirror: Mirror, listing: Listing, notice: Callable[[], News], bound: int) -> None:
        self.mirror = mirror
        self.dropped = 0
        self.failed = 0
        self.resyncs = 0
        self._listing = listing
        self._notice = notice
        self._bound = bound
        self._told: dict[str, News] = {}
        self._caught_up: deque[News] = deque()  # from a listing; what waits came later
        self._waiting: deque[News] = deque()
        self._behind = False
        self._ending = False
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many of the news wait."""
        return len(self._waiting) + len(self._caught_up)

    def begin_anew(self) -> None:
        """Bring the mirror up to date from a listing, when it comes to that."""
        self._caught_up.clear()
        self._waiting.clear()
        self._behind = True
        self._wake.set()

    def put(self, news: News) -> None:
        """Have *news* wait for the mirror. Never waits itself."""
        if self._behind:
            return  # the listing will have it
        if len(self._waiting) >= self._bound:
            self.dropped += len(self._waiting) + 1
            _log.warning("%r takes its news too slowly: %d were dropped, it begins anew", self.mirror, self.dropped)
            self.begin_anew()
            return
        self._waiting.append(news)
        self._wake.set()

    def end(self) -> None:
        """No more news come: `run` returns when none is left."""
        self._ending = True
        self._wake.set()

    async def run(self) -> None:
        """Hand over what comes, until the end."""
        while True:
            while not (self._behind or self.waiting):
                if self._ending:
                    return
                self._wake.clear()
                await self._wake.wait()
            await self._hand_over(self._next())

    async def close(self) -> None:
        """Let the mirror close what it has open."""
        close = getattr(self.mirror, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await _called(close)

    # -- what is next -------------------------------------------------------

    def _next(self) -> list[News]:
        if self._behind:
            self._behind = False
            self.resyncs += 1
            self._caught_up.extend(self._catching_up())
        source = self._caught_up or self._waiting
        most = BATCH if hasattr(self.mirror, "deliver") else 1
        return [source.popleft() for _ in range(min(most, len(source)))]

    def _catching_up(self) -> list[News]:
        """What makes the mirror know what is there now, whatever it has missed."""
        listing = self._listing()
        if hasattr(self.mirror, "resync"):
            return [self._notice(), *listing]
        return [*self._farewells(listing), *filter(None, map(self._difference, listing))]

    def _farewells(self, listing: Sequence[News]) -> list[News]:
        present = {news.agent["id"] for news in listing}
        notice = self._notice()
        return [
            News("left", notice.revision, notice.time, {**told.agent, "reason": "lost"})
            for agent_id, told in self._told.items()
            if agent_id not in present
        ]

    def _difference(self, news: News) -> News | None:
        told = self._told.get(news.agent["id"])
        if told is None:
            return news
        if told.agent == news.agent:
            return None
        return News("changed", news.revision, news.time, news.agent)

    # -- handing over -------------------------------------------------------

    async def _hand_over(self, batch: list[News]) -> None:
        if not batch:
            return
        try:
            if hasattr(self.mirror, "deliver"):
                await _called(self.mirror.deliver, batch)
            else:
                await _called(getattr(self.mirror, batch[0].type), batch[0])
        except Undelivered as error:
            self.failed += 1
            self.dropped += len(batch) + self.waiting
            _log.warning("%r: %s; it begins anew", self.mirror, error)
            self.begin_anew()
            return
        except Exception:
            self.failed += 1
            _log.exception("the mirror %r failed on the news of revision %d", self.mirror, batch[-1].revision)
        self._remember(batch)

    def _remember(self, batch: Sequence[News]) -> None:
        if hasattr(self.mirror, "resync"):
            return  # it is told everything anew in any case
        for news in batch:
            if news.type == "left":
                self._told.pop(news.agent["id"], None)
            else:
                self._told[news.agent["id"]] = news


async def _called(method: Callable[..., Any], *arguments: Any) -> None:
    if inspect.iscoroutinefunction(method):
        await method(*arguments)
        return
    result = await asyncio.to_thread(method, *arguments)
    if inspect.isawaitable(result):
        await result
