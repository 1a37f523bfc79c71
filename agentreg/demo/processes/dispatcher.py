"""The dispatcher: hands tasks to agents that it finds in the directory, and hands on what was lost with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentreg.demo.processes.child import Child
from agentreg.demo.processes.roster import Roster
from agentreg.extensions.coordination import AgentDirectory, AgentMetadata

__all__ = ["Dispatcher", "Task"]


@dataclass
class Task:
    """Something to be done once.

    Attributes:
        number: Its own, from 1.
        capability: What an agent must be able to do.
        path: The file that it is about.
        order: What the agent is told.
        at_least: Seconds that it takes.
        only: The one runtime that may do it, if it is meant for one.
        given: The agents that it was handed to, in order.
        done_by: The one that has done it.
        result: What came of it, None as long as it is not done.
    """

    number: int
    capability: str
    path: str
    order: Mapping[str, Any]
    at_least: float = 0.0
    only: str | None = None
    given: list[str] = field(default_factory=list)
    done_by: str = ""
    result: Any = None


class Dispatcher:
    """Hands out tasks, each agent one at a time.

    Attributes:
        tasks: All of them by number, in the order in which they came up.
        left: How many are not done yet.
        again: How many results came for tasks that were done already; they are not used.
    """

    def __init__(self, directory: AgentDirectory, children: Mapping[str, Child], roster: Roster) -> None:
        self.tasks: dict[int, Task] = {}
        self.left = 0
        self.again = 0
        self._directory = directory
        self._children = children
        self._roster = roster
        self._waiting: dict[str, list[Task]] = {}  # by capability
        self._given: dict[str, Task] = {}  # by agent id

    def add(self, task: Task) -> None:
        """Take on one more."""
        self.tasks[task.number] = task
        self.left += 1
        self._waiting.setdefault(task.capability, []).append(task)

    async def hand_out(self) -> list[Task]:
        """Give what waits to agents that are free and can do it; those tasks that were given."""
        given = []
        for capability, waiting in self._waiting.items():
            if waiting:
                found = await self._directory.find_agents_by_capability(capability)
                given += [task for record in found if (task := self._give_one(record, waiting)) is not None]
        return given

    def _give_one(self, record: AgentMetadata, waiting: list[Task]) -> Task | None:
        """The task that the agent was given; None if there is none for it, or it is busy or out of reach."""
        child = self._children.get(record.runtime_id)
        if child is None or not child.reachable or record.agent_id in self._given:
            return None
        task = next((task for task in waiting if task.only in (None, record.runtime_id)), None)
        if task is not None:
            waiting.remove(task)
            task.given.append(record.agent_id)
            self._given[record.agent_id] = task
            self._roster.entries[record.agent_id].doing = task.path
            child.send({"task": task.number, "agent": record.agent_id, "at_least": task.at_least, **task.order})
        return task

    def done(self, number: int, agent_id: str, result: Any) -> Task | None:
        """An agent has a result; the task, unless it was done already."""
        task, entry = self.tasks[number], self._roster.entries[agent_id]
        if self._given.get(agent_id) is task:
            del self._given[agent_id]
            entry.doing = ""
        if task.result is not None:
            self.again += 1
            return None
        if task in self._waiting[task.capability]:  # it was thought lost
            self._waiting[task.capability].remove(task)
        task.result, task.done_by = result, agent_id
        self.left -= 1
        entry.done += 1
        return task

    def lose(self, agent_id: str) -> Task | None:
        """An agent has left the directory; the task that it had, which is the next to be handed out."""
        task = self._given.pop(agent_id, None)
        if task is None or task.result is not None:
            return None
        task.only = None
        self._waiting[task.capability].insert(0, task)
        return task
