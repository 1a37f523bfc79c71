"""Tasks that agents have, and giving those of a lost one to others."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

__all__ = ["MemoryTaskQueue", "TaskQueue", "give_tasks_to_others"]


class TaskQueue(Protocol):
    """Who has which tasks; a task has an id, which is a text. Each method is atomic, and thread-safe."""

    def suspend(self, agent: str) -> None:
        """Give *agent* nothing more, and take nothing in for it: what it was working on waits again."""

    def resume(self, agent: str) -> None:
        """Undo `suspend`."""

    def tasks(self, agent: str) -> Sequence[str]:
        """The tasks that are *agent*'s, waiting or being worked on, oldest first."""

    def move(self, task: str, source: str, target: str) -> bool:
        """Give *task* from *source* to *target*; False, and nothing done, if it isn't *source*'s any more."""


def give_tasks_to_others(
    queue: TaskQueue, agent: str, others: Iterable[str], load: Callable[[str], float] | None = None
) -> dict[str, str]:
    """Task -> who has it now, after every task of *agent* went to exactly one of *others*.

    Each goes to who has the fewest (by *load*, or by the length of the
    queue), the first among equals. A task that *agent* finishes meanwhile
    is left alone, and one that nobody can take stays where it is: a task is
    never in two places, nor in none.

    Raises:
        LookupError: there is nobody else; the tasks stay where they are.
    """
    loads = {other: load(other) if load else float(len(queue.tasks(other))) for other in others if other != agent}
    tasks = queue.tasks(agent)
    if tasks and not loads:
        raise LookupError(f"nobody can take the {len(tasks)} tasks of {agent!r}; they stay where they are")
    given = {}
    for task in tasks:
        target = min(loads, key=loads.__getitem__)
        if queue.move(task, agent, target):
            loads[target] += 1
            given[task] = target
    return given


class MemoryTaskQueue:
    """Tasks in memory, for one process.

    A task is with one agent, waiting or being worked on. An agent whose
    tasks were given to others can't finish them any more: `done` says so.
    Thread-safe: yes.

    Example:
        >>> queue = MemoryTaskQueue()
        >>> queue.put("ann", "write a letter")
        >>> queue.put("ann", "post it")
        >>> queue.take("ann")
        'write a letter'
        >>> queue.suspend("ann")
        >>> give_tasks_to_others(queue, "ann", ["bob", "eve"])
        {'write a letter': 'bob', 'post it': 'eve'}
        >>> queue.done("ann", "write a letter")
        False
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}
        self._tasks: dict[str, dict[str, int]] = {}  # agent -> task -> its place in the order
        self._worked_on: set[str] = set()
        self._suspended: set[str] = set()
        self._numbers = itertools.count()

    def put(self, agent: str, task: str) -> None:
        """Give *agent* a new task. Raises ValueError if there is such a task, RuntimeError if *agent* is suspended."""
        with self._lock:
            if task in self._owners:
                raise ValueError(f"task {task!r}: there is one with this id already")
            if agent in self._suspended:
                raise RuntimeError(f"agent {agent!r} is suspended and takes no tasks; give it to another")
            self._give(task, agent, next(self._numbers))

    def take(self, agent: str) -> str | None:
        """The oldest task of *agent* that waits, to be worked on; None if there is none, or it is suspended."""
        with self._lock:
            if agent in self._suspended:
                return None
            task = next((task for task in self._of(agent) if task not in self._worked_on), None)
            if task is not None:
                self._worked_on.add(task)
            return task

    def done(self, agent: str, task: str) -> bool:
        """*agent* has finished *task*: it is gone. False if it isn't the agent's any more; then the result is void."""
        with self._lock:
            if self._owners.get(task) != agent or task not in self._worked_on:
                return False
            self._remove(task)
            self._worked_on.discard(task)
            return True

    def suspend(self, agent: str) -> None:
        """Give *agent* nothing more; what it was working on waits again."""
        with self._lock:
            self._suspended.add(agent)
            self._worked_on.difference_update(self._of(agent))

    def resume(self, agent: str) -> None:
        """Give *agent* tasks again."""
        with self._lock:
            self._suspended.discard(agent)

    def tasks(self, agent: str) -> list[str]:
        """The tasks of *agent*, oldest first."""
        with self._lock:
            return self._of(agent)

    def move(self, task: str, source: str, target: str) -> bool:
        """Give a task that waits from *source* to *target*; False if it isn't there, or *target* is suspended."""
        with self._lock:
            if self._owners.get(task) != source or task in self._worked_on or target in self._suspended:
                return False
            self._give(task, target, self._remove(task))
            return True

    def _of(self, agent: str) -> list[str]:
        mine = self._tasks.get(agent, {})
        return sorted(mine, key=mine.__getitem__)

    def _give(self, task: str, agent: str, number: int) -> None:
        self._owners[task] = agent
        self._tasks.setdefault(agent, {})[task] = number

    def _remove(self, task: str) -> int:
        agent = self._owners.pop(task)
        number = self._tasks[agent].pop(task)
        if not self._tasks[agent]:
            del self._tasks[agent]
        return number
