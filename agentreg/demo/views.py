"""Views: how the story of the demo is told. Here as plain lines, or not at all."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from typing_extensions import Self

from agentreg.demo.board import Board
from agentreg.demo.printable import printable

__all__ = ["INDENT", "WIDTH", "PlainView", "View"]

INDENT = 3
WIDTH = 100  # longer lines are hard to read


class View:
    """What the stage tells its story to. This one tells nobody; the others say more.

    It is entered before the first line and left after the last.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Give the terminal back, however the story ended."""

    def open(self, title: str, board: Board) -> None:
        """The first line, and the board to look at from now on."""

    def step(self, word: str, sentence: str) -> None:
        """A new step of the story: the word that it introduces, and what that means."""

    def line(self, text: str, mark: bool = False) -> None:
        """What happened in this step; *mark* it if it is what the step is about."""

    def progress(self, busy: Mapping[str, str]) -> None:
        """One more file was read; *busy* are the analysts that were reading then, with their files."""

    def close(self, rows: list[tuple[str, str]]) -> None:
        """The last lines: what, and how much."""


class PlainView(View):
    """Tells the story in lines of text: for pipes, logs, and terminals without rich."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.width = WIDTH
        if self.stream.isatty():
            self.width = max(40, min(WIDTH, shutil.get_terminal_size().columns))
        self.steps = 0
        self.quarters = 0

    def open(self, title: str, board: Board) -> None:
        self.board = board
        self._print(title)

    def step(self, word: str, sentence: str) -> None:
        self.steps += 1
        self._print("")
        self._print(f"{self.steps}. {word.upper()}: {sentence}", INDENT)

    def line(self, text: str, mark: bool = False) -> None:
        self._print(f"{'>' if mark else '-'} {text}", INDENT + 2, INDENT)

    def progress(self, busy: Mapping[str, str]) -> None:
        board = self.board
        quarters = 4 * board.read // max(1, board.found)
        if quarters > self.quarters:
            self.quarters = quarters
            text = f"dispatcher: {board.read:,} of {board.found:,} files read"
            readers = ", ".join(f"{name} ({printable(file)})" for name, file in sorted(busy.items())[:3])
            self.line(f"{text}; busy: {readers}" if readers else text)

    def close(self, rows: list[tuple[str, str]]) -> None:
        self._print("")
        wide = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            self._print(f"{name:{wide}}{value}", wide)

    def _print(self, text: str, hanging: int = 0, indent: int = 0) -> None:
        encoding = self.stream.encoding or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        lines = textwrap.wrap(
            text,
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        print("\n".join(lines), file=self.stream, flush=True)
