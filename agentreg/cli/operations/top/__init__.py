"""``agentreg top``: agents and what they use, live on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from agentreg.cli.errors import DONE
from agentreg.cli.operations.parsers import add_verb, positive
from agentreg.cli.operations.top.columns import COLUMNS

__all__ = ["add_commands"]

DESCRIPTION = """\
Show the agents with what they use and how they do, the totals over the last minutes, and the alerts that fire; anew
when something happens, and every second. Keys: s and S sort by the next or previous column, r reverses, / filters by
name, id or status (Enter keeps it, Esc drops it), arrows and Page Up/Down scroll, q quits. Without a terminal, or with
--once, one picture is printed as text.
"""
WIDTH = 120  # of a picture that nobody gives a width to


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser = add_verb(commands, "top", "agents and what they use, live on a terminal", run, DESCRIPTION)
    parser.add_argument("--once", action="store_true", help="print one picture and end")
    parser.add_argument(
        "--sort", choices=tuple(COLUMNS), default="cpu", help="the column to sort by at first (default: cpu)"
    )
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="only agents in whose name, id or status it stands"
    )
    parser.add_argument("--rows", type=_rows, metavar="N", help="with --once: print at most N agents (default: all)")
    parser.add_argument(
        "--interval", type=positive, default=1.0, metavar="SECONDS", help="between two pictures (default: 1)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the picture until somebody has had enough."""
    from agentreg.cli.agents import caller_of
    from agentreg.cli.operations.top.collecting import Collector
    from agentreg.cli.operations.top.controls import Controls
    from agentreg.cli.operations.top.live import show
    from agentreg.cli.operations.top.picture import picture
    from agentreg.cli.operations.top.plain import lines_of
    from agentreg.cli.printing import say

    collector = Collector(caller_of(arguments), arguments.interval)
    collector.refresh()  # who has no operations is told before the terminal is taken
    controls = Controls(arguments.sort, arguments.filter)
    if not arguments.once and _is_screen():
        show(collector, controls, arguments.interval)
        return DONE
    for line in lines_of(picture(collector.board, controls, arguments.rows), _width()):
        say(line)
    return DONE


def _is_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "", None)


def _width() -> int:
    return os.get_terminal_size().columns if sys.stdout.isatty() else WIDTH


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 1 << 31):
        raise argparse.ArgumentTypeError(f"expected how many agents, a whole number from 1 up, got {text!r}")
    return int(text)
