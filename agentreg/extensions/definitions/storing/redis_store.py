"""Stored definitions on a Redis server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import redis

from agentreg.extensions.definitions.errors import StoreFormatError, StoreUnavailableError
from agentreg.extensions.definitions.storing.backends import Entry, Version

__all__ = ["PREFIX", "RedisBackend"]

T = TypeVar("T")

PREFIX = "{agentreg:definitions}"  # in braces: a cluster keeps all keys of a store together
TIMEOUT = 5.0  # seconds, for connecting and for each answer
_CHUNK = 200  # versions fetched at once

# A new table counts from the microsecond it was made in: its revisions are not those of one that was there before.
_COUNT = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    local now = redis.call('TIME')
    redis.call('SET', KEYS[1], now[1] .. string.format('%06d', now[2]))
end
redis.call('INCR', KEYS[1])
return 1
"""
# Each script is one atomic step. KEYS: revision, tokens, entries, versions of the name.
_COMMIT = (
    """
local token = redis.call('HGET', KEYS[2], ARGV[1])
if token == ARGV[2] then return 1 end
if (token or '') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[4], ARGV[5], ARGV[6]) end
"""
    + _COUNT
)
_FORGET = (
    """
local token = redis.call('HGET', KEYS[2], ARGV[1])
if not token then return 1 end
if token ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[4])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
"""
    + _COUNT
)
_READ = """
local entry = redis.call('HGET', KEYS[3], ARGV[1])
if not entry then return {} end
local number = ARGV[2]
if number == '' then number = string.format('%d', cjson.decode(entry).version) end
local version = redis.call('HGET', KEYS[4], number)
if not version then return {} end
return {entry, version}
"""
_HISTORY = """
local entry = redis.call('HGET', KEYS[3], ARGV[1])
if not entry then return {} end
return {entry, redis.call('HVALS', KEYS[4])}
"""
_CURRENT = "return {redis.call('GET', KEYS[1]) or '0', redis.call('HVALS', KEYS[3])}"


class RedisBackend:
    """A `Backend` on a Redis or Valkey server, or a cluster of them.

    A change is one script, so that it happens wholly or not at all, and a
    client that repeats it after a broken connection does it only once. What
    has been acknowledged survives as the server is set up: with
    ``appendfsync always`` it is on the disk.

    Thread-safe: yes, as redis-py's clients are; a forked child gets
    connections of its own.
    """

    remote = True

    def __init__(self, connect: Callable[[], redis.Redis], url: str, prefix: str = PREFIX) -> None:
        """Keep what *connect* gives at the first use; *prefix* begins each key and needs a part in braces."""
        if not re.search(r"\{[^}]+\}", prefix):
            raise ValueError(f"prefix: expected a part in braces, such as {PREFIX!r}, got {prefix!r}")
        self.url = url
        self._connect = connect
        self._prefix = prefix
        self._client: Any = None
        self._process = 0

    @classmethod
    def from_url(cls, url: str) -> RedisBackend:
        """The store on the server *url*, which is connected to at the first use."""
        shown = re.sub(r"//[^/@]*@", "//", url)
        return cls(partial(_client, url), shown)

    def revision(self) -> int:
        """As `Backend.revision`."""
        return int(self._ask(lambda client: client.get(self._key("revision"))) or 0)

    def read(self, name: str, number: int | None = None) -> tuple[Entry, Version] | None:
        """As `Backend.read`."""
        found = self._run(_READ, name, "" if number is None else str(number))
        return (self._entry(found[0]), self._version(found[1])) if found else None

    def history(self, name: str) -> tuple[Entry, Sequence[Version]] | None:
        """As `Backend.history`."""
        found = self._run(_HISTORY, name)
        if not found:
            return None
        return self._entry(found[0]), sorted(map(self._version, found[1]), key=lambda version: version.number)

    def current(self) -> tuple[int, list[tuple[Entry, Version]]]:
        """As `Backend.current`."""
        revision, texts = self._run(_CURRENT, "")
        entries = [entry for entry in map(self._entry, texts) if not entry.removed]
        versions = [
            text for start in range(0, len(entries), _CHUNK) for text in self._latest(entries[start : start + _CHUNK])
        ]
        # a version never changes, but one may have been purged meanwhile
        return int(revision), [
            (entry, self._version(text)) for entry, text in zip(entries, versions, strict=True) if text
        ]

    def commit(self, entry: Entry, expected: str | None, version: Version | None = None) -> bool:
        """As `Backend.commit`."""
        added = (str(version.number), version.to_json()) if version else ("", "")
        return bool(self._run(_COMMIT, entry.name, entry.token, expected or "", entry.to_json(), *added))

    def forget(self, name: str, expected: str) -> bool:
        """As `Backend.forget`."""
        return bool(self._run(_FORGET, name, expected))

    def close(self) -> None:
        """As `Backend.close`."""
        client, self._client = self._client, None
        if client is not None and self._process == os.getpid():
            with suppress(redis.RedisError):
                client.close()

    # -- asking -------------------------------------------------------------

    def _key(self, kind: str) -> str:
        return f"{self._prefix}:{kind}"

    def _run(self, script: str, name: str, *arguments: str) -> Any:
        keys = [*map(self._key, ("revision", "tokens", "entries")), self._key(f"versions:{name}")]
        return self._ask(lambda client: client.eval(script, len(keys), *keys, name, *arguments))

    def _latest(self, entries: Sequence[Entry]) -> list[Any]:
        def fetch(client: Any) -> list[Any]:
            pipeline = client.pipeline(transaction=False)
            for entry in entries:
                pipeline.hget(self._key(f"versions:{entry.name}"), str(entry.version))
            return list(pipeline.execute())

        return self._ask(fetch)

    def _ask(self, question: Callable[[Any], T]) -> T:
        try:
            return question(self._connected())
        except (redis.RedisError, OSError) as error:
            if str(error).startswith("WRONGTYPE"):
                cause = f"a key that begins with {self._prefix} is not a store's"
                raise StoreFormatError(self.url, cause, "name another database of the server") from error
            advice = "see that the server runs, can be reached, and takes writes"
            raise StoreUnavailableError(self.url, f"Redis says: {type(error).__name__}: {error}", advice) from error

    def _connected(self) -> Any:
        # without a lock, which a forked child could inherit taken: of two threads' clients one is dropped
        client = self._client
        if client is None or self._process != os.getpid():
            self._process = os.getpid()
            client = self._client = self._connect()
        return client

    # -- reading what comes back ---------------------------------------------

    def _entry(self, text: str) -> Entry:
        return self._decoded(Entry.from_json, text)

    def _version(self, text: str) -> Version:
        return self._decoded(Version.from_json, text)

    def _decoded(self, decode: Callable[[str], T], text: str) -> T:
        try:
            return decode(text)
        except (ValueError, TypeError, KeyError) as error:
            cause = f"what is kept there can't be read ({error}): it is damaged, or of another version of agentreg"
            raise StoreFormatError(self.url, cause, "restore a backup, or upgrade agentreg") from error


def _client(url: str) -> redis.Redis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
    }
    client = redis.Redis.from_url(url, **options)
    if not client.info("cluster").get("cluster_enabled"):
        return client
    client.close()
    return redis.RedisCluster.from_url(url, **options)  # type: ignore[return-value]
