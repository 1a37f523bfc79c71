"""A hub: a real HTTP server that notes what is posted to it, and answers as it is told."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import Self


@dataclass(frozen=True)
class Posted:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def news(self) -> list[dict[str, Any]]:
        return list(json.loads(self.body))

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


class Hub:
    """Answers each request with the next of *answers* (a status, or a status and headers), then with 204.

    The answer ``None`` is no answer: the request hangs until the hub is closed.
    """

    def __init__(self, *answers: Any, port: int = 0) -> None:
        self.posted: queue.Queue[Posted] = queue.Queue()
        self._answers = list(answers)
        self._closed = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.posted.put(Posted({name.lower(): value for name, value in self.headers.items()}, body))
                answer = hub._answers.pop(0) if hub._answers else 204
                if answer is None:
                    hub._closed.wait()
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/agents"

    def next(self, seconds: float = 20.0) -> Posted:
        return self.posted.get(timeout=seconds)

    def all(self) -> list[Posted]:
        """What has come and was not looked at."""
        return [self.posted.get() for _ in range(self.posted.qsize())]

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
