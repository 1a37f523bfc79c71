"""What stands in the way of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from agentreg.extensions.resources.conflicts.context import Conflict, ConflictContext, ConflictKind
from agentreg.extensions.resources.conflicts.policies import ConflictPolicies
from agentreg.extensions.resources.conflicts.request import AgentRequest
from agentreg.extensions.resources.conflicts.strategies import with_grant
from agentreg.extensions.resources.conflicts.tools import narrow_tools
from agentreg.extensions.resources.sizes import format_size

__all__ = ["detect"]

T = TypeVar("T")


def detect(
    kind: ConflictKind, request: AgentRequest, context: ConflictContext, policies: ConflictPolicies
) -> tuple[AgentRequest, Conflict | None]:
    """The conflict of this kind, or None; and the request with what needs no decision filled in."""
    if kind == "name":
        return request, _of_name(request, context)
    if kind == "resources":
        return request, _of_resources(request, context)
    if kind == "tools":
        return _of_tools(request, context, policies)
    return request, _of_servers(request, context)


def _of_name(request: AgentRequest, context: ConflictContext) -> Conflict | None:
    if request.name == request.replaces or not context.taken(request.name):
        return None
    return Conflict("name", request.name, f"the name {request.name!r} is taken")


def _of_resources(request: AgentRequest, context: ConflictContext) -> Conflict | None:
    office, memory = context.resources, request.memory
    if office is None or memory is None or office.available(memory):
        return None
    return Conflict("resources", request.name, f"{_shown(memory)} of memory are not available now")


def _shown(memory: str | int) -> str:
    return memory if isinstance(memory, str) else format_size(memory)


def _of_tools(
    request: AgentRequest, context: ConflictContext, policies: ConflictPolicies
) -> tuple[AgentRequest, Conflict | None]:
    allowed = _and({"policy": policies.allowed_tools}, context.allowed_tools)
    denied = _and({"policy": policies.denied_tools, "itself": request.denied_tools}, context.denied_tools)
    required = narrow_tools(request.required_tools, allowed, denied)
    if request.tools is None:
        grant = narrow_tools(None, allowed, denied)
        grant = replace(grant, taken={**grant.taken, **required.taken})
    else:
        grant = narrow_tools(dict.fromkeys((*request.tools, *request.required_tools)), allowed, denied)
    if not grant.changed:
        as_it_is = grant.granted == request.tools and set(grant.denied) <= set(request.denied_tools)
        return (request if as_it_is else with_grant(request, grant)), None
    return request, Conflict("tools", request.name, grant.told(), grant)


def _and(ours: dict[str, T], theirs: Mapping[str, T]) -> dict[str, T]:
    """Both; a name that both use stands for two opinions."""
    return {**ours, **{(f"{who} of the context" if who in ours else who): tools for who, tools in theirs.items()}}


def _of_servers(request: AgentRequest, context: ConflictContext) -> Conflict | None:
    if context.connections is None:
        return None
    room = context.connections.room
    full = tuple(server for server in request.mcp_servers if room(server) < 1)
    if not full:
        return None
    return Conflict("mcp", request.name, f"{', '.join(full)} has no room for another connection", full)
