"""Decisions in a SQLite file that several processes share."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentreg.extensions.resources.conflicts.decisions import Decision
from agentreg.extensions.resources.conflicts.errors import DecisionLogError

__all__ = ["DecisionFile"]

PATIENCE = 5.0  # seconds that one process waits for another's writing
_MARK = 0x61677264  # the file's application_id: "agrd"
_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, data TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS names (
    name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (name, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_by_number ON names (number);
"""


_files: weakref.WeakSet[DecisionFile] = weakref.WeakSet()


class DecisionFile:
    """The last *limit* decisions in the file at *path*.

    Thread-safe: yes, by a lock. A forked child opens the file anew.

    Raises:
        DecisionLogError: the file can't be opened, or is something else.
    """

    def __init__(self, path: str | os.PathLike[str], limit: int, read_only: bool = False) -> None:
        self.path = os.fspath(path)
        self._limit = limit
        self._read_only = read_only
        self._lock = threading.RLock()
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._pid = 0
        _files.add(self)
        with self._open():
            pass

    def add(self, decision: Decision) -> None:
        """Write it, and remove the oldest where there are too many; both or neither."""
        data = json.dumps(decision.to_dict(), ensure_ascii=True)
        with self._open() as connection:
            if self._read_only:
                raise DecisionLogError(self.path, "opened for reading only; open it without read_only=True to write")
            connection.execute("BEGIN IMMEDIATE")
            sql = "INSERT INTO decisions (subject, data) VALUES (?, ?)"
            number = connection.execute(sql, (decision.subject, data)).lastrowid or 0
            names = {decision.subject, *decision.names}
            connection.executemany("INSERT INTO names VALUES (?, ?)", [(name, number) for name in sorted(names)])
            for table in ("decisions", "names"):
                connection.execute(f"DELETE FROM {table} WHERE number <= ?", (number - self._limit,))
            connection.execute("COMMIT")

    def find(self, name: str | None) -> list[Decision]:
        """Those about *name*, or all, the oldest first."""
        where = "" if name is None else " JOIN names USING (number) WHERE name = :name"
        with self._open() as connection:
            query = f"SELECT data FROM decisions{where} ORDER BY number"
            rows = connection.execute(query, {"name": name}).fetchall()
            return [Decision.from_dict(json.loads(data)) for (data,) in rows]

    def close(self) -> None:
        """Close the file; it can't be used any more."""
        with self._lock:
            self._closed = True
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
                self._connection = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._current()
            except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
                raise DecisionLogError(self.path, _reason(error)) from error
            finally:
                if self._connection is not None and self._connection.in_transaction:
                    self._connection.rollback()

    def _current(self) -> sqlite3.Connection:
        if self._closed:
            raise DecisionLogError(self.path, "the log was closed; open another one")
        if self._connection is None or self._pid != os.getpid():
            self._inherited = self._connection  # closing the parent's in a child would meddle with its locks
            self._connection, self._pid = self._connect(), os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._read_only and not Path(self.path).is_file():
            raise DecisionLogError(self.path, "there is no such file; nothing was decided yet, or it is kept elsewhere")
        place = f"{Path(self.path).absolute().as_uri()}?mode={'ro' if self._read_only else 'rwc'}"
        connection = sqlite3.connect(place, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=True)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # in this order: another process may be making the tables, in one step with the mark
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        if mark != _MARK and (tables or self._read_only):
            raise DecisionLogError(self.path, "is a database of something else; give the path of another file")
        if not self._read_only:
            with suppress(sqlite3.OperationalError):  # another process is setting it, for good
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(f"BEGIN IMMEDIATE; PRAGMA application_id = {_MARK}; {_TABLES} COMMIT;")

    def unlock(self) -> None:
        """Have a lock of its own in a forked child, where no other thread is."""
        self._lock = threading.RLock()


def _reason(error: Exception) -> str:
    if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
        return "is no SQLite database; give the path of another file, or remove it"
    return f"can't be used ({type(error).__name__}: {error}); see whether the folder exists and may be written to"


def _unlock_all() -> None:
    for file in list(_files):
        file.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_all)
