"""What the stream says of a change: frames, each encoded once for all who read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

from agentreg.extensions.coordination import AgentMetadata, Change
from agentreg.extensions.service.encoding import encode
from agentreg.extensions.service.full.figures import bytes_of
from agentreg.extensions.service.full.shape import OBJECTS, full, status_of, whole

__all__ = ["TYPES", "Frame", "frames_of", "listing", "time_of"]

TYPES = (
    "agent_registered",
    "agent_updated",
    "agent_deregistered",
    "resource_alert",
    "performance_update",
)
_ALERT = 0.9  # of the memory that an agent was given
#: Fields of a record in the store that the stream calls otherwise.
_NAMES = {"worked": "last_activity", "created": "created_at", "modified": "last_modified"}
_HIDDEN = frozenset(("lapsed_from", "status", "old_status", "work_state"))


class Frame(NamedTuple):
    """One event, encoded.

    Attributes:
        revision: The change that it tells of.
        kind: Its type.
        agent_id: Whom it concerns.
        capabilities: What that one can do, in lower case.
        text: The frame itself, as JSON.
    """

    revision: int
    kind: str
    agent_id: str
    capabilities: frozenset[str]
    text: bytes


def frames_of(
    change: Change, record: AgentMetadata | None, capabilities: frozenset[str], watches_memory: bool, at: float
) -> list[Frame]:
    """The frames that tell of *change*, which happened *at* a time of day; *record* is whose it is, if it is there."""
    return [
        Frame(change.revision, kind, change.agent_id, capabilities, encoded(kind, change.revision, data, at))
        for kind, data in _told(change, record)
        if watches_memory or kind != "resource_alert"
    ]


def encoded(kind: str, revision: int, data: Any, at: float | None = None) -> bytes:
    """One frame as JSON."""
    return encode({"type": kind, "revision": revision, "time": _iso(at or time.time()), "data": data})


def listing(kind: str, revision: int, records: Iterable[AgentMetadata]) -> bytes:
    """A ``listing`` or a ``resync``: everything that is there."""
    agents = [full(record) for record in records]
    return encoded(kind, revision, {"agents": agents, "count": len(agents)})


def _told(change: Change, record: AgentMetadata | None) -> Iterator[tuple[str, dict[str, Any]]]:
    agent_id = change.agent_id
    if change.kind == "deregistered":
        yield "agent_deregistered", {"agent_id": agent_id, "reason": change.reason}
    elif change.record is not None:
        yield "agent_registered", full(change.record)
    else:
        yield from _updated(agent_id, dict(change.fields or {}), record)


def _updated(agent_id: str, fields: dict[str, Any], record: AgentMetadata | None) -> Iterator[tuple[str, Any]]:
    yield "agent_updated", {"agent_id": agent_id, "changes": _changes(fields, record)}
    if fields.get("status") == "offline":
        yield "agent_deregistered", {"agent_id": agent_id, "reason": "stopped"}
    if "performance" in fields:
        yield "performance_update", {"agent_id": agent_id, "metrics": fields["performance"]}
    share = _memory_share(fields.get("resources") or {})
    if share > _ALERT:
        details = f"{share:.0%} of the memory that it was given is in use"
        yield "resource_alert", {"alert": "high_memory", "details": details, "affected_agents": [agent_id]}


def _changes(fields: dict[str, Any], record: AgentMetadata | None) -> dict[str, Any]:
    changes = {_NAMES.get(name, name): value for name, value in fields.items() if name not in _HIDDEN}
    for name in _NAMES.values():
        if isinstance(changes.get(name), (int, float)):
            changes[name] = _iso(changes[name])
    if "status" in fields:
        changes["health"] = fields["status"]
    if record is not None and not fields.keys().isdisjoint(("status", "work_state")):
        changes["status"] = status_of(record)
    if record is not None:  # who replaces what it knows by these has what a listing would say
        changes |= {name: whole(record, name, changes[name] or {}) for name in OBJECTS if name in changes}
    return changes


def _memory_share(resources: dict[str, Any]) -> float:
    used, allocated = bytes_of(resources.get("memory_used")), bytes_of(resources.get("memory_allocated"))
    return used / allocated if used and allocated else 0.0


def time_of(change: Change) -> float | None:
    """When it happened, as far as the change itself says."""
    if change.record is not None:
        return change.record.registered
    when = (change.fields or {}).get("worked")
    return when if isinstance(when, float) else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
