"""What can go wrong with a pipeline, with the step that it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentreg import RegistryError
from agentreg.extensions.resources.conflicts import StepReport

__all__ = ["PipelineError", "TasksActiveError"]


class PipelineError(RegistryError):
    """A step of a pipeline failed, and those before it were undone, the last first.

    Attributes:
        kind: ``"registration"``, ``"deregistration"``, or what the pipeline calls itself.
        subject: The name of the agent.
        step: The step that failed.
        cause: What it raised; it is also the ``__cause__``.
        failed_undos: Step -> what its undo raised; empty where everything was undone.
        steps: What became of each step, in order.
    """

    def __init__(
        self,
        kind: str,
        subject: str,
        step: str,
        cause: BaseException,
        failed_undos: Mapping[str, BaseException],
        steps: Sequence[StepReport],
    ) -> None:
        super().__init__(kind, subject, step, cause, failed_undos, steps)
        self.kind = kind
        self.subject = subject
        self.step = step
        self.cause = cause
        self.failed_undos = dict(failed_undos)
        self.steps = tuple(steps)

    @property
    def exceptions(self) -> tuple[BaseException, ...]:
        """The cause, and behind it what undos raised: as an exception group has them."""
        return (self.cause, *self.failed_undos.values())

    def __str__(self) -> str:
        text = f"the {self.kind} of {self.subject!r} failed in the step {self.step!r}: {told(self.cause)}"
        if not self.failed_undos:
            return f"{text}; everything before it was undone"
        left = ", ".join(f"{step} ({told(error)})" for step, error in self.failed_undos.items())
        return f"{text}; these could not be undone, see to them by hand: {left}"


class TasksActiveError(RegistryError):
    """An agent can't leave: it has tasks that did not end in time.

    Attributes:
        name: The agent's name.
        active: How many tasks are left.
        grace: The seconds that were waited.
    """

    def __init__(self, name: str, active: int, grace: float) -> None:
        super().__init__(name, active, grace)
        self.name = name
        self.active = active
        self.grace = grace

    def __str__(self) -> str:
        return (
            f"{self.name!r} has {self.active} active tasks after {self.grace:g} s; "
            "wait longer, pass migrate_tasks=True to give them to others, or force=True to end them"
        )


def told(error: BaseException) -> str:
    """The kind of an error and its text, shortened."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
