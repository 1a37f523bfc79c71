"""The record: what a directory knows of one agent."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, TypeVar, overload

from agentreg.extensions.coordination.cards import is_plain
from agentreg.extensions.coordination.processes import Process, this_process

__all__ = ["DEFAULTS", "FIELDS", "AgentMetadata", "AgentStatus", "WorkState", "from_wire", "to_wire"]

T = TypeVar("T")


class AgentStatus(str, Enum):
    """How an agent is: its health. What it is doing is another fact, `WorkState`."""

    ACTIVE = "active"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    OFFLINE = "offline"


class WorkState(str, Enum):
    """What an agent is doing."""

    ACTIVE = "active"
    IDLE = "idle"
    ERROR = "error"
    MAINTENANCE = "maintenance"


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _Sparse(Generic[T]):
    """A field that most records leave at its default: only the others pay for it."""

    def __init__(self, default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, record: None, owner: type) -> _Sparse[T]: ...
    @overload
    def __get__(self, record: AgentMetadata, owner: type) -> T: ...
    def __get__(self, record: AgentMetadata | None, owner: type) -> _Sparse[T] | T:
        if record is None:
            return self
        rest = record._rest
        return self.default if rest is None else rest.get(self.name, self.default)

    def __set__(self, record: AgentMetadata, value: T) -> None:
        if record._rest is None:
            record._rest = {}
        record._rest[self.name] = value


class Lease:
    """When something was last heard of, on the clock of the copy that it is in.

    Attributes:
        beat: The last heartbeat, in seconds of the copy's clock.
        epoch: What to add for the seconds since 1970.
    """

    __slots__ = ("beat", "epoch")

    def __init__(self, beat: float, epoch: float) -> None:
        self.beat = beat
        self.epoch = epoch


_NEVER = float("-inf")
_NO_LEASE = Lease(_NEVER, 0.0)


class AgentMetadata:
    """One registration of an agent, as this directory's copy has it: a live view, changed as news arrives.

    Times are aware UTC. Set nothing but the counters, which are the
    caller's own and stay in this process; for the rest there are the
    directory's methods.

    Attributes:
        agent_id: The id, unique in the directory.
        runtime_id: The runtime that owns it.
        token: Names this registration, and no other under the same id.
        capabilities: What it can do, as written.
        status: Its health.
        work_state: What it is doing.
        process: Machine and process of whoever registered it; `host`, `pid`,
            `process_start`, `boot_id` and `cwd` are its parts.
        revision: The change that this record shows.
        endpoint, version, file_path: Where it is reached, and what it is made from, if given.
        max_concurrency, memory_limit_mb, budget_limit_usd: Limits for callers; nothing enforces them here.
        active_tasks, completed_tasks, failed_tasks, error_count, request_count: Counters for callers.
        budget_spent_usd, total_execution_time, avg_execution_time: The same, in US dollars and seconds.
        config, resources, performance, relationships, metadata: Plain JSON objects.
        lapsed_from: The status before its heartbeat lapsed, None if it has not.
    """

    __slots__ = (
        "__weakref__",
        "_agent",
        "_rest",
        "agent_id",
        "beat",
        "capabilities",
        "created",
        "lease",
        "process",
        "registered",
        "revision",
        "runtime_id",
        "status",
        "token",
    )

    work_state = _Sparse(WorkState.ACTIVE)
    version = _Sparse[str | None](None)
    file_path = _Sparse[str | None](None)
    endpoint = _Sparse[str | None](None)
    a2a_card = _Sparse[Any](None)
    max_concurrency = _Sparse(10)
    memory_limit_mb = _Sparse[float](512)
    budget_limit_usd = _Sparse(1.0)
    active_tasks = _Sparse(0)
    completed_tasks = _Sparse(0)
    failed_tasks = _Sparse(0)
    budget_spent_usd = _Sparse(0.0)
    total_execution_time = _Sparse(0.0)
    avg_execution_time = _Sparse(0.0)
    error_count = _Sparse(0)
    request_count = _Sparse(0)
    config = _Sparse(_NOTHING)
    resources = _Sparse(_NOTHING)
    performance = _Sparse(_NOTHING)
    relationships = _Sparse(_NOTHING)
    metadata = _Sparse(_NOTHING)
    lapsed_from = _Sparse[AgentStatus | None](None)
    worked = _Sparse[float | None](None)  # the last activity, in seconds since 1970
    modified = _Sparse[float | None](None)  # the last change that its owner asked for, likewise

    def __init__(
        self,
        agent_id: str,
        runtime_id: str,
        token: str = "",
        capabilities: Iterable[str] = (),
        status: AgentStatus = AgentStatus.ACTIVE,
        process: Process = Process(),  # noqa: B008 - a tuple
        registered: float = 0.0,
        created: float | None = None,
        revision: int = 0,
        rest: dict[str, Any] | None = None,
        agent: object = None,
    ) -> None:
        self.agent_id = agent_id
        self.runtime_id = runtime_id
        self.token = token
        self.capabilities = tuple(capabilities)
        self.status = status
        self.process = process
        self.registered = registered
        self.created = created
        self.revision = revision
        self.beat = _NEVER
        self.lease = _NO_LEASE
        self._rest = rest
        self._agent = agent

    @property
    def name(self) -> str:
        """Its name for people; the id where none was given."""
        return (self._rest or _NOTHING).get("name") or self.agent_id

    @property
    def agent(self) -> Any:
        """The live object; None when it lives in another process or is gone."""
        held = self._agent
        return held() if isinstance(held, weakref.ref) else held

    @property
    def heard(self) -> float:
        """When it was last heard of, itself or with its runtime, on the copy's clock in seconds."""
        return max(self.beat, self.lease.beat)

    @property
    def last_heartbeat(self) -> datetime:
        """The later of its own heartbeat and its runtime's."""
        heard = self.heard
        return _utc(self.registered if heard == _NEVER else heard + self.lease.epoch)

    @property
    def registered_at(self) -> datetime:
        """When this registration was made."""
        return _utc(self.registered)

    @property
    def created_at(self) -> datetime:
        """When the agent was made, as far as its owner said; else when it was registered."""
        return _utc(self.registered if self.created is None else self.created)

    @property
    def last_activity(self) -> datetime:
        """When its record last changed."""
        return _utc(self.registered if self.worked is None else self.worked)

    @property
    def last_modified(self) -> datetime:
        """When its owner last registered or changed it; neither heartbeats nor a change of health count."""
        return _utc(self.registered if self.modified is None else self.modified)

    @property
    def host(self) -> str:
        """The machine of whoever registered it."""
        return self.process.host

    @property
    def pid(self) -> int:
        """The process of whoever registered it; 0 if it is not known."""
        return self.process.pid

    @property
    def process_start(self) -> float:
        """When that process started, in its system's units; 0 if it is not known."""
        return self.process.start

    @property
    def boot_id(self) -> str:
        """Which boot, and which pid namespace, that process belongs to."""
        return self.process.boot

    @property
    def cwd(self) -> str:
        """That process' working directory at registration."""
        return self.process.cwd

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON: times as ISO 8601 in UTC, the live object left out."""
        plain = {field: getattr(self, field) for field in FIELDS}
        plain |= {field: dict(plain[field]) for field in _OBJECTS}
        plain["capabilities"] = list(self.capabilities)
        plain |= {"status": self.status.value, "work_state": self.work_state.value}
        for field in ("created_at", "registered_at", "last_heartbeat", "last_activity"):
            plain[field] = getattr(self, field).isoformat().replace("+00:00", "Z")
        return plain

    def __repr__(self) -> str:
        return f"<AgentMetadata {self.agent_id!r} of {self.runtime_id!r}, {self.status.value}>"


_OBJECTS = ("config", "resources", "performance", "relationships", "metadata")
_SPARSE = tuple(name for name, value in vars(AgentMetadata).items() if isinstance(value, _Sparse))
#: What `to_wire` leaves out: fields that have their default.
DEFAULTS: dict[str, Any] = {"name": "", **{name: vars(AgentMetadata)[name].default for name in _SPARSE}}

#: Every field of a record in `AgentMetadata.to_dict`, in order.
FIELDS = (
    "agent_id", "name", "runtime_id", "token", "host", "pid", "process_start", "boot_id", "cwd", "version",
    "file_path", "endpoint", "capabilities", "status", "work_state", "created_at", "registered_at",
    "last_heartbeat", "last_activity", "revision", "max_concurrency", "memory_limit_mb", "budget_limit_usd",
    "active_tasks", "completed_tasks", "failed_tasks", "budget_spent_usd", "total_execution_time",
    "avg_execution_time", "error_count", "request_count", *_OBJECTS,
)  # fmt: skip


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def to_wire(record: AgentMetadata) -> dict[str, Any]:
    """The record as a store keeps it: plain JSON, fields at their defaults left out, times in seconds since 1970.

    The heartbeat is not in it (stores keep that apart), nor the live object,
    nor a card that is not plain JSON.
    """
    wire: dict[str, Any] = {
        "agent_id": record.agent_id,
        "runtime_id": record.runtime_id,
        "token": record.token,
        "capabilities": list(record.capabilities),
        "status": record.status.value,
        "registered": record.registered,
        "revision": record.revision,
    }
    if record.created is not None:
        wire["created"] = record.created
    wire |= {name: value for name, value in zip(_PROCESS, record.process, strict=True) if value}
    for name, value in (record._rest or {}).items():
        if name == "a2a_card" and not is_plain(value):
            continue
        if value != DEFAULTS.get(name):
            wire[name] = value
    return wire


_PROCESS = ("host", "pid", "process_start", "boot_id", "cwd")
_processes: dict[tuple[Any, ...], Process] = {}


def from_wire(wire: Mapping[str, Any]) -> AgentMetadata:
    """The record that `to_wire` gave; fields that this version doesn't know are left out."""
    parts = tuple([wire.get(name, default) for name, default in zip(_PROCESS, Process(), strict=True)])
    return AgentMetadata(
        wire["agent_id"],
        wire["runtime_id"],
        wire.get("token", ""),
        wire.get("capabilities", ()),
        AgentStatus(wire.get("status", "active")),
        _shared(parts),
        wire.get("registered", 0.0),
        wire.get("created"),
        wire.get("revision", 0),
        rest_from_wire(wire),
    )


def rest_from_wire(wire: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sparse fields in *wire*, with their own types; None if there are none."""
    rest = {name: wire[name] for name in wire.keys() & DEFAULTS.keys()}
    if "work_state" in rest:
        rest["work_state"] = WorkState(rest["work_state"])
    if rest.get("lapsed_from") is not None:
        rest["lapsed_from"] = AgentStatus(rest["lapsed_from"])
    return rest or None


def _shared(parts: tuple[Any, ...]) -> Process:
    # a process has many agents: they share one description
    process = _processes.get(parts)
    if process is None and parts == this_process():
        return this_process()
    if process is None:
        if len(_processes) > 10_000:
            _processes.clear()
        process = _processes[parts] = Process(*parts)
    return process
