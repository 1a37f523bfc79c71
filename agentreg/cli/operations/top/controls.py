"""What the keys do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentreg.cli.operations.top.columns import COLUMNS

__all__ = ["Controls", "keys_in"]

_SEQUENCES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[C": "right",
    "\x1bOC": "right",
    "\x1b[D": "left",
    "\x1bOD": "left",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
}
_NAMES = {"\x1b": "escape", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x03": "q"}
_LONGEST = 200  # characters of a filter
_FAR = 1 << 40


def keys_in(text: str) -> Iterator[str]:
    """The keys that *text* from a terminal stands for: characters, or names as ``up`` and ``enter``.

    >>> list(keys_in("s\\x1b[A/ab\\r\\x1b"))
    ['s', 'up', '/', 'a', 'b', 'enter', 'escape']
    """
    place = 0
    while place < len(text):
        found = next((each for each in _SEQUENCES if text.startswith(each, place)), None)
        if found is not None:
            yield _SEQUENCES[found]
        elif text.startswith("\x1b[", place):  # a key that means nothing here
            found = _unknown(text[place:])
        else:
            found = text[place]
            yield _NAMES.get(found, found)
        place += len(found)


def _unknown(text: str) -> str:
    end = next((at for at, each in enumerate(text[2:], 2) if "@" <= each <= "~"), len(text) - 1)
    return text[: end + 1]


@dataclass
class Controls:
    """How the table is shown, as the keys have it. Not thread-safe.

    Attributes:
        sort: The column.
        wanted: What is filtered by.
        reverse: Whether the order is the other way round than usual.
        typing: Whether keys go into the filter.
        first: The first row that is shown.
        page: How many rows fit; the picture says so.
        done: Whether somebody has had enough.

    Example:
        >>> controls = Controls("cpu")
        >>> controls.press("s")
        >>> controls.sort
        'memory'
    """

    sort: str = "cpu"
    wanted: str = ""
    reverse: bool = False
    typing: bool = False
    first: int = 0
    page: int = 20
    done: bool = False

    def press(self, key: str) -> None:
        """Do what *key* means; what means nothing does nothing."""
        if self.typing and self._type(key):
            return
        if key in ("q", "Q"):
            self.done = True
        elif key in ("s", "right"):
            self._sort_by(1)
        elif key in ("S", "left"):
            self._sort_by(-1)
        elif key == "r":
            self.reverse = not self.reverse
        elif key == "/":
            self.typing = True
        elif key == "escape":
            self.wanted, self.first = "", 0
        else:
            self._scroll(key)

    def window(self, count: int) -> int:
        """The first of *count* rows that is shown: the last page is a full one."""
        self.first = max(0, min(self.first, count - self.page))
        return self.first

    def _type(self, key: str) -> bool:
        """Change the filter; False for a key that moves."""
        if key in ("enter", "escape"):
            self.typing = False
            self.wanted = "" if key == "escape" else self.wanted
        elif key == "backspace":
            self.wanted = self.wanted[:-1]
        elif len(key) == 1 and key.isprintable():
            self.wanted = (self.wanted + key)[:_LONGEST]
        else:
            return False
        self.first = 0
        return True

    def _sort_by(self, steps: int) -> None:
        names = list(COLUMNS)
        self.sort = names[(names.index(self.sort) + steps) % len(names)]
        self.reverse = False
        self.first = 0

    def _scroll(self, key: str) -> None:
        rows = {
            "up": -1,
            "k": -1,
            "down": 1,
            "j": 1,
            "page up": -self.page,
            "page down": self.page,
            " ": self.page,
            "home": -_FAR,
            "end": _FAR,
        }.get(key, 0)
        self.first = max(0, self.first + rows)
