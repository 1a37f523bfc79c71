"""Agents of crewai: no name, no room for one, and held by the event bus once they have run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from crewai import Agent, BaseLLM, Crew, Task
from crewai.events.event_bus import crewai_event_bus

from agentreg import AgentPool, AgentRegistry


class Parrot(BaseLLM):
    """A model that needs no network."""

    def call(self, *args: Any, **kwargs: Any) -> str:
        return "Thought: I know\nFinal Answer: hello"


class NamedAgent(Agent):
    """What gives a pool's members a name."""

    name: str = ""


TRAITS: dict[str, Any] = {"role": "bob", "goal": "to greet", "backstory": "a parrot"}


def make() -> Agent:
    return Agent(**TRAITS, llm=Parrot(model="parrot"))


def run(agent: Agent) -> Any:
    return agent.kickoff("hi")


def run_in_thread(agent: Agent) -> None:
    thread = threading.Thread(target=run, args=(agent,))
    thread.start()
    thread.join()


def run_and_reset(agent: Agent) -> Any:
    result = run(agent)
    crewai_event_bus.reset_runtime_state()
    return result


def run_in_loop(agent: Agent) -> Any:
    return asyncio.run(agent.kickoff_async("hi"))


def run_in_crew(agent: Agent) -> Any:
    task = Task(description="greet", expected_output="a greeting", agent=agent)
    result = Crew(agents=[agent], tasks=[task]).kickoff()
    crewai_event_bus.flush()
    crewai_event_bus.reset_runtime_state()
    return result


async def use(agent: Agent) -> str:
    return (await agent.kickoff_async("hi")).raw


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    # without it, the bus holds the first agent that runs for the life of the process
    with crewai_event_bus.scoped_handlers():
        yield
    crewai_event_bus.reset_runtime_state()


def test_an_agent_is_found_under_the_name_it_was_given_and_by_its_type() -> None:
    agent = make()

    AgentRegistry.register(agent, "the researcher")

    assert AgentRegistry.get("the researcher") is agent
    assert AgentRegistry.get("bob") is None
    assert AgentRegistry.names() == ["the researcher"]
    assert AgentRegistry.all()["the researcher"] is agent
    assert AgentRegistry.find_by_type(Agent)["the researcher"] is agent


def test_an_agent_found_by_name_runs() -> None:
    agent = make()
    AgentRegistry.register(agent, agent.role)

    result = run(AgentRegistry.require("bob"))

    assert result.raw == "hello"


def test_a_nameless_agent_is_unregistered_by_the_name_it_was_given() -> None:
    agent = make()
    AgentRegistry.register(agent, "the researcher")

    by_itself = AgentRegistry.unregister_instance(agent)
    by_name = AgentRegistry.unregister_if_same("the researcher", agent)

    assert not by_itself
    assert by_name
    assert AgentRegistry.names() == []


def test_several_agents_of_a_class_with_a_name_work_side_by_side_in_a_pool(
    outcomes: Callable[..., dict[str, list[Any]]],
) -> None:
    pool = AgentPool(NamedAgent, 2, name="writer", **TRAITS, llm=Parrot(model="parrot"))
    AgentRegistry.register_pool(pool)

    given = outcomes(pool, use)

    assert given == {"writer_0": ["hello", "hello"], "writer_1": ["hello", "hello"]}
    assert list(AgentRegistry.find_by_type(Agent)) == ["writer_0", "writer_1"]
    assert AgentRegistry.get_available_count("writer") == 2


def test_nameless_agents_are_found_by_name_in_a_pool_of_another_make() -> None:
    members = [make(), make()]
    pool = SimpleNamespace(base_name="writer", instances=members, num_instances=2, get_available_count=lambda: 2)

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.names() == ["writer_0", "writer_1"]
    assert AgentRegistry.get("writer_1") is members[1]


def test_a_member_that_has_no_name_is_found_under_its_name_in_the_pool() -> None:
    pool = AgentPool(make, 2, name="writer")

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.names() == ["writer_0", "writer_1"]
    assert AgentRegistry.get("writer_1") is pool.instances[1]


def test_an_agent_that_never_ran_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make)


def test_an_agent_that_has_run_stays_while_the_event_bus_holds_it(leaves: Callable[..., bool]) -> None:
    assert not leaves(make, run, collect=True)


def test_an_agent_that_has_run_leaves_once_the_event_bus_is_reset(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run_and_reset, collect=True)


def test_an_agent_leaves_though_its_result_is_kept(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run_and_reset, keep_result=True, collect=True)


@pytest.mark.parametrize("use", [run_in_thread, run_in_loop])
def test_an_agent_that_has_run_in_a_thread_or_loop_of_its_own_leaves_once_the_garbage_collector_has_come_by(
    use: Callable[[Agent], Any], leaves: Callable[..., bool]
) -> None:
    assert leaves(make, use, collect=True)


def test_an_agent_that_has_worked_in_a_crew_leaves_once_the_event_bus_is_reset(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run_in_crew, collect=True)


def test_an_agent_that_the_event_bus_still_holds_leaves_at_once_when_it_is_unregistered() -> None:
    agent = make()
    AgentRegistry.register(agent, "the researcher")
    run(agent)

    AgentRegistry.unregister_if_same("the researcher", agent)

    assert AgentRegistry.names() == []
