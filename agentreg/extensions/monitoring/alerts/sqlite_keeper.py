"""States of alerts in a SQLite file, which others may use for tables of their own."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, TypeVar

from agentreg.extensions.monitoring.alerts.errors import KeeperError
from agentreg.extensions.monitoring.alerts.events import AlertEvent
from agentreg.extensions.monitoring.alerts.keeping import Changes, Kept, KeptAlert
from agentreg.extensions.monitoring.alerts.silences import Silence
from agentreg.extensions.monitoring.alerts.tracking import Acknowledgement

__all__ = ["SCHEMA_VERSION", "SqliteKeeper"]

T = TypeVar("T")

SCHEMA_VERSION = 1
_TABLES = (
    "CREATE TABLE IF NOT EXISTS alerts_meta (key TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS alerts_active (
        rule TEXT NOT NULL, agent TEXT NOT NULL, since REAL NOT NULL, fired_at REAL, told_at REAL,
        acknowledged_by TEXT, acknowledged_at REAL, note TEXT, PRIMARY KEY (rule, agent)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS alerts_silences (
        id TEXT PRIMARY KEY, rule TEXT NOT NULL, agent TEXT NOT NULL, until REAL NOT NULL,
        made_by TEXT NOT NULL, why TEXT NOT NULL, made_at REAL NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS alerts_history (number INTEGER PRIMARY KEY, event TEXT NOT NULL)",
    f"INSERT OR IGNORE INTO alerts_meta VALUES ('schema', {SCHEMA_VERSION})",
)


class SqliteKeeper:
    """Keeps alerts in the SQLite file *path*, in tables that begin with ``alerts_``.

    Each saving is one short transaction on a connection of its own, so that
    nothing is held in between, over a fork for one. Other tables of the
    file, and its journal mode, are left as they are. Two programs that
    evaluate the same rules need a file each.

    Thread-safe: yes; several processes may use the file.

    Args:
        path: The file; made when it is missing, its folder isn't.
        history: How many events are kept.
        patience: Seconds to wait for others who write.

    Raises KeeperError, from every method.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     keeper = SqliteKeeper(os.path.join(folder, "monitoring.db"))
        ...     keeper.save(Changes(alerts=[KeptAlert("high_memory", "planner", since=0.0)]))
        ...     [alert.agent for alert in keeper.load(history=10).alerts]
        ['planner']
    """

    def __init__(self, path: str | os.PathLike[str], history: int = 10_000, patience: float = 5.0) -> None:
        if history < 0:
            raise ValueError(f"history: expected 0 or more events, got {history!r}")
        self._path = os.fspath(path)
        self._history = history
        self._patience = patience

    def load(self, history: int) -> Kept:
        """Everything, with the latest *history* events."""
        return self._transaction(lambda connection: _load(connection, history))

    def save(self, changes: Changes) -> None:
        """Keep *changes*, all of them or none."""
        self._transaction(lambda connection: self._save(connection, changes))

    def _save(self, connection: sqlite3.Connection, changes: Changes) -> None:
        connection.executemany("DELETE FROM alerts_active WHERE rule = ? AND agent = ?", changes.gone)
        rows = [_alert_row(alert) for alert in changes.alerts]
        connection.executemany("INSERT OR REPLACE INTO alerts_active VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        silences = [_silence_row(silence) for silence in changes.silences]
        connection.executemany("INSERT OR REPLACE INTO alerts_silences VALUES (?, ?, ?, ?, ?, ?, ?)", silences)
        connection.executemany("DELETE FROM alerts_silences WHERE id = ?", [(each,) for each in changes.ended])
        events = [(json.dumps(asdict(event)),) for event in changes.events]
        connection.executemany("INSERT INTO alerts_history (event) VALUES (?)", events)
        connection.execute(
            "DELETE FROM alerts_history WHERE number <= (SELECT max(number) FROM alerts_history) - ?", (self._history,)
        )
        connection.execute("INSERT OR REPLACE INTO alerts_meta VALUES ('saved_at', ?)", (changes.at,))

    # -- the file -----------------------------------------------------------

    def _transaction(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with self._explained(), contextlib.closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _prepare(connection, self._path)
                result = action(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=self._patience, isolation_level=None)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise KeeperError(self._path, f"SQLite says: {error}", self._advice(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise KeeperError(self._path, f"a row can't be read: {error}", "delete the tables alerts_*") from error

    def _advice(self, error: sqlite3.DatabaseError) -> str:
        if "locked" in str(error) or "busy" in str(error):
            return f"another program has kept it locked for {self._patience:g} s: find and end that, then try again"
        if type(error) is sqlite3.DatabaseError:  # of damage, the class is the base
            return "the file is damaged, or none of SQLite's: put a backup in its place, or name another file"
        folder = os.path.dirname(os.path.abspath(self._path))
        if not os.path.isdir(folder):
            return f"make the folder {folder} first"
        return "see that the file and its folder can be read and written, and that the disk has room"


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alerts_meta'").fetchone()
    if known is None:
        for statement in _TABLES:
            connection.execute(statement)
        return
    version = connection.execute("SELECT value FROM alerts_meta WHERE key = 'schema'").fetchone()
    if version is None or version[0] != SCHEMA_VERSION:
        cause = f"its alerts have the schema {version and int(version[0])}, and this agentreg reads {SCHEMA_VERSION}"
        raise KeeperError(path, cause, "upgrade agentreg, or name another file")


def _load(connection: sqlite3.Connection, history: int) -> Kept:
    alerts = [_alert(row) for row in connection.execute("SELECT * FROM alerts_active")]
    rows = connection.execute("SELECT * FROM alerts_silences ORDER BY made_at, id")
    silences = [Silence(*row) for row in rows]
    latest = connection.execute("SELECT event FROM alerts_history ORDER BY number DESC LIMIT ?", (history,))
    events = [AlertEvent(**json.loads(row[0])) for row in latest][::-1]
    saved = connection.execute("SELECT value FROM alerts_meta WHERE key = 'saved_at'").fetchone()
    return Kept(alerts, silences, events, saved[0] if saved else 0.0)


def _alert_row(alert: KeptAlert) -> tuple[Any, ...]:
    seen = alert.acknowledged
    seen_as = (seen.by, seen.at, seen.note) if seen else (None, None, None)
    return alert.rule, alert.agent, alert.since, alert.fired_at, alert.told_at, *seen_as


def _alert(row: tuple[Any, ...]) -> KeptAlert:
    rule, agent, since, fired_at, told_at, by, at, note = row
    return KeptAlert(rule, agent, since, fired_at, told_at, None if by is None else Acknowledgement(by, at, note))


def _silence_row(silence: Silence) -> tuple[Any, ...]:
    return silence.id, silence.rule, silence.agent, silence.until, silence.by, silence.why, silence.made_at
