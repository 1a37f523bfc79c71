"""A small document store that speaks as js-doc-store-server does, and can be told to misbehave."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

Row = dict[str, Any]
Answer = Callable[["Handler"], None]

EMAIL, PASSWORD = "ann@example.org", "open sesame"


class DocServer(ThreadingHTTPServer):
    """The tables, who is logged in, and what was asked.

    Attributes:
        tables: Name -> rows.
        tokens: Those that are valid. Clear it, and all have expired.
        requests: The path of each request, in order.
        authorizations: The header of each request.
        faults: Path -> what to do once instead of answering, in order.
        gate: What a slow answer waits for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tables: dict[str, list[Row]] = {"agents": []}
        self.columns: dict[str, list[Row]] = {}
        self.tokens: set[str] = set()
        self.requests: list[str] = []
        self.authorizations: list[str | None] = []
        self.faults: dict[str, list[Answer]] = {}
        self.gate = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail(self, path: str, *answers: Answer) -> None:
        self.faults.setdefault(path, []).extend(answers)


class Handler(BaseHTTPRequestHandler):
    server: DocServer

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(self.path)
        self.server.authorizations.append(self.headers["Authorization"])
        faults = self.server.faults.get(self.path)
        (faults.pop(0) if faults else Handler.work)(self)

    def work(self) -> None:
        if self.path == "/auth/login":
            self._log_in()
        elif (self.headers["Authorization"] or "").removeprefix("Bearer ") not in self.server.tokens:
            self.answer(401, {"success": False, "error": "Unauthorized"})
        elif self.path == "/admin/create-table":
            self.server.tables[self.body["tableName"]] = []
            self.server.columns[self.body["tableName"]] = self.body["columns"]
            self.answer(200, {"success": True})
        elif self.body["tableName"] not in self.server.tables:
            self.answer(404, {"success": False, "error": "no such table"})
        else:
            self._change_rows(self.server.tables[self.body["tableName"]])

    def _log_in(self) -> None:
        if self.body != {"email": EMAIL, "password": PASSWORD}:
            self.answer(401, {"success": False, "error": "Invalid credentials"})
            return
        token = uuid4().hex
        self.server.tokens.add(token)
        self.answer(200, {"success": True, "token": token})

    def _change_rows(self, rows: list[Row]) -> None:
        if self.path == "/admin/insert":
            row = {"_id": uuid4().hex, **self.body["data"]}
            rows.append(row)
            self.answer(200, {"success": True, "id": row["_id"]})
            return
        found = [row for row in rows if fits(row, self.body["filter"])]
        if self.path == "/admin/query":
            for field, direction in reversed(self.body.get("sort", {}).items()):
                found.sort(key=lambda row: row.get(field, ""), reverse=direction < 0)
            self.answer(200, {"success": True, "data": found[: self.body.get("limit")]})
        elif self.path == "/admin/update":
            for row in found:
                row.update(self.body["update"]["$set"])
            self.answer(200, {"success": True})
        elif self.path == "/admin/remove":
            rows[:] = [row for row in rows if row not in found]
            self.answer(200, {"success": True})
        else:
            self.answer(404, {"success": False})

    def answer(self, status: int, content: Any, kind: str = "application/json; charset=utf-8", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have hung up
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def fits(row: Row, conditions: dict[str, Any]) -> bool:
    return all(_fits(row.get(field), condition) for field, condition in conditions.items())


def _fits(value: Any, condition: Any) -> bool:
    if not isinstance(condition, dict):
        return bool(value == condition)
    checks: dict[str, Callable[[Any], bool]] = {
        "$eq": lambda operand: value == operand,
        "$ne": lambda operand: value != operand,
        "$in": lambda operand: value in operand,
        "$regex": lambda operand: isinstance(value, str) and re.search(operand, value) is not None,
        "$exists": lambda operand: (value is not None) == operand,
    }
    return all(checks[key](operand) for key, operand in condition.items())


@contextlib.contextmanager
def doc_server() -> Iterator[DocServer]:
    server = DocServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="doc server")
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(30)


# -- faults -----------------------------------------------------------------


def status(code: int, content: Any = b"{}", kind: str = "application/json", **headers: str) -> Answer:
    return lambda handler: handler.answer(code, content, kind, **headers)


def hang(handler: Handler) -> None:
    handler.server.gate.wait(60)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Begin an answer and go on with it, a byte at a time, until nobody listens."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server.gate.wait(0.005):
            handler.wfile.write(b" ")
    handler.close_connection = True


def flood(handler: Handler) -> None:
    """Answer without an end."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server.gate.is_set():
            handler.wfile.write(b" " * (1 << 20))
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"success": tr')
    handler.close_connection = True
