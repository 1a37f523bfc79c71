"""AgentRegistry: the one table of live agents in this process."""

from __future__ import annotations

import difflib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, ClassVar, TypeVar

from typing_extensions import Self

from agentreg.errors import AgentNotFoundError, NameTakenError, ReservedNameError
from agentreg.events import CallFinished, RegistryEvent
from agentreg.subscription import CallSubscription, Subscription, report, subscribe, tell
from agentreg.table import AgentsView, Entry, Table, entries_of, install, lock, make_entry, now, unholdable
from agentreg.table import get as find_agent

__all__ = ["AgentRegistry"]

T = TypeVar("T")
AgentT = TypeVar("AgentT")

NAME_LIMIT = 255

_log = logging.getLogger("agentreg")
_extending = threading.RLock()
_making = threading.local()  # `table`: whose extension state this thread is making


class _Revision:
    """``AgentRegistry.revision``: computed on reading."""

    def __get__(self, instance: object, owner: type | None = None) -> int:
        return settle().revision


class _Agents:
    """``AgentRegistry._agents``: the current table's."""

    def __get__(self, instance: object, owner: type | None = None) -> AgentsView:
        return now.table.agents


class _Pools:
    """``AgentRegistry._pools``: the current table's."""

    def __get__(self, instance: object, owner: type | None = None) -> dict[str, Any]:
        return now.table.pools


