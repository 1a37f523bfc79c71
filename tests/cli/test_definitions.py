"""`agentreg definitions list|search|show` and `agentreg check`: what people and scripts see of files."""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentreg.cli import make_parser
from tests.cli.conftest import Desk

HOSTILE = "\x1b[31m\u202eevil\u2066\x07"


# -- list ---------------------------------------------------------------------


def test_a_definition_is_listed_with_what_it_may_use_and_where_it_is(desk: Desk) -> None:
    path = desk.agent("scout", "tools: Read, Grep", "model: opus")

    done = desk.look("list")

    assert (done.code, done.err) == (0, "")
    head, row = done.out.splitlines()
    assert head.split() == ["NAME", "DESCRIPTION", "SOURCE", "TOOLS", "MODEL", "PATH"]
    assert re.split(" {2,}", row) == ["scout", "Looks around", "project", "Read, Grep", "opus", str(path)]


def test_as_json_a_listing_has_every_field_and_the_count(desk: Desk) -> None:
    path = desk.agent("scout", "tools: []", "tags: [a, b]", "flavour: sweet")

    listing = desk.look("list", "--json").document

    assert listing["count"] == 1
    (scout,) = listing["definitions"]
    assert (scout["name"], scout["tools"], scout["tags"]) == ("scout", [], ["a", "b"])
    assert (scout["file_path"], scout["source"]) == (str(path), "project")
    assert scout["metadata"] == {"flavour": "sweet"}


def test_no_tools_and_all_tools_are_told_apart(desk: Desk) -> None:
    desk.agent("every")
    desk.agent("none", "tools: []")

    rows = [line.split() for line in desk.look("list").out.splitlines()]

    assert [(row[0], row[4]) for row in rows[1:]] == [("every", "all"), ("none", "none")]


def test_the_project_s_definition_counts_and_not_the_user_s(desk: Desk) -> None:
    desk.write("home/.claude/agents/scout.md", "name: scout", "description: The user's")
    desk.write("home/.claude/agents/cook.md", "name: cook", "description: Cooks")
    desk.agent("scout")

    def names(scope: str) -> list[tuple[str, str]]:
        listing = desk.look("list", "--json", "--scope", scope).document
        return [(each["name"], each["source"]) for each in listing["definitions"]]

    assert names("both") == [("cook", "user"), ("scout", "project")]
    assert names("user") == [("cook", "user"), ("scout", "user")]
    assert names("project") == [("scout", "project")]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--tag", "code"], ["reader", "writer"]),
        (["--tag", "code", "--tag", "prose"], ["writer"]),
        (["--tool", "Write"], ["anybody", "writer"]),
        (["--model", "opus"], ["reader"]),
        (["--text", "AROUND"], ["anybody", "reader", "writer"]),
        (["--text", "prose"], ["writer"]),
        (["--tool", "Write", "--model", "opus"], []),
    ],
)
def test_a_listing_is_narrowed_down(options: list[str], names: list[str], desk: Desk) -> None:
    desk.agent("reader", "tools: Read", "tags: code", "model: opus")
    desk.agent("writer", "tools: [Write]", "tags: code, prose")
    desk.agent("anybody")

    listing = desk.look("list", "--json", *options).document

    assert [each["name"] for each in listing["definitions"]] == names


def test_search_finds_what_the_description_speaks_of(desk: Desk) -> None:
    desk.agent("scout")
    desk.write("cook.md", "name: cook", "description: Boils eggs")

    found = desk.look("search", "eggs", "--json").document

    assert [each["name"] for each in found["definitions"]] == ["cook"]


def test_where_nothing_is_found_the_way_to_the_doctor_is_shown_beside(desk: Desk) -> None:
    done = desk.look("search", "eggs")

    assert (done.code, done.out) == (0, "")
    assert "agentreg doctor definitions" in done.err


def test_files_that_were_refused_are_counted_beside_the_listing(desk: Desk) -> None:
    desk.agent("scout")
    desk.write("broken.md", "name: broken")

    done = desk.look("list")

    assert "broken" not in done.out
    assert done.err == "left out: 1 file refused; agentreg doctor definitions says why\n"


