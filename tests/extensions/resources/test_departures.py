"""An agent's departure frees its share: by identity, never by name alone."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, BaseAgent, NameTakenError
from agentreg.extensions.resources import Released, ResourceManager
from tests.extensions.resources.clocks import manager_of


class Worker(BaseAgent):
    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class Plain:
    """Anything that can be registered."""


@pytest.mark.parametrize("by_name", [True, False])
def test_an_agent_that_is_unregistered_frees_its_share(by_name: bool) -> None:
    manager, worker = manager_of(10), Worker("ann")
    allocation = manager.allocate("ann" if by_name else worker, 8)
    waiting = manager.allocate("bob", 8)

    AgentRegistry.unregister_instance(worker)

    assert (allocation.state, allocation.reason, waiting.granted) == ("released", "its agent left", True)


def test_an_agent_that_is_collected_frees_its_share() -> None:
    manager, worker = manager_of(10), Worker("ann")
    allocation = manager.allocate(worker, 8)

    del worker
    gc.collect()

    assert (manager.available(10), allocation.state) == (True, "released")


def test_an_agent_that_leaves_while_it_waits_is_out_of_the_line() -> None:
    manager, worker = manager_of(10), Worker("ann")
    manager.allocate("first", 8)
    allocation = manager.allocate(worker, 8)

    AgentRegistry.unregister_instance(worker)

    assert (allocation.state, allocation.reason, manager.utilization().waiting) == ("cancelled", "its agent left", 0)


def test_a_successor_of_the_same_name_keeps_its_share() -> None:
    manager, old = manager_of(10), Plain()
    AgentRegistry.register(old, "ann")
    first = manager.allocate("ann", 4)
    AgentRegistry.unregister_if_same("ann", old)
    new = Plain()
    AgentRegistry.register(new, "ann")
    second = manager.allocate("ann", 6)

    AgentRegistry.unregister_if_same("ann", old)
    del old
    gc.collect()
    assert manager.release(first) is False

    assert (first.state, second.state, manager.utilization().total.memory) == ("released", "granted", 6)


def test_an_agent_that_has_left_releases_nothing_of_its_successor() -> None:
    manager, old = manager_of(10), Worker("ann")
    manager.allocate(old, 4)
    AgentRegistry.unregister_instance(old)
    new = Worker("ann")
    second = manager.allocate(new, 6)

    assert not manager.release(old)
    assert second.granted
    assert manager.release(new)


def test_an_agent_whose_name_is_another_s_is_refused() -> None:
    manager, old = manager_of(10), Worker("ann")
    AgentRegistry.unregister_instance(old)
    new = Worker("ann")

    with pytest.raises(NameTakenError, match="another Worker"):
        manager.allocate(old, 4)

    assert manager.allocate(new, 4).granted


def test_a_name_that_is_allocated_for_first_is_bound_to_who_registers_it() -> None:
    manager = manager_of(10)
    allocation = manager.allocate("ann", 4)
    worker = Worker("ann")
    assert allocation.granted

    AgentRegistry.unregister_instance(worker)

    assert allocation.state == "released"


def test_a_name_that_nobody_registers_keeps_its_share_until_it_is_released() -> None:
    manager = manager_of(10)
    allocation = manager.allocate("ann", 4)
    other = Worker("other")

    AgentRegistry.unregister_instance(other)
    AgentRegistry.clear()

    assert allocation.granted


def test_a_share_that_is_not_to_follow_stays_when_the_agent_leaves() -> None:
    manager, worker = manager_of(10), Worker("ann")
    allocation = manager.allocate(worker, 4, follow=False)

    AgentRegistry.unregister_instance(worker)

    assert allocation.granted
    assert manager.release("ann")


def test_a_manager_without_a_registry_follows_nobody() -> None:
    manager, worker = manager_of(10, registry=None), Worker("ann")
    allocation = manager.allocate(worker, 4)

    AgentRegistry.unregister_instance(worker)

    assert allocation.granted


def test_a_closed_manager_follows_nobody_any_more() -> None:
    worker = Worker("ann")
    with manager_of(10) as manager:
        allocation = manager.allocate(worker, 4)

    AgentRegistry.unregister_instance(worker)

    assert allocation.granted


def test_clearing_the_registry_frees_every_share() -> None:
    manager = manager_of(10)
    workers = [Worker(f"worker-{number}") for number in range(5)]
    allocations = [manager.allocate(worker, 2) for worker in workers]

    AgentRegistry.clear()

    assert {allocation.state for allocation in allocations} == {"released"}


def test_a_pool_and_its_members_have_shares_of_their_own() -> None:
    manager = manager_of(10)
    pool = AgentPool(Plain, 2, name="crew")
    AgentRegistry.register_pool(pool)
    whole, member = manager.allocate("crew", 2), manager.allocate("crew_0", 2)

    AgentRegistry.unregister_pool(pool)

    assert (whole.state, member.state) == ("released", "released")


def test_the_departure_is_told() -> None:
    manager, worker = manager_of(10), Worker("ann")
    heard: list[Any] = []
    manager.allocate(worker, 4)
    manager.subscribe(heard.append)

    AgentRegistry.unregister_instance(worker)

    assert heard == [Released("ann", "ann", "a", 4, 0.0, "departed", 2)]


def test_a_manager_is_not_kept_alive_by_the_registry() -> None:
    manager = ResourceManager()
    gone = weakref.ref(manager)

    del manager
    gc.collect()
    Worker("somebody")

    assert gone() is None


def test_an_allocation_does_not_keep_its_agent_alive() -> None:
    manager, worker = manager_of(10), Worker("ann")
    allocation, gone = manager.allocate(worker, 4), weakref.ref(worker)

    del worker
    gc.collect()

    assert gone() is None
    assert manager.get("ann") is None
    assert allocation.state == "released"


def test_a_finalizer_may_release_and_ask_in_the_middle_of_another_call(eager_collector: None) -> None:
    manager = manager_of(1000, registry=None)

    class Holder:
        """In a cycle, so that the collector ends it at some allocation or other."""

        def __init__(self, number: int) -> None:
            self.me = self
            self.number = number
            manager.allocate(f"held-{number}", 3)

        def __del__(self) -> None:
            manager.release(f"held-{self.number}")
            asked.append(manager.allocate(f"after-{self.number}", 1))

    asked: list[Any] = []
    for number in range(60):
        Holder(number)
        manager.release(manager.allocate(f"other-{number}", 2))
    gc.collect()

    use = manager.utilization()
    assert len(asked) == 60
    assert {each.state for each in asked} == {"granted"}
    assert (use.total.memory, use.total.allocations, use.waiting) == (60, 60, 0)
