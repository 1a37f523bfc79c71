"""Where one stands in a store of several partitions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["START", "Mark", "Position", "Revision"]


class Position(NamedTuple):
    """A change in the log of one partition.

    Attributes:
        number: Its revision there.
        nonce: What only this change has, in this store and no other; empty if it is not known.
    """

    number: int
    nonce: str


START = Position(0, "")


class Revision(int):
    """The sum of the partitions' revisions, which knows its parts.

    Attributes:
        parts: The position in each partition.
    """

    parts: tuple[Position, ...]

    def __new__(cls, parts: Iterable[Position]) -> Revision:
        parts = tuple(parts)
        self = super().__new__(cls, sum([part.number for part in parts]))
        self.parts = parts
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Revision, (self.parts,)

    def moved(self, partition: int, position: Position) -> Revision:
        """The revision with another position in one partition."""
        parts = self.parts
        return Revision((*parts[:partition], position, *parts[partition + 1 :]))


class Mark(int):
    """The lowest of the partitions' beat numbers, which knows its parts. As a plain number it stands for all of them.

    Attributes:
        parts: The number of the last beat that was read in each partition.
        read: When that was, on the event loop's clock.
    """

    parts: tuple[int, ...]
    read: float

    def __new__(cls, parts: Iterable[int], read: float = 0.0) -> Mark:
        parts = tuple(parts)
        self = super().__new__(cls, min(parts))
        self.parts = parts
        self.read = read
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Mark, (self.parts,)
