"""``agentreg decisions``: what waits for somebody's decision, and the answer."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from agentreg.cli.errors import DONE
from agentreg.cli.operations.parsers import add_by, add_json, add_verb, show_usages

__all__ = ["add_commands"]

DESCRIPTION = """\
Print what waits for somebody's decision: the question, the choices, and what is chosen if nobody answers in time.
"""
HEAD = ("id", "kind", "about", "question", "choices", "otherwise", "in")


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser = add_verb(commands, "decisions", "what waits for somebody's decision", _list, DESCRIPTION)
    add_json(parser)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", help="what to do (default: list them)")
    answer = add_verb(verbs, "answer", "answer one of them", _answer, nested=True)
    answer.add_argument("id", metavar="ID", help="the decision's id")
    answer.add_argument("choice", metavar="CHOICE", help="one of its choices")
    answer.add_argument("--reason", default=None, metavar="TEXT", help="why; it is kept, and agentreg why prints it")
    add_by(answer)
    show_usages(parser, [answer])


def _list(arguments: argparse.Namespace) -> int:
    from agentreg.cli.agents import caller_of
    from agentreg.cli.operations.asking import ask, items, place, say_answer
    from agentreg.cli.printing import note, say_table

    answer = ask(caller_of(arguments), "GET", place("decisions", "pending"))
    if arguments.json:
        say_answer(answer)
        return DONE
    now = time.time()
    rows = [_row(each, now) for each in items(answer.document, "pending")]
    if rows:
        say_table(HEAD, rows)
    else:
        note("nothing waits for a decision")
    return DONE


def _row(each: Mapping[str, Any], now: float) -> list[str]:
    from agentreg.cli.client.listing import duration
    from agentreg.cli.operations.asking import age_of

    age = age_of(each.get("deadline"), now)
    left = "-" if age is None else duration(max(0.0, -age))
    choices = each.get("choices")
    texts = [str(each.get(key) or "-") for key in ("id", "kind", "subject", "question")]
    listed = ", ".join(map(str, choices)) if isinstance(choices, list) else "-"
    return [*texts, listed, str(each.get("default") or "-"), left]


def _answer(arguments: argparse.Namespace) -> int:
    from agentreg.cli.agents import caller_of
    from agentreg.cli.operations.asking import ask, place, who
    from agentreg.cli.printing import one_line, say

    body = {"choice": arguments.choice, "by": who(arguments.by)}
    if arguments.reason is not None:
        body["reason"] = arguments.reason
    ask(caller_of(arguments), "POST", place("decisions", arguments.id, "answer"), body)
    say(one_line(f"{arguments.id}: {arguments.choice}"))
    return DONE
