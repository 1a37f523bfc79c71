"""Watcher: keeps a catalog current while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

__all__ = ["Watched", "Watcher"]

_log = logging.getLogger("agentreg")

Hints = Callable[[Sequence[str]], "AsyncGenerator[Collection[str], None]"]
Sleep = Callable[[float], Awaitable[Any]]
_Identity = tuple[int, int]


class Watched(Protocol):
    """What a watcher needs of a catalog."""

    def refresh(self, sources: Collection[str] | None = None) -> None:
        """Read again what has changed in these sources, or in all."""
        ...

    def roots(self) -> dict[str, str]:
        """The folders worth watching, each with the name of its source."""
        ...

    def sources(self) -> Sequence[Any]:
        """Objects with the ``name`` of each source."""
        ...


class Watcher:
    """Refreshes the sources of a catalog whenever something may have changed in them.

    - An event below a root has its source refreshed, *debounce* seconds later, with all others of that time.
    - Every source is refreshed every *every* seconds, each for itself: one that hangs doesn't hold up the others.
    - Every *pulse* seconds it looks whether the roots are still the same folders. One that was made, or removed and
      made again, is watched from then on.

    Files are read in worker threads; everything else happens in the loop that awaits `run`.

    Args:
        catalog: What to keep current.
        debounce: Seconds.
        every: Seconds.
        pulse: Seconds.
        hints: What tells of events in some roots; by default watchfiles does.
        sleep: Waits so many seconds.

    Raises:
        ModuleNotFoundError: watchfiles is missing.
    """

    def __init__(
        self,
        catalog: Watched,
        *,
        debounce: float = 0.5,
        every: float = 10.0,
        pulse: float = 1.0,
        hints: Hints | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._debounce = debounce
        self._every = every
        self._pulse = pulse
        self._hints = _system_hints() if hints is None else hints
        self._sleep = sleep
        self._hinted: set[str] = set()
        self._bell = asyncio.Event()

    async def run(self) -> None:
        """Keep the catalog current until this is cancelled."""
        await self._refresh(None)
        names = [source.name for source in self._catalog.sources()]
        await _together(self._attend(), self._answer(), *(self._sweep(name) for name in names))

    async def _refresh(self, names: Collection[str] | None) -> None:
        try:
            await asyncio.to_thread(self._catalog.refresh, names)
        except Exception:
            _log.exception("a refresh failed; it is tried again in %g seconds", self._every)

    async def _sweep(self, name: str) -> None:
        while True:
            await self._sleep(self._every)
            await self._refresh([name])

    # -- events -------------------------------------------------------------

    async def _answer(self) -> None:
        while True:
            await self._bell.wait()
            await self._sleep(self._debounce)
            self._bell.clear()
            names, self._hinted = self._hinted, set()
            await asyncio.gather(*(self._refresh([name]) for name in sorted(names)))

    def _hint(self, paths: Iterable[str]) -> None:
        roots = self._catalog.roots()
        self._hinted |= {name for path in paths for root, name in roots.items() if _is_within(path, root)}
        if self._hinted:
            self._bell.set()

    async def _attend(self) -> None:
        watched: dict[str, _Identity] = {}
        stream: asyncio.Task[None] | None = None
        try:
            while True:
                present = await asyncio.to_thread(_identities, self._catalog.roots())
                changed = present.items() ^ watched.items()
                if changed:
                    await _end(stream)
                    stream = asyncio.create_task(self._listen(sorted(present)))
                    watched = present
                    await asyncio.sleep(0)  # let it begin to watch before what was there is read
                    self._hint({root for root, _ in changed})
                await self._sleep(self._pulse)
        finally:
            await _end(stream)

    async def _listen(self, roots: list[str]) -> None:
        if not roots:
            return
        try:
            async with contextlib.aclosing(self._hints(roots)) as batches:
                async for paths in batches:
                    self._hint(paths)
        except FileNotFoundError:
            return  # a root has just gone: the next pulse sees it
        except Exception as error:
            _log.warning("folders can't be watched (%s); they are read every %g seconds instead", error, self._every)


def _system_hints() -> Hints:
    try:
        from agentreg.extensions.definitions.catalog.hints import file_hints
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{error}; pip install "agentreg[definitions]"', name=error.name) from error
    return file_hints


def _identities(roots: Iterable[str]) -> dict[str, _Identity]:
    """The roots that are there now, and which folders they are."""
    found = {}
    for root in roots:
        with contextlib.suppress(OSError):
            status = os.stat(root)
            found[root] = (status.st_dev, status.st_ino)
    return found


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(os.path.join(root, ""))


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Await all of *works*; when one fails, or this is cancelled, end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
