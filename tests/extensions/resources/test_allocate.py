"""Asking, giving back and resizing: `ResourceManager`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg import RegistryError
from agentreg.extensions.resources import (
    AlreadyAllocatedError,
    InsufficientResourcesError,
    NotAllocatedError,
    RequestTooLargeError,
    ResourceError,
    ResourceManager,
)
from tests.extensions.resources.clocks import Clock, manager_of

GB = 1 << 30


# -- granting -----------------------------------------------------------------


def test_the_defaults_are_a_host_of_64_gb_of_which_8_are_reserved() -> None:
    manager = ResourceManager()

    total = manager.utilization().total

    assert (total.memory, total.memory_total, total.cpu_total) == (0, 56 * GB, None)


def test_what_fits_is_granted_at_once() -> None:
    manager = ResourceManager(cpu=4)

    allocation = manager.allocate("ann", memory="1024mb", priority="normal", tasks=7, cpu=1.5, owner="team")

    assert (allocation.granted, allocation.state, allocation.host) == (True, "granted", "local")
    assert (allocation.agent, allocation.owner, allocation.priority) == ("ann", "team", "normal")
    assert (allocation.memory, allocation.cpu, allocation.tasks) == (GB, 1.5, 7)
    use = manager.utilization().hosts["local"]
    assert (use.memory, use.cpu, use.cpu_total, use.tasks, use.allocations) == (GB, 1.5, 4.0, 7, 1)


def test_what_does_not_fit_waits_and_is_granted_when_room_is_made() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 8)

    bob = manager.allocate("bob", 8)
    assert (bob.granted, bob.state, bob.host, manager.utilization().waiting) == (False, "waiting", None, 1)
    manager.release("ann")

    assert (bob.state, bob.host, manager.utilization().waiting) == ("granted", "a", 0)


def test_cores_are_limited_like_memory() -> None:
    manager = ResourceManager(cpu=2)
    manager.allocate("ann", 1, cpu=1.9)

    assert manager.allocate("bob", 1, cpu=0.1).granted
    assert not manager.allocate("cyd", 1, cpu=0.001).granted
    assert manager.allocate("dan", 1).granted


def test_tenths_of_cores_add_up_exactly() -> None:
    manager = ResourceManager(cpu=1)

    granted = [manager.allocate(f"a{number}", 0, cpu=0.1).granted for number in range(11)]

    assert granted == [True] * 10 + [False]


@pytest.mark.parametrize(
    ("arguments", "asked", "there"),
    [
        ({"memory": "6GB"}, "6GB", "4GB and 2 cores on the largest of 2 hosts"),
        ({"memory": "1GB", "cpu": 3}, "1GB and 3 cores", "4GB and 2 cores"),
        ({"memory": "4GB", "host": "b"}, "4GB", "the host 'b' with 2GB and 4 cores"),
        ({"memory": "4GB", "cpu": 4}, "4GB and 4 cores", "4GB and 2 cores"),
    ],
)
def test_what_no_host_could_ever_hold_is_refused_at_once(arguments: Any, asked: str, there: str) -> None:
    manager = ResourceManager(hosts={"a": {"memory": "4GB", "cpu": 2}, "b": {"memory": "2GB", "cpu": 4}})
    if arguments.get("cpu") == 3:
        arguments = {**arguments, "memory": "3GB"}
        asked = "3GB and 3 cores"

    with pytest.raises(RequestTooLargeError) as caught:
        manager.allocate("ann", **arguments)

    assert f"'ann' asks for {asked}, but there is only " in str(caught.value)
    assert there in str(caught.value)
    assert isinstance(caught.value, (RegistryError, ResourceError, ValueError))
    assert manager.get("ann") is None


def test_an_agent_has_one_allocation_at_a_time() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 1)

    with pytest.raises(AlreadyAllocatedError, match=r"'ann' has an allocation already \(granted\); resize it"):
        manager.allocate("ann", 1)

    assert manager.utilization().total.memory == 1


# -- several hosts ------------------------------------------------------------


def test_the_host_that_is_left_fullest_is_taken() -> None:
    manager = manager_of(10, 6, 8)

    assert [manager.allocate(name, size).host for name, size in [("p", 5), ("q", 8), ("r", 7), ("s", 3)]] == [
        "b",
        "c",
        "a",
        "a",
    ]


def test_the_best_host_must_have_the_cores_too() -> None:
    manager = ResourceManager(hosts={"a": {"memory": 4, "cpu": 1}, "b": {"memory": 8, "cpu": 8}})

    assert manager.allocate("ann", 4, cpu=2).host == "b"


def test_one_host_can_be_asked_for() -> None:
    manager = manager_of(10, 6)

    assert manager.allocate("ann", 6, host="a").host == "a"
    assert manager.allocate("bob", 6, host="a").state == "waiting"
    assert manager.allocate("cyd", 6).host == "b"


def test_a_host_says_what_it_has_and_takes_the_rest_from_the_manager() -> None:
    manager = ResourceManager(
        "16GB", cpu=4, hosts={"a": {}, "b": "4GB", "c": {"memory": "8GB", "reserved": "2GB", "cpu": 1}}
    )

    hosts = manager.utilization().hosts

    assert {name: (use.memory_total // GB, use.cpu_total) for name, use in hosts.items()} == {
        "a": (16, 4.0),
        "b": (4, 4.0),
        "c": (6, 1.0),
    }


def test_a_new_host_serves_those_who_wait() -> None:
    manager = manager_of(10)
    manager.allocate("ann", 10)
    bob = manager.allocate("bob", 5)

    manager.add_host("b", 5)

    assert bob.host == "b"
    with pytest.raises(ValueError, match="there is a host 'b' already"):
        manager.add_host("b", 5)


def test_a_host_can_leave_when_nobody_misses_it() -> None:
    manager = manager_of(10, 6)
    manager.allocate("ann", 6)
    with pytest.raises(ResourceError, match="host 'b' has 1 allocations"):
        manager.remove_host("b")
    manager.allocate("bob", 5)
    cyd = manager.allocate("cyd", 8)
    manager.release("bob")
    manager.release("ann")
    assert cyd.host == "a"

    manager.remove_host("b")

    assert list(manager.utilization().hosts) == ["a"]
    assert manager.utilization().total.memory_total == 10
    with pytest.raises(ResourceError, match="the last"):
        manager_of(10).remove_host("a")
    with pytest.raises(LookupError, match="no host 'b'"):
        manager.remove_host("b")


def test_a_host_that_somebody_waits_for_stays() -> None:
    manager = manager_of(10, 6)
    manager.allocate("ann", 1, host="a", priority="low")
    waiting = manager.allocate("bob", 10)
    manager.release("ann")
    waiting.cancel()
    manager.allocate("cyd", 1)

    assert manager.allocate("dan", 7).host == "a"
    eve = manager.allocate("eve", 8)
    manager.release("dan")
    assert eve.granted


# -- giving back ----------------------------------------------------------------


def test_a_release_frees_all_of_it_once() -> None:
    manager = ResourceManager(cpu=4)
    allocation = manager.allocate("ann", cpu=1)

    assert (manager.release("ann"), manager.release("ann"), manager.release("nobody")) == (True, False, False)
    assert (allocation.state, allocation.granted, allocation.host) == ("released", False, "local")
    total = manager.utilization().total
    assert (total.memory, total.cpu, total.tasks, total.allocations) == (0, 0.0, 0, 0)


def test_a_late_release_of_an_old_allocation_never_frees_the_successors() -> None:
    manager = manager_of(10)
    old = manager.allocate("ann", 4)
    manager.release(old)
    new = manager.allocate("ann", 6)

    assert not manager.release(old)
    assert not old.cancel()

    assert (new.granted, manager.utilization().total.memory) == (True, 6)


def test_cancelling_takes_a_request_out_of_the_line_and_gives_a_granted_share_back() -> None:
    manager = manager_of(10)
    ann, bob = manager.allocate("ann", 8), manager.allocate("bob", 8)

    assert (bob.cancel(), bob.cancel(), bob.state) == (True, False, "cancelled")
    assert (ann.cancel(), ann.state) == (True, "released")
    assert manager.utilization().total.memory == 0


def test_an_allocation_of_another_manager_is_refused() -> None:
    foreign = manager_of(10).allocate("ann", 1)

    with pytest.raises(ValueError, match="another's"):
        manager_of(10).release(foreign)
    assert foreign.granted


def test_get_gives_what_an_agent_has_or_waits_for() -> None:
    manager = manager_of(10)
    ann, bob = manager.allocate("ann", 8), manager.allocate("bob", 8)

    assert (manager.get("ann"), manager.get("bob"), manager.get("cyd")) == (ann, bob, None)


# -- available ------------------------------------------------------------------


def test_available_says_what_would_be_granted_at_once() -> None:
    manager = ResourceManager(hosts={"a": {"memory": "4GB", "cpu": 2}, "b": {"memory": "2GB", "cpu": 4}})
    manager.allocate("ann", "3GB", priority="low", host="a")

    assert [manager.available(size) for size in ("2GB", "2.1GB", "1TB", 0)] == [True, False, False, True]
    assert [manager.available("1GB", cpu=4), manager.available("1GB", cpu=4, host="a")] == [True, False]
    with pytest.raises(ValueError, match="is no size"):
        manager.available("some")


# -- resizing -------------------------------------------------------------------


def test_a_share_shrinks_and_others_are_served() -> None:
    manager = manager_of(10)
    ann, bob = manager.allocate("ann", 8), manager.allocate("bob", 4)

    assert manager.resize("ann", memory=6) is ann

    assert (ann.memory, bob.granted, manager.utilization().total.memory) == (6, True, 10)


def test_a_share_grows_into_what_is_free_on_its_host() -> None:
    manager = manager_of(10, 10)
    ann = manager.allocate("ann", 4)

    manager.resize(ann, memory=10, cpu=1, tasks=3)

    assert (ann.memory, ann.cpu, ann.tasks, manager.utilization().hosts["a"].memory) == (10, 1.0, 3, 10)


def test_a_share_that_cannot_grow_is_left_as_it_is() -> None:
    manager = manager_of(10, 10)
    ann = manager.allocate("ann", 4)
    manager.allocate("bob", 4, host="a")

    with pytest.raises(InsufficientResourcesError, match="'ann' can't grow to 7B: only 2B more are free on 'a'"):
        manager.resize("ann", memory=7)
    with pytest.raises(RequestTooLargeError):
        manager.resize("ann", memory=11)
    with pytest.raises(NotAllocatedError, match="'cyd' has no allocation"):
        manager.resize("cyd", memory=1)

    assert (ann.memory, manager.utilization().total.memory) == (4, 8)


@pytest.mark.parametrize("bad", [{"memory": ""}, {"memory": False}, {"cpu": -1}, {"tasks": "x"}])
def test_a_bad_new_size_is_refused_and_not_taken_for_none(bad: Any) -> None:
    manager = manager_of(10)
    ann = manager.allocate("ann", 4, tasks=2)

    with pytest.raises(ValueError, match=next(iter(bad))):
        manager.resize("ann", **bad)

    assert (ann.memory, ann.cpu, ann.tasks) == (4, 0.0, 2)


def test_a_request_that_waits_keeps_its_place_with_another_size() -> None:
    clock = Clock()
    manager = manager_of(10, clock=clock)
    ann = manager.allocate("ann", 8)
    bob, cyd = manager.allocate("bob", 8), manager.allocate("cyd", 8)

    manager.resize("bob", memory=9)
    assert manager.utilization().waiting_memory == 17
    manager.release(ann)
    assert (bob.granted, cyd.granted) == (True, False)
    manager.resize("cyd", memory=1)

    assert cyd.granted


def test_something_critical_grows_by_preempting_what_is_low() -> None:
    manager = manager_of(10)
    ann = manager.allocate("ann", 5, priority="critical")
    low, other = manager.allocate("low", 3, priority="low"), manager.allocate("other", 2)

    manager.resize("ann", memory=7)

    assert (ann.memory, low.state, other.state) == (7, "preempted", "granted")
    with pytest.raises(InsufficientResourcesError):
        manager.resize("ann", memory=9)
    assert manager.utilization().total.memory == 9


# -- figures ---------------------------------------------------------------------


def test_utilization_is_plain_data_on_demand() -> None:
    manager = ResourceManager("4GB", reserved="2GB", cpu=2)
    manager.allocate("ann", "1GB", cpu=0.5, tasks=3)
    manager.allocate("bob", "2GB")

    plain = manager.utilization().to_dict()

    use = {"memory": GB, "memory_total": 2 * GB, "cpu": 0.5, "cpu_total": 2.0, "tasks": 3, "allocations": 1}
    use |= {"memory_share": 0.5, "cpu_share": 0.25}
    assert plain == {
        "total": use,
        "hosts": {"local": use},
        "fragmentation": 0.0,
        "waiting": 1,
        "waiting_memory": 2 * GB,
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=60),
)
def test_the_fullest_host_that_fits_is_the_one_that_a_scan_finds(
    sizes: list[int], steps: list[tuple[int, bool]]
) -> None:
    manager = manager_of(*sizes)
    free = dict(zip("abcdefgh", sizes, strict=False))
    held: list[Any] = []

    for number, (size, leave) in enumerate(steps):
        if leave and held:
            gone = held.pop(size % len(held))
            free[str(gone.host)] += gone.memory
            manager.release(gone)
        elif size <= max(free.values()):
            allocation = manager.allocate(f"a{number}", size)
            best = min((room, name) for name, room in free.items() if room >= size)[1]
            assert allocation.host == best
            free[best] -= size
            held.append(allocation)
