"""What an agent was given at its registration, and has to give back when it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agentreg.extensions.resources.conflicts import AgentRequest, ConnectionRoom, Share
from agentreg.extensions.resources.pipelines.performing import called

__all__ = ["Connections", "Enrolment", "Lease", "Notice", "let_go_of"]


class Lease(Protocol):
    """A hold on a connection."""

    @property
    def server(self) -> str:
        """The server's name."""

    async def release(self) -> None:
        """Give it up; a second time is fine."""


class Connections(ConnectionRoom, Protocol):
    """Who connects agents to MCP servers: a `ConnectionPool`."""

    async def acquire(self, server: str, agent: str) -> Lease:
        """A lease for *agent* on a connection to *server*; cancelling it leaves nothing behind."""


@dataclass(frozen=True)
class Notice:
    """What others are told.

    Attributes:
        kind: ``"registered"``; ``"withdrawn"``, when a registration that was told of is undone; ``"deregistered"``.
        name: The agent's name.
        reason: Why, in a sentence; empty where nothing was said.
        request: The request, without the agent; None for an agent that came without one.
    """

    kind: Literal["registered", "withdrawn", "deregistered"]
    name: str
    reason: str = ""
    request: AgentRequest | None = None


@dataclass
class Enrolment:
    """What an agent was given at its registration.

    Attributes:
        request: As it was accepted, without the agent.
        token: Of its registration.
        leases: Its connections.
        share: Its share of memory, or None.
        stops: Step -> what ends that the agent is monitored, or its file watched.
    """

    request: AgentRequest
    token: Any = None
    leases: list[Lease] = field(default_factory=list)
    share: Share | None = None
    stops: dict[str, Callable[[], Any]] = field(default_factory=dict)


async def let_go_of(enrolment: Enrolment) -> list[BaseException]:
    """Give back everything: what is watched, connections, the share; the errors of what could not be."""
    stops, enrolment.stops = enrolment.stops, {}
    leases, enrolment.leases = enrolment.leases, []
    share, enrolment.share = enrolment.share, None
    calls: list[Callable[[], Any]] = [*reversed(stops.values()), *(lease.release for lease in leases)]
    return await errors_of(calls if share is None else [*calls, share.cancel])


async def errors_of(calls: Iterable[Callable[[], Any | Awaitable[Any]]]) -> list[BaseException]:
    """Call all of them, in order; what they raised."""
    errors: list[BaseException] = []
    for call in calls:
        try:
            await called(call)
        except Exception as error:
            errors.append(error)
    return errors
