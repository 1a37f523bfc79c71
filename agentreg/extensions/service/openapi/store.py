"""The store's own verbs, the stream, and what watches over the service, described."""

from __future__ import annotations

from typing import Any

from agentreg.extensions.service.events.frames import TYPES
from agentreg.extensions.service.openapi import shapes
from agentreg.extensions.service.openapi.parts import Group, answers, header, query, texts
from agentreg.extensions.service.wire import Deleted, Patched, Put, Renewed

__all__ = ["directory_store", "events", "operations"]

_ITEMS: dict[str, tuple[str, Any]] = {
    "put": ("Enter records", Put),
    "patch": ("Set fields of records", Patched),
    "delete": ("Remove records", Deleted),
    "renew": ("Note heartbeats", Renewed),
}
_REVISION = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}


def directory_store() -> Group:
    """What an `AgentDirectory` elsewhere asks: ``http://host:port`` as its store."""
    group = Group("store", "The store itself, for directories of other processes: `http://host:port`.", "Store")
    for verb, (summary, kind) in _ITEMS.items():
        items = {"type": "array", "maxItems": 1_000, "items": group.shape(kind)}
        group.add(
            "POST",
            f"/registry/records:{verb}",
            summary,
            {200: ("What became of each item.", shapes.Answer)},
            body={"type": "object", "required": ["items"], "properties": {"items": items}},
            refused=(503,),
        )
    group.add(
        "POST",
        "/registry/records:list",
        "Everything in the store",
        {200: ("Records and heartbeats, at one revision.", shapes.Records)},
        body={"type": "object"},
        refused=(503,),
    )
    schema = {"anyOf": [group.shape(shapes.Changes), {"type": "null"}]}
    group.add(
        "POST",
        "/registry/records:changes",
        "What is new",
        {200: answers("The news; null: list anew.", content={"application/json": {"schema": schema}})},
        body={
            "type": "object",
            "properties": {
                "since": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
                "mark": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
                "wait": {"type": "number", "minimum": 0, "maximum": 30},
            },
        },
        refused=(503,),
    )
    return group


def events() -> Group:
    """The stream."""
    group = Group("events", "What happens, as it happens: the same over WebSocket, at the same path.")
    group.add(
        "GET",
        "/registry/events",
        "The stream as server-sent events",
        {200: answers("One event for each frame.", content={"text/event-stream": {"schema": {"type": "string"}}})},
        parameters=(
            query("since", "Begin after this revision, instead of with a listing.", _REVISION),
            query("type", "Only these types.", texts(TYPES)),
            query("agent", "Only of these agents, with commas.", {"type": "string"}),
            query("capability", "Only of agents with one of these, with commas.", {"type": "string"}),
            header("Last-Event-ID", "As `since`; browsers send it when they come back.", _REVISION),
        ),
        refused=(400, 503),
    )
    return group


def operations() -> Group:
    """Figures and this description."""
    group = Group("operations", "Figures of the service, and this description.")
    text = {"schema": {"type": "string"}}
    group.add(
        "GET",
        "/metrics",
        "Figures for Prometheus",
        {200: answers("The figures.", content={"text/plain": text, "application/openmetrics-text": text})},
    )
    any_object = {"application/json": {"schema": {"type": "object"}}}
    group.add(
        "GET", "/openapi.json", "This description", {200: answers("OpenAPI 3.1.", content=any_object)}, open_to_all=True
    )
    group.add(
        "GET",
        "/docs",
        "This description as a page",
        {200: answers("HTML, without any script.", content={"text/html": text})},
        open_to_all=True,
    )
    return group
