"""A manager against a plain model of it: any course of asking, giving back, resizing, repacking and time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentreg.extensions.resources import (
    Allocation,
    InsufficientResourcesError,
    RequestTooLargeError,
    ResourceManager,
)
from agentreg.extensions.resources.requests import PRIORITIES, Priority
from tests.extensions.resources.clocks import Clock

AGEING = 10.0
MEMORY = st.integers(0, 12)
CPU = st.integers(0, 4)
OWNERS = st.sampled_from(["red", "blue", "green"])


class Resources(RuleBasedStateMachine):
    """The model: a list of allocations, of which it counts what each host has given away."""

    @initialize(hosts=st.lists(st.tuples(st.integers(4, 12), st.integers(2, 4)), min_size=1, max_size=3))
    def start(self, hosts: list[tuple[int, int]]) -> None:
        self.capacity = {f"h{place}": each for place, each in enumerate(hosts)}
        described = {name: {"memory": memory, "cpu": cpu} for name, (memory, cpu) in self.capacity.items()}
        self.clock = Clock()
        self.manager = ResourceManager(hosts=described, ageing=AGEING, clock=self.clock, registry=None)
        self.numbers = itertools.count()
        self.known: list[Allocation] = []

    # -- what happens ---------------------------------------------------------

    @rule(memory=MEMORY, cpu=CPU, priority=st.sampled_from(PRIORITIES), owner=OWNERS, pin=st.booleans())
    def ask(self, memory: int, cpu: int, priority: Priority, owner: str, pin: bool) -> None:
        host = "h0" if pin else None
        fits = [name for name in ([host] if host else self.capacity) if self.could_hold(str(name), memory, cpu)]
        free = {name: self.free(name) for name in self.capacity}
        alone = not self.waiting()
        low = {each.agent for each in self.known if each.granted and each.priority == "low"}
        try:
            allocation = self.manager.allocate(
                f"agent-{next(self.numbers)}", memory, priority, 1, cpu=cpu, owner=owner, host=host
            )
        except RequestTooLargeError:
            assert not fits
            return
        assert fits
        if alone:
            best = min(
                (
                    (free[name][0], place, name)
                    for place, name in enumerate(self.capacity)
                    if name in fits and free[name][0] >= memory and free[name][1] >= cpu
                ),
                default=None,
            )
            assert allocation.granted or best is None
            assert best is None or allocation.host == best[2]
        lost = {each.agent for each in self.known if each.state == "preempted" and each.agent in low}
        assert not lost or (priority == "critical" and allocation.granted)
        self.known.append(allocation)

    @rule(place=st.integers(0, 50))
    def give_back(self, place: int) -> None:
        if self.known:
            allocation = self.known[place % len(self.known)]
            held = allocation.state in ("granted", "waiting")

            assert self.manager.release(allocation) is held
            assert allocation.state in ("cancelled", "released", "preempted")

    @rule(place=st.integers(0, 50), memory=MEMORY, cpu=CPU)
    def resize(self, place: int, memory: int, cpu: int) -> None:
        live = [each for each in self.known if each.state in ("granted", "waiting")]
        if not live:
            return
        allocation = live[place % len(live)]
        before = allocation.memory, allocation.cpu
        try:
            self.manager.resize(allocation, memory, cpu)
        except (InsufficientResourcesError, RequestTooLargeError):
            assert (allocation.memory, allocation.cpu) == before
        else:
            assert (allocation.memory, allocation.cpu) == (memory, cpu)

    @rule()
    def repack(self) -> None:
        proposal = self.manager.repack(threshold=0)
        before = self.manager.utilization()
        assert proposal.after <= proposal.before == before.fragmentation
        waited = before.waiting

        self.manager.apply(proposal)

        if not waited:
            assert self.manager.utilization().fragmentation == pytest.approx(proposal.after)

    @rule(seconds=st.sampled_from([0.0, 1.0, AGEING / 2, AGEING, 3 * AGEING]))
    def time_passes(self, seconds: float) -> None:
        self.clock.tick(seconds)

    @rule(size=st.integers(4, 12))
    def one_host_more(self, size: int) -> None:
        if len(self.capacity) < 4:
            name = f"h{len(self.capacity)}"
            self.capacity[name] = size, 4
            self.manager.add_host(name, size, cpu=4)

    # -- what always holds ------------------------------------------------------

    @invariant()
    def nothing_is_given_twice(self) -> None:
        for name in self.capacity:
            assert min(self.free(name)) >= 0

    @invariant()
    def free_and_allocated_add_up(self) -> None:
        use = self.manager.utilization()
        for name, (memory, cpu) in self.capacity.items():
            here = [each for each in self.known if each.granted and each.host == name]
            assert use.hosts[name].memory + self.free(name)[0] == use.hosts[name].memory_total == memory
            assert use.hosts[name].cpu + self.free(name)[1] == use.hosts[name].cpu_total == cpu
            assert (use.hosts[name].allocations, use.hosts[name].tasks) == (len(here), len(here))
        assert use.total.memory == sum(host.memory for host in use.hosts.values())
        assert use.waiting == len(self.waiting())
        assert use.waiting_memory == sum(each.memory for each in self.waiting())

    @invariant()
    def only_what_is_low_is_preempted(self) -> None:
        assert all(each.priority == "low" for each in self.known if each.state == "preempted")
        self.known = [each for each in self.known if each.state in ("granted", "waiting")]

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        if any(self.is_overdue(each) for each in self.waiting()):
            return
        for each in self.waiting():
            assert not any(self.fits(each, name) for name in self.hosts_for(each))

    @invariant()
    def nothing_critical_waits_for_what_is_low(self) -> None:
        waiting = self.waiting()
        overdue = [each for each in waiting if self.is_overdue(each)]
        first = min(overdue, key=lambda each: (each.deadline, each.serial), default=None)
        if first is not None and first.priority == "critical":
            for name in self.hosts_for(first):
                low = [each for each in self.known if each.granted and each.host == name and each.priority == "low"]
                memory = self.free(name)[0] + sum(each.memory for each in low)
                cpu = self.free(name)[1] + sum(each.cpu for each in low)
                assert memory < first.memory or cpu < first.cpu

    def teardown(self) -> None:
        """Nobody starves: in a stream of critical requests, everybody is granted while others release."""
        if not hasattr(self, "manager"):
            return
        self.clock.tick(5 * AGEING)
        patient = self.waiting()
        for _ in range(2 * len(patient) + 2):
            for each in [each for each in self.known if each.granted and each not in patient]:
                each.cancel()
            for name in list(self.capacity):
                memory, cpu = self.capacity[name]
                self.known.append(
                    self.manager.allocate(f"agent-{next(self.numbers)}", memory // 2, "critical", 1, cpu=cpu / 2)
                )
            for each in [each for each in patient if each.granted]:
                each.cancel()
        assert [each for each in patient if each.state == "waiting"] == []

    # -- the model ---------------------------------------------------------------

    def waiting(self) -> list[Allocation]:
        return [each for each in self.known if each.state == "waiting"]

    def is_overdue(self, each: Allocation) -> bool:
        return each.asked_at + AGEING * PRIORITIES.index(each.priority) <= self.clock.now

    def hosts_for(self, each: Allocation) -> list[str]:
        return ["h0"] if each.pinned is not None else list(self.capacity)

    def could_hold(self, name: str, memory: int, cpu: int) -> bool:
        return memory <= self.capacity[name][0] and cpu <= self.capacity[name][1]

    def free(self, name: str) -> tuple[float, float]:
        here = [each for each in self.known if each.granted and each.host == name]
        memory, cpu = self.capacity[name]
        return memory - sum(each.memory for each in here), cpu - sum(each.cpu for each in here)

    def fits(self, each: Allocation, name: str) -> bool:
        memory, cpu = self.free(name)
        return each.memory <= memory and each.cpu <= cpu


TestResources = pytest.mark.filterwarnings("error")(Resources.TestCase)
TestResources.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine says nothing about the manager
)
