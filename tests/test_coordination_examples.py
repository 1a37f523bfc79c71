"""The directory as people use it and as it is described.

The programs in examples/coordination/, code written for Kaizen's registry, and what ARCHITECTURE.md and the pictures
say of the package.
"""

from __future__ import annotations

import ast
import asyncio
import itertools
import json
import re
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions import coordination
from agentreg.extensions.coordination import AgentDirectory as AgentRegistry
from agentreg.extensions.coordination import (
    AgentMetadata,
    AgentRegistryConfig,
    AgentStatus,
    RegistryEvent,
    RegistryEventType,
)
from agentreg.extensions.coordination.record import FIELDS

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted((ROOT / "examples" / "coordination").glob("*.py"))
LIMIT = 60  # seconds; alone on a machine each takes one


class Specialist:
    """An agent as other frameworks make them: a card, and a way to run it."""

    def __init__(self, agent_id: str, *capabilities: str) -> None:
        self.agent_id = agent_id
        self._a2a_card = {"capability": capabilities[0], "capabilities": list(capabilities[1:])}

    def run(self, task: str) -> str:
        return f"{self.agent_id}: {task}"


# -- the programs -------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_an_example_runs_and_prints_what_it_says(program: Path, tmp_path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    head, _, promised = docstring.partition("It prints:\n")
    command = [sys.executable, "-X", "utf8", "-W", "error", str(program)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT)

    assert (done.returncode, done.stderr) == (0, "")
    assert head.strip()
    assert done.stdout.splitlines() == textwrap.dedent(promised.strip("\n")).splitlines()
    assert list(tmp_path.iterdir()) == []


def test_there_is_an_example_for_each_pattern() -> None:
    assert [program.stem[2:] for program in PROGRAMS] == [
        "basic_distributed_coordination",
        "capability_discovery",
        "fault_tolerance",
    ]


# -- code written for Kaizen's registry ---------------------------------------


async def _quick_start(my_agent: Any) -> tuple[list[Any], list[str], int]:
    config = AgentRegistryConfig(
        enable_heartbeat_monitoring=True,
        heartbeat_timeout=30.0,
        auto_deregister_timeout=60.0,
        enable_event_broadcasting=True,
        event_queue_size=100,
    )
    registry = AgentRegistry(config=config)
    await registry.start()
    agent_id = await registry.register_agent(my_agent, runtime_id="runtime_1")
    agents = await registry.find_agents_by_capability("code generation", status_filter=AgentStatus.ACTIVE)

    lines: list[str] = []

    async def event_callback(event: RegistryEvent) -> None:
        lines.append(f"{event.event_type.value} for agent {event.agent_id}: {event.metadata.get('new_status')}")

    registry.subscribe(RegistryEventType.AGENT_STATUS_CHANGED, event_callback)
    await registry.update_agent_heartbeat(agent_id)
    await registry.update_agent_status(agent_id, AgentStatus.UNHEALTHY)
    await registry.deregister_agent(agent_id, runtime_id="runtime_1")
    left = len(registry.agents)
    await registry.shutdown()
    return agents, lines, left


def test_the_shape_of_a_quick_start_for_kaizen_runs() -> None:
    my_agent = Specialist("coder", "Python code generation")

    agents, lines, left = asyncio.run(_quick_start(my_agent))

    assert [(found.agent_id, found.agent, found.a2a_card) for found in agents] == [
        ("coder", my_agent, my_agent._a2a_card)
    ]
    assert lines == [f"agent_status_changed for agent coder: {AgentStatus.UNHEALTHY}"]
    assert left == 0


def test_runtimes_are_looked_up_as_mappings() -> None:
    agents = [Specialist(name, "work") for name in ("a", "b", "c")]

    async def register() -> AgentRegistry:
        registry = AgentRegistry()
        for agent, runtime_id in zip(agents, ("runtime_1", "runtime_1", "runtime_2"), strict=True):
            await registry.register_agent(agent, runtime_id=runtime_id)
        return registry

    registry = asyncio.run(register())

    assert registry.runtime_agents["runtime_1"] == {"a", "b"}
    assert registry.runtime_agents["runtime_2"] == {"c"}
    assert len(registry.agents) == 3
    assert registry.agents["a"].status == "active"


