"""The families: which tools keep agents in files, where, and in which form. One row for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from agentreg.extensions.definitions.definition import Kind

__all__ = ["FAMILIES", "Family", "Place", "Scope", "family_of", "places"]

Scope = Literal["user", "project"]


@dataclass(frozen=True, slots=True)
class Family:
    """One form of definition, and where it lives.

    Attributes:
        name: What it is called here.
        project: The folder in a project, or "".
        user: The folder in the home directory, or "".
        suffix: How the names of its files end.
        recursive: Whether those in folders below count too.
        form: Markdown with a YAML header, or TOML.
        kind: What its files define.
        named_by_file: Whether the file's name is the agent's.
        ancestors: Whether the project's folder is looked for upwards.
        ignored: Beginnings of the names of files that don't count.
    """

    name: str
    project: str
    user: str = ""
    suffix: str = ".md"
    recursive: bool = False
    form: Literal["markdown", "toml"] = "markdown"
    kind: Kind = "agent"
    named_by_file: bool = False
    ancestors: bool = False
    ignored: tuple[str, ...] = (".",)

    def takes(self, file_name: str) -> bool:
        """Whether a file of this name is looked at.

        >>> FAMILIES["copilot"].takes("scout.agent.md"), FAMILIES["copilot"].takes("README.md")
        (True, False)
        """
        return file_name.endswith(self.suffix) and not file_name.startswith(self.ignored)


# rising precedence: of two project folders with the same name in them, the later family's counts
_TABLE = (
    Family("claude-template", ".claude/templates", recursive=True, kind="template"),
    Family("codex", ".codex/agents", ".codex/agents", suffix=".toml", form="toml"),
    Family("copilot", ".github/agents", ".copilot/agents", suffix=".agent.md"),
    Family("opencode", ".opencode/agents", ".config/opencode/agents", named_by_file=True),
    Family("gemini", ".gemini/agents", ".gemini/agents", ignored=(".", "_")),
    Family("pi", ".pi/agents", ".pi/agent/agents", ancestors=True),
    Family("claude", ".claude/agents", ".claude/agents", recursive=True),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _TABLE}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of one family; it need not exist."""

    folder: str
    family: Family
    scope: Scope


def places(project: str | os.PathLike[str], home: str | os.PathLike[str]) -> Iterator[Place]:
    """Every folder of every family, in rising precedence: those of the user, then those of the project."""
    for family in _TABLE:
        if family.user:
            yield Place(os.path.join(os.path.abspath(home), *family.user.split("/")), family, "user")
    for family in _TABLE:
        yield Place(_project_folder(family, Path(os.path.abspath(project))), family, "project")


def _project_folder(family: Family, project: Path) -> str:
    if family.ancestors:
        for folder in (project, *project.parents):
            if (folder / family.project).is_dir():
                return str(folder / family.project)
    return str(project / family.project)


def family_of(path: str | os.PathLike[str]) -> str:
    """The family that a single file most likely is of, by its path.

    >>> family_of("work/.opencode/agents/review.md"), family_of("review.md")
    ('opencode', 'claude')
    """
    pure = PurePath(path)
    within = f"/{pure.parent.as_posix()}/"
    for family in reversed(_TABLE):
        if any(folder and f"/{folder}/" in within for folder in (family.project, family.user)):
            return family.name
    if pure.suffix == ".toml":
        return "codex"
    return "copilot" if pure.name.endswith((".agent.md", ".chatmode.md")) else "claude"
