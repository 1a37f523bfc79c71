"""The line: who is served next, so that the urgent come first, owners share fairly, and nobody starves.

A request has a deadline, which never changes: the moment it came, and one
*ageing* later for each step that its priority is below critical. The
earlier deadline counts more, so waiting raises priority by itself. What is
due within one ageing is *urgent*: served by deadline. What is due within
two is *fair*: the owner who holds least comes first. The rest has time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from agentreg.extensions.resources.hosts import Hosts
from agentreg.extensions.resources.ranked import LOWEST, Rank, Ranked
from agentreg.extensions.resources.requests import PRIORITIES, UNLIMITED, Need

if TYPE_CHECKING:
    from agentreg.extensions.resources.allocation import Allocation

__all__ = ["Line", "Shares"]

URGENT, FAIR, LATER = range(3)


class Shares:
    """What each owner holds, as the larger of its parts of all memory and of all cores, by its weight.

    Thread-safe: no; the manager's lock guards it.
    """

    def __init__(self, hosts: Hosts, weights: Mapping[str, float]) -> None:
        self._hosts = hosts
        self._weights = dict(weights)
        self._held: dict[str, tuple[int, int, int]] = {}

    def add(self, owner: str, need: Need, sign: int) -> None:
        """Count one allocation more, or with -1 one less."""
        memory, cpu, number = self._held.get(owner, (0, 0, 0))
        held = memory + sign * need.memory, cpu + sign * need.cpu, number + sign
        if held[2]:
            self._held[owner] = held
        else:
            del self._held[owner]

    def of(self, owner: str) -> float:
        """The dominant share of *owner*; 0 if it holds nothing."""
        memory, cpu, _ = self._held.get(owner, (0, 0, 0))
        part = memory / self._hosts.memory if self._hosts.memory else 0.0
        if cpu and self._hosts.cpu < UNLIMITED:
            part = max(part, cpu / self._hosts.cpu)
        return part / self._weights.get(owner, 1.0)


class _Owner:
    """The fair requests of one owner, by deadline; `rank` is its place among the owners."""

    __slots__ = ("name", "rank", "requests")

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: Ranked[Allocation] = Ranked()
        self.rank: Rank | None = None


class Line:
    """Who waits. Thread-safe: no; the manager's lock guards it.

    Attributes:
        length: How many wait.
        memory: The bytes that they wait for.
        critical: How many of those who wait are critical.
    """

    def __init__(self, ageing: float, shares: Shares) -> None:
        self.ageing = ageing
        self.length = self.memory = self.critical = 0
        self._shares = shares
        self._now = float("-inf")
        self._urgent: Ranked[Allocation] = Ranked()
        self._fair: Ranked[Allocation] = Ranked()
        self._later: Ranked[Allocation] = Ranked()
        self._owners: dict[str, _Owner] = {}
        self._poorest: Ranked[_Owner] = Ranked()

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Allocation]:
        for requests in (self._urgent, self._fair, self._later):
            yield from requests.walk()

    def enter(self, request: Allocation) -> None:
        """Put *request* in the line."""
        request.deadline = request.asked_at + self.ageing * PRIORITIES.index(request.priority)
        self.length += 1
        self.memory += request.need.memory
        self.critical += request.priority == "critical"
        self._join(request, LATER)
        self.promote(self._now)

    def leave(self, request: Allocation) -> None:
        """Take *request* out."""
        self.length -= 1
        self.memory -= request.need.memory
        self.critical -= request.priority == "critical"
        self._part(request)
        request.level = -1

    def promote(self, now: float) -> None:
        """Let time raise whom it has to."""
        self._now = now = max(now, self._now)
        if not self.length:
            return
        self._raise_from(self._later, FAIR, now + 2 * self.ageing)
        self._raise_from(self._fair, URGENT, now + self.ageing)

    def overdue(self) -> Allocation | None:
        """The first in the line, if its deadline has passed: the others must leave it room."""
        first = self._urgent.first() if self.length else None
        return first if first is not None and first.deadline <= self._now else None

    def long_overdue(self, request: Allocation) -> bool:
        """Whether its deadline has passed by one more ageing."""
        return request.deadline + self.ageing <= self._now

    def candidates(self, room: Callable[[], float]) -> Iterator[Allocation]:
        """Whom to serve next, in order: the overdue one first, then those who ask for no more than *room* bytes.

        The one that was given last may have left the line meanwhile.
        """
        first = self.overdue()
        rank = LOWEST
        if first is not None:
            rank = first.rank
            yield first
        yield from _in_order(self._urgent, room, rank)
        yield from self._poorest_first(room)
        yield from _in_order(self._later, room)

    def reckon(self, owner: str | None = None) -> None:
        """What *owner* holds (or what there is altogether) has changed: put it in its new place."""
        for each in list(self._owners) if owner is None else (owner,):
            if each in self._owners:
                self._rank(self._owners[each])

    def _poorest_first(self, room: Callable[[], float]) -> Iterator[Allocation]:
        rank = LOWEST
        while (owner := self._poorest.after(rank, -room())) is not None:
            rank = owner.rank or LOWEST
            for request in _in_order(owner.requests, room):
                yield request
                if owner.rank != rank:  # it was served: now others may hold less
                    break

    def _raise_from(self, requests: Ranked[Allocation], level: int, until: float) -> None:
        while (first := requests.first()) is not None and first.deadline <= until:
            self._part(first)
            self._join(first, level)

    def _join(self, request: Allocation, level: int) -> None:
        request.level = level
        self._of(level).add(request.rank, -request.need.memory, request)
        if level == FAIR:
            owner = self._owners.setdefault(request.owner, _Owner(request.owner))
            owner.requests.add(request.rank, -request.need.memory, request)
            self._rank(owner)

    def _part(self, request: Allocation) -> None:
        self._of(request.level).remove(request.rank)
        if request.level == FAIR:
            owner = self._owners[request.owner]
            owner.requests.remove(request.rank)
            self._rank(owner)

    def _of(self, level: int) -> Ranked[Allocation]:
        return (self._urgent, self._fair, self._later)[level]

    def _rank(self, owner: _Owner) -> None:
        if owner.rank is not None:
            self._poorest.remove(owner.rank)
            owner.rank = None
        first = owner.requests.first()
        if first is None:
            del self._owners[owner.name]
        else:
            owner.rank = (self._shares.of(owner.name), *first.rank)
            self._poorest.add(owner.rank, owner.requests.heaviest(), owner)


def _in_order(requests: Ranked[Allocation], room: Callable[[], float], rank: Rank = LOWEST) -> Iterator[Allocation]:
    while (request := requests.after(rank, -room())) is not None:
        rank = request.rank
        yield request
