"""The report: what the crew found, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agentreg.demo.measure import FileFacts
from agentreg.demo.papers import Reading, Review
from agentreg.demo.printable import code, counted, printable

__all__ = ["ROWS", "share", "write_report"]

ROWS = 100  # of each table; a report of two thousand files is read by nobody


def write_report(file: Path, review: Review, jobs: Mapping[str, int]) -> None:
    """Write the report; *jobs* says how often each agent worked."""
    reading = review.reading
    parts = [
        f"# The Python files of {code(str(reading.listing.folder))}",
        _summary(reading),
        _worst(review),
        _files(reading),
        _problems(reading),
        _crew(jobs),
    ]
    file.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def share(part: int, whole: int) -> str:
    """
    >>> share(1, 4), share(0, 0)
    ('25 %', '-')
    """
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _summary(reading: Reading) -> str:
    good = reading.good
    rows: list[Sequence[object]] = [
        ("files read", len(good)),
        ("not read", len(reading.problems)),
        ("lines", sum(file.lines for file in good)),
        ("functions", sum(len(file.functions) for file in good)),
        ("classes", sum(file.classes for file in good)),
        ("highest complexity", max((file.complexity for file in good), default=0)),
        ("longest function (lines)", max((file.longest for file in good), default=0)),
        ("public names with a docstring", share(sum(f.documented for f in good), sum(f.public for f in good))),
    ]
    note = f"\n\nNote: {reading.listing.cut}." if reading.listing.cut else ""
    return _table(("", "in all"), rows) + note


def _worst(review: Review) -> str:
    needed = ", ".join(review.needed)
    intro = f"Looked for: {needed}. Reviewed by {code(review.picked)}, which can find most of that."
    rows = [(place, code(f.place), "; ".join(f.reasons)) for place, f in enumerate(review.findings, 1)]
    return f"## The worst places\n\n{intro}\n\n" + (_table(("", "place", "why"), rows) if rows else "None.")


def _files(reading: Reading) -> str:
    ranked = sorted(reading.good, key=lambda file: (-file.complexity, -file.lines, file.path))
    if not ranked:
        return ""
    head = ("file", "lines", "functions", "highest complexity", "longest function", "imports", "documented")
    return "## The files\n\n" + _table(head, [_row(file) for file in ranked])


def _row(file: FileFacts) -> Sequence[object]:
    documented = share(file.documented, file.public)
    functions, imports = len(file.functions), len(file.imports)
    return code(file.path), file.lines, functions, file.complexity, file.longest, imports, documented


def _problems(reading: Reading) -> str:
    if not reading.problems:
        return ""
    return "## Not read\n\n" + _table(
        ("file", "why"), [(code(path), printable(why).replace("|", "\\|")) for path, why in reading.problems]
    )


def _crew(jobs: Mapping[str, int]) -> str:
    return "## Who did it\n\n" + _table(("agent", "jobs"), [(code(name), number) for name, number in jobs.items()])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows[:ROWS])]
    if len(rows) > ROWS:
        lines.append(f"\n... and {counted(len(rows) - ROWS, 'more row')}")
    return "\n".join(lines)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"
