"""The outcome: everything that one run of the demo of definitions came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentreg.demo.definitions.casting import Part
from agentreg.extensions.definitions import AgentDefinition, DefinitionChange, Problem, ReloadRefused, Shadowed

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What the run came to.

    Attributes:
        folder: The Python files that were read.
        found: The definitions that counted at the beginning.
        shadowed: Those that were hidden.
        refused: Why files gave none.
        parts: Who was spawned, for which capability, in the order of the pipeline.
        results: Agent -> what it said.
        again: Agent -> what it said after its definition was changed.
        changes: What the catalog told meanwhile.
        joined: How many agents entered the registry.
        remaining: How many were registered at the end.
        seconds: From the first to the last.
    """

    folder: Path
    found: Sequence[AgentDefinition]
    shadowed: Sequence[Shadowed]
    refused: Sequence[Problem]
    parts: Sequence[Part]
    results: Mapping[str, str]
    again: Mapping[str, str]
    changes: Sequence[DefinitionChange]
    joined: int
    remaining: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "folder": str(self.folder),
            "found": [_brief(each) for each in self.found],
            "shadowed": [
                {
                    "name": each.name,
                    "path": each.loser.file_path,
                    "hidden_by": each.winner.file_path,
                    "reason": each.reason,
                }
                for each in self.shadowed
            ],
            "refused": [each.to_dict() for each in self.refused],
            "spawned": [{"name": part.definition.name, "capability": part.capability} for part in self.parts],
            "results": dict(self.results),
            "again": dict(self.again),
            "changes": [_change(each) for each in self.changes],
            "registry": {"joined": self.joined, "remaining": self.remaining},
            "seconds": round(self.seconds, 3),
        }


def _brief(definition: AgentDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "source": definition.source,
        "path": definition.file_path,
    }


def _change(change: DefinitionChange) -> dict[str, Any]:
    told: dict[str, Any] = {"type": type(change).__name__, "name": change.name}
    return {**told, "problem": change.problem.to_dict()} if isinstance(change, ReloadRefused) else told
