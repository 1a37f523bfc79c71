"""Old samples become roll-ups, old roll-ups coarser ones, and the oldest are deleted: one short job at a time."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TypeVar

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
    together,
    write,
)
from agentreg.extensions.monitoring.metrics.numbering import ALL, bump, counter
from agentreg.extensions.monitoring.metrics.packing import UnreadableBlockError, unpack, unpack_slots
from agentreg.extensions.monitoring.metrics.rollup import Block, RawSlot, blocks_of
from agentreg.extensions.monitoring.metrics.spans import DAY, HOUR, LEVELS, Level, Spans

__all__ = ["FUTURE", "Demotion"]

FUTURE = DAY  #: seconds that a sample's time may be ahead of a clock that was put back
_BATCH = 1024  # series of a level's job
_PART = 50  # series that are done before the job may be put off
_MINUTES, _FIVES, _HOURS, _DAYS = LEVELS

# What work costs, counted in series whose hour becomes minutes.
_BEGINNING = 10.0  # a job
_SAMPLE = 1 / 5000  # reading a sample
_COARSENING = 1.5  # a series whose minutes become coarser
_ROW = 1 / 50  # writing or deleting a row
_LEAST = 200.0  # what is done at once, at least
_PACE = 3.0  # times what an hour's samples cost is done in an hour: the rest is for what was left behind

_log = logging.getLogger("agentreg")
_Job = Iterator[float]


class Demotion:
    """Carries out what is due.

    A job reads, works without any lock, in parts, and writes only if nobody
    else has worked on the file meanwhile: the file may have several users.
    It yields what each part has cost.

    To be used by one thread at a time. *turn* gives a lock on the file.
    """

    def __init__(self, file: MetricsFile, turn: AbstractContextManager[object], interval: int, spans: Spans) -> None:
        self._file = file
        self._turn = turn
        self._interval = interval
        self._spans = spans
        self._pruned = -1
        self._worked: float | None = None
        self._job: _Job = iter(())

    def work(self, now: float, series: int, metrics: int) -> None:
        """Do a part of what is due, as large as the time since the last call. Raises MetricsStoreError.

        However seldom it is called, it keeps up with the samples of so many
        *series* and *metrics*; and the further it is behind, the more it does.
        """
        left = self._budget(now, series, metrics)
        while left > 0:
            cost = next(self._job, None)
            if cost is None:
                job = self._prune_job(now) or self._raw_job(now) or self._level_job(now)
                if job is None:
                    return
                self._job, cost = job, _BEGINNING
            left -= cost

    def _budget(self, now: float, series: int, metrics: int) -> float:
        elapsed = 0.0 if self._worked is None else max(0.0, now - self._worked)
        self._worked = now
        budget = _PACE * (series + _BEGINNING * metrics) * elapsed / HOUR
        return max(budget, _LEAST) * (1 + self._behind(now))

    # -- from samples -------------------------------------------------------

    def _last_due(self, now: float) -> int:
        """The last hour whose samples are to be rolled up."""
        return int((now - self._spans.raw) // HOUR) - 1

    def _behind(self, now: float) -> int:
        """For how many hours samples have waited for it in vain."""
        with self._turn, self._file.transaction() as connection:
            first = connection.execute("SELECT min(hour) FROM metrics_raw").fetchone()[0]
        return 0 if first is None else max(0, self._last_due(now) - 1 - first)

    def _raw_job(self, now: float) -> _Job | None:
        with self._turn, self._file.transaction() as connection:
            stamp = self._file.opened, counter(connection, "work")
            due = connection.execute(
                "SELECT metric, hour FROM metrics_raw WHERE hour <= ? ORDER BY hour LIMIT 1", (self._last_due(now),)
            ).fetchone()
            if due is None:
                return None
            rows = connection.execute("SELECT id, head, body FROM metrics_raw WHERE metric = ? AND hour = ?", due)
            return self._roll_up(rows.fetchall(), _number_of_all(connection, due[0]), stamp)

    def _roll_up(self, taken: list[tuple[int, bytes, bytes]], whole: int | None, stamp: tuple[int, int]) -> _Job:
        slots: list[RawSlot] = []
        for _, _, body in taken:
            found = _readable(unpack_slots, body) or []
            slots += found
            yield _SAMPLE * sum(len(slot.ids) for slot in found)
        rows: list[tuple[int, bytes]] = []
        blocks = chain(self._all_together(taken, whole), blocks_of(slots))
        while part := dict(islice(blocks, _PART)):
            rows += self._packed(_MINUTES, part)
            yield float(len(part))
        yield _ROW * len(rows)
        with self._turn, self._file.transaction(write=True) as connection:
            if self._begun(connection, stamp):
                write(connection, _MINUTES, of_known(connection, rows))
                connection.executemany("DELETE FROM metrics_raw WHERE id = ?", [(row[0],) for row in taken])

    def _all_together(self, taken: list[tuple[int, bytes, bytes]], series: int | None) -> Iterator[tuple[int, Block]]:
        """The block of all agents together."""
        whole = Block()
        for _, head, _ in taken:
            whole.merge(_readable(partial(unpack, step=self._interval, grain=HOUR, left_out=0), head) or Block())
        if series is not None and whole.cells:
            yield series, whole.coarser(_MINUTES.step, HOUR)

    # -- from roll-ups ------------------------------------------------------

    def _level_job(self, now: float) -> _Job | None:
        job = self._demote(_MINUTES, now - self._spans.minute, (_FIVES, _HOURS))
        if job is None and self._spans.day > self._spans.hour:
            job = self._demote(_HOURS, now - self._spans.hour, (_DAYS,))
        return job

    def _demote(self, source: Level, before: float, targets: tuple[Level, ...]) -> _Job | None:
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
    ) -> _Job:
        output: dict[Level, list[tuple[int, bytes]]] = {target: [] for target in targets}
        blocks = joined(taken.level, rows)
        while part := list(islice(blocks, _PART)):
            for target in targets:
                coarser = {series: block.coarser(target.step, target.grain) for series, block in part}
                output[target] += self._packed(
                    target, {series: block for series, block in coarser.items() if block.cells}
                )
            yield _COARSENING * len(part)
        yield _ROW * (len(rows) + sum(map(len, output.values())))
        with self._turn, self._file.transaction(write=True) as connection:
            if self._begun(connection, stamp):
                for level, packs in output.items():
                    write(connection, level, of_known(connection, packs))
                taken.delete(connection)

    def _packed(self, level: Level, blocks: dict[int, Block]) -> list[tuple[int, bytes]]:
        """Rows to write of *blocks*, together with what the file has of the same already."""
        with self._turn, self._file.transaction() as connection:
            blocks = together(connection, level, blocks)
        return packed(level, blocks)

    def _begun(self, connection: sqlite3.Connection, stamp: tuple[int, int]) -> bool:
        """Whether the file is as it was read; from here on it is not, for others."""
        if (self._file.opened, counter(connection, "work")) != stamp:
            return False
        bump(connection, "work")
        return True

    # -- deleting -----------------------------------------------------------

    def _prune_job(self, now: float) -> _Job | None:
        """Once an hour, delete what is too old, or further ahead than any clock is wrong by."""
        hour = int(now // HOUR)
        if hour == self._pruned:
            return None
        self._pruned = hour
        return self._prune(now)

    def _prune(self, now: float) -> _Job:
        keep = self._spans.day
        for level, span in ((_MINUTES, keep), (_FIVES, self._spans.five), (_HOURS, keep), (_DAYS, keep)):
            while deleted := self._deleted(level, now - span, now + FUTURE):
                yield _ROW * deleted
        with self._turn, self._file.transaction(write=True) as connection:
            bounds = (int((now - keep) // HOUR), int((now + FUTURE) // HOUR))
            connection.execute("DELETE FROM metrics_raw WHERE hour < ? OR hour > ?", bounds)
            _prune_series(connection, int((now - keep - 2 * DAY) // HOUR))
            bump(connection, "work")

    def _deleted(self, level: Level, since: float, until: float) -> int:
        """How many rows of the level were deleted just now."""
        with self._turn, self._file.transaction(write=True) as connection:
            deleted = delete_outside(connection, level, since, until, _BATCH)
            if deleted:
                bump(connection, "work")
        return deleted


def _prune_series(connection: sqlite3.Connection, before: int) -> None:
    query = "SELECT id FROM metrics_series WHERE last < ? LIMIT ?"
    found = [row[0] for row in connection.execute(query, (before, _BATCH))]
    if found:
        delete_series(connection, found)
        connection.executemany("DELETE FROM metrics_series WHERE id = ?", [(series,) for series in found])
        bump(connection, "names")


def _number_of_all(connection: sqlite3.Connection, metric: str) -> int | None:
    query = "SELECT id FROM metrics_series WHERE metric = ? AND agent = ?"
    found = connection.execute(query, (metric, ALL)).fetchone()
    return None if found is None else int(found[0])


_Read = TypeVar("_Read")


def _readable(read: Callable[[bytes], _Read], data: bytes) -> _Read | None:
    try:
        return read(data)
    except UnreadableBlockError as error:
        _log.warning("samples of a minute can't be read (%s) and are left out", error)
        return None


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
