"""``/metrics``: the service in figures, for Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agentreg import __version__
from agentreg.extensions.coordination import AgentStatus
from agentreg.extensions.service.events import Hub
from agentreg.extensions.service.opening import Opening
from agentreg.extensions.service.operations import Operations
from agentreg.extensions.service.roster import Roster

__all__ = ["Exposition", "Traffic"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
NOWHERE = "(none)"  #: the route of what has none


class Traffic:
    """How many requests were answered, and how soon. For one event loop.

    The simple form counts in `simple` by itself, with one addition for a
    request: it carries nearly all of the traffic. The rest is measured.

    Attributes:
        simple: How many requests of the simple form were answered, by path, method and status.
        counts: The same for the rest, by route.
        seconds: Until an answer began, by route.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.simple: Counter[tuple[str, str, int]] = Counter()
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.seconds = Histogram(
            "agentreg_request_seconds",
            "Seconds until an answer began; the simple form is left out.",
            ("route", "method"),
            registry=registry,
            buckets=_BUCKETS,
        )
        self._paths: dict[object, str] = {}

    def know(self, routes: list[BaseRoute]) -> None:
        """Take down which endpoint has which route."""
        self._paths |= {each.endpoint: each.path_format for each in routes if isinstance(each, Route)}

    def answered(self, endpoint: object, method: str, status: int, seconds: float) -> None:
        """Note a request that was answered by *endpoint*, or by none."""
        route, method = self._paths.get(endpoint, NOWHERE), method if method in _METHODS else "other"
        self.counts[route, method, status] += 1
        self.seconds.labels(route, method).observe(seconds)


@dataclass(frozen=True)
class _Parts:
    roster: Roster
    hub: Hub
    opening: Opening
    traffic: Traffic
    began: float
    operations: Operations | None


class Exposition:
    """The figures of one application, in a registry of their own.

    Attributes:
        traffic: To be told of requests.
    """

    def __init__(
        self,
        roster: Roster,
        hub: Hub,
        opening: Opening,
        operations: Operations | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = CollectorRegistry()
        self.traffic = Traffic(self._registry)
        self._registry.register(_Figures(_Parts(roster, hub, opening, self.traffic, clock(), operations), clock))
        ProcessCollector(registry=self._registry)

    def routes(self) -> list[Route]:
        """The route."""
        return [Route("/metrics", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """Everything, in the format that ``Accept`` asks for: OpenMetrics, else Prometheus' text."""
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": kind, "cache-control": "no-store"})


class _Figures(Collector):
    """Reads what the parts of the service count by themselves, when it is asked."""

    def __init__(self, parts: _Parts, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._clock = clock

    def describe(self) -> list[Metric]:
        return []  # it is not to be asked while it is registered

    def collect(self) -> Iterator[Metric]:
        yield self._requests()
        yield self._agents()
        yield from self._events()
        yield from self._store()
        yield from self._operations()
        uptime = self._clock() - self._parts.began
        yield GaugeMetricFamily("agentreg_uptime_seconds", "Seconds since the service began.", uptime)
        version = GaugeMetricFamily("agentreg_build_info", "The version that runs.", labels=("version",))
        version.add_metric((__version__,), 1)
        yield version

    def _requests(self) -> Metric:
        traffic = self._parts.traffic
        family = CounterMetricFamily(
            "agentreg_requests", "Requests that were answered.", labels=("route", "method", "status")
        )
        for (route, method, status), count in [*traffic.simple.items(), *traffic.counts.items()]:
            family.add_metric((route, method, str(status)), count)
        return family

    def _agents(self) -> Metric:
        agents = self._parts.roster.agents
        counts = Counter(record.status for record in map(agents.get, agents) if record is not None)
        family = GaugeMetricFamily("agentreg_agents", "Records, by the health of their agents.", labels=("status",))
        for status in AgentStatus:
            family.add_metric((status.value,), counts[status])
        return family

    def _events(self) -> Iterator[Metric]:
        hub = self._parts.hub
        yield CounterMetricFamily("agentreg_events", "Events put on the stream, each counted once.", hub.told)
        yield GaugeMetricFamily("agentreg_event_readers", "Who reads the stream of events now.", hub.readers)
        yield CounterMetricFamily(
            "agentreg_event_readers_overflown", "Readers that were too slow, and were sent away.", hub.overflown
        )

    def _operations(self) -> Iterator[Metric]:
        operations = self._parts.operations
        if operations is None:
            return
        together = GaugeMetricFamily(
            "agentreg_agents_metric",
            "The last sample of all agents together: the sum of task_queue_length, the mean of the rest.",
            labels=("metric",),
        )
        for metric, value in operations.totals.items():
            together.add_metric((metric,), value)
        yield together
        firing = GaugeMetricFamily("agentreg_alerts_firing", "Alerts that fire.", labels=("rule", "severity"))
        for labels, count in operations.firing().items():
            firing.add_metric(labels, count)
        yield firing

    def _store(self) -> Iterator[Metric]:
        roster, opening = self._parts.roster, self._parts.opening
        up = opening.trouble is None and roster.trouble is None
        yield GaugeMetricFamily("agentreg_store_up", "1 while the store can be read and written, else 0.", int(up))
        yield GaugeMetricFamily(
            "agentreg_heartbeats_pending", "Heartbeats that wait to be handed to the store.", roster.beats.pending
        )
        yield GaugeMetricFamily(
            "agentreg_revision", "The last change that the service shows.", roster.directory.revision
        )
