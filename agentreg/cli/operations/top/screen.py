"""The terminal: taken, and given back as it was."""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Callable
from typing import Any

from typing_extensions import Self

from agentreg.cli.operations.top.picture import Picture
from agentreg.cli.operations.top.plain import lines_of

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

__all__ = ["Keyboard", "PlainScreen"]

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the other screen, without a cursor, and back


class PlainScreen:
    """The whole terminal, from the beginning of the block to its end, without rich. Not thread-safe."""

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(self, *exc: object) -> None:
        self._write(_LEAVE)

    def show(self, shown: Callable[[int], Picture]) -> None:
        """Draw what *shown* gives for the number of lines that there are."""
        columns, lines = shutil.get_terminal_size()
        self._write("\x1b[H" + "\x1b[K\r\n".join(list(lines_of(shown(lines), columns))[:lines]) + "\x1b[K\x1b[J")

    def _write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


class Keyboard:
    """Keys as they are pressed, from the beginning of the block to its end; none where standard input is no terminal.

    Ctrl-C still interrupts; Ctrl-Z and Ctrl-\\ do nothing, since they would
    leave the terminal as it is now.

    Attributes:
        descriptors: What can be read when a key was pressed.
    """

    def __init__(self) -> None:
        self.descriptors: tuple[int, ...] = ()
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if termios is None or sys.stdin is None or not sys.stdin.isatty():
            return self
        number = sys.stdin.fileno()
        self._before = termios.tcgetattr(number)
        self.descriptors = (number,)
        termios.tcsetattr(number, termios.TCSADRAIN, _keys_only(termios.tcgetattr(number)))
        return self

    def __exit__(self, *exc: object) -> None:
        if termios is not None and self._before is not None:
            termios.tcsetattr(self.descriptors[0], termios.TCSAFLUSH, self._before)

    def read(self) -> str:
        """What was typed since the last call; "" if nothing was. Raises EOFError when the terminal is gone."""
        if not self.descriptors or not select.select(self.descriptors, [], [], 0)[0]:
            return ""
        typed = os.read(self.descriptors[0], 1024)
        if not typed:
            raise EOFError
        return typed.decode("utf-8", "replace")


def _keys_only(settings: list[Any]) -> list[Any]:
    """*settings* of a terminal, without echo and lines."""
    assert termios is not None
    settings[3] &= ~(termios.ECHO | termios.ICANON)
    letters = settings[6]
    letters[termios.VMIN], letters[termios.VTIME] = 1, 0
    for key in (termios.VSUSP, termios.VQUIT):
        letters[key] = b"\0"
    return settings
