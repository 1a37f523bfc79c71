"""A store of each kind, empty, and the server of the suite's own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.extensions.definitions.redis_server import redis_server
from tests.extensions.definitions.stores import Clock

if TYPE_CHECKING:
    from agentreg.extensions.definitions.storing.backends import Backend
    from agentreg.extensions.definitions.storing.store import DefinitionStore

if find_spec("yaml") is None:  # without the extra "definitions" there is nothing to test
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for the whole run; whoever uses it empties it first."""
    pytest.importorskip("redis")
    with redis_server(tmp_path_factory.mktemp("redis"), "--save", "") as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def empty_redis(redis_url: str) -> str:
    """The URL of a server without any keys."""
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made: each test with it runs for both kinds."""
    if request.param == "redis":
        return str(request.getfixturevalue("empty_redis"))
    return str(tmp_path / "definitions.db")


@pytest.fixture
def backend(place: str, clock: Clock) -> Iterator[Backend]:
    opened = _redis_backend(place) if place.startswith("redis") else _sqlite_backend(place, clock)
    yield opened
    opened.close()


def _redis_backend(url: str) -> Backend:
    from agentreg.extensions.definitions.storing.redis_store import RedisBackend

    return RedisBackend.from_url(url)


def _sqlite_backend(path: str, clock: Clock) -> Backend:
    from agentreg.extensions.definitions.storing.sqlite_store import SQLiteBackend

    return SQLiteBackend(path, clock)


@pytest.fixture
def store(place: str, clock: Clock) -> Iterator[DefinitionStore]:
    from agentreg.extensions.definitions.storing.store import DefinitionStore

    with DefinitionStore(place, clock=clock) as opened:
        yield opened
