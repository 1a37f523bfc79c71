"""`agentreg query` on the database of a service that runs: people's own SQL, as it stands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from agentreg.cli import main
from tests.extensions.service.serving import Service, serving
from tests.extensions.service.sql import AVAILABLE, TRENDS, USAGE


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "workspace") as running:
        yield running


def asked(service: Service, capsys: pytest.CaptureFixture[str], statement: str) -> list[dict[str, Any]]:
    assert main(["query", "--json", "--workspace", str(service.workspace), statement]) == 0
    return list(json.loads(capsys.readouterr().out))


def add(service: Service, name: str, priority: int, tools: list[str]) -> None:
    body = {
        "name": name,
        "config": {"priority": priority, "tools": tools},
        "resources": {"memory_used": "512mb", "active_tasks": 3},
        "performance": {"avg_response_time": "1.5s"},
    }
    status, answer = service.ask("POST", "/registry/agents", body)
    assert status == 201, answer


def test_the_examples_run_as_they_stand(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    add(service, "reviewer", 9, ["Read", "Bash"])
    add(service, "writer", 5, ["Bash"])

    available, usage, trends = (asked(service, capsys, each) for each in (AVAILABLE, USAGE, TRENDS))

    assert [row["name"] for row in available] == ["reviewer"]
    assert usage == [
        {"name": name, "memory_used": "512mb", "active_tasks": 3, "avg_response": "1.5s"}
        for name in ("reviewer", "writer")
    ]
    assert sum(row["active_agents"] for row in trends) == 2
    assert trends[0]["avg_response"] == 1.5
    assert trends[0]["total_tasks"] in (3, 6)  # midnight may pass between the two


def test_what_has_happened_shows_within_a_second(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    _, registered = service.post("/register", name="scout")
    assert [row["name"] for row in asked(service, capsys, "SELECT name FROM agents")] == ["scout"]
    beaten = "SELECT last_heartbeat FROM agents"
    (before,) = asked(service, capsys, beaten)

    service.post("/heartbeat", id=registered["id"])

    deadline = time.monotonic() + 10  # the bound is a second; this machine may be busy
    while asked(service, capsys, beaten) == [before]:
        assert time.monotonic() < deadline
