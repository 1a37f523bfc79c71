"""A clock that tests move by hand."""

from __future__ import annotations

__all__ = ["START", "Hands"]

START = 1_699_920_000.0  # a midnight in UTC


class Hands:
    """Gives the same time until it is moved."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        """Move it on, or back."""
        self.now += seconds
