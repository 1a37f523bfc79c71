"""The interface is as its description says: requests made from the description, to a service that runs.

``AGENTREG_LONG=1`` makes fifty times as many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from importlib.util import find_spec
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings

if find_spec("schemathesis") is None:
    pytest.skip("needs schemathesis", allow_module_level=True)

import schemathesis
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from agentreg.extensions.service.openapi import document

from .test_definitions import markdown
from .threaded import ThreadedService

EXAMPLES = 750 if os.environ.get("AGENTREG_LONG") == "1" else 15
STREAM = "/registry/events"  # it does not end
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def operations(description: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(description).exclude(path=STREAM)
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


@pytest.fixture(scope="module")
def running() -> Iterator[ThreadedService]:
    service = ThreadedService()
    yield service
    service.stop()


def provide(running: ThreadedService) -> None:
    """See to it that there is something to find, change and remove."""
    httpx.post(f"{running.url}/register", json={"id": "a"})
    for name in ("scout", "planner"):
        running.definitions.put(markdown(name))


def aim(case: Any) -> None:
    """Have a request mean something that is there."""
    case.path_parameters |= {
        name: value
        for name, value in (("agent_id", "a"), ("name", "scout"), ("version", 1))
        if name in (case.path_parameters or {})
    }
    if isinstance(case.body, dict):
        known = {"tableName": "agents", "id": "a", "agent_id": "a", "replaces": 1, "content": markdown()}
        case.body |= {name: value for name, value in known.items() if name in case.body}
        if isinstance(case.body.get("data"), dict):
            case.body["data"] |= {"name": "scout", "content": markdown()}
        case.body |= {"wait": 0} if case.path.endswith(":changes") else {}


def ask(case: Any, running: ThreadedService) -> None:
    headers = {"authorization": f"Bearer {running.bearer}"} if case.path.startswith("/admin/") else {}
    answer = case.call(base_url=running.url, headers=headers)
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("operation", operations(document()), ids=lambda operation: operation.label)
def test_every_answer_is_one_that_the_description_names(operation: Any, running: ThreadedService) -> None:
    numbers = count()

    @BOUNDED
    @given(operation.as_strategy())
    def holds(case: Any) -> None:
        if next(numbers) % 2 or case.path.endswith(":changes"):
            provide(running)
            aim(case)
        ask(case, running)

    holds()


def test_a_description_that_is_wrong_would_be_noticed(running: ThreadedService) -> None:
    wrong = deepcopy(document())
    del wrong["paths"]["/registry/stats"]["get"]["responses"]["200"]
    wrong["components"]["schemas"]["Health"]["properties"]["uptime"] = {"type": "string"}
    found = {operation.label: operation for operation in operations(wrong)}

    for label in ("GET /registry/stats", "GET /health"):

        @BOUNDED
        @given(found[label].as_strategy())
        def holds(case: Any) -> None:
            ask(case, running)

        with pytest.raises(BaseException, match=r"(?s)(Undocumented|violates schema)"):
            holds()
