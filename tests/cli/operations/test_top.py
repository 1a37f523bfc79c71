"""`agentreg top`: the board, the keys, the picture, and real terminals."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentreg
from agentreg.cli.client.calling import Caller
from agentreg.cli.operations.top.board import Board
from agentreg.cli.operations.top.collecting import Collector
from agentreg.cli.operations.top.columns import COLUMNS
from agentreg.cli.operations.top.controls import Controls, keys_in
from agentreg.cli.operations.top.picture import picture, sparkline
from agentreg.cli.operations.top.plain import lines_of
from tests.cli.operations.conftest import Call
from tests.cli.operations.small_operations import SmallOperations

PATIENCE = 60.0
KEYS = st.sampled_from(["s", "S", "r", "/", "x", "up", "down", "page up", "page down", "home", "end", "enter", "escape",
                        "backspace", "left", "right", " ", "é"])  # fmt: skip


def agent(name: str, **fields: object) -> dict[str, Any]:
    return {"id": f"id-{name}", "name": name, "status": "active", "heartbeat_age": 1.0, **fields}


def board(count: int = 3) -> Board:
    names = [f"agent-{number}" for number in range(count)]
    cpu = {f"id-{name}": number / 10 for number, name in enumerate(names) if number % 3 != 2}
    return Board(agents=[agent(name) for name in names], latest={"cpu_utilization": cpu})


def names(rows: Any) -> list[str]:
    return [row["name"] for row in rows]


# -- the board ------------------------------------------------------------------------


def test_the_busiest_come_first_and_those_of_whom_nothing_is_known_last() -> None:
    assert names(board(5).rows("cpu")) == ["agent-4", "agent-3", "agent-1", "agent-0", "agent-2"]
    assert names(board(5).rows("cpu", reverse=True)) == ["agent-0", "agent-1", "agent-3", "agent-4", "agent-2"]
    assert names(board(3).rows("name")) == ["agent-0", "agent-1", "agent-2"]


def test_who_is_stopped_is_counted_but_not_listed() -> None:
    there = Board(agents=[agent("a"), agent("b", status="stopped"), agent("c", status="stale")])

    assert names(there.rows("name")) == ["a", "c"]
    assert there.counts() == {"active": 1, "stopped": 1, "stale": 1}


@pytest.mark.parametrize(("wanted", "found"), [("A", ["a"]), ("stale", ["c"]), ("id-", ["a", "c"]), ("zz", [])])
def test_a_filter_looks_at_name_id_and_status(wanted: str, found: list[str]) -> None:
    there = Board(agents=[agent("a", status="x"), agent("c", status="stale", id="id-q")])
    if wanted == "A":
        there = Board(agents=[agent("a", id="1", status="x"), agent("c", id="2", status="y")])

    assert names(there.rows("name", wanted=wanted)) == found


def test_alerts_are_counted_for_their_agents_and_the_worst_come_first() -> None:
    alerts = [
        {"rule": "one", "agent": "id-a", "state": "firing", "severity": "warning", "fired_at": "2024-01-02T00:00:00Z"},
        {"rule": "two", "agent": "id-a", "state": "firing", "severity": "critical", "fired_at": "2024-01-01T00:00:00Z"},
        {"rule": "three", "agent": "id-b", "state": "pending", "severity": "critical"},
    ]
    there = Board(agents=[agent("a"), agent("b")], alerts=alerts)

    assert [each["rule"] for each in there.firing()] == ["two", "one"]
    assert [row["alerts"] for row in there.rows("alerts")] == [2, None]


def test_the_total_of_queues_is_their_sum_and_of_the_rest_the_mean() -> None:
    there = Board(latest={"task_queue_length": {"a": 3, "b": 4}, "memory_usage": {"a": 0.25, "b": 0.75}})

    assert (there.total("task_queue_length"), there.total("memory_usage"), there.total("error_rate")) == (7, 0.5, None)


# -- keys -----------------------------------------------------------------------------


def test_keys_are_read_from_what_terminals_send() -> None:
    text = "s\x1b[A\x1bOB\x1b[5~\x1b[200~\x1b[1;5C\x7f\r\x1b"

    assert [key for key in keys_in(text) if not key.startswith("\x1b")] == [
        "s", "up", "down", "page up", "backspace", "enter", "escape",
    ]  # fmt: skip


def test_sorting_goes_through_all_columns_and_back() -> None:
    controls = Controls("name")
    for _ in COLUMNS:
        controls.press("s")
    assert controls.sort == "name"

    controls.press("S")

    assert controls.sort == list(COLUMNS)[-1]


def test_a_filter_is_typed_kept_with_enter_and_dropped_with_escape() -> None:
    controls = Controls()
    for key in ["/", "q", "s", "x", "backspace", "enter"]:
        controls.press(key)
    kept, done = controls.wanted, controls.done
    controls.press("escape")

    assert (kept, done, controls.typing, controls.wanted) == ("qs", False, False, "")


def test_arrows_scroll_no_further_than_there_are_rows() -> None:
    controls = Controls("name")
    shown = picture(board(30), controls, page=10)
    for key in ("down", "page down", "end"):
        controls.press(key)
        shown = picture(board(30), controls, page=10)
    last = [row[0] for row in shown.rows]
    controls.press("up")

    assert last[-1] == "agent-9"
    assert len(last) == 10
    assert picture(board(30), controls, page=10).footer.startswith("20 to 29 of 30")
    controls.press("home")
    assert picture(board(30), controls, page=10).footer.startswith("1 to 10 of 30")


@given(st.lists(KEYS, max_size=40), st.integers(0, 12), st.integers(1, 15), st.integers(1, 200))
def test_whatever_is_pressed_there_is_a_picture_that_fits(keys: list[str], count: int, page: int, width: int) -> None:
    controls = Controls()
    for key in keys:
        controls.press(key)
        shown = picture(board(count), controls, page)
        lines = list(lines_of(shown, width))

        assert len(shown.rows) <= page
        assert all(len(line) <= width for line in lines)
        assert bool(shown.rows) == bool(board(count).rows(controls.sort, controls.reverse, controls.wanted))


@given(st.lists(st.floats(-1e12, 1e12), max_size=60))
def test_a_sparkline_has_a_bar_for_each_value(values: list[float]) -> None:
    assert len(sparkline(values)) == min(len(values), 24)


# -- one picture ------------------------------------------------------------------------


def fill(service: SmallOperations) -> None:
    for name in ("planner", "scout", "evil\x1b[2J"):
        service._register({"id": f"id-{name[:4]}", "name": name})
    service.latest = {
        "cpu_utilization": {"id-plan": 0.25, "id-scou": 0.75},
        "memory_usage": {"id-plan": 0.5},
        "task_queue_length": {"id-plan": 3, "id-scou": 4},
        "response_time": {"id-scou": 0.25},
    }
    service.burden("id-scou", 0.95)


def test_once_prints_totals_alerts_and_agents_as_text(call: Call, service: SmallOperations) -> None:
    fill(service)

    done = call("top", "--once")

    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0] == f"agentreg top: 3 agents (3 active) at {service.url}"
    assert lines[1].split() == ["cpu,", "mean", "50.0%", "▁▅█"]
    assert lines[3].split()[:3] == ["tasks", "queued", "7"]
    assert lines[6] == "! warning: high_memory: id-scou at 95%"
    assert lines[8].split() == ["AGENT", "STATUS", "CPUv", "MEMORY", "QUEUE", "RESPONSE", "ERRORS", "HEARD", "ALERTS"]
    assert [line.split()[0] for line in lines[9:12]] == ["scout", "planner", "evil\\x1b[2J"]
    assert lines[9].split()[2:7] == ["75.0%", "-", "4", "250", "ms"]
    assert lines[12].startswith("1 to 3 of 3")


def test_once_takes_a_column_a_filter_and_a_number_of_rows(call: Call, service: SmallOperations) -> None:
    fill(service)

    by_name = call("top", "--once", "--sort", "name", "--rows", "2").out.splitlines()
    found = call("top", "--once", "--filter", "plan").out.splitlines()

    assert [line.split()[0] for line in by_name[-3:-1]] == ["evil\\x1b[2J", "planner"]
    assert found[-1].startswith("1 to 1 of 1  filter: plan")


def test_where_nobody_reads_a_terminal_one_picture_is_printed(call: Call, service: SmallOperations) -> None:
    done = call("top")

    assert (done.code, done.out.splitlines()[-1][:9]) == (0, "no agents")


# -- the collector ----------------------------------------------------------------------


def test_the_board_follows_the_service_and_says_when_it_is_gone(service: SmallOperations) -> None:
    from tests.cli.client.small_service import Refused

    def refuse(path: str) -> None:
        raise Refused(302, "gone")

    def until(fits: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not fits(collector.board):
            assert select.select([collector.descriptor], [], [], deadline - time.monotonic())[0], collector.board
            collector.heard()

    collector = Collector(Caller(service.workspace), interval=0.01)
    with collector:
        until(lambda now: now.url and not now.agents)
        fill(service)
        until(lambda now: len(now.agents) == 3 and now.latest and now.alerts)
        service.refusing = refuse
        until(lambda now: now.trouble.startswith("no service"))
        kept = len(collector.board.agents)
        service.refusing = lambda path: None
        until(lambda now: not now.trouble)

    assert kept == 3
    assert not [each.name for each in threading.enumerate() if each.name.startswith("agentreg-top")]


# -- real terminals -----------------------------------------------------------------------

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

WITHOUT_RICH = "import sys; sys.modules['rich'] = None; "
MAIN = "import sys; from agentreg.cli import main; sys.exit(main(sys.argv[1:]))"


class Terminal:
    """The command on a terminal of its own, with what it has drawn so far."""

    def __init__(self, program: str, *arguments: str, **environment: str) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(environment, TERM="xterm", PYTHONPATH=str(Path(agentreg.__file__).parents[1]))
            os.environ.update(LINES="24", COLUMNS="110", PYTHONWARNINGS="ignore", PYTHONIOENCODING="utf-8")
            os.execv(sys.executable, [sys.executable, "-c", program, *arguments])
        self.drawn = ""

    def until(self, pattern: str) -> None:
        """Wait until something like *pattern* was drawn after the last that was waited for."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.drawn)):
            assert select.select([self.descriptor], [], [], deadline - time.monotonic())[0], self.drawn[-4000:]
            try:
                more = os.read(self.descriptor, 65_536)
            except OSError:  # it has ended
                more = b""
            assert more, self.drawn[-4000:]
            self.drawn += more.decode("utf-8", "replace")
        self.drawn = self.drawn[found.end() :]

    def press(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def settings(self) -> Any:
        settings = termios.tcgetattr(self.descriptor)
        settings[3] &= ~getattr(termios, "PENDIN", 0)
        return settings

    def end(self) -> tuple[int, str]:
        """Wait for the end: the exit status, and what was drawn at last."""
        rest = ""
        while True:
            try:
                more = os.read(self.descriptor, 65_536)
            except OSError:
                break
            if not more:
                break
            rest += more.decode("utf-8", "replace")
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), rest


