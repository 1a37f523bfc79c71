"""Snapshot: what a catalog shows at one moment, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentreg.extensions.definitions.catalog.changes import (
    DefinitionChange,
    DefinitionDeregistered,
    DefinitionMoved,
    DefinitionRegistered,
    DefinitionUpdated,
    ReloadRefused,
)
from agentreg.extensions.definitions.catalog.holding import Content
from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import Problem

__all__ = ["Shadowed", "Snapshot", "changes_between", "merged"]


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A definition that another of the same name hides.

    Attributes:
        name: The name that both have.
        loser: The one that is hidden.
        winner: The one that counts.
        reason: Why that one.
    """

    name: str
    loser: AgentDefinition
    winner: AgentDefinition
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Never changed: a catalog puts another in its place.

    Attributes:
        revision: Counts the catalog's changes.
        agents: Name -> definition, sorted by name.
        templates: The same for templates.
        shadowed: Who is hidden by whom.
        contents: What is held of each source.
    """

    revision: int = 0
    agents: Mapping[str, AgentDefinition] = field(default_factory=dict)
    templates: Mapping[str, AgentDefinition] = field(default_factory=dict)
    shadowed: tuple[Shadowed, ...] = ()
    contents: tuple[Content, ...] = ()

    def problems(self) -> list[Problem]:
        """Everything there is to say, sorted by path and place."""
        found: dict[Problem, None] = {}
        for content in self.contents:
            found.update(dict.fromkeys(content.problems))
            for definition in content.definitions:
                found.update(dict.fromkeys(definition.warnings))
        found.update(dict.fromkeys(each for each in map(_duplicate, self.shadowed) if each))
        return sorted(found, key=lambda problem: (problem.path, problem.line, problem.column, problem.message))


def merged(contents: Sequence[Content], clones: Iterable[AgentDefinition], revision: int) -> Snapshot:
    """The definitions of all *contents*, each of which has precedence over those before it, and over *clones*."""
    shadowed: list[Shadowed] = []
    winners: dict[tuple[str, str], tuple[AgentDefinition, str]] = {
        (clone.kind, clone.name): (clone, "the clones") for clone in clones
    }
    for content in contents:
        source = content.status.name
        for definition in content.definitions:
            key = (definition.kind, definition.name)
            held = winners.get(key)
            if held is not None and held[1] == source:
                reason = f"both are of the source {source!r}, where the first by path counts"
                shadowed.append(Shadowed(definition.name, definition, held[0], reason))
                continue
            if held is not None:
                reason = f"the source {source!r} has precedence over {held[1]!r}"
                shadowed = [_passed_on(each, held[0], definition) for each in shadowed]
                shadowed.append(Shadowed(definition.name, held[0], definition, reason))
            winners[key] = (definition, source)
    found = {kind: _sorted(winners, kind) for kind in ("agent", "template")}
    return Snapshot(revision, found["agent"], found["template"], tuple(shadowed), tuple(contents))


def _passed_on(shadow: Shadowed, old: AgentDefinition, new: AgentDefinition) -> Shadowed:
    """The same, but that the winner has meanwhile lost itself."""
    return Shadowed(shadow.name, shadow.loser, new, shadow.reason) if shadow.winner is old else shadow


def _sorted(winners: dict[tuple[str, str], tuple[AgentDefinition, str]], wanted: str) -> dict[str, AgentDefinition]:
    return {name: winners[kind, name][0] for kind, name in sorted(winners) if kind == wanted}


def _duplicate(shadow: Shadowed) -> Problem | None:
    if not shadow.reason.startswith("both"):
        return None
    what = f"the name {shadow.name!r} is that of {shadow.winner.file_path} too, which counts"
    return Problem(shadow.loser.file_path, 1, 1, what, "give one of them another name", "warning")


def changes_between(old: Snapshot, new: Snapshot) -> list[DefinitionChange]:
    """What happened between the two; who leaves comes before who arrives."""
    changes: list[DefinitionChange] = []
    for before, after in ((old.agents, new.agents), (old.templates, new.templates)):
        changes += _changes(before, after, new.revision)
    return [*changes, *_refusals(old, new)]


def _changes(
    before: Mapping[str, AgentDefinition], after: Mapping[str, AgentDefinition], revision: int
) -> Iterator[DefinitionChange]:
    for name, previous in before.items():
        if name not in after:
            yield DefinitionDeregistered(revision, name, previous)
    for name, definition in after.items():
        previous_one = before.get(name)
        if previous_one is None:
            yield DefinitionRegistered(revision, name, definition)
        elif previous_one is not definition and previous_one != definition:
            same = previous_one.digest == definition.digest and previous_one.source == definition.source
            kind = DefinitionMoved if same and previous_one.file_path != definition.file_path else DefinitionUpdated
            yield kind(revision, name, definition, previous_one)


def _refusals(old: Snapshot, new: Snapshot) -> Iterator[DefinitionChange]:
    known = {problem for content in old.contents for problem in content.refused.values()}
    for content in new.contents:
        held = {definition.file_path: definition for definition in content.definitions} if content.refused else {}
        for path, problem in content.refused.items():
            if problem not in known and path in held:
                yield ReloadRefused(new.revision, held[path].name, held[path], problem)
