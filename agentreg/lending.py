"""The desk: it lends things to branches, and those who wait are served in turn.

An agent lends itself (one thing), a pool its members (several alike). What
comes back is handed to the first in the line by whoever gives it back, so
nobody polls and nobody overtakes. Who waits may be a thread, or a task in
any event loop; one that timed out or was cancelled is out of the line, and
what it was handed meanwhile goes to the next.

The registry's lock serves every desk too: a finalizer that comes in the
middle of one's operation may use the other, and two locks would be taken in
both orders. It is held for microseconds, and an agent that is never
borrowed costs nothing.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from agentreg.table import lock

__all__ = ["Desk", "InstanceAllocation", "Waiter", "loop_gate", "thread_gate"]


@dataclass
class InstanceAllocation:
    """One loan.

    Attributes:
        instance_id: The index of the member.
        agent_instance: The member.
        branch_id: Who holds it.
        allocated_at: Since when, in seconds since the epoch; for display.
        started: The same on the monotonic clock; for durations.
    """

    instance_id: int
    agent_instance: Any
    branch_id: str
    allocated_at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    confirmed: bool = field(default=True, repr=False)
    confirmer: tuple[int, int] | None = field(default=None, repr=False)  # process and thread that ask the member
    claims: int = field(default=1, repr=False)  # requests that count on it; the last one that gives up ends it
    watchers: list[Callable[[], object]] = field(default_factory=list, repr=False)  # wait to see it confirmed


class Waiter:
    """One request at a desk.

    Attributes:
        branch_id: Who asks.
        refused: Indices that were offered and did not let themselves be held.
        wake: Called from any thread once the request is decided.
        process: The process that it stands in.
        loan: What was lent, or None so far.
        queued: Whether it stood in the line, and will be woken.
        abandoned: Whether it has given its claim to a loan back.
    """

    __slots__ = ("abandoned", "branch_id", "loan", "process", "queued", "refused", "wake")

    def __init__(self, branch_id: str, refused: set[int], wake: Callable[[], object] | None) -> None:
        self.branch_id = branch_id
        self.refused = refused
        self.wake = wake
        self.process = 0
        self.loan: InstanceAllocation | None = None
        self.queued = False
        self.abandoned = False


class Desk:
    """What is free, who holds what, and who waits.

    A branch holds one thing at most: asking again gives the same loan. With
    *confirming*, a new loan is provisional: the first of its branch to
    `claim` it is to `confirm` or `refuse` it.

    Thread-safe: yes, because every method takes the one lock; wakers run outside it.

    Attributes:
        things: What is lent, by index.
        free: Indices on the shelf.
        loans: Branch -> loan.
        holders: Index -> branch.
        line: Who waits, first come first.
        closed: Whether it lends nothing any more.
    """

    __slots__ = ("closed", "confirming", "free", "holders", "line", "loans", "things")

    def __init__(self, things: list[Any], confirming: bool = False) -> None:
        self.things = things
        self.confirming = confirming
        self.free = set(range(len(things)))
        self.loans: dict[str, InstanceAllocation] = {}
        self.holders: dict[int, str] = {}
        self.line: deque[Waiter] = deque()
        self.closed = False

    def ask(self, branch_id: str, refused: set[int] | None = None, wake: Callable[[], object] | None = None) -> Waiter:
        """A request: decided at once, or standing in the line if it has a *wake*."""
        waiter = Waiter(branch_id, set() if refused is None else refused, wake)
        with lock:
            while True:
                held = self.loans.get(branch_id)
                choice = [index for index in self.free if index not in waiter.refused]
                if held is not None or not choice:
                    break
                index = min(choice)
                if self._lend(index, waiter, spare={index}):
                    return waiter
            if held is not None:
                waiter.loan = held
                held.claims += 1
            elif wake is not None and not self.closed:
                waiter.queued = True
                waiter.process = os.getpid()
                self.line.append(waiter)
        return waiter

    def claim(
        self, loan: InstanceAllocation, watch: Callable[[], object] | None
    ) -> Literal["have", "confirm", "wait", "gone"]:
        """What one who was given *loan* is to do now.

        It has it; or is to `confirm` or `refuse` it; or waits until another
        thread has (*watch* is called then, if there is one) and claims
        again; or the loan was refused, and it asks again.
        """
        with lock:
            if self.loans.get(loan.branch_id) is not loan:
                return "gone"
            me = os.getpid(), threading.get_ident()
            if loan.confirmed or loan.confirmer == me:
                return "have"
            if not being_confirmed(loan):
                loan.confirmer = me
                return "confirm"
            if watch is not None:
                loan.watchers.append(watch)
            return "wait"

    def confirm(self, loan: InstanceAllocation) -> bool:
        """Make a provisional loan final; False when it was ended meanwhile, and the caller is to `shelve` the thing."""
        with lock:
            loan.confirmed = self.loans.get(loan.branch_id) is loan
            return loan.confirmed

    def tell(self, loan: InstanceAllocation) -> None:
        """Call those who wait to see *loan* confirmed or refused."""
        with lock:
            watchers, loan.watchers = loan.watchers, []
        for watch in watchers:
            with suppress(RuntimeError):  # its event loop is closed
                watch()

    def refuse(self, loan: InstanceAllocation) -> None:
        """Take a provisional loan back; the other requests of its branch ask again."""
        self.end(loan)
        self.shelve(loan.instance_id, used=False)
        self.tell(loan)

    def leave(self, waiter: Waiter) -> InstanceAllocation | None:
        """Wait no more; the loan that was made meanwhile is the caller's."""
        with lock:
            if waiter.loan is None and waiter in self.line:
                self.line.remove(waiter)
            return waiter.loan

    def abandon(self, waiter: Waiter) -> None:
        """Wait no more and take nothing; a loan that nobody else counts on goes to the next."""
        with lock:
            loan = self.leave(waiter)
            if loan is None or waiter.abandoned:
                return
            waiter.abandoned = True
            loan.claims -= 1
            ended = loan.claims == 0 and self.end(loan)
        if ended:
            self.shelve(loan.instance_id, used=False)

    def end(self, loan: InstanceAllocation) -> bool:
        """End this very loan; its thing is on no shelf until `shelve`."""
        branch_id = loan.branch_id
        with lock:
            if branch_id in self.loans and self.loans[branch_id] is loan:
                del self.loans[branch_id]
                del self.holders[loan.instance_id]
                return True
            return False

    def shelve(self, index: int, used: bool = True) -> None:
        """Hand the thing to the first in the line that can take it, or put it on the shelf.

        Once it was *used*, those whom it had refused may try again.
        """
        with lock:
            for waiter in list(self.line) if used else ():
                waiter.refused.discard(index)
            served = self._serve(index)
        self._wake(served)

    def close(self) -> bool:
        """Lend nothing any more; whoever waits is told at once. False when it was closed already."""
        with lock:
            if self.closed:
                return False
            self.closed = True
            self.free.clear()
            waiting = list(self.line)
            self.line.clear()
        self._wake(waiting)
        return True

    def _lend(self, index: int, waiter: Waiter, spare: set[int]) -> bool:
        loan = InstanceAllocation(index, self.things[index], waiter.branch_id, confirmed=not self.confirming)
        # from here no call and no allocation: a finalizer of this thread may give something back at any
        if index in self.free and waiter.branch_id not in self.loans:
            self.free -= spare
            self.loans[waiter.branch_id] = loan
            self.holders[index] = waiter.branch_id
            waiter.loan = loan
            return True
        return False

    def _serve(self, index: int) -> list[Waiter]:
        if self.closed:
            return []
        self.free.add(index)
        for waiter in list(self.line):
            if waiter.process != os.getpid():  # it stayed behind when this process was forked
                self.line.remove(waiter)
            elif index not in waiter.refused and self._lend(index, waiter, spare={index}):
                served = [w for w in list(self.line) if w.branch_id == waiter.branch_id]
                for other in served:
                    self.line.remove(other)
                    other.loan = waiter.loan
                self.loans[waiter.branch_id].claims = len(served)
                return served
        return []

    def _wake(self, waiters: list[Waiter]) -> None:
        for waiter in waiters:
            try:
                if waiter.wake is not None:
                    waiter.wake()
            except RuntimeError:  # its event loop is closed: nobody will come for it
                self.abandon(waiter)


def being_confirmed(loan: InstanceAllocation) -> bool:
    """Whether a thread of this process is asking the member; a fork may have left one behind."""
    return loan.confirmer is not None and loan.confirmer[0] == os.getpid()


def thread_gate() -> tuple[threading.Lock, Callable[[], object]]:
    """A closed gate for this thread (acquire it to wait), and the call that opens it."""
    gate = threading.Lock()
    gate.acquire()
    return gate, gate.release


def loop_gate() -> tuple[asyncio.Future[None], Callable[[], object]]:
    """The same for the running event loop; opening raises RuntimeError when that loop is closed."""
    loop = asyncio.get_running_loop()
    gate: asyncio.Future[None] = loop.create_future()

    def open_gate() -> None:
        if not gate.done():
            gate.set_result(None)

    return gate, lambda: loop.call_soon_threadsafe(open_gate)


async def wait_at(gate: asyncio.Future[None], timeout: float | None) -> None:
    """Return when the gate opens or the time is over (None: never); doesn't block the loop."""
    await asyncio.wait({gate}, timeout=None if timeout == math.inf else timeout)
