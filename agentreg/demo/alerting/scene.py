"""The scene: what happened, when, and why."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Happening", "Lane", "Scene"]

_KEPT = 48  # response times that are shown of each reader


class Happening(NamedTuple):
    """One thing that happened.

    Attributes:
        seconds: How long after the beginning.
        what: What, in a word or two.
        agent: To whom.
        why: Why, in a sentence.
    """

    seconds: float
    what: str
    agent: str
    why: str


@dataclass
class Lane:
    """One reader, as it is shown.

    Attributes:
        tasks, failures: How many it has done, and how many of these failed.
        times: The latest response times, in seconds.
        slowest: The longest of all.
        alert: What fires for it; "" if nothing does.
    """

    tasks: int = 0
    failures: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    slowest: float = 0.0
    alert: str = ""


@dataclass
class Scene:
    """What the views show. Changed in one thread; others read.

    Attributes:
        lanes: Reader -> how it does.
        happenings: What happened, in order.
    """

    clock: Callable[[], float] = time.monotonic
    lanes: dict[str, Lane] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.clock() - self._began

    def note(self, what: str, agent: str, why: str) -> Happening:
        """Write down what has just happened."""
        happening = Happening(self.seconds, what, agent, why)
        self.happenings.append(happening)
        return happening

    def measured(self, times: Mapping[str, float]) -> None:
        """What the readers' last tasks took on average."""
        for name, seconds in times.items():
            lane = self.lanes.get(name)
            if lane is not None:
                lane.times.append(seconds)
                lane.slowest = max(lane.slowest, seconds)

    def rows(self) -> list[tuple[str, str]]:
        """The table at the end: when, and what and why."""
        return [(f"{each.seconds:5.1f} s", f"{each.what} {each.agent}: {each.why}") for each in self.happenings]

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "seconds": round(self.seconds, 3),
            "happenings": [{**each._asdict(), "seconds": round(each.seconds, 3)} for each in self.happenings],
            "readers": {
                name: {"tasks": lane.tasks, "failures": lane.failures, "slowest": round(lane.slowest, 4)}
                for name, lane in self.lanes.items()
            },
        }
