"""What a coding agent's hook calls: this very agentreg, wherever it is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from agentreg.cli.client.settings import EVENTS

__all__ = ["commands"]


def commands(shared: bool) -> dict[str, str]:
    """The shell command of each event.

    Args:
        shared: Whether others read the settings, on machines where agentreg
            is elsewhere: then it is left to their ``PATH``, if it is on ours.
    """
    words = ["agentreg"] if shared and shutil.which("agentreg") else _ours()
    return {event: _quoted([*words, "hook", verb]) for event, verb in EVENTS.items()}


def _ours() -> list[str]:
    name = "agentreg.exe" if sys.platform == "win32" else "agentreg"
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (folder / name).is_file():
            return [str(folder / name)]
    # not from the working directory, which is some project's
    safely = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safely, "-m", "agentreg"]


def _quoted(words: list[str]) -> str:
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
