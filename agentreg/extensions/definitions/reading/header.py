"""Where the header begins and ends."""

from __future__ import annotations

import re
from typing import NamedTuple

from agentreg.extensions.definitions.problems import NotAnAgent, Reporter
from agentreg.extensions.definitions.reading.decoding import place_of

__all__ = ["FIRST_LINE", "Header", "split"]

FIRST_LINE = 2  # of the header, in its file: the first is the ---

_OPEN = re.compile(r"---[ \t]*(?:\n|\Z)")
_CLOSE = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)
_LONGER = re.compile(r"^-{4,}[ \t]*$", re.MULTILINE)
_LATER = re.compile(r"^[ \t]*(?P<fence>```|~~~)|^(?P<dashes>[ \t]*---)[ \t]*$", re.MULTILINE)
_FIELD = re.compile(r"\s*(?:name|description)[ \t]*:")


class Header(NamedTuple):
    """The two parts of a definition.

    Attributes:
        text: The lines between the two ``---``, the last without its end; the first is line 2 of the file.
        body: What follows, without blank lines around it.
        body_line: The line behind the closing one.
    """

    text: str
    body: str
    body_line: int


def split(text: str, reporter: Reporter) -> Header:
    """Take *text* apart.

    Raises:
        NotAnAgent: it has no header; a warning where one starts later or is indented.
        DefinitionError: its header is not closed.
    """
    opening = _OPEN.match(text)
    if opening is None:
        raise _no_header(text, reporter)
    start = opening.end()
    closing = _CLOSE.search(text, start)
    if closing is None:
        raise reporter.error(1, 1, "the header that begins here is not closed", _how_to_close(text, start))
    body_line = text.count("\n", 0, closing.start()) + 2
    return Header(text[start : max(start, closing.start() - 1)], _trimmed(text[closing.end() :]), body_line)


def _trimmed(body: str) -> str:
    """*body* without blank lines around it; the first line keeps its indentation, which may be that of a code block."""
    body = body.rstrip()
    first = len(body) - len(body.lstrip())
    return body[body.rfind("\n", 0, first) + 1 :]


def _how_to_close(text: str, start: int) -> str:
    longer = _LONGER.search(text, start)
    if longer is None:
        return "put a line --- below the last field"
    line, _ = place_of(text, longer.start())
    return f"line {line} is a longer row of dashes: shorten it to ---"


def _no_header(text: str, reporter: Reporter) -> NotAnAgent:
    later = _later_header(text)
    if later is None:
        return reporter.no_agent(1, 1, "no header: not an agent", "to make it one, begin it with ---", "information")
    line, column = place_of(text, later.end("dashes") - 3)
    how = "is indented" if column > 1 else "does not start in line 1"
    return reporter.no_agent(line, column, f"the header {how}: not an agent", "move --- to the very start", "warning")


def _later_header(text: str) -> re.Match[str] | None:
    """A ``---`` that a reader would take for a header's: the file's first text, or right above a field."""
    fenced = False
    first = len(text) - len(text.lstrip())
    for found in _LATER.finditer(text):
        if found["fence"]:
            fenced = not fenced
        elif not fenced and (found.end("dashes") - 3 == first or _FIELD.match(text, found.end())):
            return found
    return None
