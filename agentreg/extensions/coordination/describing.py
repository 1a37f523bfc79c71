"""From what a caller says of an agent to its record, and nothing that isn't as it should be."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from agentreg.extensions.coordination.cards import capabilities_of, identity, json_object, plain_card, text
from agentreg.extensions.coordination.holdings import new_token
from agentreg.extensions.coordination.processes import this_process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, WorkState

__all__ = ["LIMITS", "describe", "status_of", "updates"]

#: The limits of an agent, and what they are where nobody says otherwise.
LIMITS: dict[str, float] = {"max_concurrency": 10, "memory_limit_mb": 512, "budget_limit_usd": 1.0}


def describe(
    agent: object,
    runtime_id: str,
    agent_id: str | None,
    capabilities: Iterable[str] | None,
    given: Mapping[str, Any],
) -> AgentMetadata:
    """The record of a live agent; *given* are further fields, None where nothing was said."""
    text(runtime_id, "runtime_id")
    if agent is None:
        raise TypeError("agent: expected a live object, got None; for a record without one there is register_records")
    if agent_id is None:
        agent_id = identity(agent, "agent_id") or f"agent_{uuid4().hex[:8]}"
    text(agent_id, "agent_id")
    texts = capabilities_of(agent, capabilities)
    rest = _rest(agent, agent_id, given)
    return AgentMetadata(
        agent_id, runtime_id, new_token(), texts, AgentStatus.ACTIVE, this_process(), time.time(), None, 0, rest
    )


def _rest(agent: object, agent_id: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    rest: dict[str, Any] = {}
    for key, value in given.items():
        if value is not None and value != LIMITS.get(key):
            rest[key] = _CHECKS[key](key, value)
    card = getattr(agent, "_a2a_card", None)
    if card is not None:
        rest["a2a_card"] = plain_card(card)
    if "name" not in rest:
        name = identity(agent, "name")
        if name is not None and name != agent_id:
            rest["name"] = name
    return rest or None


def status_of(value: AgentStatus | str) -> AgentStatus:
    """The status that *value* names."""
    try:
        return AgentStatus(value)
    except ValueError:
        known = ", ".join(status.value for status in AgentStatus)
        raise ValueError(f"status: expected one of {known}; got {value!r}") from None


def updates(fields: Mapping[str, Any]) -> dict[str, Any]:
    """*fields* of a record as they go into the store."""
    plain: dict[str, Any] = {}
    for key, value in fields.items():
        check = _CHECKS.get(key)
        if check is None:
            known = ", ".join(_CHECKS)
            raise TypeError(f"{key}: no such field to update; there are {known} (for the status: update_agent_status)")
        plain[key] = None if value is None and check is _text else check(key, value)
    return plain


def _text(key: str, value: Any) -> str:
    return text(value, key)


def _number(key: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"{key}: expected a number from 0 up, got {value!r}")
    return value


def _object(key: str, value: Any) -> dict[str, Any]:
    return json_object(value, key)


def _capabilities(key: str, value: Any) -> list[str]:
    return list(capabilities_of(None, value))


def _work_state(key: str, value: Any) -> str:
    try:
        return WorkState(value).value
    except ValueError:
        known = ", ".join(state.value for state in WorkState)
        raise ValueError(f"{key}: expected one of {known}; got {value!r}") from None


_CHECKS = {
    **dict.fromkeys(("name", "version", "file_path", "endpoint"), _text),
    **dict.fromkeys(LIMITS, _number),
    **dict.fromkeys(("active_tasks", "completed_tasks", "failed_tasks", "budget_spent_usd"), _number),
    **dict.fromkeys(("total_execution_time", "avg_execution_time", "error_count", "request_count"), _number),
    **dict.fromkeys(("config", "resources", "performance", "relationships", "metadata"), _object),
    "capabilities": _capabilities,
    "work_state": _work_state,
}
