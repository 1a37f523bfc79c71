"""The alerts: once, as they change, or only whether one fires."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agentreg.cli.agents import caller_of
from agentreg.cli.client.calling import Caller
from agentreg.cli.client.errors import NoServiceError
from agentreg.cli.client.http import Answer
from agentreg.cli.client.listing import duration
from agentreg.cli.errors import DONE, REFUSED
from agentreg.cli.operations.asking import age_of, ask, items, place, say_answer
from agentreg.cli.printing import note, one_line, say, say_table

__all__ = ["HEAD", "fires", "follow", "rows_of", "run"]

Alerts = Mapping[tuple[str, ...], dict[str, Any]]
HEAD = ("state", "severity", "rule", "agent", "value", "limit", "for", "seen by", "id")
_ORDER = {"firing": 0, "pending": 1}
_MOST = 1000  # alerts of one answer
_LOOK = 1.0  # seconds between two questions to the service


def run(arguments: argparse.Namespace) -> int:
    """Print the alerts, or follow them."""
    caller = caller_of(arguments)
    state = "all" if arguments.all else "history" if arguments.history else "active"
    path = place("alerts", state=state, limit=_MOST if arguments.check else arguments.limit)
    if arguments.watch:
        follow(caller, path, arguments.json)
        return DONE
    answer = ask(caller, "GET", path)
    if arguments.json:
        say_answer(answer)
    else:
        _say_rows(rows_of(answer.document))
    return REFUSED if arguments.check and fires(answer.document) else DONE


def fires(document: Mapping[str, Any]) -> bool:
    """Whether an alert fires that is not silenced; that somebody has seen it does not mend it.

    >>> fires({"alerts": [{"state": "pending"}, {"state": "firing", "silenced": True}]})
    False
    """
    return any(each.get("state") == "firing" and not each.get("silenced") for each in items(document, "alerts"))


def rows_of(document: Mapping[str, Any]) -> list[list[str]]:
    """One row for each alert, under `HEAD`."""
    now = time.time()
    return [_row(each, now) for each in ordered(document)]


def ordered(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The alerts of an answer: those that fire, then those that may, then those that are over; the newest first."""
    found = sorted(items(document, "alerts"), key=lambda each: str(_began(each)), reverse=True)
    return sorted(found, key=lambda each: _ORDER.get(str(each.get("state")), len(_ORDER)))


def _began(alert: Mapping[str, Any]) -> object:
    return alert.get("resolved_at") or alert.get("fired_at") or alert.get("since")


def _row(alert: Mapping[str, Any], now: float) -> list[str]:
    since = alert.get("fired_at") or alert.get("since")
    texts = [
        state_of(alert),
        str(alert.get("severity") or "-"),
        str(alert.get("rule")),
        str(alert.get("agent_name") or alert.get("agent") or "-"),
        _value(alert),
        _shown(alert.get("threshold")),
        _span(since, alert.get("resolved_at"), now),
        _seen(alert.get("acknowledged")),
        str(alert.get("id")),
    ]
    return [one_line(text) for text in texts]


def state_of(alert: Mapping[str, Any]) -> str:
    """The state of an alert in words.

    >>> state_of({"state": "firing", "silenced": True})
    'firing, silenced'
    """
    reason = alert.get("reason")
    told = f": {reason}" if reason and alert.get("state") == "resolved" else ""
    return f"{alert.get('state')}{told}" + (", silenced" if alert.get("silenced") else "")


def _span(since: object, until: object, now: float) -> str:
    age, ended = age_of(since, now), age_of(until, now)
    return "-" if age is None else duration(max(0.0, age - (ended or 0.0)))


def _value(alert: Mapping[str, Any]) -> str:
    return str(alert.get("value_text") or _shown(alert.get("value")))


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _seen(acknowledged: object) -> str:
    if not isinstance(acknowledged, Mapping):
        return "-"
    note = acknowledged.get("note")
    return f"{acknowledged.get('by')}: {note}" if note else str(acknowledged.get("by"))


def _say_rows(rows: list[list[str]]) -> None:
    if rows:
        say_table(HEAD, rows)
    else:
        note("no alerts")


# -- as it goes on ----------------------------------------------------------


def follow(caller: Caller, path: str, as_json: bool, wait: Callable[[float], object] = time.sleep) -> None:
    """Print a line for each alert, and again for each whose state changes, until interrupted.

    A service that has gone is waited for.

    Args:
        caller: Who asks the service.
        path: What is asked.
        as_json: The alert as one JSON document a line, instead of text.
        wait: Waits for so many seconds.
    """
    known: Alerts = {}
    was_there = True
    for answer in _answers(caller, path, wait):
        if answer is None:
            if was_there:
                note("no service; waiting for one")
        else:
            now = {_key(each): each for each in ordered(answer.document)}
            for alert in changed(known, now):
                say(json.dumps(alert) if as_json else line_of(alert))
            known = now
        was_there = answer is not None


def changed(known: Alerts, now: Alerts) -> Iterator[dict[str, Any]]:
    """The alerts whose state is another one than before, the oldest first; one that is no more is over.

    >>> firing = {"id": "1", "state": "firing"}
    >>> [each["state"] for each in changed({("busy", "a"): firing}, {})]
    ['resolved']
    """
    there = {alert.get("id") for alert in now.values()}
    for key in reversed(list(now)):
        if _state(now[key]) != _state(known.get(key, {})):
            yield now[key]
    for key, alert in known.items():
        if key not in now and alert.get("id") not in there and alert.get("state") in ("firing", "pending"):
            yield {**alert, "state": "resolved" if alert["state"] == "firing" else "over"}


def _key(alert: Mapping[str, Any]) -> tuple[str, ...]:
    """What it is the same alert by while it goes on: when it fires, it gets another id than it had before."""
    if alert.get("state") == "resolved":
        return (str(alert.get("id")),)
    return str(alert.get("rule")), str(alert.get("agent"))


def _state(alert: Mapping[str, Any]) -> tuple[object, ...]:
    return alert.get("state"), alert.get("silenced"), bool(alert.get("acknowledged"))


def line_of(alert: Mapping[str, Any]) -> str:
    """An alert in one line, with the time of day.

    >>> line_of({"state": "firing", "rule": "busy", "agent": "a", "value": 120, "id": "x"})[11:]
    'firing  busy  a: 120 (id x)'
    """
    whose = alert.get("agent_name") or alert.get("agent") or "-"
    seen = alert.get("acknowledged")
    by = f", seen by {_seen(seen)}" if isinstance(seen, Mapping) else ""
    text = f"{state_of(alert)}  {alert.get('rule')}  {whose}: {_value(alert)}{by} (id {alert.get('id')})"
    return f"{time.strftime('%H:%M:%S')}   " + printable_line(text)


def printable_line(text: str) -> str:
    """*text*, harmless; the two spaces between its columns stay."""
    return "  ".join(one_line(part) for part in text.split("  "))


def _answers(caller: Caller, path: str, wait: Callable[[float], object]) -> Iterator[Answer | None]:
    """What the service answers, again and again; None where there is none."""
    while True:
        try:
            yield ask(caller, "GET", path)
        except NoServiceError:
            yield None
        wait(_LOOK)
