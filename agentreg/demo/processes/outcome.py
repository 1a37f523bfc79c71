"""The outcome: everything that one run came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentreg.demo.processes.agents import MEASURE
from agentreg.demo.processes.dispatcher import Task
from agentreg.demo.processes.roster import Heard
from agentreg.demo.rules import Finding
from agentreg.extensions.coordination import AgentStatus, RegistryEvent, RegistryEventType

__all__ = ["Failover", "Kill", "Member", "Outcome"]


@dataclass(frozen=True)
class Member:
    """A runtime that took part.

    Attributes:
        saw: The agents of the others that its copy of the directory showed.
        exit_code: How its process ended: 0 by itself, minus the signal where there are signals.
    """

    runtime: str
    pid: int
    agents: tuple[str, ...]
    saw: tuple[str, ...]
    exit_code: int | None


@dataclass
class Kill:
    """The runtime that was killed. Delays are in milliseconds from the kill.

    Attributes:
        at: When, in seconds from the beginning.
        tasks: The numbers of those that were lost with its agents.
        unhealthy, left: Agent id -> when the parent heard that it is so.
        reasons: Agent id -> why it has left, as the directory says.
        runtime_left: When the parent heard that the runtime is gone.
        seen_by: Runtime -> when the parent heard from it that its copy shows none of the agents any more.
    """

    runtime: str
    pid: int
    at: float
    tasks: list[int] = field(default_factory=list)
    unhealthy: dict[str, float] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    runtime_left: float | None = None
    seen_by: dict[str, float] = field(default_factory=dict)

    def note(self, event: RegistryEvent, delay: float) -> None:
        """The parent has heard an event of the runtime, *delay* milliseconds after the kill."""
        if event.event_type is RegistryEventType.RUNTIME_LEFT:
            self.runtime_left = delay
        elif event.agent_id is None:
            return
        elif event.event_type is RegistryEventType.AGENT_DEREGISTERED:
            self.left[event.agent_id], self.reasons[event.agent_id] = delay, event.metadata["reason"]
        elif event.metadata.get("new_status") is AgentStatus.UNHEALTHY:
            self.unhealthy[event.agent_id] = delay


@dataclass(frozen=True)
class Failover:
    """A task that was lost with its agent, and who took it over; *delay* in milliseconds from the kill."""

    task: int
    path: str
    lost_by: str
    taken_by: str
    delay: float


@dataclass(frozen=True)
class Outcome:
    """What the run came to.

    Attributes:
        folder: Where the files were.
        backend: The directory's address, without a password.
        members: The runtimes.
        kill: Who was killed, and what followed.
        failovers: The tasks that were taken over, in order.
        tasks: All of them.
        again: How many tasks were done a second time.
        findings: The worst places, the worst first.
        cut: Why there may be more files than these, or None.
        heard: Every event.
        remaining: How many of the agents were in the directory at the end.
        seconds: From the first process to the last.
    """

    folder: Path
    backend: str
    members: Sequence[Member]
    kill: Kill
    failovers: Sequence[Failover]
    tasks: Sequence[Task]
    again: int
    findings: Sequence[Finding]
    cut: str | None
    heard: Sequence[Heard]
    remaining: int
    seconds: float

    @property
    def done(self) -> dict[str, int]:
        """Agent id -> how many tasks it has done."""
        counts: dict[str, int] = {}
        for task in self.tasks:
            counts[task.done_by] = counts.get(task.done_by, 0) + 1
        return counts

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types; delays in milliseconds, other times in seconds from the beginning."""
        return {
            "folder": str(self.folder),
            "backend": self.backend,
            "seconds": round(self.seconds, 3),
            "cut": self.cut,
            "runtimes": [asdict(member) for member in self.members],
            "killed": _rounded(asdict(self.kill)),
            "failovers": [_rounded(asdict(failover)) for failover in self.failovers],
            "tasks": [_task(task) for task in self.tasks],
            "done": self.done,
            "done_again": self.again,
            "worst": [asdict(finding) for finding in self.findings],
            "events": [_event(heard) for heard in self.heard],
            "remaining": self.remaining,
        }


def _rounded(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _round(value) for key, value in plain.items()}


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return _rounded(value)
    return round(value, 3) if isinstance(value, float) else value


def _task(task: Task) -> dict[str, Any]:
    plain = {"task": task.number, "capability": task.capability, "path": task.path, "given": list(task.given)}
    problem = task.result["problem"] if task.capability == MEASURE else None
    return {**plain, "done_by": task.done_by, "problem": problem}


def _event(heard: Heard) -> dict[str, Any]:
    event = heard.event
    plain = {"at": round(heard.at, 4), "event": event.event_type.value, "agent": event.agent_id}
    return {**plain, "runtime": event.runtime_id, "revision": event.revision, **_plain(event.metadata)}


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: getattr(value, "value", value) for key, value in metadata.items()}
