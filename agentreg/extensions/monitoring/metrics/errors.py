"""What can go wrong with metrics."""

from __future__ import annotations

from collections.abc import Iterable

from agentreg.errors import RegistryError

__all__ = ["MetricsError", "MetricsStoreError", "StepError", "UnknownMetricError"]


class MetricsError(RegistryError):
    """The base of what the metrics raise."""


class MetricsStoreError(MetricsError, OSError):
    """The store's file can't be used now. Samples wait in memory meanwhile.

    Attributes:
        path: The file.
        cause: What is wrong.
        advice: What to do.
    """

    def __init__(self, path: str, cause: str, advice: str) -> None:
        super().__init__(path, cause, advice)
        self.path, self.cause, self.advice = path, cause, advice

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}; {self.advice}"


class StepError(MetricsError, ValueError):
    """There are no points so far apart.

    Attributes:
        step: What was asked for.
        steps: The seconds that there are.
    """

    def __init__(self, step: object, steps: Iterable[int]) -> None:
        self.step, self.steps = step, tuple(steps)
        super().__init__(step, self.steps)

    def __str__(self) -> str:
        known = ", ".join(f"{seconds}" for seconds in self.steps)
        return f"step: expected one of {known} (seconds, or text as '5m'), or None; got {self.step!r:.80}"


class UnknownMetricError(MetricsError, LookupError):
    """No metric has this name.

    Attributes:
        metric: The name that was asked for.
        known: The names that there are.
    """

    def __init__(self, metric: str, known: Iterable[str]) -> None:
        self.metric, self.known = metric, tuple(known)
        super().__init__(metric, self.known)

    def __str__(self) -> str:
        return f"no metric is named {self.metric!r:.120}; there are {', '.join(self.known)}"
