"""Rules and silences: what holds, and how rules are changed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from agentreg.cli.agents import caller_of
from agentreg.cli.client.listing import duration
from agentreg.cli.errors import DONE
from agentreg.cli.operations.asking import age_of, ask, items, place
from agentreg.cli.printing import note, one_line, say, say_document, say_table

__all__ = ["add", "remove", "rules", "silences"]

RULES = ("name", "rule", "severity", "metric")
SILENCES = ("id", "rule", "agent", "for", "by", "reason")


def rules(arguments: argparse.Namespace) -> int:
    """Print the rules."""
    keys = ("name", "expression", "severity", "metric")
    _show(arguments, "rules", RULES, lambda each: _texts(each, *keys))
    return DONE


def silences(arguments: argparse.Namespace) -> int:
    """Print the silences that hold."""
    now = time.time()
    _show(arguments, "silences", SILENCES, lambda each: _silence(each, now))
    return DONE


def add(arguments: argparse.Namespace) -> int:
    """Watch one more rule, and print it as it was understood."""
    body = {"name": arguments.name, "expression": arguments.expression}
    answer = ask(caller_of(arguments), "POST", place("alerts", "rules"), body).document
    say(one_line(f"{answer.get('name', arguments.name)}: {answer.get('expression', arguments.expression)}"))
    return DONE


def remove(arguments: argparse.Namespace) -> int:
    """Watch a rule no more."""
    ask(caller_of(arguments), "DELETE", place("alerts", "rules", arguments.name))
    return DONE


def _show(arguments: argparse.Namespace, what: str, head: tuple[str, ...], row: Any) -> None:
    """Print one list of the answer: as JSON, or as a table."""
    found = items(ask(caller_of(arguments), "GET", place("alerts", state="active")).document, what)
    if arguments.json:
        say_document({what: found, "count": len(found)})
    elif found:
        say_table(head, [row(each) for each in found])
    else:
        note(f"no {what}")


def _silence(each: Mapping[str, Any], now: float) -> list[str]:
    age = age_of(each.get("until"), now)
    left = "-" if age is None else duration(max(0.0, -age))
    return [*_texts(each, "id", "rule", "agent"), left, *_texts(each, "by", "reason")]


def _texts(each: Mapping[str, Any], *keys: str) -> list[str]:
    return [_text(each.get(key)) for key in keys]


def _text(value: object) -> str:
    return "-" if value is None or value == "" else one_line(str(value))