@contextmanager
def terminal(program: str, service: SmallOperations, *options: str) -> Iterator[Terminal]:
    running = Terminal(program, "top", *options, AGENTREG_WORKSPACE=str(service.workspace))
    try:
        yield running
    finally:
        try:
            os.kill(running.pid, signal.SIGKILL)
            os.waitpid(running.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(running.descriptor)


def programs() -> list[Any]:
    drawn = pytest.param(
        MAIN, id="rich", marks=pytest.mark.skipif("not __import__('importlib.util').util.find_spec('rich')")
    )
    return [drawn, pytest.param(WITHOUT_RICH + MAIN, id="plain")]


@pytest.mark.parametrize("program", programs())
def test_keys_change_the_live_picture_and_q_gives_the_terminal_back(program: str, service: SmallOperations) -> None:
    fill(service)
    with terminal(program, service) as running:
        before = running.settings()
        running.until("q quit")
        assert running.settings() != before
        running.press("s")
        running.until("MEMORYv")
        running.press("/plan")
        running.until("filter: plan_")
        running.press("\r")
        running.until("1 to 1 of 1")
        running.press("q")
        code, rest = running.end()

        assert code == 0
        assert rest.rfind("\x1b[?1049l") > rest.rfind("\x1b[?1049h")
        assert "\x1b[?25h" in rest


@pytest.mark.parametrize("program", programs())
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_the_terminal_back_too(program: str, number: int, service: SmallOperations) -> None:
    fill(service)
    with terminal(program, service) as running:
        running.until("q quit")
        os.kill(running.pid, number)
        code, rest = running.end()

        assert code == 0
        assert "\x1b[?1049l" in rest
        assert "\x1b[?25h" in rest
        assert "Traceback" not in rest


def test_ctrl_c_ends_it_and_ctrl_z_and_ctrl_backslash_do_nothing(service: SmallOperations) -> None:
    fill(service)
    with terminal(WITHOUT_RICH + MAIN, service) as running:
        running.until("q quit")
        running.press("\x1a\x1cr")
        running.until(r"CPU\^")
        running.press("\x03")

        assert running.end()[0] == 0


def test_who_has_no_operations_is_told_before_the_terminal_is_taken(service: SmallOperations) -> None:
    service.is_off = True
    with terminal(MAIN, service) as running:
        code, rest = running.end()

        assert code == 1
        assert "operations are off" in rest
        assert "\x1b[?1049h" not in rest
