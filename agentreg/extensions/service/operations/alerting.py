"""Alerts as the service shows them: each with an id of its own, the past ones included."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agentreg.extensions.monitoring import Alert, AlertEvent, AlertNotFoundError, AlertRule, Alerts, Silence
from agentreg.extensions.service.operations.asking import iso

__all__ = ["AlertDesk", "identifier", "rule_shown", "silence_shown"]

Shown = dict[str, Any]


def identifier(rule: str, agent: str, fired_at: float | None) -> str:
    """Names one occurrence of an alert; the same over a restart.

    >>> identifier("busy", "planner", None) == identifier("busy", "planner", 1.0)
    False
    """
    text = "\0".join((rule, agent, "" if fired_at is None else repr(fired_at)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class _Occurrence:
    """One time that an alert fired: the events of its beginning and its end, as far as they are known."""

    id: str
    fired: AlertEvent | None
    resolved: AlertEvent | None = None


class AlertDesk:
    """What is shown of alerts, and what people do to them. Thread-safe: yes, as `Alerts` is.

    Args:
        alerts: The alerts.
        name_of: The name that people know an agent by; its id if there is none any more.
    """

    def __init__(self, alerts: Alerts, name_of: Callable[[str], str]) -> None:
        self.alerts = alerts
        self._name_of = name_of
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], str] = {}
        for occurrence in self._occurrences():
            event = occurrence.fired
            if event is not None and occurrence.resolved is None:
                self._open[event.rule, event.agent] = occurrence.id

    # -- occurrences ----------------------------------------------------------

    def _occurrences(self) -> list[_Occurrence]:
        """Every time that an alert fired, as far as the history goes back, the oldest first."""
        fired: dict[tuple[str, str], _Occurrence] = {}
        over: list[_Occurrence] = []
        for event in reversed(self.alerts.history(limit=_HISTORY)):
            key = event.rule, event.agent
            if event.kind == "resolved":
                before = fired.pop(key, None) or _Occurrence(identifier(*key, event.since), None)
                over.append(replace(before, resolved=event))
            elif key not in fired:
                fired[key] = _Occurrence(identifier(*key, event.at), event)
        return [*over, *fired.values()]

    def id_of(self, event: AlertEvent) -> str:
        """The id of the occurrence that *event* belongs to; called for each event once, in order."""
        key = event.rule, event.agent
        with self._lock:
            if event.kind == "resolved":
                return self._open.pop(key, None) or identifier(*key, event.since)
            return self._open.setdefault(key, identifier(*key, event.at))

    def _id_of_active(self, alert: Alert) -> str:
        with self._lock:
            known = self._open.get((alert.rule, alert.agent))
        return known if known is not None and alert.state == "firing" else identifier(alert.rule, alert.agent, None)

    # -- what is shown ----------------------------------------------------------

    def active(self) -> list[Shown]:
        """Those that fire and those that may, in the order of the rules."""
        rules = {rule.name: rule for rule in self.alerts.rules()}
        return [self._shown(alert, rules.get(alert.rule)) for alert in self.alerts.active(pending=True)]

    def history(self) -> list[Shown]:
        """Those that are over, the latest first."""
        rules = {rule.name: rule for rule in self.alerts.rules()}
        over = [each for each in self._occurrences() if each.resolved is not None]
        return [self._shown_past(each, rules) for each in reversed(over)]

    def _shown(self, alert: Alert, rule: AlertRule | None) -> Shown:
        seen = alert.acknowledged_by
        return {
            "id": self._id_of_active(alert),
            "rule": alert.rule,
            "expression": alert.condition,
            "severity": alert.severity,
            "agent": alert.agent,
            "agent_name": self._name_of(alert.agent),
            "state": alert.state,
            "value": alert.value,
            "value_text": _text(rule, alert.value),
            "threshold": _threshold(rule),
            "since": iso(alert.since),
            "fired_at": None if alert.fired_at is None else iso(alert.fired_at),
            "resolved_at": None,
            "reason": None,
            "silenced": alert.silenced,
            "acknowledged": None
            if seen is None
            else {"by": seen, "at": iso(alert.acknowledged_at or 0.0), "note": alert.note},
        }

    def _shown_past(self, occurrence: _Occurrence, rules: dict[str, AlertRule]) -> Shown:
        event, fired = occurrence.resolved, occurrence.fired
        assert event is not None
        worst = fired or event
        rule = rules.get(event.rule)
        return {
            "id": occurrence.id,
            "rule": event.rule,
            "expression": event.condition,
            "severity": event.severity,
            "agent": event.agent,
            "agent_name": self._name_of(event.agent),
            "state": "resolved",
            "value": event.value,
            "value_text": event.shown or None,
            "threshold": _threshold(rule if rule is not None and rule.condition == event.condition else None),
            "since": iso(worst.since),
            "fired_at": None if fired is None else iso(fired.at),
            "resolved_at": iso(event.at),
            "reason": event.reason or None,
            "silenced": event.silenced,
            "acknowledged": None,
        }

    # -- what people do -----------------------------------------------------------

    def acknowledge(self, alert_id: str, by: str, note: str) -> Shown:
        """Note that somebody has seen a firing alert. Raises AlertNotFoundError."""
        firing = [each for each in self.alerts.active() if self._id_of_active(each) == alert_id]
        if not firing:
            there = [self._id_of_active(each) for each in self.alerts.active()[:3]]
            raise AlertNotFoundError(f"alert {alert_id[:80]!r} that fires", there)
        seen = self.alerts.acknowledge(firing[0].rule, firing[0].agent, by, note)
        rules = {rule.name: rule for rule in self.alerts.rules()}
        return self._shown(seen, rules.get(seen.rule))


_HISTORY = 1_000


def rule_shown(rule: AlertRule) -> Shown:
    """A rule as it is shown.

    >>> rule_shown(AlertRule.parse("busy: task_queue_length >= 100"))["expression"]
    'task_queue_length >= 100'
    """
    return {"name": rule.name, "expression": rule.condition, "severity": rule.severity, "metric": rule.metric}


def silence_shown(silence: Silence) -> Shown:
    """A silence as it is shown."""
    return {
        "id": silence.id,
        "rule": None if silence.rule == "*" else silence.rule,
        "agent": None if silence.agent == "*" else silence.agent,
        "until": iso(silence.until),
        "by": silence.by,
        "reason": silence.why,
    }


def _text(rule: AlertRule | None, value: float | None) -> str | None:
    return None if value is None or rule is None else rule.limit.shown(value)


def _threshold(rule: AlertRule | None) -> float | None:
    return None if rule is None else rule.threshold
