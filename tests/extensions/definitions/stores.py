"""What the tests of stores have in common: a clock that is moved by hand, and definitions to store."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    """Noon of a day, and what is added to it."""

    def __init__(self) -> None:
        self.now = datetime(2024, 8, 14, 12, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += timedelta(seconds=seconds)


def markdown(
    name: str = "scout", description: str = "Looks around", body: str = "You are a scout.", **more: str
) -> str:
    lines = [f"name: {name}", f"description: {description}", *(f"{key}: {value}" for key, value in more.items())]
    return "\n".join(["---", *lines, "---", "", body, ""])
