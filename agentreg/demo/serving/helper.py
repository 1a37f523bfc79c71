"""A helper: a process of the demo's that ends when its standard input does, whoever closes that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentreg.demo.printable import printable

__all__ = ["Helper", "command", "counting", "serving"]

PATIENCE = 8.0  # seconds that it has to end by itself

# modules are found where this process finds them, and not in the folder that it was started in
_HERE = f"import os, sys; sys.path[:] = sys.argv.pop(1).split({os.pathsep!r}); "
_COMMAND = _HERE + "from agentreg.cli import main; sys.exit(main(sys.argv[1:]))"
_SERVE = (
    _HERE
    + """
import signal, threading
from agentreg.cli import main

def end_with_the_input():
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_the_input, daemon=True).start()
sys.exit(main(["serve", *sys.argv[1:]]))
"""
)
_COUNT = """
import os, pathlib, sys, threading

ended = threading.Event()

def end_with_the_input():
    while os.read(0, 1024):
        pass
    ended.set()

threading.Thread(target=end_with_the_input, daemon=True).start()
while not ended.wait(1.0):
    for file in pathlib.Path(sys.argv[1]).rglob(sys.argv[2]):
        if ended.is_set():
            break
        try:
            len(file.read_bytes().splitlines())
        except OSError:
            pass
"""
# a Ctrl-C in a terminal goes to its whole group of processes, and is the demo's business alone
_OWN_GROUP: dict[str, Any]
if sys.platform == "win32":
    _OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _OWN_GROUP = {"start_new_session": True}


def serving(*arguments: str) -> list[str]:
    """How to call ``agentreg serve`` so that it ends with its input."""
    return [sys.executable, "-c", _SERVE, os.pathsep.join(sys.path), *arguments]


def command(*arguments: str) -> list[str]:
    """How to call ``agentreg``."""
    return [sys.executable, "-c", _COMMAND, os.pathsep.join(sys.path), *arguments]


def counting(folder: Path, pattern: str) -> list[str]:
    """A command that counts the lines of files over and over, until its input ends: something to be wrapped."""
    return [sys.executable, "-c", _COUNT, str(folder), pattern]


class Helper:
    """One process.

    Args:
        name: For messages.
        folder: Where a file for what it says may be made.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._messages = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, argv: Sequence[str]) -> None:
        """Start it."""
        with self._messages.open("wb") as messages:
            self._process = await asyncio.create_subprocess_exec(
                *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages, **_OWN_GROUP
            )

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "start() comes first"
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    async def line(self) -> str:
        """The next line that it prints; empty if it has ended."""
        output = self._running.stdout
        assert output is not None
        return (await output.readline()).decode("utf-8", "replace").strip()

    async def wait(self) -> None:
        """Wait until it has ended; what it prints meanwhile is thrown away."""
        output = self._running.stdout
        assert output is not None
        while await output.read(65_536):
            pass
        await self._running.wait()

    async def end(self) -> None:
        """Have it end, and wait until it has: by its input, then by signals."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        for insist in (self._process.terminate, self._process.kill):
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self.wait(), PATIENCE)
                return
            with contextlib.suppress(ProcessLookupError):
                insist()
        await self.wait()

    def obituary(self) -> str:
        """How it ended, with the last of its own words."""
        with contextlib.suppress(OSError):
            lines = self._messages.read_text(encoding="utf-8", errors="replace").splitlines()
            if lines:
                return f"{self.name} (process {self.pid}) has ended: {printable(lines[-1].strip())}"
        return f"{self.name} (process {self.pid}) has ended with code {self._running.returncode}"
