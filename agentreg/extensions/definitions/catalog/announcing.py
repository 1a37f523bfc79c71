"""Announcements: who listens to a catalog, and how they are told."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from agentreg.extensions.definitions.catalog.changes import DefinitionChange
from agentreg.extensions.definitions.definition import AgentDefinition

__all__ = ["Announcements", "Listener", "Subscription"]

_log = logging.getLogger("agentreg")

Listener = Callable[[DefinitionChange], object]


class Subscription:
    """A listener's place in a catalog; `close` it, or use it in a ``with`` block.

    Attributes:
        revision: The catalog's, from which on the listener is told.
        listing: Name -> agent definition, at that revision.
    """

    def __init__(
        self, listener: Listener, revision: int, listing: Mapping[str, AgentDefinition], place: Announcements
    ) -> None:
        self.revision = revision
        self.listing = dict(listing)
        self.listener = listener
        self._place = place

    def close(self) -> None:
        """Stop being told; harmless if it was closed before."""
        self._place.leave(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Announcements:
    """Changes on their way to listeners: one at a time, in order, outside of any lock but its own.

    Thread-safe: yes. *first* is told before all others, and must not raise.
    """

    def __init__(self, first: Listener) -> None:
        self._first = first
        self._subscriptions: tuple[Subscription, ...] = ()
        self._changes: deque[tuple[DefinitionChange, tuple[Subscription, ...]]] = deque()
        self.renew_locks()

    def renew_locks(self) -> None:
        """After a fork: a thread that the child doesn't have may hold them."""
        self._entering = threading.RLock()  # a finalizer may close a subscription while one is added
        self._telling = threading.Lock()

    def add(self, subscription: Subscription) -> None:
        """Tell it of everything that is put from now on."""
        with self._entering:
            self._subscriptions = (*self._subscriptions, subscription)

    def leave(self, subscription: Subscription) -> None:
        """Tell it nothing any more, not even what waits."""
        with self._entering:
            self._subscriptions = tuple(each for each in self._subscriptions if each is not subscription)

    def put(self, changes: Iterable[DefinitionChange]) -> None:
        """Keep *changes* for those who listen now."""
        self._changes.extend([(change, self._subscriptions) for change in changes])

    def tell(self) -> None:
        """Tell what waits; if another thread is at it, or a listener further up in this one, that does it."""
        while self._changes and self._telling.acquire(blocking=False):
            try:
                while self._changes:
                    self._tell_one(*self._changes.popleft())
            finally:
                self._telling.release()

    def _tell_one(self, change: DefinitionChange, subscriptions: tuple[Subscription, ...]) -> None:
        self._first(change)
        for subscription in subscriptions:
            if subscription in self._subscriptions:
                try:
                    subscription.listener(change)
                except Exception:
                    _log.exception("a listener of a catalog failed at %s", type(change).__name__)
