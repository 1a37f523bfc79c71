"""What ``agentreg doctor`` finds: each with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["LEVELS", "Cell", "Examination", "Finding", "Level", "Table"]

Level = Literal["error", "warning", "note"]
Cell = str | int | bool
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: ``"error"`` for what is wrong, ``"warning"`` for what may be, ``"note"`` for what is good to know.
        what: What it is, and where.
        fix: What to do about it; "" where nothing has to be done.
    """

    level: Level
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Table:
    """What was looked at.

    Attributes:
        head: The names of the columns.
        rows: As many cells each: texts, numbers and truths.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def texts(self) -> list[list[str]]:
        """The rows, for people."""
        words = {True: "yes", False: "no"}
        return [[words[cell] if isinstance(cell, bool) else str(cell) for cell in row] for row in self.rows]


@dataclass
class Examination:
    """What came of looking at one area.

    Attributes:
        looked_at: What was looked at, if a table says it.
        findings: In the order in which they were found.
    """

    looked_at: Table | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.level == "error" for finding in self.findings)

    def ranked(self) -> list[Finding]:
        """The findings, the gravest first."""
        return sorted(self.findings, key=lambda finding: LEVELS.index(finding.level))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON."""
        table = self.looked_at
        rows = [dict(zip(table.head, row, strict=True)) for row in table.rows] if table else []
        return {"ok": self.ok, "looked_at": rows, "findings": [asdict(finding) for finding in self.ranked()]}
