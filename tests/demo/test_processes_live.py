"""The table of the runtimes' agents and the events beside it, on terminals of any size."""

from __future__ import annotations

import io
import re

import pytest

pytest.importorskip("rich")

from rich.console import Console

from agentreg.demo.processes.live import LiveRuntimes
from agentreg.demo.processes.roster import Heard, Roster
from agentreg.extensions.coordination import AgentMetadata, AgentStatus, RegistryEvent, RegistryEventType
from agentreg.extensions.coordination.processes import Process


def roster_of(runtimes: int, agents: int = 3) -> Roster:
    """Everybody has come, runtime by runtime."""
    roster = Roster(tuple(f"runtime-{number + 1}" for number in range(runtimes)))
    for number, runtime in enumerate(roster.runtimes):
        for agent in (f"{runtime}-analyst-{n + 1}" for n in range(agents)):
            event = RegistryEvent(RegistryEventType.AGENT_REGISTERED, agent, runtime)
            record = AgentMetadata(agent, runtime, process=Process("here", 100 + number))
            roster.enter(Heard(0.5, event), record)
    return roster


def kill(roster: Roster, runtime: str) -> None:
    """The runtime's agents are unhealthy, and then leave."""
    at = roster.note_kill(runtime)
    change = {"old_status": AgentStatus.ACTIVE, "new_status": AgentStatus.UNHEALTHY}
    for agent in [entry.agent_id for entry in roster.entries.values() if entry.runtime_id == runtime]:
        for kind, more in (
            (RegistryEventType.AGENT_STATUS_CHANGED, change),
            (RegistryEventType.AGENT_DEREGISTERED, {"reason": "died"}),
        ):
            roster.enter(Heard(at + 0.25, RegistryEvent(kind, agent, runtime, metadata=more)), None)


def picture(roster: Roster, *, width: int = 120, height: int = 40) -> list[str]:
    stream = io.StringIO()
    view = LiveRuntimes(Console(file=stream, width=width, height=height))
    view.begin("a demo", roster)
    stream.truncate(0)
    view.console.print(view.picture())
    return stream.getvalue().lstrip("\0").splitlines()


def test_every_agent_has_a_row_with_its_process_and_what_it_does() -> None:
    roster = roster_of(2)
    roster.entries["runtime-2-analyst-1"].doing = "inner/a.py"
    roster.entries["runtime-2-analyst-1"].done = 7
    roster.found, roster.read = 10, 3

    text = "\n".join(picture(roster))

    assert "in the directory: 6 agents" in text
    assert re.search(r"runtime-2 +analyst-1 +101 +active +a\.py +7", text)
    assert "3 of 10 files read" in text


def test_who_was_killed_stays_in_view_with_the_reason_and_the_delay() -> None:
    roster = roster_of(3)
    kill(roster, "runtime-2")

    text = "\n".join(picture(roster))

    assert "in the directory: 6 agents" in text
    assert re.search(r"runtime-2 +analyst-1 +101 +left: died", text)
    assert "+ 250 ms runtime-2-analyst-1 has left: died" in text


def test_events_from_before_the_kill_have_no_delay() -> None:
    roster = roster_of(2, agents=1)
    roster.began -= 10  # they came half a second after the beginning

    roster.note_kill("runtime-2")

    assert [roster.delay(heard) for heard in roster.heard] == [None, None]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("height", [16, 24, 50])
def test_it_fits_on_the_screen_and_the_busy_ones_stay_in_view(width: int, height: int) -> None:
    roster = roster_of(8, agents=5)
    kill(roster, "runtime-2")
    roster.found = 10
    roster.entries["runtime-8-analyst-5"].doing = "a/very/long/path/to/a/file/that/does/not/fit.py"

    lines = picture(roster, width=width, height=height)

    assert len(lines) <= height
    assert max(map(len, lines)) <= width - 3  # for the ^C that a terminal echoes
    assert any("runtime-8" in line and "analyst-5" in line for line in lines) or width == 40
    assert any("more" in line for line in lines) or height == 50


def test_a_file_name_can_not_play_tricks_on_the_terminal() -> None:
    roster = roster_of(1)
    roster.entries["runtime-1-analyst-1"].doing = "a\x1b[31m[bold].py"

    text = "\n".join(picture(roster, width=132))

    assert "\x1b" not in text
    assert "a\\x1b[31m[bold].py" in text
