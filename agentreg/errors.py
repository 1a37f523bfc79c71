"""What can go wrong, each with the names it concerns and the way out.

Errors keep names and texts, never agents: an exception that is kept must
not keep an agent alive.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "AgentNotFoundError",
    "CallDepthError",
    "NameTakenError",
    "PoolClosedError",
    "PoolExhaustedError",
    "ProviderNotFoundError",
    "RegistryError",
    "ReservedNameError",
    "TopologyError",
]


class RegistryError(Exception):
    """The base of every error that agentreg itself raises."""


class NameTakenError(RegistryError, ValueError):
    """A name is held by another living agent, or by a pool.

    Attributes:
        name: The name that was asked for.
        holder: The holder's repr.
    """

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(name, holder)
        self.name = name
        self.holder = holder

    def __str__(self) -> str:
        return (
            f"the name {self.name!r} is held by {self.holder}; pass another name, or unregister the holder first "
            "(if you have dropped it, something still holds it)"
        )


class ReservedNameError(RegistryError, ValueError):
    """A name is among ``AgentRegistry.reserved_names``.

    Attributes:
        name: The name that was asked for.
        reserved: Every reserved name, sorted.
    """

    def __init__(self, name: str, reserved: Iterable[str]) -> None:
        self.name = name
        self.reserved = tuple(sorted(reserved))
        super().__init__(name, self.reserved)

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.reserved))
        return f"the name {self.name!r} is reserved (reserved, whatever the case: {names}); pass another name"


class AgentNotFoundError(RegistryError, LookupError):
    """No agent has this name now.

    Attributes:
        name: The name that was asked for.
        nearest: Names in use that look like it, the nearest first.
    """

    def __init__(self, name: object, nearest: Iterable[str] = ()) -> None:
        self.name = name
        self.nearest = tuple(nearest)
        super().__init__(name, self.nearest)

    def __str__(self) -> str:
        if not self.nearest:
            return f"no agent is named {self.name!r}, nor anything like it; AgentRegistry.names() lists who is there"
        return f"no agent is named {self.name!r}; the nearest names are {', '.join(map(repr, self.nearest))}"


class PoolExhaustedError(RegistryError):
    """Every member of a pool is on loan.

    Attributes:
        pool_name: The pool's name.
        total_instances: How many members it has.
        allocated_instances: How many of them are on loan.
        requested_count: How many were asked for.
    """

    def __init__(
        self, pool_name: str, total_instances: int, allocated_instances: int, requested_count: int = 1
    ) -> None:
        super().__init__(pool_name, total_instances, allocated_instances, requested_count)
        self.pool_name = pool_name
        self.total_instances = total_instances
        self.allocated_instances = allocated_instances
        self.requested_count = requested_count

    def __str__(self) -> str:
        return (
            f"pool {self.pool_name!r} has no free member ({self.allocated_instances} of {self.total_instances} on "
            f"loan, {self.requested_count} asked for); give one back, wait with a timeout, or make the pool larger"
        )


class PoolClosedError(PoolExhaustedError):
    """The pool was cleaned up: it lends nothing any more."""

    def __str__(self) -> str:
        return f"pool {self.pool_name!r} was cleaned up and lends nothing any more; make a new one"


class ProviderNotFoundError(RegistryError, LookupError):
    """A ``ModelConfig`` names a provider that nobody registered.

    Attributes:
        provider: The name that was asked for.
        registered: The names that are registered, sorted.
    """

    def __init__(self, provider: str, registered: Iterable[str]) -> None:
        self.provider = provider
        self.registered = tuple(sorted(registered))
        super().__init__(provider, self.registered)

    def __str__(self) -> str:
        known = ", ".join(map(repr, self.registered)) or "none"
        return (
            f"no model provider is named {self.provider!r} (registered: {known}); "
            f"call register_provider({self.provider!r}, factory) before the first run"
        )


class CallDepthError(RegistryError, RecursionError):
    """Agents called one another too deeply: most likely in a circle.

    Attributes:
        chain: The names from the first caller to the call that was refused.
        limit: How many calls inside one another are allowed.
    """

    def __init__(self, chain: Iterable[str], limit: int) -> None:
        self.chain = tuple(chain)
        self.limit = limit
        super().__init__(self.chain, limit)

    def __str__(self) -> str:
        tail = " -> ".join(self.chain[-6:])
        return f"agents called one another more than {self.limit} deep (... {tail}); look for a circle among them"


class TopologyError(RegistryError, ValueError):
    """A topology is malformed, has a cycle, or names what isn't there."""
