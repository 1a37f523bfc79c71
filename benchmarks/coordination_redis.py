"""The directory's store in Redis: its cost beside the same commands on a bare socket, and how soon news arrives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from figures import Figures, Point, Row, at_least, at_most
from timing import Comparison, Effort, compare, quiet

from agentreg.extensions.coordination.backend import Delete, Put, Renew
from agentreg.extensions.coordination.processes import this_process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus
from agentreg.extensions.coordination.redis import RedisBackend
from agentreg.extensions.coordination.redis.scripts import KEYS
from agentreg.extensions.coordination.redis.writing import PUT, RENEW, Kind, chunks

BULK = 4_000  #: records entered in one measurement
BEATS = 1_000
RUNTIMES = 200  #: as many as go into one script
CHANGES = 1_000
SAME = 1.3  #: times the cost, at ten times the records

_numbers = itertools.count(1)


def measure(effort: Effort) -> Figures:
    """All of it, on a server of its own."""
    figures = Figures()
    with _server() as port, quiet():
        for part in (_beside_a_socket, _latency, _over_sizes):
            figures.add(part(port, effort))
    return figures


@contextlib.contextmanager
def _server() -> Iterator[int]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise FileNotFoundError("the benchmark needs redis-server: apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            _until_it_answers(port)
            yield port
        finally:
            process.kill()
            process.wait()


def _until_it_answers(port: int) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.01)
    raise TimeoutError(f"no server answers on port {port}")


def _url(port: int, prefix: str) -> str:
    return f"redis://127.0.0.1:{port}/0?prefix={prefix}&timeout=60"


def _records(count: int) -> list[AgentMetadata]:
    generation = next(_numbers)
    return [_record(f"agent_{generation:04x}{number:08x}", number) for number in range(count)]


def _record(agent_id: str, number: int) -> AgentMetadata:
    runtime = number % RUNTIMES
    rest = {"name": f"reviewer {number}", "endpoint": f"http://10.0.0.{runtime}:8000/"}
    capabilities = [f"review code of kind {number % 1000}", "write tests"]
    token = os.urandom(8).hex()
    return AgentMetadata(
        agent_id, f"runtime-{runtime}", token, capabilities, AgentStatus.ACTIVE, this_process(), time.time(), rest=rest
    )


# -- beside a bare socket -----------------------------------------------------


class _Bare:
    """A socket that commands, encoded before, are written to one after the other, each when the last is answered."""

    def __init__(self, port: int, prefix: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")
        self._keys = [f"{{{prefix}:0}}:{key}" for key in KEYS]

    def commands(self, kind: Kind[Any], batch: Sequence[Any]) -> list[bytes]:
        """What the backend would send for *batch*."""
        return [self._command(kind, chunk.text) for chunk in chunks(kind, batch, range(len(batch)), 0)]

    def _command(self, kind: Kind[Any], text: str) -> bytes:
        words = ["EVALSHA", kind.script.sha, "6", *self._keys, os.urandom(6).hex(), "100001", text, "", "0"]
        encoded = [word.encode() for word in words]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)

    def send(self, commands: Sequence[bytes]) -> float:
        """How many seconds it takes until all are answered."""
        started = time.perf_counter()
        for command in commands:
            self._socket.sendall(command)
            self._read()
        return time.perf_counter() - started

    def _read(self) -> None:
        line = self._answers.readline()
        if line[:1] == b"-":
            raise RuntimeError(line.decode())
        if line[:1] == b"*":
            for _ in range(int(line[1:])):
                self._read()
        elif line[:1] == b"$" and int(line[1:]) >= 0:
            self._answers.read(int(line[1:]) + 2)

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


def _beside_a_socket(port: int, effort: Effort) -> Figures:
    with asyncio.Runner() as runner:
        backend, bare = RedisBackend(_url(port, "bench")), _Bare(port, "bench")
        runtimes = [Renew(f"runtime-{number}") for number in range(RUNTIMES)]
        run = runner.run
        run(backend.put([Put(record) for record in _records(BULK)]))
        run(backend.renew(runtimes))  # every script is known to the server from here on
        agents = run(backend.list()).records[:RUNTIMES]
        beats = [Renew(each.runtime_id, each.agent_id, each.token) for each in agents]

        def put(send: Callable[[Sequence[Put]], float]) -> Callable[[], float]:
            return lambda: BULK / send([Put(record) for record in _records(BULK)])

        def renew(batch: Sequence[Renew], send: Callable[[Sequence[Renew]], float]) -> Callable[[], float]:
            return lambda: BEATS / send(batch)

        def ours(kind: str, times: int = 1) -> Callable[[Sequence[Any]], float]:
            return lambda batch: run(_timed(getattr(backend, kind), batch, times))

        def theirs(kind: Kind[Any], times: int = 1) -> Callable[[Sequence[Any]], float]:
            return lambda batch: bare.send([each for _ in range(times) for each in bare.commands(kind, batch)])

        often = BEATS // RUNTIMES

        def beating(batch: Sequence[Renew], times: int) -> Comparison:
            works = {WHO[0]: renew(batch, ours("renew", times)), WHO[1]: renew(batch, theirs(RENEW, times))}
            return compare(works, effort.rounds)

        bulk = compare({WHO[0]: put(ours("put")), WHO[1]: put(theirs(PUT))}, effort.rounds)
        shared, own, single = beating(runtimes, often), beating(beats, often), beating(runtimes[:1], BEATS)
        run(backend.open())
        singles = {
            WHO[0]: lambda: BEATS / run(_beaten(backend, BEATS)),
            WHO[1]: renew(runtimes[:1], theirs(RENEW, BEATS)),
        }
        waiting = compare(singles, effort.rounds)
        run(backend.close())
        bare.close()
    rows = [
        Row.of(bulk, "Redis: register, 200 records a script", *WHO, at_least(0.7), "1/s"),
        Row.of(waiting, "Redis: heartbeat_runtime, one by one", *WHO, at_least(0.7), "1/s"),
        Row.of(shared, "Redis: heartbeats of runtimes, 200 a script", *WHO, at_least(0.7), "1/s"),
        Row.of(own, "Redis: heartbeats of agents, 200 a script", *WHO, None, "1/s"),
        Row.of(single, "Redis: a script for each heartbeat", *WHO, None, "1/s"),
    ]
    return Figures(rows)


WHO = ("agentreg", "bare socket")


async def _timed(call: Callable[[Sequence[Any]], Any], batch: Sequence[Any], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        await call(batch)
    return time.perf_counter() - started


async def _beaten(backend: RedisBackend, beats: int) -> float:
    """Seconds until *beats* of different runtimes, each a call of its own, are in the store."""
    started = time.perf_counter()
    for number in range(beats):
        await backend.renew([Renew(f"runtime-{number % RUNTIMES}")])
    await backend.changes(1 << 60, 0)  # it writes what waits first, and then knows of no such revision
    return time.perf_counter() - started


# -- to another process -------------------------------------------------------


def _latency(port: int, effort: Effort) -> Figures:
    """From before a registration to when a watcher in another process has it in hand."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    watcher = context.Process(target=_watch, args=(_url(port, "latency"), there), daemon=True)
    watcher.start()
    here.recv()
    asyncio.run(_register_now_and_then(_url(port, "latency")))
    delays = sorted(here.recv())
    watcher.join()
    median, p99 = statistics.median(delays), delays[int(len(delays) * 0.99)]
    return Figures(
        [
            Row("Redis: a change in another process, median", median, target=at_most(0.002, of="ours")),
            Row("Redis: a change in another process, 99th percentile", p99, target=at_most(0.02, of="ours")),
        ]
    )