def test_a_long_description_is_shortened_at_a_word(desk: Desk) -> None:
    desk.write("scout.md", "name: scout", "description: " + "very " * 100 + "long")

    row = desk.look("list").out.splitlines()[1]

    assert "very ..." in row
    assert len(row) < 300


def test_the_store_is_listed_too_and_wins(desk: Desk) -> None:
    path = desk.agent("scout")
    desk.definitions("add", path)

    (scout,) = desk.look("list", "--json").document["definitions"]

    assert (scout["source"], scout["file_path"]) == ("registry", "registry://scout")


@pytest.mark.parametrize("option", ["--project", "--home"])
def test_a_folder_that_is_none_is_bad_usage(option: str, desk: Desk) -> None:
    done = desk.definitions("list", option, desk.folder / "nowhere")

    assert (done.code, done.out) == (2, "")
    assert f"{option}: " in done.err
    assert "is no folder" in done.err


def test_names_and_descriptions_can_not_play_tricks_on_the_terminal(desk: Desk) -> None:
    header = f'name: "{HOSTILE.encode("unicode_escape").decode()}"'.replace("\\x07", "\\a")
    desk.write("evil.md", header, f"description: {HOSTILE[5:]} text", "tools: [a\u202eb]", body=f"You\n{HOSTILE}")
    (name,) = [each["name"] for each in desk.look("list", "--json").document["definitions"]]
    assert name == HOSTILE

    for done in (
        desk.look("list"),
        desk.look("show", name),
        desk.look("show", name + "x"),
        desk.run("check", desk.agents),
    ):
        text = (done.out + done.err).replace("\n", "")
        assert text.isprintable(), text
        assert "evil" in text


def test_output_that_is_not_unicode_gets_escapes_instead(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("scout.md", "name: scout", "description: Grüße")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)

    desk.look("list")

    assert b"Gr\\xfc\\xdfe" in stream.buffer.getvalue()


# -- show -----------------------------------------------------------------------


def test_show_prints_the_fields_and_then_the_text(desk: Desk) -> None:
    desk.agent("scout", "tools: Read, Grep", "flavour: sweet", body="You are a scout.\n\n\tLook twice.")

    lines = desk.look("show", "scout").out.splitlines()

    assert "name         scout" in lines
    assert "tools        Read, Grep" in lines
    assert "flavour      sweet" in lines
    assert lines[-3:] == ["You are a scout.", "", "    Look twice."]


def test_show_tells_the_warnings(desk: Desk) -> None:
    path = desk.agent("scout", "tools: []")

    assert f"warning      {path}:4:" in desk.look("show", "scout").out


def test_show_finds_templates_too(desk: Desk) -> None:
    desk.write("project/.claude/templates/base.md", "name: base", "description: To be cloned")

    assert desk.look("show", "base", "--json").document["kind"] == "template"


def test_an_unknown_name_is_answered_with_the_nearest_and_the_doctor(desk: Desk) -> None:
    desk.agent("scout")

    done = desk.look("show", "scuot")

    assert (done.code, done.out) == (1, "")
    assert "no definition is named 'scuot'; the nearest names are 'scout'" in done.err
    assert "agentreg doctor definitions --name scuot" in done.err


def test_show_with_a_version_looks_into_the_store(desk: Desk) -> None:
    path = desk.agent("scout", body="first")
    desk.definitions("add", path)
    desk.agent("scout", body="second")
    desk.definitions("update", path)

    shown = desk.look("show", "scout", "--version", 1, "--json").document

    assert (shown["body"], shown["store_version"], shown["status"]) == ("first", 1, "active")
    assert "first" in shown["content"]
    assert desk.look("show", "scout", "--version", 3).err.endswith(
        "error: definition 'scout' has no version 3; agentreg definitions history lists them\n"
    )


# -- check ------------------------------------------------------------------------


def test_check_prints_path_line_column_what_and_what_to_do(desk: Desk) -> None:
    path = desk.write("broken.md", "name: broken")

    done = desk.run("check", path)

    assert done.code == 1
    assert done.out == f"{path}:2:1: the description is missing; add description: ...: when to use it\n"
    assert done.err == "agentreg check: 1 error, 0 warnings\n"


