"""The tasks of an agent that leaves: who keeps them, and to whom they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Chooser", "TaskDesk", "least_busy"]

Chooser = Callable[[str, Any], Any]


class TaskDesk(Protocol):
    """Who keeps the agents' tasks. Every method may be a coroutine function."""

    def pause(self, name: str) -> Any:
        """Give *name* no new tasks."""

    def resume(self, name: str) -> Any:
        """Give it new tasks again."""

    def active(self, name: str) -> Any:
        """Its tasks that have not ended, as an iterable."""

    def drained(self, name: str) -> Any:
        """Wait until none is left; cancelling the wait leaves them alone."""

    def end(self, name: str) -> Any:
        """End those that are left, at once."""

    def candidates(self, name: str, task: Any) -> Any:
        """Who else can do *task*: a mapping of names to how busy they are."""

    def move(self, task: Any, name: str, to: str) -> Any:
        """Take *task* from *name* and give it to *to*; both, or it raises and neither."""


def least_busy(loads: Mapping[str, float]) -> str | None:
    """The name with the least load, the first among equals; None if there is none.

    >>> least_busy({"ann": 2, "bob": 1, "cid": 1})
    'bob'
    """
    return min(loads, key=lambda name: loads[name], default=None)
