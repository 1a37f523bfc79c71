"""The operations on the tables, each within a transaction that the caller opens and closes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentreg.extensions.coordination.backend import Beat, Delete, Patch, Put
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.record import (
    DEFAULTS,
    AgentMetadata,
    AgentStatus,
    from_wire,
    rest_from_wire,
    to_wire,
)
from agentreg.extensions.coordination.sqlite.rows import (
    INSERT,
    UPDATE,
    from_json,
    from_row,
    key,
    text_of,
    to_json,
    to_row,
)

__all__ = ["Entry", "Heard", "Item", "Line", "Reading", "Writing", "beat", "change", "prepared"]

AT_ONCE = 2_000  #: changes in one answer at most
_PATCHED = frozenset(("status", "capabilities", "created"))  # and the sparse fields; the others are a record's identity


@dataclass(slots=True)
class Entry:
    """A `Put` whose record has become a row and JSON already."""

    wire: dict[str, Any]
    row: tuple[Any, ...]
    json: str
    replaces: str | None
    reason: str


class Heard(NamedTuple):
    """A beat that is to be written: when it was heard on the store's clock, and in seconds since 1970."""

    runtime_id: str
    agent_id: str | None
    token: str
    at: float
    at_utc: float


Item = Entry | Patch | Delete
Line = tuple[Any, ...]


def prepared(item: Put | Patch | Delete) -> Item:
    """*item* as `Writing.do` takes it. Raises TypeError or ValueError for one that can't be kept."""
    if isinstance(item, Put):
        wire = to_wire(item.record)
        key(item.reason)
        return Entry(wire, to_row(wire), to_json(wire), item.replaces, item.reason)
    key(item.agent_id), key(item.token)
    if isinstance(item, Delete):
        key(item.reason)
    else:
        to_json(item.fields)
        rest_from_wire(item.fields)
        AgentStatus(item.fields.get("status", AgentStatus.ACTIVE))
    return item


class Reading:
    """One reading transaction: everything it says is of one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def meta(self, name: str) -> Any:
        """One of the values that are there once."""
        return self._execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()[0]

    def revision(self) -> int:
        """The last change's; 0 before the first."""
        return self._execute("SELECT max(revision) FROM log").fetchone()[0] or 0

    def _oldest(self) -> int:
        return self._execute("SELECT min(revision) FROM log").fetchone()[0] or 1

    def has(self, agent_id: str, token: str) -> bool:
        """Whether the registration *token* holds *agent_id*."""
        found = self._execute("SELECT 1 FROM records WHERE agent_id = ? AND token = ?", (key(agent_id), key(token)))
        return found.fetchone() is not None

    def rows(self, after: int, most: int) -> list[Line]:
        """The rows of the records that were registered after the change *after*, in order, *most* of them."""
        return self._execute("SELECT * FROM records WHERE seq > ? ORDER BY seq LIMIT ?", (after, most)).fetchall()

    def touched(self, since: int) -> list[str]:
        """The ids of all agents that were changed, came or left after *since*."""
        found = self._execute("SELECT DISTINCT agent_id FROM log WHERE revision > ?", (since,))
        return [text_of(agent_id) for (agent_id,) in found]

    def rows_touched(self, since: int) -> list[Line]:
        """The rows of those of them that are there."""
        return self._execute(
            "SELECT * FROM records WHERE agent_id IN (SELECT agent_id FROM log WHERE revision > ?)", (since,)
        ).fetchall()

    def reaches_back_to(self, since: int) -> bool:
        """Whether the log has all changes after *since*, and that has been."""
        return self._oldest() - 1 <= since <= self.revision()

    def log(self, since: int) -> list[Line]:
        """The log's lines after *since*, at most `AT_ONCE`."""
        return self._execute(
            "SELECT revision, kind, agent_id, runtime_id, token, reason, detail FROM log"
            " WHERE revision > ? ORDER BY revision LIMIT ?",
            (since, AT_ONCE),
        ).fetchall()

    def beats(self, mark: int) -> list[Line]:
        """The last beats of whoever has beaten since *mark*, for `beat`."""
        return self._execute(
            "SELECT runtime_id, agent_id, heard FROM beats WHERE number > ? ORDER BY number", (mark,)
        ).fetchall()

    def entered(self, first: int, last: int) -> list[Line]:
        """The registrations from the change *first* to *last* that still hold, for `beat`."""
        return self._execute(
            "SELECT runtime_id, agent_id, entered FROM records WHERE seq BETWEEN ? AND ?", (first, last)
        ).fetchall()


def beat(line: Line, now: float) -> Beat:
    """The beat of a line that `Reading` gave."""
    runtime_id, agent_id, heard = line
    return Beat(text_of(runtime_id), None if agent_id is None else text_of(agent_id), max(now - heard, 0.0))


def change(line: Line) -> Change:
    """The change of a line that `Reading.log` gave."""
    revision, kind, agent_id, runtime_id, token, reason, detail = line
    record = fields = None
    if kind == "registered":
        record = from_wire({**from_json(detail), "revision": revision})
    elif kind == "updated":
        fields = from_json(detail)
    why = None if reason is None else text_of(reason)
    return Change(revision, kind, text_of(agent_id), text_of(runtime_id), record, fields, why, text_of(token))


