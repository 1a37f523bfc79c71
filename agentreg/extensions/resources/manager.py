"""`ResourceManager`: the public methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from typing_extensions import Self

from agentreg import AgentRegistry, RegistryEvent, Resync
from agentreg.extensions.resources.allocation import Allocation, Gate, add_gate
from agentreg.extensions.resources.announcing import Listening
from agentreg.extensions.resources.building import (
    fraction,
    positive,
    shape_of,
    shapes_of,
    strategy_of,
    weights_of,
)
from agentreg.extensions.resources.events import RepackProposed, ResourceEvent
from agentreg.extensions.resources.following import Following, name_of
from agentreg.extensions.resources.ledger import Ledger
from agentreg.extensions.resources.repacking import Proposal, Snapshot
from agentreg.extensions.resources.requests import Need, Priority, priority_of, text_of
from agentreg.extensions.resources.sizes import Size
from agentreg.extensions.resources.turns import change, look, put_off
from agentreg.extensions.resources.utilization import Utilization

__all__ = ["ResourceManager"]

T = TypeVar("T")


class ResourceManager:
    """Memory and cores of one or several hosts, given to agents by priority; never more than there is.

    *hosts* names the machines: ``{"a": {"memory": "32GB", "reserved": "2GB",
    "cpu": 8}, "b": "16GB"}``. Where one says no memory or cores,
    *total_memory* and *cpu* are its; nothing is reserved that it doesn't
    say. Without *hosts* there is one, ``"local"``, with *total_memory* less
    *reserved*. Cores are limited where *cpu* says how many there are.

    Who asks is served at once where it fits, on the host that it leaves
    fullest, or waits in the line:

    - ``critical``: at once, even by preempting what is low, as little of it
      as can be; where that doesn't do, at the head of the line.
    - ``important``: as they came.
    - ``normal``: the *owner* who holds least comes first, by the larger of
      its parts of memory and cores, over its weight in *weights*.
    - ``low``: when nobody else is to be served; may be preempted.

    What doesn't fit is passed over by smaller requests, for a while. Every
    *ageing* seconds of waiting raise a request by one step: a normal one
    becomes as important, then as critical. One that is beyond that is
    *overdue*: the host that has most room for it takes nobody else; after
    *ageing* more, no host does. So nobody waits for ever, as long as others
    release. What became as critical by waiting does not preempt.

    With *registry* (None for none), an agent that leaves it frees its share,
    or its place in the line: see `allocate`. ``close()`` ends the listening.

    Thread-safe: yes, and for any number of event loops. Calls made from
    inside another call of the same thread, by a finalizer or a signal
    handler, take effect once that is through. *clock* gives seconds that
    never go back; it is called without the lock, and so are listeners.

    Raises:
        SizeError, ValueError, TypeError: an option is of no use; the error says which.

    Example:
        >>> manager = ResourceManager(total_memory="4GB", reserved="1GB")
        >>> first = manager.allocate("ann", memory="2GB")
        >>> second = manager.allocate("bob", memory="2GB")
        >>> first.state, second.state
        ('granted', 'waiting')
        >>> manager.release("ann")
        True
        >>> second.granted
        True
    """

    def __init__(
        self,
        total_memory: Size = "64GB",
        reserved: Size = "8GB",
        cpu: float | None = None,
        hosts: Mapping[str, Any] | None = None,
        strategy: str = "best_fit_decreasing",
        fragmentation_threshold: float = 0.10,
        ageing: float = 60.0,
        weights: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        registry: type[AgentRegistry] | None = AgentRegistry,
    ) -> None:
        self.strategy = strategy_of(strategy)
        self.fragmentation_threshold = fraction(fragmentation_threshold, "fragmentation_threshold")
        shapes = shapes_of(total_memory, reserved, cpu, hosts)
        self.clock = clock
        self._ledger = Ledger(clock, shapes, positive(ageing, "ageing"), weights_of(weights))
        self._ledger.following = Following(registry, self._hear)

    # -- asking and giving back ----------------------------------------------

    def allocate(
        self,
        agent: Any,
        memory: Size = "1024mb",
        priority: Priority = "normal",
        tasks: int = 10,
        cpu: float | None = None,
        owner: str | None = None,
        host: str | None = None,
        follow: bool = True,
    ) -> Allocation:
        """An allocation for *agent*: granted at once, or waiting in the line; never blocks.

        *agent* is a name, or an object with a text ``name``. Whoever has
        that name in the registry, now or first afterwards, is followed: when
        that very agent leaves, the allocation ends. Any other name keeps its
        share until it is released; with ``follow=False`` each does.

        *cpu* is in cores, *tasks* is counted only. *owner* says among whom
        is shared fairly (default: the agent's name). *host* asks for one
        host; the others are then never considered, and a repacking leaves
        the allocation where it is.

        Raises:
            RequestTooLargeError: no host has so much, even when it is empty.
            AlreadyAllocatedError: the agent has an allocation, or waits for one.
            NameTakenError: *agent* is an object, and another agent has its name.
            SizeError, ValueError, TypeError: an argument is of no use.

        >>> manager = ResourceManager(total_memory="4GB", reserved=0)
        >>> allocation = manager.allocate("ann", memory="1.5 GiB", priority="important")
        >>> allocation.granted, allocation.host, allocation.memory
        (True, 'local', 1610612736)
        """
        name, rank, need = name_of(agent), priority_of(priority), Need.of(memory, cpu, tasks)
        home = None if host is None else self._ledger.host(host)
        owner = name if owner is None else text_of(owner, "owner")
        allocation = Allocation(self, name, owner, rank, need, home, self._ledger.clock())
        allocation.follow = bool(follow)
        allocation.since = self._ledger.following.settle()
        return self._do(self._ledger.ask, allocation, agent, later=lambda: allocation)

    def release(self, agent: Any) -> bool:
        """Free what *agent* has, or take it out of the line; False if there is nothing to be freed.

        An `Allocation` means exactly that one, and an agent exactly what was
        allocated for it: a late release never frees a successor's. A name
        means whoever has it. Whoever waits is served before this returns.

        >>> manager = ResourceManager()
        >>> old = manager.allocate("ann")
        >>> manager.release("ann"), manager.release("ann")
        (True, False)
        >>> new = manager.allocate("ann")
        >>> manager.release(old), new.granted
        (False, True)
        """
        if not isinstance(agent, Allocation):
            name_of(agent)
            self._ledger.following.settle()
        elif agent._manager is not self:
            raise ValueError(f"agent: expected an allocation of this manager, got {agent!r}, which is another's")
        return self._do(self._ledger.release, agent, later=lambda: self._ledger.find(agent) is not None)

    def resize(
        self, agent: Any, memory: Size | None = None, cpu: float | None = None, tasks: int | None = None
    ) -> Allocation:
        """Another size for what *agent* (or an allocation) has; what is None stays. Returns the allocation.

        One that waits keeps its place with the new size. One that is granted
        shrinks at once. It grows where it is, if there is room that nobody
        overdue is waiting for; something critical may preempt what is low
        there. Otherwise it is refused, and keeps what it has.

        Raises:
            InsufficientResourcesError: it can't grow where it is.
            RequestTooLargeError: no host has so much (or not the one it is on).
            NotAllocatedError: the agent has no allocation.

        >>> manager = ResourceManager(total_memory="4GB", reserved=0)
        >>> allocation = manager.allocate("ann", memory="1GB")
        >>> manager.resize("ann", memory="3GB").memory == allocation.memory == 3 * 2**30
        True
        """
        if not isinstance(agent, Allocation):
            name_of(agent)
        self._ledger.following.settle()
        checked = Need.of(0 if memory is None else memory, cpu, 0 if tasks is None else tasks)
        change = {
            field: getattr(checked, field)
            for field, value in (("memory", memory), ("cpu", cpu), ("tasks", tasks))
            if value is not None
        }
        return self._do(self._ledger.resize, agent, change)

    # -- looking -----------------------------------------------------------------

    def get(self, agent: Any) -> Allocation | None:
        """What *agent* (or a name) has or waits for now; None if nothing.

        >>> ResourceManager().get("nobody") is None
        True
        """
        name_of(agent)
        self._ledger.following.settle()
        return look(self._ledger.find, agent)

    def available(self, memory: Size, cpu: float | None = None, host: str | None = None) -> bool:
        """Whether so much would be granted at once now, without preempting anything.

        >>> manager = ResourceManager(total_memory="4GB", reserved=0)
        >>> manager.available("4GB"), manager.available("5GB")
        (True, False)
        """
        need = Need.of(memory, cpu, 0)
        home = None if host is None else self._ledger.host(host)
        self._ledger.following.settle()
        return self._do(self._ledger.available, need, home)

    def utilization(self) -> Utilization:
        """How much is taken, per host and in total, how scattered the rest is, and who waits; of one moment.

        >>> manager = ResourceManager(total_memory="4GB", reserved="2GB")
        >>> allocation = manager.allocate("ann", memory="1GB", tasks=3)
        >>> use = manager.utilization()
        >>> use.total.memory_share, use.hosts["local"].tasks, use.fragmentation, use.waiting
        (0.5, 3, 0.0, 0)
        """
        self._ledger.following.settle()
        return look(self._ledger.utilization)

    # -- hosts -------------------------------------------------------------------

    def add_host(self, name: str, memory: Size, reserved: Size = 0, cpu: float | None = None) -> None:
        """One host more; whoever waits and fits is served before this returns.

        Raises:
            ValueError: a host has that name already.

        >>> manager = ResourceManager(hosts={"a": "4GB"})
        >>> manager.add_host("b", "8GB")
        >>> list(manager.utilization().hosts)
        ['a', 'b']
        """
        shape = shape_of(f"host {name!r}: ", memory, reserved, cpu)
        self._do(self._ledger.add_host, text_of(name, "host name"), shape)

    def remove_host(self, name: str) -> None:
        """One host less.

        Raises:
            ResourceError: it is the last, something is allocated on it, or somebody waits who would fit nowhere else.
            LookupError: there is no such host.

        >>> manager = ResourceManager(hosts={"a": "4GB", "b": "8GB"})
        >>> manager.remove_host("a")
        >>> list(manager.utilization().hosts)
        ['b']
        """
        self._ledger.following.settle()
        self._do(self._ledger.remove_host, self._ledger.host(name))

    def repack(self, threshold: float | None = None) -> Proposal:
        """A proposal of moves that bring the free memory together, if it is too scattered; nothing moves.

        It is empty where the fragmentation is not above *threshold* (None:
        the manager's `fragmentation_threshold`) or nothing would be gained.
        Allocations that asked for their host stay. Worked out without the
        lock, from one moment's state.

        >>> manager = ResourceManager(hosts={"a": "16GB", "b": "16GB"})
        >>> for name in ("ann", "bob"):
        ...     allocation = manager.allocate(name, memory="10GB")
        >>> manager.resize("ann", memory="4GB"), manager.resize("bob", memory="4GB")  # doctest: +ELLIPSIS
        (<Allocation ...>, <Allocation ...>)
        >>> proposal = manager.repack()
        >>> [(move.agent, move.source, move.target) for move in proposal.moves]
        [('ann', 'a', 'b')]
        >>> manager.apply(proposal)
        >>> manager.get("ann").host
        'b'
        """
        limit = self.fragmentation_threshold if threshold is None else fraction(threshold, "threshold")
        self._ledger.following.settle()
        snapshot = look(Snapshot, self._ledger.hosts)
        proposal = snapshot.propose() if snapshot.fragmentation > limit else snapshot.stay()
        if proposal.moves:
            self.announce(RepackProposed, len(proposal.moves), proposal.before, proposal.after)
        return proposal

    def apply(self, proposal: Proposal) -> None:
        """Enter the moves of *proposal*: all of them or, where one of its hosts has changed since, none.

        Moving the agents themselves is the caller's. Whoever waits and fits
        is served before this returns.

        Raises:
            StaleProposalError: one of the hosts has changed since, or is gone.
        """
        if not isinstance(proposal, Proposal):
            raise TypeError(f"proposal: expected what repack() returned, got {proposal!r}")
        self._ledger.following.settle()
        self._do(self._ledger.apply, proposal)

    # -- listening ---------------------------------------------------------------

    def subscribe(self, listener: Callable[[ResourceEvent], object]) -> Listening:
        """Let *listener* hear of everything from now on: in order, one event at a time, without the lock.

        In the thread of whoever caused it, or of one that is telling
        already. What a listener raises is logged, and the others still hear.

        >>> manager, heard = ResourceManager(), []
        >>> with manager.subscribe(heard.append):
        ...     allocation = manager.allocate("ann")
        >>> [(type(event).__name__, event.agent) for event in heard]
        [('Granted', 'ann')]
        """
        return self._ledger.announcer.add(listener)

    def announce(self, kind: Callable[..., ResourceEvent], *figures: Any) -> None:
        """Tell every listener of an event of *kind*, made from *figures* and its revision.

        >>> manager, heard = ResourceManager(), []
        >>> with manager.subscribe(heard.append):
        ...     manager.announce(RepackProposed, 1, 0.5, 0.0)
        >>> heard[0].before
        0.5
        """
        self._do(self._ledger.announce, kind, figures, later=lambda: None)

    def close(self) -> None:
        """Follow the registry no more; everything else goes on. Twice is harmless."""
        self._ledger.following.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------

    def _gate(self, allocation: Allocation) -> Gate | None:
        return look(add_gate, allocation)

    def _do(self, step: Callable[..., T], *arguments: Any, later: Callable[[], T] | None = None) -> T:
        return change(self._ledger, step, *arguments, later=later)

    def _hear(self, event: RegistryEvent) -> None:
        """What the registry says; it must not wait here, not even for the lock."""
        if isinstance(event, Resync) or event.name in self._ledger.held:
            put_off(self._ledger, self._ledger.hear, event)
