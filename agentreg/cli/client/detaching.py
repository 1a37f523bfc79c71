"""Processes that go on after the command has ended, and hold nothing of what is its caller's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import agentreg

__all__ = ["command_line", "spawn"]

_HOME = Path(agentreg.__file__).parents[1]


def command_line(*arguments: str) -> list[str]:
    """How to call the command with *arguments*, by the interpreter that runs now."""
    return [sys.executable, "-m", "agentreg", *arguments]


def spawn(command: Sequence[str], folder: Path, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start *command* in a session of its own; what it prints goes to the end of *log*, or nowhere.

    It runs in *folder*, not where the caller is: Python would take modules
    from there, and the folder could not be removed.
    """
    sink = os.open(os.devnull if log is None else log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            creationflags=_apart(),
        )
    finally:
        os.close(sink)
    # whoever outlives it leaves no zombie behind
    threading.Thread(target=process.wait, name="agentreg-reaper", daemon=True).start()
    return process


def _environment() -> dict[str, str]:
    if _HOME.name in ("site-packages", "dist-packages"):
        return {**os.environ}
    # a clone may have been found in the working directory, which is not the new process's
    paths = [str(_HOME), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _apart() -> int:
    if sys.platform == "win32":
        return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return 0
