"""The board: who is there and who is at work, as the registry tells it."""

from __future__ import annotations

from agentreg import AgentRegistered, AgentUnregistered, PoolRegistered, PoolUnregistered, RegistryEvent

__all__ = ["Board"]


class Board:
    """What the views show. It keeps names only, and so keeps no agent alive.

    Thread-safe: for one thread that hears of events and others that read
    copies of the tables.

    Attributes:
        present: Agent -> class name.
        pools: Pool -> class name.
        joined: How many agents have entered.
        left: Reason -> the agents that went for it.
        files: Analyst -> the file that it reads now.
        jobs: Agent -> how often it has worked.
        read: How many files have been read.
        found: How many there are to read.
    """

    def __init__(self) -> None:
        self.present: dict[str, str] = {}
        self.pools: dict[str, str] = {}
        self.joined = 0
        self.left: dict[str, list[str]] = {}
        self.files: dict[str, str] = {}
        self.jobs: dict[str, int] = {}
        self.read = 0
        self.found = 0

    def hear(self, event: RegistryEvent) -> None:
        """A listener for ``AgentRegistry.subscribe``."""
        if isinstance(event, AgentRegistered):
            self.present[event.name] = event.class_name
            self.joined += 1
        elif isinstance(event, AgentUnregistered):
            self.present.pop(event.name, None)
            self.left.setdefault(event.reason, []).append(event.name)
        elif isinstance(event, PoolRegistered):
            self.pools[event.name] = event.class_name
        elif isinstance(event, PoolUnregistered):
            self.pools.pop(event.name, None)
