"""A record as the full form shows it, and what of that can be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import msgspec

from agentreg.extensions.coordination import AgentMetadata, AgentStatus, WorkState
from agentreg.extensions.service.bodies import check_object, check_text
from agentreg.extensions.service.limits import Limits
from agentreg.extensions.service.refusals import Refusal

__all__ = ["OBJECTS", "STATUSES", "Draft", "active_tasks", "check", "full", "status_of", "whole"]

STATUSES = (*(state.value for state in WorkState), "offline")

# What a complete record has where its owner has sent nothing.
_CONFIG: dict[str, Any] = {
    "description": None,
    "color": None,
    "priority": None,
    "tools": [],
    "mcp_servers": [],
    "resource_limit": None,
    "conflict_resolution": None,
    "specialization": None,
}
_PERFORMANCE = dict.fromkeys(("uptime", "avg_response_time", "task_success_rate"))
_RELATIONSHIPS: dict[str, Any] = {
    "parent_agent": None,
    "child_agents": [],
    "template_source": None,
    "cloned_from": None,
}
OBJECTS = ("config", "resources", "performance", "relationships", "metadata")


class Draft(msgspec.Struct):
    """What can be sent of a record; the service sets the rest, and ignores it in a body."""

    name: str
    agent_id: str | None = None
    file_path: str | None = None
    status: str | None = None
    created_at: datetime | None = None
    last_activity: datetime | None = None
    version: str | None = None
    endpoint: str | None = None
    cwd: str | None = None
    pid: int | None = None
    host: str | None = None
    capabilities: list[str] = []
    config: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    performance: dict[str, Any] = {}
    relationships: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


def check(draft: Draft, limits: Limits) -> None:
    """Refuse what no record can have."""
    if not draft.name:
        raise Refusal(400, "name: expected a name, got empty text", "/name")
    for field in ("name", "agent_id", "version", "host"):
        check_text(field, getattr(draft, field) or "", limits.name)
    for field in ("file_path", "endpoint", "cwd"):
        check_text(field, getattr(draft, field) or "", limits.text)
    for number, capability in enumerate(draft.capabilities):
        check_text(f"capabilities/{number}", capability, limits.name)
    for field in OBJECTS:
        check_object(field, getattr(draft, field), limits)
    if draft.status is not None and draft.status not in STATUSES:
        raise Refusal(400, f"status: expected one of {', '.join(STATUSES)}; got {draft.status!r:.80}", "/status")
    _check_config(draft.config)


def _check_config(config: Mapping[str, Any]) -> None:
    priority = config.get("priority")
    if isinstance(priority, bool) or not isinstance(priority, (int, float, type(None))):
        raise Refusal(400, f"config.priority: expected a number, got {priority!r:.80}", "/config/priority")
    for field in ("tools", "mcp_servers"):
        value = config.get(field)
        if value is not None and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise Refusal(400, f"config.{field}: expected a list of texts, got {value!r:.80}", f"/config/{field}")


def status_of(record: AgentMetadata) -> str:
    """The one word that the full form has for health and work.

    >>> status_of(AgentMetadata("planner", "worker", status=AgentStatus.UNHEALTHY))
    'error'
    """
    if record.status is AgentStatus.UNHEALTHY:
        return "error"
    return "offline" if record.status is AgentStatus.OFFLINE else record.work_state.value


def active_tasks(record: AgentMetadata) -> int:
    """How many tasks it has, as it said last."""
    said = record.resources.get("active_tasks")
    return said if isinstance(said, int) else record.active_tasks


def full(record: AgentMetadata) -> dict[str, Any]:
    """All of a record, as the full form shows it; what was sent is as it was sent."""
    return {
        "agent_id": record.agent_id,
        "name": record.name,
        "file_path": record.file_path,
        "status": status_of(record),
        "created_at": _iso(record.created_at),
        "last_modified": _iso(record.last_modified),
        "last_activity": _iso(record.last_activity),
        "version": record.version,
        **{name: whole(record, name, getattr(record, name)) for name in _BASES},
        "health": record.status.value,
        "capabilities": list(record.capabilities),
        "runtime_id": record.runtime_id,
        "host": record.host,
        "pid": record.pid,
        "cwd": record.cwd or None,
        "endpoint": record.endpoint,
        "last_heartbeat": _iso(record.last_heartbeat),
        "revision": record.revision,
    }


def whole(record: AgentMetadata, name: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """One of the objects of *record* as the full form shows it: what was sent, with the fields that every record has.

    >>> whole(AgentMetadata("planner", "worker"), "resources", {"memory_used": "80mb"})["cpu_priority"]
    'normal'
    """
    return {**_BASES[name](record), **sent}


def _resources(record: AgentMetadata) -> dict[str, Any]:
    return {
        "memory_allocated": f"{record.memory_limit_mb:g}mb",
        "memory_used": None,
        "cpu_priority": "normal",
        "active_tasks": record.active_tasks,
        "max_concurrent_tasks": record.max_concurrency,
    }


def _performance(record: AgentMetadata) -> dict[str, Any]:
    tasks = record.completed_tasks + record.failed_tasks
    derived: dict[str, Any] = {"error_count": record.error_count, "total_tasks": tasks or record.request_count}
    if record.avg_execution_time:
        derived["avg_response_time"] = f"{record.avg_execution_time:.3g}s"
    if tasks:
        derived["task_success_rate"] = f"{100 * record.completed_tasks / tasks:.1f}%"
    return {**_PERFORMANCE, **derived}


#: What each object of a record has where its owner has sent nothing.
_BASES: Mapping[str, Callable[[AgentMetadata], Mapping[str, Any]]] = {
    "config": lambda record: _CONFIG,
    "resources": _resources,
    "performance": _performance,
    "relationships": lambda record: _RELATIONSHIPS,
    "metadata": lambda record: {},
}


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
