"""`MetricsStore`: what agents use and how they do, over time."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from array import array
from collections.abc import Callable, Mapping
from types import TracebackType

from typing_extensions import Self

from agentreg.extensions.monitoring.metrics.demotion import Demotion
from agentreg.extensions.monitoring.metrics.errors import MetricsStoreError, UnknownMetricError
from agentreg.extensions.monitoring.metrics.file import MetricsFile
from agentreg.extensions.monitoring.metrics.latest import Latest
from agentreg.extensions.monitoring.metrics.levels import delete_series
from agentreg.extensions.monitoring.metrics.names import TRACKED, check_metric
from agentreg.extensions.monitoring.metrics.numbering import ALL, Numbering, bump
from agentreg.extensions.monitoring.metrics.packing import pack, pack_slots
from agentreg.extensions.monitoring.metrics.pending import Limits, Pending, column_of
from agentreg.extensions.monitoring.metrics.reading import grain_of, names_of, read, read_raw, read_slots
from agentreg.extensions.monitoring.metrics.rollup import Block, RawSlot
from agentreg.extensions.monitoring.metrics.series import Series
from agentreg.extensions.monitoring.metrics.slots import Slot, names_in
from agentreg.extensions.monitoring.metrics.spans import HOUR, Spans, Steps
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["FLUSH_EVERY", "MetricsStore"]

FLUSH_EVERY = 60.0  #: seconds after which samples are on disk: what a crash loses at most
_TRIES = 5

_log = logging.getLogger("agentreg")
_Slots = dict[str, dict[int, Slot]]
_Row = tuple[str, int, bytes, bytes]


class MetricsStore:
    """Samples of agents, rolled up as they grow older, in a SQLite file.

    The file may be one with other tables: those of the metrics begin with
    ``metrics_``. Samples wait in memory, for a minute at most; that minute is
    what a crash loses. If the file is replaced, it is opened anew. Times are
    seconds since 1970.

    Thread-safe: yes. Recording waits for the disk only when nothing has
    flushed for a minute; a `Sampler` flushes in a thread.

    Args:
        path: The file, or ``":memory:"``.
        interval: Seconds from one sample to the next: a divisor of 60.
        spans: For how long points of each step are kept.
        limits: How many agents and metrics it takes.
        clock: Gives the seconds since 1970.
        patience: Seconds to wait for other users of the file.

    Raises:
        ValueError: the interval is no divisor of 60.
        MetricsStoreError: the file can't be opened.

    Example:
        >>> store = MetricsStore(clock=lambda: 1_700_000_000.0)
        >>> store.record_many("memory_usage", {"planner": 0.5, "writer": 0.7})
        >>> store.latest("memory_usage")
        {'planner': 0.5, 'writer': 0.7}
        >>> [(point.mean, point.count) for point in store.query("memory_usage")]
        [(0.6, 2)]
        >>> store.close()
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ":memory:",
        *,
        interval: float = 10.0,
        spans: Spans | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        patience: float = 5.0,
    ) -> None:
        self.interval = _checked_interval(interval)
        self.spans = spans or Spans()
        self.path = os.fspath(path)
        self._clock = clock
        self._steps = Steps(self.interval, self.spans)
        self._pending = Pending(self.interval, limits or Limits())
        self._memory = threading.Lock()  # of what is pending; never held while the disk is waited for
        self._disk = threading.Lock()  # of the file; taken before the other
        self._tending = threading.Lock()  # of the roll-ups
        self._file = MetricsFile(self.path, patience)
        self._numbering = Numbering(self._file)
        self._demotion = Demotion(self._file, self._disk, self.interval, self.spans)
        self._waiting_since: float | None = None
        self._open()

    def _open(self) -> None:
        with self._disk, self._file.transaction() as connection:
            self._numbering.refresh(connection)
            known = connection.execute("SELECT DISTINCT agent FROM metrics_series WHERE agent != ?", (ALL,)).fetchall()
            metrics = connection.execute("SELECT DISTINCT metric FROM metrics_series").fetchall()
        self._pending.know(agent for (agent,) in known)
        for (metric,) in metrics:
            self._pending.latest[metric] = Latest()

    # -- recording ----------------------------------------------------------

    def record_many(self, metric: str, values: Mapping[str, float], at: float | None = None) -> None:
        """Take one value for each agent, sampled at *at* (without it, now).

        Several samples of an agent within one interval count each. A value
        that is no finite number, and what is beyond the limits, is dropped
        and counted in `dropped`.

        Raises ValueError or TypeError if the metric's name, a value, or the
        time can't be; nothing was taken then.
        """
        check_metric(metric)
        column, now = column_of(values), self._time(None)
        at = now if at is None else self._time(at)
        with self._memory:
            self._pending.record(metric, values, column, at, now)
        self._see_to_flush()

    def record(self, metric: str, agent: str, value: float, at: float | None = None) -> None:
        """Take one value of one agent; see `record_many`.

        >>> store = MetricsStore()
        >>> store.record("battery", "rover", 0.8)
        >>> store.latest("battery")
        {'rover': 0.8}
        """
        self.record_many(metric, {agent: value}, at)

    def record_summaries(self, metric: str, summaries: Mapping[str, Summary], at: float | None = None) -> None:
        """Take what each agent's values within an interval are together; see `record_many`."""
        check_metric(metric)
        now = self._time(None)
        at = now if at is None else self._time(at)
        with self._memory:
            self._pending.record_summaries(metric, summaries, at, now)
        self._see_to_flush()

    @property
    def dropped(self) -> dict[str, int]:
        """How much was not taken since it was opened, by reason; empty if all was.

        ``agents`` and ``metrics``: beyond the limits, or a name that can't be;
        ``values``: no finite number; ``unwritten``: intervals of a metric
        that waited for the file too long.
        """
        with self._memory:
            return dict(self._pending.dropped)

    def _time(self, at: float | None) -> float:
        if at is None:
            at = self._clock()
        if not isinstance(at, (int, float)) or not 0 <= at < 1e11:
            raise ValueError(f"at: expected seconds since 1970, got {at!r:.80}")
        return at

    # -- asking -------------------------------------------------------------

    def query(
        self,
        metric: str,
        agent: str | None = None,
        since: float | None = None,
        until: float | None = None,
        step: float | str | None = None,
    ) -> Series:
        """What was sampled of *agent*, or without it of all agents together, in the order of time.

        Points begin at multiples of their step, the first in the step that
        *since* is in. Without *until* they go on until now, without *since*
        from when they are kept. Without *step* it is the finest that is kept
        that long and gives at most 1,500 points; without *since* either, the
        sampling interval. An agent without samples has no points. What was
        recorded before the call is seen.

        Args:
            step: The sampling interval, 60, 300, 3600 or 86400 seconds, or text: "10s", "1m", "5m", "1h", "1d".

        Raises:
            StepError: there is no such step.
            UnknownMetricError: neither a tracked metric nor one that was recorded.
            MetricsStoreError: the file can't be read.

        >>> with MetricsStore(clock=lambda: 7200.0) as store:
        ...     for at in range(0, 7200, 10):
        ...         store.record("cpu_utilization", "planner", at / 7200, at=at)
        ...     points = store.query("cpu_utilization", "planner", step="1h").points
        >>> [(int(point.time), point.count, round(point.p50, 1)) for point in points]
        [(0, 360, 0.2), (3600, 360, 0.7)]
        """
        now = self._time(None)
        seconds = self._step(step, since, until, now)
        self._check_known(metric)
        first = max(0 if since is None else since, now - self._steps.kept[seconds])
        start = int(first // seconds) * seconds
        if start < now - self._steps.kept[seconds]:
            start += seconds  # a point that is only partly kept would mislead
        end = now if until is None else until
        block = self._gathered(metric, agent, seconds, start, end)
        return Series(metric, agent, seconds, block.points(start, end, rounded=seconds > self.interval))

    def latest(self, metric: str, within: float | None = None) -> dict[str, float]:
        """Agent -> its last value, where it is at most *within* seconds old (without it: as old as raw samples get).

        What was recorded through another store on the same file counts once
        that has flushed. Of an interval's tasks it is the mean.

        Raises UnknownMetricError or MetricsStoreError, as `query` does.
        """
        now = self._time(None)
        oldest = now - (self.spans.raw if within is None else within)
        self._check_known(metric)
        with self._disk:
            self._read_latest(metric, oldest, now)
        with self._memory:
            latest = self._pending.latest.get(metric)
            return latest.since(oldest) if latest else {}

    def agents(self) -> list[str]:
        """Every agent of which something is kept, sorted."""
        with self._disk, self._file.transaction() as connection:
            found = {row[0] for row in connection.execute("SELECT DISTINCT agent FROM metrics_series")}
            with self._memory:
                for slots in self._pending.slots.values():
                    found |= names_in(slots.values())
        return sorted(found - {ALL})

    def metrics(self) -> list[str]:
        """Every metric of which something is kept, sorted."""
        with self._disk, self._file.transaction() as connection:
            found = {row[0] for row in connection.execute("SELECT DISTINCT metric FROM metrics_series")}
        with self._memory:
            return sorted(found | {metric for metric, slots in self._pending.slots.items() if slots})

    def forget(self, agent: str) -> None:
        """Delete everything of *agent*; its part in the figures of all agents together stays. Unknown: nothing happens.

        Raw samples leave the disk within three hours, but nobody sees them any more.
        """
        with self._tending, self._disk:
            with self._memory:
                self._pending.drop(agent)
            with self._file.transaction(write=True) as connection:
                rows = connection.execute("SELECT id FROM metrics_series WHERE agent = ?", (agent,)).fetchall()
                if agent != ALL and rows:
                    delete_series(connection, [series for (series,) in rows])
                    connection.execute("DELETE FROM metrics_series WHERE agent = ?", (agent,))
                    bump(connection, "names")

    def _check_known(self, metric: str) -> None:
        if metric not in TRACKED and metric not in self._pending.latest:
            known = self.metrics()
            if metric not in known:
                raise UnknownMetricError(metric, sorted({*TRACKED, *known}))

    def _step(self, step: float | str | None, since: float | None, until: float | None, now: float) -> int:
        if step is not None:
            return self._steps.named(step)
        if since is None:
            return self.interval
        return self._steps.suiting(since, now if until is None else until, now)

    def _gathered(self, metric: str, agent: str | None, step: int, since: float, until: float) -> Block:
        with self._disk:
            whole = self._from_memory(metric, agent, step)
            with self._file.transaction() as connection:
                series = self._numbering.find(connection, metric, agent)
                if series is not None:
                    whole.merge(read(connection, series, step, since, until))
                    which = None if agent is None else series
                    whole.merge(read_raw(connection, metric, which, self.interval, step, (since, until + step)))
        return whole

    def _from_memory(self, metric: str, agent: str | None, step: int) -> Block:
        whole = Block()
        with self._memory:
            for slot in self._pending.slots.get(metric, {}).values():
                whole.merge(slot.block(agent).coarser(step, grain_of(step)))
        return whole

    def _read_latest(self, metric: str, oldest: float, now: float) -> None:
        """Take over what is new in the file."""
        with self._memory:
            latest = self._pending.latest.setdefault(metric, Latest())
        with self._file.transaction() as connection:
            rows = list(read_slots(connection, metric, latest.row, int(oldest // HOUR)))
            names = names_of(connection, metric) if rows else {}
            for row, slots in rows:
                latest.row = row
                self._apply(latest, slots, names, now)

    def _apply(self, latest: Latest, slots: list[RawSlot], names: Mapping[int, str], now: float) -> None:
        seen: set[bytes] = set()  # an earlier column of the same series says nothing new
        with self._memory:
            for slot in sorted(slots, key=lambda slot: -slot.time):
                ids = slot.ids if slot.ids.tobytes() not in seen else ()
                seen.add(slot.ids.tobytes())
                values = {names[each]: value for each, value in zip(ids, slot.values, strict=False) if each in names}
                values.update((names[each], summary.mean) for each, summary in slot.extra if each in names)
                latest.update(values, slot.time, now)

    # -- writing ------------------------------------------------------------

    @property
    def flush_due(self) -> bool:
        """Whether samples have waited for almost a minute; a `Sampler` flushes then."""
        return self._waited() >= FLUSH_EVERY - 1.5 * self.interval

    def flush(self) -> None:
        """Write what waits in memory, and do a part of what is due: rolling up, deleting.

        That part is as large as the time since the last one. Call `tend`
        between flushes, as a `Sampler` does, and each is smaller.

        Raises MetricsStoreError if it can't be written; it waits on then.
        """
        self._write(self._time(None))
        self.tend()

    def tend(self) -> None:
        """Do a part of what is due, without writing what waits; what it can't do now is done later.

        Raises MetricsStoreError if the file can't be read or written.

        >>> with MetricsStore() as store:
        ...     store.tend()
        """
        now = self._time(None)
        if self._tending.acquire(blocking=False):
            try:
                self._demotion.work(now, self._numbering.size, self._numbering.metrics)
                with self._memory:
                    for latest in self._pending.latest.values():
                        latest.forget_before(now - self.spans.raw)
            finally:
                self._tending.release()

    def size(self) -> int:
        """How many bytes the file has, other tables included. Raises MetricsStoreError."""
        with self._disk:
            return self._file.size()

    def close(self) -> None:
        """Flush, and close the file. The next call opens it again."""
        try:
            self._write(self._time(None))
        finally:
            with self._disk:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _waited(self) -> float:
        since = self._waiting_since
        waited = 0.0 if since is None else self._clock() - since
        return waited if waited >= 0 else FLUSH_EVERY  # the clock was put back

    def _see_to_flush(self) -> None:
        if self._waiting_since is None:
            self._waiting_since = self._clock()
        elif self._waited() >= FLUSH_EVERY:
            try:
                self.flush()
            except MetricsStoreError as error:
                _log.warning("samples wait in memory: %s", error)

    def _write(self, now: float) -> None:
        with self._disk:
            with self._memory:
                taken = self._pending.take()
                self._waiting_since = None
            try:
                if taken:
                    self._append(taken, int(now // HOUR))
            except BaseException:
                self._numbering.forget_all()
                with self._memory:
                    self._pending.give_back(taken)
                    self._waiting_since = now
                raise

    def _append(self, taken: _Slots, hour: int) -> None:
        wanted = {metric: {ALL} | names_in(slots.values()) for metric, slots in taken.items()}
        for _ in range(_TRIES):
            stamp = self._number(wanted, hour)
            rows = [row for metric, slots in taken.items() for row in self._rows(metric, slots)]
            with self._file.transaction(write=True) as connection:
                if self._numbering.stamp(connection) == stamp:
                    for row in rows:
                        self._insert(connection, row)
                    return
        raise MetricsStoreError(
            self.path, "agents are being forgotten all the time", "it is tried again at the next flush"
        )

    def _insert(self, connection: sqlite3.Connection, row: _Row) -> None:
        """Write a row; what is known in memory anyway is not to be read again."""
        latest = self._pending.latest[row[0]]
        query = "SELECT coalesce(max(id), 0) FROM metrics_raw WHERE metric = ?"
        behind = connection.execute(query, row[:1]).fetchone()[0] > latest.row
        inserted = connection.execute("INSERT INTO metrics_raw (metric, hour, head, body) VALUES (?, ?, ?, ?)", row)
        if not behind:
            latest.row = inserted.lastrowid or 0

    def _number(self, wanted: dict[str, set[str]], hour: int) -> tuple[int, int]:
        with self._file.transaction() as connection:
            self._numbering.refresh(connection)
            if not self._numbering.missing(wanted, hour):
                return self._numbering.stamp(connection)
        with self._file.transaction(write=True) as connection:
            return self._numbering.number(connection, wanted, hour)

    def _rows(self, metric: str, slots: dict[int, Slot]) -> list[_Row]:
        """One row for each hour."""
        ids = self._numbering.ids(metric)
        columns: dict[int, array[int]] = {}

        def numbered(names: tuple[str, ...]) -> array[int]:
            if id(names) not in columns:  # most slots share one tuple
                columns[id(names)] = self._numbering.column(metric, names)
            return columns[id(names)]

        hours: dict[int, list[Slot]] = {}
        for begin in sorted(slots):
            hours.setdefault(begin // HOUR, []).append(slots[begin])
        return [
            (metric, hour, _head(some, self.interval), pack_slots([slot.raw(numbered, ids) for slot in some]))
            for hour, some in hours.items()
        ]


def _head(slots: list[Slot], interval: int) -> bytes:
    together = Block()
    for slot in slots:
        together.merge(slot.block(None))
    return pack(together, interval, HOUR, left_out=0)


def _checked_interval(interval: float) -> int:
    if isinstance(interval, (int, float)) and interval in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60):
        return int(interval)
    raise ValueError(f"interval: expected a divisor of 60 in whole seconds, as 10; got {interval!r:.80}")
