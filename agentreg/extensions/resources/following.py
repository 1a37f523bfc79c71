"""Whose agents have left: the registry's departures, found by identity."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from agentreg import AgentRegistered, AgentRegistry, NameTakenError, PoolRegistered, RegistryEvent, Subscription
from agentreg.extensions.resources.allocation import Allocation
from agentreg.extensions.resources.requests import text_of

__all__ = ["Following", "name_of"]


def name_of(agent: Any) -> str:
    """The name that *agent* is, or has.

    >>> name_of("planner")
    'planner'
    """
    if type(agent) is str and agent:
        return agent
    if isinstance(agent, str):
        return text_of(agent, "agent")
    name = getattr(agent, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"agent: expected a name, or an agent with a name, got {agent!r} of {type(agent).__name__}")
    return str.__str__(name)


class Following:
    """Allocations bound to the agents that they were made for.

    An allocation is bound to who has its name in the registry when it is
    made or, where nobody has, to the first who takes the name afterwards.
    It ends when that very agent (or pool) does not have the name any more.
    What the registry tells is only a hint when to look: a late farewell
    finds the successor in place, and nothing happens.

    Thread-safe: no but for `settle`; the manager's lock guards it.
    """

    def __init__(
        self, registry: type[AgentRegistry] | None, told: Callable[[RegistryEvent], object] | None = None
    ) -> None:
        self._registry = registry
        self._subscription: Subscription | None = None
        if registry is not None and told is not None:
            self._subscription = _subscribe(registry, told)

    def close(self) -> None:
        """Hear nothing more."""
        if self._subscription is not None:
            self._subscription.close()

    def settle(self) -> int:
        """Have everything told that has happened; the registry's revision. Called without the lock."""
        return 0 if self._registry is None else int(self._registry.revision)

    def check(self, name: str, agent: Any) -> None:
        """Refuse *agent* if *name* is another's.

        Raises:
            NameTakenError: another living agent, or a pool, has the name.
        """
        holder = self._find(name)
        if holder is not None and holder is not agent:
            raise NameTakenError(name, f"another {type(holder).__name__}")

    def bind(self, allocation: Allocation) -> None:
        """Bind it to who has its name now, if anybody."""
        holder = self._find(allocation.agent) if allocation.follow else None
        if holder is not None:
            allocation.origin = weakref.ref(holder)

    def is_for(self, allocation: Allocation, agent: Any) -> bool:
        """Whether *agent* (or a name) is whom the allocation was made for, as far as one can tell."""
        origin = allocation.origin
        return isinstance(agent, str) or origin is None or origin() is agent

    def has_left(self, allocation: Allocation, event: RegistryEvent) -> bool:
        """Whether *event* shows that the allocation's agent has left; binds it where the agent has come."""
        if not allocation.follow or event.revision <= allocation.since:
            return False
        holder = self._find(allocation.agent)
        if allocation.origin is not None:
            return holder is None or allocation.origin() is not holder
        if holder is not None:
            allocation.origin = weakref.ref(holder)
        elif isinstance(event, (AgentRegistered, PoolRegistered)):
            allocation.origin = _gone()  # it came, and has left again since
        return False

    def _find(self, name: str) -> Any:
        if self._registry is None:
            return None
        agent = self._registry.get(name)
        return self._registry.get_pool(name) if agent is None else agent


class _Nobody:
    """What a reference to somebody who has left pointed to."""


def _gone() -> weakref.ref[Any]:
    return weakref.ref(_Nobody())


def _subscribe(registry: type[AgentRegistry], told: Callable[[RegistryEvent], object]) -> Subscription:
    # the registry would keep the manager alive, for good
    listener = weakref.WeakMethod(told)
    subscriptions: list[Subscription] = []

    def hear(event: RegistryEvent) -> None:
        tell = listener()
        if tell is not None:
            tell(event)
        elif subscriptions:
            subscriptions[0].close()

    subscriptions.append(registry.subscribe(hear))
    subscriptions[0].listing, subscriptions[0].capabilities = {}, {}  # else it keeps the names of the dead
    return subscriptions[0]
