"""Turns: who changes a record waits for those who change the same one, and for nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

__all__ = ["Turns"]


class Turns:
    """A lock for each record that is being changed. For one event loop."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._several = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def of(self, agent_id: str) -> AsyncIterator[None]:
        """The turn of one record, for the time of the block."""
        lock = self._locks.get(agent_id)
        if lock is None:
            lock = self._locks[agent_id] = asyncio.Lock()
        async with lock:
            yield

    def of_several(self) -> asyncio.Lock:
        """To be held by whoever needs the turns of more than one record: two of them would wait for each other."""
        return self._several
