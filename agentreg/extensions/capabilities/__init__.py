"""Who can do what: exactly, all of several, any of them, or something like it.

`CapabilityMixin` adds the look-ups to a registry class, and
`CapabilityRegistry` is ready-made; both follow the live agents. Beneath
them, `CapabilityIndex` is a plain data structure for any kind of names.

How it keeps up: the registry's events and the declarations wait in one
queue, and whoever holds the lock applies them, in order. Adding to the
queue never waits, so a listener or a finalizer can't be held up by it; what
is added from inside an operation is applied once that is through.
"""

from __future__ import annotations

import operator
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from agentreg import AgentRegistry, Subscription
from agentreg.events import AgentRegistered, PoolRegistered, RegistryEvent, Resync
from agentreg.extensions.capabilities.index import CapabilityIndex

__all__ = ["CapabilityIndex", "CapabilityMixin", "CapabilityRegistry"]

_lock = threading.RLock()


class CapabilityMixin:
    """What a registry class gains: capabilities of names, and look-ups by them.

    The capabilities of a ``BaseAgent`` are entered by themselves. Any other
    is declared with `register_capability`, for a name that is registered or
    will be: once the name has had an agent (or pool), its capabilities go
    when that leaves. All classes with this mixin see the same capabilities:
    those of the registry's present state.

    Results are in registration order, which counts from the moment a name
    was registered or, as long as it isn't, first declared.

    Thread-safe: yes. Every call sees the effects of the registry calls and
    declarations before it, and never a name whose agent is dead; one may
    die before you look it up. Declarations made from inside another call,
    by a finalizer or a signal handler, take effect once that is through.
    """

    @classmethod
    def register_capability(cls, agent_name: str, capability: str) -> None:
        """Declare that *agent_name* can do *capability*, as written; twice is once. Never waits for another thread.

        >>> CapabilityRegistry.register_capability("translator", "Translation")
        >>> CapabilityRegistry.capabilities_of("translator")
        ('Translation',)
        """
        live = _live()
        live.put(live.index.declare, _text(agent_name, "agent name"), _text(capability, "capability"))

    @classmethod
    def unregister_capability(cls, agent_name: str, capability: str) -> None:
        """Take a declaration back, a ``BaseAgent``'s own included; an unknown one is no error. Never waits.

        >>> CapabilityRegistry.register_capability("translator", "translation")
        >>> CapabilityRegistry.unregister_capability("translator", "translation")
        >>> CapabilityRegistry.capabilities_of("translator")
        ()
        """
        live = _live()
        live.put(live.index.withdraw, _text(agent_name, "agent name"), _text(capability, "capability"))

    @classmethod
    def capabilities_of(cls, name: str) -> tuple[str, ...]:
        """What *name* can do, in the order of declaration; empty for an unknown name."""
        with _live() as live:
            return live.index.capabilities_of(name)

    @classmethod
    def capabilities(cls) -> list[str]:
        """Every capability that some name has, in the order of first declaration."""
        with _live() as live:
            return live.index.capabilities()

    @classmethod
    def find_by_capability(cls, capability: str) -> list[str]:
        """The names that have *capability*, exactly as written, in registration order.

        >>> CapabilityRegistry.register_capability("translator", "translation")
        >>> CapabilityRegistry.find_by_capability("translation")
        ['translator']
        >>> CapabilityRegistry.find_by_capability("Translation")
        []
        """
        if type(capability) is not str or not capability:
            capability = _text(capability, "capability")
        return _live().find(capability)

    @classmethod
    def find_all_of(cls, capabilities: Iterable[str]) -> list[str]:
        """The names that have every one of *capabilities*, in registration order; of none at all, nobody.

        >>> CapabilityRegistry.register_capability("ann", "French")
        >>> CapabilityRegistry.register_capability("bob", "French")
        >>> CapabilityRegistry.register_capability("bob", "German")
        >>> CapabilityRegistry.find_all_of(["French", "German"])
        ['bob']
        """
        wanted = _texts(capabilities)
        with _live() as live:
            return live.index.find_all_of(wanted)

    @classmethod
    def find_any_of(cls, capabilities: Iterable[str]) -> list[str]:
        """The names that have at least one of *capabilities*, in registration order."""
        wanted = _texts(capabilities)
        with _live() as live:
            return live.index.find_any_of(wanted)

    @classmethod
    def find_best_match(cls, capabilities: Iterable[str]) -> str | None:
        """The name that has most of *capabilities*, the first registered among equals; None if nobody has any.

        >>> CapabilityRegistry.register_capability("ann", "translation")
        >>> CapabilityRegistry.register_capability("bob", "translation")
        >>> CapabilityRegistry.register_capability("bob", "localization")
        >>> CapabilityRegistry.find_best_match(["translation", "localization"])
        'bob'
        """
        wanted = _texts(capabilities)
        with _live() as live:
            return live.index.find_best_match(wanted)

    @classmethod
    def search(cls, text: str, limit: int | None = None) -> list[str]:
        """The names with a capability that contains *text*, whatever the case: the best *limit* of them.

        A name ranks by its best one among those capabilities: by the share
        of words that this and *text* have in common. Equals come in
        registration order. The first search over more than a few
        capabilities builds an index, which is kept up from then on.

        Raises:
            ValueError: *text* is empty or blank, or *limit* is below 0.

        >>> CapabilityRegistry.register_capability("ann", "German translation")
        >>> CapabilityRegistry.register_capability("bob", "Translation")
        >>> CapabilityRegistry.search("translation")
        ['bob', 'ann']
        """
        text = _text(text, "text to search for")
        limit = None if limit is None else operator.index(limit)
        with _live() as live:
            return live.index.search(text, limit) if live.alone else live.index.scan(text, limit)


