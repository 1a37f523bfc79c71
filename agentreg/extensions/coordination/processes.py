"""Which process is this, and does that one still run?

A process id alone names nobody: the system gives it to another process
later. The moment of the start, the boot and the pid namespace make it
unique. Linux says all of it in ``/proc``; elsewhere psutil does, when it is
installed, and without it nobody is ever taken for dead.
"""

from __future__ import annotations

import functools
import os
import platform
from typing import Any, NamedTuple

psutil: Any
try:
    import psutil  # type: ignore[import-untyped, no-redef, unused-ignore]
except ImportError:  # an extra, and needed only where there is no /proc
    psutil = None

__all__ = ["Process", "find_process", "is_over", "this_process"]


class Process(NamedTuple):
    """One process of one machine, for good.

    Attributes:
        host: The machine's name.
        pid: The process id in its namespace; 0 if it is not known.
        start: When it started, in the system's own units; 0 if not known.
        boot: Which boot and which pid namespace; empty if not known.
        cwd: Its working directory at registration; empty if not known.
    """

    host: str = ""
    pid: int = 0
    start: float = 0
    boot: str = ""
    cwd: str = ""

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}" if self.pid else f"on {self.host or 'an unknown machine'}"


def this_process() -> Process:
    """The process that asks; always the same object until it forks. Its working directory is that of the first time.

    >>> this_process().pid == os.getpid()
    True
    """
    return _known or _learn()


_known: Process | None = None


def _learn() -> Process:
    global _known
    try:
        cwd = os.getcwd()
    except OSError:  # it was deleted
        cwd = ""
    pid = os.getpid()
    _known = Process(platform.node(), pid, _start_of(pid) or 0, boot(), cwd)
    return _known


def _forget() -> None:
    global _known
    _known = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def is_over(process: Process) -> bool:
    """Whether *process* was one of this machine's and runs no more. A zombie has ended; who can't be judged has not.

    A process of an earlier boot of this machine is over, too.

    >>> is_over(this_process())
    False
    >>> is_over(this_process()._replace(start=1))
    True
    """
    if not process.pid or not process.start or process.host != platform.node() or not process.boot or not boot():
        return False
    (machine, _, namespace), (our_machine, _, our_namespace) = process.boot.partition("/"), boot().partition("/")
    if machine != our_machine:
        return _same_container_host(namespace, our_namespace)
    if namespace != our_namespace:
        return False  # a container's processes are not in our table
    return _start_of(process.pid) != process.start


def _same_container_host(namespace: str, ours: str) -> bool:
    # another boot, the same name: this machine before it was restarted, unless it is some container's name
    return namespace == ours


def find_process(pid: int, host: str = "", cwd: str = "") -> Process:
    """This machine's process *pid* as it is now; if there is none, one that is over.

    >>> find_process(os.getpid()) == this_process()._replace(cwd="")
    True
    """
    start = _start_of(pid) if boot() else 0
    return Process(host or platform.node(), pid, -1 if start is None else start, boot(), cwd)


@functools.lru_cache(maxsize=1)
def boot() -> str:
    """This boot of this machine and this pid namespace; empty if the system doesn't say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{psutil.boot_time():.0f}/" if psutil is not None else ""


def _start_of(pid: int) -> float | None:
    """When the process *pid* started, or None when there is none or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (FileNotFoundError, ProcessLookupError):
        return _asked(pid) if psutil is not None and not os.path.exists("/proc/self/stat") else None


def _asked(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0
