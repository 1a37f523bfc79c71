"""Who is least busy: tasks counted by name, and pickers that choose by them.

`LoadBalancingMixin` adds the counts to a registry class, and
`LoadBalancedRegistry` is ready-made. A `Picker` is a small object that gets
a `Snapshot` and returns one of its names; write your own as you need it
(``examples/pickers.py`` has three).
"""

from __future__ import annotations

import os
import random
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from agentreg import AgentRegistry
from agentreg.events import AgentRegistered, AgentUnregistered, PoolUnregistered, RegistryEvent, Resync

__all__ = [
    "BestMatch",
    "LeastLoaded",
    "LoadBalancedRegistry",
    "LoadBalancingMixin",
    "Picker",
    "PowerOfTwo",
    "Random",
    "RoundRobin",
    "Snapshot",
]

V = TypeVar("V")

_WORD = re.compile(r"[^\W_]+")  # so that "content_creation" is two words, and "code." one

_lock = threading.RLock()


# -- picking ----------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """What a picker chooses from; it doesn't change.

    Attributes:
        names: The live agents in question, in registration order.
        active: Name -> tasks under way; names without any are left out.
        invocations: Name -> tasks ever started, taken down at the first look.
        capabilities: Name -> what it can do, taken down at the first look.
    """

    names: tuple[str, ...]
    active: Mapping[str, int] = field(default_factory=dict)
    invocations: Mapping[str, int] = field(default_factory=dict)
    capabilities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def load(self, name: str) -> int:
        """How many tasks *name* has under way.

        >>> Snapshot(("ann", "bob"), active={"ann": 2}).load("bob")
        0
        """
        return self.active.get(name, 0)


class Picker(Protocol):
    """Chooses one of several agents; shared by threads, it is called by several at once."""

    def pick(self, snapshot: Snapshot) -> str | None:
        """One of ``snapshot.names``, of which there is at least one; or None for none of them."""
        ...


class RoundRobin:
    """One after the other in registration order, wherever agents come and go.

    Keep it, and use one for each group of agents. Thread-safe: yes.

    >>> turns, names = RoundRobin(), Snapshot(("ann", "bob"))
    >>> [turns.pick(names) for _ in range(3)]
    ['ann', 'bob', 'ann']
    """

    def __init__(self) -> None:
        self._last = ""
        self._place = 0

    def pick(self, snapshot: Snapshot) -> str:
        """The one behind the last."""
        names = snapshot.names
        with _lock:
            place = self._place
            if not (0 <= place < len(names) and names[place] == self._last):
                # the others have moved; where the last one itself is gone, the next stands in its place
                place = names.index(self._last) if self._last in names else place - 1
            self._place = (place + 1) % len(names)
            self._last = names[self._place]
            return self._last


class Random:
    """Anyone. The same *seed* gives the same choices."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def pick(self, snapshot: Snapshot) -> str:
        """Any name."""
        return self._random.choice(snapshot.names)


class LeastLoaded:
    """The one with the fewest tasks under way, the first registered among equals.

    >>> LeastLoaded().pick(Snapshot(("ann", "bob"), active={"ann": 2}))
    'bob'
    """

    def pick(self, snapshot: Snapshot) -> str:
        """The least busy name."""
        if not snapshot.active:
            return snapshot.names[0]
        idle = next((name for name in snapshot.names if not snapshot.load(name)), None)
        return idle if idle is not None else min(snapshot.names, key=snapshot.load)


