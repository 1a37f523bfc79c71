"""One connection to the file: transactions in turn with other processes, and what becomes of their errors."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from agentreg.extensions.coordination.errors import DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.sqlite.filelock import FileLock
from agentreg.extensions.coordination.sqlite.schema import Address, connect, is_busy, is_damage, set_aside

__all__ = ["Database"]


class Database:
    """A connection, made when it is needed and made anew when the file is another one by now.

    To be used by one thread at a time.

    Attributes:
        address: Where it is.
        lock: What processes take turns by.
    """

    def __init__(self, address: Address, clock: Callable[[], float]) -> None:
        self.address = address
        self.lock = FileLock(address.lock)
        self._clock = clock
        self._mutex = threading.Lock()  # held while SQLite is at work
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._checked: tuple[int, int] | None = None
        self._wal = False
        self._number = 0  # of the connection: each counts versions anew
        _all.add(self)

    @contextmanager
    def transaction(self, write: bool) -> Iterator[sqlite3.Connection]:
        """A transaction, committed at the end of the block unless it raises.

        Raises DirectoryUnavailableError, or DamagedStoreError after setting
        the file aside.
        """
        with self._as_ours(), self._in_turn(write), self._mutex:
            connection = self._current()
            with self._setting_aside():
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise

    def version(self) -> object:
        """Something that differs once another connection has changed the file; waits for nobody."""
        with self._mutex:
            if not self._is_current():
                return None
            assert self._connection is not None
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA busy_timeout = 0")
                try:
                    return self._number, self._connection.execute("PRAGMA data_version").fetchone()[0]
                finally:
                    self._connection.execute(f"PRAGMA busy_timeout = {self.address.timeout * 1000:.0f}")
            return self._number, None  # just being written: it will differ

    def stamp(self) -> object:
        """Something cheaper to ask for that differs, too, unless two changes follow at once; None: not known."""
        try:
            there = os.stat(f"{self.address.path}-wal" if self._wal else self.address.path)
        except OSError:
            return None
        return there.st_mtime_ns, there.st_size, there.st_ino

    def close(self) -> None:
        """Close the connection; the next transaction makes another."""
        with self._mutex:
            self._disconnect()
        self.lock.close()

    # -- taking turns -------------------------------------------------------

    @contextmanager
    def _in_turn(self, write: bool) -> Iterator[None]:
        try:
            self._take_turn(write)
            yield
        finally:
            self.lock.release()

    def _take_turn(self, write: bool) -> None:
        # a writer's commit waits for readers, and readers for it, unless there is a write-ahead log
        while True:
            current = self._is_current()
            if current and self._wal and not write:
                return
            if not current:
                os.makedirs(os.path.dirname(self.address.path), exist_ok=True)
            alone = write or not current
            self.lock.acquire(shared=not alone)
            if alone or self._is_current():
                return
            self.lock.release()

    # -- the connection -----------------------------------------------------

    def _current(self) -> sqlite3.Connection:
        if _torn and self.address.path in _torn:
            raise DirectoryUnavailableError(
                self.address.url, "this process was forked in the middle of a transaction, and can't use the file"
            )
        if self._connection is None or not self._is_current():
            self._disconnect()
            self._connect()
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        path = self.address.path
        try:
            whole = self._checked is None or self._checked != _identity(path)
            self._connection = connect(self.address, self._clock, whole)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            raise DamagedStoreError(path, set_aside(path), str(error)) from error
        self._number += 1
        self._file = self._checked = _identity(path)
        self._wal = self._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"

    def _is_current(self) -> bool:
        # others may have set the file aside, deleted it or put a backup in its place
        return self._connection is not None and self._file == _identity(self.address.path)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    # -- errors -------------------------------------------------------------

    @contextmanager
    def _setting_aside(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            ours = self._is_current()
            self._disconnect()
            if not ours:
                raise sqlite3.OperationalError("the file was replaced") from error
            path = self.address.path
            self.lock.acquire()  # shared so far, perhaps
            if _identity(path) != self._file:
                raise sqlite3.OperationalError("the file was replaced") from error
            raise DamagedStoreError(path, set_aside(path), str(error)) from error

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.InternalError) as error:
            with self._mutex:
                self._disconnect()
            if is_busy(error):
                reason = f"another program has been writing to it for {self.address.timeout:g} s"
            else:
                reason = str(error)
            raise DirectoryUnavailableError(self.address.url, reason) from error
        except DirectoryUnavailableError:  # an OSError itself
            raise
        except OSError as error:
            raise DirectoryUnavailableError(self.address.url, str(error)) from error


def _identity(path: str) -> tuple[int, int] | None:
    try:
        there = os.stat(path)
    except OSError:
        return None
    return there.st_dev, there.st_ino


# -- forks --------------------------------------------------------------------

_all: weakref.WeakSet[Database] = weakref.WeakSet()
_resting: list[Database] = []  # during a fork
_torn: set[str] = set()  # files of which this process has a connection that its parent was using at the fork
_abandoned: list[sqlite3.Connection | None] = []


def _before() -> None:
    # SQLite's notes on a file must not be inherited: between transactions, without connections, there are none
    for database in list(_all):
        if database._mutex.acquire(timeout=database.address.timeout):
            database._disconnect()
            _resting.append(database)


def _after_in_parent() -> None:
    while _resting:
        _resting.pop()._mutex.release()


def _after_in_child() -> None:
    for database in list(_all):
        if database not in _resting:
            _torn.add(database.address.path)
            _abandoned.append(database._connection)
            database._connection = None
        database._mutex = threading.Lock()
    _resting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
