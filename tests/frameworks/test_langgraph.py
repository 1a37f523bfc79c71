"""Agents of langgraph, which are compiled graphs: what they do is in their nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agentreg import AgentPool, AgentRegistry

QUESTION: dict[str, Any] = {"messages": [("user", "hi")]}


def make(name: str | None = "bob") -> Any:
    model = FakeListChatModel(responses=["hello"])

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile(name=name)


def run(agent: Any) -> dict[str, Any]:
    result: dict[str, Any] = agent.invoke(QUESTION)
    return result


async def use(agent: Any) -> Any:
    return (await agent.ainvoke(QUESTION))["messages"][-1].content


def test_an_agent_is_found_under_the_name_it_was_given_and_by_its_type() -> None:
    agent = make()

    AgentRegistry.register(agent, "the researcher")

    assert AgentRegistry.get("the researcher") is agent
    assert AgentRegistry.get("bob") is None
    assert AgentRegistry.names() == ["the researcher"]
    assert AgentRegistry.all()["the researcher"] is agent
    assert AgentRegistry.find_by_type(CompiledStateGraph)["the researcher"] is agent


def test_an_agent_found_by_name_runs() -> None:
    agent = make()
    AgentRegistry.register(agent, agent.name)

    result = run(AgentRegistry.require("bob"))

    assert result["messages"][-1].content == "hello"


def test_agents_that_were_not_named_need_a_name_each() -> None:
    first, second = make(None), make(None)

    names = [AgentRegistry.register(agent, prefix=agent.name) for agent in (first, second)]

    assert names == ["LangGraph-1", "LangGraph-2"]


def test_several_agents_work_side_by_side_in_a_pool(outcomes: Callable[..., dict[str, list[Any]]]) -> None:
    pool = AgentPool(make, 2, name="writer")
    AgentRegistry.register_pool(pool)

    given = outcomes(pool, use)

    assert given == {"writer_0": ["hello", "hello"], "writer_1": ["hello", "hello"]}
    assert list(AgentRegistry.find_by_type(CompiledStateGraph)) == ["writer_0", "writer_1"]
    assert AgentRegistry.get_available_count("writer") == 2


def test_an_agent_that_never_ran_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make)


def test_an_agent_that_has_run_leaves_when_it_is_dropped(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run)


def test_an_agent_leaves_though_its_result_is_kept(leaves: Callable[..., bool]) -> None:
    assert leaves(make, run, keep_result=True)
