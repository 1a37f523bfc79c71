"""Handlers are told of events, and none of them holds up another or the evaluation.

Each has a queue and, as long as there is something in it, a thread.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from agentreg.extensions.monitoring.alerts.events import AlertEvent

__all__ = ["QUEUE_LIMIT", "Delivery", "Handler", "Notified"]

_log = logging.getLogger("agentreg")

QUEUE_LIMIT = 1000  # events that wait for one handler


@runtime_checkable
class Notified(Protocol):
    """An object that is told of alerts."""

    def notify(self, event: AlertEvent) -> object:
        """Hear of an event. It may block: it runs in a thread of the handler's own, one event after another."""


Handler = Notified | Callable[[AlertEvent], object]


class Delivery:
    """A desk for each handler. Thread-safe: yes."""

    def __init__(self, handlers: Iterable[Handler], patience: float) -> None:
        self._patience = patience
        self._desks = [_Desk(handler) for handler in handlers]

    def add(self, handler: Handler) -> None:
        """Tell one more."""
        self._desks = [*self._desks, _Desk(handler)]

    def put(self, events: Sequence[AlertEvent]) -> None:
        """Tell every handler, soon; waits for nobody."""
        for desk in self._desks:
            desk.put(events)

    def wait_patiently(self) -> None:
        """Wait until all are through, except those that take longer than the patience."""
        for desk in self._desks:
            desk.wait_patiently(self._patience)

    def wait(self, timeout: float) -> bool:
        """Whether every handler has been told of everything, within *timeout* seconds."""
        deadline = time.monotonic() + timeout
        through = [desk.wait(deadline) for desk in self._desks]  # each of them
        return all(through)

    def counters(self) -> dict[str, int]:
        """How many events were delivered, how often a handler failed, and how many it was never told of."""
        return {key: sum(desk.counts[key] for desk in self._desks) for key in ("delivered", "failed", "dropped")}


class _Desk:
    """One handler, its queue, and its thread while there is something to tell.

    Attributes:
        counts: How many events it was told of, how often it failed, and how many of the oldest were dropped.
    """

    def __init__(self, handler: Handler) -> None:
        self._call = _callable(handler)
        self._name = type(handler).__name__ if isinstance(handler, Notified) else getattr(handler, "__name__", "?")
        self._queue: deque[AlertEvent] = deque()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._stuck = False
        self.counts = {"delivered": 0, "failed": 0, "dropped": 0}

    def put(self, events: Iterable[AlertEvent]) -> None:
        with self._changed:
            self._queue.extend(events)
            while len(self._queue) > QUEUE_LIMIT:
                self._queue.popleft()
                self.counts["dropped"] += 1
            if self._queue and self._worker is None:
                self._worker = threading.Thread(target=self._work, name=f"agentreg-alerts-{self._name}", daemon=True)
                self._worker.start()

    def wait_patiently(self, patience: float) -> None:
        if not self._stuck and not self.wait(time.monotonic() + patience):
            with self._changed:
                self._stuck = self._worker not in (None, threading.current_thread())
            if self._stuck:
                _log.warning("the alert handler %s is still at work; nobody waits for it", self._name)

    def wait(self, deadline: float) -> bool:
        with self._changed:
            if self._worker is threading.current_thread():  # a handler that evaluates
                return False
            return self._changed.wait_for(lambda: self._worker is None, max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._stuck = False
                if not self._queue:
                    self._worker = None
                    self._changed.notify_all()
                    return
                event = self._queue.popleft()
            self._tell(event)

    def _tell(self, event: AlertEvent) -> None:
        try:
            self._call(event)
        except Exception:
            self.counts["failed"] += 1
            _log.exception("the alert handler %s failed at: %s", self._name, event.message)
        else:
            self.counts["delivered"] += 1


def _callable(handler: Any) -> Callable[[AlertEvent], object]:
    call = handler.notify if isinstance(handler, Notified) else handler
    if not callable(call):
        raise TypeError(f"handler: expected a function or an object with a method notify, got {handler!r:.200}")
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):
        raise TypeError(
            f"handler: expected a plain function, got the coroutine function {handler!r:.200}; "
            "pass one that hands the event to your loop with call_soon_threadsafe"
        )
    return call
