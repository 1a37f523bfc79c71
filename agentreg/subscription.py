"""Who listens, and how they are told: in revision order, one event at a time.

Events wait in the table's log. Whoever has changed something brings every
listener up to date before returning (`tell`), outside the lock; a listener
that another thread is telling is waited for. Three cases don't wait: a call
from inside a listener (the outer call goes on where it stopped), a call from
inside an operation (a finalizer), and a listener that has not come back
from one call within `PATIENCE`: it may be waiting for a lock that the
caller holds. Nothing is lost in either case, it only arrives later.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from threading import get_ident
from types import TracebackType
from typing import Any

from typing_extensions import Self

from agentreg.events import AgentRegistered, CallFinished, RegistryEvent, Resync
from agentreg.table import Table, listing, lock

__all__ = ["BACKLOG", "PATIENCE", "CallSubscription", "Subscription", "subscribe", "tell"]

PATIENCE = 1.0  # seconds to wait for a listener that another thread is telling
BACKLOG = 100_000  # changes kept for a listener that does not come back, before it is resynchronised

_log = logging.getLogger("agentreg")
_telling: set[int] = set()  # threads that are inside `tell`
_alive: weakref.WeakSet[Subscription] = weakref.WeakSet()


class Subscription:
    """What is registered now, and a listener for what changes from there.

    ``close()`` ends it (an event under way in another thread may still
    arrive); so does leaving its ``with`` block.

    Thread-safe: yes, because each listener is told by one thread at a time.

    Attributes:
        listing: Agent name -> class name, pool members included, at `revision`.
        capabilities: Agent name -> capabilities, where some were declared.
        pools: Pool name -> class name.
        revision: The revision of the listing; the first event has the next one.
        heard: The revision of the last event that the listener was told.
        closed: Whether it has ended.
    """

    def __init__(self, table: Table, listener: Callable[[RegistryEvent], object]) -> None:
        self._table = table
        self._listener = listener
        self._turn = threading.Lock()
        self._teller: int | None = None
        self._overdue = False
        self._more = False
        self.closed = False
        self.revision = self.heard = 0
        self.listing: dict[str, str] = {}
        self.capabilities: dict[str, tuple[str, ...]] = {}
        self.pools: dict[str, str] = {}

    def close(self) -> None:
        """Tell the listener nothing more. Calling it again is harmless."""
        table = self._table
        with lock:
            self.closed = True
            while True:
                before = table.subscriptions
                others = tuple(s for s in before if s is not self)
                fresh: dict[int, Any] = {}
                if table.subscriptions is before:
                    table.subscriptions = others
                    if not others:
                        table.log = fresh
                    break

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _catch_up(self, me: int, patient: bool, goal: int) -> None:
        while self.heard < goal and not self.closed:
            if not self._take_turn(me, patient):
                return
            self._teller = me
            try:
                self._drain(goal)
            finally:
                self._teller = None
                self._overdue = False
                self._turn.release()
            if self._more:
                self._more = False
                goal = self._table.revision

    def _take_turn(self, me: int, patient: bool) -> bool:
        inside = self._teller == me  # the listener's own call
        if not inside and (self._turn.acquire(False) or (patient and self._wait())):
            return True
        self._more = True  # for whoever is telling: it goes on with what is left here, once it is through
        return not inside and self._turn.acquire(False)

    def _wait(self) -> bool:
        if self._overdue:
            return False
        if self._turn.acquire(timeout=PATIENCE):
            return True
        self._overdue = True
        _log.warning("the listener %r has not returned for %s s; going on without it", self._listener, PATIENCE)
        return False

    def _drain(self, goal: int) -> None:
        while self.heard < goal and not self.closed:
            revision = self.heard + 1
            event = self._event(revision)
            if event is None:
                break
            try:
                self._listener(event)
            except Exception:
                _log.exception("the listener %r failed on %r", self._listener, event)
            finally:
                self.heard = event.revision

    def _event(self, revision: int) -> RegistryEvent | None:
        entry = self._table.log.get(revision)
        if entry is None:
            with lock:  # closed meanwhile, or so late that the log was trimmed
                return None if self.closed else _resync(self._table)
        kind, name, class_name, detail = entry
        if kind is AgentRegistered:
            return AgentRegistered(name, class_name, revision, capabilities=detail)
        event: RegistryEvent = kind(name, class_name, revision, detail)
        return event


class CallSubscription:
    """A listener for finished calls; ``close()`` or leaving its ``with`` block ends it."""

    def __init__(self, table: Table, listener: Callable[[CallFinished], object]) -> None:
        self._table = table
        self.listener = listener

    def close(self) -> None:
        """Tell the listener nothing more. Calling it again is harmless."""
        table = self._table
        with lock:
            while True:
                before = table.call_listeners
                others = tuple(s for s in before if s is not self)
                if table.call_listeners is before:
                    table.call_listeners = others
                    break

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def tell(self, event: CallFinished) -> None:
        """Hand *event* to the listener; what it raises is logged."""
        try:
            self.listener(event)
        except Exception:
            _log.exception("the listener %r failed on %r", self.listener, event)


def subscribe(table: Table, listener: Callable[[RegistryEvent], object]) -> Subscription:
    """Let *listener* hear of every change from now on; see ``AgentRegistry.subscribe``."""
    subscription = Subscription(table, listener)
    with lock:
        while True:
            now = _resync(table)
            subscription.revision = subscription.heard = now.revision
            subscription.listing = dict(now.listing)
            subscription.capabilities = dict(now.capabilities)
            subscription.pools = dict(now.pools)
            others = table.subscriptions
            joined = (*others, subscription)
            if table.revision == now.revision and table.subscriptions is others:
                table.subscriptions = joined
                if not others:
                    table.told = now.revision
                break
    _alive.add(subscription)
    tell(table, patient=False)
    return subscription


def tell(table: Table, patient: bool = True) -> None:
    """Bring every listener up to the table's revision, as far as this thread may."""
    if lock._is_owned():  # type: ignore[attr-defined]  # inside an operation: it tells when it is through
        return
    me = get_ident()
    inside = me in _telling
    _telling.add(me)  # before any lock is taken: a finalizer that comes in between must not wait
    try:
        for subscription in table.subscriptions:
            subscription._catch_up(me, patient and not inside, table.revision)
        if table.log:
            _trim(table)
    finally:
        if not inside:
            _telling.discard(me)


