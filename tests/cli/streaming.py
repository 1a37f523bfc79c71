"""Commands that go on: processes whose lines are read as they come."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

import agentreg

__all__ = ["Streaming"]

PATIENCE = 60.0  # seconds; a line that takes longer never comes


class Streaming:
    """A process of the command, with warnings as errors, ended at the end of the block."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            [sys.executable, "-m", "agentreg", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env={
                **os.environ,
                "PYTHONPATH": str(Path(agentreg.__file__).parents[1]),
                "PYTHONWARNINGS": "error",
                "PYTHONIOENCODING": "utf-8",
                **environment,
            },
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def until(self, text: str) -> str:
        """The next line with this text in it."""
        while True:
            line = self._queue.get(timeout=PATIENCE)
            assert line is not None, "\n".join(["it ended; it said:", *self.lines])
            self.lines.append(line)
            if text in line:
                return line

    def interrupt(self) -> int:
        """Press Ctrl-C, and wait for the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for the exit code."""
        code: int = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()
