"""The directory's store in a SQLite file: what it costs beside sqlite3 itself, and how it fares under pressure."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from figures import Figures, Point, Row, at_least, at_most
from timing import Effort, compare

from agentreg.extensions.coordination.backend import Delete, Patch, Put, Renew
from agentreg.extensions.coordination.record import AgentMetadata, to_wire
from agentreg.extensions.coordination.sqlite.backend import CHUNK, SQLiteBackend
from agentreg.extensions.coordination.sqlite.rows import INSERT, to_json, to_row

WRITERS = 8
PRESSURE = 10.0  #: seconds
SIZES = (1_000, 10_000, 100_000)
RUNTIMES = 100
AGENTS = 100_000
PERIOD = 10.0  #: seconds between two beats
LOG = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)"


def measure(effort: Effort) -> Figures:
    """All of it."""
    figures = Figures()
    for part in (_beside_sqlite3, _under_pressure, _over_sizes, _beating):
        figures.add(part(effort))
    return figures


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _record(number: int, runtimes: int = RUNTIMES) -> AgentMetadata:
    runtime = number % runtimes
    return AgentMetadata(
        f"agent_{number:08x}",
        f"runtime-{runtime}",
        f"{number:032x}",
        [f"review code of kind {number % 1000}", "write tests"],
        registered=1_700_000_000.0 + number,
        rest={"name": f"reviewer {number}", "endpoint": f"http://localhost:{8000 + runtime}/"},
    )


class _Store:
    """A store in an event loop of its own, for callers that are not asynchronous."""

    def __init__(self, path: Path, options: str = "") -> None:
        self.loop = asyncio.new_event_loop()
        self.backend = SQLiteBackend(f"sqlite:///{path}{options}", time.monotonic)
        self.do(self.backend.open())

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def close(self) -> None:
        self.do(self.backend.close())
        self.loop.close()


# -- beside sqlite3 -----------------------------------------------------------


class _Raw:
    """The same bytes into the same tables, by sqlite3 alone: rows and JSON are ready before the clock starts."""

    def __init__(self, path: Path) -> None:
        store = _Store(path)  # the same layout and journal
        store.close()
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA synchronous = FULL")
        mode = "WAL" if _journal(path) == "wal" else "TRUNCATE"
        self.connection.execute(f"PRAGMA journal_mode = {mode}")
        self._revision = 0

    def prepared(self, records: list[AgentMetadata]) -> tuple[list[Any], list[Any]]:
        rows, lines = [], []
        for record in records:
            self._revision += 1
            wire, revision = to_wire(record), self._revision
            rows.append((revision, revision, *to_row(wire), 0.0))
            key = (record.agent_id, record.runtime_id, record.token)
            lines.append((revision, "registered", *key, None, to_json(wire)))
        return rows, lines

    def enter(self, rows: list[Any], lines: list[Any]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(INSERT, rows)
        self.connection.executemany(LOG, lines)
        self.connection.execute("COMMIT")


def _journal(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def _beside_sqlite3(effort: Effort) -> Figures:
    with _folder() as folder:
        store, raw = _Store(folder / "ours.db"), _Raw(folder / "raw.db")
        numbers = iter(range(1, sys.maxsize))

        def ours(count: int, each: int, at_once: bool = False) -> Callable[[], float]:
            def timed() -> float:
                batches = [[Put(_record(next(numbers))) for _ in range(each)] for _ in range(count)]
                start = time.perf_counter()
                if at_once:
                    store.do(_together(store.backend, batches))
                else:
                    store.do(_in_turn(store.backend, batches))
                return (time.perf_counter() - start) / count / each

            return timed

        def theirs(count: int, each: int) -> Callable[[], float]:
            def timed() -> float:
                batches = [raw.prepared([_record(next(numbers)) for _ in range(each)]) for _ in range(count)]
                start = time.perf_counter()
                for rows, lines in batches:
                    raw.enter(rows, lines)
                return (time.perf_counter() - start) / count / each

            return timed

        works = {
            "one": ours(100, 1),
            "raw one": theirs(100, 1),
            "gathered": ours(100, 1, at_once=True),
            "bulk": ours(1, 10 * CHUNK),
            "raw bulk": theirs(10, CHUNK),
        }
        found = compare(works, effort.rounds)
        store.close()
        raw.connection.close()
    return Figures(
        [
            _rate(found, "sqlite: registrations, one after the other", "one", "raw one"),
            _rate(found, "sqlite: registrations, a hundred tasks at once", "gathered", "raw one"),
            _rate(found, "sqlite: bulk registrations", "bulk", "raw bulk"),
        ]
    )


def _rate(found: Any, work: str, ours: str, theirs: str) -> Row:
    low, middle, high = found.ratios(theirs, ours)  # of the times; the rates' are the other way round
    mine, peers = 1 / found.median(ours), 1 / found.median(theirs)
    return Row(work, mine, "sqlite3, the same bytes", peers, middle, (low, high), None, "1/s")


async def _in_turn(backend: SQLiteBackend, batches: list[list[Put]]) -> None:
    for batch in batches:
        await backend.put(batch)


async def _together(backend: SQLiteBackend, batches: list[list[Put]]) -> None:
    await asyncio.gather(*map(backend.put, batches))


# -- under pressure -----------------------------------------------------------


def _under_pressure(effort: Effort) -> Figures:
    seconds = PRESSURE if effort.rounds > 5 else PRESSURE / 4
    ours, theirs = _pressed(_pressing, seconds), _pressed(_pressing_sqlite3, seconds)
    reads, their_reads = ours.pop(WRITERS), theirs.pop(WRITERS)
    peer = "sqlite3, busy_timeout"

    def row(what: str, figure: Callable[[dict[int, list[float]]], float], unit: Any = "s", target: Any = None) -> Row:
        mine, peers = figure(ours), figure(theirs)
        return Row(f"sqlite: 8 writers and a reader, {what}", mine, peer, peers, mine / peers, None, target, unit)

    return Figures(
        [
            row("p99 of the worst writer", lambda times: max(map(_p99, times.values())), target=at_most(0.25, "ours")),
            row("the slowest write", lambda times: max(map(max, times.values()))),
            row("writes", lambda times: sum(map(len, times.values())) / seconds, "1/s"),
            row("fewest writes of one by the most of one", _evenness, "x", at_least(0.5, "ours")),
            Row("sqlite: 8 writers and a reader, p99 of the reader", _p99(reads), peer, _p99(their_reads)),
        ]
    )


def _evenness(times: dict[int, list[float]]) -> float:
    return min(map(len, times.values())) / max(map(len, times.values()))


def _pressed(task: Callable[..., Any], seconds: float) -> dict[int, list[float]]:
    """What each write of the writers took, and each listing of the reader, whose number is the last."""
    with _folder() as folder:
        path = folder / "pressed.db"
        _Store(path).close()
        context = multiprocessing.get_context("spawn")
        answers, start = context.Queue(), context.Barrier(WRITERS + 1)
        members = [
            context.Process(target=_member, args=(task, str(path), number, seconds, start, answers))
            for number in range(WRITERS + 1)
        ]
        for member in members:
            member.start()
        times = dict(answers.get() for _ in members)
        for member in members:
            member.join()
    return times


def _p99(times: list[float]) -> float:
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


def _member(task: Callable[..., Any], path: str, number: int, seconds: float, start: Any, answers: Any) -> None:
    answers.put((number, asyncio.run(task(Path(path), number, seconds, start))))


async def _pressing_sqlite3(path: Path, number: int, seconds: float, start: Any) -> list[float]:
    """The same with sqlite3 alone, whose busy handler sleeps and tries again."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous = FULL")
    start.wait()
    times = []
    end = time.perf_counter() + seconds
    before = time.perf_counter()
    while before < end:
        if number == WRITERS:
            connection.execute("SELECT * FROM records").fetchall()
        else:
            wire = to_wire(_record(number * 10**6 + len(times)))
            connection.execute("BEGIN IMMEDIATE")
            revision = (connection.execute("SELECT max(revision) FROM log").fetchone()[0] or 0) + 1
            connection.execute(INSERT, (revision, revision, *to_row(wire), 0.0))
            key = (wire["agent_id"], wire["runtime_id"], wire["token"])
            connection.execute(LOG, (revision, "registered", *key, None, to_json(wire)))
            connection.execute("COMMIT")
        times.append(time.perf_counter() - before)
        before = time.perf_counter()
    connection.close()
    return times


