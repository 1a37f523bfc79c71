"""One version of a definition, as a store hands it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.sources.rows import parse_row, to_row
from agentreg.extensions.definitions.storing.backends import Entry, Version

__all__ = ["StoredDefinition", "stored_from", "written"]


@dataclass(frozen=True)
class StoredDefinition:
    """One version of a definition, as a store keeps it.

    Attributes:
        name: What it is called.
        version: Its number in the store, from 1; what the header calls ``version`` is ``definition.version``.
        content: The whole markdown, as it was handed in: ``content.encode()`` gives the same bytes.
        digest: The SHA-256 of these bytes, in hexadecimal digits.
        status: ``active`` or ``deprecated``, now and for all versions.
        tags: The definition's own, then those that the store adds.
        created_at: When this version was stored, in UTC.
        change: ``created``, ``updated`` or ``rolled back``.
        restores: Which version it brought back, if it was rolled back.
        columns: What was said beside the content, and counts where its header is silent.
    """

    name: str
    version: int
    content: str = field(repr=False)
    digest: str = field(repr=False)
    status: str
    tags: tuple[str, ...]
    created_at: datetime
    change: str
    restores: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict, repr=False)
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def definition(self) -> AgentDefinition:
        """The content, parsed: ``source`` is ``registry``, ``file_path`` is ``registry://name``, `tags` as here."""
        definition = parse_row(self.content, {**self.columns, "name": self.name})
        return replace(definition, tags=self.tags)

    def document(self) -> dict[str, Any]:
        """What `DefinitionStore.query` filters and sorts by, as plain JSON; a field that nothing is said of is missing.

        ``name, description, version, model, tools, tags, content, source``
        as the definition says (``tools`` and ``tags`` are arrays), and of
        the store ``status, digest, store_version`` and ``created_at`` (ISO
        8601, UTC, all of one length).
        """
        return {
            **self.fields,
            "name": self.name,
            "tags": list(self.tags),
            "content": self.content,
            "source": "registry",
            "status": self.status,
            "digest": self.digest,
            "store_version": self.version,
            "created_at": written(self.created_at),
        }

    def row(self) -> dict[str, str]:
        """What a document store keeps of it: texts only."""
        return to_row(self.definition, self.content)


def stored_from(entry: Entry, version: Version) -> StoredDefinition:
    """What a backend keeps, as it is handed out."""
    return StoredDefinition(
        name=entry.name,
        version=version.number,
        content=version.content,
        digest=version.digest,
        status=entry.status,
        tags=tuple(dict.fromkeys([*version.fields.get("tags", ()), *entry.tags])),
        created_at=datetime.fromisoformat(version.created_at.replace("Z", "+00:00")),
        change=version.change,
        restores=version.restores,
        columns=version.columns,
        fields=version.fields,
    )


def written(moment: datetime) -> str:
    """*moment*, in UTC, as ISO 8601 with microseconds and ``Z``: of such texts the smaller is the earlier."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
