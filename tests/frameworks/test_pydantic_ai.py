"""Agents of pydantic-ai: unhashable, their name settable and by default taken from the caller's variable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pydantic_ai.models
import pytest
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from agentreg import AgentPool, AgentRegistry

pydantic_ai.models.ALLOW_MODEL_REQUESTS = False


def make() -> Agent:
    return Agent(TestModel(custom_output_text="hello"), name="bob")


def make_with_tool() -> Agent:
    agent = make()

    @agent.tool_plain
    def add(x: int, y: int) -> int:
        return x + y

    return agent


def run(agent: Agent) -> Any:
    return asyncio.run(agent.run("hi"))


async def use(agent: Agent) -> Any:
    return (await agent.run("hi")).output


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
    AgentRegistry.register(agent, agent.name)

    result = run(AgentRegistry.require("bob"))

    assert result.output == "hello"


def test_an_unhashable_agent_is_registered_and_unregistered_like_any_other() -> None:
    agent = make()
    with pytest.raises(TypeError, match="unhashable"):
        hash(agent)
    AgentRegistry.register(agent, "the researcher")

    assert AgentRegistry.unregister_if_same("the researcher", agent)
    assert AgentRegistry.names() == []


def test_a_name_that_the_agent_takes_from_a_variable_at_its_first_run_leaves_its_entry_alone() -> None:
    agent = Agent(TestModel())
    AgentRegistry.register(agent, "the researcher")

    async def run_it(under_a_variable: Agent) -> None:
        await under_a_variable.run("hi")

    asyncio.run(run_it(agent))

    assert agent.name == "under_a_variable"
    assert AgentRegistry.names() == ["the researcher"]


def test_several_agents_work_side_by_side_in_a_pool(outcomes: Callable[..., dict[str, list[Any]]]) -> None:
    pool = AgentPool(Agent, 2, TestModel(custom_output_text="hello"), name="writer")
    AgentRegistry.register_pool(pool)

    given = outcomes(pool, use)

    assert given == {"writer_0": ["hello", "hello"], "writer_1": ["hello", "hello"]}
    assert list(AgentRegistry.find_by_type(Agent)) == ["writer_0", "writer_1"]
    assert AgentRegistry.get_available_count("writer") == 2


def test_an_agent_that_never_ran_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make)


def test_an_agent_that_has_run_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run)


def test_an_agent_leaves_though_its_result_is_kept(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run, keep_result=True)


def test_an_agent_that_has_used_a_tool_leaves_once_the_garbage_collector_has_come_by(
    leaves: Callable[..., bool],
) -> None:
    assert leaves(make_with_tool, run, collect=True)
