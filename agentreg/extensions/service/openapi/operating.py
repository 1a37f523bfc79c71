"""The operations, described."""

from __future__ import annotations

from typing import Any

from agentreg.extensions.service.openapi import operating_shapes as shapes
from agentreg.extensions.service.openapi.parts import Group, path, query
from agentreg.extensions.service.openapi.shapes import Done
from agentreg.extensions.service.operations.alert_routes import NewRule, NewSilence, Seen
from agentreg.extensions.service.operations.asking import MOST
from agentreg.extensions.service.operations.decision_routes import NewAnswer

__all__ = ["operating"]

_LIMIT = query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": MOST})
_MOMENT = {"type": "string", "examples": ["1h", "30d", "2024-08-14T15:30:45Z", "1723649445"]}
_METRIC = {"type": "string", "minLength": 1, "examples": ["memory_usage"]}


def operating() -> Group:
    """Metrics, alerts, resources, decisions."""
    group = Group(
        "monitoring", "Metrics over time, alerts, memory, and what was decided; 404 where operations are off."
    )
    _metrics(group)
    _alerts(group)
    _silences(group)
    _rules(group)
    _resources(group)
    _decisions(group)
    return group


def _metrics(group: Group) -> None:
    both = {"anyOf": [group.shape(shapes.Series), group.shape(shapes.Metrics)]}
    group.add(
        "GET",
        "/registry/metrics",
        "A metric over time, or which metrics there are",
        {200: ("The series; without `metric`, the metrics.", _json(both))},
        about="Moments are ISO 8601, seconds since 1970, or a span back from now.",
        parameters=(
            query("metric", "Which one; without it, all are named.", _METRIC),
            query("agent", "Of this agent, by its id; without it, of all together.", {"type": "string"}),
            query("since", "From this moment on; without it, as long as samples are kept.", _MOMENT),
            query("until", "Up to this moment; without it, now.", _MOMENT),
            query("step", "Seconds of one point, or 10s, 1m, 5m, 1h, 1d.", {"type": "string", "examples": ["300"]}),
        ),
        refused=(400, 404, 503),
    )
    group.add(
        "GET",
        "/registry/metrics/latest",
        "The last value of each agent",
        {200: ("The values.", shapes.Latest)},
        parameters=({**query("metric", "Which one.", _METRIC), "required": True},),
        refused=(400, 404, 503),
    )


def _alerts(group: Group) -> None:
    group.add(
        "GET",
        "/registry/alerts",
        "Alerts, rules and silences",
        {200: ("Those that fire or may, then those that are over, the latest first.", shapes.Alerts)},
        parameters=(
            query("state", "Which alerts.", {"enum": ["active", "history", "all"], "default": "active"}),
            _LIMIT,
        ),
        refused=(400, 404, 503),
    )
    group.add(
        "POST",
        "/registry/alerts/{alert_id}/acknowledge",
        "Say that somebody has seen an alert",
        {200: ("The alert.", shapes.Alert)},
        body=Seen,
        parameters=(path("alert_id", "The alert's id."),),
        refused=(404, 503),
    )


def _silences(group: Group) -> None:
    group.add(
        "POST",
        "/registry/alerts/silences",
        "Keep alerts from handlers and from the stream",
        {201: ("The silence.", shapes.Silence)},
        about='Either "for", a span, or "until", a moment. Rule and agent may be patterns with `*`.',
        body=NewSilence,
        refused=(404, 503),
    )
    group.add(
        "DELETE",
        "/registry/alerts/silences/{silence_id}",
        "End a silence",
        {200: ("It is over.", Done)},
        parameters=(path("silence_id", "The silence's id."),),
        refused=(404, 503),
    )


def _rules(group: Group) -> None:
    group.add(
        "POST",
        "/registry/alerts/rules",
        "Add a rule",
        {201: ("It is watched.", shapes.Rule)},
        body=NewRule,
        refused=(404, 409, 503),
    )
    group.add(
        "DELETE",
        "/registry/alerts/rules/{rule_name}",
        "Remove a rule",
        {200: ("It is watched no more; its alerts are resolved.", Done)},
        parameters=(path("rule_name", "The rule's name."),),
        refused=(404, 503),
    )


def _resources(group: Group) -> None:
    group.add(
        "GET",
        "/registry/resources",
        "The budget, and who has what of it",
        {200: ("The state.", shapes.ResourceState)},
        refused=(400, 404, 503),
    )


def _decisions(group: Group) -> None:
    group.add(
        "GET",
        "/registry/decisions",
        "What was decided, and why",
        {200: ("The newest first.", shapes.Decisions)},
        parameters=(query("name", "About the agent with this name or id.", {"type": "string"}), _LIMIT),
        refused=(400, 404, 503),
    )
    group.add(
        "GET",
        "/registry/decisions/pending",
        "What waits for an answer",
        {200: ("The oldest first.", shapes.PendingDecisions)},
        refused=(400, 404, 503),
    )
    group.add(
        "POST",
        "/registry/decisions/{decision_id}/answer",
        "Answer a question",
        {200: ("The answer was taken.", shapes.Answered)},
        body=NewAnswer,
        parameters=(path("decision_id", "The question's id."),),
        refused=(404, 409, 503),
    )


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