async def _register_now_and_then(url: str) -> None:
    backend = RedisBackend(url)
    for number in range(CHANGES):
        record = _record(f"agent {number}", number)
        record.registered = time.monotonic()
        await backend.put([Put(record)])
        await asyncio.sleep(0.005)
    await backend.close()


def _watch(url: str, pipe: Connection) -> None:
    pipe.send(None)
    pipe.send(asyncio.run(_delays(url)))


async def _delays(url: str) -> list[float]:
    backend = RedisBackend(url)
    since, mark = 0, 0
    delays: list[float] = []
    while len(delays) < CHANGES:
        changes = await backend.changes(since, mark, wait=1.0)
        assert changes is not None
        now = time.monotonic()
        delays += [now - change.record.registered for change in changes.changes if change.record is not None]
        since, mark = changes.revision, changes.mark
    await backend.close()
    return delays


# -- ten times the records ----------------------------------------------------


def _over_sizes(port: int, effort: Effort) -> Figures:
    """Processor time of client and server together: what else runs on the machine does not count."""
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= max(effort.sizes)]
    costs = asyncio.run(_costs(port, sizes, effort.rounds))
    figures = Figures()
    for work in WORKS:
        points = [(size, costs[size][work]) for size in sizes]
        figures.points += [Point(work, "redis", size, cost) for size, cost in points]
        for (small, before), (large, after) in itertools.pairwise(points):
            title = f"Redis: {work}, {large:,} records"
            figures.rows.append(Row(title, after, f"{small:,}", before, after / before, target=at_most(SAME)))
    return figures


