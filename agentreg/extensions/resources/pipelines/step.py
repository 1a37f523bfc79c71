"""Step: one thing that a pipeline does, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentreg.extensions.resources.conflicts import StepReport

__all__ = ["Run", "Skipped", "Step"]


@dataclass(frozen=True)
class Skipped:
    """What a step returns that had nothing to do: it is reported as skipped, and never undone.

    >>> Skipped("it has no file").reason
    'it has no file'
    """

    reason: str


@dataclass
class Run:
    """One passage through a pipeline, as its steps see it.

    Attributes:
        request: What it is about; a step may put a changed one in its place.
        values: What steps leave for one another and for their undos, under names of their own.
        steps: What became of the steps so far, in order.
    """

    request: Any
    values: dict[str, Any] = field(default_factory=dict)
    steps: list[StepReport] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """One thing that a pipeline does, and how it is undone.

    *do* and *undo* are called with the `Run`, and may be coroutine
    functions. *do* may return a text that says what was done, or `Skipped`.
    If it raises or is cancelled, it must leave nothing behind itself; its
    *undo* is called only when it has come to its end. A step that runs over
    its time is cancelled, and waited for.

    Attributes:
        name: Unlike any other in the pipeline.
        do: What it does; None for nothing, which is reported as skipped.
        undo: Takes it back; None where nothing needs to be, or can be.
        timeout: Seconds that *do* may take; None for however long.
        undo_timeout: Seconds that *undo* may take; one that takes longer has failed.
        vital: Whether its failure fails the run. If not, the failure is reported and the rest goes on.

    >>> Step("greet", lambda run: f"hello {run.request}").name
    'greet'

    Raises:
        ValueError: the name is empty, or a time-out is below 0.
    """

    name: str
    do: Callable[[Run], Any] | None
    undo: Callable[[Run], Any] | None = None
    timeout: float | None = None
    undo_timeout: float | None = 30.0
    vital: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name of a step: expected some text, got {self.name!r}")
        for what in ("timeout", "undo_timeout"):
            value = getattr(self, what)
            if value is not None and not value >= 0:
                raise ValueError(f"{what} of the step {self.name!r}: expected 0 seconds or more, got {value!r}")
