"""The table: which agent is known by which name, at which revision.

One `Table` is one state of the registry; `now.table` is the one in use, and
`isolated_registry()` swaps it. Everything that changes a table does so
under `lock`, by three rules:

* Nothing foreign runs under the lock: no listener, logger, import, agent
  method or finalizer. What must be dropped is handed to the caller, who
  drops it outside.
* A weak-reference callback only appends to `Table.gone`; the next operation
  sweeps it.
* Between *looking* and *changing* there is no call and no allocation. A
  garbage collection or a signal may run foreign code of this very thread at
  any call, even under the lock; that code may use the registry, and must
  find it whole. Where looking takes calls, the change is made only if the
  revision is still the one that was looked at. The revision changes last:
  who sees a new one, without the lock, finds its change in the log.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from agentreg.events import AgentRegistered, AgentUnregistered, PoolRegistered, PoolUnregistered

T = TypeVar("T")

__all__ = ["Entry", "Now", "Table", "get", "install", "lock", "now"]

# (event class, name, class name, what its `reason` or `capabilities` is)
Change = tuple[type[Any], str, str, Any]

lock = threading.RLock()
acquire, release = lock.acquire, lock.release  # half the price of `with`, for the three hottest paths


class Entry(weakref.ref[Any]):
    """One registration: a weak reference to the agent, and its name.

    Identity decides: an entry removes itself only, never its successor.
    """

    __slots__ = ("class_name", "key")

    key: str
    class_name: str


class AgentsView(weakref.WeakValueDictionary[str, Any]):
    """The table's entries as the ``WeakValueDictionary`` people know.

    Reading is free of locks. Writing goes through the table, so that
    revisions and listeners stay right; a name that is held is taken over,
    as in any dict.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.data = table.entries
        self._table = table

    def __len__(self) -> int:
        with lock:
            self._table.sweep()
            return len(self._table.entries)

    def __setitem__(self, name: str, agent: Any) -> None:
        entry = make_entry(self._table, agent)
        while (holder := self._table.enter(entry, agent, name)) is not agent:
            self._table.drop_name(name)
            del holder

    def __delitem__(self, name: str) -> None:
        if name in self._table.pools or self._table.drop_name(name) is None:
            raise KeyError(name)

    def pop(self, name: str, *default: Any) -> Any:
        holder = None if name in self._table.pools else self._table.drop_name(name)
        if holder is not None:
            return holder
        if not default:
            raise KeyError(name)
        return default[0]

    def clear(self) -> None:
        with lock:
            _, entries, _, _ = self._table.snapshot()
        for name in entries:
            self.pop(name, None)

    # the inherited ones write to `data` behind the table's back
    popitem = MutableMapping.popitem
    update = MutableMapping.update  # type: ignore[assignment]
    setdefault = MutableMapping.setdefault  # type: ignore[assignment]


