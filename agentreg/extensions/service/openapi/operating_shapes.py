"""Shapes of what the operations answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

__all__ = [
    "Alert",
    "Alerts",
    "Answered",
    "Decisions",
    "Latest",
    "Metrics",
    "PendingDecisions",
    "ResourceState",
    "Rule",
    "Series",
    "Silence",
]

Unit = Literal["fraction", "s", "count"]


class Metric(msgspec.Struct):
    """A metric, and of how many agents it is known just now."""

    name: str
    unit: Unit
    agents: int


class Metrics(msgspec.Struct):
    """The metrics; steps and the sampling interval in seconds."""

    metrics: list[Metric]
    steps: list[int]
    interval: int
    revision: int


class Point(msgspec.Struct):
    """What was sampled within one step; quantiles from an hour up."""

    time: datetime
    min: float
    max: float
    mean: float
    count: int
    p50: float | msgspec.UnsetType = msgspec.UNSET
    p95: float | msgspec.UnsetType = msgspec.UNSET
    p99: float | msgspec.UnsetType = msgspec.UNSET


class Series(msgspec.Struct):
    """A metric over time, of an agent or of all together; a step without samples has no point."""

    metric: str
    unit: Unit
    agent: str | None
    step: int
    since: datetime
    until: datetime
    points: list[Point]
    revision: int


class Latest(msgspec.Struct):
    """The last value of each agent, by its id."""

    metric: str
    unit: Unit
    time: datetime
    values: dict[str, float]
    revision: int


class Acknowledged(msgspec.Struct):
    """Who has seen an alert."""

    by: str
    at: datetime
    note: str


class Alert(msgspec.Struct):
    """One time that a rule was broken by an agent."""

    id: str
    rule: str
    expression: str
    severity: Literal["info", "warning", "critical"]
    agent: str
    agent_name: str
    state: Literal["pending", "firing", "resolved"]
    value: float | None
    value_text: str | None
    threshold: float | None
    since: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    reason: str | None
    silenced: bool
    acknowledged: Acknowledged | None


class Rule(msgspec.Struct):
    """What is watched."""

    name: str
    expression: str
    severity: Literal["info", "warning", "critical"]
    metric: str


class Silence(msgspec.Struct):
    """What is kept from handlers and from the stream; null: all."""

    id: str
    rule: str | None
    agent: str | None
    until: datetime
    by: str
    reason: str


class Alerts(msgspec.Struct):
    """Alerts, the rules, and the silences that hold."""

    alerts: list[Alert]
    count: int
    rules: list[Rule]
    silences: list[Silence]
    revision: int


class Budget(msgspec.Struct):
    """What there is, in bytes and cores; null: no limit."""

    memory: int | None
    reserved: int
    cpu: float | None


class Usage(msgspec.Struct):
    """Which part of it is allocated, from 0 to 1."""

    memory: float | None
    cpu: float | None
    memory_text: str


class HostMemory(msgspec.Struct):
    """Bytes of a host."""

    total: int | None
    allocated: int
    free: int | None


class HostCores(msgspec.Struct):
    """Cores of a host."""

    total: float
    allocated: float
    free: float


class Share(msgspec.Struct):
    """Memory that an agent has, or waits for, in bytes."""

    agent_id: str
    agent: str
    memory: int
    priority: Literal["critical", "important", "normal", "low"]
    since: datetime


class WaitingShare(Share):
    """One that waits, and why."""

    reason: str


class Host(msgspec.Struct):
    """A host and who is on it; what of the free memory would have to move to lie together, from 0 to 1."""

    name: str
    memory: HostMemory
    cpu: HostCores | None
    fragmentation: float
    allocations: list[Share]


class Advice(msgspec.Struct):
    """That there should be more, or less, by so many bytes."""

    time: datetime
    direction: Literal["up", "down"]
    amount: int
    reason: str


class Proposal(msgspec.Struct):
    """Moves between hosts that bring the free memory together."""

    moves: list[dict[Literal["agent", "from", "to"], str]]


class ResourceState(msgspec.Struct):
    """The budget, who has what of it, and who waits."""

    budget: Budget
    utilization: Usage
    hosts: list[Host]
    waiting: list[WaitingShare]
    advice: list[Advice]
    proposal: Proposal | None
    revision: int


class StepReport(msgspec.Struct):
    """What became of one step of a pipeline."""

    name: str
    outcome: str
    seconds: float
    detail: str


class Decision(msgspec.Struct):
    """What was decided about an agent, and why."""

    time: datetime
    kind: str
    subject: str
    strategy: str
    choice: str
    reason: str
    alternatives: list[str]
    by: str
    steps: list[StepReport]


class Decisions(msgspec.Struct):
    """Decisions, the newest first."""

    decisions: list[Decision]
    count: int
    revision: int


class PendingDecision(msgspec.Struct):
    """A question that waits for an answer; at the deadline, its default is taken."""

    id: str
    kind: str
    subject: str
    question: str
    choices: list[str]
    default: str
    deadline: datetime | None


class PendingDecisions(msgspec.Struct):
    """Questions, the oldest first."""

    pending: list[PendingDecision]
    revision: int


class Answered(msgspec.Struct):
    """An answer that was taken."""

    ok: Literal[True]
    id: str
    choice: str
    by: str
    reason: str