class AgentRegistry:
    """Who is there, by name: every live agent of this process, held weakly.

    All members belong to the class and there is one table for the process,
    subclasses included: ``MyRegistry.get("x") is AgentRegistry.get("x")``.
    It is never instantiated; calling it gives the class itself back.

    An agent is anything that can be weakly referenced. It stays as long as
    somebody else holds it: an agent in a reference cycle may stay in view
    until the garbage collector has come by, so leave explicitly
    (`unregister_instance`) where the moment matters.

    Thread-safe: yes, because one lock guards every change. No listener,
    logger, agent method or finalizer ever runs under it, and each may call
    the registry.

    Example:
        >>> class Planner: ...
        >>> planner = Planner()
        >>> AgentRegistry.register(planner, "planner")
        'planner'
        >>> AgentRegistry.get("planner") is planner
        True
        >>> del planner
        >>> AgentRegistry.get("planner") is None
        True
    """

    revision: ClassVar[_Revision] = _Revision()
    """Changes so far: each change of a name adds one, a cleared name included.

    Reading it removes the agents that died since, and returns when every
    listener has heard of everything up to it. An extension starts every
    read with it, and so sees its own effects and never the dead.
    """

    reserved_names: ClassVar[set[str]] = set()
    """Names that nobody may register, compared without case; yours to fill."""

    _agents: ClassVar[_Agents] = _Agents()
    _pools: ClassVar[_Pools] = _Pools()

    def __new__(cls) -> type[Self]:  # type: ignore[misc]
        """There is one table: calling the class gives the class."""
        return cls

    # -- agents -------------------------------------------------------------

    @staticmethod
    def register(agent: object, name: str | None = None, prefix: str = "BaseAgent") -> str:
        """Enter *agent* and return the name it is known by.

        Without *name*, one is made: ``BaseAgent-1``, with the next number
        whose name is free. The agent is held weakly: keep it, or it leaves
        by itself. The same agent and name again is fine; under a second
        name, it has an alias.

        Raises:
            NameTakenError: another living agent, or a pool, holds *name*.
            ReservedNameError: *name* is among `reserved_names`.
            ValueError: *name* is empty, too long or not printable.
            TypeError: *name* is no text, or *agent* can't be weakly referenced.
        """
        return enter(agent, name, prefix, ())

    @staticmethod
    def get(name: Hashable) -> Any:
        """The agent or pool member under *name*, or None; a pool's name gives None.

        One look-up without a lock. Never raises and never returns the dead.
        """
        return find_agent(name)

    @staticmethod
    def require(name: str) -> Any:
        """The agent under *name*.

        Raises:
            AgentNotFoundError: nobody has it; the error names the nearest.
        """
        agent = find_agent(name)
        if agent is None:
            raise AgentNotFoundError(name, _nearest(name))
        return agent

    @staticmethod
    def all() -> dict[str, Any]:
        """Every agent by name, pool members included, in registration order.

        A copy, taken at one revision; it holds the agents, so drop it.

        >>> agent = type("Scout", (), {})()
        >>> name = AgentRegistry.register(agent, "scout")
        >>> list(AgentRegistry.all())
        ['scout']
        """
        return _living(_copy()[0])

    @staticmethod
    def all_with_pools() -> dict[str, Any]:
        """The same, and behind them the pools under their names."""
        entries, pools = _copy()
        return {**_living(entries), **pools}

    @staticmethod
    def names() -> list[str]:
        """The agents' names in registration order; one may be collected before you look it up."""
        table = settle()
        with lock:
            return list(table.entries)

    @staticmethod
    def count() -> int:
        """How many names have an agent now."""
        return len(settle().entries)

    @staticmethod
    def find(predicate: Callable[[Any], object]) -> dict[str, Any]:
        """Name -> agent for those of which *predicate* is true; called without the lock."""
        return {name: agent for name, agent in AgentRegistry.all().items() if predicate(agent)}

    @staticmethod
    def find_by_type(kind: type[AgentT] | tuple[type[AgentT], ...]) -> dict[str, AgentT]:
        """Name -> agent for the instances of *kind*, its subclasses included."""
        return {name: agent for name, agent in AgentRegistry.all().items() if isinstance(agent, kind)}

    @staticmethod
    def unregister(name: str) -> None:
        """Remove whoever has *name* now; a pool goes with its members.

        Not identity-safe, kept for compatibility: prefer `unregister_if_same`.
        An unknown name is a warning in the log.

        Raises:
            ValueError: *name* is a pool member's.
        """
        table = settle()
        pool_name = table.members.get(name)
        if pool_name is not None:
            raise ValueError(
                f"Cannot unregister pool instance '{name}' individually. "
                f"Use unregister('{pool_name}') to remove the entire pool."
            )
        left = table.drop_name(name)
        _tell(table)
        if left is None:
            _log.warning("cannot unregister %r: no agent or pool has that name", name)

    @staticmethod
    def unregister_if_same(name: str, instance: object) -> bool:
        """Remove the entry *name* only if it is this very instance (``is``).

        A late farewell of an old owner never removes its successor. Pool
        members and other instances stay. Returns whether it was removed;
        safe in a ``__del__``.
        """
        table = now.table
        dropped = table.drop_agent(name, instance)
        if table.subscriptions:
            tell(table)
        return dropped

    @staticmethod
    def unregister_instance(instance: object) -> bool:
        """The same under the instance's own ``name``; without a name, nothing happens."""
        name = getattr(instance, "name", None)
        return isinstance(name, str) and name != "" and AgentRegistry.unregister_if_same(name, instance)

    @staticmethod
    def clear() -> None:
        """Empty agents, pools, the counter and the extensions' state.

        The agents and pools themselves are left alone; listeners stay and
        hear of every name that went.
        """
        table = now.table
        released = table.clear()
        _tell(table)
        _close(released[1].values())

    # -- pools --------------------------------------------------------------

    @staticmethod
    def register_pool(pool: Any) -> None:
        """Enter *pool* under its ``base_name`` and its members as ``base_0``, ``base_1``, ...

        All or nothing. The pool is held strongly. A member's ``name`` is set
        where it differs and can be set. A pool is anything with ``base_name``,
        ``instances``, ``num_instances`` and ``get_available_count()``.

        Raises:
            NameTakenError: a name is held by another agent or pool; nothing has changed.
            ReservedNameError: a name is reserved.
        """
        base = _checked(pool.base_name, "pool name")
        members = [(_checked(f"{base}_{index}", "member name"), member) for index, member in enumerate(pool.instances)]
        for name in (base, *(name for name, _ in members)):
            _refuse_reserved(name)
        table = now.table
        entries = []
        for name, member in members:
            entry = make_entry(table, member)
            entry.key = name
            entries.append((entry, member))
        renamed = _rename(members)
        try:
            clash = table.enter_pool(base, pool, entries)
        finally:
            _tell(table)
        if clash is not None:
            _restore_names(renamed)
            name, holder = clash[0], describe(clash[1])
            del clash
            raise NameTakenError(name, holder)

    @staticmethod
    def unregister_pool(pool: Any) -> bool:
        """Remove this very pool and its members; False when its name isn't its own."""
        table = settle()
        dropped = table.drop_pool(pool.base_name, pool)
        _tell(table)
        return dropped is not None

    @staticmethod
    def get_pool(name: str) -> Any:
        """The pool under *name*, or None."""
        return now.table.pools.get(name)

    @staticmethod
    def is_pool(name: str) -> bool:
        """Whether *name* is a pool's."""
        return name in now.table.pools

    @staticmethod
    def is_pool_instance(name: str) -> bool:
        """Whether *name* is a member's of a registered pool."""
        return name in settle().members

    @staticmethod
    def get_pool_name_for_instance(name: str) -> str | None:
        """The pool of the member *name*, or None."""
        return settle().members.get(name)

    @staticmethod
    def normalize_agent_name(name: str) -> str:
        """A member's name becomes its pool's; any other passes unchanged."""
        return settle().members.get(name, name)

    @staticmethod
    def are_same_agent(first: str, second: str) -> bool:
        """Whether both names mean one agent, or one pool and its members."""
        members = settle().members
        return members.get(first, first) == members.get(second, second)

    @staticmethod
    def get_or_acquire(name: str, branch_id: str | None = None) -> Any:
        """The agent under *name*; of a pool, a member for *branch_id*.

        A member's name gives that member only if the branch holds exactly
        it, else None. A pool or member without a branch id gives None and
        an error in the log.

        Raises:
            PoolExhaustedError: the pool has no free member.
        """
        table = settle()
        is_member = name in table.members
        if not is_member and name not in table.pools:
            return find_agent(name)
        if not branch_id:
            _log.error("a branch id is needed to acquire from %r", name)
            return None
        if is_member:
            return AgentRegistry.get_pool_instance(name, branch_id)
        return AgentRegistry.get_from_pool(name, branch_id)

    @staticmethod
    def get_from_pool(pool_name: str, branch_id: str, timeout: float | None = None) -> Any:
        """A member of the pool for *branch_id*, waiting up to *timeout* seconds; unknown pool: None and a warning.

        Raises:
            PoolExhaustedError: no member was free in time.
        """
        pool = _known_pool(pool_name)
        return None if pool is None else pool.acquire_instance(branch_id, timeout)

    @staticmethod
    def release_to_pool(pool_name: str, branch_id: str) -> bool:
        """Give back what *branch_id* holds of the pool; unknown pool: False and a warning."""
        pool = _known_pool(pool_name)
        return False if pool is None else bool(pool.release_instance(branch_id))

    @staticmethod
    def get_pool_instance(member: str, branch_id: str) -> Any:
        """The member *member* if *branch_id* holds exactly it, else None."""
        pool = now.table.pools.get(settle().members.get(member, ""))
        if pool is None:
            return None
        allocation = pool.allocated_instances.get(branch_id)
        agent = find_agent(member)
        return agent if allocation is not None and allocation.agent_instance is agent else None

    @staticmethod
    def get_instance_count(name: str) -> int:
        """How many members a pool has; 1 for an agent, 0 for an unknown name."""
        pool = now.table.pools.get(name)
        if pool is not None:
            return int(pool.num_instances)
        return int(find_agent(name) is not None)

    @staticmethod
    def get_available_count(name: str) -> int:
        """How many members of a pool are free; 1 for an agent, 0 for an unknown name."""
        pool = now.table.pools.get(name)
        if pool is not None:
            return int(pool.get_available_count())
        return int(find_agent(name) is not None)

    # -- the seam -----------------------------------------------------------

    @staticmethod
    def subscribe(listener: Callable[[RegistryEvent], object]) -> Subscription:
        """The current listing and its revision; then *listener* hears every change from there.

        Events come one at a time, in revision order without gaps, in the
        thread of whoever made the change or reads next, after the lock is
        released: when a registry call returns, every listener has heard of
        its effects. (Unless the call came from inside a listener, or a
        listener is stuck: see `agentreg.subscription`.) What a listener
        raises is logged with its traceback, and the others still hear.

        The listener may be called before ``subscribe`` returns. Where that
        matters, hold a lock of your own around it and in the listener.

        >>> heard = []
        >>> with AgentRegistry.subscribe(heard.append) as subscription:
        ...     agent = type("Scout", (), {})()
        ...     name = AgentRegistry.register(agent, "scout")
        >>> heard[0].name, heard[0].revision == subscription.revision + 1
        ('scout', True)
        """
        return subscribe(getattr(_making, "table", None) or now.table, listener)

    @staticmethod
    def on_call(listener: Callable[[CallFinished], object]) -> CallSubscription:
        """Let *listener* hear of each run that an Orchestra or ``invoke_agent`` started, once it has ended.

        In the thread of the run's event loop. Nothing is timed while nobody listens.
        """
        table = now.table
        subscription = CallSubscription(table, listener)
        with lock:
            while True:
                before = table.call_listeners
                joined = (*before, subscription)
                if table.call_listeners is before:
                    table.call_listeners = joined
                    return subscription

    @staticmethod
    def extension_state(key: Hashable, factory: Callable[[], T]) -> T:
        """The one object that an extension keeps under *key* for the registry's present state.

        *factory* makes it at the first use, once, without the registry's
        lock. ``isolated_registry()`` puts it aside with everything else,
        and ``clear()`` drops it, calling its ``close()`` if it has one.
        """
        table = now.table
        state: T | None = table.extensions.get(key)
        if state is None and lock._is_owned():  # type: ignore[attr-defined]
            return _made_inside(table, key, factory)
        if state is None:
            with _extending:
                state = table.extensions.get(key)
                if state is None:
                    state = table.extensions[key] = _made(table, factory)
        return state


