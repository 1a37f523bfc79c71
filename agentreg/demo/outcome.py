"""The outcome: everything that one run of the demo came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentreg.demo.measure import FileFacts
from agentreg.demo.papers import Review, Snapshot

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What the run came to.

    Attributes:
        report: The report's path.
        review: The files, who was picked, and the worst places.
        snapshot: What was saved and restored half way.
        healthy: Agent -> whether it answered before the work began.
        jobs: Agent -> how often it worked.
        pool: The pool's statistics at the end of the work.
        joined: How many agents entered the registry.
        left: Why agents left -> which.
        remaining: How many agents and pools were registered at the end.
        seconds: From the first agent to the last.
    """

    report: Path
    review: Review
    snapshot: Snapshot
    healthy: Mapping[str, bool]
    jobs: Mapping[str, int]
    pool: Mapping[str, Any]
    joined: int
    left: Mapping[str, list[str]]
    remaining: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        reading = self.review.reading
        return {
            "folder": str(reading.listing.folder),
            "report": str(self.report),
            "seconds": round(self.seconds, 3),
            "cut": reading.listing.cut,
            "totals": self.totals(),
            "files": [_file(file) for file in reading.good],
            "not_read": [{"path": path, "problem": problem} for path, problem in reading.problems],
            "review": {
                "needed": list(self.review.needed),
                "candidates": {name: list(has) for name, has in self.review.candidates.items()},
                "picked": self.review.picked,
                "worst": [asdict(finding) for finding in self.review.findings],
            },
            "snapshot": {**asdict(self.snapshot), "file": str(self.snapshot.file)},
            "healthy": dict(self.healthy),
            "jobs": dict(self.jobs),
            "pool": dict(self.pool),
            "registry": {"joined": self.joined, "left": dict(self.left), "remaining": self.remaining},
        }

    def totals(self) -> dict[str, int]:
        """Over the files that could be read."""
        good = self.review.reading.good
        return {
            "files": len(good),
            "not_read": len(self.review.reading.problems),
            "lines": sum(file.lines for file in good),
            "functions": sum(len(file.functions) for file in good),
            "classes": sum(file.classes for file in good),
            "complexity": max((file.complexity for file in good), default=0),
            "longest": max((file.longest for file in good), default=0),
            "public": sum(file.public for file in good),
            "documented": sum(file.documented for file in good),
        }


def _file(file: FileFacts) -> dict[str, Any]:
    facts = {**asdict(file), "complexity": file.complexity, "longest": file.longest}
    del facts["problem"]  # there is none
    return facts
