"""Where in a statement an error is, found by what SQLite says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

__all__ = ["place_of"]

_NEAR = re.compile(r'^near "(?P<token>.+)": syntax error$', re.DOTALL)
_UNKNOWN = re.compile(r'^(?:no such (?:column|table|function): |unrecognized token: ")(?P<token>.+?)"?$', re.DOTALL)


def place_of(statement: str, message: str, complaint: Callable[[str], str]) -> str | None:
    """The line and column that *message* is about, from 1; None if that can't be told.

    Args:
        statement: The statement.
        message: What SQLite says of it.
        complaint: What it says of a beginning of the statement.

    >>> place_of("SELECT 1\\nFORM t", "no such column: FORM", lambda beginning: "")
    'line 2, column 1'
    """
    near = _NEAR.match(message)
    if near is not None:
        # the parser stops at the first token that can't be: only there does a beginning that ends with it fail so
        token = near["token"]
        end = next((end for end in _ends_of(token, statement) if complaint(statement[:end]) == message), None)
        return None if end is None else _place(statement, end - len(token))
    unknown = _UNKNOWN.match(message)
    if unknown is not None:
        starts = [end - len(unknown["token"]) for end in _ends_of(unknown["token"], statement)]
        return _place(statement, starts[0]) if len(starts) == 1 else None
    return _place(statement, len(statement.rstrip())) if message == "incomplete input" else None


def _ends_of(token: str, statement: str) -> Iterator[int]:
    """Where *token* ends in *statement*, each time that it stands there as a word."""
    before = r"(?<!\w)" if token[0].isalnum() else ""
    after = r"(?!\w)" if token[-1].isalnum() else ""
    return (found.end() for found in re.finditer(f"{before}{re.escape(token)}{after}", statement))


def _place(statement: str, offset: int) -> str:
    line = statement.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - statement.rfind(chr(10), 0, offset)}"
