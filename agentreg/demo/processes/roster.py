"""The roster: who is in the directory, as the parent's copy shows it, and what came to be heard when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agentreg.demo.printable import printable
from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, RegistryEvent, RegistryEventType

__all__ = ["KINDS", "Entry", "Heard", "Roster"]

#: What the roster listens to: everything but heartbeats.
KINDS = tuple(kind for kind in RegistryEventType if kind is not RegistryEventType.AGENT_HEARTBEAT)


@dataclass
class Entry:
    """One agent.

    Attributes:
        pid: The process that registered it.
        status: Its health; once it has left, the reason.
        present: Whether it is in the directory.
        doing: What it works on.
        done: How many tasks it has finished.
    """

    agent_id: str
    runtime_id: str
    pid: int
    status: str = "active"
    present: bool = True
    doing: str = ""
    done: int = 0


@dataclass(frozen=True)
class Heard:
    """An event, and when this process heard of it, in seconds from the beginning."""

    at: float
    event: RegistryEvent

    @property
    def text(self) -> str:
        """The event in words.

        >>> Heard(0.5, RegistryEvent(RegistryEventType.AGENT_DEREGISTERED, "a", "r", metadata={"reason": "died"})).text
        'a has left: died'
        """
        who = printable(self.event.agent_id or self.event.runtime_id or "")
        kind, more = self.event.event_type, self.event.metadata
        if kind is RegistryEventType.AGENT_STATUS_CHANGED:
            return f"{who} is {more['new_status'].value}, was {more['old_status'].value}"
        if kind is RegistryEventType.AGENT_DEREGISTERED:
            return f"{who} has left: {more['reason']}"
        return f"{who} {_WORDS[kind]}"


_WORDS = {
    RegistryEventType.AGENT_REGISTERED: "has come",
    RegistryEventType.RUNTIME_JOINED: "has joined",
    RegistryEventType.RUNTIME_LEFT: "has left",
}


@dataclass
class Roster:
    """What the views show. Only the demo's own runtimes are in it, whoever else uses the directory.

    Changed in one thread; others read copies.

    Attributes:
        runtimes: The demo's own.
        entries: By agent id, those who have left included.
        heard: Every event, in the order in which they came.
        found, read: How many files there are to read, and how many have been read.
        killed, killed_at: The runtime that was killed, and when, in seconds from the beginning.
    """

    runtimes: tuple[str, ...]
    entries: dict[str, Entry] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    found: int = 0
    read: int = 0
    killed: str = ""
    killed_at: float | None = None
    began: float = field(default_factory=time.monotonic)

    def note_kill(self, runtime_id: str) -> float:
        """The runtime is killed now; when that is, in seconds from the beginning."""
        self.killed, self.killed_at = runtime_id, self.now()
        return self.killed_at

    def now(self) -> float:
        """Seconds from the beginning."""
        return time.monotonic() - self.began

    def delay(self, heard: Heard) -> float | None:
        """Milliseconds from the kill, if this is news of whom it hit; else None."""
        if self.killed_at is None or heard.at < self.killed_at or heard.event.runtime_id != self.killed:
            return None
        return (heard.at - self.killed_at) * 1000

    def attach(self, directory: AgentDirectory, tell: Callable[[Heard], None]) -> None:
        """From now on call *tell* with each event of the runtimes in *directory*, in order."""

        def hear(event: RegistryEvent) -> None:
            if event.runtime_id in self.runtimes:
                tell(Heard(self.now(), event))

        for kind in KINDS:
            directory.subscribe(kind, hear)

    def enter(self, heard: Heard, record: AgentMetadata | None) -> None:
        """Show an event; *record* is what the directory has of its agent."""
        self.heard.append(heard)
        event = heard.event
        if event.agent_id is None or event.runtime_id is None:
            return
        if event.event_type is RegistryEventType.AGENT_REGISTERED:
            pid = 0 if record is None else record.pid
            self.entries[event.agent_id] = Entry(event.agent_id, event.runtime_id, pid)
        elif (entry := self.entries.get(event.agent_id)) is not None:
            if event.event_type is RegistryEventType.AGENT_STATUS_CHANGED:
                entry.status = event.metadata["new_status"].value
            else:
                entry.status, entry.present, entry.doing = event.metadata["reason"], False, ""

    @property
    def present(self) -> set[str]:
        """The ids of those who are in the directory."""
        return {agent_id for agent_id, entry in self.entries.items() if entry.present}
