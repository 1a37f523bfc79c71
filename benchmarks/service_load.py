"""Load on a service: requests, and readers of its events, from a process of their own on the other core.

A generator of our own and no wrk: half of the figures need what wrk has not (a rate that is kept, readers of a
WebSocket, a body for each request). It costs more than wrk, so speeds are told in what the *server* spends.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop

__all__ = ["Answers", "Heard", "cores", "generator", "get", "listen", "pace", "post", "storm"]

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_REVISION = re.compile(rb'"revision":(\d+),"time"')


@dataclass
class Answers:
    """What became of some requests.

    Attributes:
        seconds: How long it went on.
        delays: Seconds from each request to the end of its answer, in order of their ends.
        refused: How many were answered by anything but 2xx.
    """

    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return len(self.delays) / self.seconds


@dataclass
class Heard:
    """What readers heard of changes.

    Attributes:
        delays: Seconds from the request of a change until a reader had it; of each reader and change.
        missed: Changes that some reader did not hear of.
        changes: How many there were.
        seconds: How long it went on.
    """

    delays: list[float]
    missed: int
    changes: int
    seconds: float

    def quantile(self, share: float) -> float:
        """The delay that this share of them keeps."""
        return sorted(self.delays)[int(len(self.delays) * share)]


def cores() -> tuple[int | None, int | None]:
    """One for the server and one for the load; None where there is but one."""
    there = sorted(os.sched_getaffinity(0))
    return (there[0], there[-1]) if len(there) > 1 else (None, None)


@contextmanager
def generator() -> Iterator[Callable[..., Any]]:
    """A function that calls one of this module's in the other process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_pin, initargs=(cores()[1],)) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


def _pin(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


def post(path: str, **body: Any) -> bytes:
    """A request with a JSON body."""
    content = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    ).encode() + content


