"""Taking over the database of the original service, from before agentreg."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.coordination.backend import Put
from agentreg.extensions.coordination.processes import Process, find_process
from agentreg.extensions.coordination.record import from_wire
from agentreg.extensions.coordination.sqlite import SQLiteBackend
from agentreg.extensions.service.minding import is_local
from agentreg.extensions.service.roster import RUNTIME, new_id, new_token

__all__ = ["is_original", "migrate"]

_COLUMNS = {"id", "name", "cwd", "pid", "host", "started_at", "last_heartbeat", "status", "meta"}
_STATUSES = {"stale": "unhealthy", "stopped": "offline"}


def is_original(path: Path) -> bool:
    """Whether *path* is a database of the original service, and not one of agentreg's or of somebody else's."""
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(path)) as connection:
            ours = connection.execute("PRAGMA application_id").fetchone()[0]
            table = connection.execute("SELECT type FROM sqlite_master WHERE name = 'agents'").fetchone()
            columns = {row[1] for row in connection.execute("PRAGMA table_info(agents)")}
    except sqlite3.DatabaseError:
        return False
    return not ours and table == ("table",) and columns >= _COLUMNS


async def migrate(path: Path) -> Path:
    """Put a database of agentreg's, with the same agents, in the place of the original at *path*.

    The original is kept beside it, whole; where, is the result. The new one
    takes its place in one step: whatever happens on the way, one of the two
    is there.
    """
    rows = _rows(path)
    new = path.with_name(f"{path.name}.new")
    _remove(new)
    await _write(new, rows)
    kept = _free_name(path.with_name(f"{path.name}.original"))
    try:
        os.link(path, kept)
    except OSError:  # a file system without links
        shutil.copy2(path, kept)
    os.replace(new, path)
    _remove(new)
    return kept


def _rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM agents ORDER BY started_at")]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")  # what is kept is one file
    return rows


class _Past:
    """A clock that shows when something was heard."""

    def __init__(self) -> None:
        self.age = 0.0

    def __call__(self) -> float:
        return time.monotonic() - self.age


async def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    past = _Past()
    store = SQLiteBackend(f"sqlite:///{path}", past)
    await store.open()
    try:
        for second, group in groupby(sorted(rows, key=_heard), key=lambda row: int(_heard(row))):
            past.age = max(time.time() - second, 0.0)
            await store.put([Put(_record(row)) for row in group])
    finally:
        await store.close()


def _heard(row: Mapping[str, Any]) -> float:
    return _seconds(row["last_heartbeat"]) or _seconds(row["started_at"]) or 0.0


def _record(row: Mapping[str, Any]) -> AgentMetadata:
    status = _STATUSES.get(str(row["status"]), "active")
    started = _seconds(row["started_at"]) or time.time()
    wire: dict[str, Any] = {
        "agent_id": str(row["id"] or new_id()),
        "runtime_id": RUNTIME,
        "token": new_token(),
        "status": status,
        "created": started,
        "registered": started,
        "worked": _heard(row) or started,
        "name": str(row["name"] or "agent"),
        "metadata": _meta(row["meta"]),
        "lapsed_from": "active" if status == "unhealthy" else None,
    }
    record = from_wire(wire)
    record.process = _process(row)
    return record


def _process(row: Mapping[str, Any]) -> Process:
    pid = row["pid"] if isinstance(row["pid"], int) and 0 < row["pid"] < 2**32 else 0
    host, cwd = str(row["host"] or platform.node()), str(row["cwd"] or "")
    return find_process(pid, host, cwd) if pid and is_local(host) else Process(host, pid, 0, "", cwd)


def _meta(value: Any) -> dict[str, Any]:
    with suppress(TypeError, ValueError, RecursionError):
        meta = json.loads(value)
        if isinstance(meta, dict):
            return meta
    return {} if value in (None, "") else {"meta": str(value)}


def _seconds(value: Any) -> float | None:
    """Seconds since 1970, from what a column of times may hold; None for nothing that is a time."""
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal", "-lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
