"""`agentreg stats`, and what all of these verbs say where there is nothing to ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import agentreg
from tests.cli.operations.conftest import Call
from tests.cli.operations.small_operations import SmallOperations

VERBS = (["stats"], ["alerts"], ["alerts", "rules"], ["resources"], ["why", "scout"], ["decisions"], ["top", "--once"])


def test_there_is_a_line_for_each_figure_and_a_dash_for_what_nobody_knows(call: Call, service: SmallOperations) -> None:
    done = call("stats")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "agents         3: 2 active, 1 idle",
        "memory         45% (1GB / 2GB)",
        "processors     -",
        "queue          7 pending",
        "response time  1.2s",
        "success rate   98.5%",
        "uptime         -",
        "best           planner\\x1b[31m: 99.9% success rate",
    ]


def test_as_json_it_is_what_the_service_answers(call: Call, service: SmallOperations) -> None:
    done = call("stats", "--json")

    assert done.code == 0
    assert done.document["agent_counts"] == {"total": 3, "active": 2, "idle": 1, "error": 0}


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_service_it_says_so_and_how_to_start_one(call: Call, verb: list[str]) -> None:
    done = call(*verb)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        f"agentreg {' '.join(verb[:2] if verb[1:] == ['rules'] else verb[:1])}: error: no service"
    )
    assert "agentreg serve" in done.err


@pytest.mark.parametrize("verb", VERBS[1:])
def test_where_operations_are_off_it_says_how_to_have_them(
    call: Call, service: SmallOperations, verb: list[str]
) -> None:
    service.is_off = True

    done = call(*verb)

    assert (done.code, done.out) == (1, "")
    assert "operations are off on this service; start it without --no-operations" in done.err


def test_an_older_service_is_told_apart_from_one_without_operations(call: Call, service: SmallOperations) -> None:
    def refuse(path: str) -> None:
        from tests.cli.client.small_service import Refused

        if path.startswith("/registry"):
            raise Refused(404, "there is no such page")

    service.refusing = refuse

    done = call("alerts")

    assert done.code == 1
    assert "older agentreg" in done.err


def test_a_token_is_shown_to_the_service(call: Call, service: SmallOperations) -> None:
    with SmallOperations(service.workspace, token="secret") as guarded:
        done = call("stats", "--json")

    assert (done.code, guarded.shown[-1]) == (0, ("/registry/stats", "Bearer secret"))
    assert json.loads(done.out)["revision"] == 4


@pytest.mark.parametrize("verb", [["stats"], ["alerts"], ["resources"], ["why", "x"], ["decisions"], ["top", "--once"]])
def test_the_verbs_start_with_the_standard_library_alone(verb: list[str], service: SmallOperations) -> None:
    program = (
        "import sys\n"
        "from agentreg.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "mine = ('agentreg.extensions', 'rich', 'msgspec', 'httpx')\n"
        "print(code, sorted(name for name in sys.modules if name.startswith(mine)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(agentreg.__file__).parents[1])}

    done = subprocess.run([sys.executable, "-c", program, *verb], capture_output=True, text=True, env=environment)

    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
