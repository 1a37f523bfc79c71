"""The ledger: who has what and who waits, and every change of it. All of it runs under the lock."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from agentreg import RegistryEvent, Resync
from agentreg.extensions.resources.allocation import Allocation, open_gates
from agentreg.extensions.resources.announcing import Announcer
from agentreg.extensions.resources.building import Shape
from agentreg.extensions.resources.errors import (
    AlreadyAllocatedError,
    HostNotFoundError,
    InsufficientResourcesError,
    NotAllocatedError,
    RequestTooLargeError,
    ResourceError,
    StaleProposalError,
)
from agentreg.extensions.resources.events import Granted, Moved, Preempted, Queued, Released, Resized, ResourceEvent
from agentreg.extensions.resources.following import Following, name_of
from agentreg.extensions.resources.hosts import Host, Hosts
from agentreg.extensions.resources.preemption import Plan, least_damage
from agentreg.extensions.resources.queueing import Line, Shares
from agentreg.extensions.resources.repacking import Proposal
from agentreg.extensions.resources.requests import Need
from agentreg.extensions.resources.sizes import format_size
from agentreg.extensions.resources.utilization import Use, Utilization, fragmentation_of, use_of

__all__ = ["Ledger"]

T = TypeVar("T")

_log = logging.getLogger("agentreg")


class _Bar(NamedTuple):
    """What is kept for the one that is overdue: one host, or (None) every one."""

    host: Host | None

    def keeps(self, host: Host) -> bool:
        return self.host is None or self.host is host


class Ledger:
    """The state of one manager. Thread-safe: no; each method is called under the lock, but where it says otherwise.

    Attributes:
        clock: What the manager was given.
        hosts: The hosts, and what is free on them.
        held: Agent -> its allocation, granted or waiting.
        line: Who waits.
        following: The bond to the registry.
        announcer: Who listens.
    """

    def __init__(
        self, clock: Callable[[], float], shapes: Mapping[str, Shape], ageing: float, weights: Mapping[str, float]
    ) -> None:
        self.clock = clock
        self.hosts = Hosts()
        for name, (memory, cpu) in shapes.items():
            self.hosts.add(name, memory, cpu)
        self.held: dict[str, Allocation] = {}
        self.shares = Shares(self.hosts, weights)
        self.line = Line(ageing, self.shares)
        self.following = Following(None)
        self.announcer = Announcer()
        self._serials = itertools.count(1)
        self._decided: deque[Allocation] = deque()
        self._failed: deque[Exception] = deque()

    # -- asking and giving back ----------------------------------------------

    def ask(self, now: float, request: Allocation, agent: Any) -> Allocation:
        """Grant *request*, or put it in the line."""
        if not isinstance(agent, str):
            self.following.check(request.agent, agent)
        known = self.held.get(request.agent)
        if known is not None:
            raise AlreadyAllocatedError(request.agent, known.state)
        self._check_size(request, request.need)
        request.serial = next(self._serials)
        self.held[request.agent] = request
        self.following.bind(request)
        self.line.promote(now)
        outcome = self._try(now, request)
        if outcome == "preempted":
            self._serve(now)
        elif outcome == "waiting":
            request.reason = "waiting for room"
            self.line.enter(request)
            self._put(Queued, request, request.priority, request.need.memory, request.cpu, len(self.line))
        return request

    def release(self, now: float, agent: Any) -> bool:
        """End the allocation that *agent* means; False if there is none."""
        allocation = self.find(agent)
        if allocation is None:
            return False
        self._end(now, allocation, "cancelled" if allocation.state == "waiting" else "released")
        return True

    def find(self, agent: Any) -> Allocation | None:
        """The allocation that *agent* (an allocation, an agent or a name) means now."""
        if isinstance(agent, Allocation):
            return agent if self.held.get(agent.agent) is agent else None
        allocation = self.held.get(name_of(agent))
        return allocation if allocation is not None and self.following.is_for(allocation, agent) else None

    def resize(self, now: float, agent: Any, change: Mapping[str, int]) -> Allocation:
        """Another size for what *agent* has or waits for."""
        allocation = self.find(agent)
        if allocation is None:
            raise NotAllocatedError(agent.agent if isinstance(agent, Allocation) else name_of(agent))
        need = allocation.need._replace(**change)
        self._check_size(allocation, need)
        self.line.promote(now)
        before = allocation.need.memory
        if allocation.state == "waiting":
            self.line.leave(allocation)
            allocation.need = need
            self.line.enter(allocation)
        else:
            self._grow(allocation, need)
        figures = before, need.memory, allocation.cpu
        self.announcer.put(Resized, allocation.agent, allocation.host, *figures)
        self._serve(now)
        return allocation

    def hear(self, now: float, event: RegistryEvent) -> None:
        """End what *event* shows to be over."""
        known = list(self.held.values()) if isinstance(event, Resync) else [self.held.get(event.name)]
        for allocation in known:
            if allocation is not None and self.following.has_left(allocation, event):
                self._end(now, allocation, "departed")

    # -- looking ---------------------------------------------------------------

    def available(self, now: float, need: Need, home: Host | None) -> bool:
        """Whether *need* would be granted now without preempting."""
        self.line.promote(now)
        return self._room_for(need, home, self._bar()) is not None

    def utilization(self) -> Utilization:
        """The figures of this moment."""
        hosts = self.hosts
        granted = len(self.held) - len(self.line)
        return Utilization(
            use_of((hosts.memory, hosts.free_memory), (hosts.cpu, hosts.free_cpu), hosts.tasks, granted),
            {host.name: _use_of(host) for host in hosts},
            fragmentation_of([host.free_memory for host in hosts], [host.memory for host in hosts]),
            len(self.line),
            self.line.memory,
        )

    def host(self, name: object) -> Host:
        """The host *name*. May be called without the lock."""
        host = self.hosts.by_name.get(name) if isinstance(name, str) else None
        if host is None:
            known = ", ".join(map(repr, itertools.islice(list(self.hosts.by_name), 20)))
            raise HostNotFoundError(name, known)
        return host

    # -- hosts -------------------------------------------------------------------

    def add_host(self, now: float, name: str, shape: Shape) -> None:
        """One host more."""
        if name in self.hosts.by_name:
            raise ValueError(f"host name: there is a host {name!r} already; choose another name")
        self.hosts.add(name, *shape)
        self._hosts_changed(now)

    def remove_host(self, now: float, host: Host) -> None:
        """One host less, if nobody misses it."""
        if self.hosts.by_name.get(host.name) is not host:
            raise HostNotFoundError(host.name, "it was removed meanwhile")
        if host.residents:
            raise ResourceError(f"host {host.name!r} has {len(host.residents)} allocations; release or move them first")
        others = [other for other in self.hosts if other is not host]
        if not others:
            raise ResourceError(f"host {host.name!r} is the last; add another first")
        for request in self.line:
            if request.pinned is host or not any(other.holds(request.need) for other in others):
                raise ResourceError(f"{request.agent!r} waits for the host {host.name!r}, and fits no other; cancel it")
        self.hosts.remove(host)
        self._hosts_changed(now)

    def apply(self, now: float, proposal: Proposal) -> None:
        """All moves of *proposal*, or none."""
        for host, revision in proposal.states:
            if self.hosts.by_name.get(host.name) is not host or host.revision != revision:
                raise StaleProposalError(host.name)
        by_name = {host.name: host for host, _ in proposal.states}
        for move in proposal.moves:
            allocation = by_name[move.source].residents[move.serial]
            self.hosts.take(allocation)
            self.hosts.put(allocation, by_name[move.target])
            self.announcer.put(Moved, move.agent, move.source, move.target, move.memory, move.cpu)
        self._serve(now)

    def _hosts_changed(self, now: float) -> None:
        self.line.promote(now)
        self.line.reckon()
        self._serve(now)

    # -- telling -----------------------------------------------------------------

    def announce(self, _now: float, kind: Callable[..., ResourceEvent], figures: tuple[Any, ...]) -> None:
        """Have an event told that is no change."""
        self.announcer.put(kind, *figures)

    def attempt(self, step: Callable[..., Any], now: float, arguments: tuple[Any, ...]) -> None:
        """Make a change that was put off. An error is logged; a request that is refused is cancelled."""
        try:
            step(now, *arguments)
        except Exception as error:
            if step == self.ask:
                arguments[0].state, arguments[0].reason = "cancelled", str(error)
                self._decided.append(arguments[0])
            self._failed.append(error)

    def tell(self) -> None:
        """Wake who waits for what was decided, then tell the listeners. Called without the lock."""
        for decided in _emptied(self._decided):
            open_gates(decided)
        for error in _emptied(self._failed):
            _log.error("a change that was put off failed", exc_info=error)
        self.announcer.tell()

    def _put(self, kind: Callable[..., ResourceEvent], allocation: Allocation, *figures: Any) -> None:
        self.announcer.put(kind, allocation.agent, allocation.owner, *figures)

    # -- granting and ending -------------------------------------------------------

    def _check_size(self, request: Allocation, need: Need) -> None:
        home = request.home or request.pinned
        if home is not None and (self.hosts.by_name.get(home.name) is not home or not home.holds(need)):
            raise RequestTooLargeError(request.agent, str(need), f"the host {home}")
        if home is None and not self.hosts.holds(need):
            raise RequestTooLargeError(request.agent, str(need), self.hosts.largest())

    def _bar(self, request: Allocation | None = None) -> _Bar | None:
        """What *request* must leave to the one that is overdue; None if nothing."""
        first = self.line.overdue()
        if first is None or first is request:
            return None
        if first.pinned is not None:
            return _Bar(first.pinned)
        return _Bar(None if self.line.long_overdue(first) else self.hosts.nearest_to(first.need))

    def _room_for(self, need: Need, pinned: Host | None, bar: _Bar | None) -> Host | None:
        if pinned is not None:
            return pinned if pinned.fits(need) and not (bar and bar.keeps(pinned)) else None
        if bar is None:
            return self.hosts.best_fit(need)
        return None if bar.host is None else self.hosts.best_fit(need, bar.host)

    def _try(self, now: float, request: Allocation) -> Literal["granted", "preempted", "waiting"]:
        """Grant *request* if it fits, or if it is critical and what is low can make room."""
        bar = self._bar(request)
        host = self._room_for(request.need, request.pinned, bar)
        if host is not None:
            self._grant(now, request, host)
            return "granted"
        if request.priority != "critical":
            return "waiting"
        hosts = self.hosts.reclaimable(request.need) if request.pinned is None else (request.pinned,)
        plan = least_damage(hosts, request.need, bar.keeps if bar else _nothing)
        if plan is None:
            return "waiting"
        self._preempt(plan, request)
        self._grant(now, request, plan.host)
        return "preempted"

    def _grant(self, now: float, request: Allocation, host: Host) -> None:
        if request.level >= 0:
            self.line.leave(request)
        self.hosts.put(request, host)
        request.state, request.reason = "granted", "granted"
        self._count(request, 1)
        if request.gates:
            self._decided.append(request)
        figures = request.priority, host.name, request.need.memory, request.cpu, max(0.0, now - request.asked_at)
        self._put(Granted, request, *figures)

    def _serve(self, now: float) -> None:
        """Grant what can be granted, in the order of the line."""
        if not self.line.length:
            return
        self.line.promote(now)
        while any(self._try(now, request) == "preempted" for request in self.line.candidates(self._roomiest)):
            pass  # once more from the start: the victims may have had more than was needed

    def _roomiest(self) -> int:
        """The most that one who isn't overdue could be given."""
        bar = self._bar()
        most = self.hosts.roomiest(bar.host if bar else None) if not bar or bar.host else -1
        return max(most, self.hosts.most_reclaimable()) if self.line.critical else most

    def _end(self, now: float, allocation: Allocation, why: Literal["released", "cancelled", "departed"]) -> None:
        waiting = allocation.state == "waiting"
        if waiting:
            self.line.leave(allocation)
        else:
            self._vacate(allocation)
        del self.held[allocation.agent]
        allocation.state = "cancelled" if waiting else "released"
        allocation.reason = "its agent left" if why == "departed" else why
        if allocation.gates:
            self._decided.append(allocation)
        self._put(Released, allocation, allocation.host, allocation.need.memory, allocation.cpu, why)
        self._serve(now)

    def _preempt(self, plan: Plan, by: Allocation) -> None:
        for victim in plan.victims:
            self._vacate(victim)
            del self.held[victim.agent]
            victim.state, victim.reason = "preempted", f"{by.agent!r} is critical"
            self._put(Preempted, victim, plan.host.name, victim.need.memory, victim.cpu, by.agent)

    def _vacate(self, allocation: Allocation) -> None:
        self.hosts.take(allocation)
        self._count(allocation, -1)

    def _count(self, allocation: Allocation, sign: int) -> None:
        self.shares.add(allocation.owner, allocation.need, sign)
        if self.line.length:
            self.line.reckon(allocation.owner)

    def _grow(self, allocation: Allocation, need: Need) -> None:
        """Another size for what is granted; it grows only into what is free or, for what is critical, low."""
        home, before = allocation.home, allocation.need
        assert home is not None
        more = Need(max(0, need.memory - before.memory), max(0, need.cpu - before.cpu), 0)
        bar = self._bar()
        if (more.memory or more.cpu) and self._room_for(more, home, bar) is None:
            keeps = bar.keeps if bar else _nothing
            plan = least_damage((home,), more, keeps) if allocation.priority == "critical" else None
            if plan is None:
                raise InsufficientResourcesError(allocation.agent, str(need), _free_on(home, bar))
            self._preempt(plan, allocation)
        self._vacate(allocation)
        allocation.need = need
        self.hosts.put(allocation, home)
        self._count(allocation, 1)


def _emptied(things: deque[T]) -> Iterator[T]:
    while things:
        try:
            yield things.popleft()
        except IndexError:  # another thread was quicker
            return


def _use_of(host: Host) -> Use:
    memory, cpu = (host.memory, host.free_memory), (host.cpu, host.free_cpu)
    return use_of(memory, cpu, host.tasks, len(host.residents))


def _free_on(host: Host, bar: _Bar | None) -> str:
    if bar is not None and bar.keeps(host):
        return f"what is free on {host.name!r} is kept for a request that is overdue"
    return f"only {format_size(host.free_memory)} more are free on {host.name!r}"


def _nothing(_host: Host) -> bool:
    return False
