"""Alerts: 100 rules over the usual number of agents, evaluated while nothing, some or everything is wrong."""

from __future__ import annotations

from collections.abc import Callable

from crowd import USUAL
from figures import Figures, Row, at_most
from timing import Effort, clock, compare, quiet

from agentreg.extensions.monitoring.alerts import Alerts

__all__ = ["measure"]

RULES = 100
INTERVAL = 10.0  # seconds between samples
WARM_UP = 40  # rounds: longer than the longest window but one
TARGET = at_most(0.050, of="ours")
MEASURED = ("memory_usage", "cpu_utilization", "error_rate", "mcp_connection_health", "response_time")
NORMAL = {"response_time": 1.0, "mcp_connection_health": 0.3}
SHARES = {"nobody": 0.0, "one in ten": 0.1, "everybody": 1.0}


def measure(effort: Effort) -> Figures:
    """One evaluation, and one with the feeding of all metrics before it."""
    figures = Figures()
    with quiet():
        halls = {who: _Hall(share) for who, share in SHARES.items()}
        works: dict[str, Callable[[], float]] = {who: hall.evaluate for who, hall in halls.items()}
        works |= {f"{who}, fed": hall.feed_and_evaluate for who, hall in halls.items()}
        compared = compare(works, effort.rounds)
        first = _Hall(0.0).everybody_at_once()
    what = f"evaluate {RULES} rules over {USUAL:,} agents"
    for who in SHARES:
        figures.rows.append(Row(f"{what}; {who} is over the limits", compared.median(who), target=TARGET))
        figures.rows.append(Row(f"feed five metrics, then {what}; {who} is", compared.median(f"{who}, fed")))
    figures.rows.append(Row(f"the same where {RULES * USUAL:,} alerts fire at once", first))
    return figures


def rules() -> list[str]:
    """A hundred: of the kinds of the defaults, with other limits, windows and agents."""
    made = []
    for number in range(RULES // 5):
        share, minutes = 60 + number, (1, 2, 5)[number % 3]
        made += [
            f"memory_usage > {share}% for {minutes}m",
            f"cpu_utilization > {share}.5% for {minutes}m",
            f"error_rate > {share / 2}% for {minutes}m",
            f"response_time > {2 + number / 10}s avg for {minutes}m",
            f'mcp_connection_health > {share}% max for {minutes}m on "agent-*"',
        ]
    return made


class _Hall:
    """Alerts over a crowd of which a share is over every limit, evaluated until that is old news."""

    def __init__(self, share: float) -> None:
        self._now = 0.0
        self._alerts = Alerts(rules(), clock=lambda: self._now, history=0)
        self._agents = [f"agent-{number}" for number in range(USUAL)]
        self._over = set(self._agents[: int(USUAL * share)])
        for _ in range(WARM_UP):
            self._next()
            self._feed()
            self._alerts.evaluate()
        assert len(self._alerts.active()) == RULES * len(self._over)

    def evaluate(self) -> float:
        """The seconds that an evaluation takes, after samples have come in."""
        self._next()
        self._feed()
        start = clock()
        self._alerts.evaluate()
        return clock() - start

    def feed_and_evaluate(self) -> float:
        """The seconds that both take."""
        self._next()
        batches = self._batches()
        start = clock()
        for metric, values in batches.items():
            self._alerts.observe_many(metric, values)
        self._alerts.evaluate()
        return clock() - start

    def everybody_at_once(self) -> float:
        """The seconds of the longest evaluation, once everybody is over every limit."""
        self._over = set(self._agents)
        return max(self.evaluate() for _ in range(WARM_UP))

    def _next(self) -> None:
        self._now += INTERVAL

    def _feed(self) -> None:
        for metric, values in self._batches().items():
            self._alerts.observe_many(metric, values)

    def _batches(self) -> dict[str, dict[str, float]]:
        jitter = (self._now % 7) / 1000
        return {metric: self._values(NORMAL.get(metric, 0.2) + jitter) for metric in MEASURED}

    def _values(self, normal: float) -> dict[str, float]:
        over = normal * 5 + 1
        return {
            agent: (over if agent in self._over else normal) + number / 1e6 for number, agent in enumerate(self._agents)
        }
