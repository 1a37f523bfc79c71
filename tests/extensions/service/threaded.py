"""A service in a thread of this process, at a free port, for clients that block."""

from __future__ import annotations

import socket
import threading
from functools import cached_property
from typing import Any

import httpx
import uvicorn

from agentreg.extensions.definitions import DefinitionStore
from agentreg.extensions.service import create_app, open_directory

__all__ = ["ThreadedService"]


class ThreadedService:
    """It answers when it has been made, until `stop`; with a table of definitions, in memory.

    Attributes:
        url: Where it is.
        definitions: Its table.
        directory: Its directory; for looking only.
    """

    def __init__(self, **options: Any) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.definitions = DefinitionStore(":memory:")
        self.directory = open_directory("memory://")
        app = create_app(self.directory, definitions=self.definitions, **options)
        config = uvicorn.Config(app, lifespan="on", log_level="error", access_log=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="service")
        self._thread.start()

    @cached_property
    def bearer(self) -> str:
        """What a client of its document store shows."""
        answer = httpx.post(f"{self.url}/auth/login", json={"email": "ann@example.org", "password": "any"})
        return str(answer.json()["token"])

    def stop(self) -> None:
        """End it, and wait."""
        self._server.should_exit = True
        self._thread.join()
