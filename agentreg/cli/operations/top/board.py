"""The board: what is known of all agents at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentreg.cli.operations.top.columns import COLUMNS, METRICS

__all__ = ["Board", "Row", "Value"]

Value = float | str | None
Row = dict[str, Value]
_SEVERITIES = {"critical": 0, "warning": 1}


@dataclass(frozen=True)
class Board:
    """What is known. Never changed: a newer one takes its place.

    Attributes:
        agents: What ``GET /agents`` lists.
        latest: Metric -> agent's id -> its latest value.
        totals: Metric -> what all agents had on average, step by step, the oldest first.
        alerts: Those that fire.
        trouble: Why nothing newer is known; "" if all is well.
        url: The service's address.
    """

    agents: Sequence[Mapping[str, Any]] = ()
    latest: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    totals: Mapping[str, Sequence[float]] = field(default_factory=dict)
    alerts: Sequence[Mapping[str, Any]] = ()
    trouble: str = ""
    url: str = ""

    def rows(self, sort: str, reverse: bool = False, wanted: str = "") -> list[Row]:
        """A row for each agent that is not stopped and fits *wanted*, sorted; what is not known comes last."""
        found = [row for row in self._rows() if _fits(row, wanted.lower())]
        known = [row for row in found if row[sort] is not None]
        descends = COLUMNS[sort].descends != reverse
        known.sort(key=lambda row: _rank(row[sort]), reverse=descends)
        return known + [row for row in found if row[sort] is None]

    def firing(self) -> list[Mapping[str, Any]]:
        """The alerts that fire, the worst first, and the newest of each."""
        found = [each for each in self.alerts if each.get("state") == "firing"]
        found.sort(key=lambda each: str(each.get("fired_at")), reverse=True)
        return sorted(found, key=_severity)

    def counts(self) -> dict[str, int]:
        """Status -> how many agents."""
        counts: dict[str, int] = {}
        for agent in self.agents:
            status = str(agent.get("status"))
            counts[status] = counts.get(status, 0) + 1
        return counts

    def total(self, metric: str) -> float | None:
        """What all agents have now: their tasks together, and of other metrics the average. None if nobody says."""
        values = self.latest.get(metric, {}).values()
        if not values:
            return None
        return sum(values) / (1 if metric == "task_queue_length" else len(values))

    def _rows(self) -> Iterator[Row]:
        alarms: dict[object, int] = {}
        for alert in self.firing():
            alarms[alert.get("agent")] = alarms.get(alert.get("agent"), 0) + 1
        for agent in self.agents:
            if agent.get("status") != "stopped":
                yield self._row(agent, alarms)

    def _row(self, agent: Mapping[str, Any], alarms: Mapping[object, int]) -> Row:
        identity = str(agent.get("id"))
        row: Row = {
            "id": identity,
            "name": str(agent.get("name") or identity),
            "status": str(agent.get("status")),
            "heard": _number(agent.get("heartbeat_age")),
            "alerts": alarms.get(identity),
        }
        for metric, key in METRICS.items():
            row[key] = self.latest.get(metric, {}).get(identity)
        return row


def _rank(value: Value) -> Any:
    return value.lower() if isinstance(value, str) else value


def _severity(alert: Mapping[str, Any]) -> tuple[bool, int]:
    return bool(alert.get("silenced")), _SEVERITIES.get(str(alert.get("severity")), len(_SEVERITIES))


def _fits(row: Row, wanted: str) -> bool:
    return not wanted or any(wanted in str(row[key]).lower() for key in ("name", "id", "status"))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
