"""What happens while an agent is being recovered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "GaveUp",
    "Listener",
    "PlanFinished",
    "PlanStarted",
    "RecoveryEvent",
    "StepFailed",
    "StepFinished",
    "StepSkipped",
    "StepStarted",
]


@dataclass(frozen=True)
class RecoveryEvent:
    """Something happened.

    Attributes:
        agent: Whom it concerns.
        condition: What was wrong.
        at: When, in seconds since 1970.
    """

    agent: str
    condition: str
    at: float


@dataclass(frozen=True)
class PlanStarted(RecoveryEvent):
    """A plan was begun, for what was seen (`detail`)."""

    detail: str


@dataclass(frozen=True)
class PlanFinished(RecoveryEvent):
    """A plan is through; *recovered* says whether one of its steps has brought the agent back."""

    recovered: bool
    failed: tuple[str, ...]


@dataclass(frozen=True)
class StepStarted(RecoveryEvent):
    """A step was begun."""

    step: str


@dataclass(frozen=True)
class StepFinished(RecoveryEvent):
    """A step is through, after *seconds*; *recovered*: it has brought the agent back."""

    step: str
    seconds: float
    recovered: bool


@dataclass(frozen=True)
class StepFailed(RecoveryEvent):
    """A step has raised something or was cut off; the next goes on."""

    step: str
    seconds: float
    reason: str


@dataclass(frozen=True)
class StepSkipped(RecoveryEvent):
    """A step was not needed, or not allowed any more."""

    step: str
    reason: str


@dataclass(frozen=True)
class GaveUp(RecoveryEvent):
    """The agent was restarted too often: *restarts* times within *period* seconds. It is left alone from now on."""

    restarts: int
    period: float


Listener = Callable[[RecoveryEvent], object]
