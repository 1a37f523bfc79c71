"""Records as the simple form shows them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, AgentStatus

__all__ = ["Rows", "shown_status"]

_SHOWN = {
    AgentStatus.ACTIVE: "active",
    AgentStatus.DEGRADED: "active",
    AgentStatus.UNHEALTHY: "stale",
    AgentStatus.OFFLINE: "stopped",
}


def shown_status(record: AgentMetadata) -> str:
    """The one word that the simple form has for how an agent is.

    >>> shown_status(AgentMetadata("planner", "worker", status=AgentStatus.UNHEALTHY))
    'stale'
    """
    return _SHOWN[record.status]


class Row(msgspec.Struct):
    """One line of ``GET /agents``."""

    id: str
    name: str
    cwd: str | None
    pid: int
    host: str
    started_at: float
    last_heartbeat: float
    heartbeat_age: float
    status: str
    meta: dict[str, Any]


class Page(msgspec.Struct):
    """The body of ``GET /agents``."""

    agents: list[Row]
    count: int
    as_of: float


_encode = msgspec.json.Encoder().encode


class Rows:
    """The rows of all records, made anew only for those that have changed; their encoded form, kept for a moment.

    Args:
        directory: Whose records.
        kept: Seconds that the heartbeats in an answer may be old.
    """

    def __init__(self, directory: AgentDirectory, kept: float = 0.5) -> None:
        self._directory = directory
        self._agents = directory.agents
        self._kept = kept
        self._rows: dict[str, tuple[int, Row, AgentMetadata]] = {}
        self._revision = -1
        self._sorted: list[tuple[Row, AgentMetadata]] = []
        self._body = b""
        self._made = float("-inf")

    def encoded(self) -> bytes:
        """The body of ``GET /agents``: newest first, true at its ``as_of``."""
        directory = self._directory
        now, revision = directory.clock(), directory.revision
        if revision != self._revision:
            self._arrange()
            self._revision = revision
        elif now - self._made < self._kept:
            return self._body
        self._made = now
        self._body = self._encode(now)
        return self._body

    def _arrange(self) -> None:
        old, self._rows = self._rows, {}
        for record in filter(None, map(self._agents.get, self._agents)):
            known = old.get(record.token)
            if known is None or known[0] != record.revision or known[2] is not record:
                known = record.revision, _row(record), record
            self._rows[record.token] = known
        pairs = [(row, record) for _, row, record in self._rows.values()]
        self._sorted = sorted(pairs, key=lambda pair: pair[0].started_at, reverse=True)

    def _encode(self, now: float) -> bytes:
        epoch = time.time() - now
        for row, record in self._sorted:
            heard, epoch = record.heard, record.lease.epoch
            row.last_heartbeat = heard + epoch
            row.heartbeat_age = now - heard if now > heard else 0.0
        return _encode(Page([row for row, _ in self._sorted], len(self._sorted), now + epoch))


def _row(record: AgentMetadata) -> Row:
    started = record.registered if record.created is None else record.created
    return Row(
        record.agent_id,
        record.name,
        record.cwd or None,
        record.pid,
        record.host,
        started,
        0.0,
        0.0,
        _SHOWN[record.status],
        dict(record.metadata),
    )
