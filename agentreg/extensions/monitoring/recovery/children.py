"""Processes that this one starts, ends and starts again; it signals no others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import psutil
from typing_extensions import Self

from agentreg import RegistryError

__all__ = ["Child", "Children", "ForeignProcessError"]


class ForeignProcessError(RegistryError, PermissionError):
    """A process was to be signalled that was not started here, or is over.

    Attributes:
        pid: Its process id.
        cause: Why it is not ours.
    """

    def __init__(self, pid: int, cause: str) -> None:
        super().__init__(pid, cause)
        self.pid = pid
        self.cause = cause

    def __str__(self) -> str:
        return f"process {self.pid} is not signalled: {self.cause}; end it where it was started"


@dataclass(frozen=True)
class Child:
    """A process that was started here; pid and start name it for good, as pids are given again.

    Attributes:
        name: What it is called here: the agent's name, for example.
        pid: Its process id, and that of its session.
        started: When it started, in seconds since 1970, as the system says.
        command: What was started.
    """

    name: str
    pid: int
    started: float
    command: tuple[str, ...]


@dataclass
class _Started:
    child: Child
    process: subprocess.Popen[bytes]
    folder: str | os.PathLike[str] | None
    environment: Mapping[str, str] | None


class Children:
    """Starts processes by name, each in a session of its own, and ends them.

    Signals go to the child's session: itself and what it has started there.
    Only what was started by this object, and was not yet seen to have
    ended, is ever signalled: as long as nobody has asked for its exit
    status, the system gives its pid to no other. On leaving a ``with``
    block, or by `close`, all are ended.

    Needs the extra ``monitoring`` (psutil), and a system with sessions.
    Thread-safe: yes. After a fork, the child process has no children.

    Example:
        >>> import sys
        >>> with Children() as children:
        ...     child = children.start("planner", [sys.executable, "-c", "input()"])
        ...     children.is_running("planner"), children.end("planner")
        (True, 'ended')
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._started: dict[str, _Started] = {}
        self._owner = os.getpid()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Start *command*, without a shell, without input; its output goes where this process's goes.

        Raises ValueError if *name* is running, and OSError if the command can't be started.
        """
        if isinstance(command, str) or not command:
            raise ValueError(f"command: expected its words, as ['python', 'agent.py'], got {command!r:.200}")
        with self._lock:
            if self.is_running(name):
                raise ValueError(
                    f"{name!r} is running already, as process {self._started[name].child.pid}; end it first"
                )
            process = subprocess.Popen(
                list(command), cwd=folder, env=environment, stdin=subprocess.PIPE, start_new_session=True
            )
            child = Child(name, process.pid, _start_of(process.pid), tuple(command))
            self._forget(name)
            self._started[name] = _Started(child, process, folder, environment)
            return child

    def get(self, name: str) -> Child | None:
        """The child that was last started as *name*, running or not."""
        with self._lock:
            started = self._started.get(name)
            return started.child if started else None

    def running(self) -> list[Child]:
        """Those that run, in the order of their start."""
        with self._lock:
            return [each.child for name, each in self._started.items() if self.is_running(name)]

    def is_running(self, name: str) -> bool:
        """Whether *name* was started here and has not ended; one that is stopped or hangs is running."""
        with self._lock:
            started = self._started.get(name)
            return started is not None and os.getpid() == self._owner and started.process.poll() is None

    def signal(self, child: Child, number: int) -> None:
        """Send a signal to *child* and its session.

        Raises ForeignProcessError, and signals nobody, if this object did not start it, or it has ended.
        """
        with self._lock:
            os.killpg(self._ours(child).process.pid, number)

    def end(self, which: str | Child, timeout: float = 5.0) -> str:
        """End a child: SIGTERM, and after *timeout* seconds SIGKILL.

        ``"ended"`` if it went by itself, ``"killed"`` if it had to be
        killed, ``"gone"`` if it had ended before. Raises
        ForeignProcessError for what was not started here.
        """
        child = which if isinstance(which, Child) else self.get(which)
        if child is None:
            raise ForeignProcessError(0, f"nothing was started here as {which!r:.100}")
        with self._lock:
            known = self._started.get(child.name)
            if known is not None and known.child == child and not self.is_running(child.name):
                return "gone"
            process = self._ours(child).process
            self._signal_group(process, signal.SIGTERM)
        try:
            process.wait(timeout)
            return "ended"
        except subprocess.TimeoutExpired:
            return self._kill(process)

    def restart(self, name: str, timeout: float = 5.0) -> Child:
        """End *name* and start the same command again. Raises ForeignProcessError if it was never started here."""
        with self._lock:
            known = self._started.get(name)
        if known is None:
            raise ForeignProcessError(0, f"nothing was started here as {name!r:.100}")
        self.end(known.child, timeout)
        return self.start(name, known.child.command, folder=known.folder, environment=known.environment)

    def close(self, timeout: float = 5.0) -> None:
        """End all of them; each has *timeout* seconds after SIGTERM, which all get at first."""
        with self._lock:
            running = [self._started[child.name].process for child in self.running()]
            for process in running:
                self._signal_group(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._kill(process)
        with self._lock:
            for name in list(self._started):
                self._forget(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- helpers ------------------------------------------------------------

    def _ours(self, child: Child) -> _Started:
        """What is known of *child*, which runs now."""
        started = self._started.get(child.name)
        if started is None or started.child != child:
            raise ForeignProcessError(child.pid, "it was not started here")
        if os.getpid() != self._owner:
            raise ForeignProcessError(child.pid, "it was started by the process that this one was forked from")
        if started.process.poll() is not None:
            raise ForeignProcessError(child.pid, "it has ended, and its number may be another's by now")
        return started

    def _kill(self, process: subprocess.Popen[bytes]) -> str:
        with self._lock:
            if process.poll() is None:
                self._signal_group(process, signal.SIGKILL)
        process.wait()
        return "killed"

    def _signal_group(self, process: subprocess.Popen[bytes], number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # not reaped, but over
            os.killpg(process.pid, number)

    def _forget(self, name: str) -> None:
        started = self._started.pop(name, None)
        if started is not None and started.process.stdin is not None:
            with contextlib.suppress(OSError):
                started.process.stdin.close()


def _start_of(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:  # it has ended already, and not every system remembers
        return time.time()
