"""The servers that are measured: the service, and those it is compared with; each a process on a core of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service_load import cores

from agentreg.extensions.coordination import AgentDirectory, AgentDirectoryConfig, AgentMetadata

__all__ = ["Server", "bare", "committing", "filled", "folder", "named", "service", "threading"]

_PIN = "import os\ncore = {core}\nif core is not None:\n    os.sched_setaffinity(0, {{core}})\n"

_SERVICE = """
import json, sys
from agentreg.extensions.service import Settings, serve
serve(Settings(**json.loads(sys.argv[1])), lambda found: print(found.port, flush=True))
"""

_UVICORN = """
import asyncio, socket, sys, uvicorn
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(2048)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False, lifespan="off")
uvicorn.Server(config).run(sockets=[listener])
"""

_BARE = """
async def app(scope, receive, send):
    message, body = await receive(), b""
    while message.get("more_body"):
        body += message["body"]
        message = await receive()
    answer = b'{"ok":true,"status":"active"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
"""

_COMMITTING = """
import json, sqlite3, sys, uuid
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("PRAGMA journal_mode = TRUNCATE")
file.execute("PRAGMA synchronous = FULL")
file.execute("CREATE TABLE agents (id TEXT PRIMARY KEY, name, cwd, pid, host, started_at, meta)")

async def app(scope, receive, send):
    body = json.loads((await receive())["body"])
    row = uuid.uuid4().hex, body["name"], body["cwd"], 0, "", 0.0, "{}"
    file.execute("INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    answer = json.dumps({"ok": True, "id": row[0]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
"""

_THREADING = """
import json, sqlite3, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

file = sqlite3.connect(sys.argv[1], check_same_thread=False)
file.execute("CREATE TABLE agents (id TEXT PRIMARY KEY, last_heartbeat REAL)")
file.executemany("INSERT INTO agents VALUES (?, 0)", [(name,) for name in json.loads(sys.argv[2])])
file.commit()
lock = threading.Lock()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with lock:
            file.execute("UPDATE agents SET last_heartbeat = ? WHERE id = ?", (time.time(), asked["id"]))
            file.commit()
        answer = b'{"ok":true,"status":"active"}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Server:
    """One that answers at a port of the loopback interface; Linux only."""

    pid: int
    port: int

    def spent(self) -> float:
        """Seconds that it has spent in the processor, all of its threads, the ended ones too."""
        return time.clock_gettime((~self.pid << 3) | 2)  # CPUCLOCK_SCHED of that process

    def resident(self) -> int:
        """Bytes of memory that it has from the system."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def ask(self, path: str) -> Any:
        """The JSON at *path*."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return json.load(answer)


@contextmanager
def folder(place: str | None = None) -> Iterator[Path]:
    """A folder for the time of the block, at *place* if there is such a place, else where temporary files are."""
    where = place if place is not None and os.path.isdir(place) else None
    with tempfile.TemporaryDirectory(prefix="agentreg-bench-", dir=where) as path:
        yield Path(path)


@contextmanager
def _running(program: str, *arguments: str, pinned: bool = True) -> Iterator[Server]:
    code = _PIN.format(core=cores()[0] if pinned else None) + program
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.pid, int(process.stdout.readline()))
        finally:
            process.terminate()


@contextmanager
def service(workspace: Path, **settings: Any) -> Iterator[Server]:
    """The service, with its file in *workspace*."""
    asked: Mapping[str, Any] = {"port": 0, "workspace": str(workspace), **settings}
    with _running(_SERVICE, json.dumps(asked)) as server:
        yield server


def bare() -> Any:
    """An ASGI application that reads its body and answers, on the same uvicorn (uvloop, httptools)."""
    return _running(_BARE + _UVICORN)


def committing(path: Path) -> Any:
    """The same, committing one row to SQLite before each answer."""
    return _running(_COMMITTING + _UVICORN, str(path))


def threading(path: Path, ids: list[str]) -> Any:
    """The standard library's threading server, committing each beat to SQLite."""
    return _running(_THREADING, str(path), json.dumps(ids))


def named(number: int) -> str:
    """An id."""
    return f"agent_{number:016x}"


def filled(workspace: Path, count: int) -> list[str]:
    """Put so many agents into the file of a service that does not run; their ids."""
    path = workspace / "data" / "agent-registry.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = [named(number) for number in range(count)]
    asyncio.run(_fill(f"sqlite:///{path}", ids))
    return ids


async def _fill(url: str, ids: list[str]) -> None:
    config = AgentDirectoryConfig(enable_heartbeat_monitoring=False)
    directory = AgentDirectory(config, url)
    await directory.start()
    records = [
        AgentMetadata(agent_id, "service", "", registered=time.time(), rest=_rest(number))
        for number, agent_id in enumerate(ids)
    ]
    await directory.register_records(records)
    directory._holdings.own.clear()  # they are to stay
    await directory.shutdown()


def _rest(number: int) -> dict[str, Any]:
    meta = {"runtime": "claude-code", "session": f"{number:032x}", "branch": "main"}
    return {"name": f"planner {number}", "metadata": meta}
