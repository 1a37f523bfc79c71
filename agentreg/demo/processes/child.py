"""A child: the parent's hold on one runtime's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentreg.demo.printable import printable

__all__ = ["Child", "Line"]

Line = dict[str, Any]

LONGEST = 64_000_000  # bytes of a line: the measurements of a file of a million bytes fit
PATIENCE = 10.0  # seconds that a process has to end by itself
LAST_WORDS = 4  # lines

# the modules are found where this process finds them, and not in the folder that it was started in
_PROGRAM = (
    f"import sys; sys.path[:] = sys.argv.pop(1).split({os.pathsep!r}); "
    "from agentreg.demo.processes.runtime import main; main()"
)
# a Ctrl-C in a terminal goes to its whole group of processes, and is this process' business alone
_OWN_GROUP: dict[str, Any]
if sys.platform == "win32":
    _OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _OWN_GROUP = {"start_new_session": True}


class Child:
    """One runtime in a process of its own.

    Args:
        runtime_id: Its name.
        folder: Where a file for its messages may be made.

    Attributes:
        runtime_id: Its name.
        sees: The agents of all runtimes that its copy of the directory shows, by its own account.
    """

    def __init__(self, runtime_id: str, folder: Path) -> None:
        self.runtime_id = runtime_id
        self.sees: set[str] = set()
        self._messages = folder / f"{runtime_id}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._killed = False

    async def start(self, setup: Mapping[str, Any], hear: Callable[[Child, Line | None], None]) -> None:
        """Start it; *hear* is called with each of its lines, and with None when there are no more."""
        with self._messages.open("wb") as messages:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _PROGRAM,
                os.pathsep.join(sys.path),
                self.runtime_id,  # for those who look at a list of processes
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                limit=LONGEST,
                **_OWN_GROUP,
            )
        self._listening = asyncio.create_task(self._listen(hear))
        self.send({"runtime": self.runtime_id, **setup})

    async def _listen(self, hear: Callable[[Child, Line | None], None]) -> None:
        output = self._running.stdout
        assert output is not None
        while (line := await output.readline()).endswith(b"\n"):  # a process that is killed may leave half a line
            hear(self, json.loads(line))
        await self._running.wait()
        hear(self, None)

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "start() comes first"
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal that ended it, where there are signals."""
        return self._running.returncode

    @property
    def reachable(self) -> bool:
        """Whether it can be given work, as far as this process knows."""
        stdin = self._running.stdin
        return not self._killed and self.exit_code is None and stdin is not None and not stdin.is_closing()

    def send(self, line: Line) -> None:
        """Write a line to it."""
        stdin = self._running.stdin
        assert stdin is not None
        stdin.write(json.dumps(line).encode() + b"\n")

    def kill(self) -> None:
        """End it at once, without a word: SIGKILL, where there are signals. One that has ended stays so."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            self._running.kill()

    def dismiss(self) -> None:
        """Tell it that there is no more work: it leaves the directory, and ends."""
        stdin = self._running.stdin
        if stdin is not None:
            stdin.close()

    async def end(self) -> None:
        """Dismiss it and wait until it is gone; one that takes too long, or a caller who is cancelled, kills it."""
        if self._process is None or self._listening is None:
            return
        self.dismiss()
        try:
            await asyncio.wait([self._listening], timeout=PATIENCE)
        finally:
            if self.exit_code is None:
                self.kill()
        await asyncio.wait([self._listening])

    def last_words(self) -> str:
        """The end of what it wrote to its standard error; empty if it wrote nothing."""
        with contextlib.suppress(OSError):
            lines = self._messages.read_text(encoding="utf-8", errors="replace").splitlines()
            return printable(" / ".join(line.strip() for line in lines[-LAST_WORDS:] if line.strip()))
        return ""

    def obituary(self) -> str:
        """How it ended, in words, with the last of its own."""
        code, words = self.exit_code, self.last_words()
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return f"{self.runtime_id} (process {self.pid}) {how}" + (f"; its last words: {words}" if words else "")
