"""One agent's allocation: granted, or waiting in the line, or over."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from agentreg.extensions.resources.errors import AllocationEndedError, AllocationTimeoutError
from agentreg.extensions.resources.ranked import Rank
from agentreg.extensions.resources.requests import PRIORITIES, Need, Priority, cores

if TYPE_CHECKING:
    from agentreg.extensions.resources.hosts import Host
    from agentreg.extensions.resources.manager import ResourceManager

__all__ = ["Allocation", "Gate", "State", "add_gate", "open_gates"]

State: TypeAlias = Literal["granted", "waiting", "cancelled", "released", "preempted"]
Gate: TypeAlias = "concurrent.futures.Future[None]"


class Allocation:
    """What ``allocate`` returned: a share of a host, or a place in the line for one.

    Everything but `agent`, `owner` and `priority` may change at any moment:
    read it once where several questions hang together.

    Thread-safe: yes, because only its manager changes it, under the lock.

    Attributes:
        agent: The agent's name.
        owner: For whom it counts among those who share fairly.
        priority: As it was asked for.
        state: ``"waiting"`` in the line, ``"granted"`` with a host; ``"cancelled"`` in the line or ``"released"``
            afterwards, by its owner or since the agent left; ``"preempted"`` by something critical. The last three
            are final.
        reason: Why it is in that state, in words.
        asked_at: When it was asked for, by the manager's clock.
    """

    __slots__ = (
        "__weakref__",
        "_manager",
        "agent",
        "asked_at",
        "deadline",
        "follow",
        "gates",
        "home",
        "level",
        "need",
        "origin",
        "owner",
        "pinned",
        "priority",
        "reason",
        "serial",
        "since",
        "state",
    )

    def __init__(
        self, manager: ResourceManager, agent: str, owner: str, rank: int, need: Need, pinned: Host | None, at: float
    ) -> None:
        self._manager = manager
        self.gates: list[Gate] = []
        self.agent = agent
        self.owner = owner
        self.priority: Priority = PRIORITIES[rank]
        self.need = need
        self.pinned = pinned
        self.asked_at = at
        self.state: State = "waiting"
        self.reason = "not yet considered"
        self.serial = 0
        self.deadline = 0.0
        self.level = -1
        self.home: Host | None = None
        self.follow = True
        self.since = 0
        self.origin: weakref.ref[Any] | None = None

    @property
    def granted(self) -> bool:
        """Whether it has its share now."""
        return self.state == "granted"

    @property
    def host(self) -> str | None:
        """The host that it is on, or was; None if it never had one."""
        home = self.home
        return None if home is None else home.name

    @property
    def memory(self) -> int:
        """Bytes asked for."""
        return self.need.memory

    @property
    def cpu(self) -> float:
        """Cores asked for; 0 if none were."""
        return cores(self.need.cpu)

    @property
    def tasks(self) -> int:
        """How many tasks at a time it is for."""
        return self.need.tasks

    @property
    def rank(self) -> Rank:
        """Its rank in the line."""
        return self.deadline, self.serial

    async def ready(self, timeout: float | None = None) -> Allocation:
        """This allocation, as soon as it is granted; from any event loop.

        Who stops waiting, by a time-out or because its task was cancelled,
        keeps the place in the line until `cancel`.

        Raises:
            AllocationTimeoutError: it was not granted within *timeout* seconds. It is a ``TimeoutError``.
            AllocationEndedError: it was cancelled, released or preempted.
        """
        gate = self._manager._gate(self)
        if gate is not None:
            try:
                await asyncio.wait_for(asyncio.wrap_future(gate), timeout)
            except asyncio.TimeoutError:
                self._check_late(timeout)
            finally:
                self._forget(gate)
        return self._decided()

    def wait(self, timeout: float | None = None) -> Allocation:
        """The same for a thread, which blocks; not to be called inside an event loop."""
        gate = self._manager._gate(self)
        if gate is not None:
            try:
                gate.result(timeout)
            except concurrent.futures.TimeoutError:
                self._check_late(timeout)
            finally:
                self._forget(gate)
        return self._decided()

    def cancel(self) -> bool:
        """Give it up, whether it waits or is granted; False if it was over already.

        What waits leaves the line (``"cancelled"``), what is granted frees
        its share (``"released"``): a grant that comes in between is not lost.
        """
        return self._manager.release(self)

    def __repr__(self) -> str:
        return f"<Allocation of {self.need} for {self.agent!r}: {self.state} ({self.reason})>"

    def _forget(self, gate: Gate) -> None:
        with contextlib.suppress(ValueError):  # it was opened
            self.gates.remove(gate)

    def _check_late(self, timeout: float | None) -> None:
        if self.state == "waiting":
            raise AllocationTimeoutError(self.agent, timeout or 0.0, self.reason) from None

    def _decided(self) -> Allocation:
        state, reason = self.state, self.reason
        if state == "granted":
            return self
        raise AllocationEndedError(self.agent, state, reason)


def open_gates(allocation: Allocation) -> None:
    """Wake whoever waits for it; called without the lock."""
    while allocation.gates:
        gate = allocation.gates.pop()
        if gate.set_running_or_notify_cancel():
            gate.set_result(None)


def add_gate(allocation: Allocation) -> Gate | None:
    """A gate that opens once it is decided; None if it is. Called under the lock."""
    if allocation.state != "waiting":
        return None
    gate: Gate = concurrent.futures.Future()
    allocation.gates.append(gate)
    return gate
