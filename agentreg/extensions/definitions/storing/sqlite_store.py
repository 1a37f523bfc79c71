"""Stored definitions in a SQLite file."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from agentreg.extensions.definitions.errors import StoreUnavailableError
from agentreg.extensions.definitions.storing.backends import Entry, Version
from agentreg.extensions.definitions.storing.sqlite_file import SQLiteFile, roll_back

__all__ = ["SQLiteBackend"]

_ENTRY = "name, token, version, status, tags, removed"
_VERSION = "number, content, digest, created_at, change, restores, fields, columns"
_COLUMNS = ", ".join(
    [*(f"e.{column}" for column in _ENTRY.split(", ")), *(f"v.{column}" for column in _VERSION.split(", "))]
)
_JOINED = f"SELECT {_COLUMNS} FROM entries e JOIN versions v ON v.name = e.name"
_LARGEST = (1 << 63) - 1  # that SQLite can compare with
_open_backends: weakref.WeakSet[SQLiteBackend] = weakref.WeakSet()


class SQLiteBackend:
    """A `Backend` in a SQLite file, made at its first use; several processes may have it open.

    What a call has written stays, whatever happens to the process; it is
    synced to the disk. Whoever finds the file locked waits, *patience*
    seconds at most, then raises `StoreUnavailableError`. A file that turns
    out to be damaged is set aside with `DamagedStoreError`, and the next call
    begins a new one.

    Thread-safe: yes. Threads take turns; a forked child opens the file anew.
    """

    remote = False

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], datetime], patience: float = 30.0) -> None:
        self.url = os.fspath(path)
        self._file = SQLiteFile(self.url, clock, patience)
        self._lock = threading.RLock()
        _open_backends.add(self)

    def revision(self) -> int:
        """As `Backend.revision`."""
        with self._reading() as cursor:
            return _revision(cursor)

    def read(self, name: str, number: int | None = None) -> tuple[Entry, Version] | None:
        """As `Backend.read`."""
        if number is not None and number > _LARGEST:
            return None
        with self._reading() as cursor:
            which = "e.version" if number is None else "?"
            values = (name,) if number is None else (name, number)
            row = cursor.execute(f"{_JOINED} AND v.number = {which} WHERE e.name = ?", values[::-1]).fetchone()
        return _pair(row) if row else None

    def history(self, name: str) -> tuple[Entry, Sequence[Version]] | None:
        """As `Backend.history`."""
        with self._reading() as cursor:
            rows = cursor.execute(f"{_JOINED} WHERE e.name = ? ORDER BY v.number", (name,)).fetchall()
        pairs = [_pair(row) for row in rows]
        return (pairs[0][0], [version for _, version in pairs]) if pairs else None

    def current(self) -> tuple[int, list[tuple[Entry, Version]]]:
        """As `Backend.current`."""
        with self._reading() as cursor:
            revision = _revision(cursor)
            rows = cursor.execute(f"{_JOINED} AND v.number = e.version WHERE NOT e.removed").fetchall()
        return revision, [_pair(row) for row in rows]

    def commit(self, entry: Entry, expected: str | None, version: Version | None = None) -> bool:
        """As `Backend.commit`."""
        with self._writing() as cursor:
            token = _token(cursor, entry.name)
            if token == entry.token:
                return True
            if token != expected:
                return False
            values = (entry.name, entry.token, entry.version, entry.status, json.dumps(entry.tags), entry.removed)
            cursor.execute(f"INSERT OR REPLACE INTO entries ({_ENTRY}) VALUES (?, ?, ?, ?, ?, ?)", values)
            if version is not None:
                _add_version(cursor, entry.name, version)
            _count(cursor)
            return True

    def forget(self, name: str, expected: str) -> bool:
        """As `Backend.forget`."""
        with self._writing() as cursor:
            token = _token(cursor, name)
            if token == expected:
                cursor.execute("DELETE FROM versions WHERE name = ?", (name,))
                cursor.execute("DELETE FROM entries WHERE name = ?", (name,))
                _count(cursor)
            return token in (None, expected)

    def close(self) -> None:
        """As `Backend.close`."""
        with self._lock:
            self._file.close()

    def after_fork(self) -> None:
        """Leave the parent's connection alone: SQLite's may not cross a fork."""
        self._lock = threading.RLock()
        self._file.abandon()

    # -- transactions -------------------------------------------------------

    def _reading(self) -> contextlib.AbstractContextManager[sqlite3.Cursor]:
        return self._transaction("BEGIN")

    def _writing(self) -> contextlib.AbstractContextManager[sqlite3.Cursor]:
        # the lock is taken at once: a reader that turns into a writer could be refused half-way
        return self._transaction("BEGIN IMMEDIATE")

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Cursor]:
        with self._lock, self._file.explained():
            connection = self._file.connection()
            if connection.in_transaction:
                raise StoreUnavailableError(
                    self.url, "a call came from inside another one, from a finalizer or signal handler", "call it later"
                )
            cursor = connection.cursor()
            try:
                self._file.persistently(lambda: cursor.execute(begin))
                yield cursor
                self._file.persistently(lambda: cursor.execute("COMMIT"))
            except BaseException:
                roll_back(connection)
                raise
            finally:
                cursor.close()


def _revision(cursor: sqlite3.Cursor) -> int:
    return int(cursor.execute("SELECT revision FROM counter").fetchone()[0])


def _count(cursor: sqlite3.Cursor) -> None:
    cursor.execute("UPDATE counter SET revision = revision + 1")


def _token(cursor: sqlite3.Cursor, name: str) -> str | None:
    row = cursor.execute("SELECT token FROM entries WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def _add_version(cursor: sqlite3.Cursor, name: str, version: Version) -> None:
    values = (
        name,
        version.number,
        version.content,
        version.digest,
        version.created_at,
        version.change,
        version.restores,
        json.dumps(version.fields),
        json.dumps(version.columns),
    )
    cursor.execute(f"INSERT INTO versions (name, {_VERSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _pair(row: Sequence[Any]) -> tuple[Entry, Version]:
    name, token, latest, status, tags, removed, *rest = row
    *plain, fields, columns = rest
    entry = Entry(name, token, latest, status, tuple(json.loads(tags)), bool(removed))
    number, content, digest, created_at, change, restores = plain
    fields, columns = json.loads(fields), json.loads(columns)
    return entry, Version(number, content, digest, created_at, change, restores, fields, columns)


def _after_fork_in_child() -> None:
    for backend in list(_open_backends):
        backend.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
