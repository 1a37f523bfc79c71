"""What a resolver may ask about the world: names, room, permissions, connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agentreg import AgentRegistry
from agentreg.extensions.resources.conflicts.request import AgentRequest

__all__ = [
    "CONFLICTS",
    "Conflict",
    "ConflictContext",
    "ConflictKind",
    "ConnectionRoom",
    "ResourceOffice",
    "Share",
    "held_in_registry",
]

ConflictKind = Literal["name", "resources", "tools", "mcp"]

CONFLICTS: tuple[ConflictKind, ...] = ("name", "resources", "tools", "mcp")
"""The kinds of conflicts, in the order in which they are looked for."""


class Share(Protocol):
    """What a resource office gives: a share that is granted, or waits in its queue."""

    @property
    def granted(self) -> bool:
        """Whether the share can be used now."""

    async def ready(self) -> Any:
        """Wait until it is granted."""

    def cancel(self) -> Any:
        """Give it up, granted or not."""


class ResourceOffice(Protocol):
    """Who gives shares of memory to agents: a resource manager."""

    def allocate(self, agent: str, *, memory: Any, priority: Any, tasks: int) -> Share:
        """A share for *agent*: at once, or queued by *priority*."""

    def release(self, agent: str) -> Any:
        """Take back what *agent* has."""

    def available(self, memory: Any) -> bool:
        """Whether that much could be granted at once; text with a unit, or bytes."""


class ConnectionRoom(Protocol):
    """Who knows how many more agents a server takes: a `ConnectionPool`."""

    def room(self, server: str) -> int:
        """How many more could have a connection at once."""


def held_in_registry(name: str) -> bool:
    """Whether a live agent or a pool of this process has *name*.

    >>> held_in_registry("scout")
    False
    """
    return AgentRegistry.get(name) is not None or AgentRegistry.is_pool(name)


@dataclass(frozen=True)
class ConflictContext:
    """What a resolver may ask about the world. Everything may be left out: what can't be asked is no conflict.

    Attributes:
        taken: Whether somebody else has a name; by default, a live agent or pool of this process.
        resources: Who gives shares of memory.
        allowed_tools: Who allows -> the tools that it allows: ``{"parent": ["Read", "Bash(git:*)"]}``; None in it is
            no opinion.
        denied_tools: Who denies -> the tools that it denies.
        connections: Who knows how many more agents a server takes.
        reallocate: Called with a request, to make room for it: shrink or move what is idle.
    """

    taken: Callable[[str], bool] = field(default_factory=lambda: held_in_registry)
    resources: ResourceOffice | None = None
    allowed_tools: Mapping[str, Iterable[str] | None] = field(default_factory=dict)
    denied_tools: Mapping[str, Iterable[str]] = field(default_factory=dict)
    connections: ConnectionRoom | None = None
    reallocate: Callable[[AgentRequest], object] | None = None


@dataclass(frozen=True)
class Conflict:
    """What stands in the way of a request.

    Attributes:
        kind: ``"name"``, ``"resources"``, ``"tools"`` or ``"mcp"``.
        subject: The name that was asked for.
        message: What is in conflict, in a sentence.
        detail: Of tools, the `ToolGrant`; of mcp, the servers without room; else None.
    """

    kind: ConflictKind
    subject: str
    message: str
    detail: Any = None
