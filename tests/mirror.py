"""A listener that keeps a copy of the registry, and notices every irregularity in what it is told."""

from __future__ import annotations

import threading
from collections import deque

from agentreg import (
    AgentRegistered,
    AgentRegistry,
    AgentUnregistered,
    PoolRegistered,
    PoolUnregistered,
    RegistryEvent,
    Resync,
    Subscription,
)


class Mirror:
    """What is registered, as far as the listener was told.

    Attributes:
        agents, pools: Name -> class name.
        capabilities: Name -> capabilities, where some were declared.
        revision: That of the last event.
        resyncs: How often it had to start again.
        faults: What must not have happened, in words.
    """

    def __init__(self) -> None:
        self.agents: dict[str, str] = {}
        self.pools: dict[str, str] = {}
        self.capabilities: dict[str, tuple[str, ...]] = {}
        self.revision = -1
        self.resyncs = 0
        self.faults: list[str] = []
        self._lock = threading.RLock()  # one that may be taken again: a finalizer may cause an event at any moment
        self._told: deque[RegistryEvent] = deque()
        self._ready = self._applying = False
        self._teller: int | None = None
        self.subscription: Subscription = AgentRegistry.subscribe(self)
        with self._lock:
            self.agents = dict(self.subscription.listing)
            self.pools = dict(self.subscription.pools)
            self.capabilities = dict(self.subscription.capabilities)
            self.revision = self.subscription.revision
            self._ready = True
            self._catch_up()

    def __call__(self, event: RegistryEvent) -> None:
        if self._teller is not None:
            self.faults.append(f"{event} came while thread {self._teller} was telling something")
        self._teller = threading.get_ident()
        try:
            with self._lock:
                self._told.append(event)
                self._catch_up()
        finally:
            self._teller = None

    def check(self) -> None:
        """Read, and fail unless the copy is what the registry holds; to be called when nobody else changes it."""
        everything = AgentRegistry.all_with_pools()
        with self._lock:
            self._catch_up()
        pools = {name: type(pool).__name__ for name, pool in everything.items() if AgentRegistry.is_pool(name)}
        agents = {name: type(agent).__name__ for name, agent in everything.items() if name not in pools}
        assert self.faults == []
        assert self.agents == agents
        assert self.pools == pools
        assert self.revision == AgentRegistry.revision
        assert self.agents.keys() >= self.capabilities.keys()

    def _catch_up(self) -> None:
        if self._ready and not self._applying:
            self._applying = True
            while self._told:
                self._apply(self._told.popleft())
            self._applying = False

    def _apply(self, event: RegistryEvent) -> None:
        if isinstance(event, Resync):
            self.resyncs += 1
            self.agents = dict(event.listing)
            self.pools = dict(event.pools)
            self.capabilities = dict(event.capabilities)
            if event.revision <= self.revision:
                self.faults.append(f"resynchronised to {event.revision} after {self.revision}")
            self.revision = event.revision
            return
        if event.revision != self.revision + 1:
            self.faults.append(f"{event} came after revision {self.revision}")
        self.revision = event.revision
        table = self.agents if isinstance(event, (AgentRegistered, AgentUnregistered)) else self.pools
        if isinstance(event, (AgentRegistered, PoolRegistered)):
            if event.name in table:
                self.faults.append(f"{event} came although {table[event.name]} is there")
            table[event.name] = event.class_name
        elif isinstance(event, (AgentUnregistered, PoolUnregistered)) and table.pop(event.name, None) is None:
            self.faults.append(f"{event} came although nobody is there")
        if isinstance(event, AgentRegistered) and event.capabilities:
            self.capabilities[event.name] = event.capabilities
        elif isinstance(event, AgentUnregistered):
            self.capabilities.pop(event.name, None)
