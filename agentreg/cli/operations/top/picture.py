"""The picture: what is to be seen, before anybody says in which letters and colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agentreg.cli.operations.top.board import Board, Row
from agentreg.cli.operations.top.columns import COLUMNS, METRICS, shown
from agentreg.cli.operations.top.controls import Controls
from agentreg.cli.printing import one_line, shortened
from agentreg.demo.printable import counted

__all__ = ["Picture", "Total", "picture", "sparkline"]

_TICKS = "▁▂▃▄▅▆▇█"
_STEPS = 24  # of a sparkline
ALERTS = 5  # that are shown
_TITLES = {"cpu": "cpu, mean", "memory": "memory, mean", "queue": "tasks queued", "response": "response, mean",
           "errors": "errors, mean"}  # fmt: skip
_LONGEST = 60  # characters of a name


class Total(NamedTuple):
    """A figure of all agents, and how it went."""

    name: str
    value: str
    trend: str


class Picture(NamedTuple):
    """What is to be seen.

    Attributes:
        title: How many agents, and where.
        trouble: What is wrong with the picture itself; "" if nothing is.
        totals: The figures of all agents.
        alerts: The alerts that fire, with their severity.
        more_alerts: How many more there are.
        head: The titles of the columns; the one that is sorted by is marked.
        rows: The cells of the agents that are shown.
        alarmed: Which of the rows have alerts.
        footer: What is shown of how many, and the keys.
    """

    title: str
    trouble: str
    totals: list[Total]
    alerts: list[tuple[str, str]]
    more_alerts: int
    head: list[str]
    rows: list[list[str]]
    alarmed: list[bool]
    footer: str


def picture(board: Board, controls: Controls, page: int | None = None) -> Picture:
    """What is to be seen of *board*; at most *page* agents, all of them if it is None."""
    rows = board.rows(controls.sort, controls.reverse, controls.wanted)
    controls.page = max(1, len(rows) if page is None else page)
    first = controls.window(len(rows))
    visible = rows[first : first + controls.page]
    firing = board.firing()
    return Picture(
        title=_title(board),
        trouble=one_line(board.trouble),
        totals=[_total(board, metric, key) for metric, key in METRICS.items()],
        alerts=[(str(each.get("severity")), _alert(each)) for each in firing[:ALERTS]],
        more_alerts=max(0, len(firing) - ALERTS),
        head=[_head(key, controls) for key in COLUMNS],
        rows=[_cells(row) for row in visible],
        alarmed=[row["alerts"] is not None for row in visible],
        footer=_footer(controls, first, len(visible), len(rows)),
    )


def sparkline(values: Iterable[float], steps: int = _STEPS) -> str:
    """The last *steps* of *values* as a line of little bars, the lowest of them at the bottom.

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    >>> sparkline([2, 2]), sparkline([])
    ('▁▁', '')
    """
    shown = list(values)[-steps:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    height = (high - low) or 1.0
    return "".join(_TICKS[round((value - low) / height * (len(_TICKS) - 1))] for value in shown)


def _title(board: Board) -> str:
    counts = board.counts()
    there = sum(number for status, number in counts.items() if status != "stopped")
    parts = ", ".join(f"{number:,} {status}" for status, number in sorted(counts.items()))
    return one_line(f"agentreg top: {counted(there, 'agent')} ({parts or 'none'}) at {board.url}")


def _total(board: Board, metric: str, key: str) -> Total:
    return Total(_TITLES[key], shown(key, board.total(metric)), sparkline(board.totals.get(metric, ())))


def _alert(alert: Mapping[str, Any]) -> str:
    whose = alert.get("agent_name") or alert.get("agent") or "-"
    value = alert.get("value_text") or alert.get("value")
    marks = [word for word, key in (("silenced", "silenced"), ("seen", "acknowledged")) if alert.get(key)]
    more = f" [{', '.join(marks)}]" if marks else ""
    return one_line(f"{alert.get('rule')}: {whose} at {value}{more}")


def _head(key: str, controls: Controls) -> str:
    title = COLUMNS[key].title.upper()
    if key != controls.sort:
        return title
    return title + ("v" if COLUMNS[key].descends != controls.reverse else "^")


def _cells(row: Row) -> list[str]:
    return [shortened(shown(key, row[key]), _LONGEST) for key in COLUMNS]


def _footer(controls: Controls, first: int, visible: int, count: int) -> str:
    place = f"{first + 1:,} to {first + visible:,} of {count:,}" if visible else "no agents"
    if controls.typing:
        return one_line(f"{place}  filter: {controls.wanted}_  (Enter keeps it, Esc drops it)")
    wanted = f"  filter: {controls.wanted}" if controls.wanted else ""
    return f"{place}{one_line(wanted) and '  ' + one_line(wanted)}  s sort  r reverse  / filter  arrows scroll  q quit"


def columns_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide the columns of *rows* are.

    >>> columns_of([["a", "bcd"], ["ef", "g"]])
    [2, 3]
    """
    return [max(map(len, column)) for column in zip(*rows, strict=True)]
