"""Telling callbacks: each has a queue of its own, so that a slow one delays only itself."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from agentreg.extensions.coordination.events import RegistryEvent, RegistryEventType

__all__ = ["Broadcast", "Callback"]

Callback = Callable[[RegistryEvent], Any]

_log = logging.getLogger(__name__)
_TURN = 100  # events after which a callback that never waits lets others run


class _Mailbox:
    """The events that wait for one callback, and the task that delivers them."""

    def __init__(self, callback: Callback, size: int) -> None:
        self.callback = callback
        self.events: deque[RegistryEvent] = deque()
        self.size = size
        self.dropped = 0
        self.task: asyncio.Task[None] | None = None
        self._overflowing = False

    def put(self, event: RegistryEvent) -> None:
        if len(self.events) >= self.size:
            self.events.popleft()
            self.dropped += 1
            self._say_so()
        self.events.append(event)
        if self.task is None:
            self.task = asyncio.create_task(self._deliver(), name=f"agentreg-callback-{self.callback!r:.60}")

    def _say_so(self) -> None:
        if not self._overflowing:
            self._overflowing = True
            _log.warning(
                "%r is slower than the events that come: the oldest of %d that wait are dropped "
                "(raise event_queue_size, or let it do its work elsewhere)",
                self.callback,
                self.size,
            )

    async def _deliver(self) -> None:
        turn = 0
        try:
            while self.events:
                event = self.events.popleft()
                try:
                    result = self.callback(event)
                    if result is not None and inspect.isawaitable(result):
                        await result
                except Exception:
                    _log.exception("%r failed on %s; the next event goes to it all the same", self.callback, event)
                turn += 1
                if turn % _TURN == 0:
                    await asyncio.sleep(0)
            self._overflowing = False
        finally:
            self.task = None


class Broadcast:
    """Callbacks by kind of event.

    Attributes:
        dropped: How many events were lost: to queues that were full, and to
            nobody, before `start`.
    """

    def __init__(self, queue_size: int) -> None:
        self._size = queue_size
        self._boxes: dict[RegistryEventType, list[_Mailbox]] = {kind: [] for kind in RegistryEventType}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._before = 0
        self._gone = 0  # dropped by mailboxes that were unsubscribed

    @property
    def dropped(self) -> int:
        """How many events were lost."""
        return self._before + self._gone + sum(box.dropped for box in self._all_boxes())

    def start(self) -> None:
        """Deliver from now on, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    async def stop(self, timeout: float) -> None:
        """Accept no more, and deliver what was accepted; after *timeout* seconds, cancel what still runs."""
        self._loop = None
        tasks = {box.task for box in self._all_boxes() if box.task is not None} - {asyncio.current_task()}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout)
        for task in late:
            _log.warning("%s is not through after %g s; it is cancelled", task.get_name(), timeout)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)

    def wanted(self, kind: RegistryEventType) -> bool:
        """Whether an event of this kind would reach anybody. Counts it as dropped if not yet started."""
        if self._loop is None:
            self._before += 1
            return False
        return bool(self._boxes[kind])

    def emit(self, event: RegistryEvent) -> None:
        """Put *event* into the queues of those who want it. Never waits; from any thread."""
        if threading.get_ident() == self._thread:
            self._put(event)
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: RegistryEvent) -> None:
        for box in self._boxes[event.event_type]:
            box.put(event)

    def subscribe(self, kind: RegistryEventType, callback: Callback) -> None:
        """Call *callback* with each event of this kind; twice subscribed is called twice."""
        if not callable(callback):
            raise TypeError(f"callback: expected something callable, got {callback!r}")
        boxes = self._boxes[RegistryEventType(kind)]
        boxes.append(self._box_of(callback) or _Mailbox(callback, self._size))

    def unsubscribe(self, kind: RegistryEventType, callback: Callback) -> bool:
        """No longer, as from the next event; what waits for it is dropped if it has no other subscription."""
        boxes = self._boxes[RegistryEventType(kind)]
        box = next((box for box in boxes if box.callback == callback), None)
        if box is None:
            return False
        boxes.remove(box)
        if self._box_of(callback) is None:
            self._gone += box.dropped
            box.events.clear()
        return True

    def _box_of(self, callback: Callback) -> _Mailbox | None:
        return next((box for box in self._all_boxes() if box.callback == callback), None)

    def _all_boxes(self) -> list[_Mailbox]:
        return list({id(box): box for boxes in self._boxes.values() for box in boxes}.values())

    def callbacks(self, kind: RegistryEventType) -> list[Callback]:
        """Those that are subscribed to this kind, in order of subscription."""
        return [box.callback for box in self._boxes[kind]]
