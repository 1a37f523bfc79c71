"""Entry: one key of a header with its value, as a reader found it."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Entry", "kind_of"]

_KINDS = {str: "text", list: "a list", dict: "a mapping", bool: "true or false", int: "a number", float: "a number"}


class Entry(NamedTuple):
    """A key, its value (a text, a list or a dict; from TOML also numbers), and the place of the key in its file."""

    key: str
    value: Any
    line: int
    column: int


def kind_of(value: object) -> str:
    """What *value* is, in a sentence."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")
