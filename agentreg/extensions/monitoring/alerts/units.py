"""Quantities and durations as people write them: ``90%``, ``5s``, ``1.5gb``, ``1h30m``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

__all__ = ["DURATION_UNITS", "KNOWN_METRICS", "UNITS", "Dimension", "Quantity", "duration_text", "units_of"]

Dimension = Literal["fraction", "seconds", "bytes", "number", "events"]

KNOWN_METRICS: Mapping[str, Dimension] = MappingProxyType(
    {
        "memory_usage": "fraction",
        "memory_bytes": "bytes",
        "cpu_utilization": "fraction",
        "task_queue_length": "number",
        "response_time": "seconds",
        "error_rate": "fraction",
        "mcp_connection_health": "fraction",
        "connection_failures": "events",
    }
)
"""Metric -> what it is measured in: fractions of 1, seconds, bytes, a plain number, or events that are counted."""

# as in agentreg.extensions.resources, a megabyte is 1024 * 1024 bytes, with the i and without
_SIZES = {f"{prefix}b": Decimal(1024) ** power for power, prefix in enumerate(("", "k", "m", "g", "t", "p"))}
_BINARY = {f"{prefix}ib": Decimal(1024) ** power for power, prefix in enumerate(("k", "m", "g", "t", "p"), 1)}

UNITS: Mapping[str, tuple[Dimension, Decimal]] = MappingProxyType(
    {
        "%": ("fraction", Decimal("0.01")),
        "ms": ("seconds", Decimal("0.001")),
        "s": ("seconds", Decimal(1)),
        "m": ("seconds", Decimal(60)),
        "h": ("seconds", Decimal(3600)),
        "d": ("seconds", Decimal(86400)),
        **{unit: ("bytes", factor) for unit, factor in {**_SIZES, **_BINARY}.items()},
    }
)
"""Unit -> what it measures, and how many fractions of 1, seconds or bytes it is."""

DURATION_UNITS: Mapping[str, int] = MappingProxyType(
    {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}  # milliseconds
)


def units_of(dimension: Dimension) -> tuple[str, ...]:
    """The units that a metric of *dimension* can be compared in; none for plain numbers.

    >>> units_of("fraction")
    ('%',)
    """
    return tuple(unit for unit, (measures, _) in UNITS.items() if measures == dimension)


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, as written.

    Attributes:
        number: The number before the unit.
        unit: A key of `UNITS`, or ``""``.

    Example:
        >>> Quantity.of("90%").value
        0.9
        >>> print(Quantity.of("1.50gb"))
        1.5gb
    """

    number: Decimal
    unit: str = ""

    @classmethod
    def of(cls, text: str) -> Quantity:
        """The quantity that *text* says. Raises ValueError."""
        match = re.fullmatch(r"([+-]?\d{1,20}(?:\.\d{1,20})?)([A-Za-z%]*)", text, re.ASCII)
        if match is None or (match[2] and match[2].lower() not in UNITS):
            raise ValueError(f"expected a number with a unit, as 90%, 5s or 1.5gb, got {text!r}")
        return cls(Decimal(match[1]), match[2].lower())

    @property
    def value(self) -> float:
        """In fractions of 1, seconds, bytes, or plain."""
        return float(self.number * self._factor)

    def shown(self, value: float) -> str:
        """A *value*, which is in fractions of 1, seconds or bytes, in this one's unit.

        >>> Quantity.of("90%").shown(0.934)
        '93.4%'
        """
        return f"{value / float(self._factor):.6g}{self.unit}"

    @property
    def _factor(self) -> Decimal:
        return UNITS[self.unit][1] if self.unit else Decimal(1)

    def __str__(self) -> str:
        return f"{_plain(self.number)}{self.unit}"


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def duration_text(milliseconds: int) -> str:
    """A duration as the rules write it.

    >>> duration_text(5_400_000)
    '1h30m'
    """
    parts = []
    for unit, size in DURATION_UNITS.items():
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
