"""What differs between two versions, as a unified diff, in a time that texts of any kind keep to."""

from __future__ import annotations

import difflib

from agentreg.extensions.definitions import StoredDefinition

__all__ = ["difference"]

_CAREFUL = 2_000  # lines that are compared each with each; of longer texts, all that lies between is one change


def difference(old: StoredDefinition, new: StoredDefinition) -> str:
    """The unified diff from *old* to *new*; empty if their contents are the same."""
    before, after = _lines(old.content), _lines(new.content)
    head = f"--- {_label(old)}\n+++ {_label(new)}\n"
    if max(len(before), len(after)) <= _CAREFUL:
        body = list(difflib.unified_diff(before, after))[2:]
    else:
        body = _coarse(before, after)
    return head + "".join(map(_ended, body)) if body else ""


def _lines(content: str) -> list[str]:
    """The lines, at line feeds only: what else Python takes for a line's end stays within."""
    lines = [f"{line}\n" for line in content.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _label(stored: StoredDefinition) -> str:
    return f"{stored.name!r} version {stored.version}"


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _coarse(before: list[str], after: list[str]) -> list[str]:
    """One change that spans everything from the first difference to the last."""
    if before == after:
        return []
    shortest = min(len(before), len(after))
    start = next((at for at in range(shortest) if before[at] != after[at]), shortest)
    room = shortest - start
    same = next((at for at in range(room) if before[-1 - at] != after[-1 - at]), room)
    gone, come = before[start : len(before) - same], after[start : len(after) - same]
    marks = f"@@ -{_span(start, gone)} +{_span(start, come)} @@\n"
    return [marks, *(f"-{line}" for line in gone), *(f"+{line}" for line in come)]


def _span(start: int, lines: list[str]) -> str:
    return f"{start + 1 if lines else start},{len(lines)}"
