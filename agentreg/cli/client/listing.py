"""Who is running, as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.discovery import health_of
from agentreg.cli.client.errors import NoServiceError
from agentreg.cli.client.http import Answer
from agentreg.cli.printing import note, one_line, say, say_document, say_table

__all__ = ["HEAD", "follow", "rows_of", "show", "show_status"]

HEAD = ("status", "name", "id", "pid", "host", "directory", "since", "heard")
_LOOK = 1.0  # seconds between two questions to the service
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))

Statuses = Sequence[str] | None


def show(caller: Caller, statuses: Statuses, as_json: bool) -> None:
    """Print the agents once: all, or those of *statuses*; as JSON the answer's very bytes, if a program reads them."""
    answer = caller.ask("GET", "/agents")
    if as_json:
        _say_json(answer, statuses)
    else:
        _say_rows(rows_of(answer, statuses))


def follow(caller: Caller, statuses: Statuses, as_json: bool, wait: Callable[[float], object] = time.sleep) -> None:
    """Print the agents, and again with every change, until interrupted; a service that has gone is waited for.

    Args:
        caller: Who asks the service.
        statuses: Which agents; None for all.
        as_json: One line for each state, instead of tables.
        wait: Waits for so many seconds.
    """
    answers = _answers(caller, wait)
    if as_json:
        _follow_json(answers, statuses)
    elif _draws():
        from agentreg.cli.client.live import draw

        draw(rows_of(answer, statuses) if answer else None for answer in answers)
    else:
        _follow_plainly(answers, statuses)


def show_status(caller: Caller, as_json: bool) -> None:
    """Print where the service is, which one, and since when."""
    service = caller.find()
    health = health_of(service)
    if as_json:
        say_document({"url": service.url, "workspace": str(caller.workspace), "pid": service.pid, **health})
        return
    say(one_line(f"running at {service.url}"))
    for name, text in (
        ("workspace", str(caller.workspace)),
        ("process", str(service.pid or "unknown")),
        ("version", str(health.get("version", "unknown"))),
        ("up for", duration(health.get("uptime"))),
        ("agents", str(health.get("count", "unknown"))),
    ):
        say(f"  {name:10}{one_line(text)}")


# -- rows -------------------------------------------------------------------


def rows_of(answer: Answer, statuses: Statuses = None) -> list[list[str]]:
    """One row for each agent, under `HEAD`; texts as they are, harmless or not."""
    return [_row(agent) for agent in _agents(answer) if statuses is None or agent.get("status") in statuses]


def _agents(answer: Answer) -> list[dict[str, Any]]:
    agents = answer.document.get("agents")
    if not isinstance(agents, list) or not all(isinstance(agent, dict) for agent in agents):
        raise NoServiceError("what answers lists no agents: that is not agentreg's service")
    return agents


def _row(agent: dict[str, Any]) -> list[str]:
    texts = [str(agent.get(key) or "") for key in ("status", "name", "id", "pid", "host", "cwd")]
    beat, started = agent.get("heartbeat_age"), agent.get("started_at")
    since = time.time() - started if isinstance(started, (int, float)) else None
    return [one_line(text) for text in texts] + [duration(since), duration(beat)]


def duration(seconds: object) -> str:
    """How long that is, in the largest unit that fits.

    >>> duration(0.2), duration(59.9), duration(60), duration(7200), duration(1e6), duration(None)
    ('0 s', '59 s', '1 min', '2 h', '11 d', 'unknown')
    """
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return "unknown"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def _say_rows(rows: list[list[str]]) -> None:
    if rows:
        say_table(HEAD, rows)
    else:
        note("no agents")


# -- JSON -------------------------------------------------------------------


def _say_json(answer: Answer, statuses: Statuses) -> None:
    document = _chosen(answer, statuses)
    if sys.stdout.isatty():
        say_document(document)
    elif statuses is not None:
        say(json.dumps(document))
    else:
        sys.stdout.buffer.write(answer.content)
        sys.stdout.buffer.flush()


def _chosen(answer: Answer, statuses: Statuses) -> dict[str, Any]:
    if statuses is None:
        return answer.document
    agents = [agent for agent in _agents(answer) if agent.get("status") in statuses]
    return {**answer.document, "agents": agents, "count": len(agents)}


# -- as it goes on ----------------------------------------------------------


def _answers(caller: Caller, wait: Callable[[float], object]) -> Iterator[Answer | None]:
    """What the service answers, again and again; None where there is none."""
    while True:
        try:
            yield caller.ask("GET", "/agents")
        except NoServiceError:
            yield None
        wait(_LOOK)


def _draws() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and find_spec("rich") is not None


def _follow_plainly(answers: Iterator[Answer | None], statuses: Statuses) -> None:
    shown: object = ()
    for answer in answers:
        rows = rows_of(answer, statuses) if answer else None
        state = rows and [row[:6] for row in rows]  # ages change all the time
        if state != shown:
            shown = state
            say(f"-- {time.strftime('%H:%M:%S')}{'' if answer else '  no service; waiting for one'}")
            if rows:
                say_table(HEAD, rows)


def _follow_json(answers: Iterator[Answer | None], statuses: Statuses) -> None:
    shown: object = None
    for answer in answers:
        if answer is None:
            continue
        document = _chosen(answer, statuses)
        state = [(agent.get("id"), agent.get("status"), agent.get("started_at")) for agent in _agents(answer)]
        if state != shown:
            shown = state
            say(json.dumps(document))
