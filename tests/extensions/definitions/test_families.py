"""The families: where each keeps its agents, and in which form."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentreg.extensions.definitions import FAMILIES, Catalog, DefinitionError, FolderSource, discover, parse
from agentreg.extensions.definitions.families import family_of
from agentreg.extensions.definitions.sources.linting import check_paths
from tests.extensions.definitions.texts import definition, write

TOML = 'name = "{0}"\ndescription = "Helps"\ndeveloper_instructions = "Do it."\n'


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(project: Path, home: Path, scope: str = "both") -> list[str]:
    return [each.name for each in Catalog(discover(project, home, scope)).all()]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "work" / "project"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        (".claude/agents", "x.md"),
        (".claude/agents", "deep/er/x.md"),
        (".pi/agents", "x.md"),
        (".gemini/agents", "x.md"),
        (".opencode/agents", "x.md"),
        (".github/agents", "x.agent.md"),
    ],
)
def test_a_project_keeps_agents_here(project: Path, home: Path, folder: str, file: str) -> None:
    write(project / folder / file, "x")

    assert names(project, home) == ["x"]


@pytest.mark.parametrize(
    "file",
    [
        ".claude/agents/deep/er/x.md",
        ".pi/agent/agents/x.md",
        ".gemini/agents/x.md",
        ".config/opencode/agents/x.md",
        ".copilot/agents/x.agent.md",
    ],
)
def test_a_user_keeps_agents_here(project: Path, home: Path, file: str) -> None:
    write(home / file, "x")

    (found,) = Catalog(discover(project, home)).all()

    assert (found.name, found.source, found.file_path) == ("x", "user", str(home / file))


def test_codex_keeps_them_as_toml(project: Path, home: Path) -> None:
    put(project / ".codex/agents/r.toml", TOML.format("ours"))
    put(home / ".codex/agents/r.toml", TOML.format("mine"))

    assert names(project, home) == ["mine", "ours"]


@pytest.mark.parametrize(
    "file",
    [
        ".pi/agents/deep/x.md",
        ".gemini/agents/_x.md",
        ".github/agents/x.md",
        ".claude/agents/x.txt",
        ".claude/agents/.hidden.md",
        ".claude/agents/.git/x.md",
        ".claude/x.md",
    ],
)
def test_these_are_nobodys_agents(project: Path, home: Path, file: str) -> None:
    write(project / file, "x")

    assert names(project, home) == []


def test_pi_looks_for_the_nearest_folder_upwards(project: Path, home: Path) -> None:
    write(project.parent / ".pi/agents/x.md", "far")
    write(project / ".pi/agents/x.md", "near")
    below = project / "src" / "deep"

    assert names(below, home) == ["near"]
    assert names(project.parent, home) == ["far"]


def test_of_user_and_project_the_project_counts(project: Path, home: Path) -> None:
    write(home / ".claude/agents/x.md", "x", "mine")
    write(project / ".pi/agents/x.md", "x", "ours")

    catalog = Catalog(discover(project, home))

    assert catalog.require("x").body == "ours"
    (shadow,) = catalog.shadowed()
    assert (shadow.loser.body, shadow.winner.body) == ("mine", "ours")
    assert "has precedence over" in shadow.reason


@pytest.mark.parametrize(("scope", "wanted"), [("user", ["mine"]), ("project", ["ours"]), ("both", ["mine", "ours"])])
def test_a_scope_leaves_the_others_folders_out(project: Path, home: Path, scope: str, wanted: list[str]) -> None:
    write(home / ".claude/agents/x.md", "mine")
    write(project / ".claude/agents/x.md", "ours")

    assert names(project, home, scope) == wanted
    assert [each.name for each in Catalog(discover(project, home), scope=scope).all()] == wanted


def test_another_scope_is_refused(project: Path) -> None:
    with pytest.raises(ValueError, match="expected 'user', 'project' or 'both', got 'all'"):
        discover(project, scope="all")
    with pytest.raises(ValueError, match="got 'all'"):
        Catalog([], scope="all")


def test_nothing_need_exist(project: Path, home: Path) -> None:
    catalog = Catalog(discover(project, home))

    assert catalog.all() == []
    assert catalog.problems() == []
    assert all(status.reachable for status in catalog.sources())


def test_every_discovered_source_has_a_name_of_its_own(project: Path, home: Path) -> None:
    found = [source.name for source in discover(project, home)]

    assert len(set(found)) == len(found)
    assert {name.split(":")[1] for name in found} == set(FAMILIES)


def test_templates_are_no_agents(project: Path, home: Path) -> None:
    write(project / ".claude/templates/deep/api.md", "api-specialist")

    catalog = Catalog(discover(project, home))

    assert catalog.all() == []
    assert catalog.get("api-specialist") is None
    assert [(each.name, each.kind) for each in catalog.templates()] == [("api-specialist", "template")]


def test_a_template_and_an_agent_may_have_one_name(project: Path, home: Path) -> None:
    write(project / ".claude/templates/x.md", "x")
    write(project / ".claude/agents/x.md", "x")

    assert Catalog(discover(project, home)).shadowed() == []


# -- opencode ---------------------------------------------------------------


def test_in_opencode_the_files_name_is_the_name() -> None:
    made = parse("---\ndescription: Reviews\nmode: subagent\n---\nLook.", path="a/review.md", family="opencode")

    assert (made.name, made.metadata, made.warnings) == ("review", {"mode": "subagent"}, ())


def test_in_opencode_a_name_in_the_header_is_kept_aside() -> None:
    made = parse(definition("other"), path="review.md", family="opencode")

    assert (made.name, made.metadata) == ("review", {"name": "other"})


@pytest.mark.parametrize(
    ("written", "tools", "disallowed"),
    [
        ("{write: false, edit: false, bash: true}", None, ("write", "edit")),
        ("{'*': false, read: true}", ("read",), ()),
        ("{'*': false}", (), ()),
        ("{bash: true}", None, ()),
    ],
)
def test_in_opencode_tools_are_switched_one_by_one(
    written: str, tools: tuple[str, ...] | None, disallowed: tuple[str, ...]
) -> None:
    made = parse(f"---\ndescription: x\ntools: {written}\n---\nGo.", path="a.md", family="opencode")

    assert (made.tools, made.disallowed_tools) == (tools, disallowed)
    assert "tools" in made.metadata


def test_in_opencode_a_switch_is_true_or_false() -> None:
    with pytest.raises(DefinitionError, match="is a mapping"):
        parse("---\ndescription: x\ntools: {write: ask}\n---\nGo.", path="a.md", family="opencode")


# -- single files -----------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("p/.claude/agents/deep/x.md", "claude"),
        ("p/.claude/templates/x.md", "claude-template"),
        ("p/.pi/agents/x.md", "pi"),
        ("home/.pi/agent/agents/x.md", "pi"),
        ("p/.gemini/agents/x.md", "gemini"),
        ("home/.config/opencode/agents/x.md", "opencode"),
        ("p/.github/agents/x.agent.md", "copilot"),
        ("x.chatmode.md", "copilot"),
        ("p/.codex/agents/x.toml", "codex"),
        ("x.toml", "codex"),
        ("x.md", "claude"),
    ],
)
def test_a_files_family_is_seen_by_its_path(path: str, family: str) -> None:
    assert family_of(path) == family


def test_an_unknown_family_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no family 'x'; the families are .*'codex'"):
        FolderSource(tmp_path, family="x")


def test_checking_paths_says_everything_by_path(tmp_path: Path) -> None:
    broken = put(tmp_path / "a/broken.md", "---\nname: x\n")
    prose = put(tmp_path / "a/b/prose.md", definition("x", description="a: b"))
    write(tmp_path / "a/fine.md", "fine")
    codex = put(tmp_path / "a/.codex/agents/c.toml", "x")
    put(tmp_path / "a/pyproject.toml", "x")

    problems = check_paths([tmp_path / "a", codex, tmp_path / "none.md"])

    assert [(problem.path, problem.severity) for problem in problems] == [
        (str(codex), "error"),
        (str(prose), "warning"),
        (str(broken), "error"),
        (str(tmp_path / "none.md"), "error"),
    ]
