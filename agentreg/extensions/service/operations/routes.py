"""The routes of the operations."""

from __future__ import annotations

from starlette.routing import Route

from agentreg.extensions.service.operations.alert_routes import AlertRoutes
from agentreg.extensions.service.operations.answering import Desk
from agentreg.extensions.service.operations.decision_routes import DecisionRoutes
from agentreg.extensions.service.operations.metric_routes import MetricRoutes
from agentreg.extensions.service.operations.operations import Operations
from agentreg.extensions.service.operations.resource_routes import ResourceRoutes
from agentreg.extensions.service.roster import Roster

__all__ = ["operations_routes"]


def operations_routes(operations: Operations | None, roster: Roster) -> list[Route]:
    """The routes for metrics, alerts, resources and decisions; all answer 404 without operations."""
    desk = Desk(operations, roster.limits, lambda: roster.directory.revision)
    groups = MetricRoutes(desk), AlertRoutes(desk), ResourceRoutes(desk), DecisionRoutes(desk)
    return [route for group in groups for route in group.routes()]