def enter(agent: object, name: str | None, prefix: str, capabilities: tuple[str, ...]) -> str:
    """``AgentRegistry.register``, with what the agent declares it can do."""
    table = now.table
    try:
        entry = Entry(agent, table.bury)
    except TypeError:
        raise unholdable(agent) from None
    entry.class_name = type(agent).__name__
    if name is None:
        while True:
            name = _checked(f"{prefix}-{table.next_number()}", "automatic name")
            if not _is_reserved(name) and table.enter(entry, agent, name, capabilities) is agent:
                break
        _tell(table)
        return name
    if type(name) is not str or not name or len(name) > NAME_LIMIT or not name.isprintable():
        name = _checked(name, "agent name")
    if AgentRegistry.reserved_names:
        _refuse_reserved(name)
    holder = table.enter(entry, agent, name, capabilities)
    if table.subscriptions:
        tell(table)
    if holder is not agent:
        described = describe(holder)
        del holder  # the error's traceback keeps this frame
        raise NameTakenError(name, described)
    return name


def withdraw(agent: object) -> bool:
    """Remove every registration of this very agent that is no pool member's; whether there was one."""
    table = now.table
    dropped = [table.drop_agent(entry.key, agent) for entry in entries_of(table, agent)]
    _tell(table)
    return any(dropped)


