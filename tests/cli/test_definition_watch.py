"""`agentreg definitions watch`: changes as they come, in a process of its own."""

from __future__ import annotations

import json
import sys

import pytest

from tests.cli.conftest import Desk
from tests.cli.streaming import Streaming

pytest.importorskip("watchfiles")


def watching(desk: Desk, *options: str) -> Streaming:
    stream = Streaming("definitions", "watch", "--project", desk.project, "--home", desk.home, *options)
    stream.until("watching 1 folder with")
    return stream


def test_files_that_come_change_break_move_and_go_are_told_in_turn(desk: Desk) -> None:
    with watching(desk) as stream:
        path = desk.agent("scout")
        assert f"registered scout: {path}" in stream.until("scout")
        desk.agent("scout", body="Look twice.")
        assert f"updated scout: {path}" in stream.until("scout")
        desk.write("scout.md", "name: scout")
        assert f"refused scout: the last good one stays; {path}:2:1: " in stream.until("scout")
        desk.agent("scout", body="Look thrice.")
        stream.until("updated scout")
        path.rename(desk.agents / "other.md")
        assert f"moved scout from {path} to {desk.agents / 'other.md'}" in stream.until("scout")
        (desk.agents / "other.md").unlink()
        assert "deregistered scout" in stream.until("scout")


def test_a_new_file_that_is_broken_is_told_too(desk: Desk) -> None:
    with watching(desk) as stream:
        path = desk.write("broken.md", "name: broken")

        assert f"refused {path}:2:1: the description is missing" in stream.until("refused")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_ctrl_c_ends_it_with_130_and_one_line(desk: Desk) -> None:
    with watching(desk) as stream:
        assert stream.interrupt() == 130

        assert stream.lines[-1] == "agentreg definitions watch: interrupted"
        assert len(stream.lines) == 2


def test_as_json_each_change_is_one_line(desk: Desk) -> None:
    with watching(desk, "--json") as stream:
        path = desk.agent("scout")

        change = json.loads(stream.until("{"))

        assert (change["type"], change["name"], change["path"]) == ("registered", "scout", str(path))
        assert change["definition"]["description"] == "Looks around"


def test_hostile_names_are_told_harmlessly(desk: Desk) -> None:
    with watching(desk) as stream:
        desk.write("evil.md", 'name: "\\e[31m\\u202eevil"', "description: x")

        assert "registered \\x1b[31m\\u202eevil: " in stream.until("evil")


def test_the_store_is_watched_too(desk: Desk) -> None:
    path = desk.write("elsewhere/scout.md", "name: scout", "description: Looks around")
    desk.definitions("add", path)
    with watching(desk) as stream:
        path.write_text(path.read_text() + "more\n")
        desk.definitions("update", path)

        assert "updated scout: registry://scout" in stream.until("updated")
