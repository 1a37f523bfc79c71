"""Shapes of answers that are put together without a type, written down for the description."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

__all__ = [
    "Agent",
    "Agents",
    "Answer",
    "Beat",
    "Changes",
    "Done",
    "Failure",
    "Health",
    "Listing",
    "News",
    "Problem",
    "Record",
    "Records",
    "Registered",
    "Removed",
    "Statistics",
]

Status = Literal["active", "idle", "error", "maintenance", "offline"]


class Problem(msgspec.Struct):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    pointer: str | msgspec.UnsetType = msgspec.UNSET


class Failure(msgspec.Struct):
    """Why a request of the simple form was refused."""

    ok: Literal[False]
    error: str


class Registered(msgspec.Struct):
    """A registration: its id, and the token that names it and no other under this id."""

    ok: Literal[True]
    id: str
    token: str


class Beat(msgspec.Struct):
    """The answer to a heartbeat; the last two only if several were asked for."""

    ok: Literal[True]
    status: Literal["active"]
    count: int | msgspec.UnsetType = msgspec.UNSET
    unknown: list[str] | msgspec.UnsetType = msgspec.UNSET


class Done(msgspec.Struct):
    """It was done."""

    ok: Literal[True]


class Agent(msgspec.Struct):
    """One line of the listing; times in seconds since 1970, the age in seconds."""

    id: str
    name: str
    cwd: str | None
    pid: int
    host: str
    started_at: float
    last_heartbeat: float
    heartbeat_age: float
    status: Literal["active", "stale", "stopped"]
    meta: dict[str, Any]


class Agents(msgspec.Struct):
    """The agents, the newest first."""

    agents: list[Agent]
    count: int
    as_of: float


class Health(msgspec.Struct):
    """How the service is; *uptime* in seconds."""

    ok: bool
    count: int
    uptime: float
    instance_id: str
    version: str
    error: str | msgspec.UnsetType = msgspec.UNSET


class Configuration(msgspec.Struct):
    """What an agent is set up with, as it was sent; whatever else was sent stands here, too."""

    description: Any
    color: Any
    priority: Any
    tools: Any
    mcp_servers: Any
    resource_limit: Any
    conflict_resolution: Any
    specialization: Any


class Resources(msgspec.Struct):
    """What an agent uses, as it was sent."""

    memory_allocated: Any
    memory_used: Any
    cpu_priority: Any
    active_tasks: Any
    max_concurrent_tasks: Any


class Performance(msgspec.Struct):
    """How an agent does, as it was sent, or as it was counted."""

    uptime: Any
    avg_response_time: Any
    task_success_rate: Any
    error_count: Any
    total_tasks: Any


class Relationships(msgspec.Struct):
    """Where an agent comes from, and what comes from it, as it was sent."""

    parent_agent: Any
    child_agents: Any
    template_source: Any
    cloned_from: Any


class Record(msgspec.Struct):
    """All that is known of one agent."""

    agent_id: str
    name: str
    file_path: str | None
    status: Status
    created_at: datetime
    last_modified: datetime
    last_activity: datetime
    version: str | None
    config: Configuration
    resources: Resources
    performance: Performance
    relationships: Relationships
    health: Literal["active", "degraded", "unhealthy", "offline"]
    capabilities: list[str]
    runtime_id: str
    host: str
    pid: int
    cwd: str | None
    endpoint: str | None
    metadata: dict[str, Any]
    last_heartbeat: datetime
    revision: int


class Listing(msgspec.Struct):
    """Records; *next* is where to go on, null at the end."""

    agents: list[Record]
    total: int
    next: str | None
    revision: int


class Removed(msgspec.Struct):
    """The answer to a removal."""

    ok: Literal[True]
    agent_id: str
    tasks_migrated_to: str | None
    revision: int


class Utilization(msgspec.Struct):
    """What all agents use together; null where nobody says anything."""

    memory: str | None
    cpu: str | None
    task_queue: str


class Results(msgspec.Struct):
    """How all agents do; null where nobody says anything."""

    avg_response_time: str | None
    success_rate: str | None
    uptime: str | None


class Statistics(msgspec.Struct):
    """The registry in figures."""

    agent_counts: dict[str, int]
    resource_utilization: Utilization
    performance_metrics: Results
    top_performers: list[dict[str, str]]
    revision: int


# -- the store itself -----------------------------------------------------------


class Answer(msgspec.Struct):
    """What became of a batch: one result for each item, in order."""

    revision: int
    results: list[Any]


class Records(msgspec.Struct):
    """Everything in the store; each heartbeat is runtime, agent or null, and its age in seconds."""

    revision: int
    records: list[dict[str, Any]]
    beats: list[list[Any]]
    mark: int


class Changes(msgspec.Struct):
    """What is new since a revision and a mark."""

    revision: int
    changes: list[dict[str, Any]]
    beats: list[list[Any]]
    mark: int


class News(msgspec.Struct):
    """What is asked for: what is new since *since* and *mark*, after *wait* seconds at most (30)."""

    since: int = 0
    mark: int = 0
    wait: float = 0.0