async def _pressing(path: Path, number: int, seconds: float, start: Any) -> list[float]:
    backend = SQLiteBackend(f"sqlite:///{path}", time.monotonic)
    await backend.open()
    start.wait()
    times = []
    end = time.perf_counter() + seconds
    before = time.perf_counter()
    while before < end:
        if number == WRITERS:
            await backend.list()
        else:
            await backend.put([Put(_record(number * 10**6 + len(times)))])
        times.append(time.perf_counter() - before)
        before = time.perf_counter()
    await backend.close()
    return times


# -- over sizes ---------------------------------------------------------------


def _over_sizes(effort: Effort) -> Figures:
    """What one operation costs beside 1,000, 10,000 and 100,000 records, in turn."""
    rng = random.Random(5)
    with _folder() as folder:
        stores = {size: _Filled(folder / f"{size}.db", size, rng) for size in SIZES}
        works = {
            f"{operation} {size}": (lambda store=store, operation=operation: store.time(operation))
            for operation in _OPERATIONS
            for size, store in stores.items()
        }
        found = compare(works, effort.rounds)
        for store in stores.values():
            store.store.close()
    figures = Figures()
    for operation, shown in _OPERATIONS.items():
        for small, large in itertools.pairwise(SIZES):
            figures.rows.append(
                Row.of(found, f"sqlite: {shown}, {large:,} records", f"{operation} {large}", f"{operation} {small}",
                       at_most(1.3)).beside(f"{small:,} records")
            )  # fmt: skip
        figures.points += [Point(shown, "sqlite", size, found.median(f"{operation} {size}")) for size in SIZES]
    return figures


