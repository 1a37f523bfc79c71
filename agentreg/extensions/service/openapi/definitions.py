"""Stored definitions, described."""

from __future__ import annotations

from typing import Any

from agentreg.extensions.service.definitions import shapes
from agentreg.extensions.service.definitions.asking import MOST
from agentreg.extensions.service.openapi.parts import Group, answers, header, path, query, texts

__all__ = ["stored_definitions"]

_ALL = "/registry/definitions"
_ONE = f"{_ALL}/{{name}}"
_NUMBER = {"type": "integer", "minimum": 1, "maximum": 2**53}
_NAME = path("name", "The definition's name.")
_MATCH = header(
    "If-Match",
    "The version that is replaced, in quotes, as in the ETag of an answer; `*` for any.",
    {"type": "string", "pattern": r'^(\*|(W/)?"[1-9][0-9]{0,14}")$'},
)


def stored_definitions() -> Group:
    """The routes of ``/registry/definitions``."""
    group = Group("definitions", "Recipes for agents, as Markdown, in a table with versions.", "Definition")
    etag = {"ETag": {"description": "The version, in quotes.", "schema": {"type": "string"}}}
    document: dict[str, Any] = {
        "content": {"application/json": {"schema": group.shape(shapes.Document)}},
        "headers": etag,
    }
    group.add(
        "GET",
        _ALL,
        "List definitions",
        {200: ("The latest version of each, by name, without its text.", shapes.Page)},
        parameters=(
            query("text", "This text in the name, the description or a tag.", {"type": "string"}),
            query("tags", "Each of these tags, with commas.", {"type": "string"}),
            query("status", "One of these, or both with a comma.", texts(("active", "deprecated"))),
            query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MOST}),
            query("offset", "How many to leave out before.", {"type": "integer", "minimum": 0, "maximum": 2**53}),
        ),
        refused=(400, 404, 503),
    )
    group.add(
        "POST",
        _ALL,
        "Store a new definition",
        {201: answers("It is there, as version 1, or, of a name that was removed, as the next.", **document)},
        about="A text that gives no definition is 400, with `line` and `column`.",
        body=shapes.New,
        refused=(404, 409, 503),
    )
    group.add(
        "GET",
        _ONE,
        "Get a definition",
        {200: answers("The latest version, or the one that is asked for.", **document)},
        parameters=(_NAME, query("version", "A version; it is found even after a removal.", _NUMBER)),
        refused=(400, 404, 503),
    )
    group.add(
        "PUT",
        _ONE,
        "Store a new version, or change status and tags",
        {200: answers("The definition as it is now.", **document)},
        about="A new content says which version it replaces, in `replaces` or If-Match: 428 without either, "
        "409 (412 for If-Match) if another is the latest by now. Status and tags alone make no new version.",
        body=shapes.Change,
        parameters=(_NAME, _MATCH),
        refused=(404, 409, 412, 428, 503),
    )
    group.add(
        "DELETE",
        _ONE,
        "Remove a definition",
        {200: ("It is gone; its history stays, unless it was purged.", shapes.Removed)},
        parameters=(_NAME, query("purge", "Forget every version of it, too.", {"type": "boolean"})),
        refused=(400, 404, 503),
    )
    _history(group, document)
    return group


def _history(group: Group, document: dict[str, Any]) -> None:
    group.add(
        "GET",
        f"{_ONE}/versions",
        "The history of a definition",
        {200: ("Every version, the oldest first.", shapes.Versions)},
        parameters=(_NAME,),
        refused=(404, 503),
    )
    group.add(
        "GET",
        f"{_ONE}/versions/{{version}}",
        "Get one version",
        {200: answers("The version.", **document)},
        parameters=(_NAME, path("version", "Its number.", _NUMBER)),
        refused=(400, 404, 503),
    )
    group.add(
        "GET",
        f"{_ONE}/diff",
        "Compare two versions",
        {200: ("A unified diff; empty if they are the same.", shapes.Diff)},
        parameters=(
            _NAME,
            query("from", "The older one; without it, the one before `to`.", _NUMBER),
            query("to", "The newer one; without it, the latest.", _NUMBER),
        ),
        refused=(400, 404, 503),
    )
    group.add(
        "POST",
        f"{_ONE}/rollback",
        "Bring an old version back",
        {200: answers("The old content, to the byte, as a new version.", **document)},
        body=shapes.Return,
        parameters=(_NAME,),
        refused=(404, 503),
    )