class Table:
    """Names, entries, pools, the revision, and who listens.

    Thread-safe: yes, because every method that changes something holds the
    one lock; attributes are to be read under it, but for `entries`, of which
    single look-ups need none.

    Attributes:
        entries: Name -> entry, in registration order.
        agents: The same as a ``WeakValueDictionary``.
        pools: Name -> pool, held strongly.
        rosters: Pool name -> its members' names.
        members: Member name -> its pool's name.
        capabilities: Name -> capabilities, where some were declared.
        counter: The last number given to an automatic name.
        revision: Changes so far; each change of a name adds one.
        gone: Entries whose agent died, to be swept.
        bury: Takes in such an entry: the callback of them all.
        log: Revision -> change, kept while a subscription needs it.
        told: All revisions up to this one have left the log.
        subscriptions, call_listeners: Who listens; `agentreg.subscription` tells them.
        extensions: Key -> the state that an extension keeps.
        reserved: The reserved names, while another table is the current one.
        parent: The table that this one stands in for, while it is isolated.
        closed: Whether its isolation has ended.
    """

    __slots__ = (
        "agents",
        "bury",
        "call_listeners",
        "capabilities",
        "closed",
        "counter",
        "drops",
        "entries",
        "extensions",
        "gone",
        "log",
        "members",
        "parent",
        "pools",
        "reserved",
        "revision",
        "rosters",
        "subscriptions",
        "told",
    )

    def __init__(self, parent: Table | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.agents = AgentsView(self)
        self.pools: dict[str, Any] = {}
        self.rosters: dict[str, tuple[str, ...]] = {}
        self.members: dict[str, str] = {}
        self.capabilities: dict[str, tuple[str, ...]] = {}
        self.counter = 0
        self.revision = 0
        self.drops = 0
        self.gone: deque[Entry] = deque()
        self.bury = self.gone.append  # one for all entries: a bound method of its own would cost each 64 bytes
        self.log: dict[int, Any] = {}
        self.told = 0
        self.subscriptions: tuple[Any, ...] = ()
        self.call_listeners: tuple[Any, ...] = ()
        self.extensions: dict[object, Any] = {}
        self.reserved: set[str] = set()
        self.parent = parent
        self.closed = False

    # -- entering -----------------------------------------------------------

    def enter(self, entry: Entry, agent: object, name: str, capabilities: tuple[str, ...] = ()) -> object:
        """Enter *agent* under *name*; return who holds the name now.

        That is *agent* itself, or the agent or pool that was there before.
        """
        entry.key = name
        acquire()
        try:
            change = (AgentRegistered, name, entry.class_name, capabilities) if self.subscriptions else None
            while True:
                if self.gone:
                    self.sweep()
                if name not in self.entries and name not in self.pools:
                    self.entries[name] = entry
                    if capabilities:
                        self.capabilities[name] = capabilities
                    if change is not None:
                        self.log[self.revision + 1] = change
                    self.revision += 1
                    return agent
                holder = self.holder(name)
                if holder is not None:
                    return holder
        finally:
            release()

    def next_number(self) -> int:
        """The next number for an automatic name."""
        with lock:
            self.counter += 1
            return self.counter

    def enter_pool(self, name: str, pool: Any, entries: list[tuple[Entry, object]]) -> tuple[str, object] | None:
        """Enter *pool* and its members, all or nothing; return a clash as (name, holder), or None."""
        roster = tuple(entry.key for entry, _ in entries)
        class_name = type(pool).__name__
        with lock:
            while True:
                self.sweep()
                revision = self.revision
                if self.pools.get(name) is pool:
                    return None
                clash = self._clash(name, entries)
                if clash is not None:
                    return clash
                fresh = {entry.key: entry for entry, _ in entries if entry.key not in self.entries}
                changes = [(AgentRegistered, key, entry.class_name, ()) for key, entry in fresh.items()]
                log = dict(enumerate([(PoolRegistered, name, class_name, "registered"), *changes], revision + 1))
                owned = dict.fromkeys(roster, name)
                last = revision + len(log)
                if self.revision == revision:
                    self.pools[name] = pool
                    self.rosters[name] = roster
                    self.members |= owned
                    self.entries |= fresh
                    if self.subscriptions:
                        self.log |= log
                    self.revision = last
                    return None

    def _clash(self, name: str, entries: Iterable[tuple[Entry, object]]) -> tuple[str, object] | None:
        holder = self.holder(name)
        if holder is not None:
            return name, holder
        for entry, agent in entries:
            holder = self.holder(entry.key)
            if holder is not None and (holder is not agent or entry.key in self.members):
                return entry.key, holder
        return None

    def holder(self, name: str) -> object | None:
        """The living agent or the pool under *name*; an entry whose agent is dead leaves here."""
        pool: object | None = self.pools.get(name)
        if pool is not None:
            return pool
        entry = self.entries.get(name)
        if entry is None:
            return None
        agent: object | None = entry()
        if agent is None:
            self.drop(entry, "collected")
        return agent

    # -- leaving ------------------------------------------------------------

    def drop(self, entry: Entry, reason: str) -> bool:
        """Remove this very entry, if it is still there."""
        with lock:
            return self._remove(entry, reason)

    def drop_agent(self, name: str, instance: object) -> bool:
        """Remove *name* if it is this living instance's, and no pool member's."""
        entry = self.entries.get(name)
        if entry is None:
            return False
        holder = entry()  # kept until the lock is released: it may be the last reference
        if holder is not instance or holder is None:
            return False
        acquire()
        try:
            if self.gone:
                self.sweep()
            return name not in self.members and self._remove(entry, "unregistered")
        finally:
            release()

    def _remove(self, entry: Entry, reason: str) -> bool:
        name = entry.key
        change = (AgentUnregistered, name, entry.class_name, reason) if self.subscriptions else None
        if name in self.entries and self.entries[name] is entry:
            del self.entries[name]
            self.drops += 1
            if name in self.members:
                del self.members[name]
            if name in self.capabilities:
                del self.capabilities[name]
            if change is not None:
                self.log[self.revision + 1] = change
            self.revision += 1
            if self.drops > 1024 and self.drops > 4 * len(self.entries):
                self._compact()
            return True
        return False

    def drop_name(self, name: str) -> object | None:
        """Remove whatever agent, pool or member has *name*; return it, or None."""
        with lock:
            self.sweep()
            holder = self.holder(name)
            if name in self.pools:
                pool: object | None = self.drop_pool(name, holder)
                return pool
            entry = self.entries.get(name)
            if entry is None or not self.drop(entry, "unregistered"):
                return None
            return holder

    def drop_pool(self, name: str, pool: Any) -> Any:
        """Remove this very pool and its members; return it, or None when it isn't there.

        The caller drops the last reference, outside the lock.
        """
        change = (PoolUnregistered, name, type(pool).__name__, "unregistered")
        with lock:
            if name not in self.pools or self.pools[name] is not pool:
                return None
            roster = self.rosters[name]
            del self.pools[name]
            del self.rosters[name]
            self.drops += 1
            if self.subscriptions:
                self.log[self.revision + 1] = change
            self.revision += 1
            for member in roster:
                entry = self.entries.get(member)
                if entry is not None and self.members.get(member) == name:
                    self.drop(entry, "unregistered")
            self.sweep()
            return pool

    def clear(self) -> list[Any]:
        """Empty agents, pools, the counter and the extensions; return what was let go.

        The caller drops it outside the lock, and closes the extensions.
        """
        global _find
        with lock:
            while True:
                self.sweep()
                revision, before, pools, _ = self.snapshot()
                changes: list[Change] = [
                    (PoolUnregistered, name, type(pool).__name__, "cleared") for name, pool in pools.items()
                ]
                changes += [(AgentUnregistered, e.key, e.class_name, "cleared") for e in before.values()]
                log = dict(enumerate(changes, revision + 1))
                last = revision + len(changes)
                released: list[Any] = [self.pools, self.extensions]
                empty: list[dict[Any, Any]] = [{}, {}, {}, {}, {}]
                entries: dict[str, Entry] = {}
                find = entries.get
                if self.revision == revision:
                    self.pools, self.extensions, self.rosters, self.members, self.capabilities = empty
                    self.entries = self.agents.data = entries
                    if self is now.table:
                        _find = find
                    self.counter = self.drops = 0
                    if self.subscriptions:
                        self.log |= log
                    self.revision = last
                    return released

    # -- keeping ------------------------------------------------------------

    def sweep(self) -> None:
        """Remove the entries of agents that died; called under the lock."""
        gone = self.gone
        while gone:
            try:
                entry = gone[0]  # taken out only when it is dealt with: who sees an empty queue need not look further
            except IndexError:  # a finalizer in this thread was quicker
                break
            if self.subscriptions or self.members or self.capabilities:
                self._remove(entry, "collected")
            else:
                name = entry.key  # the same, for a table that has nothing but entries: twice as fast
                if name in self.entries and self.entries[name] is entry:
                    del self.entries[name]
                    self.revision += 1
                    self.drops += 1
            if gone and gone[0] is entry:
                gone.popleft()
        if self.drops > 1024 and self.drops > 4 * len(self.entries):
            self._compact()

    def snapshot(self) -> tuple[int, dict[str, Any], dict[str, Any], dict[str, tuple[str, ...]]]:
        """The revision, and copies of entries, pools and capabilities at it; called under the lock."""
        if self.drops > 256 and self.drops * 2 > len(self.entries):
            self._compact()  # holes left by deletions would cost every copy more than this costs once
        while True:
            revision = self.revision
            copies = self.entries.copy(), self.pools.copy(), self.capabilities.copy()
            # a collection that comes while CPython copies a dict may change it half-way: the copy is void then
            if self.revision == revision:
                return (revision, *copies)

    def _compact(self) -> None:
        global _find
        # a dict never shrinks on deletion: copy what is left into fresh ones
        revision = self.revision
        entries, find = _copied(self.entries)
        members, _ = _copied(self.members)
        capabilities, _ = _copied(self.capabilities)
        pools, _ = _copied(self.pools)
        rosters, _ = _copied(self.rosters)
        if self.revision == revision:
            self.members, self.capabilities, self.pools, self.rosters = members, capabilities, pools, rosters
            self.entries = self.agents.data = entries
            if self is now.table:
                _find = find
            self.drops = 0


def _copied(table: dict[str, T]) -> tuple[dict[str, T], Callable[[Any], T | None]]:
    fresh = dict(table)
    return fresh, fresh.get


def make_entry(table: Table, agent: object) -> Entry:
    """A registration of *agent*, not entered yet.

    Raises:
        TypeError: the object can't be weakly referenced.
    """
    try:
        entry = Entry(agent, table.bury)
    except TypeError:
        raise unholdable(agent) from None
    entry.class_name = type(agent).__name__
    return entry


def unholdable(agent: object) -> TypeError:
    """The error for an object that can't be weakly referenced."""
    return TypeError(
        f"a {type(agent).__name__} can't be weakly referenced, so the registry can't hold it; put it into a holder, "
        "e.g. `class Holder: ...` with the object as an attribute, and register (and keep) the holder"
    )


def entries_of(table: Table, agent: object) -> list[Entry]:
    """The registrations of this very agent, under whichever names."""
    found = [ref for ref in weakref.getweakrefs(agent) if type(ref) is Entry and hasattr(ref, "key")]
    return [entry for entry in found if table.entries.get(entry.key) is entry]


class Now:
    """Which table is the current one.

    An object, so that nobody need hold this module: what is left of a module that somebody holds is
    emptied when the interpreter shuts down, and finalizers that come later would find nothing.
    """

    __slots__ = ("table",)

    def __init__(self) -> None:
        self.table = Table()


now = Now()
_find: Callable[[Any], Entry | None] = now.table.entries.get


def get(name: Any) -> Any:
    """The living agent under *name*, or None: one look-up, without the lock."""
    entry = _find(name)
    return entry() if entry is not None else None


def install(table: Table) -> None:
    """Make *table* the current one; called under the lock."""
    global _find
    find = table.entries.get
    now.table = table
    _find = find


def listing(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Name -> class name."""
    return {name: entry.class_name for name, entry in entries.items()}


if hasattr(os, "register_at_fork"):
    # a child must not inherit the lock from a thread that it doesn't have, nor a half-made change
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
