"""The routes of the operations are as their description says, while operations are on."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest
from hypothesis import given

if find_spec("schemathesis") is None:
    pytest.skip("needs schemathesis", allow_module_level=True)

from agentreg.extensions.service.openapi import document
from agentreg.extensions.service.operations import Operations, OperationsConfig

from ..test_schemathesis import BOUNDED, ask, operations
from ..threaded import ThreadedService

GROUPS = {"monitoring", "full form"}
FOUND = [each for each in operations(document()) if GROUPS & set(each.definition.raw["tags"])]


@pytest.fixture(scope="module")
def running() -> Iterator[ThreadedService]:
    config = OperationsConfig(memory="4GB", rules={"full": "memory_usage > 1%"})
    service = ThreadedService(operations=Operations(config))
    yield service
    service.stop()


def provide(running: ThreadedService) -> dict[str, str]:
    """See to it that there is something of everything; path parameter -> what there is."""
    resources = {"memory_used": "90mb", "memory_allocated": "100mb"}
    record = {"agent_id": "a", "name": "a", "config": {"resource_limit": "3GB"}, "resources": resources}
    httpx.post(f"{running.url}/registry/agents", json=record)
    httpx.put(f"{running.url}/registry/agents/a", json={"resources": resources})
    httpx.post(f"{running.url}/registry/alerts/rules", json={"name": "busy", "expression": "task_queue_length > 5"})
    silence = httpx.post(f"{running.url}/registry/alerts/silences", json={"for": "1h"}).json()["id"]
    alerts = httpx.get(f"{running.url}/registry/alerts").json()["alerts"]
    known = {"agent_id": "a", "rule_name": "busy", "silence_id": silence, "decision_id": "none"}
    return known | {"alert_id": alerts[0]["id"] if alerts else "none"}


@pytest.mark.parametrize("operation", FOUND, ids=lambda operation: operation.label)
def test_every_answer_is_one_that_the_description_names(operation: Any, running: ThreadedService) -> None:
    known = provide(running)

    @BOUNDED
    @given(operation.as_strategy())
    def holds(case: Any) -> None:
        if case.path_parameters:
            case.path_parameters |= {name: known[name] for name in case.path_parameters}
        if isinstance(case.body, dict) and "expression" in case.body:
            case.body["expression"] = "error_rate > 5%"
        ask(case, running)

    holds()


def test_there_is_something_to_be_described() -> None:
    assert len(FOUND) > 15
