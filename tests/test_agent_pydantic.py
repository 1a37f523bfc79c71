"""Agents that are pydantic models too: a metaclass of their own, fields, and a constructor that is made for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentreg import AgentRegistry, BaseAgent

pydantic = pytest.importorskip("pydantic")


class Allowing(pydantic.BaseModel, BaseAgent):  # type: ignore[misc, name-defined]
    """Allows any field, and so those of an agent."""

    model_config = pydantic.ConfigDict(extra="allow")

    name: str = ""
    limit: int = 3

    def __init__(self, name: str, **fields: Any) -> None:
        pydantic.BaseModel.__init__(self, name=name, **fields)
        BaseAgent.__init__(self, name)

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return f"{prompt}, at most {self.limit}"


class Declaring(BaseAgent, pydantic.BaseModel):  # type: ignore[misc, name-defined]
    """Declares the fields of an agent, and registers once it is validated."""

    name: str
    description: str = ""
    goal: str = ""
    instruction: str = ""
    capabilities: tuple[str, ...] = ()
    tools: tuple[Any, ...] = ()
    model: Any = None
    limit: int = pydantic.Field(default=3, gt=0)

    def __init__(self, **fields: Any) -> None:
        pydantic.BaseModel.__init__(self, **fields)
        BaseAgent.__init__(self, self.name, goal=self.goal, capabilities=self.capabilities)

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return f"{prompt}, at most {self.limit}"


@pytest.mark.parametrize("kind", [Allowing, Declaring])
def test_a_pydantic_model_may_be_an_agent(kind: Any) -> None:
    agent = kind(name="agent", limit="5")

    assert AgentRegistry.get("agent") is agent
    assert agent.limit == 5
    assert asyncio.run(agent.run("go")) == "go, at most 5"


def test_a_pydantic_model_declares_what_it_can_do() -> None:
    agent = Declaring(name="agent", goal="count", capabilities=["counting"])

    assert agent.capabilities == ("counting",)
    assert agent.model_dump()["goal"] == "count"


@pytest.mark.parametrize("kind", [Allowing, Declaring])
def test_a_pydantic_model_that_is_not_valid_is_not_registered(kind: Any) -> None:
    with pytest.raises(pydantic.ValidationError) as kept:
        kind(name="agent", limit="many")

    assert AgentRegistry.names() == []
    assert kept.value is not None


@pytest.mark.parametrize("kind", [Allowing, Declaring])
def test_a_pydantic_model_whose_constructor_fails_afterwards_is_gone_too(kind: Any) -> None:
    class Failing(kind):  # type: ignore[misc]
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            raise LookupError("lost")

    with pytest.raises(LookupError) as kept:
        Failing(name="agent")

    assert AgentRegistry.names() == []
    assert kept.value is not None


@pytest.mark.parametrize("kind", [Allowing, Declaring])
def test_a_pydantic_model_may_be_borrowed(kind: Any) -> None:
    agent = kind(name="agent")

    assert agent.acquire_instance("a")
    assert not agent.acquire_instance("b")
    assert agent.release_instance("a")


@pytest.mark.parametrize("kind", [Allowing, Declaring])
def test_a_pydantic_model_leaves_at_the_end_of_its_block(kind: Any) -> None:
    async def block() -> None:
        async with kind(name="agent"):
            assert AgentRegistry.names() == ["agent"]

    asyncio.run(block())

    assert AgentRegistry.names() == []


def test_a_pydantic_model_without_run_can_not_be_made() -> None:
    class Mute(pydantic.BaseModel, BaseAgent):  # type: ignore[misc, name-defined]
        model_config = pydantic.ConfigDict(extra="allow")

    with pytest.raises(TypeError, match="abstract"):
        Mute(name="mute")
