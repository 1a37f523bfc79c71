"""From a text to an `AlertRule`, or to an error with the place.

The grammar stands in the documentation, under "the language of alerts".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, get_args

from agentreg.extensions.monitoring.alerts.errors import AlertRuleError
from agentreg.extensions.monitoring.alerts.lexer import Token, tokens
from agentreg.extensions.monitoring.alerts.rule import LONGEST, NAME_LIMIT, Aggregate, AlertRule, Operator, Severity
from agentreg.extensions.monitoring.alerts.units import DURATION_UNITS, UNITS, Dimension, Quantity, units_of

__all__ = ["parse"]

_OPERATORS: tuple[str, ...] = get_args(Operator)
_AGGREGATES: tuple[str, ...] = get_args(Aggregate)
_SEVERITIES: tuple[str, ...] = get_args(Severity)
_SAME_UNIT = {"sec": "s", "min": "m", "hr": "h", "day": "d"}
_MEASURES: dict[Dimension, str] = {
    "fraction": "a share: compare it with a percentage, as 90%",
    "seconds": "a time: compare it with one, as 5s or 250ms",
    "bytes": "a size: compare it with one, as 512mb",
    "number": "a plain number, without a unit",
    "events": "a number of events, without a unit",
}
_NUMBER = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,15})?)([^\W\d]*|%)", re.ASCII)
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)([^\W\d]+)", re.ASCII)


def parse(text: str, name: str, metrics: Mapping[str, Dimension]) -> AlertRule:
    """The rule that *text* says. Raises AlertRuleError, and nothing else, whatever the text."""
    if not isinstance(text, str):
        raise TypeError(f"an alert rule: expected a text, as 'memory_usage > 90% for 2m', got {text!r:.100}")
    return _Parser(text, metrics).rule(name)


class _Parser:
    """One text on its way to a rule."""

    def __init__(self, text: str, metrics: Mapping[str, Dimension]) -> None:
        self._text = text
        self._metrics = metrics
        self._tokens = list(tokens(text))
        self._at = 0
        self._dimension: Dimension = "number"
        self._limit_at = self._tokens[0]
        self._fields: dict[str, Any] = {}

    # -- tokens -------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _error(self, at: Token, message: str, expected: Iterable[str] = (), meant: str | None = None) -> AlertRuleError:
        return AlertRuleError(self._text, at.column, message, expected, meant)

    def _unexpected(self, at: Token, expected: Iterable[str]) -> AlertRuleError:
        expected = tuple(expected)
        return self._error(at, f"unexpected {at}", expected, _nearest(at.text, expected))

    def _word(self, among: Iterable[str]) -> str:
        among = tuple(among)
        token = self._take()
        if token.kind != "word" or token.text.lower() not in among:
            raise self._unexpected(token, among)
        return token.text.lower()

    # -- the rule -----------------------------------------------------------

    def rule(self, name: str) -> AlertRule:
        """The whole text."""
        found = self._name()
        self._condition()
        self._clauses()
        self._check()
        try:
            return AlertRule(**self._fields, name=name or found)
        except ValueError as error:
            raise AlertRuleError(self._text, 1, str(error)) from error

    def _name(self) -> str:
        if len(self._tokens) < 2 or self._tokens[1].kind != "colon":
            return ""
        token = self._take()
        if token.kind not in {"word", "string"}:
            raise self._error(token, f"{token} is no name for a rule", ('a word, or a text in "quotes"',))
        if not token.text.strip() or len(token.text) > NAME_LIMIT:
            raise self._error(token, f"the name of a rule has 1 to {NAME_LIMIT} characters")
        self._take()
        return token.text

    def _condition(self) -> None:
        self._fields["metric"] = self._metric()
        operator = self._take()
        if operator.kind != "operator" or operator.text not in _OPERATORS:
            meant = "==" if operator.text == "=" else None
            raise self._error(operator, f"unexpected {operator}", _OPERATORS, meant)
        self._fields["operator"] = operator.text
        self._limit_at = self._take()
        self._fields["limit"] = self._quantity(self._limit_at)

    def _metric(self) -> str:
        token = self._take()
        if token.kind != "word":
            raise self._error(token, f"unexpected {token}", ("a metric", "a name and a colon"))
        if token.text not in self._metrics:
            nearest = _nearest(token.text, self._metrics)
            raise self._error(token, f"unknown metric {token}", sorted(self._metrics), nearest)
        self._dimension = self._metrics[token.text]
        return token.text

    def _quantity(self, token: Token) -> Quantity:
        if token.kind != "quantity":
            raise self._error(token, f"unexpected {token}", ("a number",))
        match = _NUMBER.fullmatch(token.text)
        if match is None:
            wanted = ("a number with its unit right behind it, as 90%, 5s or 1.5gb",)
            raise self._error(token, f"{token} is no number", wanted)
        unit = match[2].lower()
        if not unit and self._next.kind == "word" and self._next.text in UNITS:
            if self._next.text != "%":
                raise self._error(self._next, "a unit stands right behind its number", (), token.text + self._next.text)
            unit = self._take().text
        return Quantity(Decimal(match[1]), _SAME_UNIT.get(unit, unit))

    # -- what follows the condition -----------------------------------------

    def _clauses(self) -> None:
        clauses: dict[str, Callable[[str], None]] = {
            **dict.fromkeys((*_AGGREGATES, "for", "in"), self._window),
            **dict.fromkeys(("on", "where"), self._agents),
            "as": self._severity,
            "margin": self._margin,
            "clear": self._clear,
        }
        while self._next.kind != "end":
            read = clauses[self._word(clauses)]
            clauses = {word: each for word, each in clauses.items() if each != read}  # each clause once
            read(self._tokens[self._at - 1].text.lower())

    def _window(self, word: str) -> None:
        if word in _AGGREGATES:
            self._fields["aggregate"] = word
            word = self._word(("for", "in"))
        self._fields["window"] = self._duration(least=1)
        aggregate = self._fields.get("aggregate")
        keyword = self._tokens[self._at - 2]
        if self._dimension == "events":
            self._check_events(aggregate, word, keyword)
        elif word == "in" and aggregate is None:
            message = f"{self._fields['metric']} is measured, not counted: 'in' is for events"
            raise self._error(keyword, message, ("for", "an aggregate before 'in'"), "for")

    def _check_events(self, aggregate: object, word: str, keyword: Token) -> None:
        if aggregate is not None:
            raise self._error(self._tokens[self._at - 3], f"{self._fields['metric']} is counted: it has no aggregate")
        if word == "for":
            raise self._error(keyword, f"{self._fields['metric']} is counted within a time", ("in",), "in")
        self._fields["counted"] = True

    def _agents(self, word: str) -> None:
        if word == "where":
            self._word(("agent",))
            sign = self._take()
            if sign.text not in {"=", "=="}:
                raise self._unexpected(sign, ("=",))
        token = self._take()
        if token.kind not in {"word", "string", "quantity"} or not token.text:
            raise self._error(token, f"unexpected {token}", ('a pattern of agent ids, as "planner-*"',))
        self._fields["agents"] = token.text

    def _severity(self, _: str) -> None:
        self._fields["severity"] = self._word(_SEVERITIES)

    def _margin(self, _: str) -> None:
        token = self._take()
        quantity = self._quantity(token)
        if quantity.unit != "%" or not 0 <= quantity.number <= 100:
            raise self._error(token, f"{token} is no margin", ("a percentage from 0% to 100%",))
        self._fields["margin"] = quantity.number / 100

    def _clear(self, _: str) -> None:
        self._word(("after",))
        self._fields["clear_after"] = self._duration(least=0)

    def _duration(self, least: int) -> int:
        token = self._take()
        if token.kind != "quantity":
            raise self._error(token, f"unexpected {token}", ("a duration, as 90s, 2m or 1h30m",))
        total, at = Decimal(0), 0
        while at < len(token.text):
            match = _PART.match(token.text, at)
            if match is None:
                raise self._error(token, f"{token} is no duration", ("numbers with units, as 90s, 2m or 1h30m",))
            total += Decimal(match[1]) * self._milliseconds(token, match)
            at = match.end()
        return self._in_range(token, total, least)

    def _milliseconds(self, token: Token, match: re.Match[str]) -> int:
        unit = _SAME_UNIT.get(match[2].lower(), match[2].lower())
        if unit not in DURATION_UNITS:
            there = Token("word", match[2], token.column + match.start(2))
            message = f"unknown unit {match[2]!r} of time"
            raise self._error(there, message, DURATION_UNITS, _nearest_unit(unit, DURATION_UNITS))
        return DURATION_UNITS[unit]

    def _in_range(self, token: Token, total: Decimal, least: int) -> int:
        if total != total.to_integral_value() or not least <= total <= LONGEST:
            raise self._error(token, f"{token}: a duration is {least} ms to 30d, in whole milliseconds")
        return int(total)

    # -- whether it fits together -------------------------------------------

    def _check(self) -> None:
        metric, limit = self._fields["metric"], self._fields["limit"]
        dimension: Dimension = "number" if self._fields.get("aggregate") == "count" else self._dimension
        if dimension == "events" and not self._fields.get("counted"):
            raise self._error(self._next, f"{metric} is counted within a time: say in which", ("in 1m",))
        if limit.unit and limit.unit not in units_of(dimension):
            raise self._wrong_unit(dimension, limit.unit)
        if dimension == "fraction" and not limit.unit and abs(limit.number) > 1:
            meant = f"{limit}%"
            raise self._error(self._limit_at, f"{metric} is a share of 1, and {limit} is beyond it", ("0 to 1",), meant)

    def _wrong_unit(self, dimension: Dimension, unit: str) -> AlertRuleError:
        token = self._limit_at
        there = Token("word", unit, token.column + len(token.text) - len(unit))
        what = "a count" if self._fields.get("aggregate") == "count" else self._fields["metric"]
        message = f"{unit!r} does not fit: {what} is {_MEASURES[dimension]}"
        units = units_of(dimension)
        return self._error(there, message, units, _nearest_unit(unit, units))


def _nearest(word: str, among: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word.lower(), list(among), 1, 0.6)), None)


def _nearest_unit(unit: str, units: Iterable[str]) -> str | None:
    """Units are too short for likeness alone: a whole word is known by its beginning."""
    units = tuple(units)
    longer = {"mil": "ms", "sec": "s", "min": "m", "hou": "h", "day": "d", "per": "%", "pct": "%"}
    longer |= {"byt": "b", "kil": "kb", "meg": "mb", "gig": "gb", "ter": "tb"}
    meant = longer.get(unit[:3])
    if meant in units or unit in UNITS:  # a unit of something else is no slip of the pen
        return meant if meant in units else None
    return _nearest(unit, units)
