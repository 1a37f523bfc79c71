"""Figures: what agents have done so far, entered into their records now and then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentreg.extensions.coordination import AgentDirectory

__all__ = ["Figures"]

PERIOD = 0.5  # seconds; what happens within one goes into a record at once


@dataclass
class Tally:
    """One agent's work."""

    busy: bool = False
    tasks: int = 0
    errors: int = 0
    seconds: float = 0.0

    def fields(self) -> dict[str, object]:
        """What its record says of it."""
        done = max(1, self.tasks)
        return {
            "work_state": "active" if self.busy else "idle",
            "resources": {"active_tasks": int(self.busy), "max_concurrent_tasks": 1},
            "performance": {
                "total_tasks": self.tasks,
                "error_count": self.errors,
                "avg_response_time": f"{self.seconds / done:.3f}s",
                "task_success_rate": f"{100 * (done - self.errors) / done:.1f}%",
            },
        }


class Figures:
    """Keeps count for any agents of a directory. For one event loop."""

    def __init__(self, directory: AgentDirectory) -> None:
        self._directory = directory
        self._tallies: dict[str, Tally] = {}
        self._changed: set[str] = set()

    @property
    def tasks(self) -> int:
        """How many tasks all of them have done."""
        return sum(tally.tasks for tally in self._tallies.values())

    def begun(self, agent_id: str) -> None:
        """An agent has begun a task."""
        self._tally(agent_id).busy = True

    def done(self, agent_id: str, seconds: float, ok: bool = True) -> None:
        """It is through with one."""
        tally = self._tally(agent_id)
        tally.busy = False
        tally.tasks += 1
        tally.errors += not ok
        tally.seconds += seconds

    def _tally(self, agent_id: str) -> Tally:
        self._changed.add(agent_id)
        return self._tallies.setdefault(agent_id, Tally())

    async def keep_entering(self) -> None:
        """Enter what has changed, again and again, until cancelled. Who has left by then is left out."""
        while True:
            await asyncio.sleep(PERIOD)
            changed, self._changed = self._changed, set()
            for agent_id in changed:
                await self._directory.update_record(agent_id, **self._tallies[agent_id].fields())