class Writing(Reading):
    """One writing transaction; `finish` belongs to its end.

    Attributes:
        last: The revision of the last change, those of this transaction included.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        super().__init__(connection)
        self._now = now
        self._many = connection.executemany
        self.last = self.revision()
        self._lines: list[tuple[Any, ...]] = []

    def do(self, item: Item) -> Any:
        """Carry out one item; its result is as the protocol says."""
        if isinstance(item, Entry):
            return self._put(item)
        if isinstance(item, Patch):
            return self._patch(item)
        return self._delete(item)

    def _put(self, item: Entry) -> AgentMetadata | None:
        row = item.row
        if not self._insert(row):
            holder = from_row(self._row(row[0]))
            if holder["token"] == item.wire["token"]:
                return None
            if item.replaces is None or holder["token"] != item.replaces:
                return from_wire(holder)
            self._drop(row[0], key(holder["runtime_id"]), key(holder["token"]), item.reason)
            self._insert(row)
        self._note("registered", *row[:3], None, item.json)
        return None

    def _insert(self, row: tuple[Any, ...]) -> bool:
        revision = self.last + 1
        return self._execute(INSERT, (revision, revision, *row, self._now)).rowcount == 1

    def _row(self, agent_id: str | bytes) -> tuple[Any, ...]:
        return self._execute("SELECT * FROM records WHERE agent_id = ?", (agent_id,)).fetchone()  # type: ignore[no-any-return]

    def _patch(self, item: Patch) -> bool:
        row = self._named_by(item)
        if row is None:
            return False
        wire = from_row(row)
        fields = {name: value for name, value in item.fields.items() if wire.get(name, DEFAULTS.get(name)) != value}
        if not fields:
            return True
        if "status" in fields:
            fields["old_status"] = wire["status"]
        self._note("updated", *row[2:5], None, to_json(fields))
        self._execute(UPDATE, (self.last, *to_row(_patched(wire, fields)), row[0]))
        return True

    def _delete(self, item: Delete) -> bool:
        row = self._named_by(item)
        if row is not None:
            self._drop(row[2], row[3], row[4], item.reason)
        return row is not None

    def _named_by(self, item: Patch | Delete) -> tuple[Any, ...] | None:
        row = self._row(key(item.agent_id))
        if row is None or text_of(row[4]) != item.token:
            return None
        if item.heard is not None and self._has_beaten(row[2], row[3], item.heard):
            return None
        return row

    def _has_beaten(self, agent_id: str | bytes, runtime_id: str | bytes, mark: int) -> bool:
        later = self._execute(
            "SELECT 1 FROM beats WHERE agent_id = ? AND number > ?"
            " UNION ALL SELECT 1 FROM beats WHERE agent_id IS NULL AND runtime_id = ? AND number > ?",
            (agent_id, mark, runtime_id, mark),
        )
        return later.fetchone() is not None

    def _drop(self, agent_id: str | bytes, runtime_id: str | bytes, token: str | bytes, reason: str) -> None:
        self._execute("DELETE FROM records WHERE agent_id = ?", (agent_id,))
        self._execute("DELETE FROM beats WHERE agent_id = ?", (agent_id,))
        if self._execute("SELECT 1 FROM records WHERE runtime_id = ?", (runtime_id,)).fetchone() is None:
            self._execute("DELETE FROM beats WHERE agent_id IS NULL AND runtime_id = ?", (runtime_id,))
        self._note("deregistered", agent_id, runtime_id, token, key(reason), None)

    def _note(self, kind: str, *rest: Any) -> None:
        self.last += 1
        self._lines.append((self.last, kind, *rest))

    def hear(self, beats: Iterable[Heard]) -> None:
        """Write *beats*, of agents and runtimes that are there."""
        number = mark = self.meta("mark")
        agents, runtimes = [], []
        for number, (runtime_id, agent_id, token, at, at_utc) in enumerate(beats, mark + 1):
            if agent_id is None:
                runtimes.append((number, key(runtime_id), at, at_utc, key(runtime_id)))
            else:
                agents.append((number, at, at_utc, key(agent_id), key(token)))
        self._many(
            "INSERT OR REPLACE INTO beats (number, runtime_id, agent_id, heard, heard_at)"
            " SELECT ?, runtime_id, agent_id, ?, ? FROM records WHERE agent_id = ? AND token = ?",
            agents,
        )
        self._many(
            "INSERT OR REPLACE INTO beats (number, runtime_id, heard, heard_at)"
            " SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM records WHERE runtime_id = ?)",
            runtimes,
        )
        self._execute("UPDATE meta SET value = ? WHERE key = 'mark'", (number,))

    def finish(self, history: int) -> None:
        """Write the log, and cut off what is older than *history* changes and a tenth."""
        if not self._lines:
            return
        self._many("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", self._lines)
        if self.last - self._oldest() + 1 > history + history // 10:
            self._execute("DELETE FROM log WHERE revision <= ?", (self.last - history,))


def _patched(wire: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in fields.items() if name in _PATCHED}
    known |= rest_from_wire(fields) or {}
    return to_wire(from_wire({**wire, **known}))
