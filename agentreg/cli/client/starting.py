"""Starting the service when it does not run: once, however many ask."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from agentreg.cli.client.detaching import command_line, spawn
from agentreg.cli.client.discovery import find
from agentreg.cli.client.errors import NoServiceError
from agentreg.cli.client.http import Service
from agentreg.cli.client.locking import locked
from agentreg.demo.printable import printable

__all__ = ["COMMAND", "start"]

COMMAND = "AGENTREG_SERVE_COMMAND"  # what is started instead of `agentreg serve`
_READY = 20.0  # seconds in which a service that was started has to answer
_TURN = 120.0  # seconds to wait for others that start it
_PAUSE = 0.05
_LOG_AT_MOST = 1_000_000  # bytes, before it is put aside


def start(workspace: Path) -> Service:
    """The service of *workspace*, which is started if it doesn't answer.

    Of all processes that call this at the same time, one starts it; the others
    wait for that one. It goes on by itself, and logs to
    ``logs/agent-registry.log`` in the workspace.

    Raises:
        NoServiceError: It can't be started; the text says why.
    """
    try:
        with locked(workspace / "state" / "autostart.lock", _TURN):
            try:
                return find(workspace)  # somebody else has started it meanwhile
            except NoServiceError:
                return _started(workspace)
    except (OSError, ValueError) as error:
        raise NoServiceError(f"the service can't be started: {printable(str(error))}") from error


def _started(workspace: Path) -> Service:
    log = _log(workspace)
    begin = log.stat().st_size if log.exists() else 0
    process = spawn([*_command(), "--workspace", str(workspace)], workspace, log)
    deadline = time.monotonic() + _READY
    while time.monotonic() < deadline:
        with suppress(NoServiceError):
            return find(workspace)
        if process.returncode:  # the reaper has seen it; 0 may be a starter that has done its work
            raise NoServiceError(f"the service ended at once ({process.returncode}){_last_line(log, begin)}")
        time.sleep(_PAUSE)
    _stop(process)
    raise NoServiceError(f"the service was started, but gives no answer in {_READY:.0f} s{_last_line(log, begin)}")


def _command() -> list[str]:
    given = os.environ.get(COMMAND, "").strip()
    return shlex.split(given) if given else command_line("serve")


def _log(workspace: Path) -> Path:
    folder = workspace / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / "agent-registry.log"
    if log.exists() and log.stat().st_size > _LOG_AT_MOST:
        os.replace(log, log.with_suffix(".log.1"))
    return log


def _last_line(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read(_LOG_AT_MOST).decode("utf-8", "replace").strip().splitlines()
    said = f": {printable(lines[-1][-300:])}" if lines else ""
    return f"{said}; its log is {log}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    # who comes next would start a second one beside it
    with suppress(OSError):
        process.kill()
