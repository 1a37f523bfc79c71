"""The parts of the demo of definitions: who is cast for what, and what the local model makes of an instruction."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml")

from agentreg import Message
from agentreg.demo.definitions.casting import CAPABILITIES, capabilities_of, cast
from agentreg.demo.definitions.editing import changed_lines, rewrite
from agentreg.demo.definitions.thinking import LocalModel, places_wanted, rules_named
from agentreg.demo.rules import RULES
from agentreg.extensions.definitions import AgentDefinition


def parts(*definitions: AgentDefinition) -> dict[str, str]:
    return {part.capability: part.definition.name for part in cast(definitions)}


def test_each_part_goes_to_whoever_claims_it_most() -> None:
    explorer = AgentDefinition("explorer", "Explores, and reviews a little")
    reviewer = AgentDefinition("code-reviewer", "Explores and reviews")
    writer = AgentDefinition("anna", "Likes words", tags=("documentation",))

    assert parts(writer, reviewer, explorer) == {"survey": "explorer", "review": "code-reviewer", "report": "anna"}


def test_nobody_plays_two_parts_and_who_claims_nothing_fills_in() -> None:
    reviewer = AgentDefinition("reviewer", "Reviews and writes reports")
    cook = AgentDefinition("cook", "Boils eggs")

    found = cast([reviewer, cook])

    assert [(part.capability, part.definition.name, part.claimed) for part in found] == [
        ("survey", "cook", False),
        ("review", "reviewer", True),
    ]
    assert cast([]) == []


def test_the_parts_come_in_the_order_of_the_pipeline() -> None:
    crowd = [AgentDefinition(f"agent-{number}", "Reviews what it finds and reports it") for number in range(9)]

    assert [part.capability for part in cast(crowd)] == list(CAPABILITIES)


def test_a_definition_s_words_are_its_capabilities() -> None:
    assert capabilities_of(AgentDefinition("x", "Writes up what it finds")) == ("survey", "report")
    assert capabilities_of(AgentDefinition("cook", "Boils eggs")) == ()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_be_named_by_itself(rule: str) -> None:
    assert rules_named(f"Look for {rule}.") == (rule,)


def test_who_names_no_rule_means_all() -> None:
    assert rules_named("Review it. It is important.") == tuple(RULES)


@pytest.mark.parametrize(
    ("text", "number"), [("Name the 2 worst places", 2), ("five findings", 5), ("10 places", 3), ("places", 3)]
)
def test_a_number_of_places_is_read_out_of_the_text(text: str, number: int) -> None:
    assert places_wanted(text) == number


def test_the_model_does_what_the_instruction_says(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("def f():\n" + "    print(1)\n" * 60)
    (tmp_path / "broken.py").write_text("def (")
    model = LocalModel(tmp_path, 100)

    def answer(goal: str, instruction: str, *told: Message) -> str:
        system = Message("system", f"An agent\n\nGoal: {goal}\n\n{instruction}")
        return model([system, *told, Message("user", "Look at it")])

    assert answer("survey", "").startswith("1 Python file, 61 lines, 1 function, 1 that can't be read")
    assert answer("review", "Look for long functions") == (
        "looked for long functions\nlong.py:1 f: 61 lines long (usual: up to 50)"
    )
    assert answer("report", "", Message("user", "all is well", name="critic")).endswith("## critic\n\nall is well")


def test_the_lines_of_an_edit_are_shown_and_very_many_are_cut() -> None:
    old = AgentDefinition("a", "b", tools=("Read",), body="one\n\x1b[2J")

    assert changed_lines(old, AgentDefinition("a", "c", body="one\n")) == [
        "-description: b",
        "-tools: ('Read',)",
        "+description: c",
        "+tools: None",
        "-\\x1b[2J",
        "+",
    ]
    assert changed_lines(old, AgentDefinition("a", "b", body="x\n" * 20))[-1].startswith("... and ")


def test_a_rewrite_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("one two")

    assert rewrite(str(path), "two", "three") == "one two"

    assert [each.name for each in tmp_path.iterdir()] == ["a.md"]
    assert path.read_text() == "one three"
    with pytest.raises(ValueError, match="expected 'two' in it"):
        rewrite(str(path), "two", "three")
