"""Stored definitions as they are shown, and what can be sent of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from agentreg.extensions.definitions import DefinitionError, NotAnAgent, StoredDefinition

__all__ = [
    "Change",
    "Diff",
    "Document",
    "New",
    "Page",
    "Removed",
    "Return",
    "Row",
    "Version",
    "Versions",
    "document_of",
    "row_of",
    "version_of",
]

Status = Literal["active", "deprecated"]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Row(msgspec.Struct):
    """One line of ``GET /registry/definitions``: the latest version, without its text."""

    name: str
    version: int
    status: Status
    tags: list[str]
    description: str | None
    model: str | None
    tools: list[str] | None
    updated_at: str
    digest: str


class Page(msgspec.Struct):
    """The body of ``GET /registry/definitions``."""

    definitions: list[Row]
    total: int
    next: str | None


class Document(Row):
    """One version with its text, and all that the text says as ``definition``."""

    content: str
    change: str
    restores: int | None
    definition: dict[str, Any] | None


class Version(msgspec.Struct):
    """One line of a history."""

    version: int
    created_at: str
    digest: str
    status: Status
    change: str
    restores: int | None


class Versions(msgspec.Struct):
    """The body of ``GET /registry/definitions/{name}/versions``, the oldest first."""

    name: str
    removed: bool
    versions: list[Version]


class Diff(msgspec.Struct):
    """The body of ``GET /registry/definitions/{name}/diff``: a unified diff."""

    name: str
    from_: int = msgspec.field(name="from")
    to: int
    diff: str


class Removed(msgspec.Struct):
    """The answer to a removal."""

    ok: bool
    name: str
    purged: bool


class New(msgspec.Struct):
    """The body of ``POST /registry/definitions``."""

    content: str
    tags: list[str] = []
    status: Status = "active"


class Change(msgspec.Struct):
    """The body of ``PUT /registry/definitions/{name}``."""

    content: str | None = None
    replaces: Number | None = None
    tags: list[str] | None = None
    status: Status | None = None


class Return(msgspec.Struct):
    """The body of ``POST /registry/definitions/{name}/rollback``."""

    version: Number


def row_of(stored: StoredDefinition) -> Row:
    """The line of *stored*; nothing is parsed for it."""
    return Row(**_row(stored))


def document_of(stored: StoredDefinition) -> Document:
    """All of *stored*."""
    return Document(
        **_row(stored),
        content=stored.content,
        change=stored.change,
        restores=stored.restores,
        definition=_parsed(stored),
    )


def version_of(stored: StoredDefinition) -> Version:
    """The line of *stored* in its history."""
    made = _iso(stored.created_at)
    return Version(stored.version, made, stored.digest, _status(stored), stored.change, stored.restores)


def _row(stored: StoredDefinition) -> dict[str, Any]:
    return {
        "name": stored.name,
        "version": stored.version,
        "status": stored.status,
        "tags": list(stored.tags),
        "description": stored.fields.get("description"),
        "model": stored.fields.get("model"),
        "tools": stored.fields.get("tools"),
        "updated_at": _iso(stored.created_at),
        "digest": stored.digest,
    }


def _status(stored: StoredDefinition) -> Status:
    return "active" if stored.status == "active" else "deprecated"


def _parsed(stored: StoredDefinition) -> dict[str, Any] | None:
    try:
        return stored.definition.to_dict()
    except (DefinitionError, NotAnAgent):  # it was stored by an agentreg with other rules
        return None


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