class CapabilityRegistry(CapabilityMixin, AgentRegistry):
    """`AgentRegistry` with capabilities: the same agents, found by what they can do.

    Example:
        >>> class Writer: ...
        >>> writer = Writer()
        >>> name = CapabilityRegistry.register(writer, "writer")
        >>> CapabilityRegistry.register_capability("writer", "content_creation")
        >>> CapabilityRegistry.find_by_capability("content_creation")
        ['writer']
        >>> del writer
        >>> CapabilityRegistry.find_by_capability("content_creation")
        []
    """


def _live() -> _Live:
    live = AgentRegistry.extension_state(_Live, _Live)
    live.heard = AgentRegistry.revision  # reading it sweeps the dead, and brings the events up to now
    return live


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected text, got {value!r} of type {type(value).__name__}")
    if not value:
        raise ValueError(f"{what}: expected some text, got an empty one")
    return str.__str__(value)  # a subclass might compare in code of its own, under the lock


def _texts(values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise TypeError(f"capabilities: expected several texts, got the one text {values!r}; write [{values!r}]")
    return list(dict.fromkeys(_text(value, "capability") for value in values))


class _Live:
    """The index of one registry state, kept up with the registry.

    ``with live:`` holds the lock, with everything that was put applied.
    Inside another operation of the same thread (in a finalizer or a signal
    handler) nothing is applied and `alone` is false: the index may be read
    as it is, and must not be changed.
    """

    def __init__(self) -> None:
        self.index = CapabilityIndex()
        self.heard = 0
        self._changes: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._depth = 1  # what other threads' events bring waits until the listing is entered
        self._subscription = AgentRegistry.subscribe(self._hear)
        self._start(self._subscription)
        self._subscription.listing = {}  # kept any longer, it would keep the names of the dead
        self._depth = 0

    def close(self) -> None:
        self._subscription.close()

    def put(self, change: Callable[..., None], *arguments: Any) -> None:
        """Have *change* called: now, or by the thread that holds the lock, or by the next operation."""
        self._changes.append((change, arguments))
        if _lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                _lock.release()

    def find(self, capability: str) -> list[str]:
        """The names that have *capability*; by far the most frequent question, so it takes the shortest way."""
        _lock.acquire()
        try:
            if self._changes:
                self._settle()
            found = self.index.lookup(capability)
            if found is None:
                return []
            if found.in_order:
                return list(found.ranks)
        finally:
            _lock.release()
        with self:
            return self.index.find(capability) if self.alone else self.index.find_any_of([capability])

    @property
    def alone(self) -> bool:
        return self._depth == 1

    def __enter__(self) -> _Live:
        _lock.acquire()
        if self._changes:
            self._settle()
        self._depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        _lock.release()

    def _settle(self) -> None:
        if self._depth:
            return
        self._depth = 1
        try:
            while self._changes:
                change, arguments = self._changes.popleft()
                change(*arguments)
        finally:
            self._depth = 0

    def _hear(self, event: RegistryEvent) -> None:
        if isinstance(event, AgentRegistered):
            self.put(self.index.enter, event.name, tuple(map(str.__str__, event.capabilities)))
        elif isinstance(event, PoolRegistered):
            self.put(self.index.enter, event.name)
        elif isinstance(event, Resync):
            self.put(self._start, event)
        else:
            self.put(self.index.leave, event.name)

    def _start(self, told: Subscription | Resync) -> None:
        for name in self.index.names():
            if name not in told.listing and name not in told.pools:
                self.index.leave(name)
        for name in (*told.listing, *told.pools):
            self.index.enter(name, map(str.__str__, told.capabilities.get(name, ())))


if hasattr(os, "register_at_fork"):
    # a child must not inherit the lock from a thread that it doesn't have, nor a half-made change
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
