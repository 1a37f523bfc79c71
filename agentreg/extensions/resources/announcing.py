"""Who listens to a manager, and how they are told: in order, one event at a time, without the lock."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from typing_extensions import Self

from agentreg.extensions.resources.events import ResourceEvent

__all__ = ["Announcer", "Listening"]

_log = logging.getLogger("agentreg")
_alive: weakref.WeakSet[Announcer] = weakref.WeakSet()


class Listening:
    """A listener's subscription; ``close()`` or leaving its ``with`` block ends it.

    Thread-safe: yes.
    """

    def __init__(self, announcer: Announcer, listener: Callable[[ResourceEvent], object]) -> None:
        self._announcer = announcer
        self.listener = listener

    def close(self) -> None:
        """Tell the listener nothing more; one event may still be under way in another thread. Twice is harmless."""
        self._announcer.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Announcer:
    """The events that were not told yet, and who is to hear them.

    One thread tells at a time, and goes on with what others add meanwhile:
    nobody waits for a listener but the thread that calls it.
    """

    def __init__(self) -> None:
        self.listeners: tuple[Listening, ...] = ()
        self.revision = 0
        self._events: deque[ResourceEvent] = deque()
        self._changing = threading.Lock()
        self._turn = threading.Lock()
        _alive.add(self)

    def add(self, listener: Callable[[ResourceEvent], object]) -> Listening:
        """Let *listener* hear of everything from now on."""
        if not callable(listener):
            raise TypeError(f"listener: expected something that can be called with an event, got {listener!r}")
        listening = Listening(self, listener)
        with self._changing:
            self.listeners = (*self.listeners, listening)
        return listening

    def remove(self, listening: Listening) -> None:
        """Let it hear nothing more."""
        with self._changing:
            self.listeners = tuple(each for each in self.listeners if each is not listening)

    def put(self, kind: Callable[..., ResourceEvent], *figures: Any) -> None:
        """Count an event, and keep it until `tell` if somebody listens. Called under the lock."""
        self.revision += 1
        if self.listeners:
            self._events.append(kind(*figures, self.revision))

    def tell(self) -> None:
        """Tell everything that was put, unless another thread is at it. Called without the lock."""
        while self._events and self._turn.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._turn.release()

    def _drain(self) -> None:
        while self._events:
            event = self._events.popleft()
            for listening in self.listeners:
                try:
                    listening.listener(event)
                except Exception:
                    _log.exception("the listener %r failed on %r", listening.listener, event)

    def _start_again(self) -> None:
        self._changing, self._turn = threading.Lock(), threading.Lock()


def _forget_other_threads() -> None:
    # in a child process nobody else is telling anyone
    for announcer in list(_alive):
        announcer._start_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
