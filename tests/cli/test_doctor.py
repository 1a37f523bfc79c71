"""`agentreg doctor definitions`: why is my agent not there?"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import Desk


def findings(desk: Desk, *arguments: object) -> list[tuple[str, str, str]]:
    told = desk.doctor(*arguments, "--json").document["definitions"]["findings"]
    return [(each["level"], each["what"], each["fix"]) for each in told]


def reasons(desk: Desk, name: str, *arguments: object) -> str:
    """What is said of a name that is not there."""
    done = desk.doctor("--name", name, *arguments)
    assert done.code == 1, done.out
    return done.out.split("PROBLEMS\n")[1]


# -- everything ---------------------------------------------------------------------


def test_where_all_is_well_it_says_so_and_what_it_looked_at(desk: Desk) -> None:
    desk.agent("scout")

    done = desk.doctor()

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "nothing is wrong"
    (row,) = [line.split() for line in done.out.splitlines() if str(desk.agents) in line]
    assert row == ["project", "claude", str(desk.agents), "yes", "1", "0"]
    (row,) = [line.split() for line in done.out.splitlines() if str(desk.home / ".gemini") in line]
    assert row[3:] == ["no", "0", "0"]


def test_without_an_area_it_looks_at_all_of_them(desk: Desk) -> None:
    done = desk.run("doctor", "--project", desk.project, "--home", desk.home, "--json")

    assert "definitions" in done.document


def test_as_json_the_places_have_numbers_and_truths(desk: Desk) -> None:
    desk.agent("scout")
    desk.write("broken.md", "name: broken")

    document = desk.doctor("--json").document["definitions"]

    places: dict[str, Any] = {each["place"]: each for each in document["looked_at"]}
    assert places[str(desk.agents)] == {
        "scope": "project",
        "family": "claude",
        "place": str(desk.agents),
        "there": True,
        "definitions": 1,
        "problems": 1,
    }
    assert document["ok"] is False


def test_a_file_that_was_refused_is_an_error_with_its_line_and_the_fix(desk: Desk) -> None:
    path = desk.write("broken.md", "name: broken")

    done = desk.doctor()

    assert done.code == 1
    assert f"error: {path}:2:1: the description is missing\n    fix: add description: ...: when to use it\n" in done.out


def test_who_is_hidden_by_whom_is_told(desk: Desk) -> None:
    hidden = desk.write("home/.claude/agents/scout.md", "name: scout", "description: The user's")
    path = desk.agent("scout")

    ((level, what, _),) = [each for each in findings(desk) if "is hidden by" in each[1]]

    assert level == "note"
    assert what.startswith(f"'scout' of {hidden} is hidden by that of {path}: ")


def test_two_files_of_one_folder_with_one_name_are_a_warning(desk: Desk) -> None:
    first = desk.agent("a-scout", "flavour: x")
    second = desk.write("b.md", "name: a-scout", "description: Two")

    warnings = [what for level, what, _ in findings(desk) if level == "warning"]

    assert warnings == [f"{second}:1:1: the name 'a-scout' is that of {first} too, which counts"]


def test_a_tool_that_nobody_knows_is_a_warning_with_the_nearest(desk: Desk) -> None:
    path = desk.agent("scout", "tools: Raed, mcp__maps__find, Bash(git *)")
    desk.write("project/.gemini/agents/other.md", "name: other", "description: x", "tools: [read_file]")

    ((level, what, fix),) = [each for each in findings(desk) if "the tool" in each[1]]

    assert level == "warning"
    assert "'Raed'" in what
    assert f"scout ({path})" in what
    assert "did you mean 'Read'?" in fix


def test_a_policy_of_one_s_own_decides_which_tools_are_known(desk: Desk) -> None:
    desk.agent("scout", "tools: [Read, Deploy]")

    def told(*permitted: str) -> list[str]:
        options = [option for tool in permitted for option in ("--permit", tool)]
        return [what.split("'")[1] for _, what, _ in findings(desk, *options) if "the tool" in what]

    assert told() == ["Deploy"]
    assert told("Deploy") == ["Read"]
    assert told("Deploy", "Read") == []
    assert told("*") == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("project/.github/agents/scout.md", "the names of copilot's files end in .agent.md"),
        ("project/.claude/agents/scout.txt", "the names of claude's files end in .md"),
        ("project/.claude/agents/.scout.md", "its name begins with '.'"),
        ("project/.gemini/agents/_scout.md", "its name begins with '_'"),
        ("project/.gemini/agents/below/scout.md", "gemini does not look into folders below"),
        ("project/.claude/agents/.old/scout.md", "its folder's name begins with a dot"),
    ],
)
def test_a_file_that_nobody_looks_at_is_told_with_the_reason(path: str, reason: str, desk: Desk) -> None:
    file = desk.write(path, "name: scout", "description: Looks around")

    assert f"{file} is not looked at: {reason}" in [what for _, what, _ in findings(desk)]
    assert f"{file} is not looked at: {reason}" in reasons(desk, "scout")


def test_a_project_that_is_further_up_is_pointed_out(desk: Desk) -> None:
    desk.agent("scout")
    below = desk.project / "source" / "deep"
    below.mkdir(parents=True)

    done = desk.run("doctor", "--project", below, "--home", desk.home)

    assert f"no definitions were found here, but {desk.agents} exists\n    fix: --project {desk.project}\n" in done.out


def test_a_store_that_is_damaged_is_an_error_among_the_others(desk: Desk) -> None:
    desk.agent("scout")
    store = desk.folder / "store.db"
    store.write_bytes(b"this is no database" * 300)

    done = desk.doctor("--store", store)

    assert done.code == 1
    assert f"error: {store} can't be read: the file is damaged" in done.out
    assert "1 error, 0 warnings" in done.out


def test_a_store_that_is_named_and_not_there_is_an_error(desk: Desk) -> None:
    desk.agent("scout")

    assert desk.doctor("--store", desk.folder / "none.db").code == 1
    assert not (desk.folder / "none.db").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_can_not_be_listed_is_an_error(desk: Desk) -> None:
    desk.agent("scout")
    desk.agents.chmod(0)

    done = desk.doctor()

    desk.agents.chmod(0o700)
    assert done.code == 1
    assert "can't be read" in done.out


@pytest.mark.parametrize(
    ("module", "level", "extra"),
    [("yaml", "error", "definitions"), ("watchfiles", "warning", "definitions"), ("rich", "note", "cli")],
)
def test_a_package_that_is_missing_is_told_with_its_extra(module: str, level: str, extra: str, desk: Desk) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; from agentreg.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "doctor", "--project", str(desk.project), "--home", str(desk.home)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == (1 if level == "error" else 0)
    assert f"{level}: {module} is missing: " in done.stdout
    assert f'fix: pip install "agentreg[{extra}]"' in done.stdout


# -- one name -----------------------------------------------------------------------


def test_a_name_that_is_there_is_told_with_its_place_and_whom_it_hides(desk: Desk) -> None:
    hidden = desk.write("home/.claude/agents/scout.md", "name: scout", "description: The user's")
    path = desk.agent("scout")

    done = desk.doctor("--name", "scout")

    assert done.code == 0
    assert f"'scout' is there: {path} (source project)" in done.out
    assert f"the one of {hidden} is hidden by that of {path}: " in done.out


def test_a_name_that_is_nowhere_gets_the_nearest(desk: Desk) -> None:
    desk.agent("scout")

    told = reasons(desk, "scuot")

    assert "'scuot' was found nowhere" in told
    assert "fix: did you mean 'scout'?" in told


@pytest.mark.parametrize("file", ["scout.md", "other.md"])
def test_a_name_whose_file_was_refused_gets_the_reason(file: str, desk: Desk) -> None:
    path = desk.write(file, "name: scout")

    assert f"refused in {path}:2:1: the description is missing" in reasons(desk, "scout")


def test_a_file_without_a_header_is_no_agent(desk: Desk) -> None:
    path = desk.agents / "scout.md"
    path.write_text("# Scout\n\nYou are a scout.\n")

    assert f"{path}:1:1 is no agent: " in reasons(desk, "scout")


def test_a_template_is_never_listed(desk: Desk) -> None:
    path = desk.write("project/.claude/templates/scout.md", "name: scout", "description: To be cloned")

    told = reasons(desk, "scout")

    assert f"{path} is a template: it is cloned, and never listed as an agent" in told
    assert "catalog.clone('scout', ...)" in told


def test_a_name_that_the_scope_leaves_out_is_told(desk: Desk) -> None:
    path = desk.agent("scout")

    told = reasons(desk, "scout", "--scope", "user")

    assert f"--scope user leaves it out: it is in {path}\n    fix: use --scope both\n" in told


def test_a_file_that_defines_another_name_is_told(desk: Desk) -> None:
    path = desk.write("scout.md", "name: explorer", "description: Explores")

    assert f"the file {path} is called so, but what it defines is 'explorer'" in reasons(desk, "scout")


def test_a_name_that_was_removed_from_the_store_can_be_brought_back(desk: Desk) -> None:
    desk.definitions("add", desk.write("elsewhere/scout.md", "name: scout", "description: Looks around"))
    desk.definitions("remove", "scout")

    told = reasons(desk, "scout")

    assert "it was removed from the store after version 1" in told
    assert "fix: agentreg definitions rollback scout 1 brings it back" in told


def test_a_name_in_a_project_further_up_is_found(desk: Desk) -> None:
    path = desk.agent("scout")
    below = desk.project / "source"
    below.mkdir()

    done = desk.run("doctor", "--project", below, "--home", desk.home, "--name", "scout")

    assert done.code == 1
    assert f"it is in a folder above the project: {path}\n    fix: use --project {desk.project}\n" in done.out


def test_hostile_names_are_told_harmlessly(desk: Desk) -> None:
    desk.write("evil\u202e\x1b[2J.md", 'name: "\\e[31mevil"')

    for done in (desk.doctor(), desk.doctor("--name", "\x1b[31mevil"), desk.doctor("--name", "\u202e\x07")):
        assert done.code == 1
        assert done.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("arguments", [["dance"], ["definitions", "--scope", "mine"], ["--project", "/nowhere/at/all"]])
def test_bad_usage_ends_with_two(arguments: list[str], desk: Desk) -> None:
    done = desk.run("doctor", *arguments)

    assert (done.code, done.out) == (2, "")
    assert "error: " in done.err
