"""Who is overdue: judged by when this process heard of an agent, on its own monotonic clock.

Nobody's wall clock is asked, so none that jumps can end a lease. What this
process could not hear (it was stopped, or the store was away) is not held
against anyone: from the end of a pause, everyone has one full lease.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from agentreg.extensions.coordination.config import AgentDirectoryConfig
from agentreg.extensions.coordination.processes import Process, is_over, this_process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus
from agentreg.extensions.coordination.replica import Replica, Runtime

__all__ = ["Liveness", "Overdue"]


class Overdue(NamedTuple):
    """Records whose heartbeat is overdue: those to be marked unhealthy, and those to be removed."""

    lapsed: list[AgentMetadata]
    expired: list[AgentMetadata]


class Liveness:
    """When whose lease ends.

    A runtime's agents are looked at only when the first of them can be due;
    as long as it renews its lease, or they do, that is once in a lease.

    Attributes:
        next_due: Before this moment on the copy's clock nobody is overdue.
    """

    def __init__(self, replica: Replica, config: AgentDirectoryConfig) -> None:
        self._replica = replica
        self._timeout = config.heartbeat_timeout if config.enable_heartbeat_monitoring else math.inf
        self._removal = config.auto_deregister_timeout if config.enable_heartbeat_monitoring else math.inf
        self._began = self._floor = replica.clock()
        self._floor = -math.inf
        self._due: dict[str, float] = {}
        self.next_due = -math.inf

    def pause(self) -> None:
        """Nothing could be heard until now: everyone gets one full lease."""
        self._floor = self._began = self._replica.clock()
        self.next_due = self._floor + self._timeout

    def expect(self, record: AgentMetadata) -> None:
        """*record* is new, or counts as well again: it is to be looked at when its lease ends, or at once if it has."""
        due = record.beat + self._timeout
        self.next_due = min(self.next_due, due)
        if self._due.get(record.runtime_id, -math.inf) > due:
            self._due[record.runtime_id] = due

    def overdue(self, now: float) -> Overdue:
        """Who is overdue at *now*."""
        found = Overdue([], [])
        if now < self.next_due:
            return found
        replica = self._replica
        with replica.lock:
            due = {}
            for runtime_id, runtime in replica.runtimes.items():
                at = self._due.get(runtime_id, -math.inf)
                due[runtime_id] = at if now < at else self._look_at(runtime, now, found)
            self._due = due
            self.next_due = min(due.values(), default=math.inf)
        return found

    def _look_at(self, runtime: Runtime, now: float, found: Overdue) -> float:
        """When to look at the runtime's agents again; adds those who are overdue to *found*."""
        first = math.inf
        lease = max(runtime.beat, self._floor)
        for record in runtime.agents.values():
            heard = max(record.beat, lease)
            removal = max(heard, self._began) + self._removal
            if now >= removal:
                found.expired.append(record)
            elif record.status in _BEATING and now < heard + self._timeout:
                removal = heard + self._timeout
            elif record.status in _BEATING:
                found.lapsed.append(record)
            first = min(first, removal)
        return first

    def ended(self) -> list[AgentMetadata]:
        """The records of this machine's processes that run no more, by the process table."""
        replica, us = self._replica, this_process()
        with replica.lock:
            suspects = [process for process in replica.processes if process.pid and process.pid != us.pid]
        over = {process for process in suspects if is_over(process)}
        if not over:
            return []
        with replica.lock:
            return [record for record in replica.records.values() if record.process in over]


_BEATING = (AgentStatus.ACTIVE, AgentStatus.DEGRADED)


def process_is_over(process: Process) -> bool:
    """Whether the owner of a record has ended, as far as this machine can tell."""
    return process.pid != this_process().pid and is_over(process)
