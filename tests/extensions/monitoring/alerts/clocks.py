"""A clock that tests move."""

from __future__ import annotations


class Clock:
    """Seconds, as many as it was told."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds
