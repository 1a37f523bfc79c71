"""`agentreg demo --definitions`: agents from files, at work and edited meanwhile."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agentreg import AgentRegistry
from tests.cli.conftest import Desk
from tests.cli.streaming import Streaming

pytest.importorskip("watchfiles")

CODE = '''"""A module."""


def knot(a, b):
    if a and b or a or b:
        return [x for x in a if x if b] or [y for y in b if y if a]
    return a if a else b if b else a and b or a or b


def _plain():
    return 1
'''


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one Python file, and a temporary folder of the demo's own."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "knot.py").write_text(CODE)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return folder


def crew(desk: Desk) -> None:
    """Three definitions for three parts, and one that is none of them."""
    desk.write("scout.md", "name: scout", "description: Explores what there is")
    desk.write("critic.md", "name: critic", "description: Reviews code", body="Look for complex functions.")
    desk.write("scribe.md", "name: scribe", "description: Writes reports")
    desk.write("cook.md", "name: cook", "description: Boils eggs")


def result_of(desk: Desk, *arguments: object) -> dict[str, Any]:
    done = desk.run("demo", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    result: dict[str, Any] = done.document
    return result


# -- the demo's own -------------------------------------------------------------------


def test_the_own_definitions_show_found_shadowed_and_refused(desk: Desk, source: Path) -> None:
    result = result_of(desk, source, "--definitions")

    assert [each["name"] for each in result["found"]] == ["librarian", "reviewer", "surveyor", "writer"]
    assert [each["name"] for each in result["shadowed"]] == ["reviewer"]
    assert "has precedence over" in result["shadowed"][0]["reason"]
    (problem,) = result["refused"]
    assert (Path(problem["path"]).name, problem["line"]) == ("unfinished.md", 2)


def test_three_are_spawned_by_what_they_can_do_and_run_over_the_files(desk: Desk, source: Path) -> None:
    result = result_of(desk, source, "--definitions")

    assert result["spawned"] == [
        {"name": "surveyor", "capability": "survey"},
        {"name": "reviewer", "capability": "review"},
        {"name": "writer", "capability": "report"},
    ]
    assert result["results"]["surveyor"].startswith("1 Python file, 11 lines, 2 functions")
    assert "knot.py:4 knot: complexity 17 (usual: up to 10)" in result["results"]["reviewer"]
    report = result["results"]["writer"]
    assert report.startswith("# The Python files of source\n\n## surveyor\n\n1 Python file")
    assert "## reviewer" in report
    assert result["registry"] == {"joined": 3, "remaining": 0}


def test_its_own_edit_is_taken_over_and_a_broken_one_refused(desk: Desk, source: Path) -> None:
    result = result_of(desk, source, "--definitions")

    assert [each["type"] for each in result["changes"]] == ["DefinitionUpdated", "ReloadRefused"]
    assert result["results"]["reviewer"].startswith("looked for complex functions, long functions")
    assert result["again"]["reviewer"].startswith("looked for missing docstrings")


def test_the_story_introduces_each_word_and_leaves_nothing_behind(desk: Desk, source: Path) -> None:
    done = desk.run("demo", source, "--definitions")

    steps = [line.split(":")[0] for line in done.out.splitlines() if line[:1].isdigit()]
    assert (done.code, done.err) == (0, "")
    assert steps == ["1. DEFINITIONS", "2. CAPABILITY", "3. PIPELINE", "4. RELOAD", "5. CLEAN-UP"]
    assert "registered now: 0 agents" in done.out
    assert list(Path(tempfile.gettempdir()).iterdir()) == []
    assert AgentRegistry.names() == []


# -- those of a folder -----------------------------------------------------------------


@pytest.mark.parametrize("where", ["project", "project/.claude/agents"])
def test_the_folder_is_a_project_or_holds_the_files_itself(where: str, desk: Desk, source: Path) -> None:
    crew(desk)
    desk.write("broken.md", "name: broken")

    result = result_of(desk, source, "--definitions", desk.folder / where)

    assert [each["name"] for each in result["found"]] == ["cook", "critic", "scout", "scribe"]
    assert [Path(each["path"]).name for each in result["refused"]] == ["broken.md"]
    assert [each["name"] for each in result["spawned"]] == ["scout", "critic", "scribe"]
    assert result["results"]["critic"].startswith("looked for complex functions\n")
    assert result["changes"] == []


def test_with_fewer_than_three_the_pipeline_is_shorter(desk: Desk, source: Path) -> None:
    desk.write("cook.md", "name: cook", "description: Boils eggs")

    done = desk.run("demo", source, "--fast", "--definitions", desk.project)

    assert done.code == 0
    assert "cook, though it does not say so: nobody else was left" in done.out
    assert "3 definitions" not in done.out


def test_a_definition_whose_name_no_agent_can_have_is_left_out(desk: Desk, source: Path) -> None:
    crew(desk)
    desk.write("long.md", f"name: review{'x' * 300}", "description: Reviews, reviews, reviews")

    done = desk.run("demo", source, "--fast", "--definitions", desk.project)

    assert (done.code, done.err) == (0, "")
    assert "left out: " in done.out
    assert "who can review? critic" in done.out


def test_a_folder_without_agents_is_refused_with_the_way_out(desk: Desk, source: Path) -> None:
    done = desk.run("demo", source, "--fast", "--definitions", desk.home)

    assert done.code == 1
    assert f"there is no agent in '{desk.home}'; agentreg check says" in done.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--definitions", "/no/such/folder"], "--definitions: '/no/such/folder' is no folder"),
        (["--wait", "3"], "--wait: only --definitions FOLDER waits"),
        (["--definitions", "--wait", "-1"], "expected seconds, from 0 to 86,400, got '-1'"),
        (["--definitions", "--analysts", "3"], "--definitions: it goes with"),
        (["--definitions", "--processes", "2"], "--definitions: it goes with"),
    ],
)
def test_bad_usage_is_refused(arguments: list[str], complaint: str, desk: Desk) -> None:
    done = desk.run("demo", *arguments)

    assert (done.code, done.out) == (2, "")
    assert complaint in done.err


def test_hostile_definitions_are_told_harmlessly(desk: Desk, source: Path) -> None:
    desk.write("e\u202e.md", 'name: "\\e[31m\\u202ereviewer"', "description: \u2066Reviews\u202e", body="\x07[bold]")
    desk.write("f\u202e.md", "name: \u202ex")

    done = desk.run("demo", source, "--fast", "--definitions", desk.project)

    assert (done.out + done.err).replace("\n", "").isprintable()
    assert "\\x1b[31m\\u202ereviewer" in done.out


# -- edited while it runs ----------------------------------------------------------------


def test_an_edit_while_it_runs_is_shown_and_the_living_agent_follows(desk: Desk, source: Path) -> None:
    crew(desk)
    command = ("demo", source, "--definitions", desk.project, "--wait", 50)
    with Streaming(*command, TMPDIR=tempfile.gettempdir()) as stream:
        stream.until("this waits for 50 seconds")
        desk.write("critic.md", "name: critic", "description: Reviews code", body="Look for long functions.")
        stream.until("> critic was updated:")
        stream.until("-Look for complex functions.")
        stream.until("+Look for long functions.")
        stream.until("> critic (the same agent now): looked for long functions")
        desk.write("critic.md", "name: critic")
        stream.until("> critic was refused:")
        desk.write("broken.md", "name: broken")
        stream.until("broken.md:2:1:")
        (desk.agents / "cook.md").unlink()
        stream.until("> cook is gone:")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_ctrl_c_ends_the_waiting(desk: Desk, source: Path) -> None:
    crew(desk)
    command = ("demo", source, "--definitions", desk.project, "--wait", 50)
    with Streaming(*command, TMPDIR=tempfile.gettempdir()) as stream:
        stream.until("this waits for 50 seconds")

        assert stream.interrupt() == 130
        assert stream.lines[-1] == "agentreg demo: interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
def test_on_a_terminal_the_agents_are_shown_live(desk: Desk, source: Path) -> None:
    pytest.importorskip("rich")
    import contextlib
    import subprocess

    screen, terminal = os.openpty()
    command = [sys.executable, "-m", "agentreg", "demo", str(source), "--definitions", "--fast"]
    environment = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", "TMPDIR": tempfile.gettempdir()}
    output = b""
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.PIPE, env=environment) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while data := os.read(screen, 65536):
                output += data
        assert process.stderr is not None
        errors = process.stderr.read()
    os.close(screen)

    assert (process.returncode, errors) == (0, b"")
    assert "╭─" in output.decode()
    assert "registered now: 3 agents" in output.decode()


def test_the_definitions_that_it_needs_ship_with_the_package() -> None:
    import agentreg.demo.definitions

    folder = Path(agentreg.demo.definitions.__file__).parent / "agents"

    assert len(list((folder / "project").glob("*.md"))) == 4
    assert len(list((folder / "home").glob("*.md"))) == 2
