"""Answers as JSON, whatever a record holds."""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["encode"]

_quick = msgspec.json.Encoder().encode


def encode(value: Any) -> bytes:
    r"""*value* as JSON; half a character, which is no UTF-8, is written with an escape.

    A directory elsewhere may keep records with any text that Python has.

    >>> encode({"name": "half a pair: \ud800"})
    b'{"name":"half a pair: \\ud800"}'
    """
    try:
        return _quick(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()
