"""What commands print: lines, tables, differences and JSON that no name or text can play tricks with."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, TextIO

from agentreg.demo.printable import printable

__all__ = ["difference", "note", "one_line", "say", "say_difference", "say_document", "say_table", "shortened"]

Row = Sequence[str]


def say(text: str = "", stream: TextIO | None = None) -> None:
    """Print one line at once; what the stream can't encode is spelled out."""
    stream = sys.stdout if stream is None else stream
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def note(text: str) -> None:
    """A line beside the result: on standard error."""
    say(printable(text), sys.stderr)


def say_document(value: Any, *, indent: int | None = 2) -> None:
    """Print *value* as one JSON document, in ASCII."""
    say(json.dumps(value, indent=indent))


def one_line(text: str) -> str:
    """*text* in one line, with what can't be printed spelled out.

    >>> one_line("Looks\\n  around\\u202e")
    'Looks around\\\\u202e'
    """
    return printable(" ".join(text.split()))


def shortened(text: str, width: int = 60) -> str:
    """The beginning of *text*, in one line of at most *width* characters.

    >>> shortened("Looks around in the whole house", 16)
    'Looks around ...'
    """
    line = one_line(text[: 8 * width])
    if len(line) <= width and len(text) <= 8 * width:
        return line
    head, space, _ = line[: width - 3].rpartition(" ")
    return f"{head} ..." if space else f"{line[: width - 3]}..."


# -- tables -----------------------------------------------------------------


def say_table(head: Row, rows: Iterable[Row]) -> None:
    """Print a table: with rich on a terminal, else in columns of plain text."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if _draws():
        from agentreg.cli.rich_printing import print_table

        print_table(head, cells)
        return
    for line in _columns([[name.upper() for name in head], *cells]):
        say(line)


def _columns(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _draws() -> bool:
    """Whether rich is there and there is somebody to draw for."""
    wanted = bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return wanted and unicode and find_spec("rich") is not None


# -- differences ------------------------------------------------------------


def difference(old: str, new: str, old_name: str, new_name: str) -> list[str]:
    """The unified diff from *old* to *new*, line by line, as ``diff -u`` shows it; empty if they are the same.

    >>> difference("a\\nb\\n", "a\\nc\\n", "one", "two")
    ['--- one', '+++ two', '@@ -1,2 +1,2 @@', ' a', '-b', '+c']
    """
    found = difflib.unified_diff(_lines(old), _lines(new), old_name, new_name, lineterm="")
    return [printable_line(part) for line in found for part in line.split("\n")]


def printable_line(line: str) -> str:
    """A line of a text, harmless, with its tabs as spaces."""
    return printable(line.expandtabs(4))


def _lines(text: str) -> list[str]:
    *lines, last = text.split("\n")  # not splitlines: what it takes for ends of lines besides is text here
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines


def say_difference(lines: Iterable[str]) -> None:
    """Print a unified diff: in colours on a terminal with rich."""
    if _draws():
        from agentreg.cli.rich_printing import print_difference

        print_difference(lines)
        return
    for line in lines:
        say(line)
