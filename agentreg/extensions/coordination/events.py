"""What happens in a directory: events for callbacks, changes for watchers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Literal

from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus

__all__ = ["Change", "Listing", "RegistryEvent", "RegistryEventType", "Resync"]


class RegistryEventType(str, Enum):
    """The kinds of events that callbacks subscribe to."""

    AGENT_REGISTERED = "agent_registered"
    AGENT_DEREGISTERED = "agent_deregistered"
    AGENT_STATUS_CHANGED = "agent_status_changed"
    AGENT_HEARTBEAT = "agent_heartbeat"
    RUNTIME_JOINED = "runtime_joined"
    RUNTIME_LEFT = "runtime_left"


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(slots=True)
class RegistryEvent:
    """Something happened to an agent or a runtime.

    Attributes:
        event_type: What it was.
        agent_id: Whom it concerns; None for a runtime's event.
        runtime_id: The runtime that owns it.
        timestamp: When this process heard of it, aware UTC.
        metadata: ``capabilities`` of one that was registered, the ``reason``
            of a departure, ``old_status`` and ``new_status`` of a change.
        revision: The change it belongs to; a heartbeat has that of the last.
    """

    event_type: RegistryEventType
    agent_id: str | None = None
    runtime_id: str | None = None
    timestamp: datetime = field(default_factory=_now)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0


@dataclass(slots=True)
class Change:
    """One revision of a directory. Stores keep these in their log, watchers get them in order and without gaps.

    Attributes:
        revision: Its number: one more than that of the change before.
        kind: What happened to the record.
        agent_id: Whose record.
        runtime_id: The runtime that owns it.
        record: The record, if it was registered. In a directory it is the
            live one, which later changes show in.
        fields: If it was updated: the fields' names and new values, with
            ``old_status`` where the status is among them.
        reason: If it was deregistered: why. ``deregistered`` (by a call),
            ``collected``, ``expired``, ``died``, ``shutdown``, ``replaced``;
            ``lost`` if it is missing in a new listing, and nobody knows why.
        token: The registration it happened to.
    """

    revision: int
    kind: Literal["registered", "updated", "deregistered"]
    agent_id: str
    runtime_id: str
    record: AgentMetadata | None = None
    fields: Mapping[str, Any] | None = None
    reason: str | None = None
    token: str = ""

    @property
    def event_type(self) -> RegistryEventType | None:
        """The event that callbacks get of it; None for an update that leaves the status as it was."""
        if self.kind == "registered":
            return RegistryEventType.AGENT_REGISTERED
        if self.kind == "deregistered":
            return RegistryEventType.AGENT_DEREGISTERED
        return RegistryEventType.AGENT_STATUS_CHANGED if "old_status" in (self.fields or {}) else None

    @property
    def metadata(self) -> dict[str, Any]:
        """What the event of it has as metadata."""
        if self.record is not None:
            return {"capabilities": list(self.record.capabilities)}
        if self.kind == "deregistered":
            return {"reason": self.reason}
        fields = dict(self.fields or {})
        if "old_status" in fields:
            return {"old_status": AgentStatus(fields["old_status"]), "new_status": AgentStatus(fields["status"])}
        return fields


@dataclass(slots=True)
class Listing:
    """Everything that is there, as of one revision.

    Attributes:
        revision: The last change that shows in it.
        agents: The records, in registration order.
    """

    revision: int
    agents: tuple[AgentMetadata, ...] = ()


@dataclass(slots=True)
class Resync(Listing):
    """The changes since are not to be had any more: throw away what you have and start from this listing."""
