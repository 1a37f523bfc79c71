"""Many samples become few points: cells and sketches, merged by steps of time."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from agentreg.extensions.monitoring.metrics.series import Point
from agentreg.extensions.monitoring.metrics.sketch import Sketch
from agentreg.extensions.monitoring.metrics.spans import HOUR, MINUTE
from agentreg.extensions.monitoring.metrics.summary import Cell, Summary, merged

__all__ = ["LOSS", "Block", "RawSlot", "blocks_of"]

LOSS = 2e-9  #: a roll-up's figures are at most this part of themselves off


@dataclass
class Block:
    """A piece of one series. Merging is commutative and, up to a float's last digits, associative.

    Attributes:
        cells: When a step begins, in seconds since 1970 -> its values.
        sketches: When an hour or a day begins -> how its values are distributed.
    """

    cells: dict[int, Cell] = field(default_factory=dict)
    sketches: dict[int, Sketch] = field(default_factory=dict)

    def add(self, time: int, cell: Cell) -> None:
        """Count further values of the step at *time*."""
        known = self.cells.get(time)
        self.cells[time] = cell if known is None else merged(known, cell)

    def spread(self, time: int, sketch: Sketch) -> None:
        """Count a further distribution of the hour or day at *time*."""
        known = self.sketches.get(time)
        if known is None:
            self.sketches[time] = sketch.copy()
        else:
            known.merge(sketch)

    def merge(self, other: Block) -> None:
        """Count the values of *other*, too."""
        for time, cell in other.cells.items():
            self.add(time, cell)
        for time, sketch in other.sketches.items():
            self.spread(time, sketch)

    def coarser(self, step: int, grain: int) -> Block:
        """The same values in steps of *step* seconds, with sketches of *grain* seconds; 0: without."""
        block = Block()
        for time, cell in self.cells.items():
            block.add(time - time % step, cell)
        for time, sketch in self.sketches.items() if grain else ():
            block.spread(time - time % grain, sketch)
        return block

    def points(self, first: int, last: float, rounded: bool) -> tuple[Point, ...]:
        """A point for each step that begins within these times, in order; *rounded* to what is kept of a roll-up."""
        times = sorted(time for time in self.cells if first <= time <= last)
        cells = [(time, _rounded(self.cells[time]) if rounded else self.cells[time]) for time in times]
        return tuple(Point.of(time, cell, self.sketches.get(time)) for time, cell in cells)


@dataclass
class RawSlot:
    """The samples of one metric within one sampling interval.

    Attributes:
        time: When the interval begins.
        ids: Of the series that have a value.
        values: Their values, in the same order.
        extra: Series with more than one value, and what these are together.
    """

    time: int
    ids: array[int]
    values: array[float]
    extra: list[tuple[int, Summary]]


def _rounded(cell: Cell) -> Cell:
    count, low, high, total = cell
    return count, _restored(low), _restored(high), _restored(total)


def _restored(value: float) -> float:
    """The short number that *value* may have been before the end of it was left out, if there is one."""
    short = float(f"{value:.8g}")
    return short if abs(short - value) <= LOSS * abs(value) else value


def blocks_of(slots: Iterable[RawSlot]) -> Iterator[tuple[int, Block]]:
    """Series and their minutes, with a sketch for each hour. One hour's slots at a time take the least memory."""
    ordered = sorted(slots, key=lambda slot: slot.time)
    extra: dict[int, Block] = {}
    for slot in ordered:
        for series, summary in slot.extra:
            block = extra.setdefault(series, Block())
            block.add(slot.time - slot.time % MINUTE, summary.cell)
            block.spread(slot.time - slot.time % HOUR, summary.sketch)
    for series, block in _plain(ordered):
        if series in extra:
            block.merge(extra.pop(series))
        yield series, block
    yield from sorted(extra.items())


def _plain(slots: Sequence[RawSlot]) -> Iterator[tuple[int, Block]]:
    """Columns over the series become rows over time."""
    rosters = {slot.ids.tobytes(): slot.ids for slot in slots}  # most slots have the same
    everyone = list(dict.fromkeys(chain.from_iterable(rosters.values())))
    places = {roster: _places(ids, everyone) for roster, ids in rosters.items()}
    columns = [_column(slot.values, places[slot.ids.tobytes()]) for slot in slots]
    minutes, hours = _runs(slots, MINUTE), _runs(slots, HOUR)
    for series, row in zip(everyone, zip(*columns, strict=True), strict=True):
        whole = not math.isnan(sum(row))
        yield series, _block(row, minutes, hours) if whole else _block_with_gaps(row, minutes, hours)


def _places(ids: array[int], everyone: list[int]) -> list[int] | None:
    """Where in a column of *ids* each of *everyone* stands, -1 for nowhere; None: they are the same."""
    if ids.tolist() == everyone:
        return None
    known = {series: place for place, series in enumerate(ids)}
    return [known.get(series, -1) for series in everyone]


def _column(values: array[float], places: list[int] | None) -> array[float]:
    if places is None:
        return values
    padded = [*values, math.nan]
    return array("d", [padded[place] for place in places])


def _runs(slots: Sequence[RawSlot], step: int) -> list[tuple[int, int, int]]:
    """When each step begins, and which slots are in it."""
    runs: list[tuple[int, int, int]] = []
    for number, slot in enumerate(slots):
        time = slot.time - slot.time % step
        if runs and runs[-1][0] == time:
            runs[-1] = (time, runs[-1][1], number + 1)
        else:
            runs.append((time, number, number + 1))
    return runs


_Runs = list[tuple[int, int, int]]


def _block(row: Sequence[float], minutes: _Runs, hours: _Runs) -> Block:
    cells = {time: (end - start, min(part := row[start:end]), max(part), sum(part)) for time, start, end in minutes}
    return Block(cells, {time: Sketch.of(row[start:end]) for time, start, end in hours})


def _block_with_gaps(row: Sequence[float], minutes: _Runs, hours: _Runs) -> Block:
    block = Block()
    for time, start, end in minutes:
        if part := _known(row[start:end]):
            block.cells[time] = (len(part), min(part), max(part), sum(part))
    for time, start, end in hours:
        if part := _known(row[start:end]):
            block.sketches[time] = Sketch.of(part)
    return block


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]
