"""The beginning of the service's life: its store is opened, again and again until that works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agentreg.extensions.coordination import DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.ending import end

__all__ = ["Opening"]

_log = logging.getLogger(__name__)
_PATIENCE = 1.0  # seconds of the first try, before the service answers without its store
_PAUSE = 0.5  # seconds between tries

_SLOW = DirectoryUnavailableError("its store", f"nothing within {_PATIENCE:g} s; it is still being opened")

#: What goes away by itself: a full disk, a folder that may not be written to, a program that holds the file.
_PASSING = (DirectoryUnavailableError, DamagedStoreError)


class Opening:
    """Opens the store, and says why it is not open yet. For one event loop.

    Args:
        opens: Opens it; may be called again after it has raised.
        then: Called once it is open.

    Attributes:
        trouble: Why the service can't work yet; None once the store is open.
    """

    def __init__(self, opens: Callable[[], Awaitable[None]], then: Callable[[], object]) -> None:
        self._opens = opens
        self._then = then
        self._task: asyncio.Task[None] | None = None
        self.trouble: BaseException | None = None

    async def begin(self) -> None:
        """Open it, or go on trying in the background. What doesn't go away by itself is raised."""
        first = asyncio.ensure_future(self._opens())
        await asyncio.wait((first,), timeout=_PATIENCE)
        if first.done() and not isinstance(first.exception(), _PASSING):
            first.result()
            self._then()
            return
        self.trouble = first.exception() if first.done() else _SLOW
        _log.warning("the service waits for its store: %s", self.trouble)
        self._task = asyncio.create_task(self._insist(first), name="agentreg-service-opening")

    async def _insist(self, attempt: asyncio.Future[None]) -> None:
        while True:
            try:
                await attempt
                break
            except Exception as error:
                self.trouble = error
            await asyncio.sleep(_PAUSE)
            attempt = asyncio.ensure_future(self._opens())
        self._then()
        self.trouble = None
        _log.warning("the service has its store")

    async def close(self) -> None:
        """Try no more."""
        if self._task is not None:
            await end([self._task])
