"""The service as a process, and a client of it that knows nothing but the discovery file and the routes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SERVE = """
import json, sys
from agentreg.extensions.service import ServiceError, Settings, serve
try:
    serve(Settings(**json.loads(sys.argv[1])), lambda found: print(found.url, flush=True))
except ServiceError as error:
    sys.exit(str(error))
"""


class Service:
    """A running service."""

    def __init__(self, workspace: Path, process: subprocess.Popen[str], url: str) -> None:
        self.workspace = workspace
        self.process = process
        self.url = url

    @property
    def file(self) -> Path:
        return self.workspace / "state" / "agent-registry.json"

    def discovery(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text(encoding="utf-8")))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of the answer, by way of what the discovery file says."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.discovery()["url"] + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        return self.ask("POST", path, body)

    def agents(self) -> dict[str, dict[str, Any]]:
        return {agent["id"]: agent for agent in self.ask("GET", "/agents")[1]["agents"]}

    def end(self) -> int:
        """Tell it to end, and wait; the exit code."""
        self.process.terminate()
        return self.process.wait(10)


def start(workspace: Path, **settings: Any) -> subprocess.Popen[str]:
    """A process that serves, or refuses to."""
    asked = json.dumps({"port": 0, "workspace": str(workspace), **settings})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", _SERVE, asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@contextmanager
def serving(workspace: Path, **settings: Any) -> Iterator[Service]:
    """A service that answers; it is ended with the block, if it is still there."""
    with start(workspace, **settings) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        try:
            assert url, process.stderr.read()
            yield Service(workspace, process, url)
        finally:
            process.kill()


def refused(workspace: Path, **settings: Any) -> str:
    """What a service that can't be started says."""
    with start(workspace, **settings) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, ""), err
    return err
