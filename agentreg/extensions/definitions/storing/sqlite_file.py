"""A SQLite file of definitions: opening it, waiting for it, and setting it aside when it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TypeVar

from agentreg.extensions.definitions.errors import DamagedStoreError, StoreFormatError, StoreUnavailableError

__all__ = ["SCHEMA_VERSION", "SQLiteFile", "roll_back"]

T = TypeVar("T")

SCHEMA_VERSION = 1
_SCHEMA = (
    """CREATE TABLE entries (
        name TEXT PRIMARY KEY, token TEXT NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL,
        tags TEXT NOT NULL, removed INTEGER NOT NULL)""",
    """CREATE TABLE versions (
        name TEXT NOT NULL, number INTEGER NOT NULL, content TEXT NOT NULL, digest TEXT NOT NULL,
        created_at TEXT NOT NULL, change TEXT NOT NULL, restores INTEGER, fields TEXT NOT NULL, columns TEXT NOT NULL,
        PRIMARY KEY (name, number))""",
    """CREATE TRIGGER versions_never_change BEFORE UPDATE ON versions
        BEGIN SELECT RAISE(ABORT, 'a version never changes'); END""",
    "CREATE TABLE counter (revision INTEGER NOT NULL)",
    # from the microsecond it was made in: the revisions are not those of a file that was there before
    "INSERT INTO counter VALUES (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_PARTS = ("-wal", "-shm", "-journal", "")  # the main file last: a log without it would be taken for a new file's

_abandoned: list[sqlite3.Connection] = []  # of a parent process: closing one would take away the parent's locks


class SQLiteFile:
    """One file, and this process's connection to it.

    It has a rollback journal: with a write-ahead log, several processes
    could damage the file in SQLite before 3.51.3.

    Thread-safe: no, its user holds a lock.
    """

    def __init__(self, path: str, clock: Callable[[], datetime], patience: float) -> None:
        self._path = path
        self._clock = clock
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def __del__(self) -> None:
        self.close()

    def connection(self) -> sqlite3.Connection:
        """A connection to the file that is there now, with the tables in it."""
        if self._connection is None or self._identity != self._found():
            self.close()
            self._connection = self._opened()
            self._identity = self._found()
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Forget the connection of a parent process, without touching it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _abandoned.append(connection)

    def persistently(self, action: Callable[[], T]) -> T:
        """What *action* gives, tried again as long as the file is locked, until patience is at its end.

        SQLite waits by itself, but not where that could be for ever: when
        several processes open a file at once, or recover it.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() >= deadline:
                    raise
            threading.Event().wait(0.005)  # there is nothing that another process could notify

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of SQLite become `StoreUnavailableError`; a damaged file is set aside."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise self._set_aside(error) from error
            raise StoreUnavailableError(self._path, f"SQLite says: {error}", self._advice(error)) from error

    # -- opening ------------------------------------------------------------

    def _found(self) -> tuple[int, int] | None:
        if self._path == ":memory:":
            return None
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            return status.st_dev, status.st_ino
        return None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)

    def _opened(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self.persistently(lambda: self._prepare(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        _check_health(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE" if not self._has_schema(connection) else "BEGIN")
        try:
            if not self._has_schema(connection):  # another process may have been quicker
                for statement in _SCHEMA:
                    connection.execute(statement)
            connection.execute("COMMIT")
        except BaseException:
            roll_back(connection)
            raise

    def _has_schema(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables are there; anything else than ours, or nothing, is refused."""
        # in one statement, so that both are of one moment: somebody else may be making the tables now
        rows = connection.execute(
            "SELECT v.user_version, m.name FROM pragma_user_version AS v"
            " LEFT JOIN sqlite_master AS m ON m.type = 'table'"
        ).fetchall()
        version, tables = rows[0][0], {name for _, name in rows if name is not None}
        if version > SCHEMA_VERSION and {"entries", "versions"} <= tables:
            cause = f"its schema version is {version}, later than {SCHEMA_VERSION}, the latest that this agentreg reads"
            raise StoreFormatError(self._path, cause, "upgrade agentreg")
        if not tables and version == 0:
            return False
        if version != SCHEMA_VERSION or not {"entries", "versions", "counter"} <= tables:
            cause = f"this SQLite file holds something else (tables: {', '.join(sorted(tables)) or 'none'})"
            raise StoreFormatError(self._path, cause, "name another file for the definitions")
        return True

    def _advice(self, error: sqlite3.DatabaseError) -> str:
        if _is_locked(error):
            return f"another program has kept it locked for {self._patience:g} s: find and end that, then try again"
        folder = os.path.dirname(os.path.abspath(self._path))
        if not os.path.isdir(folder):
            return f"make the folder {folder} first"
        return "see that the file and its folder can be read and written, and that the disk has room"

    # -- setting aside ------------------------------------------------------

    def _set_aside(self, error: sqlite3.DatabaseError) -> StoreUnavailableError:
        """Give the damaged file a new name, unless another process has done so."""
        self.close()
        try:
            with self._mending():
                moved_to = self._move() if self._is_damaged() else None
        except (OSError, sqlite3.Error) as trouble:
            cause = f"the file is damaged ({error}) and can't be set aside ({trouble})"
            return DamagedStoreError(self._path, cause, "give it another name yourself, and take a copy from a backup")
        if moved_to is None:
            return DamagedStoreError(self._path, f"the file was damaged ({error}), and is mended", "try again")
        advice = "put a backup in its place, or begin anew: the next call makes an empty file"
        cause = f"the file is damaged ({error}) and was set aside as {moved_to}"
        return DamagedStoreError(self._path, cause, advice, moved_to)

    @contextlib.contextmanager
    def _mending(self) -> Iterator[None]:
        """Only one process at a time; SQLite's own lock on an empty file beside, which ends with its holder."""
        mutex = sqlite3.connect(f"{self._path}.lock", timeout=self._patience, isolation_level=None)
        try:
            mutex.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            mutex.close()

    def _is_damaged(self) -> bool:
        if self._found() is None:
            return False
        connection = self._connect()
        try:
            self.persistently(lambda: _check_health(connection))
            return False
        except sqlite3.DatabaseError as error:
            return _is_damage(error)
        finally:
            connection.close()

    def _move(self) -> str:
        moved_to = self._free_name()
        for suffix in _PARTS:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self._path + suffix, moved_to + suffix)
        return moved_to

    def _free_name(self) -> str:
        name = f"{self._path}.damaged-{self._clock().astimezone(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
        number = 1
        while os.path.lexists(name if number == 1 else f"{name}-{number}"):
            number += 1
        return name if number == 1 else f"{name}-{number}"


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if SQLite has not done so itself."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _check_health(connection: sqlite3.Connection) -> None:
    """Raise what SQLite raises for a damaged file if it finds anything wrong."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _is_locked(error: sqlite3.DatabaseError) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # of "not a database" and "malformed", and only of those, the class is the base
    return type(error) is sqlite3.DatabaseError
