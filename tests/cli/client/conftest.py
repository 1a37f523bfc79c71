"""What the tests of the client share: a workspace with a small service in it, and the command called on them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentreg.cli import main
from tests.cli.client.small_service import SmallService

SCRIPT = Path(__file__).with_name("small_service.py")


@dataclass(frozen=True)
class Output:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Output]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("AGENTREG_WORKSPACE", str(folder))
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return folder


@pytest.fixture
def service(workspace: Path) -> Iterator[SmallService]:
    with SmallService(workspace) as running:
        yield running


@pytest.fixture
def call(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> Output:
        code = main([*map(str, arguments)])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return run


@pytest.fixture
def startable(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace in which `--autostart` starts the small service; the file with the pid of each that was started."""
    monkeypatch.setenv("AGENTREG_SERVE_COMMAND", shlex.join([sys.executable, str(SCRIPT)]))
    started = workspace / "started"
    yield started
    for pid in started.read_text().split() if started.exists() else ():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()