def test_a_failed_agent_is_passed_over_and_comes_back() -> None:
    primary, backup = Specialist("primary", "task processing"), Specialist("backup", "task processing")

    async def fail_over() -> list[list[str]]:
        fit: list[list[str]] = []
        async with AgentRegistry(AgentRegistryConfig(heartbeat_timeout=10.0, auto_deregister_timeout=20.0)) as registry:
            await registry.register_agent(primary, runtime_id="prod_runtime_1")
            await registry.register_agent(backup, runtime_id="prod_runtime_2")
            for status in (AgentStatus.UNHEALTHY, AgentStatus.ACTIVE):
                await registry.update_agent_status("primary", status)
                found = await registry.find_agents_by_capability("task processing", status_filter=AgentStatus.ACTIVE)
                fit.append([record.agent.run(task="critical") for record in found])
        return fit

    assert asyncio.run(fail_over()) == [["backup: critical"], ["primary: critical", "backup: critical"]]


def test_an_observer_sees_old_and_new_status_as_statuses_that_equal_their_texts() -> None:
    agent = Specialist("a", "work")
    events: list[RegistryEvent] = []

    async def change() -> None:
        async with AgentRegistry() as registry:
            registry.subscribe(RegistryEventType.AGENT_STATUS_CHANGED, events.append)
            await registry.register_agent(agent, runtime_id="r")
            await registry.update_agent_status("a", "degraded")

    asyncio.run(change())

    assert [event.metadata for event in events] == [{"old_status": "active", "new_status": "degraded"}]
    assert events[0].metadata["new_status"] is AgentStatus.DEGRADED


# -- the picture --------------------------------------------------------------


def test_the_picture_of_the_states_shows_the_defaults_as_they_are() -> None:
    draw = runpy.run_path(str(ROOT / "docs" / "scripts" / "lease_svg.py"))["draw"]
    picture = ROOT / "docs" / "images" / "lease.svg"

    assert picture.read_text(encoding="utf-8") == draw(), "run: python docs/scripts/lease_svg.py"
    assert all(f">{status.value}</text>" in draw() for status in AgentStatus)


# -- the architecture ---------------------------------------------------------


def _rows(first: str) -> list[list[str]]:
    """The rows of the table in ARCHITECTURE.md whose head begins with *first*."""
    lines = iter((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            table = itertools.takewhile(lambda row: row.startswith("|"), lines)
            return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
    raise AssertionError(f"no table begins with {first}")


def test_the_schema_in_the_architecture_is_that_of_a_record() -> None:
    rows = _rows("field")
    plain = json.loads(json.dumps(AgentMetadata("an id", "a runtime").to_dict()))

    assert [name.strip("`") for name, *_ in rows] == list(FIELDS) == list(plain)
    said = {name.strip("`"): default.strip("`") for name, _, default, _ in rows if default.startswith("`")}
    defaults = {name: text for name, text in said.items() if text != "registered_at"}
    assert {name: json.loads(text) for name, text in defaults.items()} == {name: plain[name] for name in defaults}
    others = [name for name, text in said.items() if text == "registered_at"]
    assert others == ["created_at", "last_heartbeat", "last_activity"]
    assert {plain[name] for name in others} == {plain["registered_at"]}


def test_the_status_table_in_the_architecture_names_every_status() -> None:
    words = {word for status, *_ in _rows("directory `status`") for word in re.findall(r"[a-z]+", status)}

    assert words >= {status.value for status in AgentStatus}


def test_every_module_of_the_directory_has_its_place_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = Path(coordination.__file__).parent

    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    placed = {name for name in modules | folders if f"`{name}`" in text}

    assert placed == modules | folders
