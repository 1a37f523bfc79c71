"""What a mirror is told, and what a mirror is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.service.rows import shown_status

__all__ = ["Kind", "Mirror", "News", "Undelivered", "described"]

Kind = Literal["joined", "changed", "left", "resync"]


@dataclass(frozen=True, slots=True)
class News:
    """Something that a mirror is told.

    Attributes:
        type: ``joined``, ``changed`` or ``left``; ``resync`` says that some
            news were lost, and goes to mirrors that have a method for it.
        revision: The registry's, when it happened; never less than that of the news before.
        time: When the service heard of it: ISO 8601 in UTC.
        agent: ``id``, ``name``, ``status`` (active, stale, stopped), ``host``,
            ``pid``, ``cwd``, ``runtime``, ``started_at`` (seconds since 1970),
            ``capabilities``, ``meta``; of one that has left also the
            ``reason``. Empty for a ``resync``.

    >>> News("left", 7, "2025-01-01T00:00:00Z", {"id": "scout", "reason": "died"}).agent["reason"]
    'died'
    """

    type: Kind
    revision: int
    time: str
    agent: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types: ``{type, revision, time, agent}``; the agent of a ``resync`` is null."""
        return {"type": self.type, "revision": self.revision, "time": self.time, "agent": dict(self.agent) or None}


class Mirror(Protocol):
    """Whoever wants to know who is there: one call for each of the news, one at a time, in order of revision.

    A method may be ``async``, and is awaited; a plain one is called in a
    thread of its own. It may take as long as it likes: only this mirror's
    news wait. What it raises is logged, and the next of the news follows.

    An agent that has joined is not said to join again before it has left.
    The first news are those of the agents that were there at the beginning,
    as ``joined``.

    Two methods are optional. With ``deliver(batch)``, a list of `News`, it
    gets all that wait at once, a hundred at most, in place of the other
    calls. With ``resync(news)`` it is told when news were lost, and at the
    beginning: what it knew counts no more, and everyone who is there joins
    anew. Without, it gets what differs: those who have left, joined and
    changed meanwhile. ``close()`` is called at the end, if there is one.
    """

    def joined(self, news: News) -> Any:
        """An agent is there."""

    def changed(self, news: News) -> Any:
        """Something about an agent is different: its status, what it does, its metadata."""

    def left(self, news: News) -> Any:
        """An agent has stopped, or is forgotten."""


class Undelivered(Exception):
    """Raised by a mirror that gives up on what it was handed: it is brought up to date from a listing then."""


def described(record: AgentMetadata) -> dict[str, Any]:
    """What mirrors are told of a record, as it is now."""
    return {
        "id": record.agent_id,
        "name": record.name,
        "status": shown_status(record),
        "host": record.host,
        "pid": record.pid,
        "cwd": record.cwd or None,
        "runtime": record.runtime_id,
        "started_at": record.registered if record.created is None else record.created,
        "capabilities": [*record.capabilities],
        "meta": dict(record.metadata),
    }
