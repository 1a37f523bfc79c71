"""The beats of runtimes that wait to be written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from agentreg import RegistryError
from agentreg.extensions.coordination.backend import Renew

__all__ = ["WaitingBeats"]

_log = logging.getLogger(__name__)

SOON = 0.05  #: seconds that a beat may wait
LATER = 0.5  #: seconds until it is tried again


class WaitingBeats:
    """Beats of runtimes, written together soon after the first.

    A runtime's beat needs no answer, so that nobody need wait for it: one
    that beats a thousand times before the next script costs one entry.

    Attributes:
        failing: Whether they could not be written the last time: who beats
            now should hear of it.
    """

    def __init__(self, write: Callable[[Sequence[Renew]], Awaitable[object]]) -> None:
        self._write = write
        self._runtimes: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.failing = False

    def note(self, runtimes: Iterable[str]) -> None:
        """These have beaten."""
        self._runtimes.update(dict.fromkeys(runtimes))
        if self._timer is None:
            self._arm(SOON)

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._start)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._try(), name="agentreg-redis-beats")

    async def _try(self) -> None:
        self._timer = None
        try:
            await self.flush()
        except RegistryError as error:
            _log.warning("heartbeats wait: %s", error)
            self._arm(LATER)

    async def flush(self) -> None:
        """Write those that wait. Raises what the store does; they wait on then."""
        if not self._runtimes and not self._turn.locked():
            return
        async with self._turn:
            taken, self._runtimes = self._runtimes, {}
            if not taken:
                return
            self.failing = True
            try:
                await self._write([Renew(each) for each in taken])
                self.failing = False
            finally:
                if self.failing:
                    self._runtimes = taken | self._runtimes

    async def stop(self) -> None:
        """Write those that wait, if that goes; then nothing is left in the background."""
        self._disarm()
        if self._task is not None:
            await asyncio.wait([self._task])
            self._disarm()
        if not self.failing:
            try:
                await self.flush()
            except RegistryError as error:
                _log.warning("the last heartbeats are lost: %s", error)
        self._runtimes = {}
        self.failing = False

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
