"""Which number stands for which series in the file."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Mapping

from agentreg.extensions.monitoring.metrics.file import MetricsFile

__all__ = ["ALL", "Numbering", "bump", "counter"]

ALL = ""  #: in place of an agent's name: all of them together
_FRESH = 24  # hours for which "last" may be behind


def counter(connection: sqlite3.Connection, key: str) -> int:
    """How often something has happened to the file: ``"work"`` to its roll-ups, ``"names"`` was taken away."""
    return int(connection.execute("SELECT value FROM metrics_meta WHERE key = ?", (key,)).fetchone()[0])


def bump(connection: sqlite3.Connection, key: str) -> None:
    """It has happened once more."""
    connection.execute("UPDATE metrics_meta SET value = value + 1 WHERE key = ?", (key,))


class Numbering:
    """A copy of the file's list of series, read anew when a number may have lost its meaning.

    To be used by one thread at a time.
    """

    def __init__(self, file: MetricsFile) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._ids: dict[str, dict[str, int]] = {}
        self._stale: set[int] = set()
        self._day = -1

    @property
    def size(self) -> int:
        """How many series are known."""
        return sum(map(len, self._ids.values()))

    @property
    def metrics(self) -> int:
        """How many metrics these are of."""
        return len(self._ids)

    def stamp(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Which file's numbers, and as of when; another stamp: they mean nothing any more."""
        return self._file.opened, counter(connection, "names")

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Bring the copy up to date, as far as numbers were taken away."""
        stamp = self.stamp(connection)
        if stamp != self._stamp:
            self._ids, self._stale = {}, set()
            for series, metric, agent in connection.execute("SELECT id, metric, agent FROM metrics_series"):
                self._ids.setdefault(metric, {})[agent] = series
            self._stamp, self._day = stamp, -1

    def number(self, connection: sqlite3.Connection, wanted: Mapping[str, Iterable[str]], hour: int) -> tuple[int, int]:
        """See that every agent of every metric in *wanted* has a number, and is marked as seen; the stamp."""
        self.refresh(connection)
        self._begin_day(hour)
        for metric, agents in wanted.items():
            known = self._ids.setdefault(metric, {})
            for agent in agents:
                if agent not in known:
                    known[agent] = _enter(connection, metric, agent, hour)
            late = self._stale.intersection(known[agent] for agent in agents)
            rows = [(hour, series) for series in late]
            connection.executemany("UPDATE metrics_series SET last = ? WHERE id = ?", rows)
            self._stale -= late
        assert self._stamp is not None
        return self._stamp

    def missing(self, wanted: Mapping[str, Iterable[str]], hour: int) -> bool:
        """Whether `number` would have to write."""
        self._begin_day(hour)
        for metric, agents in wanted.items():
            known, stale = self._ids.get(metric, {}), self._stale
            if any(known.get(agent) is None or known[agent] in stale for agent in agents):
                return True
        return False

    def _begin_day(self, hour: int) -> None:
        if hour // _FRESH != self._day:
            self._day = hour // _FRESH
            self._stale = {series for ids in self._ids.values() for series in ids.values()}

    def ids(self, metric: str) -> dict[str, int]:
        """Agent -> number, as far as known."""
        return self._ids.get(metric, {})

    def column(self, metric: str, names: tuple[str, ...]) -> array[int]:
        """The numbers of *names*."""
        ids = self.ids(metric)
        return array("I", [ids[name] for name in names])

    def find(self, connection: sqlite3.Connection, metric: str, agent: str | None) -> int | None:
        """The number of one series in the file; None if it has none."""
        found = connection.execute(
            "SELECT id FROM metrics_series WHERE metric = ? AND agent = ?", (metric, ALL if agent is None else agent)
        ).fetchone()
        return None if found is None else int(found[0])

    def forget_all(self) -> None:
        """Read everything anew at the next use."""
        self._stamp = None


def _enter(connection: sqlite3.Connection, metric: str, agent: str, hour: int) -> int:
    # another process may have entered it since
    connection.execute(
        "INSERT OR IGNORE INTO metrics_series (metric, agent, last) VALUES (?, ?, ?)", (metric, agent, hour)
    )
    found = connection.execute("SELECT id FROM metrics_series WHERE metric = ? AND agent = ?", (metric, agent))
    return int(found.fetchone()[0])
