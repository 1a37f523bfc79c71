"""From a URL to the backend that it names."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from agentreg.extensions.definitions.storing.backends import Backend
from agentreg.extensions.definitions.storing.sqlite_store import SQLiteBackend

__all__ = ["open_backend"]


def open_backend(place: str | os.PathLike[str] | Backend, clock: Callable[[], datetime]) -> Backend:
    """The backend that *place* names, or is; nothing is opened yet.

    Raises:
        ValueError: the URL's kind is unknown.
        ImportError: a Redis server is named, and the package ``redis`` is missing.
    """
    if not isinstance(place, (str, os.PathLike)):
        return place
    text = os.fspath(place)
    scheme, separator, rest = text.partition("://")
    if not separator or isinstance(place, os.PathLike):
        return SQLiteBackend(text, clock)
    if scheme == "sqlite":
        return SQLiteBackend(rest.removeprefix("/"), clock)
    if scheme in {"redis", "rediss", "unix"}:
        return _redis(text)
    raise ValueError(f"{scheme}://: expected a path, or a URL with sqlite://, redis://, rediss:// or unix://")


def _redis(url: str) -> Backend:
    try:
        from agentreg.extensions.definitions.storing.redis_store import RedisBackend
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ImportError('a store on Redis needs a package: pip install "agentreg[redis]"', name="redis") from error
    return RedisBackend.from_url(url)
