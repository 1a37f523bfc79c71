"""What the tests of these verbs share: a workspace, a small service with operations in it, and the command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentreg.cli import main
from tests.cli.conftest import Output
from tests.cli.operations.small_operations import SmallOperations

Call = Callable[..., Output]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("AGENTREG_WORKSPACE", str(folder))
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return folder


@pytest.fixture
def service(workspace: Path) -> Iterator[SmallOperations]:
    with SmallOperations(workspace) as running:
        yield running


@pytest.fixture
def call(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> Output:
        code = main([*map(str, arguments)])
        captured = capsys.readouterr()
        return Output(code, captured.out, captured.err)

    return run
