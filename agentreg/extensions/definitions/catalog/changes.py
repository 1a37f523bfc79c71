"""What happened to a definition in a catalog."""

from __future__ import annotations

from dataclasses import dataclass

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import Problem

__all__ = [
    "DefinitionChange",
    "DefinitionDeregistered",
    "DefinitionMoved",
    "DefinitionRegistered",
    "DefinitionUpdated",
    "ReloadRefused",
]


@dataclass(frozen=True, slots=True)
class DefinitionRegistered:
    """A name has a definition now and had none.

    Attributes:
        revision: The catalog's, from which on it holds.
        name: The definition's name.
        definition: What is in force now.
    """

    revision: int
    name: str
    definition: AgentDefinition


@dataclass(frozen=True, slots=True)
class DefinitionUpdated:
    """A name has another definition: the file was changed, or one with precedence came or went.

    Attributes:
        revision: The catalog's, from which on it holds.
        name: The definition's name.
        definition: What is in force now.
        previous: What was before.
    """

    revision: int
    name: str
    definition: AgentDefinition
    previous: AgentDefinition


@dataclass(frozen=True, slots=True)
class DefinitionMoved:
    """The same bytes are at another path now.

    Attributes:
        revision: The catalog's, from which on it holds.
        name: The definition's name.
        definition: The same, with its new path.
        previous: The same, with the path before.
    """

    revision: int
    name: str
    definition: AgentDefinition
    previous: AgentDefinition


@dataclass(frozen=True, slots=True)
class DefinitionDeregistered:
    """A name has no definition any more.

    Attributes:
        revision: The catalog's, from which on it holds.
        name: The definition's name.
        previous: What it was.
    """

    revision: int
    name: str
    previous: AgentDefinition


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """A change did not pass: the definition that was in force stays.

    Attributes:
        revision: The catalog's, at which it was refused.
        name: The name of the definition that stays.
        definition: The one that stays.
        problem: Why the new one did not pass.
    """

    revision: int
    name: str
    definition: AgentDefinition
    problem: Problem


DefinitionChange = DefinitionRegistered | DefinitionUpdated | DefinitionMoved | DefinitionDeregistered | ReloadRefused
