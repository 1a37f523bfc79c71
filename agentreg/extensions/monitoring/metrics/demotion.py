"""Old samples become roll-ups, old roll-ups coarser ones, and the oldest are deleted: one short job at a time."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from agentreg.extensions.monitoring.metrics.file import MetricsFile
from agentreg.extensions.monitoring.metrics.levels import (
    delete_outside,
    delete_range,
    delete_series,
    joined,
    of_known,
    oldest,
    packed,
    read_range,
    write,
)
from agentreg.extensions.monitoring.metrics.numbering import ALL, bump, counter
from agentreg.extensions.monitoring.metrics.packing import UnreadableBlockError, unpack, unpack_slots
from agentreg.extensions.monitoring.metrics.rollup import Block, RawSlot, blocks_of
from agentreg.extensions.monitoring.metrics.spans import DAY, HOUR, LEVELS, Level, Spans

__all__ = ["FUTURE", "Demotion"]

FUTURE = DAY  #: seconds that a sample's time may be ahead of a clock that was put back
_BATCH = 1024  # series of a level's job
_PART = 100  # series that are done before the job may be put off
_SMALL = 10  # what beginning a job counts for, in series
_MINUTES, _FIVES, _HOURS, _DAYS = LEVELS

_log = logging.getLogger("agentreg")
_THROUGH = object()


class Demotion:
    """Carries out what is due.

    A job reads, works without any lock, in parts, and writes only if nobody
    else has worked on the file meanwhile: the file may have several users.

    To be used by one thread at a time. *turn* gives a lock on the file.
    """

    def __init__(self, file: MetricsFile, turn: AbstractContextManager[object], interval: int, spans: Spans) -> None:
        self._file = file
        self._turn = turn
        self._interval = interval
        self._spans = spans
        self._pruned = -1
        self._job: Iterator[None] = iter(())

    def work(self, now: float, budget: int) -> None:
        """Do what is due, but put it off after about *budget* series. Raises MetricsStoreError."""
        self._prune(now)
        left = max(float(budget), 1.0)
        while left > 0:
            if next(self._job, _THROUGH) is not _THROUGH:
                left -= _PART
                continue
            job = self._raw_job(now) or self._level_job(now)
            if job is None:
                return
            self._job = job
            left -= _SMALL

    # -- from samples -------------------------------------------------------

    def _raw_job(self, now: float) -> Iterator[None] | None:
        last = int((now - self._spans.raw) // HOUR) - 1
        with self._turn, self._file.transaction() as connection:
            stamp = self._file.opened, counter(connection, "work")
            due = connection.execute(
                "SELECT metric, hour FROM metrics_raw WHERE hour <= ? ORDER BY hour LIMIT 1", (last,)
            ).fetchone()
            if due is None:
                return None
            rows = connection.execute("SELECT id, head, body FROM metrics_raw WHERE metric = ? AND hour = ?", due)
            return self._roll_up(rows.fetchall(), _series_of(connection, due[0]), stamp)

    def _roll_up(
        self, taken: list[tuple[int, bytes, bytes]], series: Mapping[str, int], stamp: tuple[int, int]
    ) -> Iterator[None]:
        rows: list[tuple[int, bytes]] = []
        for number, pair in enumerate(self._minutes(taken, series)):
            rows += packed(_MINUTES, dict([pair]))
            if number % _PART == _PART - 1:
                yield
        with self._turn, self._file.transaction(write=True) as connection:
            if self._begun(connection, stamp):
                write(connection, _MINUTES, of_known(connection, rows))
                connection.executemany("DELETE FROM metrics_raw WHERE id = ?", [(row[0],) for row in taken])

    def _minutes(self, taken: list[tuple[int, bytes, bytes]], series: Mapping[str, int]) -> Iterator[tuple[int, Block]]:
        """All agents' blocks, and the one of all agents together."""
        slots: list[RawSlot] = []
        together = Block()
        for _, head, body in taken:
            try:
                slots += unpack_slots(body)
                together.merge(unpack(head, self._interval, HOUR, left_out=0))
            except UnreadableBlockError as error:
                _log.warning("samples of a minute can't be read (%s) and are left out", error)
        if ALL in series and together.cells:
            yield series[ALL], together.coarser(_MINUTES.step, HOUR)
        yield from blocks_of(slots)

    # -- from roll-ups ------------------------------------------------------

    def _level_job(self, now: float) -> Iterator[None] | None:
        job = self._demote(_MINUTES, now - self._spans.minute, (_FIVES, _HOURS))
        if job is None and self._spans.day > self._spans.hour:
            job = self._demote(_HOURS, now - self._spans.hour, (_DAYS,))
        return job

    def _demote(self, source: Level, before: float, targets: tuple[Level, ...]) -> Iterator[None] | None:
        """Roll up the oldest blocks of some series, if all that one target's block will hold is older than *before*."""
        whole = max(source.block, 6 * HOUR)
        with self._turn, self._file.transaction() as connection:
            stamp = self._file.opened, counter(connection, "work")
            found = oldest(connection, source)
            if found is None:
                return None
            start = found[0] * source.block // whole * whole
            if start + whole > before:
                return None
            numbers = range(start // source.block, (start + whole) // source.block)
            taken = _Taken(source, numbers, found[1], found[1] + _BATCH - 1)
            return self._coarsen(taken, taken.read(connection), targets, stamp)

    def _coarsen(
        self, taken: _Taken, rows: list[tuple[int, bytes]], targets: tuple[Level, ...], stamp: tuple[int, int]
    ) -> Iterator[None]:
        output: dict[Level, list[tuple[int, bytes]]] = {target: [] for target in targets}
        for number, (series, block) in enumerate(joined(taken.level, rows)):
            for target in targets:
                coarser = block.coarser(target.step, target.grain)
                output[target] += packed(target, {series: coarser} if coarser.cells else {})
            if number % _PART == _PART - 1:
                yield
        with self._turn, self._file.transaction(write=True) as connection:
            if self._begun(connection, stamp):
                for level, packs in output.items():
                    write(connection, level, of_known(connection, packs))
                taken.delete(connection)

    def _begun(self, connection: sqlite3.Connection, stamp: tuple[int, int]) -> bool:
        """Whether the file is as it was read; from here on it is not, for others."""
        if (self._file.opened, counter(connection, "work")) != stamp:
            return False
        bump(connection, "work")
        return True

    # -- deleting -----------------------------------------------------------

    def _prune(self, now: float) -> None:
        """Once an hour, delete what is too old, or further ahead than any clock is wrong by."""
        hour = int(now // HOUR)
        if hour == self._pruned:
            return
        keep = self._spans.day
        horizons = ((_MINUTES, keep), (_FIVES, self._spans.five), (_HOURS, keep), (_DAYS, keep))
        with self._turn, self._file.transaction(write=True) as connection:
            for level, span in horizons:
                delete_outside(connection, level, now - span, now + FUTURE)
            bounds = (int((now - keep) // HOUR), int((now + FUTURE) // HOUR))
            connection.execute("DELETE FROM metrics_raw WHERE hour < ? OR hour > ?", bounds)
            self._prune_series(connection, int((now - keep - 2 * DAY) // HOUR))
            bump(connection, "work")
        self._pruned = hour

    def _prune_series(self, connection: sqlite3.Connection, before: int) -> None:
        found = [row[0] for row in connection.execute("SELECT id FROM metrics_series WHERE last < ?", (before,))]
        if found:
            delete_series(connection, found)
            connection.execute("DELETE FROM metrics_series WHERE last < ?", (before,))
            bump(connection, "names")


def _series_of(connection: sqlite3.Connection, metric: str) -> dict[str, int]:
    return dict(connection.execute("SELECT agent, id FROM metrics_series WHERE metric = ?", (metric,)).fetchall())


@dataclass(frozen=True)
class _Taken:
    """What a job takes from a level: these blocks, of the series from *first* to *last*."""

    level: Level
    numbers: range
    first: int
    last: int

    def read(self, connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
        return [row for each in self.numbers for row in read_range(connection, self.level, each, self.first, self.last)]

    def delete(self, connection: sqlite3.Connection) -> None:
        for number in self.numbers:
            delete_range(connection, self.level, number, self.first, self.last)
