"""What a directory asks of a store, and the stores there are.

A store keeps three things: *records*, one for each agent id; *beats*, when
an agent or a runtime was last heard of; and a *log* of changes, numbered
without gaps. Every write says its condition, and every answer carries the
revision. A batch is carried out item by item, in order: each item takes
effect whole or not at all, and one that is refused stops none of the others.

Beats are no changes: they have no revision, are not in the log, and a crash
may lose the last second of them. A registration is an agent's first beat.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from agentreg.extensions.coordination.errors import BackendURLError
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.record import AgentMetadata

__all__ = ["Answer", "Backend", "Beat", "Changes", "Delete", "Patch", "Put", "Renew", "Snapshot", "open_backend"]


class Put(NamedTuple):
    """Enter *record*: if its id is free, or held by the registration *replaces*, or by its own token (then nothing is
    done). One that is replaced leaves in the same step, with a change of its own before the new one's.

    Its result: None, or the record that holds the id.
    """

    record: AgentMetadata
    replaces: str | None = None
    reason: str = "replaced"


class Patch(NamedTuple):
    """Set fields of the record *agent_id* if its token is *token*.

    *fields* are named and shaped as in `to_wire`. If they set ``status``,
    the change says ``old_status`` as well; fields that are so already make
    no change. With *heard*, a `Snapshot`'s or `Changes`' mark, only if
    neither the agent nor its runtime has beaten since that mark.

    Its result: True if the record is as asked now.
    """

    agent_id: str
    token: str
    fields: Mapping[str, Any]
    heard: int | None = None


class Delete(NamedTuple):
    """Remove the record *agent_id* if its token is *token*; *heard* as for `Patch`.

    Its result: True if it was removed.
    """

    agent_id: str
    token: str
    reason: str = "deregistered"
    heard: int | None = None


class Renew(NamedTuple):
    """Note a beat now: of the agent *agent_id* if its token is *token*, or, without an id, of the runtime.

    Its result: True if there is such an agent; for a runtime always.
    """

    runtime_id: str
    agent_id: str | None = None
    token: str = ""


class Beat(NamedTuple):
    """Something was heard of *age* seconds ago, on the store's clock: the agent, or without an id the runtime."""

    runtime_id: str
    agent_id: str | None
    age: float


@dataclass(slots=True)
class Answer:
    """What became of a batch.

    Attributes:
        revision: The store's, when the batch was through.
        results: One for each item, in order.
    """

    revision: int
    results: list[Any]


@dataclass(slots=True)
class Snapshot:
    """Everything in the store at one revision.

    Attributes:
        revision: The last change that shows in it.
        records: In registration order, that is the order of their first change.
        beats: The last of every agent, and of every runtime that has beaten.
        mark: Numbers the beats: for `Backend.changes`, `Patch` and `Delete`.
    """

    revision: int
    records: list[AgentMetadata]
    beats: list[Beat] = field(default_factory=list)
    mark: int = 0


@dataclass(slots=True)
class Changes:
    """What is new since a revision and a mark.

    Attributes:
        revision: The last change among them, or where it was.
        changes: In order, without gaps, from the revision asked for. What
            becomes of their records is the caller's: they are not used again.
        beats: New since the mark, those of registrations among them.
        mark: Where to go on with the beats.
    """

    revision: int
    changes: list[Change]
    beats: list[Beat] = field(default_factory=list)
    mark: int = 0


@runtime_checkable
class Backend(Protocol):
    """A store. Its calls may come from several tasks of one event loop, the one it was opened in.

    Every call raises DirectoryUnavailableError when it has no answer within
    the store's time-out.
    """

    url: str  #: without a password

    async def open(self) -> None:
        """Start what it needs in the background. Calls work without, but `renew` then writes at once."""

    async def close(self) -> None:
        """Write what waits, stop everything, release connections. Twice is once."""

    async def put(self, batch: Sequence[Put]) -> Answer:
        """Enter records."""

    async def patch(self, batch: Sequence[Patch]) -> Answer:
        """Change records."""

    async def delete(self, batch: Sequence[Delete]) -> Answer:
        """Remove records, and their beats with them."""

    async def renew(self, batch: Sequence[Renew]) -> Answer:
        """Note beats. They are seen by `changes` within a second, by this process' conditions at once."""

    async def list(self) -> Snapshot:
        """Everything."""

    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Changes | None:
        """What is new, after *wait* seconds at most if nothing is yet.

        None: the log does not reach back to *since*, or the store is not
        the one that *since* came from any more (it was restored, failed
        over, or cleared). Then `list`.
        """


def no_beats_since(mark: int, beats: Iterable[int]) -> bool:
    """The condition of `Patch` and `Delete`: whether the numbers of all *beats* are at most *mark*."""
    return all(number <= mark for number in beats)


FORMS = (
    "memory://",
    "memory://name",
    "sqlite:///path/to/file.db",
    "redis://host:port/db",
    "rediss://host:port/db",
    "redis+sentinel://host:port,host:port/service/db",
    "redis+cluster://host:port",
    "unix:///path/to/redis.sock",
    "http://host:port",
)


def without_password(url: str) -> str:
    """*url* as it may be shown."""
    url = re.sub(r"(?<=://)([^/@]*?):[^/@]*@", r"\1:***@", url)
    return re.sub(r"((?:password|token)[^=&?]*=)[^&]*", r"\1***", url)


_REDIS = (
    "redis",
    "rediss",
    "unix",
    *(
        f"{scheme}{link}{layout}"
        for scheme in ("redis", "rediss")
        for link in "+-"
        for layout in ("sentinel", "cluster")
    ),
)


def open_backend(url: str, clock: Callable[[], float]) -> Backend:
    """The store at *url*; what it needs is imported now.

    Raises BackendURLError for an address of no known form, ImportError with
    the extra to install when a library is missing.
    """
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    if not separator:
        raise BackendURLError(repr(url) if not isinstance(url, str) else url, "expected an address", FORMS)
    if scheme == "memory":
        from agentreg.extensions.coordination.memory import MemoryBackend

        return MemoryBackend.named(rest, clock)
    if scheme == "sqlite":
        from agentreg.extensions.coordination.sqlite import SQLiteBackend

        return SQLiteBackend(url, clock)
    if scheme in _REDIS:
        try:
            from agentreg.extensions.coordination.redis import RedisBackend
        except ImportError as error:
            raise _missing(url, "redis", error) from error
        return RedisBackend(url)
    if scheme in ("http", "https"):
        try:
            from agentreg.extensions.coordination.http import HTTPBackend
        except ImportError as error:
            raise _missing(url, "http", error) from error
        return HTTPBackend(url)
    raise BackendURLError(without_password(url), f"no store goes by {scheme!r}", FORMS)


def _missing(url: str, extra: str, error: ImportError) -> ImportError:
    return ImportError(f'{without_password(url)}: {error}; install it with: pip install "agentreg[{extra}]"')
