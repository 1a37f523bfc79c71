"""What happened to allocations. Events are frozen, and carry names and figures, never an agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "Granted",
    "Moved",
    "Preempted",
    "Queued",
    "Released",
    "RepackProposed",
    "Resized",
    "ResourceEvent",
    "ScalingAdvice",
]


@dataclass(frozen=True)
class Granted:
    """An agent was given its share of a host.

    Attributes:
        agent: The agent's name.
        owner: For whom it counts.
        priority: As it was asked for.
        host: Where it is.
        memory: Bytes.
        cpu: Cores.
        waited: Seconds in the line, by the manager's clock.
        revision: How many events of this manager there were up to this one.
    """

    agent: str
    owner: str
    priority: str
    host: str
    memory: int
    cpu: float
    waited: float
    revision: int


@dataclass(frozen=True)
class Queued:
    """An agent waits in the line.

    Attributes:
        waiting: How many wait now, this one included.
    """

    agent: str
    owner: str
    priority: str
    memory: int
    cpu: float
    waiting: int
    revision: int


@dataclass(frozen=True)
class Preempted:
    """Something low lost its share to something critical.

    Attributes:
        by: The critical agent.
    """

    agent: str
    owner: str
    host: str
    memory: int
    cpu: float
    by: str
    revision: int


@dataclass(frozen=True)
class Released:
    """An allocation is over: a share is free again, or a place in the line was given up.

    Attributes:
        host: Where it was; None if it was waiting.
        reason: ``"released"``, ``"cancelled"`` (it was waiting) or ``"departed"`` (its agent left the registry).
    """

    agent: str
    owner: str
    host: str | None
    memory: int
    cpu: float
    reason: Literal["released", "cancelled", "departed"]
    revision: int


@dataclass(frozen=True)
class Resized:
    """An allocation, granted or waiting, has another size.

    Attributes:
        before: The bytes it had.
        memory: The bytes it has.
    """

    agent: str
    host: str | None
    before: int
    memory: int
    cpu: float
    revision: int


@dataclass(frozen=True)
class Moved:
    """A proposal was applied, and with it this allocation is on another host."""

    agent: str
    source: str
    target: str
    memory: int
    cpu: float
    revision: int


@dataclass(frozen=True)
class RepackProposed:
    """A repacking was worked out; nothing has moved.

    Attributes:
        moves: How many moves it has.
        before: The fragmentation as it is, from 0 to 1.
        after: What it would be.
    """

    moves: int
    before: float
    after: float
    revision: int


@dataclass(frozen=True)
class ScalingAdvice:
    """There should be more, or less.

    Attributes:
        direction: ``"up"`` or ``"down"``.
        resource: What decided it: ``"memory"`` or ``"cpu"``.
        utilization: The part of it that is allocated, from 0 to 1.
        memory: Bytes to add or to take away.
        cpu: Cores to add or to take away; 0 where cores are not limited.
        hosts: How many hosts of the usual size that is: rounded up to add, down to take away.
        reason: The same in words.
    """

    direction: Literal["up", "down"]
    resource: Literal["memory", "cpu"]
    utilization: float
    memory: int
    cpu: float
    hosts: int
    reason: str
    revision: int


ResourceEvent: TypeAlias = Granted | Queued | Preempted | Released | Resized | Moved | RepackProposed | ScalingAdvice
