"""Who waits for changes is woken by them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from agentreg.extensions.coordination.redis import scripts
from agentreg.extensions.coordination.redis.client import Client
from agentreg.extensions.coordination.redis.revision import Position

__all__ = ["Bell", "Ring"]

_log = logging.getLogger(__name__)


class Ring(NamedTuple):
    """What a blocking read has found.

    Attributes:
        positions: From where it looked, by partition.
        heard: Whether the log goes on there.
        answer: What read.lua gives there, if that is known.
    """

    positions: dict[int, Position]
    heard: bool = False
    answer: Any = None


class Bell:
    """Rings when a log grows: blocking reads, on connections of their own, which end by themselves soon after.

    It only saves time: whoever waits looks again after a while in any case.
    """

    def __init__(self, client: Client, arguments: Callable[[Position], tuple[str, ...]]) -> None:
        """*arguments* are those of read.lua for a position."""
        self._client = client
        self._arguments = arguments
        self._reads: dict[tuple[int, ...], asyncio.Task[Ring]] = {}

    async def wait(self, positions: Sequence[Position], seconds: float) -> list[Ring]:
        """Come back when a partition has a change after its position, or after *seconds*; with what was found."""
        for group in self._client.groups:
            read = self._reads.get(group)
            if read is None or read.done():
                here = {partition: positions[partition] for partition in group}
                self._reads[group] = asyncio.create_task(self._read(group, here), name="agentreg-redis-bell")
        done, _ = await asyncio.wait(self._reads.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return [read.result() for read in done if not read.cancelled()]

    async def _read(self, group: tuple[int, ...], here: dict[int, Position]) -> Ring:
        seconds = min(1.0, self._client.patience / 2)
        numbers = [position.number for position in here.values()]
        arguments = self._arguments(here[group[0]])
        try:
            return Ring(here, *await self._client.await_news(group, numbers, seconds, scripts.READ, *arguments))
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            _log.debug("%s: changes are looked for now and then (%s)", self._client.address.url, error)
            await asyncio.sleep(seconds)
            return Ring(here)

    async def stop(self) -> None:
        """End the reads."""
        reads, self._reads = list(self._reads.values()), {}
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
