"""Editing a definition the way an editor does, and showing what an edit has changed."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from agentreg.demo.printable import printable
from agentreg.extensions.definitions import AgentDefinition

__all__ = ["changed_lines", "rewrite"]


def rewrite(path: str, old: str, new: str) -> str:
    """Replace *old* by *new* in a file, at once for whoever reads it; return what was there before.

    Raises:
        ValueError: *old* is not in it.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{path}: expected {old!r} in it")
    draft = file.with_suffix(".draft")
    draft.write_text(text.replace(old, new), encoding="utf-8")
    os.replace(draft, file)
    return text


def changed_lines(old: AgentDefinition, new: AgentDefinition, limit: int = 8) -> list[str]:
    """The lines that went, with ``-``, and those that came, with ``+``; at most *limit*, each shortened.

    >>> changed_lines(AgentDefinition("a", "b", body="one\\ntwo"), AgentDefinition("a", "b", body="one\\nthree"))
    ['-two', '+three']
    """
    changed = list(difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=0))[2:]
    shown = [printable(line[:200].expandtabs(4)) for line in changed if not line.startswith("@@")]
    return [*shown[:limit], f"... and {len(shown) - limit:,} more"] if len(shown) > limit else shown


def _lines(definition: AgentDefinition) -> list[str]:
    fields = ("description", "tools", "model", "tags")
    return [*(f"{field}: {getattr(definition, field)}" for field in fields), *definition.body.split("\n")]
