"""What the operating system says has changed. Only a hint: events get lost."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

import watchfiles

__all__ = ["file_hints"]

STEP = 50  # milliseconds in which further events join the first; the watcher waits longer itself


async def file_hints(roots: Sequence[str]) -> AsyncGenerator[frozenset[str], None]:
    """The paths in *roots* that something happened to, in batches, until it is closed.

    Raises:
        FileNotFoundError: one of them is missing.
        OSError: the system's limit of watched folders is reached.
    """
    watching = watchfiles.awatch(*roots, watch_filter=None, debounce=STEP, step=STEP, ignore_permission_denied=True)
    async with contextlib.aclosing(watching):
        async for changes in watching:
            yield frozenset(path for _, path in changes)
