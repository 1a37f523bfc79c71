"""Resolution: what became of a request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from agentreg.extensions.resources.conflicts.context import ConflictKind
from agentreg.extensions.resources.conflicts.decisions import Decision
from agentreg.extensions.resources.conflicts.errors import ConflictRefusedError
from agentreg.extensions.resources.conflicts.pending import Answer, PendingDecision
from agentreg.extensions.resources.conflicts.request import AgentRequest

__all__ = ["Resolution"]

GoOn = Callable[["Resolution", Answer], "Resolution"]


@dataclass(frozen=True)
class Resolution:
    """What became of a request: accepted, perhaps changed; refused; or pending, until somebody answers.

    Attributes:
        status: ``"accepted"``, ``"refused"`` or ``"pending"``.
        request: The request as far as it is resolved; changed where a strategy changed it.
        asked: The request as it came.
        decisions: What was decided on the way, in order.
        pending: The question that is open; None unless pending.
        conflict: The kind of conflict that it was refused for, or is pending for; else None.
        reason: Why it was refused, or what is asked; empty when it was accepted.
        alternatives: Where it was refused: the strategies that would have been another way.
    """

    status: Literal["accepted", "refused", "pending"]
    request: AgentRequest
    asked: AgentRequest
    decisions: tuple[Decision, ...] = ()
    pending: PendingDecision | None = None
    conflict: ConflictKind | None = None
    reason: str = ""
    alternatives: tuple[str, ...] = ()
    _go_on: GoOn | None = field(default=None, repr=False, compare=False)
    _next: _Next = field(default_factory=lambda: _Next(), repr=False, compare=False)

    @property
    def changed(self) -> bool:
        """Whether the request is another than the one that came."""
        return self.request != self.asked

    def accepted(self) -> AgentRequest:
        """The request to go on with.

        Raises:
            ConflictRefusedError: it was refused.
            RuntimeError: it is pending; await `settled` first.
        """
        if self.status == "refused":
            raise ConflictRefusedError(str(self.conflict), self.asked.name, self.reason, self.alternatives)
        if self.pending is not None:
            raise RuntimeError(f"{self.asked.name!r} is pending: {self.reason}; await resolution.settled() first")
        return self.request

    async def settled(self) -> Resolution:
        """The resolution that this one leads to, once everything pending is answered: accepted or refused.

        However often it is awaited, and in whatever loop, it goes on from
        an answer once. Cancelling the wait leaves the question open.
        """
        resolution = self
        while resolution.pending is not None:
            answer = await resolution.pending
            resolution = resolution._next.made(resolution, answer)
        return resolution


class _Next:
    """What a pending resolution leads to, made once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # of this one resolution: whoever else waits for it may wait
        self._made: Resolution | None = None

    def made(self, resolution: Resolution, answer: Answer) -> Resolution:
        """What *resolution* leads to after *answer*."""
        with self._lock:
            if self._made is None:
                assert resolution._go_on is not None
                self._made = resolution._go_on(resolution, answer)
            return self._made
