"""Decision: what was decided about an agent, why, and what came of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from typing_extensions import Self

__all__ = ["Decision", "StepReport"]


@dataclass(frozen=True)
class StepReport:
    """What became of one step of a pipeline.

    Attributes:
        name: The step's.
        seconds: How long it took; 0.0 where it was not begun.
        outcome: ``"done"``, ``"skipped"``, ``"failed"``, ``"timed out"`` or ``"cancelled"``; of one that was done and
            taken back, ``"undone"`` or ``"undo failed"``; ``"not begun"`` when one before it failed.
        detail: What it says of itself, or the error.
    """

    name: str
    seconds: float
    outcome: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome} in {self.seconds:.3f} s" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class Decision:
    """What was decided about an agent, and why. Immutable.

    Attributes:
        kind: ``"name"``, ``"resources"``, ``"tools"`` or ``"mcp"`` for a conflict, ``"registration"`` or
            ``"deregistration"`` for a run of a pipeline.
        subject: The name that it is about, as it was asked for.
        strategy: What decided: a strategy's name, a kind of pending decision, or ``"pipeline"``.
        choice: What was chosen.
        reason: Why, in a sentence.
        alternatives: What else could have been chosen.
        by: Who chose it: ``"policy"``, ``"timeout"``, or whoever answered.
        names: Further names that it can be found under, such as the one with a suffix.
        steps: Of a pipeline, what became of each step, in order.
        when: In UTC, for display.
        id: Unlike any other.

    >>> print(Decision("name", "scout", "refuse", "refused", "the name is taken", by="policy").told())
    name conflict of 'scout': refused, by policy (refuse): the name is taken
    """

    kind: str
    subject: str
    strategy: str
    choice: str
    reason: str
    alternatives: tuple[str, ...] = ()
    by: str = "policy"
    names: tuple[str, ...] = ()
    steps: tuple[StepReport, ...] = ()
    when: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON; ``when`` is ISO 8601 in UTC.

        >>> Decision("name", "scout", "refuse", "refused", "it is taken").to_dict()["subject"]
        'scout'
        """
        lists = {key: list(getattr(self, key)) for key in _LISTS}
        return {**asdict(self), **lists, "steps": [asdict(each) for each in self.steps], "when": self.when.isoformat()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The decision that `to_dict` gave *fields* of."""
        lists = {key: tuple(fields[key]) for key in _LISTS}
        steps = tuple(StepReport(**step) for step in fields["steps"])
        return cls(**{**fields, **lists, "steps": steps, "when": datetime.fromisoformat(fields["when"])})

    def told(self) -> str:
        """The decision as a readable text: one line, and one for each step."""
        what = "" if self.kind in ("registration", "deregistration") else " conflict"
        lines = [f"{self.kind}{what} of {self.subject!r}: {self.choice}, by {self.by} ({self.strategy}): {self.reason}"]
        if self.alternatives:
            lines[0] += f"; instead of {', '.join(self.alternatives)}"
        return "\n".join([*lines, *(f"  {step}" for step in self.steps)])


_LISTS = ("alternatives", "names")
