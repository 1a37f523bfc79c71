"""The columns: what is shown of an agent, and how it is sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["COLUMNS", "METRICS", "Column", "shown"]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _count(value: float) -> str:
    return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


def _seconds(value: float) -> str:
    """
    >>> _seconds(0.0042), _seconds(1.5), _seconds(90), _seconds(7300)
    ('4.2 ms', '1.5 s', '1.5 min', '2 h')
    """
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if value >= size:
            return f"{value / size:.2g} {unit}" if value / size < 100 else f"{value / size:.0f} {unit}"
    return f"{1000 * value:.3g} ms"


class Column(NamedTuple):
    """A column.

    Attributes:
        title: What stands above it.
        metric: The metric whose latest value it shows; "" for what the list of agents says.
        text: A value as it is shown.
        descends: Whether the largest come first.
    """

    title: str
    metric: str = ""
    text: Callable[[float], str] = _count
    descends: bool = True


COLUMNS = {
    "name": Column("agent", descends=False),
    "status": Column("status", descends=False),
    "cpu": Column("cpu", "cpu_utilization", _percent),
    "memory": Column("memory", "memory_usage", _percent),
    "queue": Column("queue", "task_queue_length"),
    "response": Column("response", "response_time", _seconds),
    "errors": Column("errors", "error_rate", _percent),
    "heard": Column("heard", "", _seconds),
    "alerts": Column("alerts"),
}
METRICS = {column.metric: key for key, column in COLUMNS.items() if column.metric}


def shown(key: str, value: float | str | None) -> str:
    """*value* in the column *key*.

    >>> shown("cpu", 0.125), shown("queue", None), shown("name", "scout")
    ('12.5%', '-', 'scout')
    """
    if value is None:
        return "-"
    return value if isinstance(value, str) else COLUMNS[key].text(value)
