"""Samples that are still in memory: those of one metric within one sampling interval."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from agentreg.extensions.monitoring.metrics.rollup import Block, RawSlot
from agentreg.extensions.monitoring.metrics.spans import HOUR
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["Slot", "names_in"]


class Slot:
    """One column of values over the agents; who has more than one value has a summary beside it.

    Thread-safe: no, its user holds a lock.

    Attributes:
        time: When the interval begins.
        names: Who has a value in the column.
        values: The column.
        extra: Agent -> further values.
    """

    __slots__ = ("extra", "names", "time", "values")

    def __init__(self, time: int) -> None:
        self.time = time
        self.names: tuple[str, ...] = ()
        self.values: array[float] = array("d")
        self.extra: dict[str, Summary] = {}

    def add(self, names: tuple[str, ...], values: array[float]) -> None:
        """Count a value for each of *names*; both are kept, not copied."""
        if not self.names:
            self.names, self.values = names, values
            return
        for name, value in zip(names, values, strict=True):
            known = self.extra.get(name)
            if known is None:
                self.extra[name] = Summary.of((value,))
            else:
                known.add(value)

    def add_summary(self, name: str, summary: Summary) -> None:
        """Count the values of *summary*, which is copied."""
        known = self.extra.get(name)
        if known is None:
            self.extra[name] = summary.copy()
        else:
            known.merge(summary)

    def merge(self, other: Slot) -> None:
        """Count the values of *other*, too."""
        if other.names:
            self.add(other.names, other.values)
        for name, summary in other.extra.items():
            self.add_summary(name, summary)

    def drop(self, name: str) -> None:
        """Forget the values of *name*."""
        self.extra.pop(name, None)
        if name in self.names:
            kept = [pair for pair in zip(self.names, self.values, strict=True) if pair[0] != name]
            self.names, self.values = tuple(pair[0] for pair in kept), array("d", [pair[1] for pair in kept])

    def summaries(self) -> list[tuple[str, Summary]]:
        """What each agent has in all."""
        found = {name: summary.copy() for name, summary in self.extra.items()}
        for name, value in zip(self.names, self.values, strict=True):
            if name in found:
                found[name].add(value)
            else:
                found[name] = Summary.of((value,))
        return list(found.items())

    def block(self, agent: str | None) -> Block:
        """What *agent* has, or with None all agents together."""
        if agent is None:
            return self._together()
        block = Block()
        if agent in self.names:
            block = _block(self.time, Summary.of((self.values[self.names.index(agent)],)))
        if agent in self.extra:
            block.merge(_block(self.time, self.extra[agent]))
        return block

    def _together(self) -> Block:
        block = _block(self.time, Summary.of(self.values)) if self.values else Block()
        for summary in self.extra.values():
            block.merge(_block(self.time, summary))
        return block

    def raw(self, ids: Callable[[tuple[str, ...]], array[int]], series: dict[str, int]) -> RawSlot:
        """As it is written: with *ids* of the column's names, and the *series* of the others."""
        extra = [(series[name], summary) for name, summary in self.extra.items()]
        return RawSlot(self.time, ids(self.names), self.values, extra)


def _block(time: int, summary: Summary) -> Block:
    return Block({time: summary.cell}, {time - time % HOUR: summary.sketch.copy()})


def names_in(slots: Iterable[Slot]) -> set[str]:
    """Everybody who has a value in one of *slots*."""
    slots = list(slots)
    columns = {id(slot.names): slot.names for slot in slots}  # most slots share one
    return set[str]().union(*columns.values(), *(slot.extra for slot in slots))