def _resync(table: Table) -> Resync:
    with lock:
        while True:
            table.sweep()
            revision, entries, pools, capabilities = table.snapshot()
            kinds = {name: type(pool).__name__ for name, pool in pools.items()}
            resync = Resync(revision, listing(entries), capabilities, kinds)
            if table.revision == revision:
                return resync


def _trim(table: Table) -> None:
    """Take out of the log what every listener has heard, or was too slow for."""
    with lock:
        revision = table.revision
        waited_for = [s.heard for s in table.subscriptions if not (s._overdue and revision - s.heard > BACKLOG)]
        low = min(waited_for, default=revision)
        trimmed = range(table.told + 1, low + 1)
        for old in trimmed:
            table.log.pop(old, None)
        table.told = max(table.told, low)
        if len(trimmed) > 1024:
            table.log = dict(table.log)  # a dict never shrinks on deletion


def _forget_other_threads() -> None:
    # in a child process only the forking thread goes on: nobody else is telling anyone
    me = get_ident()
    _telling.intersection_update({me})
    for subscription in list(_alive):
        if subscription._teller != me:
            subscription._turn = threading.Lock()
            subscription._teller = None
            subscription._overdue = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


def report(table: Table, name: str, seconds: float, ok: bool) -> None:
    """Tell every call listener that a run has ended."""
    event = CallFinished(name, seconds, ok)
    for subscription in table.call_listeners:
        subscription.tell(event)


Listener = Callable[[RegistryEvent], Any]
