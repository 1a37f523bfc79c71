"""Sizes of memory: from text with a unit to bytes, and back."""

from __future__ import annotations

import functools
import math
import re
from fractions import Fraction
from typing import Any, TypeAlias

from agentreg.extensions.resources.errors import SizeError

__all__ = ["Size", "format_size", "parse_size"]

Size: TypeAlias = int | float | str
"""Bytes, or text with a unit."""

LARGEST = (1 << 63) - 1  # what a signed word holds: more than any machine has
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_NAMES = ("B", "KB", "MB", "GB", "TB", "PB", "EB")
_TEXT = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*([kmgtp]?)i?b?\s*", re.IGNORECASE | re.ASCII)


def parse_size(value: Size, where: str = "size") -> int:
    """The bytes that *value* means; a fraction of a byte counts as a whole one.

    Units are powers of 1024, however they are written: ``GB``, ``gb``,
    ``GiB`` and ``g`` are all 2**30. *where* names the argument in errors.

    Raises:
        SizeError: it is no size, negative, not finite, or beyond 2**63 - 1.

    >>> parse_size("1024mb"), parse_size("1.5 GiB"), parse_size("512 KiB"), parse_size(4096)
    (1073741824, 1610612736, 524288, 4096)
    >>> parse_size("64GB") == parse_size("64 GiB") == 64 * 2**30
    True
    """
    size = _bytes_of(value)
    if size is None or not 0 <= size <= LARGEST:
        raise SizeError(_shown(value), where)
    return size


def _bytes_of(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return math.ceil(value) if math.isfinite(value) and value >= 0 else None
    return _read(str.__str__(value)) if isinstance(value, str) else None


@functools.lru_cache(maxsize=1024)
def _read(text: str) -> int | None:
    found = _TEXT.fullmatch(text) if len(text) <= 80 else None
    return None if found is None else math.ceil(Fraction(found[1]) * (1 << _UNITS[found[2].lower()]))


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def format_size(size: float) -> str:
    """*size* bytes as text, with three digits and the handiest unit.

    >>> format_size(64 * 2**30), format_size(1536 * 2**20), format_size(100), format_size(0)
    ('64GB', '1.5GB', '100B', '0B')
    """
    steps = 0
    while abs(size) >= 999.5 and steps < len(_NAMES) - 1:
        size /= 1024
        steps += 1
    return f"{size:.3g}{_NAMES[steps]}"
