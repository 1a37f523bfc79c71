"""Latch: set once, from any thread; awaited from any event loop."""

from __future__ import annotations

import asyncio
import contextlib

from agentreg.extensions.resources.conflicts.lock import lock

__all__ = ["Latch"]


class Latch:
    """Set once, from any thread; awaited by any number of tasks in any event loop. Thread-safe: yes."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self._is_set = False

    def set(self) -> None:
        """Wake whoever waits; a second time is fine."""
        with lock:
            self._is_set = True
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            with contextlib.suppress(RuntimeError):  # that loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(_wake, future)

    async def wait(self, timeout: float | None = None) -> bool:
        """Whether it was set within *timeout* seconds of real time (None: however long)."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with lock:
            if self._is_set:
                return True
            self._waiting[future] = loop
        try:
            await asyncio.wait([future], timeout=timeout)
        finally:
            with lock:
                self._waiting.pop(future, None)
            future.cancel()
        return self._is_set


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
