"""Records as the simple form shows them."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

import msgspec

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, AgentStatus
from agentreg.extensions.service.encoding import encode

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


class _Line(msgspec.Struct, gc=False):
    """One line of ``GET /agents``. What stays as it is has become JSON already: from ``id`` to ``started_at``, and
    ``status`` with ``meta``; each behind the first of these names. Of thousands of lines, that is two texts each
    instead of a dozen objects all over the memory.
    """

    id: msgspec.Raw
    last_heartbeat: float
    heartbeat_age: float
    status: msgspec.Raw


class _Lines(msgspec.Struct, gc=False):
    """The body of ``GET /agents``."""

    agents: list[_Line]
    count: int
    as_of: float


class _Entry(NamedTuple):
    """One line, and what it shows."""

    line: _Line
    record: AgentMetadata
    order: float  # newest first


_encode = encode
_MANY = 500  # changes, from which on all lines are made anew


class Rows:
    """The rows of all records, made anew only for those that have changed; their encoded form, kept for a moment.

    Args:
        directory: Whose records.
        kept: Seconds that the heartbeats in an answer may be old.
    """

    def __init__(self, directory: AgentDirectory, kept: float = 0.5) -> None:
        self._directory = directory
        self._kept = kept
        self._position = (-1, -1)
        self._known: dict[str, _Entry] = {}
        self._entries: list[_Entry] = []  # in order
        self._lines: list[_Line] = []
        self._body = b""
        self._made = float("-inf")

    def encoded(self) -> bytes:
        """The body of ``GET /agents``: newest first, true at its ``as_of``."""
        now, position = self._directory.clock(), self._directory.position
        if position != self._position:
            self._follow()
            self._position = position
        elif 0 <= now - self._made < self._kept:
            return self._body
        self._made, epoch = now, self._look_again(now)
        self._body = _encode(_Lines(self._lines, len(self._lines), now + epoch))
        return self._body

    def _follow(self) -> None:
        """Do what the directory's copy has done."""
        changes = self._directory.changes_since(self._position)
        if changes is None or len(changes) > _MANY:
            self._arrange()
            return
        for change in changes:
            if change.kind == "updated":
                self._update(change.agent_id)
            else:
                self._leave(change.agent_id)
            if change.record is not None:
                self._enter(change.record)

    def _arrange(self) -> None:
        entries = [_entry(record) for record in self._directory.records()]
        self._entries = sorted(entries, key=_order)
        self._lines = [entry.line for entry in self._entries]
        self._known = {entry.record.agent_id: entry for entry in entries}

    def _enter(self, record: AgentMetadata) -> None:
        """After all that were registered before, and have started no earlier."""
        entry = _entry(record)
        place = bisect_right(self._entries, entry.order, key=_order)
        self._entries.insert(place, entry)
        self._lines.insert(place, entry.line)
        self._known[record.agent_id] = entry

    def _leave(self, agent_id: str) -> None:
        entry = self._known.pop(agent_id, None)
        if entry is not None:
            place = self._place(entry)
            del self._entries[place], self._lines[place]

    def _update(self, agent_id: str) -> None:
        old = self._known.get(agent_id)
        if old is not None:
            place, new = self._place(old), _entry(old.record)
            self._known[agent_id] = self._entries[place] = new
            self._lines[place] = new.line

    def _place(self, entry: _Entry) -> int:
        place = bisect_left(self._entries, entry.order, key=_order)
        while self._entries[place] is not entry:
            place += 1
        return place

    def _look_again(self, now: float) -> float:
        """Bring the heartbeats up to date; what to add to the directory's clock for the time of day."""
        epoch = time.time() - now
        for line, record, _ in self._entries:
            beat, lease = record.beat, record.lease
            heard, epoch = max(beat, lease.beat), lease.epoch
            line.last_heartbeat = heard + epoch
            line.heartbeat_age = now - heard if now > heard else 0.0
        return epoch


def _order(entry: _Entry) -> float:
    return entry.order


class _Head(msgspec.Struct, gc=False):
    id: str
    name: str
    cwd: str | None
    pid: int
    host: str
    started_at: float


class _Tail(msgspec.Struct, gc=False):
    status: str
    meta: dict[str, Any]


def _entry(record: AgentMetadata) -> _Entry:
    started = record.registered if record.created is None else record.created
    head = _Head(record.agent_id, record.name, record.cwd or None, record.pid, record.host, started)
    tail = _Tail(_SHOWN[record.status], dict(record.metadata))
    return _Entry(_Line(_behind_the_first_name(head), 0.0, 0.0, _behind_the_first_name(tail)), record, -started)


def _behind_the_first_name(part: _Head | _Tail) -> msgspec.Raw:
    return msgspec.Raw(_encode(part).partition(b":")[2][:-1])
