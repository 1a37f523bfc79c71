"""Whether the service of a workspace runs, and is the one that its discovery file speaks of."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentreg import __version__
from agentreg.cli.client.discovery import discovery_file
from agentreg.cli.client.errors import NoServiceError, RefusedError
from agentreg.cli.client.http import Service, ask
from agentreg.cli.client.processes import Process
from agentreg.cli.doctor.noting import Notes

__all__ = ["PORT", "look_at_port", "look_at_running"]

PORT = 7847  #: the first that `agentreg serve` tries
TIMEOUT = 2.0  # seconds for an answer
_LONGEST = 65_536  # bytes of a discovery file, or of a token's


def look_at_running(folder: Path, notes: Notes) -> str | None:
    """The address of the service of the workspace *folder*, if it answers; what is wrong goes into *notes*."""
    file = discovery_file(folder)
    noted = _noted(file, notes)
    if noted is None:
        return None
    _look_at_mode(file, notes)
    url = noted["url"].rstrip("/")
    health = _health(url, noted, file, notes)
    _look_at_token(noted.get("token_file"), notes)
    if health is None:
        return None
    version = health.get("version")
    if version != __version__:
        what = f"the service at {url} is version {version}, and this agentreg is {__version__}"
        notes.warning(what, f"end process {noted.get('pid')}, and start the service again: {notes.serve}")
    notes.row("service", url, f"answers (version {version}, process {noted.get('pid')})")
    return str(url)


# -- the discovery file -----------------------------------------------------


def _noted(file: Path, notes: Notes) -> dict[str, Any] | None:
    """What the discovery file says, if it says what it has to."""
    try:
        noted = _read(file)
    except FileNotFoundError:
        notes.row("discovery file", file, "none")
        notes.warning(f"no service runs in this workspace: there is no {file}", notes.serve)
        return None
    except OSError as error:
        notes.row("discovery file", file, "can't be used")
        notes.error(f"{file} can't be read: {error.strerror}", "see to its permissions")
        return None
    except (ValueError, RecursionError) as error:
        notes.row("discovery file", file, "can't be used")
        notes.error(f"{file} is no discovery file: {error}", f"delete it, then: {notes.serve}")
        return None
    notes.row("discovery file", file, "readable")
    return noted


def _read(file: Path) -> dict[str, Any]:
    """The content of the discovery file. Raises OSError, ValueError, RecursionError."""
    noted = json.loads(_beginning(file))
    for key in ("url", "instance_id"):
        if not isinstance(noted, dict) or not isinstance(noted.get(key), str) or not noted[key]:
            raise ValueError("it is JSON, but needs the texts url and instance_id")
    return dict(noted)


def _look_at_mode(file: Path, notes: Notes) -> None:
    mode = _mode(file)
    if mode not in (None, 0o600):
        notes.warning(f"{file} has the mode {mode:04o}; expected 0600", f"chmod 600 {shlex.quote(str(file))}")


def _mode(file: Path) -> int | None:
    """Who may do what with *file*; None where there are no modes, or the file is gone by now."""
    try:
        return stat.S_IMODE(file.stat().st_mode) if os.name == "posix" else None
    except OSError:
        return None


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_LONGEST)


# -- the answer -------------------------------------------------------------


def _health(url: str, noted: Mapping[str, Any], file: Path, notes: Notes) -> dict[str, Any] | None:
    """What the service says of itself, if it is the one that wrote *file*."""
    try:
        health = ask(Service(url), "GET", "/health", timeout=TIMEOUT).document
    except RefusedError as error:
        if error.status == 503:
            notes.row("service", url, "in trouble (503)")
            what = f"the service at {url} can't work: {error}"
            notes.error(what, "see to the cause; it recovers by itself within seconds")
        else:
            _stranger(url, file, notes)
        return None
    except NoServiceError as error:
        notes.row("service", url, "does not answer")
        _silent(str(error), noted, file, notes)
        return None
    if health.get("instance_id") != noted["instance_id"]:
        _stranger(url, file, notes)
        return None
    return health


def _stranger(url: str, file: Path, notes: Notes) -> None:
    notes.row("service", url, "another one")
    what = f"{file} is out of date: a stranger answers at {url}, not the service that wrote it"
    notes.warning(what, f"{notes.serve} (writes the file anew)")


def _silent(told: str, noted: Mapping[str, Any], file: Path, notes: Notes) -> None:
    pid = noted.get("pid")
    if type(pid) is not int or pid <= 0:
        notes.warning(f"{file} is out of date: {told}", f"{notes.serve} (writes the file anew)")
    elif _runs(pid, noted.get("process_start")):
        what = f"process {pid} runs, but {told}"
        notes.error(what, f"wait; if it goes on, and {pid} is the service, end it, then: {notes.serve}")
    else:
        what = f"{file} was left behind: process {pid}, which wrote it, is over, and {told}"
        notes.warning(what, f"{notes.serve} (writes the file anew)")


def _runs(pid: int, start: object) -> bool:
    now = Process.of(pid)
    known = isinstance(start, (int, float)) and start and now.start
    return now.start is not None and (not known or now.start == start)


# -- the token --------------------------------------------------------------


def _look_at_token(name: object, notes: Notes) -> None:
    if not isinstance(name, str) or not name:
        return
    file, fix = Path(name), f"start the service again with --token-file {name}, which makes one if there is none"
    trouble = _trouble(file)
    notes.row("token file", file, "can't be used" if trouble else "readable")
    if trouble:
        notes.error(f"the service's token file {file} {trouble}: no call is let in", fix)
    else:
        _look_at_secrecy(file, notes)


def _trouble(file: Path) -> str | None:
    try:
        token = _beginning(file).decode("ascii").strip()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    except UnicodeDecodeError:
        token = ""
    return None if token and token.isprintable() else "holds no token, one line of printable ASCII characters"


def _look_at_secrecy(file: Path, notes: Notes) -> None:
    mode = _mode(file)
    if mode is not None and mode & 0o077:
        what = f"the token file {file} may be read by others (mode {mode:04o}); the service will not start with it"
        notes.error(what, f"chmod 600 {shlex.quote(str(file))}")


# -- the port ---------------------------------------------------------------


def look_at_port(url: str | None, notes: Notes, port: int | None = None) -> None:
    """Whether the first port is free, or the service's own, which answers at *url*."""
    port = PORT if port is None else port
    where = f"127.0.0.1:{port}"
    if url is not None and urlsplit(url).port == port:
        notes.row("port", where, "this service's")
    elif not _is_taken(port):
        notes.row("port", where, "free")
    else:
        _taken(where, notes)


def _is_taken(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except OSError:
        return False
    return True


def _taken(where: str, notes: Notes) -> None:
    try:
        health = ask(Service(f"http://{where}"), "GET", "/health", timeout=TIMEOUT).document
        is_ours = isinstance(health.get("instance_id"), str)
    except (NoServiceError, RefusedError):
        is_ours = False
    who = "the service of another workspace" if is_ours else "a program that is no agentreg service"
    notes.row("port", where, "taken")
    what = f"port {where} is taken by {who}; agentreg serve takes the next free one, and its clients find it"
    notes.note(what, "callers that have this address written down need the one that agentreg status prints")
