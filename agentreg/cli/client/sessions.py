"""Which sessions of a coding agent are watched, and by whom: one small file for each.

A coding agent announces the same session several times, as when it has
compacted what was said; and it goes on running when one session ends and the
next begins. So there is one watcher for each session, which ends when its
session's file does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentreg.cli.client.locking import locked
from agentreg.cli.client.processes import Process

__all__ = ["Sessions"]

_TURN = 5.0  # seconds


class Sessions:
    """The sessions that are watched for a workspace."""

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace / "state" / "sessions"
        self._lock = self._folder / ".lock"

    def begin(self, session: str, agent: Process, watch: Callable[[Path], int]) -> None:
        """Have *session*, which *agent* holds, watched until its file is gone.

        Args:
            session: The session's id.
            agent: The process whose end is the session's.
            watch: Starts a watcher of the file it is given; returns its pid.
        """
        with locked(self._lock, _TURN):
            self._sweep()
            file = self._file(session)
            noted = _noted(file)
            if [noted.get("pid"), noted.get("start")] == [*agent]:
                return
            note = {"session": session, "pid": agent.pid, "start": agent.start}
            _put(file, note)
            watcher = Process.of(watch(file))
            note.update(watcher=watcher.pid, watcher_start=watcher.start)
            file.write_text(json.dumps(note), encoding="utf-8")

    def end(self, session: str) -> None:
        """Have *session* watched no longer."""
        self._file(session).unlink(missing_ok=True)

    def _file(self, session: str) -> Path:
        digest = hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    def _sweep(self) -> None:
        """Remove the files whose watchers are gone."""
        for file in self._folder.glob("*.json"):
            noted = _noted(file)
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                if not Process(noted["watcher"], noted["watcher_start"]).is_over():
                    continue
            with suppress(OSError):
                file.unlink()


def _put(file: Path, note: dict[str, Any]) -> None:
    # another file, not the same one written anew: that ends the watcher of the old one
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(note), encoding="utf-8")
    os.replace(beside, file)


def _noted(file: Path) -> dict[str, Any]:
    try:
        noted = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}
