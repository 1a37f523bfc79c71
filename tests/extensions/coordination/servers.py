"""Redis servers, started by the tests on free ports and ended by their own process ids."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
CLI = shutil.which("redis-cli") or shutil.which("valkey-cli")


def required() -> str:
    """The server's program; the test is skipped where it isn't installed."""
    if PROGRAM is None:
        pytest.skip("needs redis-server (or valkey-server): apt-get install redis-server")
    return PROGRAM


_handed_out: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that neither another worker nor an outgoing connection will take meanwhile.

    A cluster's node needs the one 10,000 above it as well.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 10_000 + secrets.randbelow(12_000 // workers) * workers + number
        with socket.socket() as one, socket.socket() as two, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 10_000))
            if port not in _handed_out:
                _handed_out.add(port)
                return port


def command(port: int, *words: str | int, timeout: float = 5.0) -> bytes:
    """The first part of the answer to a command on a connection of its own; OSError if there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        text = f"*{len(words)}\r\n" + "".join(f"${len(str(word))}\r\n{word}\r\n" for word in words)
        connection.sendall(text.encode())
        answer = connection.recv(65536)
        if not answer:
            raise ConnectionResetError("the server hung up")
        return answer


def wait_for(port: int, expected: bytes, *words: str | int, seconds: float = 30.0) -> bytes:
    """Ask until the answer contains *expected*."""
    end = time.monotonic() + seconds
    while True:
        answer = b""
        with contextlib.suppress(OSError):
            answer = command(port, *words)
        if expected in answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{words} on port {port}: expected {expected!r}, got {answer!r}")
        time.sleep(0.01)


class Server:
    """One process of redis-server.

    Attributes:
        port: Where it listens.
        tls_port: Where it listens for encrypted connections; 0 if it doesn't.
        folder: Where its data, if it keeps any, and its messages are.
    """

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, ready: bool = True) -> None:
        """Start it; with *ready*, wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        listen = (
            ["--port", str(self.port), "--tls-port", str(self.tls_port)]
            if self.tls_port
            else ["--port", str(self.port)]
        )
        common = ["--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--daemonize", "no"]
        with (self.folder / "messages").open("ab") as messages:
            self.process = subprocess.Popen(
                [required(), *self._file(), *listen, *common, *self.options], stdout=messages, stderr=messages
            )
        if ready:
            wait_for(self.port, b"NOAUTH" if "--requirepass" in self.options else b"PONG", "PING")

    def _file(self) -> list[str]:
        return []

    def stop(self, how: int = signal.SIGKILL) -> None:
        """End it and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            if how != signal.SIGKILL:
                self.process.send_signal(signal.SIGCONT)
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Stop it as a debugger does: its connections stay open, and nothing answers."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class SentinelProcess(Server):
    """One process of Redis Sentinel, which rewrites its configuration as it goes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--sentinel")
        self.id = secrets.token_hex(20)

    def configure(self, service: str, servers: Sequence[Server], sentinels: Sequence[SentinelProcess]) -> None:
        """Tell it whom to watch; it need not find out about the others, which takes seconds."""
        first, *replicas = servers
        lines = [
            f"sentinel myid {self.id}",
            f"sentinel monitor {service} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {service} 400",
            f"sentinel failover-timeout {service} 2000",
            *[f"sentinel known-replica {service} 127.0.0.1 {each.port}" for each in replicas],
            *[
                f"sentinel known-sentinel {service} 127.0.0.1 {each.port} {each.id}"
                for each in sentinels
                if each != self
            ],
        ]
        self.folder.mkdir(parents=True)
        (self.folder / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def _file(self) -> list[str]:
        return [str(self.folder / "sentinel.conf")]


class SentinelSet:
    """A primary, its two replicas, and three sentinels that watch over them."""

    service = "agents"

    def __init__(self, folder: Path) -> None:
        first = Server(folder / "one", "--repl-diskless-sync-delay", "0")
        follow = ("--replicaof", "127.0.0.1", str(first.port))
        self.servers = [first, Server(folder / "two", *follow), Server(folder / "three", *follow)]
        self.sentinels = [SentinelProcess(folder / f"sentinel {n}") for n in range(3)]
        for each in self.sentinels:
            each.configure(self.service, self.servers, self.sentinels)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}"

    def primary(self) -> Server:
        """Whom the sentinels name."""
        answer = command(self.sentinels[0].port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        [server] = [each for each in self.servers if str(each.port).encode() in answer]
        return server

    def __enter__(self) -> SentinelSet:
        with contextlib.ExitStack() as started:
            for each in self.servers:
                started.enter_context(each)
            wait_for(self.servers[0].port, b"connected_slaves:2", "INFO", "replication")
            for each in self.servers[1:]:
                wait_for(each.port, b"master_link_status:up", "INFO", "replication")
            for each in self.sentinels:
                started.enter_context(each)
            for each in self.sentinels:
                wait_for(each.port, b"slaves=2,sentinels=3", "INFO", "sentinel")
            self._started = started.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._started.close()


class Cluster:
    """Three primaries that share the slots, each with a replica if asked for."""

    def __init__(self, folder: Path, replicas: int = 0) -> None:
        options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "600",
            "--cluster-allow-replica-migration",
            "no",
        )
        self.replicas = replicas
        self.servers = [Server(folder / str(n), *options) for n in range(3 * (1 + replicas))]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.servers[:2])

    def __enter__(self) -> Cluster:
        required()
        if CLI is None:
            pytest.skip("needs redis-cli to make a cluster: apt-get install redis-tools")
        with contextlib.ExitStack() as started:
            for each in self.servers:
                started.enter_context(each)
            hosts = [f"127.0.0.1:{each.port}" for each in self.servers]
            subprocess.run(
                [CLI, "--cluster", "create", *hosts, "--cluster-replicas", str(self.replicas), "--cluster-yes"],
                check=True,
                capture_output=True,
            )
            for each in self.servers:
                wait_for(each.port, b"cluster_state:ok", "CLUSTER", "INFO")
                wait_for(each.port, f"cluster_known_nodes:{len(hosts)}".encode(), "CLUSTER", "INFO")
            self._started = started.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._started.close()


class Proxy:
    """A TCP connection's other end, in the test's event loop, that can lose what it is given.

    Attributes:
        open: How many connections there are.
        swallow: Cut the connection in place of the next answer to something that contains this.
        mute: Answer nothing, and keep the connections open.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.open = 0
        self.swallow = b""
        self.swallowed = 0
        self.mute = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut()
        while self.open:
            await asyncio.sleep(0.001)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            self.open -= 1
            return
        self._writers |= {writer, far_writer}
        state = {"doomed": False}
        ways = [
            asyncio.create_task(self._requests(reader, far_writer, state)),
            asyncio.create_task(self._answers(far_reader, writer, state)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, far_writer):
            each.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)
        self._writers -= {writer, far_writer}
        self.open -= 1

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: dict[str, bool]
    ) -> None:
        while data := await reader.read(65536):
            if self.swallow and self.swallow in data:
                state["doomed"] = True
                self.swallow = b""
            writer.write(data)

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: dict[str, bool]
    ) -> None:
        while data := await reader.read(65536):
            if state["doomed"]:
                self.swallowed += 1
                return
            if not self.mute:
                writer.write(data)
