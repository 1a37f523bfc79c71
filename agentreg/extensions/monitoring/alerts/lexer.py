"""From a text to words, quantities, operators and strings, each with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentreg.extensions.monitoring.alerts.errors import AlertRuleError
from agentreg.extensions.monitoring.alerts.rule import TEXT_LIMIT

__all__ = ["Token", "tokens"]

Kind = Literal["string", "quantity", "word", "operator", "colon", "end"]

_PATTERN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
      | (?P<quantity>[+-]?\.?\d[\w.]*%?)
      | (?P<word>(?:[^\W\d]|[*?\[])[\w.*?\[\]-]*|%)
      | (?P<operator>[<>=!~]+)
      | (?P<colon>:)
      | (?P<space>\s+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A piece of a rule.

    Attributes:
        kind: What it is; ``"end"`` is behind the last.
        text: As written; of a string, what it says.
        column: Counted from 1.
    """

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def tokens(text: str) -> Iterator[Token]:
    """The pieces of *text*, in order, and the end. Raises AlertRuleError."""
    if len(text) > TEXT_LIMIT:
        raise AlertRuleError(text, TEXT_LIMIT + 1, f"a rule has {TEXT_LIMIT:,} characters at most; this has more")
    at = 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise _strange(text, at)
        kind = match.lastgroup
        if kind != "space":
            yield Token(kind, _said(text, match) if kind == "string" else match[0], at + 1)  # type: ignore[arg-type]
        at = match.end()
    yield Token("end", "", len(text) + 1)


def _said(text: str, match: re.Match[str]) -> str:
    try:
        return str(json.loads(match[0], strict=False))
    except ValueError as error:
        column = match.start() + 1 + getattr(error, "pos", 0)
        raise AlertRuleError(text, column, "this escape is not one of JSON's", ('\\"', "\\\\", "\\n")) from error


def _strange(text: str, at: int) -> AlertRuleError:
    if text[at] == '"':
        return AlertRuleError(text, at + 1, "this string is not closed", ('a closing "',))
    return AlertRuleError(text, at + 1, f"unexpected character {text[at]!r}")
