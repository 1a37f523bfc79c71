"""A Redis server of the suite's own, on a free port."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free_port_with_room_above() -> int:
    """A cluster's servers talk to one another 10,000 ports further up."""
    return next(port for port in iter(free_port, None) if port < 55_000)


def redis_program() -> str:
    return shutil.which("redis-server") or pytest.skip("redis-server is not installed: apt-get install redis-server")


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[int]:
    """The port of a server that keeps its files in *folder*."""
    port, server = _started(folder, options)
    try:
        yield port
    finally:
        server.kill()
        server.wait(30)


def _started(folder: Path, options: tuple[str, ...]) -> tuple[int, subprocess.Popen[bytes]]:
    for _ in range(5):  # another program may take the port first
        port = _free_port_with_room_above()
        command = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *options]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if _answers(port, server):
            return port, server
        server.kill()
        server.wait(30)
    pytest.fail("redis-server does not start")


def _answers(port: int, server: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(16).startswith(b"+PONG"):
                return True
    return False