def set_name(member: Any, name: str) -> bool:
    """Set the member's ``name``; False where its class doesn't let it be set: the registry's name counts then."""
    try:
        member.name = name
    except (AttributeError, TypeError, ValueError):  # read-only, frozen, or no field of a pydantic model
        return False
    return True


def settle() -> Table:
    """The current table, swept, with every listener up to date."""
    table = now.table
    if table.gone:
        with lock:
            table.sweep()
    if table.subscriptions:
        tell(table)
    return table


def _made(table: Table, factory: Callable[[], T]) -> T:
    # what the factory subscribes to is this table, even if another thread isolates the registry meanwhile
    outer = getattr(_making, "table", None)
    _making.table = table
    try:
        return factory()
    finally:
        _making.table = outer


def _made_inside(table: Table, key: Hashable, factory: Callable[[], T]) -> T:
    # a finalizer in the middle of an operation must not wait for a factory that waits for that operation
    made = _made(table, factory)
    state: T = table.extensions.setdefault(key, made)
    if state is not made:
        _close([made])
    return state


async def observed(name: str, call: Awaitable[T]) -> T:
    """Await *call*, and report it to who listens (``AgentRegistry.on_call``)."""
    table = now.table
    if not table.call_listeners:
        return await call
    ok = False
    started = time.perf_counter()
    try:
        result = await call
        ok = True
    finally:
        report(table, name, time.perf_counter() - started, ok)
    return result


