"""The client and the service that agentreg brings, together."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentreg.cli.client.discovery import discovery_file
from tests.cli.client.conftest import Call

pytest.importorskip("msgspec")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("agentreg.cli.serve")

# As `agentreg serve`, on any port that is free.
SERVE = """
import sys
from argparse import ArgumentParser
from agentreg.cli import serve
parser = ArgumentParser()
serve.add_commands(parser.add_subparsers())
arguments = parser.parse_args(["serve", "--port", "0", *sys.argv[1:]])
sys.exit(arguments.run(arguments))
"""


@pytest.fixture
def real(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AGENTREG_SERVE_COMMAND", shlex.join([sys.executable, "-c", SERVE]))
    yield workspace
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(json.loads(discovery_file(workspace).read_text())["pid"], signal.SIGTERM)


def test_an_agent_comes_beats_and_goes(call: Call, real: Path) -> None:
    registered = call("register", "--autostart", "--name", "scout", "--id", "s-1", "--meta", '{"task": "x"}')
    assert (registered.code, registered.out) == (0, "s-1\n")

    (agent,) = call("list", "--json").document["agents"]
    beaten, nobody = call("heartbeat", "--id", "s-1"), call("heartbeat", "--id", "s-2")
    ran = call("run", "builder", "--", "true")
    gone = call("deregister", "--id", "s-1")
    stopped = call("list", "--status", "stopped").out.splitlines()

    assert (agent["id"], agent["name"], agent["cwd"], agent["meta"]) == ("s-1", "scout", os.getcwd(), {"task": "x"})
    assert (beaten.code, beaten.out, nobody.code) == (0, "active\n", 1)
    assert (ran.code, gone.code) == (0, 0)
    assert sorted(line.split()[1] for line in stopped[1:]) == ["builder", "scout"]
    assert call("status", "--json").document["ok"] is True