class PowerOfTwo:
    """The less busy of any two: nearly as even as `LeastLoaded`, without looking at all of them.

    The same *seed* gives the same choices.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def pick(self, snapshot: Snapshot) -> str:
        """One of two names; either, where both are as busy."""
        if len(snapshot.names) == 1:
            return snapshot.names[0]
        first, second = self._random.sample(snapshot.names, 2)
        return second if snapshot.load(second) < snapshot.load(first) else first


class BestMatch:
    """The one whose capabilities have most words in common with *text*.

    An agent counts by its best capability: by the share of words that this
    and *text* have in common, whatever their case; a word is a run of
    letters or digits. Among equals it is the least busy, then the first
    registered; where nobody has a word of the text, all are equal.

    >>> who = Snapshot(("ann", "bob"), capabilities={"ann": ("German",), "bob": ("French translation",)})
    >>> BestMatch("a translation, please").pick(who)
    'bob'
    """

    def __init__(self, text: str) -> None:
        self._words = _words(_text(text, "text to match"))

    def pick(self, snapshot: Snapshot) -> str:
        """The name that fits best."""
        return min(snapshot.names, key=lambda name: (-self._fit(snapshot, name), snapshot.load(name)))

    def _fit(self, snapshot: Snapshot, name: str) -> float:
        return max((self._overlap(_words(text)) for text in snapshot.capabilities.get(name, ())), default=0.0)

    def _overlap(self, words: set[str]) -> float:
        common = len(words & self._words)
        return common / len(words | self._words) if common else 0.0


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


# -- the mixin --------------------------------------------------------------


class LoadBalancingMixin:
    """What a registry class gains: tasks counted by name, and agents picked by them.

    A name starts with no tasks, also where it is taken over: when an agent
    (or pool) leaves, its counts go with it. All classes with this mixin see
    the same counts: those of the registry's present state.

    Thread-safe: yes. What counts never waits for another thread; what reads
    sees the effects of every call before it. Picked agents were alive in
    that moment; one may die before you look it up.
    """

    @classmethod
    def start_task(cls, agent_name: str) -> None:
        """Count a task that *agent_name*, registered or not, has begun.

        >>> LoadBalancedRegistry.start_task("ann")
        >>> LoadBalancedRegistry.get_statistics()["active_tasks"]
        {'ann': 1}
        """
        loads = _loads()
        loads.put(loads.start, _text(agent_name, "agent name"))

    @classmethod
    def end_task(cls, agent_name: str) -> None:
        """Count a task that *agent_name* has ended; with none under way, nothing happens.

        >>> LoadBalancedRegistry.start_task("ann")
        >>> LoadBalancedRegistry.end_task("ann")
        >>> LoadBalancedRegistry.get_statistics()["active_tasks"]
        {'ann': 0}
        """
        loads = _loads()
        loads.put(loads.end, _text(agent_name, "agent name"))

    @classmethod
    @contextmanager
    def track(cls, agent_name: str) -> Iterator[None]:
        """A task of *agent_name*, under way for a block, however that ends.

        Its end counts for the agent that began it: not for a successor who
        has taken over the name meanwhile.

        >>> with LoadBalancedRegistry.track("ann"):
        ...     LoadBalancedRegistry.get_statistics()["active_tasks"]
        {'ann': 1}
        """
        loads, name = _loads(), _text(agent_name, "agent name")
        counted: list[_Tally] = []  # where, once it is
        loads.put(loads.start, name, counted)
        try:
            yield
        finally:
            loads.put(loads.end, name, counted)

    @classmethod
    def get_least_loaded(cls, agent_type: str | type | None = None) -> str | None:
        """The live agent with the fewest tasks under way, the first registered among equals; None if there is none.

        *agent_type* narrows it down: to names that begin with a text, or to
        the instances of a class.

        >>> class Writer: ...
        >>> writers = [Writer(), Writer()]
        >>> names = [LoadBalancedRegistry.register(writer, prefix="writer") for writer in writers]
        >>> LoadBalancedRegistry.start_task("writer-1")
        >>> LoadBalancedRegistry.get_least_loaded("writer")
        'writer-2'
        """
        return cls.pick(LeastLoaded(), agent_type)

    @classmethod
    def pick(cls, picker: Picker, agent_type: str | type | None = None) -> str | None:
        """The live agent that *picker* chooses; None if there is none, or it chooses none.

        *agent_type* as in `get_least_loaded`. `BestMatch` and other pickers
        go by what the ``BaseAgent``s declare or, where the class has
        ``capabilities_of``, by that.

        Raises:
            LookupError: the picker returned something else than a name it was given.
        """
        while True:
            snapshot = _snapshot(_names(agent_type), getattr(cls, "capabilities_of", None))
            name = picker.pick(snapshot) if snapshot.names else None
            if name is None or AgentRegistry.get(name) is not None:
                return name
            if name not in snapshot.names:
                raise LookupError(f"{picker!r} picked {name!r}, which is none of the agents that it had to choose from")
            # it died in the picker's hands: once more, without it

    @classmethod
    def get_statistics(cls) -> dict[str, Any]:
        """``total_invocations``, ``active_tasks`` and ``invocation_counts``: a consistent copy.

        The tables go by name, and list live agents that have had tasks, and
        unknown names until they have come and gone. The total never falls.
        """
        with _loads() as loads:
            active = {name: tally.active for name, tally in loads.tallies.items()}
            return {"total_invocations": loads.total, "active_tasks": active, "invocation_counts": loads.invocations()}


class LoadBalancedRegistry(LoadBalancingMixin, AgentRegistry):
    """`AgentRegistry` with counted tasks: the same agents, picked by how busy they are.

    Example:
        >>> class Writer: ...
        >>> ann, bob = Writer(), Writer()
        >>> names = LoadBalancedRegistry.register(ann, "ann"), LoadBalancedRegistry.register(bob, "bob")
        >>> with LoadBalancedRegistry.track("ann"):
        ...     LoadBalancedRegistry.pick(LeastLoaded())
        'bob'
    """


def _loads() -> _Loads:
    loads = AgentRegistry.extension_state(_Loads, _Loads)
    loads.heard = AgentRegistry.revision  # reading it sweeps the dead, and brings the events up to now
    return loads


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected text, got {value!r} of type {type(value).__name__}")
    if not value:
        raise ValueError(f"{what}: expected some text, got an empty one")
    return str.__str__(value)  # a subclass might compare in code of its own, under the lock


def _names(agent_type: str | type | None) -> tuple[str, ...]:
    if isinstance(agent_type, type):
        return tuple(AgentRegistry.find_by_type(agent_type))
    if agent_type is not None and not isinstance(agent_type, str):
        raise TypeError(f"agent_type: expected None, the beginning of a name, or a class, got {agent_type!r}")
    names = _loads().names(AgentRegistry.revision)
    return tuple([name for name in names if name.startswith(agent_type)]) if agent_type else names


def _snapshot(names: tuple[str, ...], capabilities_of: Callable[[str], tuple[str, ...]] | None) -> Snapshot:
    def capabilities() -> dict[str, tuple[str, ...]]:
        if capabilities_of is not None:
            return {name: capabilities_of(name) for name in names}
        with loads:
            return loads.declared.copy()

    with _loads() as loads:
        active = {name: tally.active for name, tally in loads.busy.items()}
    return Snapshot(names, MappingProxyType(active), _Lazy(loads.invocations), _Lazy(capabilities))


class _Lazy(Mapping[str, V]):
    """A mapping that is made at the first look."""

    def __init__(self, make: Callable[[], dict[str, V]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> dict[str, V]:
        return self._make()

    def __getitem__(self, name: str) -> V:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


# -- counting ---------------------------------------------------------------


class _Tally:
    """The tasks of one name while one agent has it."""

    __slots__ = ("active", "invocations")

    def __init__(self) -> None:
        self.active = 0
        self.invocations = 0


class _Loads:
    """The tallies of one registry state, kept up with the registry.

    What happens waits in a queue, and whoever holds the lock counts it, in
    order. Adding to it never waits, so that no finalizer is held up; what is
    added from inside an operation is counted once that is through.
    ``with loads:`` holds the lock, with everything counted.

    Attributes:
        total: Tasks ever started.
        tallies: Name -> its tally, where a task was started.
        busy: The same, where one is under way.
        declared: Name -> capabilities of ``BaseAgent``s.
    """

    def __init__(self) -> None:
        self.total = 0
        self.tallies: dict[str, _Tally] = {}
        self.busy: dict[str, _Tally] = {}
        self.declared: dict[str, tuple[str, ...]] = {}
        self.heard = 0
        self._names: tuple[int, tuple[str, ...]] = (-1, ())
        self._holes = 0
        self._changes: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._depth = 1  # what other threads' events bring waits until the listing is entered
        self._subscription = AgentRegistry.subscribe(self._hear)
        self.declared.update(self._subscription.capabilities)
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

    def __enter__(self) -> _Loads:
        _lock.acquire()
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

    def names(self, revision: int) -> tuple[str, ...]:
        """The live agents' names at *revision* or later; the same tuple, as long as they are the same."""
        known, names = self._names
        if known != revision:
            names = tuple(AgentRegistry.names())
            self._names = revision, names
        return names

    def invocations(self) -> dict[str, int]:
        """Name -> tasks ever started."""
        with self:
            return {name: tally.invocations for name, tally in self.tallies.items()}

    def start(self, name: str, counted: list[_Tally] | None = None) -> None:
        """Count a task of *name*, and say where it was counted."""
        tally = self.tallies.get(name)
        if tally is None:
            tally = self.tallies[name] = _Tally()
        self.total += 1
        tally.invocations += 1
        tally.active += 1
        self.busy[name] = tally
        if counted is not None:
            counted.append(tally)

    def end(self, name: str, counted: list[_Tally] | None = None) -> None:
        """Count the end of a task; with *counted*, only if it was counted for who has the name now."""
        tally = self.busy.get(name)
        if tally is not None and (counted is None or tally in counted):
            tally.active -= 1
            if not tally.active:
                del self.busy[name]

    def _enter(self, name: str, capabilities: tuple[str, ...]) -> None:
        self.declared[name] = capabilities

    def _leave(self, name: str) -> None:
        self._names = (-1, ())
        self.busy.pop(name, None)
        gone = self.tallies.pop(name, None), self.declared.pop(name, None)
        self._holes += len(gone) - gone.count(None)
        if self._holes > 1024 and self._holes > 2 * (len(self.tallies) + len(self.declared)):
            # a dict never shrinks on deletion: copy what is left into fresh ones
            self.tallies, self.busy, self.declared = dict(self.tallies), dict(self.busy), dict(self.declared)
            self._holes = 0

    def _hear(self, event: RegistryEvent) -> None:
        if isinstance(event, (AgentUnregistered, PoolUnregistered)):
            self.put(self._leave, event.name)
        elif isinstance(event, AgentRegistered) and event.capabilities:
            self.put(self._enter, event.name, event.capabilities)
        elif isinstance(event, Resync):
            self.put(self._start_again, event)

    def _start_again(self, told: Resync) -> None:
        for name in {*self.tallies, *self.declared}:
            if name not in told.listing and name not in told.pools:
                self._leave(name)
        self.declared = dict(told.capabilities)


if hasattr(os, "register_at_fork"):
    # a child must not inherit the lock from a thread that it doesn't have, nor a half-made count
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
