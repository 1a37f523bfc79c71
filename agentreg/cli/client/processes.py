"""Processes of this machine: whether one still runs, and who its ancestors are.

A process id alone names nobody, as the system gives it to another process
later; together with the moment of the start it does. Linux tells all of it in
``/proc``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

__all__ = ["Process", "agent_above", "ancestors", "opened"]

SHELLS = {"ash", "bash", "cmd", "csh", "dash", "elvish", "fish", "ksh", "ksh93", "mksh", "nu", "powershell", "pwsh"}
SHELLS |= {"rbash", "sh", "tcsh", "yash", "zsh"}
LAUNCHERS = {"uv", "uvx"}  # stay above the program that they run, and end with it
_PROC = os.path.exists("/proc/self/stat")


class Process(NamedTuple):
    """One process, for good.

    Attributes:
        pid: Its id; 0 for none.
        start: When it started, in the system's own units; 0 if not known,
            None if there is no such process.
    """

    pid: int
    start: float | None

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this id now."""
        return cls(pid, _start_of(pid) if pid else 0)

    def is_over(self) -> bool:
        """Whether it runs no more. A zombie doesn't; pid 0 is never over.

        >>> Process.of(os.getpid()).is_over()
        False
        >>> Process(os.getpid(), 1).is_over()
        True
        """
        return self.start is None or (self.pid != 0 and _start_of(self.pid) != self.start)


def opened(process: Process) -> int | None:
    """A descriptor that can be read when *process* ends, where the system has that."""
    pidfd_open = getattr(os, "pidfd_open", None)
    if pidfd_open is None or not process.pid:
        return None
    with suppress(OSError):
        descriptor: int = pidfd_open(process.pid)
        return descriptor
    return None


# -- ancestors --------------------------------------------------------------


def agent_above() -> Process:
    """The first ancestor of this process that is no shell: the program for which shells ran this command.

    The outermost one, if all are shells.
    """
    above = [*ancestors(os.getpid())]
    for pid, names in above:
        if names.isdisjoint(SHELLS | LAUNCHERS):
            return Process.of(pid)
    return Process.of(above[-1][0] if above else os.getppid())


def ancestors(pid: int) -> Iterator[tuple[int, set[str]]]:
    """The pid of each ancestor and the names that it goes by, the parent first."""
    seen = {pid}
    while (pid := _parent_of(pid)) > 0 and pid not in seen:
        seen.add(pid)
        yield pid, {_plain(name) for name in _names_of(pid)}


def _plain(name: str) -> str:
    """
    >>> _plain("/bin/zsh"), _plain("-bash"), _plain("PowerShell.EXE")
    ('zsh', 'bash', 'powershell')
    """
    return re.split(r"[/\\]", name)[-1].lower().removeprefix("-").removesuffix(".exe")


# -- the system -------------------------------------------------------------


def _start_of(pid: int) -> float | None:
    """When the process *pid* started; 0 if that isn't known, None if there is none or it is a zombie."""
    if not _PROC:
        from agentreg.cli.client.processes_elsewhere import start_of

        return start_of(pid)
    try:
        fields = _stat(pid)[1]
    except OSError:
        return 0 if _is_somebody_s(pid) else None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _is_somebody_s(pid: int) -> bool:
    """Whether *pid* is a process of another user, in a system that shows everybody only their own."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _parent_of(pid: int) -> int:
    if not _PROC:
        from agentreg.cli.client.processes_elsewhere import parent_of

        return parent_of(pid)
    with suppress(OSError):
        return int(_stat(pid)[1][1])
    return 0


def _names_of(pid: int) -> list[str]:
    if not _PROC:
        from agentreg.cli.client.processes_elsewhere import names_of

        return names_of(pid)
    names = []
    with suppress(OSError):
        names.append(os.fsdecode(_stat(pid)[0]))
        names.append(os.readlink(f"/proc/{pid}/exe"))  # a script is called as its file
    return names


def _stat(pid: int) -> tuple[bytes, list[bytes]]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        before, _, after = file.read().rpartition(b")")
    return before.partition(b"(")[2], after.split()
