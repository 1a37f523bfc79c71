"""The same of systems without ``/proc``: as psutil says, or else as much as the standard library knows."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

psutil: Any
try:
    import psutil  # type: ignore[import-untyped, no-redef, unused-ignore]
except ImportError:  # then a process that got a dead one's id is taken for it
    psutil = None

__all__ = ["names_of", "parent_of", "start_of"]


def start_of(pid: int) -> float | None:
    """When the process *pid* started, as seconds since 1970; 0 if not known, None if none runs there."""
    if psutil is None:
        return 0 if _exists(pid) else None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.AccessDenied:
        return 0
    except psutil.Error:
        return None


def _exists(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end it
        import ctypes

        query, still_active = 0x1000, 259
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle) and code.value == still_active
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def parent_of(pid: int) -> int:
    """The id of its parent; 0 if it has none, or it can't be told."""
    if psutil is not None:
        with suppress(psutil.Error):
            return int(psutil.Process(pid).ppid())
        return 0
    told = _ps(pid, "ppid=")
    return int(told) if told.isdecimal() else os.getppid() if pid == os.getpid() else 0


def names_of(pid: int) -> list[str]:
    """The names that it goes by: its program's."""
    if psutil is not None:
        with suppress(psutil.Error):
            return [psutil.Process(pid).name()]
        return []
    return [_ps(pid, "comm=")]


def _ps(pid: int, column: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, timeout=2)
        return done.stdout.strip()
    return ""
