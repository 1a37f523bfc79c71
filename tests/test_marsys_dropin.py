"""What the coordination of MARSYS calls, in its order and with its habits, answered by our registry and pools."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest

from agentreg import (
    AgentPool,
    AgentRegistry,
    PoolExhaustedError,
    cleanup_all_pools,
    create_agent_pool,
    create_agent_pool_sync,
    get_pool_statistics,
)


class HomeMade:
    """An agent that registers itself, knows who holds it, and cleans up; as such agents are written there."""

    def __init__(self, name: str | None = None, goal: str = "", allowed_peers: tuple[str, ...] = ()) -> None:
        self._allowed_peers_init = set(allowed_peers)
        self._allocated_to_branch: str | None = None
        self.goal = goal
        self.closed = False
        self.name = AgentRegistry.register(self, name, prefix=self.__class__.__name__)

    def acquire_instance(self, branch_id: str) -> Any:
        if self._allocated_to_branch not in (None, branch_id):
            return None
        self._allocated_to_branch = branch_id
        return self

    async def acquire_instance_async(self, branch_id: str, timeout: float = 30.0) -> Any:
        return self.acquire_instance(branch_id)

    def release_instance(self, branch_id: str) -> bool:
        if self._allocated_to_branch != branch_id:
            return False
        self._allocated_to_branch = None
        return True

    def get_available_count(self) -> int:
        return int(self._allocated_to_branch is None)

    async def cleanup(self) -> None:
        self.closed = True

    def __del__(self) -> None:
        AgentRegistry.unregister_if_same(getattr(self, "name", ""), self)


class Browser(HomeMade):
    """One whose set-up is asynchronous."""

    @classmethod
    async def create_safe(cls, **kwargs: Any) -> Browser:
        await asyncio.sleep(0)
        return cls(**kwargs)


# -- agents -----------------------------------------------------------------


def test_agents_name_themselves_and_are_found() -> None:
    first, second, named = HomeMade(), Browser(), HomeMade("Coordinator")

    assert [first.name, second.name, named.name] == ["HomeMade-1", "Browser-2", "Coordinator"]
    assert AgentRegistry.all() == {"HomeMade-1": first, "Browser-2": second, "Coordinator": named}


def test_a_name_that_is_taken_or_reserved_is_a_value_error() -> None:
    AgentRegistry.reserved_names.update({"start", "end", "user", "system", "tool"})
    holder = HomeMade("Coordinator")

    for name in ("Coordinator", "User", "END"):
        with pytest.raises(ValueError, match=name):
            HomeMade(name)
    pool = AgentPool(HomeMade, 2, name="System")
    with pytest.raises(ValueError, match="'System'"):
        AgentRegistry.register_pool(pool)

    assert AgentRegistry.get("Coordinator") is holder


def test_a_name_is_free_for_the_next_task_after_clean_up_whenever_the_old_agent_dies() -> None:
    old = HomeMade("Coordinator")
    asyncio.run(auto_cleanup(["Coordinator"]))
    new = HomeMade("Coordinator")

    del old

    assert AgentRegistry.get("Coordinator") is new


async def auto_cleanup(names: list[str]) -> None:
    """How an orchestra there cleans up after a run."""
    for name in names:
        agent = AgentRegistry.get(name)
        if agent is None:
            continue
        if AgentRegistry.is_pool(name):
            continue
        if hasattr(agent, "cleanup") and callable(agent.cleanup):
            await agent.cleanup()
        AgentRegistry.unregister_if_same(name, agent)


def test_auto_clean_up_closes_agents_and_leaves_pools_alone() -> None:
    agent = HomeMade("Coordinator")
    pool = AgentPool(HomeMade, 2, name="Worker")
    AgentRegistry.register_pool(pool)

    asyncio.run(auto_cleanup(["Coordinator", "Worker", "Nobody"]))

    assert agent.closed
    assert AgentRegistry.all_with_pools() == {
        "Worker_0": pool.instances[0],
        "Worker_1": pool.instances[1],
        "Worker": pool,
    }
    assert not any(member.closed for member in pool.instances)


def test_mocks_stand_in_for_agents() -> None:
    agents = {name: Mock() for name in ("Coordinator", "Worker")}
    agents["Worker"].cleanup = AsyncMock()
    for name, agent in agents.items():
        AgentRegistry.register(agent, name)
    agents["Coordinator"].cleanup = AsyncMock(side_effect=RuntimeError)

    with pytest.raises(RuntimeError):
        asyncio.run(auto_cleanup(["Coordinator"]))
    asyncio.run(auto_cleanup(["Worker"]))

    assert AgentRegistry.all() == {"Coordinator": agents["Coordinator"]}
    assert AgentRegistry.get_instance_count("Coordinator") == 1


def test_suites_hang_their_agents_on_the_class_and_clear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentRegistry, "_test_agents", [], raising=False)
    for name in ("Agent1", "Agent2"):
        agent = MagicMock()
        agent.name = name
        AgentRegistry.register(agent, name)
        AgentRegistry._test_agents.append(agent)  # type: ignore[attr-defined]

    found = [AgentRegistry.get(name) for name in ("Agent1", "Agent2")]
    AgentRegistry.clear()

    assert found == AgentRegistry._test_agents  # type: ignore[attr-defined]
    assert AgentRegistry.all() == {}
    assert list(AgentRegistry._agents.keys()) == []
    assert list(AgentRegistry._pools.keys()) == []


# -- building the topology --------------------------------------------------


@pytest.mark.parametrize("registry", [AgentRegistry, AgentRegistry()])
def test_a_registry_is_passed_as_a_class_or_as_what_calling_it_gives(registry: Any) -> None:
    agent = HomeMade("Coordinator")

    assert registry.get("Coordinator") is agent
    assert registry.is_pool("Coordinator") is False
    assert registry.all_with_pools() == {"Coordinator": agent}


def test_nodes_are_found_among_agents_and_pools() -> None:
    coordinator = HomeMade("Coordinator", allowed_peers=("Worker",))
    AgentRegistry.register(Mock(spec=["run"]), "Silent")
    pool = AgentPool(HomeMade, 2, name="Worker")
    AgentRegistry.register_pool(pool)

    nodes = {
        name: agent
        for name, agent in AgentRegistry.all_with_pools().items()
        if hasattr(agent, "_allowed_peers_init") or isinstance(agent, AgentPool)
    }

    assert list(nodes) == ["Coordinator", "Worker_0", "Worker_1", "Worker"]
    assert nodes["Coordinator"] is coordinator


def test_who_can_reach_the_user_is_found_by_following_peers() -> None:
    agents = [HomeMade("A", allowed_peers=("B", "Gone")), HomeMade("B", allowed_peers=("C",)), HomeMade("C")]
    agents[2]._allowed_peers_init.add("User")

    visited: set[str] = set()
    waiting = {"A"}
    while waiting:
        current = waiting.pop()
        visited.add(current)
        agent = AgentRegistry.get(current)
        if agent and hasattr(agent, "_allowed_peers_init"):
            waiting |= agent._allowed_peers_init - visited

    assert visited == {"A", "B", "C", "Gone", "User"}


def test_members_names_are_normalised_to_their_pool() -> None:
    pool = AgentPool(HomeMade, 2, name="Worker")
    AgentRegistry.register_pool(pool)
    other = HomeMade("Other_0")

    assert AgentRegistry.normalize_agent_name("Worker_1") == "Worker"
    assert AgentRegistry.are_same_agent("Worker_0", "Worker")
    assert AgentRegistry.are_same_agent("Worker_0", "Worker_1")
    assert not AgentRegistry.are_same_agent("Worker_0", other.name)
    assert AgentRegistry.normalize_agent_name(other.name) == "Other_0"


def test_prompts_list_peers_with_their_numbers() -> None:
    agent = HomeMade("Planner", goal="to plan")
    pool = AgentPool(HomeMade, 3, name="Worker")
    AgentRegistry.register_pool(pool)
    AgentRegistry.get_or_acquire("Worker", "branch")

    lines = []
    for peer in (agent.name, "Worker", "Gone"):
        found = AgentRegistry.get(peer)
        goal = getattr(found, "goal", None) if found else None
        total, free = AgentRegistry.get_instance_count(peer), AgentRegistry.get_available_count(peer)
        lines.append(f"{peer} {goal} {f'({free}/{total})' if total > 1 else ''}".strip())

    assert lines == ["Planner to plan", "Worker None (2/3)", "Gone None"]


# -- branches ---------------------------------------------------------------


@contextmanager
def branch(branch_id: str, names: list[str]) -> Iterator[list[Any]]:
    """How a branch there takes its agents and, whatever happens, gives back what came from pools."""
    try:
        yield [AgentRegistry.get_or_acquire(name, branch_id) for name in names]
    finally:
        for name in names:
            if AgentRegistry.is_pool(name):
                AgentRegistry.release_to_pool(name, branch_id)


def test_branches_take_members_and_give_them_back() -> None:
    agent = HomeMade("Coordinator")
    pool = AgentPool(HomeMade, 2, name="Worker")
    AgentRegistry.register_pool(pool)

    for _ in range(3):
        with branch("one", ["Coordinator", "Worker"]) as one, branch("two", ["Worker", "Worker_1", "Worker_0"]) as two:
            assert one == [agent, pool.instances[0]]
            assert two == [pool.instances[1], pool.instances[1], None]
            assert pool.instances[1]._allocated_to_branch == "two"
            with pytest.raises(PoolExhaustedError), branch("three", ["Worker"]):
                pass
        assert (pool.get_available_count(), pool.get_allocated_count()) == (2, 0)
        assert pool.instances[1]._allocated_to_branch is None


def test_what_is_missing_is_none_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    AgentRegistry.register_pool(AgentPool(HomeMade, 2, name="Worker"))

    with caplog.at_level(logging.WARNING, "agentreg"):
        answers = [
            AgentRegistry.get_or_acquire("Gone", "branch"),
            AgentRegistry.get_or_acquire("Worker"),
            AgentRegistry.get_or_acquire("Worker_0", None),
            AgentRegistry.get_from_pool("Gone", "branch"),
            AgentRegistry.release_to_pool("Gone", "branch"),
            AgentRegistry.get_pool_instance("Worker_0", "branch"),
        ]

    assert answers == [None, None, None, None, False, None]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "WARNING", "WARNING"]


class Spawner:
    """How branches there are spawned side by side: agents and pools alike, by the same two methods."""

    def __init__(self) -> None:
        self.allocations: dict[str, tuple[Any, Any]] = {}

    async def acquire(self, name: str, branch_id: str, timeout: float = 30.0) -> Any:
        resource = AgentRegistry.get(name) or AgentRegistry.get_pool(name)
        if not resource:
            raise RuntimeError(f"{name} not found")
        instance = await resource.acquire_instance_async(branch_id, timeout)
        if instance:
            self.allocations[branch_id] = (resource, instance)
        return instance

    def release(self, branch_id: str) -> bool:
        resource, _ = self.allocations.pop(branch_id)
        return bool(resource.release_instance(branch_id))

    def available(self, name: str) -> int:
        resource = AgentRegistry.get(name) or AgentRegistry.get_pool(name)
        return resource.get_available_count() if resource and hasattr(resource, "get_available_count") else 0


def test_branches_are_spawned_side_by_side_over_agents_and_pools() -> None:
    spawner = Spawner()
    agent = HomeMade("Coordinator")
    pool = AgentPool(HomeMade, 2, name="Worker")
    AgentRegistry.register_pool(pool)

    async def run() -> None:
        assert await spawner.acquire("Coordinator", "main") is agent
        members = await asyncio.gather(*(spawner.acquire("Worker", f"branch-{number}") for number in range(2)))
        assert members == pool.instances
        assert [spawner.available(name) for name in ("Coordinator", "Worker", "Gone")] == [0, 0, 0]
        assert await spawner.acquire("Worker", "late", 0.0) is None
        waiting = asyncio.create_task(spawner.acquire("Worker", "waiting"))
        await asyncio.sleep(0)
        assert spawner.release("branch-0") is True
        assert await waiting is members[0]
        assert False not in [spawner.release(branch_id) for branch_id in list(spawner.allocations)]

    asyncio.run(asyncio.wait_for(run(), 30))

    assert [spawner.available(name) for name in ("Coordinator", "Worker")] == [1, 2]


def test_parallel_steps_name_members_by_their_index() -> None:
    pool = AgentPool(HomeMade, 3, name="Worker")
    AgentRegistry.register_pool(pool)

    assert [f"Worker_{index}" for index in range(pool.num_instances)] == [member.name for member in pool.instances]
    assert AgentRegistry.get_pool("Worker") is pool
    assert len(pool) == AgentRegistry.get_instance_count("Worker") == 3


# -- pools ------------------------------------------------------------------


def test_the_fields_of_a_pool_are_what_people_read() -> None:
    pool = AgentPool(HomeMade, 2, name="Worker", goal="to work")

    member = pool.acquire_instance("branch")

    allocation = pool.allocated_instances["branch"]
    assert (allocation.instance_id, allocation.agent_instance, allocation.branch_id) == (0, member, "branch")
    assert pool.available_instances == {1}
    assert pool.instance_to_branch == {0: "branch"}
    assert (pool.base_name, pool.num_instances, pool.agent_class) == ("Worker", 2, HomeMade)
    assert pool.get_instance_for_branch("branch") is member
    assert pool.get_all_instances() == pool.instances
    assert member.goal == "to work"
    assert repr(pool) == "AgentPool(name='Worker', instances=2, available=1, allocated=1)"
    assert pool.get_statistics()["current_allocations"]["branch"]["instance_id"] == 0


def test_factories_make_agents_or_registered_pools() -> None:
    async def make() -> list[Any]:
        return [
            await create_agent_pool(Browser, num_instances=1, register=True, name="single", goal="to browse"),
            await create_agent_pool(Browser, num_instances=2, register=True, name="browser", goal="to browse"),
        ]

    single, pool = asyncio.run(make())
    worker = create_agent_pool_sync(HomeMade, num_instances=2, name="worker")

    assert AgentRegistry.get("single") is single
    assert AgentRegistry.get_pool("browser") is pool
    assert AgentRegistry.get_pool("worker") is worker
    assert [member.name for member in pool.instances] == ["browser_0", "browser_1"]
    assert get_pool_statistics("browser")["total_instances"] == 2
    assert "error" in get_pool_statistics("nobody")


def test_all_pools_are_cleaned_up_at_the_end_of_a_session() -> None:
    pools = [create_agent_pool_sync(HomeMade, num_instances=2, name=name) for name in ("one", "two")]
    members = [member for pool in pools for member in pool.instances]
    AgentRegistry.get_from_pool("one", "branch")

    asyncio.run(cleanup_all_pools())

    assert all(member.closed for member in members)
    assert AgentRegistry.all_with_pools() == {}


def test_a_pool_is_unregistered_with_its_members_and_no_member_alone() -> None:
    AgentRegistry.register_pool(AgentPool(HomeMade, 2, name="Worker"))

    with pytest.raises(ValueError, match="Cannot unregister pool instance 'Worker_0' individually"):
        AgentRegistry.unregister("Worker_0")
    AgentRegistry.unregister("Worker")

    assert AgentRegistry.all_with_pools() == {}
