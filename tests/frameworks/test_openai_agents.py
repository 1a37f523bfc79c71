"""Agents of openai-agents: unhashable, equal when their fields are, and kept alive by the results of their runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from agents import Agent, Model, ModelResponse, Runner, RunResult, Usage, set_tracing_disabled
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from agentreg import AgentPool, AgentRegistry

set_tracing_disabled(True)


class Parrot(Model):
    """A model that needs no network."""

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        text = ResponseOutputText(type="output_text", text="hello", annotations=[])
        message = ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[text])
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def make() -> Agent[Any]:
    return Agent(name="bob", model=Parrot())


def make_with_handoffs() -> Agent[Any]:
    first: Agent[Any] = Agent(name="first")
    second: Agent[Any] = Agent(name="second", handoffs=[first])
    first.handoffs = [second]
    return first


def run(agent: Agent[Any]) -> RunResult:
    return asyncio.run(Runner.run(agent, "hi"))


async def use(agent: Agent[Any]) -> Any:
    return (await Runner.run(agent, "hi")).final_output


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

    assert result.final_output == "hello"


def test_an_unhashable_agent_is_registered_and_unregistered_like_any_other() -> None:
    agent = make()
    with pytest.raises(TypeError, match="unhashable"):
        hash(agent)
    AgentRegistry.register(agent, agent.name)

    assert AgentRegistry.unregister_instance(agent)
    assert AgentRegistry.names() == []


def test_equal_agents_under_two_names_are_told_apart() -> None:
    first, second = Agent(name="twin"), Agent(name="twin")
    AgentRegistry.register(first, "the first twin")
    AgentRegistry.register(second, "the second twin")

    mistaken = AgentRegistry.unregister_if_same("the first twin", second)

    assert first == second
    assert not mistaken
    assert AgentRegistry.get("the first twin") is first
    assert AgentRegistry.get("the second twin") is second


def test_an_equal_agent_does_not_get_the_name_of_its_twin() -> None:
    first, second = Agent(name="twin"), Agent(name="twin")
    AgentRegistry.register(first, "twin")

    with pytest.raises(ValueError, match="twin"):
        AgentRegistry.register(second, "twin")

    assert AgentRegistry.get("twin") is first


def test_several_agents_work_side_by_side_in_a_pool(outcomes: Callable[..., dict[str, list[Any]]]) -> None:
    pool = AgentPool(Agent, 2, name="writer", model=Parrot())
    AgentRegistry.register_pool(pool)

    given = outcomes(pool, use)

    assert given == {"writer_0": ["hello", "hello"], "writer_1": ["hello", "hello"]}
    assert list(AgentRegistry.find_by_type(Agent)) == ["writer_0", "writer_1"]
    assert AgentRegistry.get_available_count("writer") == 2


def test_an_agent_that_never_ran_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make)


def test_an_agent_that_has_run_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run)


def test_an_agent_stays_while_its_result_is_kept(leaves: Callable[..., bool]) -> None:
    assert not leaves(make, run, keep_result=True, collect=True)


def test_agents_that_hand_off_to_each_other_leave_once_the_garbage_collector_has_come_by(
    leaves: Callable[..., bool],
) -> None:
    assert leaves(make_with_handoffs, collect=True)
