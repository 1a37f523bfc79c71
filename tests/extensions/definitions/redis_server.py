"""A Redis server of the suite's own, on a free port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.extensions.coordination.servers import Server, free_port

__all__ = ["free_port", "redis_server"]


@contextlib.contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[int]:
    """The port of a server that keeps its files in *folder*."""
    with Server(folder, *options) as server:
        yield server.port
