"""What happened to a name.

Events are frozen, carry names and a revision, and never the agent itself:
an event must not keep an agent alive, and a collected one is gone anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "AgentRegistered",
    "AgentUnregistered",
    "CallFinished",
    "PoolRegistered",
    "PoolUnregistered",
    "RegistryEvent",
    "Resync",
]


@dataclass(frozen=True)
class AgentRegistered:
    """An agent was entered under a name.

    Attributes:
        name: The name.
        class_name: The name of the agent's class.
        revision: The registry's revision that this change made.
        reason: ``"registered"``.
        capabilities: What the agent said it can do; only ``BaseAgent``
            says it, for others it is empty.
    """

    name: str
    class_name: str
    revision: int
    reason: str = "registered"
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class AgentUnregistered:
    """A name has no agent any more.

    Attributes:
        reason: ``"unregistered"``, ``"collected"`` (the last reference to
            the agent was dropped) or ``"cleared"``.
    """

    name: str
    class_name: str
    revision: int
    reason: str = "unregistered"


@dataclass(frozen=True)
class PoolRegistered:
    """A pool was entered under a name; its members have events of their own."""

    name: str
    class_name: str
    revision: int
    reason: str = "registered"


@dataclass(frozen=True)
class PoolUnregistered:
    """A pool left; its members have events of their own.

    Attributes:
        reason: ``"unregistered"`` or ``"cleared"``.
    """

    name: str
    class_name: str
    revision: int
    reason: str = "unregistered"


@dataclass(frozen=True)
class Resync:
    """A listener fell so far behind that its events were given up.

    Forget what you knew and start again from this listing: the next event
    has the revision after it. Only a listener that did not return from one
    call while a hundred thousand changes went by ever gets it.

    Attributes:
        revision: The revision of the listing.
        listing: Agent name -> class name.
        capabilities: Agent name -> its capabilities, where it declared some.
        pools: Pool name -> class name.
    """

    revision: int
    listing: Mapping[str, str]
    capabilities: Mapping[str, tuple[str, ...]]
    pools: Mapping[str, str]


RegistryEvent = AgentRegistered | AgentUnregistered | PoolRegistered | PoolUnregistered | Resync


@dataclass(frozen=True)
class CallFinished:
    """A run that an Orchestra or ``invoke_agent`` started has ended.

    Attributes:
        name: The agent that ran; for a pool, the member.
        seconds: How long it took.
        ok: Whether it returned; False when it raised or was cancelled.
    """

    name: str
    seconds: float
    ok: bool
