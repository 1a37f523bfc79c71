"""A manager's options, found fit before anything is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agentreg.extensions.resources.requests import UNLIMITED, millicores, text_of
from agentreg.extensions.resources.sizes import Size, format_size, parse_size

__all__ = ["LOCAL", "STRATEGIES", "Shape", "fraction", "positive", "shape_of", "shapes_of", "strategy_of", "weights_of"]

LOCAL = "local"
STRATEGIES = ("best_fit_decreasing",)
KEYS = ("memory", "reserved", "cpu")
Shape = tuple[int, int]
"""What a host has for agents: bytes, and thousandths of a core."""


def shapes_of(total: Size, reserved: Size, cpu: Any, hosts: Mapping[str, Any] | None) -> dict[str, Shape]:
    """Host -> what it has for agents.

    >>> shapes_of("64GB", "8GB", None, {"a": {"memory": "2KB", "reserved": "1KB", "cpu": 2}, "b": "4KB"}) == {
    ...     "a": (1024, 2000), "b": (4096, UNLIMITED)}
    True
    """
    if hosts is None:
        return {LOCAL: shape_of("", total, reserved, cpu)}
    if not isinstance(hosts, Mapping) or not hosts:
        raise ValueError(f"hosts: expected a mapping of host names to what they have, at least one, got {hosts!r}")
    return {text_of(name, "host name"): _described(name, what, total, cpu) for name, what in hosts.items()}


def _described(name: str, what: Any, total: Size, cpu: Any) -> Shape:
    given = what if isinstance(what, Mapping) else {"memory": what}
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        raise ValueError(f"host {name!r}: unknown {', '.join(map(repr, unknown))}; expected {', '.join(KEYS)}")
    return shape_of(f"host {name!r}: ", given.get("memory", total), given.get("reserved", 0), given.get("cpu", cpu))


def shape_of(where: str, total: Size, reserved: Size, cpu: Any) -> Shape:
    """What is left of *total* for agents, and the cores; *where* begins the text of an error."""
    memory = parse_size(total, f"{where}memory" if where else "total_memory")
    kept = parse_size(reserved, f"{where}reserved")
    if kept >= memory:
        raise ValueError(
            f"{where}reserved: {format_size(kept)} of {format_size(memory)} leave nothing for agents; reserve less"
        )
    return memory - kept, UNLIMITED if cpu is None else millicores(cpu, f"{where}cpu")


def strategy_of(value: Any) -> str:
    """A strategy that there is."""
    if value not in STRATEGIES:
        raise ValueError(f"strategy: expected {' or '.join(map(repr, STRATEGIES))}, got {value!r}")
    return str(value)


def fraction(value: Any, where: str) -> float:
    """A number from 0 to 1.

    >>> fraction(0.1, "threshold")
    0.1
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{where}: expected a number from 0 to 1, such as 0.10 for 10 %, got {value!r}")
    return float(value)


def positive(value: Any, where: str) -> float:
    """A finite number above 0."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{where}: expected a finite number above 0, got {value!r}")
    return float(value)


def weights_of(value: Mapping[str, float] | None) -> dict[str, float]:
    """Owner -> weight."""
    return {
        text_of(owner, "owner"): positive(weight, f"weight of {owner!r}") for owner, weight in (value or {}).items()
    }
