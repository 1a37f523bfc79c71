"""Programs as people write them, with a model that needs no network."""

from __future__ import annotations

import gc
import uuid
from typing import Any

import pytest

from agentreg import (
    Agent,
    AgentPool,
    AgentRegistry,
    ExecutionConfig,
    Message,
    ModelConfig,
    Orchestra,
    Topology,
)
from tests.crew import answering, finish


@pytest.fixture
def config() -> ModelConfig:
    return answering("some/model")


def make(name: str, config: ModelConfig, kind: type[Agent] = Agent) -> Agent:
    """An agent as the examples make them."""
    return kind(name=name, model_config=config, goal="Work.", instruction="Give brief answers.")


# -- the registry -----------------------------------------------------------


def test_agents_register_themselves_and_are_found_and_run(config: ModelConfig) -> None:
    cruncher, author = make("cruncher", config), make("author", config)

    async def use() -> Any:
        found = AgentRegistry.get("cruncher")
        return await found.run("Sum up: 1, 2, 3") if found else None

    assert list(AgentRegistry.all()) == ["cruncher", "author"]
    assert AgentRegistry.all() == {"cruncher": cruncher, "author": author}
    assert finish(use()) == "some/model: Sum up: 1, 2, 3"


def test_registering_happens_when_the_agent_is_made(config: ModelConfig) -> None:
    helper = make("helper", config)

    assert AgentRegistry.get("helper") is helper


def test_everyday_operations(config: ModelConfig) -> None:
    helper = make("helper", config)
    pool = AgentPool(Agent, 2, name="BrowserPool", model_config=config)
    AgentRegistry.register_pool(pool)

    assert AgentRegistry.get("helper") is not None
    assert AgentRegistry.get("nobody") is None
    assert set(AgentRegistry.all_with_pools()) == {"helper", "BrowserPool", "BrowserPool_0", "BrowserPool_1"}
    assert AgentRegistry.is_pool("BrowserPool")
    assert AgentRegistry.get_pool("BrowserPool") is pool
    assert len(AgentRegistry.all()) == 3
    assert AgentRegistry.unregister_if_same("helper", helper) is True
    assert AgentRegistry.get("helper") is None


def test_an_agent_is_cleaned_up_and_unregistered_by_hand(config: ModelConfig) -> None:
    one, other = make("one", config), make("other", config)

    async def leave() -> list[bool]:
        await one.cleanup()
        await other.cleanup()
        return [AgentRegistry.unregister_if_same("one", one), AgentRegistry.unregister_instance(other)]

    assert finish(leave()) == [True, True]
    assert AgentRegistry.all() == {}


def test_the_late_farewell_of_an_old_agent_spares_the_new_one_of_its_name(config: ModelConfig) -> None:
    class Leaving(Agent):
        def __del__(self) -> None:
            AgentRegistry.unregister_if_same("coordinator", self)

    old: Any = make("coordinator", config, Leaving)
    AgentRegistry.unregister_if_same("coordinator", old)
    new = make("coordinator", config, Leaving)

    del old
    gc.collect()

    assert AgentRegistry.get("coordinator") is new


# -- discovery --------------------------------------------------------------


class Dispatcher(Agent):
    """Hands a task to the first agent of its type that is there."""

    specialists: dict[str, list[str]] = {  # noqa: RUF012
        "analysis": ["analyst", "researcher"],
        "writing": ["writer", "editor"],
    }

    async def delegate_task(self, task: str, task_type: str) -> Any:
        there = [name for name in self.specialists.get(task_type, []) if AgentRegistry.get(name) is not None]
        if not there:
            return Message(role="error", content=f"nobody is there for {task_type}", name=self.name)
        return await self.invoke_agent(there[0], task)


def test_a_coordinator_picks_who_is_there(config: ModelConfig) -> None:
    dispatcher = make("dispatcher", config, Dispatcher)
    editor = make("editor", config)
    assert isinstance(dispatcher, Dispatcher)

    async def delegate() -> tuple[Any, Any]:
        written = await dispatcher.delegate_task("Write.", "writing")
        return written, await dispatcher.delegate_task("Compute.", "analysis")

    assert finish(delegate()) == (
        "some/model: Write.",
        Message(role="error", content="nobody is there for analysis", name="dispatcher"),
    )
    assert editor.name == "editor"


# -- good practice ----------------------------------------------------------


def test_whether_an_agent_is_there_is_asked_first(config: ModelConfig) -> None:
    async def delegate(name: str) -> Any:
        agent = AgentRegistry.get(name)
        return "somebody else did it" if agent is None else await agent.run("Go.")

    async def both() -> list[Any]:
        return [await delegate("helper"), await delegate("nobody")]

    helper = make("helper", config)

    assert finish(both()) == ["some/model: Go.", "somebody else did it"]
    assert helper.name == "helper"


def test_an_orchestra_cleans_up_after_itself(config: ModelConfig) -> None:
    agents = [make("scout", config), make("author", config)]

    result = finish(
        Orchestra.run(
            task="Do the batch.",
            topology=Topology([agent.name for agent in agents], ["scout -> author"]),
            execution_config=ExecutionConfig(auto_cleanup_agents=True),
        )
    )

    assert result.success
    assert result.final_response == "some/model: Do the batch."
    assert AgentRegistry.all() == {}


def test_a_temporary_agent_is_cleaned_up_by_hand(config: ModelConfig) -> None:
    async def process(items: list[str]) -> list[Any]:
        worker = make(f"worker_{uuid.uuid4().hex[:8]}", config)
        answers = [await worker.run(f"Process: {item}") for item in items]
        await worker.cleanup()
        AgentRegistry.unregister_instance(worker)
        return answers

    assert finish(process(["a", "b"])) == ["some/model: Process: a", "some/model: Process: b"]
    assert AgentRegistry.all() == {}


def test_a_thousand_agents_that_nobody_keeps_leave_nothing_behind(config: ModelConfig) -> None:
    for number in range(1000):
        make(f"worker_{number}", config)

    gc.collect()
    assert AgentRegistry.all() == {}
