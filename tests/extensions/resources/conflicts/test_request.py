"""What somebody wants to register."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agentreg.extensions.resources import SizeError
from agentreg.extensions.resources.conflicts import AgentRequest
from agentreg.extensions.resources.conflicts.request import priority_word


def test_optional_servers_are_asked_for_too() -> None:
    request = AgentRequest("scout", mcp_servers=["a"], optional_mcp_servers=["b", "a"])

    assert request.mcp_servers == ("a", "b")


def test_a_copy_differs_in_what_was_changed() -> None:
    request = AgentRequest("scout", tools=["Read"])

    assert request.differences(request.changed(name="other")) == {"name": ("scout", "other")}
    assert request.changed() == request


def test_a_request_is_made_of_a_record_of_the_registry() -> None:
    record = {
        "agent_id": "agent_1",
        "name": "api",
        "file_path": "agents/api.md",
        "config": {"priority": 8, "tools": ["Read"], "mcp_servers": ["gh"], "resource_limit": "1024mb"},
        "resources": {"max_concurrent_tasks": 3},
    }

    request = AgentRequest.of(record)

    assert request == AgentRequest(
        "api", ["Read"], mcp_servers=["gh"], memory="1024mb", priority="important", tasks=3, file_path="agents/api.md"
    )


def test_a_request_is_made_of_a_definition() -> None:
    definition = SimpleNamespace(
        name="api", tools=None, disallowed_tools=("Bash",), mcp_servers=(), resource_limit=None, priority="high"
    )

    request = AgentRequest.of(definition, memory="1gb")

    assert request == AgentRequest("api", denied_tools=["Bash"], memory="1gb", priority="important")


@pytest.mark.parametrize(
    ("given", "word"), [(1, "low"), (3, "low"), (4, "normal"), (6, "normal"), ("7", "important"), (10, "critical")]
)
def test_a_number_is_a_priority(given: Any, word: str) -> None:
    assert priority_word(given) == word


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"name": ""}, ValueError, "name: expected some text"),
        ({"name": 5}, TypeError, "name: expected text, got 5 of type int"),
        ({"name": "x" * 256}, ValueError, "1 to 255 printable characters"),
        ({"name": "a\nb"}, ValueError, "1 to 255 printable characters"),
        ({"tools": "Read"}, TypeError, r"write \['Read'\]"),
        ({"tools": [5]}, TypeError, "tools: expected text"),
        ({"mcp_servers": None}, TypeError, "mcp_servers: expected several texts"),
        ({"priority": 11}, ValueError, "or a number from 1 to 10, got 11"),
        ({"priority": "0"}, ValueError, "or a number from 1 to 10, got '0'"),
        ({"priority": True}, ValueError, "priority: expected critical, important, normal, low"),
        ({"tasks": -1}, ValueError, "tasks: expected 0 or more"),
        ({"tasks": 1.5}, TypeError, "tasks: expected a whole number"),
        ({"memory": "lots"}, SizeError, "memory"),
        ({"minimum_memory": -1}, SizeError, "minimum_memory"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_door(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        AgentRequest(**{"name": "scout", **fields})
