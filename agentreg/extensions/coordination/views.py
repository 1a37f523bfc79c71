"""Read-only views of a copy: they change nothing, and reading an unknown key creates nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus
from agentreg.extensions.coordination.replica import Replica

__all__ = ["AgentsView", "View"]

K = TypeVar("K")
V = TypeVar("V")


class View(Mapping[K, V]):
    """A mapping over something that changes: keys as they are now, each value made when it is asked for."""

    def __init__(self, keys: Callable[[], list[K]], value: Callable[[K], V]) -> None:
        self._keys = keys
        self._value = value

    def __getitem__(self, key: K) -> V:
        return self._value(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __repr__(self) -> str:
        return repr(dict(self))


class AgentsView(Mapping[str, AgentMetadata]):
    """Agent id -> record, in registration order."""

    def __init__(self, replica: Callable[[], Replica]) -> None:
        self._replica = replica

    def __getitem__(self, agent_id: str) -> AgentMetadata:
        return self._replica().records[agent_id]

    def __iter__(self) -> Iterator[str]:
        replica = self._replica()
        with replica.lock:
            return iter(list(replica.records))

    def __len__(self) -> int:
        return len(self._replica().records)

    def __repr__(self) -> str:
        return repr(dict(self))


def runtimes(replica: Callable[[], Replica]) -> View[str, set[str]]:
    """Runtime id -> the ids of its agents."""

    def agents(runtime_id: str) -> set[str]:
        here = replica()
        with here.lock:
            return set(here.runtimes[runtime_id].agents)

    return View(lambda: list(replica().runtimes), agents)


def capabilities(replica: Callable[[], Replica]) -> View[str, set[str]]:
    """Capability in lower case -> the ids of the agents that have it."""

    def agents(text: str) -> set[str]:
        here = replica()
        with here.lock:
            found = here.with_capability(text.lower()) if isinstance(text, str) else []
        if not found:
            raise KeyError(text)
        return set(found)

    return View(lambda: replica().capabilities(), agents)


def statuses(replica: Callable[[], Replica]) -> View[AgentStatus, set[str]]:
    """Status -> the ids of the agents that are so; all four are there."""

    def agents(status: AgentStatus) -> set[str]:
        here = replica()
        if status not in _STATUSES:
            raise KeyError(status)
        with here.lock:
            return {record.agent_id for record in here.with_status(AgentStatus(status))}

    return View(lambda: list(AgentStatus), agents)


_STATUSES = frozenset(AgentStatus)
