"""What can go wrong with alerts: a rule that is no rule, an alert that isn't there, states that can't be kept."""

from __future__ import annotations

from collections.abc import Iterable

from agentreg import RegistryError

__all__ = ["AlertNotFoundError", "AlertRuleError", "KeeperError"]

_SHOWN = 120  # characters of the text, around the place


class AlertRuleError(RegistryError, ValueError):
    """A text is no alert rule.

    Attributes:
        text: What came.
        column: Where it goes wrong, in characters, counted from 1.
        message: What is wrong there.
        expected: What could stand there.
        suggestion: What was most likely meant, or None.

    Example:
        >>> from agentreg.extensions.monitoring.alerts import AlertRule
        >>> AlertRule.parse("memory_usge > 90%")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        agentreg.extensions.monitoring.alerts.errors.AlertRuleError: unknown metric 'memory_usge'
            memory_usge > 90%
            ^
        expected connection_failures, cpu_utilization, ... or task_queue_length
        did you mean 'memory_usage'?
    """

    def __init__(
        self, text: str, column: int, message: str, expected: Iterable[str] = (), suggestion: str | None = None
    ) -> None:
        self.text = text
        self.column = column
        self.message = message
        self.expected = tuple(expected)
        self.suggestion = suggestion
        super().__init__(text, column, message, self.expected, suggestion)

    def __str__(self) -> str:
        start = max(0, self.column - 1 - _SHOWN // 2)
        shown = "".join(each if each.isprintable() else " " for each in self.text[start : start + _SHOWN])
        lines = [self.message, f"    {shown}", " " * (4 + self.column - 1 - start) + "^"]
        if self.expected:
            lines.append(f"expected {_listed(self.expected)}")
        if self.suggestion is not None:
            lines.append(f"did you mean {self.suggestion!r}?")
        return "\n".join(lines)


def _listed(items: tuple[str, ...]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


class AlertNotFoundError(RegistryError, LookupError):
    """There is no such rule, alert or silence now.

    Attributes:
        what: What was asked for, in words.
        nearest: What there is that looks like it.
    """

    def __init__(self, what: str, nearest: Iterable[str] = ()) -> None:
        self.what = what
        self.nearest = tuple(nearest)
        super().__init__(what, self.nearest)

    def __str__(self) -> str:
        there = ", ".join(map(repr, self.nearest))
        return f"there is no {self.what}" + (f"; there is: {there}" if there else "")


class KeeperError(RegistryError, OSError):
    """A keeper can't read or write what it keeps.

    Attributes:
        path: Where it keeps it.
        cause: What is wrong.
        advice: What to do.
    """

    def __init__(self, path: str, cause: str, advice: str) -> None:
        super().__init__(path, cause, advice)
        self.path = path
        self.cause = cause
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}; {self.advice}"