def get(path: str) -> bytes:
    """A request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


# -- requests -----------------------------------------------------------------


def storm(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Answers:
    """Send *requests* over and over, on each connection the next as soon as the last is answered."""
    return uvloop.run(_storm(port, requests, connections, seconds))


async def _storm(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Answers:
    answers, rest = Answers(), itertools.cycle(requests)
    callers = [await _Caller.connected(port, answers) for _ in range(connections)]
    began = time.perf_counter()
    until = began + seconds

    async def go_on(caller: _Caller) -> None:
        while time.perf_counter() < until:
            await caller.ask(next(rest))

    await asyncio.gather(*map(go_on, callers))
    answers.seconds = time.perf_counter() - began
    for caller in callers:
        caller.close()
    return answers


def pace(port: int, requests: Sequence[bytes], connections: int, seconds: float, rate: float) -> Answers:
    """Send so many requests a second, evenly, whether or not the last is answered."""
    return uvloop.run(_pace(port, requests, connections, seconds, rate))


async def _pace(port: int, requests: Sequence[bytes], connections: int, seconds: float, rate: float) -> Answers:
    answers, rest = Answers(), itertools.cycle(requests)
    callers = [await _Caller.connected(port, answers) for _ in range(connections)]
    began = time.perf_counter()

    async def go_on(number: int) -> None:
        for turn in itertools.count(number, connections):
            pause = began + turn / rate - time.perf_counter()
            if turn / rate >= seconds:
                return
            if pause > 0:
                await asyncio.sleep(pause)
            await callers[number].ask(next(rest))

    await asyncio.gather(*map(go_on, range(connections)))
    answers.seconds = time.perf_counter() - began
    for caller in callers:
        caller.close()
    return answers


class _Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._head = b""
        self._missing = -1  # bytes of the body; below 0: the head isn't through
        self._sent = 0.0

    @classmethod
    async def connected(cls, port: int, answers: Answers) -> _Caller:
        _, caller = await asyncio.get_running_loop().create_connection(lambda: cls(answers), "127.0.0.1", port)
        return caller

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    async def ask(self, request: bytes) -> None:
        self._answered = asyncio.get_running_loop().create_future()
        self._sent = time.perf_counter()
        self._transport.write(request)
        await self._answered

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self._answers.refused += not head.startswith(b"HTTP/1.1 2")
            length = _LENGTH.search(head)
            assert length is not None, head
            self._missing = int(length[1]) - len(body)
        else:
            self._missing -= len(data)
        if not self._missing:
            self._missing = -1
            self._answers.delays.append(time.perf_counter() - self._sent)
            self._answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError("the server has closed the connection"))

    def close(self) -> None:
        self._transport.close()


# -- readers ------------------------------------------------------------------


def listen(port: int, readers: int, requests: Sequence[bytes], seconds: float, rate: float) -> Heard:
    """Have *readers* read the events, while *requests* that change something go out at *rate* in a second."""
    return uvloop.run(_listen(port, readers, requests, seconds, rate))


async def _listen(port: int, readers: int, requests: Sequence[bytes], seconds: float, rate: float) -> Heard:
    loop, crowd = asyncio.get_running_loop(), _Crowd()
    for _ in range(readers):
        reader = _Reader(crowd)
        await loop.create_connection(lambda made=reader: made, "127.0.0.1", port)  # type: ignore[misc]
        await reader.begun
    sent: dict[int, float] = {}
    callers = [await _Changer.connected(port, sent) for _ in range(32)]
    began, rest = time.perf_counter(), itertools.cycle(requests)

    async def go_on(number: int) -> None:
        for turn in range(number, int(rate * seconds), len(callers)):
            await asyncio.sleep(max(began + turn / rate - time.perf_counter(), 0.0))
            await callers[number].ask(next(rest))

    await asyncio.gather(*map(go_on, range(len(callers))))
    taken = time.perf_counter() - began
    for _ in range(100):
        await asyncio.sleep(0.1)
        if crowd.has_all(sent):
            break
    return crowd.heard(sent, taken)


class _Changer(_Caller):
    """Makes changes, and notes when the one with each revision was asked for."""

    def __init__(self, sent: dict[int, float]) -> None:
        super().__init__(Answers())
        self._noted = sent

    @classmethod
    async def connected(cls, port: int, sent: Any) -> _Changer:
        _, caller = await asyncio.get_running_loop().create_connection(lambda: cls(sent), "127.0.0.1", port)
        return caller

    def data_received(self, data: bytes) -> None:
        etag = re.search(rb'etag: "(\d+)"', data)
        if etag is not None:
            self._noted[int(etag[1])] = self._sent
        super().data_received(data)


class _Crowd:
    """What all readers have heard; those that hear the same share the reading of it."""

    def __init__(self) -> None:
        self._last: tuple[bytes, list[int]] = (b"", [])
        self.all: list[list[tuple[float, list[int]]]] = []

    def revisions(self, message: bytes) -> list[int]:
        if message != self._last[0]:
            self._last = message, [int(each) for each in _REVISION.findall(message)]
        return self._last[1]

    def has_all(self, sent: dict[int, float]) -> bool:
        """Whether each has heard of the last change."""
        return all(times and times[-1][1] and times[-1][1][-1] >= max(sent) for times in self.all)

    def heard(self, sent: dict[int, float], seconds: float) -> Heard:
        delays, missed = [], 0
        for times in self.all:
            here = {revision: at for at, revisions in times for revision in revisions}
            missed += len(sent.keys() - here.keys())
            delays += [here[revision] - sent[revision] for revision in sent.keys() & here.keys()]
        return Heard(delays, missed, len(sent), seconds)


class _Reader(asyncio.Protocol):
    """A WebSocket client that takes messages apart as far as it must."""

    def __init__(self, crowd: _Crowd) -> None:
        self.begun = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._times: list[tuple[float, list[int]]] = []
        self._buffer = b""
        self._upgraded = False

    def connection_made(self, transport: Any) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            "GET /registry/events HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._upgraded:
            head, end, buffer = buffer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = bool(end)
        for message in self._messages(buffer):
            if self.begun.done():
                self._times.append((time.perf_counter(), self._crowd.revisions(message)))
            else:
                self.begun.set_result(None)  # the listing
                self._crowd.all.append(self._times)

    def _messages(self, buffer: bytes) -> Iterable[bytes]:
        while len(buffer) >= 2:
            size, start = buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + size:
                break
            if buffer[0] & 0x0F == 1:
                yield buffer[start : start + size]
            buffer = buffer[start + size :]
        self._buffer = buffer


def middle(answers: Answers) -> float:
    """The median delay."""
    return statistics.median(answers.delays)
