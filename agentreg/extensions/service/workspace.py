"""The workspace: the folder in which the service keeps what belongs to this user."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

if sys.platform != "win32":
    import fcntl

__all__ = ["Discovery", "ServiceError", "Workspace", "read_token"]


class ServiceError(Exception):
    """The service can't be started; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Where a service is to be found: the content of its discovery file.

    Attributes:
        host, port: What it listens at.
        pid: The process that answers SIGTERM.
        url: Its address, without a trailing slash.
        started_at: Seconds since 1970.
        instance_id: What ``/health`` has to say; another's answer means that the file is out of date.
        process_start: When that process started, in its system's units; 0 if it is not known.
        token_file: The file with the token that it wants; None for none.
    """

    host: str
    port: int
    pid: int
    url: str
    started_at: float
    instance_id: str
    process_start: float
    token_file: str | None = None


class Workspace:
    """The folder, and what lies where in it.

    Args:
        folder: Else what ``AGENTREG_WORKSPACE`` names, else ``agentreg`` in
            the platform's folder for a user's data.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        given = folder or os.environ.get("AGENTREG_WORKSPACE")
        chosen = Path(given).expanduser() if given else Path(platformdirs.user_data_path("agentreg", appauthor=False))
        self.folder = chosen.absolute()
        self.database = self.folder / "data" / "agent-registry.db"
        self.alerts = self.folder / "data" / "operations.db"
        self.decisions = self.folder / "data" / "decisions.db"
        self.metrics = self.folder / "data" / "metrics.db"
        self.definitions = self.folder / "data" / "definitions.db"
        self.discovery = self.folder / "state" / "agent-registry.json"
        self.logs = self.folder / "logs"
        self._lock = -1

    def make(self) -> None:
        """Make the folders that are missing. Raises ServiceError."""
        try:
            for folder in (self.database.parent, self.discovery.parent, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceError(
                f"the workspace {self.folder} can't be used ({error}); choose another with --workspace "
                "or AGENTREG_WORKSPACE"
            ) from error

    def occupy(self) -> None:
        """Be the only service of this workspace as long as this process lives. Raises ServiceError if there is one."""
        if sys.platform == "win32":
            return
        self._lock = _lock_file(self.discovery.with_suffix(".lock"))
        if self._lock < 0:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.leave()
            there = self.read()
            where = f"at {there.url} (process {there.pid})" if there else "and is just starting"
            raise ServiceError(
                f"a service runs for the workspace {self.folder} already, {where}; use that one, "
                "or choose another workspace"
            ) from error

    def leave(self) -> None:
        """Let another service have the workspace."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def announce(self, discovery: Discovery) -> None:
        """Write the discovery file: whole or not at all, and for this user alone."""
        handle, path = tempfile.mkstemp(prefix=".agent-registry-", dir=self.discovery.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(discovery), file, indent=2)
            os.replace(path, self.discovery)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise

    def retract(self, instance_id: str) -> None:
        """Remove the discovery file, unless it is another service's by now."""
        there = self.read()
        if there is not None and there.instance_id == instance_id:
            with suppress(OSError):
                self.discovery.unlink()

    def read(self) -> Discovery | None:
        """What the discovery file says; None if there is none, or nothing that makes sense."""
        try:
            return Discovery(**json.loads(self.discovery.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def _lock_file(path: Path) -> int:
    """The lock file, opened; -1 where none can be made: in such a folder, nothing can be damaged by two."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with suppress(OSError):
            return os.open(path, flags | os.O_CLOEXEC, 0o600)
    return -1


def read_token(path: str | os.PathLike[str]) -> str:
    """The token in a file, which is made, for this user alone, if there is none. Raises ServiceError."""
    file = Path(path).expanduser()
    try:
        with suppress(FileExistsError):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as new:
                new.write(f"{secrets.token_urlsafe(32)}\n")
        token = file.read_text(encoding="utf-8").strip()
        mode = stat.S_IMODE(file.stat().st_mode)
    except (OSError, ValueError) as error:
        raise ServiceError(f"the token file {file} can't be used: {error}") from error
    if sys.platform != "win32" and mode & 0o077:
        raise ServiceError(f"the token file {file} may be read by others (mode {mode:o}); run: chmod 600 {file}")
    if not token:
        raise ServiceError(f"the token file {file} is empty; delete it, and the service makes one with a token")
    return token