def test_check_is_content_with_warnings(desk: Desk) -> None:
    path = desk.agent("scout", "tools: []")

    done = desk.run("check", path)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{path}:4:")


def test_check_says_so_when_all_is_well(desk: Desk) -> None:
    done = desk.definitions("check", desk.agent("scout"))

    assert (done.code, done.out, done.err) == (0, "no problems were found\n", "")


def test_check_of_a_project_finds_the_folders_that_begin_with_a_dot(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("broken.md", "name: broken")
    desk.write("project/.github/agents/other.agent.md", "name: other")
    desk.write("project/packages/part/.claude/agents/third.md", "name: third")
    desk.write("project/node_modules/part/.claude/agents/fourth.md", "name: fourth")
    monkeypatch.chdir(desk.project)

    done = desk.run("check", ".")

    paths = [line.split(":")[0] for line in done.out.splitlines()]
    assert done.code == 1
    assert sorted(map(Path, paths)) == [
        Path(".claude/agents/broken.md"),
        Path(".github/agents/other.agent.md"),
        Path("packages/part/.claude/agents/third.md"),
    ]


def test_check_as_json_gives_every_problem_as_an_object(desk: Desk) -> None:
    path = desk.write("broken.md", "name: broken")
    desk.agent("scout", "tools: []")

    done = desk.run("check", desk.agents, "--json")

    assert done.code == 1
    assert done.document["errors"] == 1
    assert [(each["severity"], each["line"]) for each in done.document["problems"]] == [("error", 2), ("warning", 4)]
    assert done.document["problems"][0]["path"] == str(path)


def test_check_quietly_leaves_all_but_errors_out(desk: Desk) -> None:
    desk.agent("scout", "tools: []")
    (desk.agents / "README.md").write_text("# Agents\n")

    assert desk.run("check", "--quiet", desk.agents).out == "no problems were found\n"
    assert len(desk.run("check", desk.agents).out.splitlines()) == 2


@pytest.mark.parametrize("path", ["a\0b", "\udcff"])
def test_check_of_a_path_that_can_be_none_is_one_clear_line(path: str, desk: Desk) -> None:
    done = desk.run("check", path)

    assert done.code in (1, 2)
    assert "Traceback" not in done.err


def test_check_of_a_path_that_is_not_there_is_refused(desk: Desk) -> None:
    done = desk.run("check", desk.folder / "nowhere.md")

    assert done.code == 1
    assert "there is no such file or folder; check the path" in done.out


# -- the commands themselves --------------------------------------------------------


def verbs() -> dict[str, argparse.ArgumentParser]:
    def table(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        (found,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        return dict(found.choices)

    return table(table(make_parser())["definitions"])


def test_every_option_of_every_verb_is_explained() -> None:
    for name, parser in verbs().items():
        for action in parser._actions:
            assert action.help, f"agentreg definitions {name}: {action.dest} is not explained"


def test_the_help_of_the_group_shows_how_every_verb_is_used(desk: Desk) -> None:
    text = desk.definitions("--help").out

    for name in verbs():
        assert f"\nagentreg definitions {name} [-h]" in text
    assert "exit codes: 0 done, 1 refused" in text


def test_every_verb_has_help_and_json(desk: Desk) -> None:
    for name in verbs():
        done = desk.definitions(name, "--help")
        assert done.code == 0
        assert "--json" in done.out


@pytest.mark.parametrize("arguments", [[], ["dance"], ["list", "--scope", "mine"], ["show", "a", "--version", "0"]])
def test_bad_usage_ends_with_two(arguments: list[str], desk: Desk) -> None:
    done = desk.definitions(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "error: " in done.err


@pytest.mark.parametrize("command", [["definitions", "list"], ["check", "."], ["demo", "--definitions"]])
def test_without_pyyaml_the_way_to_get_it_is_told(command: list[str]) -> None:
    program = "import sys; sys.modules['yaml'] = None; from agentreg.cli import main; sys.exit(main(sys.argv[1:]))"

    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"agentreg {' '.join(command[: 2 if command[0] == 'definitions' else 1])}: error: ")
    assert done.stderr.endswith('pip install "agentreg[definitions]"\n')
