"""Hosts repacked: which allocations should move, so that what is free lies together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from agentreg.extensions.resources.hosts import Host, Hosts
from agentreg.extensions.resources.ranked import Ranked
from agentreg.extensions.resources.requests import cores
from agentreg.extensions.resources.utilization import fragmentation_of

if TYPE_CHECKING:
    from agentreg.extensions.resources.allocation import Allocation

__all__ = ["Move", "Proposal", "Snapshot"]


@dataclass(frozen=True)
class Move:
    """One allocation that should be on another host.

    Attributes:
        agent: Whose it is.
        source: The host that it is on.
        target: The host that it should be on.
        memory: Bytes.
        cpu: Cores.
    """

    agent: str
    source: str
    target: str
    memory: int
    cpu: float
    serial: int = field(repr=False)


@dataclass(frozen=True)
class Proposal:
    """Moves that bring the free memory together; nothing has moved yet.

    In their order, each move fits when those before it are done. It holds as
    long as the hosts that it names are as they were.

    Attributes:
        moves: What should move; empty if nothing would be gained.
        before: The fragmentation as it is, from 0 to 1.
        after: What it would be.
        hosts: The hosts that it depends on.
    """

    moves: tuple[Move, ...]
    before: float
    after: float
    hosts: tuple[str, ...]
    states: tuple[tuple[Host, int], ...] = field(repr=False, compare=False, default=())

    def __bool__(self) -> bool:
        return bool(self.moves)


class _Item(NamedTuple):
    """An allocation that may move; the larger is the first."""

    memory: int
    serial: int
    cpu: int
    agent: str


class _Room:
    """A host as the plan sees it."""

    __slots__ = ("cpu", "free", "free_cpu", "host", "items", "memory", "revision", "serial")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.serial = host.serial
        self.revision = host.revision
        self.memory = host.memory
        self.free = host.free_memory
        self.free_cpu = host.free_cpu
        self.items: list[Allocation] = list(host.residents.values())

    @property
    def used(self) -> bool:
        return bool(self.items)


class Snapshot:
    """All hosts as they are in one moment; taken under the lock, thought about without it."""

    def __init__(self, hosts: Hosts) -> None:
        self._rooms = [_Room(host) for host in hosts]
        self._items = {
            room.serial: [
                _Item(each.need.memory, each.serial, each.need.cpu, each.agent)
                for each in room.items
                if each.pinned is None and each.need.memory
            ]
            for room in self._rooms
        }
        self._used: Ranked[_Room] = Ranked()
        self._moves: list[Move] = []
        self.fragmentation = self._fragmentation()

    def propose(self) -> Proposal:
        """Moves from the emptier hosts in use to the fuller ones: the largest first, each to where it fits best."""
        for room in self._rooms:
            if room.used:
                self._enter(room)
        emptiest_first = sorted((room for room in self._rooms if room.used), key=lambda room: (-room.free, room.serial))
        for room in emptiest_first:
            self._clear(room)
        after = self._fragmentation()
        moves = tuple(self._moves) if after < self.fragmentation else ()
        return self._proposal(moves, after if moves else self.fragmentation)

    def stay(self) -> Proposal:
        """A proposal without moves."""
        return self._proposal((), self.fragmentation)

    def _proposal(self, moves: tuple[Move, ...], after: float) -> Proposal:
        named = dict.fromkeys(name for move in moves for name in (move.source, move.target))
        states = tuple((room.host, room.revision) for room in self._rooms if room.host.name in named)
        return Proposal(moves, self.fragmentation, after, tuple(named), states)

    def _clear(self, source: _Room) -> None:
        for item in sorted(self._items[source.serial], reverse=True):
            target = self._better(item, source)
            if target is not None:
                self._move(item, source, target)

    def _better(self, item: _Item, source: _Room) -> _Room | None:
        """Where *item* fits best among the hosts that are as full as its own, or fuller."""
        for room in self._used.walk((item.memory, -1), item.cpu):
            if room.free > source.free:
                return None
            if room is not source:
                return room
        return None

    def _move(self, item: _Item, source: _Room, target: _Room) -> None:
        names = source.host.name, target.host.name
        self._moves.append(Move(item.agent, *names, item.memory, cores(item.cpu), item.serial))
        for room, sign in ((source, 1), (target, -1)):
            self._used.remove((room.free, room.serial))
            room.free += sign * item.memory
            room.free_cpu += sign * item.cpu
            self._enter(room)

    def _enter(self, room: _Room) -> None:
        self._used.add((room.free, room.serial), room.free_cpu, room)

    def _fragmentation(self) -> float:
        return fragmentation_of([room.free for room in self._rooms], [room.memory for room in self._rooms])
