"""Ending tasks, for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

__all__ = ["end"]

_PATIENCE = 0.2  # seconds until a task is told again


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *tasks*, and wait until they have ended; how they end is of no interest.

    Before Python 3.12, ``asyncio.wait_for`` may lose a cancellation that
    comes together with what it waits for, or with its time-out, and the task
    goes on (https://github.com/python/cpython/issues/86296): so it is told again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_PATIENCE)
        for task in done:
            if not task.cancelled():
                task.exception()  # else it is said that nobody asked for it
