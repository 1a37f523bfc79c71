"""The summary: an outcome in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from agentreg.demo.printable import counted, printable
from agentreg.demo.processes.agents import MEASURE
from agentreg.demo.processes.outcome import Outcome
from agentreg.extensions.coordination import RegistryEventType

__all__ = ["summary"]


def summary(outcome: Outcome) -> list[tuple[str, str]]:
    """Rows of what, and how much."""
    rows = [
        ("read", _read(outcome)),
        ("time", f"{outcome.seconds:.1f} s"),
        ("tasks", f"{len(outcome.tasks):,} done, each once; {outcome.again:,} done again"),
        ("killed", _killed(outcome)),
        ("taken over", _taken_over(outcome)),
        ("directory", _traffic(outcome)),
    ]
    worst = [(printable(finding.place), "; ".join(finding.reasons)) for finding in outcome.findings[:1]]
    return rows + [("worst place", f"{place}: {reasons}") for place, reasons in worst]


def _read(outcome: Outcome) -> str:
    measured = [task for task in outcome.tasks if task.capability == MEASURE]
    problems = [task for task in measured if task.result["problem"] is not None]
    some = ", ".join(f"{printable(task.path)} ({printable(task.result['problem'])})" for task in problems[:3])
    more = f" and {len(problems) - 3:,} more" if len(problems) > 3 else ""
    cut = f" ({outcome.cut})" if outcome.cut else ""
    return counted(len(measured), "file") + cut + (f"; with problems: {some}{more}" if problems else "")


def _killed(outcome: Outcome) -> str:
    kill = outcome.kill
    unhealthy, left = _span(kill.unhealthy.values()), _span(kill.left.values())
    return f"{kill.runtime}: its agents were unhealthy {unhealthy}, and had left {left} after the kill"


def _taken_over(outcome: Outcome) -> str:
    takers = ", ".join(dict.fromkeys(failover.taken_by for failover in outcome.failovers))
    return f"{counted(len(outcome.failovers), 'task')}, by {takers or 'nobody'}"


def _traffic(outcome: Outcome) -> str:
    events = Counter(heard.event.event_type for heard in outcome.heard)
    came = counted(events[RegistryEventType.AGENT_REGISTERED], "arrival")
    left = counted(events[RegistryEventType.AGENT_DEREGISTERED], "departure")
    return f"{came}, {left}, {counted(outcome.remaining, 'agent')} left"


def _span(delays: Iterable[float]) -> str:
    """
    >>> _span([312.9, 310.2]), _span([310.2, 310.3])
    ('310 to 313 ms', '310 ms')
    """
    texts = [f"{delay:.0f}" for delay in sorted(delays)] or ["-"]
    return f"{texts[0]} to {texts[-1]} ms" if texts[0] != texts[-1] else f"{texts[0]} ms"
