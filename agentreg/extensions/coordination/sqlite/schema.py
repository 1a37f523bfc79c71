"""The file: how it is addressed, laid out, opened, checked, and set aside when it is damaged."""

from __future__ import annotations

import math
import os
import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from agentreg.extensions.coordination.errors import BackendURLError, ForeignStoreError
from agentreg.extensions.coordination.processes import boot
from agentreg.extensions.coordination.sqlite.rows import COLUMNS

__all__ = ["Address", "connect", "is_busy", "is_damage", "set_aside", "wal_is_safe"]

APPLICATION_ID = 0x41475247  #: "AGRG"; the first thing that `file` and others look for
VERSION = 1
CHECKED_WHOLE = 16 << 20  #: bytes; a larger file is looked at in a few places only
FORMS = ("sqlite:///relative/path.db", "sqlite:////absolute/path.db", "sqlite:///path.db?timeout=5&history=100000")


@dataclass(frozen=True)
class Address:
    """What a URL says.

    Attributes:
        url: As it came.
        path: The file, absolute.
        timeout: Seconds after which a call gives up.
        history: How many changes the log keeps at least.
        flush: Seconds that a beat waits at most until it is written.
        look: Seconds between two looks whether others have changed the file.
    """

    url: str
    path: str
    timeout: float = 5.0
    history: int = 100_000
    flush: float = 0.1
    look: float = 0.02

    @classmethod
    def of(cls, url: str) -> Address:
        """The address *url*. Raises BackendURLError.

        >>> Address.of("sqlite:////var/lib/agents.db?timeout=2").timeout
        2.0
        """
        rest, _, query = url.partition("?")
        path = rest.removeprefix("sqlite:///")
        if path == rest:
            raise BackendURLError(url, "expected three slashes, or four before an absolute path", FORMS)
        if path in ("", ":memory:"):
            raise BackendURLError(url, "expected the path of a file (memory:// is the store in memory)", FORMS)
        if "\0" in path or path.endswith("/"):
            raise BackendURLError(url, "that is no path of a file", FORMS)
        return cls(url, os.path.abspath(path), **_options(url, query))

    @property
    def lock(self) -> str:
        """The lock file's path."""
        return f"{self.path}-lock"


