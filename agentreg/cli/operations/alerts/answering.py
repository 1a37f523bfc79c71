"""What people do about alerts: see them, silence them."""

from __future__ import annotations

import argparse
from typing import Any

from agentreg.cli.agents import caller_of
from agentreg.cli.errors import DONE
from agentreg.cli.operations.asking import ask, place, who
from agentreg.cli.printing import one_line, say

__all__ = ["acknowledge", "silence", "unsilence"]


def acknowledge(arguments: argparse.Namespace) -> int:
    """Say that somebody has seen an alert."""
    body = _given(by=who(arguments.by), note=arguments.note)
    alert = ask(caller_of(arguments), "POST", place("alerts", arguments.id, "acknowledge"), body).document
    whose = alert.get("agent_name") or alert.get("agent") or "-"
    say(one_line(f"{arguments.id}: {alert.get('rule')} of {whose} was seen by {body['by']}"))
    return DONE


def silence(arguments: argparse.Namespace) -> int:
    """Silence alerts for a while, and print the silence's id."""
    body = _given(
        rule=arguments.rule,
        agent=arguments.agent,
        until=arguments.until,
        by=who(arguments.by),
        reason=arguments.reason,
        **{"for": arguments.span},
    )
    answer = ask(caller_of(arguments), "POST", place("alerts", "silences"), body).document
    say(one_line(str(answer.get("id"))))
    return DONE


def unsilence(arguments: argparse.Namespace) -> int:
    """End a silence."""
    ask(caller_of(arguments), "DELETE", place("alerts", "silences", arguments.id))
    return DONE


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
