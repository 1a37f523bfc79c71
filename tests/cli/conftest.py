"""What the tests of commands share: a project, a home directory and a workspace, all empty at first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentreg.cli import main


@dataclass(frozen=True)
class Output:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Desk:
    """A project and a home directory, and the command called on them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.home = folder / "home"
        self.agents = self.project / ".claude" / "agents"
        self.workspace = folder / "workspace"
        self._capsys = capsys
        for each in (self.agents, self.home):
            each.mkdir(parents=True)

    def write(self, path: str, *header: str, body: str = "You are an agent.") -> Path:
        """A definition at *path*, within the project's folder of Claude's agents if it is only a name."""
        file = self.folder / path if "/" in path else self.agents / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(["---", *header, "---", body, ""]), encoding="utf-8")
        return file

    def agent(self, name: str, *header: str, body: str = "You are an agent.") -> Path:
        """A definition that is good, in the project."""
        return self.write(f"{name}.md", f"name: {name}", "description: Looks around", *header, body=body)

    def run(self, *arguments: object) -> Output:
        code = main([*map(str, arguments)])
        captured = self._capsys.readouterr()
        return Output(code, captured.out, captured.err)

    def definitions(self, *arguments: object) -> Output:
        return self.run("definitions", *arguments)

    def look(self, verb: str, *arguments: object) -> Output:
        """A verb that looks into the project and the home directory."""
        return self.run("definitions", verb, *arguments, "--project", self.project, "--home", self.home)

    def doctor(self, *arguments: object) -> Output:
        return self.run("doctor", "definitions", *arguments, "--project", self.project, "--home", self.home)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    pytest.importorskip("yaml")
    monkeypatch.setenv("AGENTREG_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return Desk(tmp_path, capsys)
