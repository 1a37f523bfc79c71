"""`RecoveryPlan`: what is done about a condition, step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from agentreg.extensions.monitoring.recovery.finding import Finding

__all__ = ["Case", "RecoveryPlan", "Step", "StepFunction"]


@dataclass
class Case:
    """One finding that is being dealt with; every step of a plan is handed the same.

    Attributes:
        finding: What was found.
        recovered: Whether a step has brought the agent back.
        failed: The names of the steps that failed so far.
        notes: What steps leave for later ones.
    """

    finding: Finding
    recovered: bool = False
    failed: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def agent(self) -> str:
        """Whom it concerns."""
        return self.finding.agent


StepFunction = Callable[[Case], bool | Awaitable[bool | None] | None]


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    Attributes:
        name: What it does, for events.
        function: Does it: a coroutine function, or a plain one, which runs in a thread. True: the agent is well again.
        limit: Seconds after which it is cut off, and the next step goes on.
        restarts: Whether it starts the agent anew: that is done only so often (`RestartLimit`).
        only_if_needed: Whether it is skipped once a step before it has brought the agent back.
    """

    name: str
    function: StepFunction
    limit: float = 30.0
    restarts: bool = False
    only_if_needed: bool = True

    def __post_init__(self) -> None:
        if not self.name.strip() or not callable(self.function):
            raise ValueError(f"step: expected a name and a function, got {self.name!r} and {self.function!r:.100}")
        if not self.limit > 0:
            raise ValueError(f"limit of {self.name!r}: expected seconds above 0, got {self.limit!r}")


@dataclass(frozen=True)
class RecoveryPlan:
    """What is done about a condition, in order.

    Attributes:
        condition: The condition.
        steps: At least one, each with a name of its own.

    Example:
        >>> plan = RecoveryPlan("disk_full", (Step("delete old logs", lambda case: True, limit=10),))
        >>> [step.name for step in plan.steps]
        ['delete old logs']
    """

    condition: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        names = [step.name for step in self.steps]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"plan for {self.condition!r}: expected steps with different names, got {names}")
