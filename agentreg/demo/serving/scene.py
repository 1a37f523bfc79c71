"""The scene: who is in the directory, of which kind, and what has happened last."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentreg.demo.printable import printable
from agentreg.demo.serving.crew import OBJECT, POOLED
from agentreg.demo.serving.speaker import HTTP
from agentreg.extensions.coordination import AgentMetadata, Change, Listing

__all__ = ["COMMAND", "KINDS", "PROCESS", "Scene", "kind_of"]

COMMAND, PROCESS = "wrapped command", "runtime"
KINDS = (OBJECT, POOLED, PROCESS, COMMAND, HTTP)  #: of agents that the demo shows
SHOWN = 200  # events that are kept


def kind_of(record: AgentMetadata) -> str:
    """Which of the demo's kinds an agent is.

    >>> kind_of(AgentMetadata("a", "runtime-1"))
    'runtime'
    """
    kind = record.metadata.get("kind")
    return kind if isinstance(kind, str) else PROCESS


@dataclass(frozen=True)
class Seen:
    """One agent, as it is shown."""

    name: str
    kind: str
    runtime: str


@dataclass
class Scene:
    """What the views show. Changed in one thread; others read copies.

    Attributes:
        url: The service's address.
        seconds: How long all of it lasts.
        agents: Who is there, by id.
        news: What has happened last, the latest at the end.
        joined, left: How many have.
        tasks: How many tasks were done.
    """

    url: str
    seconds: float
    began: float = field(default_factory=time.monotonic)
    agents: dict[str, Seen] = field(default_factory=dict)
    news: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN))
    joined: Counter[str] = field(default_factory=Counter)
    left: int = 0
    tasks: int = 0

    @property
    def remaining(self) -> float:
        """Seconds until the end."""
        return max(0.0, self.began + self.seconds - time.monotonic())

    def take(self, item: Listing | Change) -> list[str]:
        """Show what the directory tells of; the lines that say so."""
        if isinstance(item, Listing):
            return self._say([self._join(record) for record in item.agents if record.agent_id not in self.agents])
        if item.record is not None:
            return self._say([self._join(item.record)])
        reason = "stopped" if (item.fields or {}).get("status") == "offline" else item.reason
        if reason is None or (seen := self.agents.pop(item.agent_id, None)) is None:
            return []
        self.left += 1
        return self._say([f"{printable(seen.name)} has left: {reason}"])

    def _join(self, record: AgentMetadata) -> str:
        kind = kind_of(record)
        self.agents[record.agent_id] = Seen(record.name, kind, record.runtime_id)
        self.joined[kind] += 1
        return f"{printable(record.name)} has joined ({kind})"

    def _say(self, lines: Iterable[str]) -> list[str]:
        said = list(lines)
        self.news.extend(said)
        return said

    def summary(self) -> list[tuple[str, str]]:
        """Rows of what, and how much."""
        kinds = ", ".join(f"{self.joined[kind]} x {kind}" for kind in KINDS if self.joined[kind])
        return [("joined", kinds or "nobody"), ("left", str(self.left)), ("tasks", f"{self.tasks:,} done")]
