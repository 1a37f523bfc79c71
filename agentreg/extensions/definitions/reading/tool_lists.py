"""Lists of tools, however they are written."""

from __future__ import annotations

import json
import re

__all__ = ["split_list"]

_MARK = re.compile(r"[\[\](){}\"',]")
_OPENING, _CLOSING = "([{", ")]}"


def split_list(text: str) -> list[str]:
    """The parts of *text* between its commas, or the items of the JSON list that it looks like.

    Commas inside brackets or quotes don't split. A part that is quoted as a whole loses its quotes.

    >>> split_list("Read, Bash(git push *), Agent(a, b)")
    ['Read', 'Bash(git push *)', 'Agent(a, b)']
    >>> split_list('["Read", "Grep"]')
    ['Read', 'Grep']
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        items = _json_list(text)
        return split_list(text[1:-1]) if items is None else [item for item in map(str.strip, items) if item]
    parts = _split(text, quotes=True) or _split(text, quotes=False)
    return [part for part in map(_unquoted, parts) if part]


def _json_list(text: str) -> list[str] | None:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return items if all(isinstance(item, str) for item in items) else None


def _split(text: str, quotes: bool) -> list[str]:
    """The parts; none where a quote is not closed, and so was an apostrophe."""
    parts, start, depth, quote = [], 0, 0, ""
    for mark in _MARK.finditer(text):
        sign = mark[0]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign if quotes else ""
        elif sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth = max(0, depth - 1)
        elif not depth:
            parts.append(text[start : mark.start()])
            start = mark.end()
    return [] if quote else [*parts, text[start:]]


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
