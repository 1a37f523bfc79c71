"""What is asked for: memory, processor and tasks, at a priority, found fit before anything changes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypeAlias

from agentreg.extensions.resources.sizes import Size, format_size, parse_size

__all__ = ["PRIORITIES", "Need", "Priority", "cores", "millicores", "priority_of", "text_of"]

Priority: TypeAlias = Literal["critical", "important", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("critical", "important", "normal", "low")
"""The priorities, the most urgent first."""

UNLIMITED = 1 << 60  # thousandths of a core; a number, so that what is allocated of it is known


class Need(NamedTuple):
    """What one request asks for.

    Attributes:
        memory: Bytes.
        cpu: Thousandths of a core: whole numbers add up exactly.
        tasks: How many tasks at a time; counted, not limited.
    """

    memory: int
    cpu: int
    tasks: int

    @classmethod
    def of(cls, memory: Size, cpu: float | None, tasks: int) -> Need:
        """The need that the arguments of a request say."""
        return cls(parse_size(memory, "memory"), 0 if cpu is None else millicores(cpu), _whole(tasks, "tasks"))

    def __str__(self) -> str:
        text = format_size(self.memory)
        return f"{text} and {cores(self.cpu):g} cores" if self.cpu else text


def millicores(value: Any, where: str = "cpu") -> int:
    """Thousandths of a core, rounded up, of a number of cores.

    >>> millicores(0.5), millicores(2)
    (500, 2000)
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{where}: expected a number of cores from 0 up, such as 0.5, got {value!r}")
    return math.ceil(Fraction(str(value)) * 1000)


def cores(thousandths: float) -> float:
    """The cores that so many thousandths are.

    >>> cores(500)
    0.5
    """
    return thousandths / 1000


def priority_of(value: Any) -> int:
    """The place of a priority among `PRIORITIES`.

    >>> priority_of("critical"), priority_of("low")
    (0, 3)
    """
    for place, priority in enumerate(PRIORITIES):
        if isinstance(value, str) and value == priority:
            return place
    raise ValueError(f"priority: expected one of {', '.join(map(repr, PRIORITIES))}, got {value!r}")


def text_of(value: Any, where: str) -> str:
    """*value*, which must be some text.

    >>> text_of("team-a", "owner")
    'team-a'
    """
    if not isinstance(value, str):
        raise TypeError(f"{where}: expected text, got {value!r} of type {type(value).__name__}")
    if not value:
        raise ValueError(f"{where}: expected some text, got an empty one")
    return str.__str__(value)  # a subclass might compare in code of its own, under the lock


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{where}: expected a whole number from 0 up, got {value!r}")
    return int(value)
