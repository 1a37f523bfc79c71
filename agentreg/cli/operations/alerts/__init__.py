"""``agentreg alerts``: what is wrong with which agents, and the rules that say so."""

from __future__ import annotations

import argparse
from typing import Any

from agentreg.cli.operations.parsers import add_by, add_json, add_verb, late, show_usages

__all__ = ["add_commands"]

DESCRIPTION = """\
Print the alerts that fire, and those that are about to (pending), the newest first. The verbs say that somebody has
seen one, silence some for a while, and change the rules.
"""

CODES = """\
exit codes: 0 done, 1 the service refuses it (the message says why), or something fires (--check), 2 no service, or bad
usage, 130 interrupted
"""

RULE = """\
Watch one more rule, such as 'memory_usage > 90% for 2m', 'response_time > 5s avg for 5m', 'error_rate > 10% for 1m' or
'connection_failures > 5 in 1m'. If it is not understood, the message points at the place.
"""


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser = add_verb(
        commands, "alerts", "what is wrong with which agents", late(f"{__name__}.listing", "run"), DESCRIPTION
    )
    states = parser.add_mutually_exclusive_group()
    states.add_argument("--all", action="store_true", help="also those that are resolved, the newest first")
    states.add_argument("--history", action="store_true", help="only those that are resolved, the newest first")
    parser.add_argument("--limit", type=_count, metavar="N", help="at most N of them (default: as the service likes)")
    add_json(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--watch", action="store_true", help="go on, and print each change, until Ctrl-C")
    form.add_argument("--check", action="store_true", help="end with 1 if one fires that is not silenced: for scripts")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", help="what to do (default: list them)")
    show_usages(parser, [*_add_answers(verbs), *_add_rules(verbs)], CODES)


def _add_answers(verbs: Any) -> list[argparse.ArgumentParser]:
    """What people do about alerts."""
    ack = add_verb(
        verbs, "ack", "say that somebody has seen an alert", late(f"{__name__}.answering", "acknowledge"), nested=True
    )
    ack.add_argument("id", metavar="ID", help="the alert's id")
    ack.add_argument("--note", default=None, metavar="TEXT", help="what is being done about it")
    add_by(ack)
    silence = add_verb(
        verbs,
        "silence",
        "keep alerts from those who are told, for a while",
        late(f"{__name__}.answering", "silence"),
        nested=True,
    )
    silence.add_argument("--rule", default=None, metavar="RULE", help="only of this rule, or pattern (default: all)")
    silence.add_argument("--agent", default=None, metavar="AGENT", help="only of this agent's id, or pattern")
    until = silence.add_mutually_exclusive_group(required=True)
    until.add_argument("--for", dest="span", default=None, metavar="SPAN", help="how long, such as 30m, 1h or 2d")
    until.add_argument("--until", default=None, metavar="TIME", help="until then, in ISO 8601")
    silence.add_argument("--reason", default=None, metavar="TEXT", help="why")
    add_by(silence)
    end = add_verb(
        verbs, "unsilence", "end a silence before its time", late(f"{__name__}.answering", "unsilence"), nested=True
    )
    end.add_argument("id", metavar="ID", help="the silence's id, as agentreg alerts silences prints it")
    silences = add_verb(
        verbs, "silences", "the silences that hold", late(f"{__name__}.ruling", "silences"), nested=True
    )
    add_json(silences)
    return [ack, silence, end, silences]


def _add_rules(verbs: Any) -> list[argparse.ArgumentParser]:
    """The rules, and how they are changed."""
    rules = add_verb(verbs, "rules", "the rules that are watched", late(f"{__name__}.ruling", "rules"), nested=True)
    add_json(rules)
    add = add_verb(verbs, "add", "watch one more rule", late(f"{__name__}.ruling", "add"), RULE, nested=True)
    add.add_argument("name", metavar="NAME", help="what it is called")
    add.add_argument("expression", metavar="EXPRESSION", help="what must not be, in quotes")
    remove = add_verb(verbs, "remove", "watch a rule no more", late(f"{__name__}.ruling", "remove"), nested=True)
    remove.add_argument("name", metavar="NAME", help="a rule")
    return [rules, add, remove]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 1 << 31):
        raise argparse.ArgumentTypeError(f"expected how many, a whole number from 1 up, got {text!r}")
    return int(text)
