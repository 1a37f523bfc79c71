"""What happens when a session of a coding agent begins and ends."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentreg.cli.client.detaching import command_line, spawn
from agentreg.cli.client.discovery import find
from agentreg.cli.client.http import ask
from agentreg.cli.client.processes import agent_above
from agentreg.cli.client.sessions import Sessions

__all__ = ["quietly", "session_ended", "session_started"]

_LONGEST = 1_000_000  # bytes of it
_BEGIN = 1.0  # seconds for the JSON to come, when a session begins
_END = 0.3  # and when it ends, after which there are 1.5 seconds for everything
_FAREWELL = 0.4  # seconds for each of the two questions of a farewell
_TOLD = ("session_id", "source", "transcript_path")


def quietly(work: Callable[[], None]) -> None:
    """Do *work*, and say nothing about how it went: a hook must not disturb the session that it belongs to."""
    with suppress(Exception):
        work()


def session_started(workspace: Path, name: str) -> None:
    """Start a watch over the program that runs the hook, unless its session is watched."""
    told = _told(_BEGIN)
    session = told["session_id"]
    agent = agent_above()

    def watch(marker: Path) -> int:
        return spawn(_watch(workspace, name, told, agent.pid, marker), workspace).pid

    Sessions(workspace).begin(session, agent, watch)


def session_ended(workspace: Path) -> None:
    """Deregister the session, if the service answers at once; its watcher ends in any case."""
    session = _told(_END)["session_id"]
    Sessions(workspace).end(session)
    ask(find(workspace, _FAREWELL), "POST", "/deregister", {"id": session}, timeout=_FAREWELL)


def _watch(workspace: Path, name: str, told: dict[str, Any], pid: int, marker: Path) -> list[str]:
    meta = {key: told[key] for key in _TOLD if isinstance(told.get(key), str)}
    cwd = told.get("cwd")
    return command_line(
        "watch",
        "--autostart",
        f"--workspace={workspace}",
        f"--id={told['session_id']}",
        f"--name={name}",
        f"--pid={pid}",
        f"--cwd={cwd if isinstance(cwd, str) and cwd else os.getcwd()}",
        f"--meta={json.dumps(meta)}",
        f"--while={marker}",
    )


# -- the hook's JSON --------------------------------------------------------


def _told(patience: float) -> dict[str, Any]:
    """What the hook is told on standard input. ValueError if that names no session."""
    told = json.loads(_input(patience))
    if not isinstance(told, dict) or not isinstance(told.get("session_id"), str) or not told["session_id"]:
        raise ValueError("expected a JSON object with a session_id")
    return told


def _input(patience: float) -> bytes:
    """Standard input up to the end of its JSON, or as much as came in time: who runs the hook may never close it."""
    pieces: list[bytes] = []

    def read() -> None:
        with suppress(OSError):
            while not _is_complete(b"".join(pieces)) and (piece := os.read(0, 65_536)):
                pieces.append(piece)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(patience)
    return b"".join(pieces)


def _is_complete(content: bytes) -> bool:
    if len(content) >= _LONGEST:
        return True
    with suppress(ValueError, RecursionError):
        json.loads(content)
        return True
    return False
