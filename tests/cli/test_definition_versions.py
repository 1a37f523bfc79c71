"""`agentreg definitions add|update|history|diff|rollback|remove|migrate`: a store on the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Desk


def added(desk: Desk, name: str = "scout", **more: str) -> Path:
    path = desk.agent(name, **more)
    assert desk.definitions("add", path).code == 0
    return path


def versions(desk: Desk, name: str = "scout") -> list[tuple[int, str, int | None]]:
    told = desk.definitions("history", name, "--json").document["versions"]
    return [(each["version"], each["change"], each["restores"]) for each in told]


# -- where the store is -----------------------------------------------------------


def test_the_store_is_made_in_the_workspace_at_the_first_add(desk: Desk) -> None:
    assert desk.definitions("add", desk.agent("scout")).out == "added scout, version 1\n"

    assert (desk.workspace / "data" / "definitions.db").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another thing there")
def test_the_workspace_is_this_user_s_alone(desk: Desk) -> None:
    added(desk)

    assert [(desk.workspace / below).stat().st_mode & 0o777 for below in (".", "data")] == [0o700, 0o700]


@pytest.mark.parametrize("verb", ["list", "search x", "show scout"])
def test_the_store_of_the_workspace_is_not_left_out_in_silence(verb: str, desk: Desk) -> None:
    added(desk)
    (desk.workspace / "data" / "definitions.db").write_bytes(b"this is no database" * 300)

    done = desk.look(*verb.split())

    assert (done.code, done.out) == (1, "")
    assert "the file is damaged" in done.err


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_another_store_can_be_named(form: str, desk: Desk) -> None:
    store = form.format(desk.folder / "other.db")

    assert desk.definitions("add", desk.agent("scout"), "--store", store).code == 0

    assert not desk.workspace.exists()
    assert [each["name"] for each in desk.look("list", "--store", store, "--json").document["definitions"]] == ["scout"]


@pytest.mark.parametrize(
    "verb", ["history scout", "diff scout", "rollback scout 1", "remove scout", "show scout --version 1"]
)
def test_who_only_reads_makes_no_store(verb: str, desk: Desk) -> None:
    done = desk.definitions(*verb.split())

    assert (done.code, done.out) == (1, "")
    assert "there is no store at" in done.err
    assert not desk.workspace.exists()


@pytest.mark.parametrize("verb", ["list", "history", "add", "update", "remove"])
def test_a_store_that_can_not_be_read_is_one_clear_line(verb: str, desk: Desk) -> None:
    store = desk.folder / "store.db"
    store.write_bytes(b"this is no database" * 300)
    target = [desk.agent("scout")] if verb in ("add", "update") else [] if verb == "list" else ["scout"]

    done = desk.definitions(verb, *target, "--store", store)

    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "the file is damaged" in done.err


def test_a_database_of_somebody_else_is_left_alone(desk: Desk) -> None:
    import sqlite3

    store = desk.folder / "store.db"
    connection = sqlite3.connect(store)
    connection.execute("CREATE TABLE books (title TEXT)")
    connection.close()
    before = store.read_bytes()

    done = desk.definitions("add", desk.agent("scout"), "--store", store)

    assert done.code == 1
    assert "holds something else (tables: books)" in done.err
    assert store.read_bytes() == before


def test_a_store_of_an_unknown_kind_is_bad_usage(desk: Desk) -> None:
    done = desk.definitions("list", "--store", "ftp://somewhere")

    assert done.code == 2
    assert "--store: ftp://: expected a path, or a URL with sqlite://" in done.err


def test_a_server_that_is_down_is_one_clear_line(desk: Desk) -> None:
    pytest.importorskip("redis")

    done = desk.look("list", "--store", "redis://:secret@127.0.0.1:1/0")

    assert (done.code, done.out) == (1, "")
    assert "see that the server runs" in done.err
    assert "secret" not in done.err


# -- add, update -------------------------------------------------------------------


def test_what_is_added_is_kept_to_the_byte(desk: Desk) -> None:
    path = desk.folder / "scout.md"
    path.write_bytes(b"---\r\nname: scout\r\ndescription: Looks  around\r\n---\r\nYou are\ta scout.")
    desk.definitions("add", path)

    shown = desk.definitions("show", "scout", "--version", 1, "--json").document

    assert shown["content"].encode() == path.read_bytes()


def test_the_formats_of_others_are_taken_too(desk: Desk) -> None:
    copilot = desk.write("project/.github/agents/tester.agent.md", "description: Tests")
    codex = desk.project / ".codex" / "agents" / "coder.toml"
    codex.parent.mkdir(parents=True)
    codex.write_text('name = "coder"\ndescription = "Codes"\ndeveloper_instructions = "You code."\n')

    assert desk.definitions("add", copilot, codex).out == "added tester, version 1\nadded coder, version 1\n"

    assert desk.definitions("show", "coder", "--version", 1, "--json").document["body"] == "You code."


def test_of_several_files_none_is_added_if_one_is_no_good(desk: Desk) -> None:
    good, known = desk.agent("good"), added(desk, "known")
    broken = desk.write("broken.md", "name: broken")

    for bad in (broken, known, desk.folder / "nowhere.md", desk.write("twin.md", "name: good", "description: Two")):
        done = desk.definitions("add", good, bad)
        assert (done.code, done.out) == (1, "")
        assert done.err.count("\n") == 1

    assert "the store has no definition 'good'" in desk.definitions("history", "good").err


def test_adding_what_is_there_says_how_to_make_a_new_version(desk: Desk) -> None:
    path = added(desk)

    done = desk.definitions("add", path)

    assert done.code == 1
    assert "definition 'scout' is in the store already, in version 1; agentreg definitions update FILE" in done.err


def test_an_update_makes_a_version_and_the_same_content_none(desk: Desk) -> None:
    path = added(desk)
    assert desk.definitions("update", path).out == "unchanged scout, version 1\n"
    desk.agent("scout", body="Look twice.")

    assert desk.definitions("update", path, "--replaces", 1).out == "updated scout, version 2\n"

    assert versions(desk) == [(1, "created", None), (2, "updated", None)]


def test_who_replaces_a_version_that_is_not_the_latest_is_refused(desk: Desk) -> None:
    path = added(desk)
    desk.agent("scout", body="second")
    desk.definitions("update", path)
    desk.agent("scout", body="third")

    done = desk.definitions("update", path, "--replaces", 1)

    assert (done.code, done.out) == (1, "")
    assert "definition 'scout' is at version 2, not at 1 which was to be replaced: nothing was changed" in done.err
    assert len(versions(desk)) == 2


def test_an_update_of_what_is_not_there_names_the_nearest(desk: Desk) -> None:
    added(desk)

    done = desk.definitions("update", desk.agent("scuot"))

    assert done.code == 1
    assert "the nearest names are 'scout'" in done.err


def test_tags_and_status_are_kept_beside_the_content(desk: Desk) -> None:
    path = desk.agent("scout", "tags: [own]")
    desk.definitions("add", path, "--tag", "mine", "--tag", "yours")

    told = desk.definitions("update", path, "--status", "deprecated", "--json").document["definitions"][0]

    assert told["tags"] == ["own", "mine", "yours"]
    assert told["status"] == "deprecated"


# -- history, diff ------------------------------------------------------------------


def test_the_history_shows_versions_and_what_each_changed(desk: Desk) -> None:
    path = added(desk, body="first")
    desk.agent("scout", body="second")
    desk.definitions("update", path)

    lines = desk.definitions("history", "scout", "--diff").out.splitlines()

    assert [line.split()[:2] for line in lines[:3]] == [["VERSION", "CHANGE"], ["1", "created"], ["2", "updated"]]
    assert lines[3:6] == ["", "--- scout version 1", "+++ scout version 2"]
    assert {"-first", "+second", " ---"} <= set(lines[6:])


def test_a_diff_is_of_the_last_two_versions_or_of_those_that_are_named(desk: Desk) -> None:
    path = added(desk, body="first")
    for body in ("second", "third"):
        desk.agent("scout", body=body)
        desk.definitions("update", path)

    def changed(*numbers: int) -> list[str]:
        lines: list[str] = desk.definitions("diff", "scout", *numbers, "--json").document["diff"]
        return [line for line in lines[2:] if line[0] in "+-"]

    assert changed() == ["-second", "+third"]
    assert changed(1) == ["-first", "+third"]
    assert changed(3, 1) == ["-third", "+first"]
    assert desk.definitions("diff", "scout", 2, 2).out == "versions 2 and 2 of scout are the same\n"
    assert "has no version 4; it has 3 versions, 1 to 3" in desk.definitions("diff", "scout", 4).err


def test_a_diff_shows_ends_of_lines_and_of_files_and_no_tricks(desk: Desk) -> None:
    path = added(desk, body="same")
    path.write_bytes(path.read_bytes().replace(b"same\n", b"same\r\n\x1b[2J\xe2\x80\xae"))
    desk.definitions("update", path)

    lines = desk.definitions("diff", "scout").out.splitlines()

    assert lines[-4:] == ["-same", "+same\\r", "+\\x1b[2J\\u202e", "\\ No newline at end of file"]


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
def test_on_a_terminal_a_diff_is_red_and_green(desk: Desk) -> None:
    pytest.importorskip("rich")
    path = added(desk, body="first")
    desk.agent("scout", body="second [bold]")
    desk.definitions("update", path)

    screen = on_a_terminal("definitions", "diff", "scout")

    assert "\x1b[31m-first\x1b[0m" in screen
    assert "\x1b[32m+second [bold]\x1b[0m" in screen


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
def test_on_a_terminal_a_listing_is_a_table_if_rich_is_there(desk: Desk) -> None:
    pytest.importorskip("rich")
    added(desk)

    listed = ("definitions", "list", "--project", str(desk.project), "--home", str(desk.home))

    assert "────" in on_a_terminal(*listed)
    assert "\x1b" not in on_a_terminal(*listed, block="rich")


def on_a_terminal(*arguments: str, block: str = "") -> str:
    """What the command draws on a terminal."""
    import contextlib
    import subprocess

    screen, terminal = os.openpty()
    hide = f"sys.modules[{block!r}] = None; " if block else ""
    program = f"import sys; {hide}from agentreg.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    environment.pop("NO_COLOR", None)
    output = b""
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=terminal, env=environment) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while data := os.read(screen, 65536):
                output += data
    os.close(screen)
    assert process.returncode == 0
    return output.decode()


# -- rollback, remove -----------------------------------------------------------------


def test_a_rollback_brings_a_version_back_as_a_new_one(desk: Desk) -> None:
    path = added(desk, body="first")
    desk.agent("scout", body="second")
    desk.definitions("update", path)

    assert desk.definitions("rollback", "scout", 1).out == "version 1 is back: scout, version 3\n"

    assert versions(desk)[-1] == (3, "rolled back", 1)
    assert desk.look("show", "scout", "--json").document["body"] == "first"


def test_a_rollback_to_what_never_was_is_refused(desk: Desk) -> None:
    added(desk)

    done = desk.definitions("rollback", "scout", 7)

    assert done.code == 1
    assert "definition 'scout' has no version 7; agentreg definitions history lists them" in done.err


def test_what_was_removed_comes_back_and_what_was_purged_does_not(desk: Desk) -> None:
    added(desk)

    assert "its history stays" in desk.definitions("remove", "scout").out
    assert desk.definitions("remove", "scout").code == 1
    assert desk.definitions("rollback", "scout", 1).code == 0
    assert desk.definitions("remove", "scout", "--purge").out == "purged scout with every version\n"
    assert desk.definitions("rollback", "scout", 1).code == 1


# -- migrate ----------------------------------------------------------------------------


def test_migrating_a_folder_twice_changes_nothing(desk: Desk) -> None:
    desk.agent("scout")
    desk.agent("cook")

    first = desk.definitions("migrate", desk.agents)
    second = desk.definitions("migrate", desk.agents)

    assert (first.code, second.code) == (0, 0)
    assert first.out.splitlines()[-1] == "2 created, 0 updated, 0 unchanged, 0 refused"
    assert second.out.splitlines()[-1] == "0 created, 0 updated, 2 unchanged, 0 refused"


def test_a_file_that_can_not_be_migrated_is_told_and_the_others_are_copied(desk: Desk) -> None:
    desk.agent("scout")
    broken = desk.write("broken.md", "name: broken")

    done = desk.definitions("migrate", desk.agents, "--json")

    assert done.code == 1
    outcomes = {Path(each["path"]).name: each["outcome"] for each in done.document["files"]}
    assert outcomes == {"scout.md": "created", "broken.md": "refused"}
    assert any(str(broken) in each["reason"] for each in done.document["files"])


def test_the_format_of_a_folder_is_seen_by_its_path(desk: Desk) -> None:
    desk.write("project/.github/agents/tester.agent.md", "description: Tests")
    desk.write("project/.github/agents/README.md", "name: x", "description: not an agent there")

    done = desk.definitions("migrate", desk.project / ".github" / "agents")

    assert done.out.splitlines()[-1] == "1 created, 0 updated, 0 unchanged, 0 refused"


def test_what_can_not_be_migrated_at_all_is_bad_usage(desk: Desk) -> None:
    assert desk.definitions("migrate", desk.folder / "nowhere").code == 2
    assert "the families are" in desk.definitions("migrate", desk.agents, "--family", "dance").err
