"""Callers who read nothing, say nothing, or ask for a lot: nobody else is the worse for it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.service import open_directory

from .serving import Service, serving

LONG = os.environ.get("AGENTREG_LONG") == "1"
LAZY = 50 if LONG else 10
EVENTS = 60
EVENT = 60_000
MOST = 1_000_000  #: bytes that a reader may cost

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident(service: Service) -> int:
    """Bytes of memory that the service has from the system."""
    pages = int(Path(f"/proc/{service.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def lazy_reader(service: Service) -> Iterator[socket.socket]:
    """A WebSocket whose listing is read, and nothing after that."""
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.settimeout(10)
        wire.connect(("127.0.0.1", service.discovery()["port"]))
        wire.sendall(
            b"GET /registry/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        heard = b""
        while b'"listing"' not in heard:
            heard += wire.recv(4096)
        yield wire


@linux
def test_readers_that_do_not_read_cost_at_most_a_megabyte_each_and_are_told_to_begin_anew(tmp_path: Path) -> None:
    with serving(tmp_path) as service, ExitStack() as stack:
        for number in range(10):  # whatever is only allocated once
            service.post("/register", id="warm", name=f"{number}", meta={"filler": "x" * EVENT})
        before = resident(service)
        readers = [stack.enter_context(lazy_reader(service)) for _ in range(LAZY)]

        for number in range(EVENTS):
            service.post("/register", id="a", name=f"{number}", meta={"filler": "x" * EVENT})
        grown = resident(service) - before
        heard = [rest_of(reader) for reader in readers]

    assert grown < LAZY * MOST + EVENTS * EVENT * 8  # the changes themselves are in the log and its copies
    for text in heard:
        assert len(text) < EVENTS * EVENT
        assert b'"type":"resync"' in text[-1000:]
        assert b"\x03\xf5" in text[-200:]  # closed with 1013: try again later


def rest_of(reader: socket.socket) -> bytes:
    parts = []
    while part := reader.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


@linux
def test_connections_that_say_nothing_do_not_keep_others_out(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        pid = service.process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (150, 150))
        port = service.discovery()["port"]
        with ExitStack() as stack:
            for number in range(120):
                wire = stack.enter_context(socket.socket())
                wire.connect(("127.0.0.1", port))
                if number % 2:
                    wire.sendall(b"POST /register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n{")

            assert service.post("/register", id="a")[0] == 200
            assert service.ask("GET", "/health")[0] == 200


def test_a_head_without_an_end_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as service, socket.socket() as wire:
        wire.settimeout(10)
        wire.connect(("127.0.0.1", service.discovery()["port"]))
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for number in range(100):
            wire.sendall(b"X-%d: %b\r\n" % (number, b"x" * 800))
        answer = wire.recv(4096)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"65,536 bytes" in answer


def test_ten_thousand_ids_beat_in_one_request_and_one_more_is_refused(tmp_path: Path) -> None:
    ids = [f"agent_{number:016x}" for number in range(10_000)]
    asyncio.run(enter(tmp_path, ids))
    with serving(tmp_path) as service:
        first = service.agents()[ids[-1]]["last_heartbeat"]
        assert service.post("/heartbeat", ids=ids) == (
            200,
            {"ok": True, "status": "active", "count": 10_000, "unknown": []},
        )
        assert service.post("/heartbeat", ids=[*ids[:5_000], *(f"x{n}" for n in range(5_000))])[1]["count"] == 5_000
        status, refusal = service.post("/heartbeat", ids=[*ids, "one more"])
        time.sleep(1.0)  # the listing is at most so old
        assert service.agents()[ids[-1]]["last_heartbeat"] > first

    assert (status, refusal["ok"]) == (400, False)
    assert "10,000" in refusal["error"]


async def enter(workspace: Path, ids: list[str]) -> None:
    (workspace / "data").mkdir(parents=True)
    directory = open_directory(f"sqlite:///{workspace / 'data' / 'agent-registry.db'}")
    await directory.start()
    from agentreg.extensions.coordination.backend import Put

    await directory.carry_out([Put(AgentMetadata(each, "service", f"token of {each}", registered=1.0)) for each in ids])
    await directory.shutdown()


def test_a_body_that_comes_in_drips_is_taken_all_the_same(tmp_path: Path) -> None:
    body = json.dumps({"id": "slow"}).encode()
    with serving(tmp_path) as service, socket.socket() as wire:
        wire.settimeout(10)
        wire.connect(("127.0.0.1", service.discovery()["port"]))
        wire.sendall(
            b"POST /register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        for byte in body:
            wire.sendall(bytes([byte]))
        assert wire.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert "slow" in service.agents()
