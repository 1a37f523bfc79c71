"""The doctor's look at the local service: its workspace, its packages, what it has logged, and who calls it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

from agentreg.cli.agents import workspace_of
from agentreg.cli.doctor.database import look_at_database
from agentreg.cli.doctor.findings import Examination
from agentreg.cli.doctor.hooks import look_at_hooks
from agentreg.cli.doctor.noting import Notes
from agentreg.cli.doctor.running import look_at_port, look_at_running
from agentreg.cli.errors import UsageError

__all__ = ["examine"]

_SERVICE = ("msgspec", "starlette", "uvicorn", "platformdirs", "prometheus_client", "httpx", "yaml")
_FASTER = ("uvloop", "httptools") if os.name != "nt" else ("httptools",)
_END_OF_LOG = 65_536  # bytes that are looked at
_LINES = 3  # of the log's errors
_ERROR = re.compile(r" (ERROR|CRITICAL) |\berror: |^[\w.]*(Error|Exception)\b")
INSTALL = 'pip install "agentreg[service]"'


def examine(arguments: argparse.Namespace) -> Examination:
    """Look at everything that the local service needs. No record or setting is changed, no service started or ended."""
    if arguments.name is not None:
        raise UsageError("--name: asks for a definition, and means nothing here; use agentreg doctor definitions")
    folder = workspace_of(arguments)
    notes = Notes(f"agentreg serve --workspace {shlex.quote(str(folder))}" if arguments.workspace else "agentreg serve")
    _look_at_workspace(folder, _chosen_by(arguments), notes)
    url = look_at_running(folder, notes)
    look_at_database(folder, url is not None, notes)
    look_at_port(url, notes)
    is_meant = url is None and (arguments.area is not None or (folder / "state").is_dir())
    _look_at_packages(is_meant, notes)
    project, home = (Path(given).expanduser().absolute() for given in (arguments.project, arguments.home))
    look_at_hooks(home, project, notes)
    _look_at_log(folder, url is not None, notes)
    return notes.examination()


# -- the workspace ----------------------------------------------------------


def _chosen_by(arguments: argparse.Namespace) -> str:
    if arguments.workspace:
        return "--workspace"
    return "AGENTREG_WORKSPACE" if os.environ.get("AGENTREG_WORKSPACE") else "default"


def _look_at_workspace(folder: Path, chosen_by: str, notes: Notes) -> None:
    trouble = next(filter(None, map(_trouble, (folder, *(folder / each for each in ("data", "state", "logs"))))), None)
    if trouble is not None:
        state = "can't be used"
        fix = "see to that, or choose another folder with --workspace or AGENTREG_WORKSPACE"
        notes.error(f"the workspace {folder} (from {chosen_by}) can't be used: {trouble}", fix)
    else:
        state = "writable" if os.path.isdir(folder) else "not there yet"
    notes.row("workspace", folder, f"{state} (from {chosen_by})")


def _trouble(folder: Path) -> str | None:
    """Why nothing could be written into *folder*, which is made if it isn't there; None if it could."""
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not os.path.isdir(there):
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} may not be written to"
    return None


# -- packages ---------------------------------------------------------------


def _look_at_packages(is_meant: bool, notes: Notes) -> None:
    """Look for packages; what is missing is an error only where a service *is_meant* to be started."""
    missing = [module for module in _SERVICE if not _is_installed(module)]
    slow = [module for module in _FASTER if not _is_installed(module)]
    if missing:
        tell = notes.error if is_meant else notes.warning
        tell(f"the service can't be started with this installation: {', '.join(missing)} missing", INSTALL)
    elif slow:
        notes.note(f"{', '.join(slow)} missing: the service answers more slowly", INSTALL)
    if not _is_installed("psutil"):
        what = "psutil is missing: what the agents' processes use is not measured"
        notes.note(what, 'pip install "agentreg[resources]"')
    notes.row("packages", "extra service", "missing" if missing else "installed")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # sys.modules has None for it
        return False


# -- the log ----------------------------------------------------------------


def _look_at_log(folder: Path, runs: bool, notes: Notes) -> None:
    log = folder / "logs" / "agent-registry.log"
    try:
        lines = _last_errors(log)
    except FileNotFoundError:
        notes.row("log", log, "none; --autostart writes it")
        return
    except OSError as error:
        notes.row("log", log, "can't be read")
        notes.warning(f"{log} can't be read: {error.strerror}", "see to its permissions")
        return
    notes.row("log", log, "with errors" if lines else "no errors at its end")
    for line in lines:
        told = f"the service has logged: {line[:300]}"
        if runs:
            notes.note(told)
        else:
            notes.warning(told, f"read {log}")


def _last_errors(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _END_OF_LOG, 0))
        lines = file.read(_END_OF_LOG).decode("utf-8", "replace").splitlines()
    return [line for line in lines if _ERROR.search(line)][-_LINES:]
