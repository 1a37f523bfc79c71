"""What the file has of one series, from the finest level that suits a step to the coarsest."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator

from agentreg.extensions.monitoring.metrics.levels import read_series
from agentreg.extensions.monitoring.metrics.packing import UnreadableBlockError, unpack, unpack_slots
from agentreg.extensions.monitoring.metrics.rollup import Block, RawSlot
from agentreg.extensions.monitoring.metrics.sketch import Sketch
from agentreg.extensions.monitoring.metrics.spans import DAY, HOUR, LEVELS, Level
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["grain_of", "names_of", "read", "read_raw", "read_slots"]

_log = logging.getLogger("agentreg")


def names_of(connection: sqlite3.Connection, metric: str) -> dict[int, str]:
    """Series of a metric -> agent."""
    return dict(connection.execute("SELECT id, agent FROM metrics_series WHERE metric = ?", (metric,)).fetchall())


def grain_of(step: int) -> int:
    """How many seconds a sketch covers in a series of this step; 0: there are none."""
    return step if step >= HOUR else 0


def read(connection: sqlite3.Connection, series: int, step: int, since: float, until: float) -> Block:
    """What the roll-ups have of a series, in steps of *step*."""
    whole = Block()
    for level in _levels(step):
        for block in read_series(connection, level, series, since, until):
            whole.merge(block.coarser(step, grain_of(step)))
    return whole


def _levels(step: int) -> Iterable[Level]:
    # what has left the minutes is in the fives and in the hours: only one of them counts
    minutes, fives, hours, days = LEVELS
    return {DAY: (minutes, hours, days), HOUR: (minutes, hours)}.get(step) or (
        level for level in (minutes, fives) if level.step <= step
    )


def read_raw(
    connection: sqlite3.Connection, metric: str, series: int | None, interval: int, step: int, span: tuple[float, float]
) -> Block:
    """What the samples that are not rolled up yet say of *series*, or with None of all agents together."""
    whole = Block()
    column = "head" if series is None else "body"
    query = f"SELECT {column} FROM metrics_raw WHERE metric = ? AND hour BETWEEN ? AND ?"
    for (data,) in connection.execute(query, (metric, int(span[0] // HOUR), int(span[1] // HOUR))):
        try:
            if series is None:
                blocks = [unpack(data, interval, HOUR, left_out=0)]
            else:
                blocks = [_of_one(slot, series, grain_of(step)) for slot in unpack_slots(data)]
        except UnreadableBlockError as error:
            _log.warning("samples of %s can't be read (%s) and are left out", metric, error)
            continue
        for block in blocks:
            whole.merge(block.coarser(step, grain_of(step)))
    return whole


def _of_one(slot: RawSlot, series: int, grain: int) -> Block:
    block = Block()
    found = [summary for each, summary in slot.extra if each == series]
    if series in slot.ids:
        found.append(Summary.of((slot.values[slot.ids.index(series)],)))
    for summary in found:
        block.add(slot.time, summary.cell)
        block.spread(slot.time - slot.time % HOUR, summary.sketch if grain else Sketch())
    return block


def read_slots(
    connection: sqlite3.Connection, metric: str, after: int, hour: int
) -> Iterator[tuple[int, list[RawSlot]]]:
    """The rows of a metric's samples behind row *after*, from *hour* on: number and slots."""
    query = "SELECT id, body FROM metrics_raw WHERE metric = ? AND id > ? AND hour >= ? ORDER BY id"
    for number, body in connection.execute(query, (metric, after, hour)):
        try:
            yield number, unpack_slots(body)
        except UnreadableBlockError as error:
            _log.warning("samples of %s can't be read (%s) and are left out", metric, error)
