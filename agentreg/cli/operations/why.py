"""``agentreg why NAME``: what was decided about an agent, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentreg.cli.errors import DONE, CommandError
from agentreg.cli.operations.parsers import add_json, add_verb

if TYPE_CHECKING:
    from agentreg.cli.client.errors import NoServiceError

__all__ = ["add_commands", "decisions_file", "told"]

DESCRIPTION = """\
Print what was decided about the agent NAME, the oldest first: when, what, by whom, why, and what else could have been;
of a registration or deregistration also what became of each step. Without a service, the file of decisions is read
instead, if there is one; nothing is written.
"""

_MOST = 1000  # decisions of one answer


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser = add_verb(commands, "why", "what was decided about an agent, and why", run, DESCRIPTION)
    parser.add_argument("name", metavar="NAME", help="the name it was registered or asked for under")
    parser.add_argument("--limit", type=_count, metavar="N", help="only the latest N decisions (default: 1,000)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the decisions."""
    from agentreg.cli.printing import say, say_document

    decisions = _decisions(arguments)
    if arguments.json:
        say_document({"decisions": decisions, "count": len(decisions)})
        return DONE
    for decision in decisions:
        for line in told(decision):
            say(line)
    if not decisions:
        say(f"nothing was decided about {arguments.name!r}")
    return DONE


def told(decision: Mapping[str, Any]) -> Iterator[str]:
    """A decision as readable text: one line, and one for each step.

    >>> for line in told({"time": "2030-01-02T03:04:05Z", "kind": "name", "subject": "scout", "choice": "refused",
    ...                   "by": "policy", "strategy": "refuse", "reason": "the name is taken",
    ...                   "alternatives": ["append a suffix"], "steps": []}):
    ...     print(line)
    2030-01-02 03:04:05Z name conflict of 'scout': refused, by policy (refuse): the name is taken
      instead of: append a suffix
    """
    from agentreg.cli.printing import one_line

    kind = str(decision.get("kind"))
    what = kind if kind in ("registration", "deregistration") else f"{kind} conflict"
    yield one_line(
        f"{_when(decision)} {what} of {decision.get('subject')!r}: {decision.get('choice')}, "
        f"by {decision.get('by')} ({decision.get('strategy')}): {decision.get('reason')}"
    )
    others = decision.get("alternatives")
    if isinstance(others, list) and others:
        yield "  " + one_line(f"instead of: {', '.join(map(str, others))}")
    steps = decision.get("steps")
    for step in steps if isinstance(steps, list) else ():
        yield "  " + one_line(_step(step) if isinstance(step, Mapping) else str(step))


def _step(step: Mapping[str, Any]) -> str:
    detail, seconds = step.get("detail"), step.get("seconds")
    took = f" in {seconds:.3f} s" if isinstance(seconds, (int, float)) else ""
    return f"{step.get('name')}: {step.get('outcome')}{took}" + (f" ({detail})" if detail else "")


def _when(decision: Mapping[str, Any]) -> str:
    """To the second: ``2030-01-02T03:04:05.678Z`` is ``2030-01-02 03:04:05Z``."""
    day, _, time = str(decision.get("time")).partition("T")
    return f"{day} {time[:8]}Z"


# -- from the service, or from the file ---------------------------------------


def _decisions(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from agentreg.cli.agents import caller_of, workspace_of
    from agentreg.cli.client.errors import NoServiceError
    from agentreg.cli.operations.asking import ask, items, place

    try:
        answer = ask(
            caller_of(arguments), "GET", place("decisions", name=arguments.name, limit=arguments.limit or _MOST)
        )
    except NoServiceError as error:
        return _from_file(decisions_file(workspace_of(arguments)), arguments, error)
    found = items(answer.document, "decisions")
    return sorted(found, key=lambda each: str(each.get("time")))


def decisions_file(workspace: Path) -> Path:
    """Where the service of *workspace* keeps its decisions."""
    return workspace / "data" / "decisions.db"


def _from_file(file: Path, arguments: argparse.Namespace, away: NoServiceError) -> list[dict[str, Any]]:
    """Raises *away* if there is no file, and CommandError if it can't be read."""
    from agentreg.cli.printing import note

    if not file.is_file():
        raise away
    from agentreg.extensions.resources import DecisionLog, DecisionLogError

    note(f"no service; from {file}")
    try:
        with DecisionLog(file, read_only=True) as log:
            found = log.decisions(arguments.name)
    except DecisionLogError as error:
        raise CommandError(str(error)) from error
    latest = found[-arguments.limit :] if arguments.limit else found
    return [_as_answered(each.to_dict()) for each in latest]


def _as_answered(fields: dict[str, Any]) -> dict[str, Any]:
    """A decision of the file in the form of the service."""
    time = str(fields.pop("when")).replace("+00:00", "Z")
    answered: dict[str, Any] = json.loads(json.dumps({"time": time, **fields}))
    return answered


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 1 << 31):
        raise argparse.ArgumentTypeError(f"expected how many, a whole number from 1 up, got {text!r}")
    return int(text)
