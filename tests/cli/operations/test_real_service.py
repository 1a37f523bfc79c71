"""These verbs and the service that agentreg brings, together."""

from __future__ import annotations

import http.client
import itertools
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.discovery import find
from agentreg.cli.operations.top.collecting import Collector
from tests.cli.operations.conftest import Call
from tests.cli.streaming import Streaming

for package in ("httptools", "httpx", "msgspec", "starlette", "uvicorn", "websockets"):
    pytest.importorskip(package)

ON = ("--sample-every", "1", "--memory", "4GB", "--unique-names", "ask", "--alert", "full=memory_usage > 90%")


class Real:
    """A service of this workspace."""

    def __init__(self, workspace: Path, *options: str) -> None:
        self.workspace = workspace
        argv = [sys.executable, "-W", "error", "-m", "agentreg", "serve", "--port", "0", *options]
        argv += ["--workspace", str(workspace)]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert "agentreg serves at http://" in self._process.stdout.readline()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        place = find(self.workspace).url.removeprefix("http://")
        connection = http.client.HTTPConnection(place, timeout=20)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = json.load(response)
            assert response.status < 300, content
            return content
        finally:
            connection.close()

    def register(self, name: str, **fields: Any) -> str:
        answer = self.ask("POST", "/registry/agents", {"name": name, "agent_id": f"id-{name}", **fields})
        return str(answer.get("agent_id", f"id-{name}"))

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=60)


@pytest.fixture
def real(workspace: Path) -> Iterator[Real]:
    service = Real(workspace, *ON)
    yield service
    service.end()


def burdened(real: Real) -> str:
    """An agent that has no memory left, as it says itself."""
    resources = {"memory_used": "980mb", "memory_allocated": "1000mb", "cpu_used": "25%"}
    return real.register("planner", resources=resources)


def test_an_alert_fires_is_seen_silenced_and_over(call: Call, real: Real) -> None:
    with Streaming("alerts", "--watch", AGENTREG_WORKSPACE=str(real.workspace)) as watching:
        burdened(real)
        line = watching.until("firing  full  planner")
        identity = line.rpartition("(id ")[2].rstrip(")")
        checked = call("alerts", "--check")
        seen = call("alerts", "ack", identity, "--note", "mine", "--by", "ann")
        watching.until("seen by ann: mine")
        silence = call("alerts", "silence", "--agent", "id-planner", "--for", "1h", "--reason", "mending")
        watching.until("firing, silenced")
        quiet = call("alerts", "--check")
        silences = call("alerts", "silences").out.splitlines()
        ended = call("alerts", "unsilence", silence.out.strip())
        real.ask("DELETE", "/registry/agents/id-planner")
        watching.until("resolved")
        watching.interrupt()
    history = call("alerts", "--history").out.splitlines()

    assert (checked.code, seen.code, silence.code, quiet.code, ended.code) == (1, 0, 0, 0, 0)
    assert "planner" in checked.out
    assert silences[1].split()[-1] == "mending"
    assert len(history) == 2
    assert history[1].startswith("resolved: departed")


def test_rules_are_listed_added_and_removed_and_a_bad_one_has_a_caret(call: Call, real: Real) -> None:
    added = call("alerts", "add", "busy", "task_queue_length >= 100 for 1m")
    bad = call("alerts", "add", "worse", "memory_usage >> 90%")
    twice = call("alerts", "add", "busy", "task_queue_length >= 1")
    names = [line.split()[0] for line in call("alerts", "rules").out.splitlines()[1:]]
    removed, missing = call("alerts", "remove", "busy"), call("alerts", "remove", "busy")

    assert (added.code, added.out) == (0, "busy: task_queue_length >= 100 for 1m\n")
    assert bad.code == 1
    assert "\n" + " " * (4 + len("memory_usage ")) + "^\n" in bad.err
    assert {"high_memory", "full", "busy"} <= set(names)
    assert (twice.code, removed.code, missing.code) == (1, 0, 1)


def test_stats_resources_and_top_show_the_agent(call: Call, real: Real) -> None:
    with Streaming("alerts", "--watch", AGENTREG_WORKSPACE=str(real.workspace)) as watching:
        burdened(real)
        watching.until("firing  full")  # it was sampled
    stats, resources, top = call("stats"), call("resources"), call("top", "--once", "--sort", "memory")

    assert stats.out.splitlines()[0] == "agents         1: 1 active"
    assert resources.code == 0
    assert resources.out.startswith("memory: ")
    lines = top.out.splitlines()
    assert lines[0].startswith("agentreg top: 1 agent (1 active) at http://")
    (row,) = [line for line in lines if line.startswith("planner")]
    assert row.split()[:3] == ["planner", "active", "25.0%"]
    assert "98.0%" in row
    assert any(line.startswith("! warning: full: planner at 98") for line in lines)


def test_why_and_decisions_of_a_name_that_two_agents_want(call: Call, real: Real) -> None:
    real.register("scout")
    rival = [sys.executable, "-c", RIVAL, str(real.workspace)]
    with subprocess.Popen(rival, stdout=subprocess.PIPE, text=True) as second:
        listed: list[str] = []
        while not listed:
            listed = call("decisions").out.splitlines()[1:]
        identity = listed[0].split()[0]
        wrong = call("decisions", "answer", identity, "no such choice")
        pending = call("decisions", "--json").document["pending"][0]
        answered = call("decisions", "answer", identity, pending["choices"][0], "--reason", "it was first")
        second.communicate(timeout=60)
    told = call("why", "scout")
    real.end()
    from_file = call("why", "scout")

    assert "scout" in listed[0]
    assert (wrong.code, answered.code) == (1, 0)
    assert (told.code, from_file.code) == (0, 0)
    assert "it was first" in told.out
    assert from_file.out == told.out
    assert "no service; from" in from_file.err


RIVAL = """
import http.client, json, sys
from pathlib import Path
from agentreg.cli.client.discovery import find
connection = http.client.HTTPConnection(find(Path(sys.argv[1])).url.removeprefix("http://"), timeout=60)
body = json.dumps({"name": "scout", "agent_id": "id-rival"})
connection.request("POST", "/registry/agents", body, {"Content-Type": "application/json"})
print(connection.getresponse().status)
"""


def test_top_hears_of_agents_by_the_stream_of_events(real: Real) -> None:
    collector = Collector(Caller(real.workspace), interval=0.01, clock=lambda: 0.0)  # by the clock nothing is ever due
    with collector:
        numbers = itertools.count()
        while not collector.board.agents:  # the stream may begin a moment after the first of them came
            real.register(f"scout-{next(numbers)}")
            select.select([collector.descriptor], [], [], 0.2)
            collector.heard()
        listening = collector.listening

    assert listening
    assert collector.board.agents[0]["name"].startswith("scout-")


def test_a_service_without_operations_says_so(call: Call, workspace: Path) -> None:
    off = Real(workspace, "--no-operations")
    try:
        asked = [call(*verb) for verb in (["alerts"], ["resources"], ["why", "x"], ["decisions"], ["top", "--once"])]
        stats = call("stats")
    finally:
        off.end()

    assert [each.code for each in asked] == [1] * 5
    assert all("operations are off on this service" in each.err for each in asked)
    assert stats.code == 0
