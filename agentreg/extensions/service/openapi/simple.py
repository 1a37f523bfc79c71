"""The simple form, described."""

from __future__ import annotations

from agentreg.extensions.service.openapi import shapes
from agentreg.extensions.service.openapi.parts import Group
from agentreg.extensions.service.roster import Registration
from agentreg.extensions.service.simple import Farewell, Heartbeat

__all__ = ["simple_form"]


def simple_form() -> Group:
    """Its five routes."""
    group = Group(
        "simple form",
        "One record for each running agent: register, beat, say farewell, list.",
        error=({"$ref": "#/components/schemas/Failure"}, "application/json"),
        revised=False,
    )
    group.shape(shapes.Failure)
    group.add(
        "POST",
        "/register",
        "Register an agent, or register it anew",
        {200: ("It is registered, and active.", shapes.Registered)},
        about="All of it is optional. An id that is given is kept; one that is there already has its name, working "
        "directory, process, host and metadata replaced. A token that is given has to be the registration's.",
        body=Registration,
        refused=(409, 503),
    )
    group.add(
        "POST",
        "/heartbeat",
        "Say that an agent is alive",
        {200: ("It was heard. One that was stale is active again.", shapes.Beat)},
        about="Of one agent (`id`), or of several (`ids`). An agent that is not there or was stopped is 404: register "
        "it again.",
        body=Heartbeat,
        refused=(404, 409, 503),
    )
    group.add(
        "POST",
        "/deregister",
        "Say farewell",
        {200: ("It is stopped, or was not there.", shapes.Done)},
        body=Farewell,
        refused=(409, 503),
    )
    group.add(
        "GET",
        "/agents",
        "List the agents",
        {200: ("All of them, the newest first; `as_of` is the moment that heartbeats are true at.", shapes.Agents)},
        refused=(503,),
    )
    unwell = {"content": {"application/json": {"schema": group.shape(shapes.Health)}}}
    group.add(
        "GET",
        "/health",
        "Say how the service is",
        {
            200: ("It is well.", shapes.Health),
            503: ("Its store can't be used now, and `error` says why.", unwell),
        },
        open_to_all=True,
    )
    return group
