"""The demo's table of who is registered, on terminals of any size."""

from __future__ import annotations

import io

import pytest

pytest.importorskip("rich")

from rich.console import Console

from agentreg import AgentRegistered, PoolRegistered
from agentreg.demo.board import Board
from agentreg.demo.live import LiveView
from agentreg.extensions.load_balancing import LoadBalancedRegistry
from agentreg.testing import isolated_registry


def picture(agents: list[str], busy: dict[str, str], *, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the table when *agents* are registered and *busy* ones read a file."""
    stream = io.StringIO()
    view = LiveView(Console(file=stream, width=width, height=height))
    board = Board()
    view.open("a demo", board)
    stream.truncate(0)
    for revision, name in enumerate(agents):
        board.hear(AgentRegistered(name, "Analyst", revision))
    board.hear(PoolRegistered("analyst", "AgentPool", len(agents)))
    board.files.update(busy)
    board.found, board.read = 10, 3
    for name in busy:
        LoadBalancedRegistry.start_task(name)
    view.console.print(view.picture())
    return stream.getvalue().lstrip("\0").splitlines()


def test_every_agent_has_a_row_with_what_it_does() -> None:
    with isolated_registry():
        lines = picture(["analyst_0", "analyst_1"], {"analyst_1": "a.py"})

    text = "\n".join(lines)
    assert "registered now: 2 agents, 1 pool" in text
    assert "○ analyst_0" in text
    assert "● analyst_1  reads a.py" in text
    assert "3 of 10 files read" in text


@pytest.mark.parametrize("height", [12, 24, 40])
def test_it_fits_on_the_screen_and_the_busy_ones_stay_in_view(height: int) -> None:
    agents = [f"analyst_{number}" for number in range(64)]
    with isolated_registry():
        lines = picture(agents, {"analyst_60": "a.py", "analyst_63": "b.py"}, height=height)

    text = "\n".join(lines)
    assert len(lines) <= height
    assert "analyst_60" in text
    assert "analyst_63" in text
    assert "more" in text


def test_it_leaves_room_at_the_edge_for_what_the_terminal_echoes() -> None:
    with isolated_registry():
        lines = picture(["analyst_0"], {}, width=80)

    assert max(map(len, lines)) <= 77


def test_a_narrow_terminal_gets_a_narrow_table() -> None:
    with isolated_registry():
        lines = picture(["analyst_0"], {"analyst_0": "a/very/long/path/to/a/file/that/does/not/fit.py"}, width=40)

    assert max(map(len, lines)) <= 40
