"""Agents and copies made from definitions."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from agentreg import Agent, AgentRegistry, NameTakenError
from agentreg.extensions.definitions import (
    AgentDefinition,
    Catalog,
    DefinitionNotFoundError,
    DefinitionRegistered,
    discover,
)
from tests.extensions.definitions.texts import write


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    write(tmp_path / ".claude/agents/scout.md", "scout", "You are a scout.", tools="Read, Grep", description="Looks")
    write(tmp_path / ".claude/templates/api.md", "api-specialist", "You know APIs.")
    return Catalog(discover(tmp_path, tmp_path / "home"))


def edit(catalog: Catalog, folder: Path, body: str) -> None:
    write(folder / ".claude/agents/scout.md", "scout", body, description="Looks")
    catalog.refresh()


def test_a_spawned_agent_is_registered_and_runs_its_definition(catalog: Catalog) -> None:
    agent = catalog.spawn("scout", model=lambda messages: messages[0].content + "|" + messages[-1].content)

    assert isinstance(agent, Agent)
    assert AgentRegistry.get("scout") is agent
    assert (agent.description, agent.instruction, agent.tools) == ("Looks", "You are a scout.", ("Read", "Grep"))
    assert asyncio.run(agent.run("go")) == "Looks\n\nYou are a scout.|go"


def test_a_spawned_agent_belongs_to_its_holder(catalog: Catalog) -> None:
    agent = catalog.spawn("scout")

    del agent
    gc.collect()

    assert AgentRegistry.get("scout") is None


def test_several_agents_of_one_definition_have_names_of_their_own(catalog: Catalog) -> None:
    first, second = catalog.spawn("scout"), catalog.spawn("scout", agent_name="scout-2")

    assert (first.name, second.name) == ("scout", "scout-2")
    with pytest.raises(NameTakenError):
        catalog.spawn("scout")


def test_a_spawned_agent_knows_where_it_comes_from(catalog: Catalog) -> None:
    agent, other = catalog.spawn("scout"), catalog.spawn("api-specialist")

    assert (agent.cloned_from, agent.template_source) == ("scout", None)
    assert (other.cloned_from, other.template_source) == ("api-specialist", "api-specialist")


def test_an_agent_is_told_when_its_definition_changes_and_keeps_running(catalog: Catalog, tmp_path: Path) -> None:
    agent = catalog.spawn("scout", model=lambda messages: messages[0].content)

    edit(catalog, tmp_path, "You are a better scout.")

    assert agent.definition.body == "You are a better scout."
    assert AgentRegistry.get("scout") is agent
    assert "better" in asyncio.run(agent.run("go"))
    assert agent.tools == ()


def test_an_agent_is_told_when_its_definition_comes_back(catalog: Catalog, tmp_path: Path) -> None:
    agent = catalog.spawn("scout")
    (tmp_path / ".claude/agents/scout.md").unlink()
    catalog.refresh()
    assert AgentRegistry.get("scout") is agent

    edit(catalog, tmp_path, "Back again.")

    assert agent.instruction == "Back again."


def test_an_agents_own_hook_is_called_instead(catalog: Catalog, tmp_path: Path) -> None:
    heard: list[AgentDefinition] = []
    agent = catalog.spawn("scout")
    agent.on_definition_changed = heard.append  # type: ignore[method-assign, assignment]

    edit(catalog, tmp_path, "Better.")

    assert [each.body for each in heard] == ["Better."]
    assert agent.instruction == "You are a scout."


def test_a_hook_that_fails_spoils_nothing_else(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(definition: AgentDefinition) -> None:
        raise RuntimeError("no")

    first, second = catalog.spawn("scout"), catalog.spawn("scout", agent_name="second")
    first.on_definition_changed = fail  # type: ignore[method-assign]

    edit(catalog, tmp_path, "Better.")

    assert second.instruction == "Better."
    assert "failed to take over its change" in caplog.text


def test_nobody_is_told_of_other_definitions(catalog: Catalog, tmp_path: Path) -> None:
    agent = catalog.spawn("api-specialist")

    edit(catalog, tmp_path, "Better.")

    assert agent.instruction == "You know APIs."


def test_a_clone_of_a_template_is_listed_as_an_agent(catalog: Catalog) -> None:
    copy = catalog.clone("api-specialist", "payments")

    assert catalog.get("payments") is copy
    assert (copy.kind, copy.body) == ("agent", "You know APIs.")
    assert copy.metadata == {"cloned_from": "api-specialist", "template_source": "api-specialist"}
    assert [each.name for each in catalog.all()] == ["payments", "scout"]


def test_a_clone_of_a_clone_still_names_the_template(catalog: Catalog) -> None:
    catalog.clone("api-specialist", "payments")

    copy = catalog.clone("payments", "refunds")

    assert copy.metadata == {"cloned_from": "payments", "template_source": "api-specialist"}
    assert catalog.spawn("refunds").template_source == "api-specialist"


def test_a_clone_can_be_spawned_and_survives_a_refresh(catalog: Catalog) -> None:
    catalog.clone("scout", "ranger")

    catalog.refresh()

    assert catalog.spawn("ranger").instruction == "You are a scout."


def test_listeners_hear_of_a_clone(catalog: Catalog) -> None:
    heard: list[object] = []
    catalog.subscribe(heard.append)

    copy = catalog.clone("scout", "ranger")

    assert heard == [DefinitionRegistered(catalog.revision, "ranger", copy)]


def test_a_taken_name_is_no_clones(catalog: Catalog) -> None:
    with pytest.raises(NameTakenError, match=r"scout\.md"):
        catalog.clone("api-specialist", "scout")


@pytest.mark.parametrize("name", ["", "  "])
def test_a_clone_has_a_name(catalog: Catalog, name: str) -> None:
    with pytest.raises(ValueError, match="expected some text"):
        catalog.clone("scout", name)


def test_a_file_has_precedence_over_a_clone_of_its_name(catalog: Catalog, tmp_path: Path) -> None:
    catalog.clone("scout", "ranger")

    write(tmp_path / ".claude/agents/ranger.md", "ranger", "From a file.")
    catalog.refresh()

    assert catalog.require("ranger").body == "From a file."
    assert [shadow.loser.body for shadow in catalog.shadowed()] == ["You are a scout."]


def test_who_is_not_there_can_be_neither_cloned_nor_spawned(catalog: Catalog) -> None:
    with pytest.raises(DefinitionNotFoundError, match="the nearest names are 'scout'"):
        catalog.spawn("scuot")
    with pytest.raises(DefinitionNotFoundError):
        catalog.clone("nobody", "x")