def isolate() -> Table:
    """Put an empty table in place of the current one; undo with `restore`."""
    with lock:
        now.table.reserved = AgentRegistry.reserved_names
        table = Table(parent=now.table)
        AgentRegistry.reserved_names = table.reserved
        install(table)
        return table


def restore(table: Table) -> None:
    """End the isolation that *table* is; inner ones that go on keep their place."""
    with lock:
        table.closed = True
        while now.table.closed and now.table.parent is not None:
            install(now.table.parent)
            AgentRegistry.reserved_names = now.table.reserved
    _close(table.extensions.values())


def describe(holder: object) -> str:
    """The holder's repr, shortened; of an object whose repr fails, its class."""
    try:
        text = repr(holder)
    except Exception:
        text = object.__repr__(holder)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _copy() -> tuple[dict[str, Any], dict[str, Any]]:
    table = now.table
    with lock:
        if table.gone:
            table.sweep()
        _, entries, pools, _ = table.snapshot()
    if table.subscriptions:
        tell(table)
    return entries, pools


def _living(entries: dict[str, Any]) -> dict[str, Any]:
    # turns the copied entries into the agents in place: a third faster than building a second dict
    dead = []
    for name, entry in entries.items():
        agent = entry()
        if agent is None:
            dead.append(name)
        else:
            entries[name] = agent
    for name in dead:
        del entries[name]
    return entries


def _tell(table: Table) -> None:
    if table.subscriptions:
        tell(table)


def _checked(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{what}: expected text, got {describe(name)} of type {type(name).__name__}")
    name = str.__str__(name)
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        shown = name if len(name) <= 60 else f"{name[:60]}..."
        raise ValueError(
            f"{what}: expected 1 to {NAME_LIMIT} printable characters, got {shown!r} ({len(name)} characters)"
        )
    return name


def _is_reserved(name: str) -> bool:
    folded = name.casefold()
    return any(reserved.casefold() == folded for reserved in AgentRegistry.reserved_names.copy())


def _refuse_reserved(name: str) -> None:
    if _is_reserved(name):
        raise ReservedNameError(name, AgentRegistry.reserved_names)


def _nearest(name: object) -> list[str]:
    if not isinstance(name, str):
        return []
    alike = [other for other in AgentRegistry.names() if abs(len(other) - len(name)) <= 3]
    return difflib.get_close_matches(name, alike[:5000], n=3, cutoff=0.5)


def _known_pool(name: str) -> Any:
    pool = now.table.pools.get(name)
    if pool is None:
        _log.warning("no pool is registered under the name %r", name)
    return pool


def _rename(members: list[tuple[str, Any]]) -> list[tuple[Any, Any]]:
    renamed: list[tuple[Any, Any]] = []
    try:
        for name, member in members:
            before = getattr(member, "name", name)
            if before != name and set_name(member, name):
                renamed.append((member, before))
    except BaseException:
        _restore_names(renamed)
        raise
    return renamed


def _restore_names(renamed: list[tuple[Any, Any]]) -> None:
    for member, before in renamed:
        member.name = before


def _close(states: Any) -> None:
    for state in list(states):
        close = getattr(state, "close", None)
        try:
            if callable(close):
                close()
        except Exception:
            _log.exception("an extension's state failed to close: %r", state)


def _forget_other_threads() -> None:
    global _extending
    if not _extending._is_owned():  # type: ignore[attr-defined]
        _extending = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)

# A plain function that is kept on the class is found faster than a static or class method: 15 to 40 ns a call.
for _name, _member in list(vars(AgentRegistry).items()):
    if isinstance(_member, staticmethod) and _name != "__new__":
        setattr(AgentRegistry, _name, _member.__func__)
AgentRegistry.get = staticmethod(find_agent).__func__  # type: ignore[method-assign]
