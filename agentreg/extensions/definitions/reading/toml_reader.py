"""A definition as TOML, the way Codex writes it."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

from agentreg.extensions.definitions.problems import DefinitionError, Reporter
from agentreg.extensions.definitions.reading.decoding import place_of
from agentreg.extensions.definitions.reading.entries import Entry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

__all__ = ["DOT_LIMIT", "plain", "read_toml"]

DOT_LIMIT = 50  # dots in one line outside of texts: a key of a thousand parts takes its reader a million steps

_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY = re.compile(r"^\[{0,2}([\w-]+)", re.MULTILINE)
_MARK = re.compile(r"\"\"\"|'''|[\"'#\n.]")
# what a text or a comment consists of, up to and with its end
_ENDS = {
    '"""': re.compile(r'(?:\\.|(?!""").)*(?:"""|\Z)', re.DOTALL),
    "'''": re.compile(r"(?:(?!''').)*(?:'''|\Z)", re.DOTALL),
    '"': re.compile(r'(?:\\.|[^"\\\n])*"?'),
    "'": re.compile(r"[^'\n]*'?"),
    "#": re.compile(r"[^\n]*"),
}


def read_toml(text: str, reporter: Reporter) -> list[Entry]:
    """The entries of *text*, with the values that TOML gives them.

    Raises:
        DefinitionError: it is no TOML.
    """
    _refuse_long_keys(text, reporter)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(str(error), text, reporter) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets 1,000 deep
        raise reporter.error(1, 1, f"the file is no TOML ({error})", "make it shorter and flatter") from None
    places = _places(text)
    return [Entry(key, plain(value), places.get(key, 1), 1) for key, value in values.items()]


def _no_toml(reason: str, text: str, reporter: Reporter) -> DefinitionError:
    place = _PLACE.search(reason)
    line, column = (int(place[1]), int(place[2])) if place and place[1] else (text.count("\n") + 1, 1)
    reason = reason[: place.start()].strip() if place else reason
    return reporter.error(line, column, f"the file is no TOML ({reason})", "mend that place")


def _places(text: str) -> dict[str, int]:
    """The line of each key at the top, as far as it is written plainly."""
    places: dict[str, int] = {}
    line, position = 1, 0
    for found in _KEY.finditer(text):
        line += text.count("\n", position, found.start())
        position = found.start()
        places.setdefault(found[1], line)
    return places


def _refuse_long_keys(text: str, reporter: Reporter) -> None:
    if all(line.count(".") <= DOT_LIMIT for line in text.split("\n")):
        return
    position, dots = 0, 0
    while mark := _MARK.search(text, position):
        sign, position = mark[0], mark.end()
        if sign in _ENDS:
            end = _ENDS[sign].match(text, position)
            position = end.end() if end else position
        else:
            dots = 0 if sign == "\n" else dots + 1
        if dots > DOT_LIMIT:
            line, column = place_of(text, mark.start())
            raise reporter.error(line, column, f"more than {DOT_LIMIT} dots in one line", "use shorter keys")


def plain(value: Any) -> Any:
    """*value* as JSON has it: dates, times, inf and nan as texts."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float)) else str(value)
