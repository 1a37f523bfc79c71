"""Fragmentation, and proposals that end it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.resources import Move, Proposal, ResourceManager, StaleProposalError
from agentreg.extensions.resources.utilization import fragmentation_of
from tests.extensions.resources.clocks import Clock, manager_of


def scattered() -> ResourceManager:
    """Two hosts of ten, each with one of four."""
    manager = manager_of(10, 10)
    manager.allocate("ann", 4, host=None)
    manager.allocate("filler", 6)
    manager.allocate("bob", 4)
    manager.release("filler")
    return manager


@pytest.mark.parametrize(
    ("free", "capacities", "part"),
    [
        ([10], [10], 0.0),
        ([3], [10], 0.0),
        ([10, 10], [10, 10], 0.0),
        ([10, 2], [10, 10], 0.0),
        ([6, 6], [10, 10], 4 / 12),
        ([5, 5], [10, 10], 0.5),
        ([1, 1, 1], [10, 10, 10], 2 / 3),
        ([8, 8], [16, 8], 0.5),
        ([0, 0], [10, 10], 0.0),
        ([], [], 0.0),
    ],
)
def test_fragmentation_is_the_part_that_would_have_to_move_to_lie_together(
    free: list[int], capacities: list[int], part: float
) -> None:
    assert fragmentation_of(free, capacities) == pytest.approx(part)


def test_hosts_above_the_threshold_are_repacked_as_a_proposal() -> None:
    manager = scattered()

    proposal = manager.repack()

    assert proposal.moves == (Move("ann", "a", "b", 4, 0.0, serial=1),)
    assert proposal.before == pytest.approx(4 / 12)
    assert (proposal.after, proposal.hosts) == (0.0, ("a", "b"))
    assert manager.get("ann").host == "a"  # type: ignore[union-attr]
    manager.apply(proposal)
    assert manager.get("ann").host == "b"  # type: ignore[union-attr]
    assert manager.utilization().fragmentation == 0.0


def test_below_the_threshold_nothing_is_proposed() -> None:
    manager = scattered()

    assert not manager.repack(threshold=0.5)
    assert manager.repack(threshold=0.5).before == pytest.approx(4 / 12)
    assert manager.repack(threshold=0.2)


def test_room_that_a_repacking_makes_goes_to_who_waits() -> None:
    manager = scattered()
    large = manager.allocate("large", 10)
    assert large.state == "waiting"

    manager.apply(manager.repack())

    assert large.host == "a"


def test_a_proposal_is_refused_once_one_of_its_hosts_has_changed() -> None:
    manager = scattered()
    proposal = manager.repack()
    manager.allocate("cyd", 1)

    with pytest.raises(StaleProposalError, match=r"the host '\w' has changed since; call repack\(\)"):
        manager.apply(proposal)

    assert manager.get("ann").host == "a"  # type: ignore[union-attr]
    manager.apply(manager.repack())


def test_a_proposal_is_applied_once() -> None:
    manager = scattered()
    proposal = manager.repack()
    manager.apply(proposal)

    with pytest.raises(StaleProposalError):
        manager.apply(proposal)


def test_a_proposal_of_another_manager_is_refused() -> None:
    with pytest.raises(StaleProposalError):
        scattered().apply(scattered().repack())


def test_a_proposal_survives_changes_on_hosts_that_it_does_not_name() -> None:
    manager = manager_of(10, 10, 3)
    for name, size, host in [("ann", 4, None), ("filler", 6, None), ("bob", 4, None), ("cyd", 3, "c")]:
        manager.allocate(name, size, host=host)
    manager.release("filler")
    proposal = manager.repack()
    assert set(proposal.hosts) == {"a", "b"}

    manager.release("cyd")
    manager.apply(proposal)

    assert manager.get("ann").host == "b"  # type: ignore[union-attr]


def test_what_asked_for_its_host_stays_there() -> None:
    manager = manager_of(10, 10)
    manager.allocate("ann", 4, host="a")
    manager.allocate("bob", 4, host="b")

    assert manager.repack().moves == ()


@pytest.mark.parametrize("bad", [None, "now", [Move("ann", "a", "b", 1, 0.0, 1)]])
def test_only_a_proposal_can_be_applied(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"expected what repack\(\) returned"):
        manager_of(10).apply(bad)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(4, 20), st.integers(1, 6)), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans(), st.booleans()), max_size=40),
)
def test_a_proposal_gathers_without_ever_giving_a_host_too_much(
    hosts: list[tuple[int, int]], asked: list[tuple[int, int, bool, bool]]
) -> None:
    described = {f"h{place}": {"memory": memory, "cpu": cpu} for place, (memory, cpu) in enumerate(hosts)}
    manager = ResourceManager(hosts=described, clock=Clock(), registry=None)
    for number, (memory, cpu, pin, _) in enumerate(asked):
        if memory <= hosts[0][0] and cpu <= hosts[0][1]:
            manager.allocate(f"a{number}", memory, cpu=cpu, host="h0" if pin else None)
    for number, step in enumerate(asked):
        if step[3]:
            manager.release(f"a{number}")
    use = manager.utilization()
    free = {name: [host.memory_free, (host.cpu_total or 0) - host.cpu] for name, host in use.hosts.items()}

    proposal = manager.repack(threshold=0)

    assert proposal.before == use.fragmentation
    assert proposal.after < proposal.before if proposal.moves else proposal.after == proposal.before
    assert len({move.serial for move in proposal.moves}) == len(proposal.moves)
    for move in proposal.moves:
        for name, sign in ((move.source, 1), (move.target, -1)):
            free[name][0] += sign * move.memory
            free[name][1] += sign * move.cpu
            assert min(free[name]) >= 0
    waiting = use.waiting
    manager.apply(proposal)
    if not waiting:
        after = manager.utilization()
        assert after.fragmentation == pytest.approx(proposal.after)
        assert {name: host.memory_free for name, host in after.hosts.items()} == {
            name: room[0] for name, room in free.items()
        }


def test_an_empty_proposal_changes_nothing() -> None:
    manager = manager_of(10)

    manager.apply(manager.repack())
    manager.apply(Proposal((), 0.0, 0.0, ()))

    assert manager.utilization().total.memory == 0