_OPERATIONS = {
    "put": "register",
    "patch": "change a status",
    "delete": "deregister",
    "renew": "beat of a runtime",
    "changes": "one change to a reader",
}


class _Filled:
    """A store with *size* records."""

    def __init__(self, path: Path, size: int, rng: random.Random) -> None:
        self.store = _Store(path, "?flush=0.001")
        self.backend = self.store.backend
        self._rng = rng
        self._size = size
        self._next = size
        self.store.do(self.backend.put([Put(_record(number)) for number in range(size)]))
        self._revision = size

    def time(self, operation: str, times: int = 20) -> float:
        """Seconds of one, on the wall."""
        calls = [self._call(operation) for _ in range(times)]
        start = time.perf_counter()
        self.store.do(_one_by_one(calls))
        taken = (time.perf_counter() - start) / times
        if operation == "put":  # as many as before
            gone = [_record(self._next - 1 - number) for number in range(times)]
            self.store.do(self.backend.delete([Delete(each.agent_id, each.token) for each in gone]))
        elif operation == "delete":
            self.store.do(self.backend.put([Put(each) for each in self._gone]))
            self._gone.clear()
        return taken

    _gone: list[AgentMetadata] = []  # noqa: RUF012 - emptied by the same call that fills it

    def _call(self, operation: str) -> Callable[[], Any]:
        record = _record(self._rng.randrange(self._size))
        if operation == "put":
            self._next += 1
            fresh = _record(self._next - 1)
            return lambda: self.backend.put([Put(fresh)])
        if operation == "patch":
            score = {"performance": {"score": self._rng.random()}}
            return lambda: self.backend.patch([Patch(record.agent_id, record.token, score)])
        if operation == "delete":
            while record.agent_id in {each.agent_id for each in self._gone}:
                record = _record(self._rng.randrange(self._size))
            self._gone.append(record)
            return lambda: self.backend.delete([Delete(record.agent_id, record.token)])
        if operation == "renew":
            return lambda: self.backend.renew([Renew(record.runtime_id)])
        revision = self._rng.randrange(self._size)
        return lambda: self._one_change(revision)

    async def _one_change(self, revision: int) -> None:
        newest = (await self.backend.renew(())).revision
        await self.backend.changes(newest - 1, sys.maxsize >> 1)


async def _one_by_one(calls: list[Callable[[], Any]]) -> None:
    for call in calls:
        await call()


# -- beating ------------------------------------------------------------------


def _beating(effort: Effort) -> Figures:
    """The processor's share that beats take: each is written, and heard by a reader, before the next one comes."""
    with _folder() as folder:
        path = folder / "beating.db"
        store = _Store(path, "?flush=0.0001")
        store.do(store.backend.put([Put(_record(number)) for number in range(AGENTS)]))
        runtimes = _share(store, [[Renew(f"runtime-{number}")] for number in range(RUNTIMES)], path)
        size = AGENTS // RUNTIMES
        agents = [
            [Renew(each.runtime_id, each.agent_id, each.token) for each in map(_record, range(start, start + size))]
            for start in range(0, AGENTS if effort.rounds > 5 else AGENTS // 10, size)
        ]
        singly = _share(store, agents, path) * (RUNTIMES / len(agents))
        store.close()
    return Figures(
        [
            Row("sqlite: 100,000 agents of 100 runtimes that beat every 10 s: part of a core", runtimes,
                target=at_most(0.25, "ours"), unit="x"),
            Row("sqlite: 100,000 agents that beat by themselves every 10 s: part of a core", singly, unit="x"),
        ]
    )  # fmt: skip


def _share(store: _Store, beats: list[list[Renew]], path: Path) -> float:
    reader = SQLiteBackend(f"sqlite:///{path}", time.monotonic)

    async def beat() -> float:
        await reader.open()
        mark = (await store.backend.list()).mark
        revision = (await store.backend.renew(())).revision
        started = time.process_time()
        for batch in beats:
            await store.backend.renew(batch)
            heard = 0
            while heard < len(batch):
                changes = await reader.changes(revision, mark, 10.0)
                assert changes is not None
                heard += len(changes.beats)
                mark = changes.mark
        taken = time.process_time() - started
        await reader.close()
        return taken / PERIOD

    return float(store.do(beat()))


if __name__ == "__main__":
    import readme

    print(readme.plain_table(measure(Effort.quick() if "--quick" in sys.argv else Effort()).rows))