def _options(url: str, query: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise BackendURLError(url, "expected name=value pairs after the question mark", FORMS) from None
    options: dict[str, Any] = {}
    for name, text in pairs:
        if name not in _KINDS or name in options:
            what = "is there twice" if name in options else "is no option"
            raise BackendURLError(url, f"{name!r} {what}; there are {', '.join(_KINDS)}", FORMS)
        options[name] = _number(url, name, text)
    return options


_KINDS: dict[str, type] = {"timeout": float, "history": int, "flush": float, "look": float}


def _number(url: str, name: str, text: str) -> float:
    kind = _KINDS[name]
    try:
        value: float = kind(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:
        expected = "a whole number from 1 up" if kind is int else "a number of seconds above 0"
        raise BackendURLError(url, f"{name}: expected {expected}, got {text!r}", FORMS)
    return value


_HEARD = (
    "max(registered_at,"
    " coalesce((SELECT heard_at FROM beats WHERE beats.agent_id = records.agent_id), registered_at),"
    " coalesce((SELECT heard_at FROM beats WHERE beats.agent_id IS NULL AND beats.runtime_id = records.runtime_id),"
    "  registered_at))"
)


_MODIFIED = "coalesce(json_extract(rest, '$.modified'), registered_at)"


def _utc(seconds: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {seconds}, 'unixepoch')"


# For others: times as ISO 8601 in UTC, one status out of health and work, defaults filled in.
_VIEW = (
    "CREATE VIEW agents AS SELECT agent_id, coalesce(name, agent_id) AS name, runtime_id, token, host, pid,"
    " process_start, boot_id, cwd, version, file_path, endpoint, capabilities,"
    " CASE status WHEN 'unhealthy' THEN 'error' WHEN 'offline' THEN 'offline'"
    "  ELSE coalesce(work_state, 'active') END AS status, status AS health,"
    " coalesce(work_state, 'active') AS work_state,"
    f" {_utc('coalesce(created_at, registered_at)')} AS created_at, {_utc('registered_at')} AS registered_at,"
    f" {_utc(_HEARD)} AS last_heartbeat,"
    f" {_utc(_MODIFIED)} AS last_modified,"
    f" {_utc('coalesce(last_activity, registered_at)')} AS last_activity, revision,"
    " coalesce(config, '{}') AS config, coalesce(resources, '{}') AS resources,"
    " coalesce(performance, '{}') AS performance, coalesce(relationships, '{}') AS relationships,"
    " coalesce(metadata, '{}') AS metadata, rest FROM records"
)

_LAYOUT = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    f"CREATE TABLE records ({', '.join(f'{name} {kind}'.strip() for name, kind in COLUMNS.items())})",
    "CREATE INDEX records_of_a_runtime ON records (runtime_id)",
    # a later beat is a new row: what is new since a number is the end of the table
    "CREATE TABLE beats (number INTEGER PRIMARY KEY, runtime_id TEXT NOT NULL, agent_id TEXT,"
    " heard REAL NOT NULL, heard_at REAL NOT NULL)",
    "CREATE UNIQUE INDEX beats_of_agents ON beats (agent_id) WHERE agent_id IS NOT NULL",
    "CREATE UNIQUE INDEX beats_of_runtimes ON beats (runtime_id) WHERE agent_id IS NULL",
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, kind TEXT NOT NULL, agent_id TEXT NOT NULL,"
    " runtime_id TEXT NOT NULL, token TEXT NOT NULL, reason TEXT, detail TEXT)",
    _VIEW,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


_TABLES = ("meta", "records", "beats", "log")
#: Which store this is; the last beat's number; the machine's boot; "rollback" if no write-ahead log may be used.
_META = {"store": "", "mark": 0, "boot": "", "journal": ""}


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this version of SQLite has the fix for the write-ahead log that a reset at a bad moment corrupted.

    >>> wal_is_safe((3, 51, 2)), wal_is_safe((3, 50, 7)), wal_is_safe((3, 52, 0))
    (False, True, True)
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def connect(address: Address, clock: Callable[[], float], whole: bool) -> sqlite3.Connection:
    """A connection to the file, which is made if there is none; with *whole*, after a look at all of it.

    Call it while nobody else uses the file. Raises ForeignStoreError, or
    what sqlite3 raises.
    """
    os.makedirs(os.path.dirname(address.path), exist_ok=True)
    connection = sqlite3.connect(
        address.path, timeout=address.timeout, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # else macOS leaves it in the drive's memory
        if _is_new(connection, address.path):
            _lay_out(connection)
        elif whole:
            _check(connection, os.path.getsize(address.path))
            _renew_view(connection)
        _choose_journal(connection)
        _notice_reboot(connection, clock)
    except BaseException:
        connection.close()
        raise
    return connection


# what other parts of agentreg keep in the same file
_FOREIGN = (
    "SELECT count(*) FROM sqlite_master WHERE tbl_name NOT LIKE 'metrics\\_%' ESCAPE '\\'"
    " AND tbl_name NOT LIKE 'alerts\\_%' ESCAPE '\\' AND tbl_name <> 'sqlite_sequence'"
)


def _is_new(connection: sqlite3.Connection, path: str) -> bool:
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute(_FOREIGN).fetchone()[0]
    if application == APPLICATION_ID and version > VERSION:
        reason = f"its layout is version {version}, and this agentreg knows none above {VERSION}"
        raise ForeignStoreError(path, reason, "upgrade agentreg, or choose another file")
    if application == APPLICATION_ID and version >= 1:
        return False
    if application or version or tables:
        raise ForeignStoreError(path, "it is some other program's database", "choose another file")
    return True


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _lay_out(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _LAYOUT:
        connection.execute(statement)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", {**_META, "store": uuid.uuid4().hex}.items())
    connection.execute("COMMIT")


def _renew_view(connection: sqlite3.Connection) -> None:
    """Give a file that an earlier version has made today's view."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'agents'").fetchone()
    if found != (_VIEW,):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DROP VIEW IF EXISTS agents")
        connection.execute(_VIEW)
        connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, size: int) -> None:
    if size <= CHECKED_WHOLE:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {' '.join(found.split())}")
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not {*_TABLES} <= there or connection.execute("SELECT count(*) FROM meta").fetchone()[0] < len(_META):
        raise sqlite3.DatabaseError("malformed: a table or what should be in it is missing")
    for table in _TABLES:
        for order in ("", " DESC"):
            connection.execute(f"SELECT * FROM {table} ORDER BY 1{order} LIMIT 1").fetchone()


def _choose_journal(connection: sqlite3.Connection) -> None:
    """The write-ahead log, unless a library without its fix uses this file, or once did."""
    if wal_is_safe(sqlite3.sqlite_version_info):
        forbidden = connection.execute("SELECT value FROM meta WHERE key = 'journal'").fetchone()[0]
        mode = "TRUNCATE" if forbidden else "WAL"
    else:
        connection.execute("UPDATE meta SET value = 'rollback' WHERE key = 'journal' AND value != 'rollback'")
        mode = "TRUNCATE"
    try:
        connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    except sqlite3.OperationalError as error:
        if not is_busy(error):  # else others have it open in the other mode, which then holds for us, too
            raise


def _notice_reboot(connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
    """After a restart of the machine its clock begins anew: what was heard before counts as heard now."""
    machine = boot().partition("/")[0]
    if connection.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()[0] != machine:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE beats SET heard = ?", (clock(),))
        connection.execute("UPDATE records SET entered = ?", (clock(),))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'boot'", (machine,))
        connection.execute("COMMIT")


def is_busy(error: BaseException) -> bool:
    """Whether somebody else held the file, and no more."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def is_damage(error: BaseException) -> bool:
    """Whether *error* says that the file itself is not as it should be."""
    if type(error) is not sqlite3.DatabaseError:  # the others are about space, rights, and values
        return False
    return any(word in str(error) for word in ("malformed", "not a database", "corrupt"))


def set_aside(path: str) -> str:
    """Give the file, and what belongs to it, a name with the time; where it is now. Nobody may have it open."""
    stem = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside, number = stem, 1
    while os.path.exists(aside):
        number += 1
        aside = f"{stem}-{number}"
    for suffix in ("-journal", "-wal", "-shm", ""):
        if os.path.exists(path + suffix):
            os.rename(path + suffix, aside + suffix)
    return aside
