"""``agentreg stats``: how all agents do together."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from agentreg.cli.errors import DONE
from agentreg.cli.operations.parsers import add_json, add_verb

__all__ = ["add_commands", "lines_of"]

DESCRIPTION = """\
Print how many agents there are and what they do, how much of memory and processors they use, how long tasks take and
how many succeed, and who is best. A figure that nobody has reported is shown as -.
"""

_ROWS = (
    ("resource_utilization", "memory", "memory"),
    ("resource_utilization", "cpu", "processors"),
    ("resource_utilization", "task_queue", "queue"),
    ("performance_metrics", "avg_response_time", "response time"),
    ("performance_metrics", "success_rate", "success rate"),
    ("performance_metrics", "uptime", "uptime"),
)
_WIDTH = 15


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    add_json(add_verb(commands, "stats", "how all agents do together", run, DESCRIPTION))


def run(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    from agentreg.cli.agents import caller_of
    from agentreg.cli.operations.asking import ask, place, say_answer
    from agentreg.cli.printing import say

    answer = ask(caller_of(arguments), "GET", place("stats"))
    if arguments.json:
        say_answer(answer)
        return DONE
    for line in lines_of(answer.document):
        say(line)
    return DONE


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """A line for each figure of ``GET /registry/stats``.

    >>> for line in lines_of({"agent_counts": {"total": 3, "active": 2, "idle": 1}, "top_performers": [{"a": "1 s"}]}):
    ...     print(line)
    agents         3: 2 active, 1 idle
    memory         -
    processors     -
    queue          -
    response time  -
    success rate   -
    uptime         -
    best           a: 1 s
    """
    counts = _part(document, "agent_counts")
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items() if state != "total" and _is(count))
    total = counts.get("total")
    yield _row("agents", f"{total:,}" if isinstance(total, int) else "-", states)
    for part, key, name in _ROWS:
        value = _part(document, part).get(key)
        yield _row(name, "-" if value is None else str(value))
    best = document.get("top_performers")
    for each in best if isinstance(best, list) else ():
        for name, what in each.items() if isinstance(each, dict) else ():
            yield _row("best", f"{name}: {what}")


def _row(name: str, value: str, more: str = "") -> str:
    from agentreg.cli.printing import one_line

    return f"{name:{_WIDTH}}{one_line(value)}" + (f": {one_line(more)}" if more else "")


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _is(count: object) -> bool:
    return isinstance(count, int) and count > 0
