"""Files of definitions, copied into a store or to a server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import ContentError
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent
from agentreg.extensions.definitions.sources.folders import FolderSource

__all__ = ["Migrated", "MigrationReport", "Target", "migrate"]

Outcome = Literal["created", "updated", "unchanged", "refused"]


class Target(Protocol):
    """Where definitions are copied to: a `DefinitionStore` or a `DocStoreSource`."""

    def put(self, content: str, columns: Mapping[str, Any] | None = None) -> Literal["created", "updated", "unchanged"]:
        """See to it that a definition's latest version is *content*, and say what that took."""
        ...


@dataclass(frozen=True)
class Migrated:
    """What came of one file.

    Attributes:
        path: The file.
        outcome: ``created``, ``updated``, ``unchanged`` or ``refused``.
        name: The definition's name; None when the file gives none.
        reason: Why it was refused, and what to do.
    """

    path: str
    outcome: Outcome
    name: str | None = None
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.outcome} {self.path}" + (f": {self.reason}" if self.reason else f" as {self.name}")


@dataclass(frozen=True)
class MigrationReport:
    """What came of each file, in the order of paths."""

    files: tuple[Migrated, ...] = ()

    @property
    def created(self) -> list[Migrated]:
        """The files whose definitions are new in the store."""
        return self._with("created")

    @property
    def updated(self) -> list[Migrated]:
        """The files that have replaced what the store had."""
        return self._with("updated")

    @property
    def unchanged(self) -> list[Migrated]:
        """The files that the store had already, to the byte."""
        return self._with("unchanged")

    @property
    def refused(self) -> list[Migrated]:
        """The files that were not copied, each with its reason."""
        return self._with("refused")

    def _with(self, outcome: Outcome) -> list[Migrated]:
        return [each for each in self.files if each.outcome == outcome]

    def __str__(self) -> str:
        return "\n".join(map(str, self.files))


def migrate(folder: str | os.PathLike[str], store: Target, *, family: str = "claude") -> MigrationReport:
    """Copy every definition that a `FolderSource` finds in *folder* into *store*, and report each file.

    A second time changes nothing. A file that differs from what the store
    has makes a new version, also where somebody has updated the store
    meanwhile: the history keeps that. Of two files with one name, the first
    in the order of paths is copied. Nothing is removed from the store.

    Raises:
        NotADirectoryError: *folder* is none.
        TypeError: *store* is none.
        SourceUnavailableError: the folder can't be read, or the store not be written any more. What was copied before
            stays; begin again.
    """
    if not callable(getattr(store, "put", None)):
        raise TypeError(f"store: expected a DefinitionStore or a DocStoreSource, got {store!r}")
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder}: expected a folder of definitions; give the one that holds the files")
    listing = FolderSource(folder, family=family).load()
    refused = [Migrated(problem.path, "refused", None, str(problem)) for problem in listing.problems]
    taken: dict[str, str] = {}
    copied = [_copied(definition, store, taken) for definition in listing.definitions]
    return MigrationReport(tuple(sorted([*refused, *copied], key=lambda each: each.path)))


def _copied(definition: AgentDefinition, store: Target, taken: dict[str, str]) -> Migrated:
    path, name = definition.file_path, definition.name
    first = taken.setdefault(name, path)
    if first != path:
        return Migrated(path, "refused", name, f"the name {name!r} is that of {first}, too; rename one of the two")
    try:
        data = Path(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != definition.digest:
            return Migrated(path, "refused", name, "it has changed since it was looked at; begin again")
    except OSError as error:
        return Migrated(path, "refused", name, f"it can't be read ({error.strerror}); see to its permissions")
    try:
        return Migrated(path, store.put(data.decode(), {"name": name}), name)
    except (DefinitionError, NotAnAgent, ContentError) as error:
        return Migrated(path, "refused", name, str(error))
