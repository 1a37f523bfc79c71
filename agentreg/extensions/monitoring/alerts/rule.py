"""`AlertRule`: what is to be watched, and when it is too much."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from agentreg.extensions.monitoring.alerts.texts import checked_text
from agentreg.extensions.monitoring.alerts.units import KNOWN_METRICS, Dimension, Quantity, duration_text

__all__ = ["Aggregate", "AlertRule", "Operator", "Severity"]

Operator = Literal[">", ">=", "<", "<=", "==", "!="]
Aggregate = Literal["avg", "min", "max", "sum", "count", "p50", "p95", "p99"]
Severity = Literal["info", "warning", "critical"]

MARGIN = Decimal("0.05")
CLEAR_AFTER = 300_000  # milliseconds
LONGEST = 30 * 86_400_000  # milliseconds: as long as metrics are kept
NAME_LIMIT = 255  # characters of a rule's name, and of a pattern
TEXT_LIMIT = 2000  # characters of a rule
_WORD = re.compile(r"[^\W\d][\w.-]*")


@dataclass(frozen=True)
class AlertRule:
    """A condition on a metric of an agent. Best made by `parse`; ``str(rule)`` parses to the same rule.

    Attributes:
        metric: What is compared.
        operator: How.
        limit: With what.
        window: Milliseconds; 0 for a condition on the latest sample alone.
        aggregate: What is compared of the samples in the window; None: each sample, or with *counted* the events.
        counted: Whether the metric is one of events, which are counted within the window.
        agents: Which agents are meant, as a pattern with ``*``, ``?`` and ``[...]``.
        severity: How bad it is.
        margin: The part of the limit by which the condition must be false for the alert to be resolved at once.
        clear_after: Milliseconds for which it must be false, by however little, for the alert to be resolved.
        name: Its name among the rules; without one, its text.

    Example:
        >>> rule = AlertRule.parse("memory_usage > 90% for 2m")
        >>> rule.metric, rule.threshold, rule.seconds
        ('memory_usage', 0.9, 120.0)
        >>> print(AlertRule.parse('slow: response_time >= 1500ms avg for 300s on "planner-*" as critical'))
        slow: response_time >= 1500ms avg for 5m on "planner-*" as critical
    """

    metric: str
    operator: Operator
    limit: Quantity
    window: int = 0
    aggregate: Aggregate | None = None
    counted: bool = False
    agents: str = "*"
    severity: Severity = "warning"
    margin: Decimal = MARGIN
    clear_after: int = CLEAR_AFTER
    name: str = ""

    def __post_init__(self) -> None:
        _check_words(self)
        _check_times(self)
        object.__setattr__(self, "name", self.name or self.condition)
        checked_text(self.name, "name", TEXT_LIMIT if self.name == self.condition else NAME_LIMIT)
        checked_text(self.agents, "agents", NAME_LIMIT)

    @classmethod
    def parse(cls, text: str, name: str = "", metrics: Mapping[str, Dimension] = KNOWN_METRICS) -> AlertRule:
        """The rule that *text* says; *name* counts more than one in the text.

        *metrics* says which there are: ``{**KNOWN_METRICS, "battery": "fraction"}`` adds one of your own.

        Raises:
            AlertRuleError: it is no rule; the error shows the place, and what was expected.

        >>> AlertRule.parse("connection_failures > 5 in 1m", name="flaky").name
        'flaky'
        """
        from agentreg.extensions.monitoring.alerts.parser import parse

        return parse(text, name, metrics)

    @property
    def threshold(self) -> float:
        """The limit in fractions of 1, in seconds, in bytes, or plain."""
        return self.limit.value

    @property
    def seconds(self) -> float:
        """The window in seconds."""
        return self.window / 1000

    @property
    def condition(self) -> str:
        """The rule without its name."""
        parts = [f"{self.metric} {self.operator} {self.limit}"]
        parts += [self.aggregate] if self.aggregate else []
        parts += [f"{'in' if self.counted else 'for'} {duration_text(self.window)}"] if self.window else []
        parts += [f"on {_quoted(self.agents)}"] if self.agents != "*" else []
        parts += [f"as {self.severity}"] if self.severity != "warning" else []
        parts += [f"margin {Quantity(self.margin * 100, '%')}"] if self.margin != MARGIN else []
        parts += [f"clear after {duration_text(self.clear_after)}"] if self.clear_after != CLEAR_AFTER else []
        return " ".join(parts)

    def __str__(self) -> str:
        if self.name == self.condition:
            return self.name
        return f"{self.name if _WORD.fullmatch(self.name) else _quoted(self.name)}: {self.condition}"


def _check_words(rule: AlertRule) -> None:
    words: dict[str, tuple[str, object]] = {
        "operator": (rule.operator, Operator),
        "severity": (rule.severity, Severity),
        "aggregate": (rule.aggregate or "avg", Aggregate),
    }
    for what, (word, kind) in words.items():
        if word not in get_args(kind):
            raise ValueError(f"{what}: expected one of {get_args(kind)}, got {word!r}")


def _check_times(rule: AlertRule) -> None:
    if not 0 <= rule.window <= LONGEST or not 0 <= rule.clear_after <= LONGEST:
        raise ValueError(f"window and clear_after: expected 0 to {LONGEST} milliseconds")
    if (rule.aggregate or rule.counted) and not rule.window:
        raise ValueError("an aggregate and a count of events need a window")
    if rule.aggregate and rule.counted:
        raise ValueError("events are counted: they have no aggregate")
    if not 0 <= rule.margin <= 1:
        raise ValueError(f"margin: expected a part of the limit from 0 to 1, got {rule.margin}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
