"""``/registry/metrics``: series with roll-ups, and the latest values."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.monitoring import (
    TRACKED,
    UNITS,
    MetricsStore,
    MetricsStoreError,
    Point,
    Series,
    StepError,
    UnknownMetricError,
)
from agentreg.extensions.service.operations.answering import Desk, answer, in_thread
from agentreg.extensions.service.operations.asking import iso, moment, only
from agentreg.extensions.service.refusals import Refusal, unavailable

__all__ = ["MetricRoutes", "unit_of"]

_UNITS = {"ratio": "fraction", "seconds": "s", "tasks": "count"}
_STEPS = (60, 300, 3_600, 86_400)


def unit_of(metric: str) -> str:
    """What a metric is measured in: ``fraction``, ``s`` or ``count``.

    >>> unit_of("response_time"), unit_of("memory_usage")
    ('s', 'fraction')
    """
    return _UNITS.get(UNITS.get(metric, ""), "count")


class MetricRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """They."""
        return [
            Route("/registry/metrics", self.series, methods=["GET"]),
            Route("/registry/metrics/latest", self.latest, methods=["GET"]),
        ]

    async def series(self, request: Request) -> Response:
        only(request, "metric", "agent", "since", "until", "step")
        operations = self._desk.operations
        store = (await operations.monitor()).store
        metric = request.query_params.get("metric")
        if metric is None:
            return answer({**await _asked(_overview, store), "revision": self._desk.revision()})
        now = operations.clocks.wall()
        since = moment("since", request.query_params.get("since"), now)
        until = moment("until", request.query_params.get("until"), now)
        step = _step(request.query_params.get("step"))
        agent = request.query_params.get("agent") or None
        found = await _asked(functools.partial(store.query, metric, agent, since, until, step))
        begins = since if since is not None else found.points[0].time if found.points else now
        shown = _shown(found, begins, now if until is None else until)
        return answer({**shown, "revision": self._desk.revision()})

    async def latest(self, request: Request) -> Response:
        only(request, "metric")
        operations = self._desk.operations
        store = (await operations.monitor()).store
        metric = request.query_params.get("metric")
        if not metric:
            raise Refusal(400, f"metric: expected one, as {', '.join(TRACKED)}")
        now = operations.clocks.wall()
        values = await _asked(functools.partial(store.latest, metric))
        content = {"metric": metric, "unit": unit_of(metric), "time": iso(now), "values": values}
        return answer({**content, "revision": self._desk.revision()})


async def _asked(question: Any, *arguments: Any) -> Any:
    try:
        return await in_thread(question, *arguments)
    except StepError as error:
        raise Refusal(400, str(error)) from None
    except UnknownMetricError as error:
        raise Refusal(404, str(error)) from None
    except MetricsStoreError as error:
        raise unavailable(error) from None


def _overview(store: MetricsStore) -> dict[str, Any]:
    names = [*TRACKED, *(name for name in store.metrics() if name not in TRACKED)]
    metrics = [{"name": name, "unit": unit_of(name), "agents": len(store.latest(name))} for name in names]
    return {"metrics": metrics, "steps": sorted({store.interval, *_STEPS}), "interval": store.interval}


def _shown(series: Series, since: float, until: float) -> dict[str, Any]:
    return {
        "metric": series.metric,
        "unit": unit_of(series.metric),
        "agent": series.agent,
        "step": series.step,
        "since": iso(since),
        "until": iso(until),
        "points": list(map(_point, series.points)),
    }


def _point(point: Point) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(point).items() if value is not None}
    return {**shown, "time": iso(point.time)}


def _step(text: str | None) -> float | str | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else text or None
