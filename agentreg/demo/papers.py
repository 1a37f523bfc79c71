"""The papers: what the agents of the crew hand to one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentreg.demo.folder import Listing
from agentreg.demo.measure import FileFacts
from agentreg.demo.rules import Finding

__all__ = ["Job", "Reading", "Review", "Snapshot"]


@dataclass(frozen=True)
class Job:
    """One file for an analyst, who takes *at_least* so many seconds over it."""

    file: Path
    path: str
    at_least: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What the analysts read.

    Attributes:
        listing: What was to be read.
        files: The facts about each file, in the order of the listing.
    """

    listing: Listing
    files: tuple[FileFacts, ...]

    @property
    def good(self) -> tuple[FileFacts, ...]:
        """The files that could be read."""
        return tuple(file for file in self.files if file.problem is None)

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """What could not be read: path and reason."""
        return (*self.listing.problems, *((file.path, file.problem) for file in self.files if file.problem is not None))


@dataclass(frozen=True)
class Snapshot:
    """What the archivist did half way.

    Attributes:
        file: Where the registry was saved.
        saved: How many agents were in it.
        lost: The agent that was let go.
        forgotten: Whether the registry had forgotten it by then.
        restored: Who was rebuilt from the file.
        skipped: Who of the file was left alone, because the name is in use.
    """

    file: Path
    saved: int
    lost: str
    forgotten: bool
    restored: tuple[str, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """Who was picked to review, and what it found.

    Attributes:
        reading: What was reviewed.
        needed: The capabilities that were looked for.
        candidates: Reviewer -> which of them it has.
        picked: The reviewer.
        findings: The worst places, the worst first.
    """

    reading: Reading
    needed: tuple[str, ...]
    candidates: Mapping[str, tuple[str, ...]]
    picked: str
    findings: tuple[Finding, ...]
