"""The demo of alerts: its readers, its pages, and the whole of it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from agentreg import AgentRegistry
from agentreg.demo.alerting import Assignment, perform
from agentreg.demo.alerting.readers import CAPACITY, LEAKY, PAGE, NotebookFull, Reader, pages_of
from agentreg.demo.alerting.scene import Lane, Scene
from agentreg.demo.alerting.views import AlertingView, PlainAlerting
from agentreg.demo.stage import DemoFailed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "module.py"
    file.write_text("".join(f"x{number} = {number}\n" for number in range(100)))
    return file


def read(reader: Reader, *pages: list[str]) -> list[int]:
    return [asyncio.run(reader.run(page)) for page in pages]


# -- the readers ------------------------------------------------------------------------


def test_a_reader_counts_lines_that_come_again_within_a_page() -> None:
    assert read(Reader("tidy"), ["a", "b", "a"], ["a"]) == [1, 0]


def test_a_leaky_reader_never_forgets_a_line() -> None:
    reader = Reader("leaky", leaky=True)

    assert read(reader, ["a", "b", "a"], ["a"]) == [1, 1]
    assert reader.notebook == ["a", "b", "a", "a"]


def test_a_notebook_has_an_end() -> None:
    reader = Reader("leaky", leaky=True)
    reader.notebook = ["x"] * CAPACITY

    with pytest.raises(NotebookFull, match="no room for more than 25,000 lines"):
        read(reader, ["x"])


def test_pages_are_all_as_long_and_hardly_two_lines_are_the_same(source: Path) -> None:
    pages = list(itertools.islice(pages_of([source]), 3))

    assert [len(page) for page in pages] == [PAGE] * 3
    assert len(set(itertools.chain.from_iterable(pages))) == 3 * PAGE


# -- the scene --------------------------------------------------------------------------


def test_what_happened_is_a_table_of_when_what_and_why() -> None:
    now = 100.0
    scene = Scene(clock=lambda: now)
    now = 102.5
    scene.note("slow fires for", "reader-2", "it was slow")

    assert scene.rows() == [("  2.5 s", "slow fires for reader-2: it was slow")]


def test_response_times_of_nobody_s_lane_are_left_out() -> None:
    scene = Scene(lanes={"reader-1": Lane()})
    scene.measured({"reader-1": 0.25, "stranger": 1.0})

    assert list(scene.lanes["reader-1"].times) == [0.25]


# -- all of it --------------------------------------------------------------------------


def test_an_alert_fires_the_agent_is_restarted_and_the_alert_ends(source: Path) -> None:
    before = AgentRegistry.names()

    scene = perform(Assignment(source), AlertingView())

    told = [each.what for each in scene.happenings if each.agent == LEAKY]
    assert told[0] in ("slow fires for", "failing fires for")
    assert "recovery of" in told
    assert told[-1] in ("slow is over for", "failing is over for")
    assert any("in its notebook" in each.why for each in scene.happenings)
    assert scene.lanes[LEAKY].slowest > 0.025
    assert AgentRegistry.names() == before


def test_the_story_is_told_in_plain_lines(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    perform(Assignment(source), PlainAlerting())

    text = capsys.readouterr().out
    for heading in ("1. AGENTS", "2. METRICS AND RULES", "3. ALERT", "4. RECOVERY", "5. METRICS AGAIN"):
        assert heading in text
    assert "slow: response_time > 25ms avg for 1s" in text
    assert "step 'restart it by its factory' took" in text


def test_where_there_is_no_line_to_read_it_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.touch()

    with pytest.raises(DemoFailed, match="there is not a single line to read"):
        perform(Assignment(empty), AlertingView())
