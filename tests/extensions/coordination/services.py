"""A service in a thread of this process, over a store of its own, for the backend that speaks HTTP."""

from __future__ import annotations

import socket
import threading

import uvicorn

from agentreg.extensions.service import create_app, open_directory

__all__ = ["ThreadedService"]


class ThreadedService:
    """It answers when it has been made, until `stop`."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(open_directory("memory://"))
        config = uvicorn.Config(app, lifespan="on", log_level="error", access_log=False, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="service")
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait."""
        self._server.should_exit = True
        self._thread.join()
