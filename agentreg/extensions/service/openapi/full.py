"""The full form, described."""

from __future__ import annotations

from typing import Any

from agentreg.extensions.service.full.filters import MOST, SORTS
from agentreg.extensions.service.full.shape import OBJECTS, STATUSES, Draft
from agentreg.extensions.service.openapi import shapes
from agentreg.extensions.service.openapi.parts import Group, answers, header, path, query, texts

__all__ = ["full_form"]

_AGENTS = "/registry/agents"
_ONE = f"{_AGENTS}/{{agent_id}}"
_NUMBER = {"type": "number", "exclusiveMinimum": -1e300, "exclusiveMaximum": 1e300}
_FLAG = {"type": "boolean", "default": False}
_SEVERAL = {"type": "string", "pattern": "[^,\\s]"}
_ID = path("agent_id", "The agent's id.")
_REVISION = header(
    "If-Match",
    "The revision that the record has to have, in quotes, as in the ETag of an answer; or `*`.",
    {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,15}")$'},
)


def full_form() -> Group:
    """Records with everything: filtered, changed, counted."""
    group = Group("full form", "Records with all that is known of them: filters, merge patches, statistics.", "")
    one = {"content": {"application/json": {"schema": group.shape(shapes.Record)}}, "headers": _headers()}
    group.add(
        "GET",
        _AGENTS,
        "List records",
        {200: ("Those that pass all filters.", shapes.Listing)},
        about="In the order of registration, unless `sort` says otherwise.",
        parameters=_filters(),
        refused=(400, 503),
    )
    group.add(
        "POST",
        _AGENTS,
        "Register an agent with a complete record",
        {201: answers("It is there.", **one)},
        body=Draft,
        refused=(409, 503),
    )
    group.add("GET", _ONE, "Get a record", {200: answers("The record.", **one)}, parameters=(_ID,), refused=(404, 503))
    for method in ("PUT", "PATCH"):
        group.add(
            method,
            _ONE,
            "Change a record",
            {200: answers("The record as it is now.", **one)},
            about="A merge patch (RFC 7396): what it names is set, null takes away, objects are merged. "
            "A whole record may be sent back; what the service sets itself is left out then.",
            body=_patch(),
            kinds=("application/json", "application/merge-patch+json"),
            parameters=(_ID, _REVISION),
            refused=(404, 409, 412, 503),
        )
    group.add(
        "DELETE",
        _ONE,
        "Remove a record",
        {200: ("It is gone.", shapes.Removed)},
        about="An agent with tasks is removed by force, or when another can take them.",
        parameters=(
            _ID,
            query("force", "Even though it has tasks, which are dropped.", _FLAG),
            query("migrate_tasks", "Hand its tasks to the least busy agent that can do them.", _FLAG),
        ),
        refused=(400, 404, 409, 503),
    )
    group.add(
        "GET", "/registry/stats", "The registry in figures", {200: ("The figures.", shapes.Statistics)}, refused=(503,)
    )
    return group


def _headers() -> dict[str, Any]:
    return {"ETag": {"description": "The record's revision, in quotes.", "schema": {"type": "string"}}}


def _filters() -> tuple[dict[str, Any], ...]:
    sorts = [each for name in SORTS for each in (name, f"-{name}")]
    return (
        query("status", "One of these, or several with commas.", texts(STATUSES)),
        query("priority", "Exactly this priority.", _NUMBER),
        query("min_priority", "At least this priority.", _NUMBER),
        query("tools", "Any of these tools, with commas.", _SEVERAL),
        query("capability", "This capability, in either case.", {"type": "string"}),
        query("runtime", "Owned by this runtime.", {"type": "string"}),
        query("text", "This text in id, name, description, specialization or a capability.", {"type": "string"}),
        query("sort", "What to sort by; with - the other way round.", {"enum": sorts}),
        query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MOST}),
        query("offset", "How many to leave out before.", {"type": "integer", "minimum": 0, "maximum": 2**53}),
    )


def _patch() -> dict[str, Any]:
    plain = {field: {"type": ["string", "null"]} for field in ("file_path", "version", "endpoint")}
    objects = {field: {"type": ["object", "null"]} for field in OBJECTS}
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "status": {"enum": [*STATUSES, None]},
            "capabilities": {"type": ["array", "null"], "items": {"type": "string"}},
            "last_activity": {"type": ["string", "null"], "format": "date-time"},
            **plain,
            **objects,
        },
    }
