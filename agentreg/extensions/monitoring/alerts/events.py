"""What became of an alert, and what is listed of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from agentreg.extensions.monitoring.alerts.rule import AlertRule, Severity

__all__ = ["Alert", "AlertEvent", "AlertState", "Reason"]

AlertState = Literal["inactive", "pending", "firing", "resolved"]
Reason = Literal["", "recovered", "no data", "departed", "rule removed"]


@dataclass(frozen=True)
class AlertEvent:
    """An alert fired, was told of once more, or was resolved.

    Attributes:
        kind: ``"firing"``; ``"repeated"`` while it goes on; ``"resolved"``.
        rule: The rule's name.
        agent: Whom it concerns.
        severity: The rule's.
        metric: The rule's.
        condition: The rule's text, without its name.
        value: What was compared, in fractions of 1, seconds, bytes, or plain; None where there is no data.
        shown: The same in the rule's unit.
        at: When, in seconds since 1970.
        since: Since when the condition had held, in seconds since 1970.
        reason: Why it was resolved: ``"recovered"``, ``"no data"``, ``"departed"`` or ``"rule removed"``; else ``""``.
        silenced: Whether a silence keeps it from the handlers.
    """

    kind: Literal["firing", "repeated", "resolved"]
    rule: str
    agent: str
    severity: Severity
    metric: str
    condition: str
    value: float | None
    shown: str
    at: float
    since: float
    reason: Reason = ""
    silenced: bool = False

    @property
    def message(self) -> str:
        """A sentence for people."""
        now = f"{self.metric} of {self.agent!r} is {self.shown}" if self.shown else f"{self.metric} of {self.agent!r}"
        if self.kind == "resolved":
            return f"resolved ({self.reason}): {self.rule}: {now}"
        again = " still" if self.kind == "repeated" else ""
        return f"{self.severity}{again}: {self.rule}: {now} ({self.condition})"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON, with the message, and the times in ISO 8601."""
        return {**asdict(self), "at": _iso(self.at), "since": _iso(self.since), "message": self.message}


@dataclass(frozen=True)
class Alert:
    """An alert that is pending or firing.

    Attributes:
        rule: The rule's name.
        agent: Whom it concerns.
        state: ``"pending"``: the condition holds, but not for long enough yet; ``"firing"``.
        severity: The rule's.
        metric: The rule's.
        condition: The rule's text, without its name.
        value: What was compared last, or None.
        since: Since when the condition has held, in seconds since 1970.
        fired_at: When it fired, in seconds since 1970; None while it is pending.
        silenced: Whether a silence holds for it now.
        acknowledged_by: Who has seen it, or None.
        acknowledged_at: When, in seconds since 1970.
        note: What they said.
    """

    rule: str
    agent: str
    state: Literal["pending", "firing"]
    severity: Severity
    metric: str
    condition: str
    value: float | None
    since: float
    fired_at: float | None = None
    silenced: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON, with the times in ISO 8601."""
        times = {key: _iso(getattr(self, key)) for key in ("since", "fired_at", "acknowledged_at")}
        return {**asdict(self), **times}


def event_of(
    rule: AlertRule,
    kind: Literal["firing", "repeated", "resolved"],
    agent: str,
    value: float | None,
    at: float,
    since: float,
    reason: Reason = "",
    silenced: bool = False,
) -> AlertEvent:
    """The event of *rule*."""
    shown = "" if value is None else rule.limit.shown(value)
    condition = rule.condition
    return AlertEvent(
        kind, rule.name, agent, rule.severity, rule.metric, condition, value, shown, at, since, reason, silenced
    )


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()
