"""Deregistrations of the full form: one pipeline, too."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.resources import (
    DeregistrationPipeline,
    DeregistrationRequest,
    Enrolment,
    PipelineError,
    TasksActiveError,
)
from agentreg.extensions.service.full.shape import active_tasks
from agentreg.extensions.service.operations.deciding import LateLog
from agentreg.extensions.service.operations.entering import DirectoryEntering, RecordToken
from agentreg.extensions.service.operations.refusing import refusal_of
from agentreg.extensions.service.operations.shares import Shares
from agentreg.extensions.service.refusals import Refusal
from agentreg.extensions.service.roster import Roster

__all__ = ["Exit", "Handover"]


class Handover(Protocol):
    """Who hands the tasks of a record to another: `Changing`."""

    def heir(self, leaver: AgentMetadata) -> AgentMetadata | None:
        """The least busy agent that can do what another can."""

    async def hand_over(self, record: AgentMetadata) -> str | None:
        """Give them to the least busy agent that can do them; its id, or None if there is none."""

    async def take_back(self, agent_id: str, tasks: int) -> None:
        """Take so many tasks from an agent again."""


class _Desk:
    """The tasks of one record that leaves, all in one bundle: how many they are is all that is known of them."""

    def __init__(self, record: AgentMetadata, handover: Handover) -> None:
        self._record = record
        self._handover = handover
        self.heir: str | None = None

    def pause(self, name: str) -> None:
        """Nothing: it holds its turn, so that nobody changes it meanwhile."""

    def resume(self, name: str) -> None:
        """Nothing."""

    def active(self, name: str) -> list[int]:
        """How many it has, in a list; an empty one if they are elsewhere."""
        tasks = active_tasks(self._record)
        return [tasks] if tasks and self.heir is None else []

    async def drained(self, name: str) -> None:
        """Wait for ever: nobody says when they end."""
        await asyncio.Event().wait()

    def end(self, name: str) -> None:
        """Nothing: they go with the record."""

    def candidates(self, name: str, task: int) -> dict[str, float]:
        """Whoever is least busy; who that is by then is found when they are moved."""
        heir = self._handover.heir(self._record)
        return {} if heir is None else {heir.agent_id: active_tasks(heir)}

    async def move(self, task: int, name: str, to: str) -> None:
        """Hand them over, or take them back."""
        if to == self._record.agent_id:
            heir, self.heir = self.heir, None
            if heir is not None:
                await self._handover.take_back(heir, task)
            return
        self.heir = await self._handover.hand_over(self._record)
        if self.heir is None:
            raise TasksActiveError(name, task, 0.0)


class Exit:
    """Removes records. For one event loop.

    Args:
        roster: The records.
        shares: Who gives memory.
        enrolments: What those who were registered have been given.
        log: Where what was decided is kept.
        notify: Called with a notice of each departure.
    """

    def __init__(
        self, roster: Roster, shares: Shares, enrolments: dict[str, Enrolment], log: LateLog, notify: Any
    ) -> None:
        self._roster = roster
        self._shares = shares
        self._enrolments = enrolments
        self._log = log
        self._notify = notify

    async def leave(self, record: AgentMetadata, force: bool, migrate: bool, handover: Handover) -> str | None:
        """Remove *record*; the id of the agent that has its tasks now, if they were handed over. A Refusal."""
        desk = _Desk(record, handover)
        agent_id = record.agent_id
        pipeline = DeregistrationPipeline(
            DirectoryEntering(self._roster),
            self._enrolments,
            desk,
            resources=self._shares,
            notify=self._notify,
            grace=0.0,
            log=self._log,
        )
        request = DeregistrationRequest(agent_id, force, migrate, token=RecordToken(agent_id, record.token))
        self._log.names[agent_id] = record.name
        try:
            await pipeline.run(request)
        except PipelineError as error:
            if isinstance(error.cause, TasksActiveError):
                raise Refusal(409, busy(agent_id, error.cause.active, migrate), step=error.step) from error
            raise refusal_of(error, agent_id) from error
        finally:
            self._log.names.pop(agent_id, None)
        return desk.heir


def busy(agent_id: str, tasks: int, migrate: bool) -> str:
    """Why an agent that has tasks is not removed."""
    if migrate:
        return f"agent {agent_id!r} has {tasks} active tasks, and no other agent can take them; force=true drops them"
    return f"agent {agent_id!r} has {tasks} active tasks; migrate_tasks=true hands them over, force=true drops them"