async def _costs(port: int, sizes: Sequence[int], rounds: int) -> dict[int, dict[str, float]]:
    """Seconds per record, over all rounds, in which the sizes take turns."""
    stores = [_Sized(port, size) for size in sizes]
    for store in stores:
        await store.fill()
    for number in range(rounds + 1):
        for store in stores if number % 2 else stores[::-1]:
            await store.round(warming=number == 0)
    for _ in range(3):
        for store in stores:
            await store.list_all()
    for store in stores:
        await store.backend.close()
    return {store.size: {work: spent / store.done[work] for work, spent in store.spent.items()} for store in stores}


WORKS = ("register", "heartbeat", "read the changes", "deregister", "list")


class _Sized:
    """A directory of about *size* records, and what was spent on it.

    Attributes:
        spent: Work -> seconds of the processor.
        done: Work -> for how many records.
    """

    def __init__(self, port: int, size: int) -> None:
        self.port = port
        self.size = size
        self.backend = RedisBackend(_url(port, f"size{size}"))
        self.spent = dict.fromkeys(WORKS, 0.0)
        self.done = dict.fromkeys(WORKS, 0)

    async def fill(self) -> None:
        for start in range(0, self.size, 20_000):
            await self.backend.put([Put(each) for each in _records(min(20_000, self.size - start))])

    async def round(self, warming: bool) -> None:
        """Each work once, on a thousand records more."""
        records = _records(1_000)
        answer = await self.backend.delete([])
        beats = [Renew(each.runtime_id, each.agent_id, each.token) for each in records]
        works: list[tuple[str, Coroutine[Any, Any, Any]]] = [
            ("register", self.backend.put([Put(each) for each in records])),
            ("heartbeat", self.backend.renew(beats)),
            ("read the changes", self.backend.changes(answer.revision, 1 << 60)),
            ("deregister", self.backend.delete([Delete(each.agent_id, each.token) for each in records])),
        ]
        for work, call in works:
            await self._measured(work, call, 0 if warming else len(records))

    async def list_all(self) -> None:
        await self._measured("list", self.backend.list(), self.size)

    async def _measured(self, work: str, call: Coroutine[Any, Any, Any], records: int) -> None:
        before = time.thread_time() + _processor_time(self.port)
        await call
        if records:
            self.spent[work] += time.thread_time() + _processor_time(self.port) - before
            self.done[work] += records


def _processor_time(port: int) -> float:
    """Seconds that the server has computed, in user and system."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"INFO cpu\r\n")
        told = dict(line.split(":") for line in connection.recv(4096).decode().splitlines() if ":" in line)
    return float(told["used_cpu_sys_main_thread"]) + float(told["used_cpu_user_main_thread"])
