"""The automatic strategies: ways out of a conflict that nobody needs to be asked about."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentreg.extensions.resources.conflicts.context import Conflict, ConflictContext
from agentreg.extensions.resources.conflicts.names import NameSuffixes
from agentreg.extensions.resources.conflicts.request import RANKED_PRIORITIES, AgentRequest
from agentreg.extensions.resources.conflicts.tools import ToolGrant
from agentreg.extensions.resources.sizes import format_size, parse_size

__all__ = ["AUTOMATIC_STRATEGIES", "Strategy", "WayOut", "automatic_strategies", "with_grant"]

MEBIBYTE = 1024 * 1024

AUTOMATIC_STRATEGIES = ("name_suffix", "resource_reallocation", "priority_adjustment", "graceful_degradation")
"""The strategies that change a request or its surroundings by themselves."""


@dataclass(frozen=True)
class WayOut:
    """What a strategy offers.

    Attributes:
        request: The request, as it can be accepted; None to refuse it.
        reason: What was done, or why it is refused, in a sentence.
    """

    request: AgentRequest | None
    reason: str


Strategy = Callable[[AgentRequest, Conflict, ConflictContext], WayOut | None]
"""A way out of a conflict, or None where it is none."""


def automatic_strategies(suffixes: NameSuffixes, highest_priority: str) -> dict[str, dict[str, Strategy]]:
    """Kind -> name -> strategy, for all that nobody needs to be asked about."""
    raising = functools.partial(priority_adjustment, highest_priority)
    return {
        "name": {"name_suffix": functools.partial(name_suffix, suffixes), "refuse": refuse},
        "resources": {
            "priority_queue": priority_queue,
            "resource_reallocation": resource_reallocation,
            "priority_adjustment": raising,
            "graceful_degradation": less_memory,
            "refuse": refuse,
        },
        "tools": {
            "least_privilege": least_privilege,
            "graceful_degradation": fewer_tools,
            "accept": accept,
            "refuse": refuse,
        },
        "mcp": {"connection_pooling": connection_pooling, "graceful_degradation": fewer_servers, "refuse": refuse},
    }


def refuse(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
    """Refused, for what the conflict says."""
    return WayOut(None, conflict.message)


def accept(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
    """As it was asked for, in spite of the conflict."""
    return WayOut(request, f"accepted as it is, although {conflict.message}")


# -- names ------------------------------------------------------------------


def name_suffix(suffixes: NameSuffixes, request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
    """The name with the time behind it."""
    name = suffixes.make(request.name, context.taken)
    return WayOut(request.changed(name=name), f"{conflict.message}; it is called {name!r} instead")


# -- resources --------------------------------------------------------------


def priority_queue(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
    """As it is: allocating waits in the manager's queue."""
    return WayOut(request, f"{conflict.message}; it waits in the queue with priority {request.priority}")


def resource_reallocation(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut | None:
    """As it is, if the context's function could make room."""
    if context.reallocate is None or context.resources is None:
        return None
    context.reallocate(request)
    if not context.resources.available(request.memory):
        return None
    return WayOut(request, f"{conflict.message}; room was made for it")


def priority_adjustment(
    highest: str, request: AgentRequest, conflict: Conflict, context: ConflictContext
) -> WayOut | None:
    """With the next higher priority, in the queue."""
    rank = RANKED_PRIORITIES.index(request.priority) + 1
    if rank > RANKED_PRIORITIES.index(highest):
        return None
    raised = request.changed(priority=RANKED_PRIORITIES[rank])
    return WayOut(raised, f"{conflict.message}; its priority was raised from {request.priority} to {raised.priority}")


def less_memory(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut | None:
    """With as much memory as there is, in whole MiB, but no less than it can do with."""
    if context.resources is None or request.memory is None or request.minimum_memory is None:
        return None
    least, most = parse_size(request.minimum_memory), parse_size(request.memory)
    if least > most or not context.resources.available(least):
        return None
    memory = _most_available(least, most, context.resources.available)
    return WayOut(request.changed(memory=memory), f"{conflict.message}; it gets {format_size(memory)} instead")


def _most_available(least: int, most: int, available: Callable[[int], bool]) -> int:
    """The most from *least*, which is available, to below *most*; above *least* in whole MiB."""
    low, high = 0, (most - least) // MEBIBYTE + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if available(least + middle * MEBIBYTE) else (low, middle)
    return least + low * MEBIBYTE


# -- tools ------------------------------------------------------------------


def with_grant(request: AgentRequest, grant: ToolGrant) -> AgentRequest:
    """*request* with the tools that were granted, and those denied beside them."""
    return request.changed(tools=grant.granted, denied_tools=(*request.denied_tools, *grant.denied))


def least_privilege(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
    """With what everybody agrees on; refused if nothing is left of something that it requires, or nothing at all."""
    grant: ToolGrant = conflict.detail
    gone = [tool for tool in request.required_tools if not grant.left_of(tool)]
    if gone:
        return WayOut(None, f"nothing is left of {', '.join(gone)}, which it requires: {grant.told()}")
    if grant.granted == ():
        return WayOut(None, f"nothing is left of its tools: {grant.told()}")
    return WayOut(with_grant(request, grant), grant.told())


def fewer_tools(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut | None:
    """Without each tool that is not granted as a whole, if none of them is required."""
    grant: ToolGrant = conflict.detail
    given_up = [tool for tool in (*grant.taken, *grant.narrowed) if tool != "*"]
    narrower = {form for tool in given_up for form in grant.narrowed.get(tool, ())}
    tools = tuple(tool for tool in grant.granted or () if tool not in narrower or tool in (request.tools or ()))
    if not tools or set(given_up) & set(request.required_tools):
        return None
    kept = with_grant(request, grant).changed(tools=tools)
    return WayOut(kept, f"it does without {', '.join(given_up)}: {grant.told()}")


# -- MCP servers ------------------------------------------------------------


def connection_pooling(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
    """As it is: connecting waits in line."""
    return WayOut(request, f"{conflict.message}; it waits in line for a connection")


def fewer_servers(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut | None:
    """Without the servers that have no room, if it can do without."""
    if not set(conflict.detail) <= set(request.optional_mcp_servers):
        return None
    left: Mapping[str, list[str]] = {
        key: [server for server in getattr(request, key) if server not in conflict.detail]
        for key in ("mcp_servers", "optional_mcp_servers")
    }
    return WayOut(request.changed(**left), f"{conflict.message}; it does without, as they are optional")
