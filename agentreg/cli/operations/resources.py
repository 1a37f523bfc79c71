"""``agentreg resources``: what agents were given of memory and processors, and who waits."""

from __future__ import annotations

from typing import Any

from agentreg.cli.operations.parsers import add_json, add_verb, late

__all__ = ["add_commands"]

DESCRIPTION = """\
Print the budget of memory and processors, the hosts with what agents were given there, who waits and why, and what is
advised: to scale up or down, or to move agents so that the free memory is in one piece.
"""


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    run = late("agentreg.cli.operations.budget")
    add_json(add_verb(commands, "resources", "what agents were given of memory and processors", run, DESCRIPTION))
