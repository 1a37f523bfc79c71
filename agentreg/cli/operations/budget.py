"""The budget, who was given what of it, and who waits, as tables."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from agentreg.cli.agents import caller_of
from agentreg.cli.client.listing import duration
from agentreg.cli.errors import DONE
from agentreg.cli.operations.asking import age_of, ask, items, place, say_answer
from agentreg.cli.printing import note, one_line, say, say_table

__all__ = ["percent", "run", "size"]

HEAD = ("host", "agent", "memory", "priority", "for")
WAITING = ("waiting", "memory", "priority", "for", "reason")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024


def run(arguments: argparse.Namespace) -> int:
    """Print the budget and the tables."""
    answer = ask(caller_of(arguments), "GET", place("resources"))
    if arguments.json:
        say_answer(answer)
    else:
        _show(answer.document)
    return DONE


def size(number: object) -> str:
    """*number* of bytes, for people; ``-`` if it is none.

    >>> size(512), size(1536 * 1024), size(None)
    ('512 B', '1.5 MiB', '-')
    """
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return "-"
    value, unit = float(number), 0
    while abs(value) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def _show(document: Mapping[str, Any]) -> None:
    for line in _summary(document):
        say(one_line(line))
    now = time.time()
    given = [row for host in items(document, "hosts") for row in _given(host, now)]
    waiting = [_waits(each, now) for each in items(document, "waiting")]
    for head, rows, nobody in (
        (HEAD, given, "no agent was given anything"),
        (WAITING, waiting, "nobody waits"),
    ):
        if rows:
            say()
            say_table(head, rows)
        else:
            note(nobody)
    for line in _advice(document):
        say(one_line(line))


def _summary(document: Mapping[str, Any]) -> list[str]:
    budget, used = _part(document, "budget"), _part(document, "utilization")
    text = used.get("memory_text")
    memory = size(budget.get("memory")) if text is None else str(text)
    reserved = f", {size(budget['reserved'])} reserved" if budget.get("reserved") else ""
    cores = budget.get("cpu")
    lines = [f"memory: {memory}{reserved}"]
    if cores is not None:
        lines.append(f"processors: {percent(used.get('cpu'))} of {cores:g} cores")
    lines += map(_host, items(document, "hosts"))
    return lines


def _host(host: Mapping[str, Any]) -> str:
    memory = _part(host, "memory")
    parts = [f"host {host.get('name')}: {size(memory.get('free'))} free of {size(memory.get('total'))}"]
    cpu = host.get("cpu")
    if isinstance(cpu, Mapping) and isinstance(cpu.get("total"), (int, float)):
        parts.append(f"{cpu.get('free', 0):g} of {cpu['total']:g} cores free")
    if host.get("fragmentation"):
        parts.append(f"{percent(host['fragmentation'])} of it in pieces")
    return ", ".join(parts)


def percent(part: object) -> str:
    """A part of 1 as a percentage; ``-`` if it is none.

    >>> percent(0.125), percent(None)
    ('12.5%', '-')
    """
    return f"{100 * part:.3g}%" if isinstance(part, (int, float)) and not isinstance(part, bool) else "-"


def _given(host: Mapping[str, Any], now: float) -> list[list[str]]:
    return [[str(host.get("name")), *_share(each, now)] for each in items(host, "allocations")]


def _share(each: Mapping[str, Any], now: float) -> list[str]:
    name = each.get("agent") or each.get("agent_id")
    return [str(name), size(each.get("memory")), str(each.get("priority")), duration(age_of(each.get("since"), now))]


def _waits(each: Mapping[str, Any], now: float) -> list[str]:
    return [*_share(each, now), str(each.get("reason") or "-")]


def _advice(document: Mapping[str, Any]) -> list[str]:
    lines = [
        f"advice: scale {each.get('direction')} by {_amount(each.get('amount'))}: {each.get('reason')}"
        for each in items(document, "advice")
    ]
    proposal = document.get("proposal")
    if isinstance(proposal, Mapping):
        moves = [f"{each.get('agent')} from {each.get('from')} to {each.get('to')}" for each in _moves(proposal)]
        lines.append(f"proposal: move {'; '.join(moves)}" if moves else "proposal: nothing to move")
    return lines


def _moves(proposal: Mapping[str, Any]) -> list[dict[str, Any]]:
    return items(proposal, "moves")


def _amount(amount: object) -> str:
    return size(amount) if isinstance(amount, (int, float)) and amount >= _STEP else str(amount)


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}
