"""A service as small as the contract allows: five routes and a discovery file, kept in memory.

Also a program, for tests that start it: ``small_service.py --workspace DIR``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

__all__ = ["Refused", "SmallService"]

JSON = dict[str, Any]


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SmallService:
    """The service of one workspace, from the beginning of the block to its end.

    Attributes:
        rows: What is registered, by id.
        asked: The path and the body of each question, in order.
        shown: What each question showed as its authorization, in order.
        refusing: Called with the path of each question; may raise Refused.
    """

    def __init__(self, workspace: Path, *, port: int = 0, token: str | None = None) -> None:
        self.workspace = workspace
        self.instance = uuid.uuid4().hex
        self.rows: dict[str, JSON] = {}
        self.asked: list[tuple[str, JSON]] = []
        self.shown: list[tuple[str, str | None]] = []
        self.refusing: Callable[[str], None] = lambda path: None
        self._token = token
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def file(self) -> Path:
        return self.workspace / "state" / "agent-registry.json"

    def announce(self, **changes: object) -> None:
        """Write the discovery file, with *changes* in it."""
        noted: JSON = {"host": "127.0.0.1", "port": self.port, "pid": os.getpid(), "url": self.url, "started_at": 0.0}
        noted.update(instance_id=self.instance, process_start=0, token_file=None)
        if self._token is not None:
            secret = self.workspace / "token"
            secret.parent.mkdir(parents=True, exist_ok=True)
            secret.write_text(f"{self._token}\n")
            noted["token_file"] = str(secret)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(f".{self.port}")
        beside.write_text(json.dumps({**noted, **changes}))
        beside.replace(self.file)

    def wait_until(self, fits: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until what was asked makes *fits* true."""
        with self._changed:
            assert self._changed.wait_for(fits, timeout), self.asked

    def times(self, path: str) -> int:
        """How often *path* was asked for."""
        return sum(each == path for each, _ in self.asked)

    def row(self, name: str) -> JSON:
        (found,) = [row for row in self.rows.values() if row["name"] == name]
        return found

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        self.announce()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    # -- answers --------------------------------------------------------------

    def answer(self, method: str, path: str, body: JSON, shown: str | None) -> JSON:
        with self._changed:
            try:
                return self._answer(method, path, body, shown)
            finally:
                self.asked.append((path, body))
                self.shown.append((path, shown))
                self._changed.notify_all()

    def _answer(self, method: str, path: str, body: JSON, shown: str | None) -> JSON:
        self.refusing(path)
        if path != "/health" and self._token is not None and shown != f"Bearer {self._token}":
            raise Refused(401, "this service wants its token")
        route = {
            "GET /health": self._health,
            "GET /agents": self._agents,
            "POST /register": self._register,
            "POST /heartbeat": self._heartbeat,
            "POST /deregister": self._deregister,
        }.get(f"{method} {path}")
        if route is None:
            raise Refused(404, f"there is no {path}")
        return route(body)

    def _health(self, body: JSON) -> JSON:
        return {"ok": True, "count": len(self.rows), "uptime": 61.5, "instance_id": self.instance, "version": "1"}

    def _agents(self, body: JSON) -> JSON:
        now = time.time()
        agents: list[JSON] = [
            {**{key: row[key] for key in row if key != "token"}, "heartbeat_age": now - row["last_heartbeat"]}
            for row in self.rows.values()
        ]
        agents.sort(key=lambda agent: -agent["started_at"])
        return {"agents": agents, "count": len(agents)}

    def _register(self, body: JSON) -> JSON:
        for key, kind in (("name", str), ("pid", int), ("meta", dict), ("id", str)):
            if key in body and (not isinstance(body[key], kind) or body[key] == ""):
                raise Refused(400, f"{key}: expected another type")
        row = self._found(body) if body.get("id") in self.rows else None
        identity = body.get("id") or uuid.uuid4().hex
        now = time.time()
        self.rows[identity] = {
            "id": identity,
            "name": body.get("name", "agent"),
            "cwd": body.get("cwd"),
            "pid": body.get("pid", 0),
            "host": body.get("host", "here"),
            "meta": body.get("meta", {}),
            "started_at": row["started_at"] if row else now,
            "last_heartbeat": now,
            "status": "active",
            "token": uuid.uuid4().hex,
        }
        return {"ok": True, "id": identity, "token": self.rows[identity]["token"]}

    def _heartbeat(self, body: JSON) -> JSON:
        row = self._found(body)
        if row is None or row["status"] == "stopped":
            raise Refused(404, "no such agent is registered")
        row.update(status="active", last_heartbeat=time.time())
        return {"ok": True, "status": "active"}

    def _deregister(self, body: JSON) -> JSON:
        row = self._found(body)
        if row is not None:
            row["status"] = "stopped"
        return {"ok": True}

    def _found(self, body: JSON) -> JSON | None:
        if not isinstance(body.get("id"), str):
            raise Refused(400, "id: expected a text")
        row = self.rows.get(body["id"])
        if row is not None and body.get("token") not in (None, row["token"]):
            raise Refused(409, "that is another registration's by now")
        return row


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # who asked was killed meanwhile


def _handler(service: SmallService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            try:
                body = json.loads(content) if content else {}
                status, answer = 200, service.answer(self.command, self.path, body, self.headers["Authorization"])
            except Refused as refused:
                status, answer = refused.status, {"ok": False, "error": str(refused)}
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = _respond

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def main(workspace: Path) -> None:
    """Serve until SIGTERM comes; one line in ``started`` tells of each start."""
    service = SmallService(workspace)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with (workspace / "started").open("a") as file:
        file.write(f"{os.getpid()}\n")
    print("serving", flush=True)
    service.announce()
    service.serve()


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--workspace") + 1]))
