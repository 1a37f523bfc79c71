"""Agents of autogen-agentchat: their name is read-only and must be a Python identifier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage

from agentreg import AgentPool, AgentRegistry


class Parrot(ChatCompletionClient):
    """A model that needs no network."""

    component_type = "model"

    async def create(self, *args: Any, **kwargs: Any) -> CreateResult:
        return CreateResult(finish_reason="stop", content="hello", usage=RequestUsage(0, 0), cached=False)

    async def create_stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[str | CreateResult, None]:
        yield await self.create()

    async def close(self) -> None:
        pass

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def total_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def count_tokens(self, *args: Any, **kwargs: Any) -> int:
        return 0

    def remaining_tokens(self, *args: Any, **kwargs: Any) -> int:
        return 1000

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False
        )


def make() -> AssistantAgent:
    return AssistantAgent("bob", model_client=Parrot())


def run(agent: AssistantAgent) -> TaskResult:
    return asyncio.run(agent.run(task="hi"))


def text(result: TaskResult) -> str:
    return result.messages[-1].to_text()


async def use(agent: AssistantAgent) -> str:
    return text(await agent.run(task="hi"))


def test_an_agent_is_found_under_the_name_it_was_given_and_by_its_type() -> None:
    agent = make()

    AgentRegistry.register(agent, "the researcher")

    assert AgentRegistry.get("the researcher") is agent
    assert AgentRegistry.get("bob") is None
    assert AgentRegistry.names() == ["the researcher"]
    assert AgentRegistry.all()["the researcher"] is agent
    assert AgentRegistry.find_by_type(AssistantAgent)["the researcher"] is agent


def test_an_agent_found_by_name_runs() -> None:
    agent = make()
    AgentRegistry.register(agent, agent.name)

    result = run(AgentRegistry.require("bob"))

    assert text(result) == "hello"


def test_several_agents_work_side_by_side_in_a_pool_that_names_them_when_they_are_made(
    outcomes: Callable[..., dict[str, list[Any]]],
) -> None:
    pool = AgentPool(AssistantAgent, 2, name="writer", model_client=Parrot())
    AgentRegistry.register_pool(pool)

    given = outcomes(pool, use)

    assert given == {"writer_0": ["hello", "hello"], "writer_1": ["hello", "hello"]}
    assert list(AgentRegistry.find_by_type(AssistantAgent)) == ["writer_0", "writer_1"]
    assert AgentRegistry.get_available_count("writer") == 2


def test_a_factory_that_takes_the_name_makes_a_pool() -> None:
    pool = AgentPool(lambda name: AssistantAgent(name, model_client=Parrot()), 2, name="writer")

    assert [member.name for member in pool.instances] == ["writer_0", "writer_1"]


def test_a_member_whose_name_cannot_be_set_is_found_under_its_name_in_the_pool() -> None:
    pool = AgentPool(make, 2, name="writer")

    AgentRegistry.register_pool(pool)

    assert AgentRegistry.names() == ["writer_0", "writer_1"]
    assert AgentRegistry.get("writer_1") is pool.instances[1]


def test_an_agent_that_never_ran_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make)


def test_an_agent_that_has_run_leaves_once_the_garbage_collector_has_come_by(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run, collect=True)


def test_an_agent_leaves_though_its_result_is_kept(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run, keep_result=True, collect=True)
