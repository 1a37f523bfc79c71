"""The SQLite file: a connection of its own, short transactions, and what becomes of trouble."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from agentreg.extensions.monitoring.metrics.errors import MetricsStoreError
from agentreg.extensions.monitoring.metrics.spans import LEVELS

__all__ = ["MetricsFile"]

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS metrics_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO metrics_meta VALUES ('layout', 1), ('work', 0), ('names', 0)",
    # the agent '' is all agents together; an id is never used again
    "CREATE TABLE IF NOT EXISTS metrics_series (id INTEGER PRIMARY KEY AUTOINCREMENT, metric TEXT NOT NULL,"
    " agent TEXT NOT NULL, last INTEGER NOT NULL, UNIQUE (metric, agent))",
    # one row for a flush and an hour: head has all agents together, body each
    "CREATE TABLE IF NOT EXISTS metrics_raw (id INTEGER PRIMARY KEY AUTOINCREMENT, metric TEXT NOT NULL,"
    " hour INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS metrics_raw_hours ON metrics_raw (metric, hour)",
    # the key is the block's number and, in the last 32 bits, the series: what is written together lies together
    *(f"CREATE TABLE IF NOT EXISTS {level.table} (key INTEGER PRIMARY KEY, data BLOB NOT NULL)" for level in LEVELS),
)
LAYOUT = 1

_abandoned: list[sqlite3.Connection] = []  # of a parent process: closing one would take away the parent's locks


class MetricsFile:
    """One file, and this process's connection to it. To be used by one thread at a time.

    Where the file held other tables when it was opened first, it belongs to
    somebody else. If it is replaced then, the tables of the metrics are made
    in the new one, but only once its owner has made it.

    Attributes:
        path: Where it is, or ``":memory:"``.
        opened: How often it was opened: what is known of one file means nothing in the next.
    """

    def __init__(self, path: str, patience: float) -> None:
        self.path = path
        self.opened = 0
        self._patience = patience
        self._guest = False
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._process = os.getpid()

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def transaction(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction, committed at the end of the block unless it raises. Raises MetricsStoreError."""
        try:
            connection = self._current()
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise MetricsStoreError(self.path, f"SQLite says: {error}", self._advice(error)) from error

    def size(self) -> int:
        """How many bytes the whole file has, other tables included. Raises MetricsStoreError."""
        with self.transaction() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            return int(pages * connection.execute("PRAGMA page_size").fetchone()[0])

    def close(self) -> None:
        """Close the connection, if there is one; the next transaction makes another."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._process == os.getpid():
            connection.close()
        else:
            _abandoned.append(connection)

    def _current(self) -> sqlite3.Connection:
        if self._connection is not None and (self._process != os.getpid() or self._identity != self._found()):
            self.close()
        if self._connection is None:
            self._process = os.getpid()
            self._connection = self._connect()
            self._identity = self._found()
            self.opened += 1
        return self._connection

    def _found(self) -> tuple[int, int] | None:
        if self.path == ":memory:":
            return None
        with suppress(OSError):
            status = os.stat(self.path)
            return status.st_dev, status.st_ino
        return None

    def _connect(self) -> sqlite3.Connection:
        if self._guest and self._found() is None:
            raise self._no_host()
        connection = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            self._lay_out(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lay_out(self, connection: sqlite3.Connection) -> None:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        others = {name for name in tables if not name.startswith(("metrics_", "sqlite_"))}
        if self._guest and not others:
            raise self._no_host()
        self._guest = bool(others)
        if not {level.table for level in LEVELS} <= tables:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        layout = connection.execute("SELECT value FROM metrics_meta WHERE key = 'layout'").fetchone()[0]
        if layout != LAYOUT:
            cause = f"its metrics are laid out as version {layout}, and this agentreg knows version {LAYOUT}"
            raise MetricsStoreError(self.path, cause, "use the agentreg that wrote it, or another file")

    def _no_host(self) -> MetricsStoreError:
        cause = "the file was taken away, and whose it is has not made a new one"
        return MetricsStoreError(self.path, cause, "it is tried again at the next flush")

    def _advice(self, error: sqlite3.Error) -> str:
        if "locked" in str(error):
            return f"another program has kept it locked for {self._patience:g} s: find and end that, then try again"
        if "malformed" in str(error) or "not a database" in str(error):
            return "move the damaged file away: an empty one is made at the next flush"
        folder = os.path.dirname(os.path.abspath(self.path))
        if not os.path.isdir(folder):
            return f"make the folder {folder} first"
        return "see that the file and its folder can be read and written, and that the disk has room"
