"""What is answered when a step of a pipeline has failed."""

from __future__ import annotations

import logging

from agentreg import AgentNotFoundError, NameTakenError
from agentreg.extensions.coordination import DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.resources import ConflictRefusedError, PipelineError, RequestTooLargeError, TasksActiveError
from agentreg.extensions.service.refusals import Refusal

__all__ = ["refusal_of"]

_log = logging.getLogger(__name__)
_AWAY = (DirectoryUnavailableError, DamagedStoreError)


def refusal_of(error: PipelineError, agent_id: str) -> Refusal:
    """What the caller is told, with the step that failed."""
    cause = error.cause
    if isinstance(cause, Refusal):
        return Refusal(cause.status, cause.detail, cause.at, cause.headers, **{**cause.more, "step": error.step})
    if isinstance(cause, _AWAY):
        return Refusal(503, f"{error.step}: {cause}", headers={"retry-after": "1"}, step=error.step)
    if isinstance(cause, AgentNotFoundError):
        return Refusal(404, f"there is no agent {agent_id[:80]!r}", step=error.step)
    if isinstance(cause, (ConflictRefusedError, NameTakenError, RequestTooLargeError, TasksActiveError)):
        return _conflict(error, agent_id)
    _log.error("%s", error, exc_info=cause)
    return Refusal(500, str(error), step=error.step)


def _conflict(error: PipelineError, agent_id: str) -> Refusal:
    cause, step = error.cause, error.step
    if isinstance(cause, RequestTooLargeError):
        return Refusal(409, f"config.resource_limit: {cause}", "/config/resource_limit", step=step)
    if step in ("validate_name", "enter"):
        detail = f"agent id {agent_id!r} is taken; PUT /registry/agents/{agent_id} changes that one"
        return Refusal(409, detail, "/agent_id", step=step)
    if isinstance(cause, ConflictRefusedError) and cause.kind == "name":
        return Refusal(409, f"name: {cause}", "/name", step=step)
    return Refusal(409, str(cause), step=step)
