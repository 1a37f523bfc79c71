"""The language of alerts: what is a rule, what isn't, and where it goes wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentreg.extensions.monitoring.alerts import DEFAULT_RULES, KNOWN_METRICS, AlertRule, AlertRuleError, Quantity
from agentreg.extensions.monitoring.alerts.rule import Aggregate

UNITS = {
    "fraction": ["%"],
    "seconds": ["ms", "s", "m", "h", "d", ""],
    "bytes": ["b", "kb", "mb", "gb", "tb", "pb", "kib", "mib", "gib", "tib", "pib", ""],
    "number": [""],
    "events": [""],
}
numbers = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=3)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
durations = st.integers(1, 30 * 86_400_000)


@st.composite
def rules(draw: st.DrawFn) -> AlertRule:
    metric = draw(st.sampled_from(sorted(KNOWN_METRICS)))
    dimension = KNOWN_METRICS[metric]
    counted = dimension == "events"
    aggregates: list[Aggregate | None] = [None, "avg", "min", "max", "sum", "count", "p50", "p95", "p99"]
    aggregate = None if counted else draw(st.sampled_from(aggregates))
    unit = draw(st.sampled_from(UNITS["number" if aggregate == "count" else dimension]))
    return AlertRule(
        metric,
        draw(st.sampled_from([">", ">=", "<", "<=", "==", "!="])),
        Quantity(draw(numbers), unit),
        draw(durations if counted or aggregate else st.one_of(st.just(0), durations)),
        aggregate,
        counted,
        draw(texts),
        draw(st.sampled_from(["info", "warning", "critical"])),
        Decimal(draw(st.integers(0, 1000))) / 1000,
        draw(st.integers(0, 30 * 86_400_000)),
        draw(st.one_of(st.just(""), texts)),
    )


@given(rules())
def test_a_rule_as_text_parses_to_the_same_rule(rule: AlertRule) -> None:
    assert AlertRule.parse(str(rule)) == rule


PIECES = ["memory_usage", "response_time", ">", ">=", "=", "90%", "5s", "1h30m", "avg", "for", "in", "on", "where"]
PIECES += ['"a*"', '"', "\\", "as", "critical", "margin", "clear", "after", ":", "-", "%", "1.2.3", "9" * 400, "\ud800"]
PIECES += ["connection_failures", "count", "5 in 1m", "٣s", "1e9", "agent", "\n", "\x00", "min", "p95", "m", '"\\q"']
pieces = st.lists(st.sampled_from(PIECES))


@given(st.one_of(st.text(), pieces.map(" ".join), pieces.map("".join)))
@example("a" * 3000)
@example('memory_usage > 90% on "\\ud800"')
@example('"\\ud800": memory_usage > 90%')
def test_of_any_text_the_parser_raises_its_own_error_or_none(text: str) -> None:
    outcome = parsed(text)

    if isinstance(outcome, AlertRule):
        assert AlertRule.parse(str(outcome)) == outcome
    else:
        assert 1 <= outcome.column <= len(text) + 1
        assert "^" in str(outcome)


def parsed(text: str) -> AlertRule | AlertRuleError:
    try:
        return AlertRule.parse(text)
    except AlertRuleError as error:
        return error


def test_the_defaults_are_the_four_of_the_contract() -> None:
    assert [str(rule) for rule in DEFAULT_RULES] == [
        "high_memory: memory_usage > 90% for 2m",
        "slow_response: response_time > 5s avg for 5m",
        "high_error_rate: error_rate > 10% for 1m",
        "connection_failures: connection_failures > 5 in 1m",
    ]
    assert [(rule.threshold, rule.seconds, rule.aggregate, rule.counted) for rule in DEFAULT_RULES] == [
        (0.9, 120.0, None, False),
        (5.0, 300.0, "avg", False),
        (0.1, 60.0, None, False),
        (5.0, 60.0, None, True),
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("memory_usage>90%for 2m", "memory_usage > 90% for 2m"),
        ("memory_usage > 90 % FOR 120s", "memory_usage > 90% for 2m"),
        ("memory_usage > 90% for 1m60s", "memory_usage > 90% for 2m"),
        ("response_time > 5.0sec AVG in 5min", "response_time > 5s avg for 5m"),
        ("memory_bytes >= 1.50GB", "memory_bytes >= 1.5gb"),
        ('memory_usage > 90% where agent = "planner-*"', 'memory_usage > 90% on "planner-*"'),
        ("memory_usage > 90% on planner-* as critical", 'memory_usage > 90% on "planner-*" as critical'),
        ("memory_usage > 90% as warning margin 5% clear after 5m", "memory_usage > 90%"),
        ("response_time > 100 count for 1m", "response_time > 100 count for 1m"),
        ('"my rule": memory_usage > 0.9', '"my rule": memory_usage > 0.9'),
    ],
)
def test_what_means_the_same_is_written_the_same(text: str, same: str) -> None:
    assert str(AlertRule.parse(text)) == same


@pytest.mark.parametrize(
    ("text", "column", "message", "suggestion"),
    [
        ("", 1, "unexpected the end", None),
        ("memory_usge > 90%", 1, "unknown metric 'memory_usge'", "memory_usage"),
        ("memory_usage => 90%", 14, "unexpected '=>'", None),
        ("memory_usage = 90%", 14, "unexpected '='", "=="),
        ("memory_usage > 90", 16, "memory_usage is a share of 1, and 90 is beyond it", "90%"),
        ("memory_usage > ninety", 16, "unexpected 'ninety'", None),
        ("response_time > 5 s", 19, "a unit stands right behind its number", "5s"),
        ("response_time > 5seconds", 18, "'seconds' does not fit: response_time is a time", "s"),
        ("response_time > 5gb", 18, "'gb' does not fit: response_time is a time", None),
        ("task_queue_length > 5%", 22, "'%' does not fit: task_queue_length is a plain number", None),
        ("memory_usage > 90% fro 2m", 20, "unexpected 'fro'", "for"),
        ("memory_usage > 90% for 2minuts", 25, "unknown unit 'minuts' of time", "m"),
        ("memory_usage > 90% for", 23, "unexpected the end", None),
        ("memory_usage > 90% for 0s", 24, "'0s': a duration is 1 ms to 30d", None),
        ("memory_usage > 90% for 31d", 24, "'31d': a duration is 1 ms to 30d", None),
        ("memory_usage > 90% for 0.5ms", 24, "'0.5ms': a duration is 1 ms to 30d", None),
        ("memory_usage > 90% in 2m", 20, "memory_usage is measured, not counted", "for"),
        ("connection_failures > 5 for 1m", 25, "connection_failures is counted within a time", "in"),
        ("connection_failures > 5 avg in 1m", 25, "connection_failures is counted: it has no aggregate", None),
        ("connection_failures > 5", 24, "connection_failures is counted within a time", None),
        ("memory_usage > 90% as critcal", 23, "unexpected 'critcal'", "critical"),
        ("memory_usage > 90% for 1m for 2m", 27, "unexpected 'for'", None),
        ("memory_usage > 90% margin 5s", 27, "'5s' is no margin", None),
        ('memory_usage > 90% on "abc', 23, "this string is not closed", None),
        ("memory_usage > 90%; drop", 19, "unexpected character ';'", None),
        (": memory_usage > 90%", 1, "unexpected ':'", None),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(text: str, column: int, message: str, suggestion: str | None) -> None:
    with pytest.raises(AlertRuleError) as caught:
        AlertRule.parse(text)

    error = caught.value
    assert (error.text, error.column, error.suggestion) == (text, column, suggestion)
    assert error.message.startswith(message)
    lines = str(error).splitlines()
    assert lines[1][4:] == text
    assert lines[2] == " " * (4 + column - 1) + "^"


def test_what_was_expected_is_said() -> None:
    words = "avg, min, max, sum, count, p50, p95, p99, for, in, on, where, as, margin or clear"
    with pytest.raises(AlertRuleError, match=f"expected {words}") as caught:
        AlertRule.parse("memory_usage > 90% ??")

    assert "for" in caught.value.expected


def test_the_caret_is_under_the_place_in_a_long_line() -> None:
    text = f"{'x' * 200}: memory_usage > 90% fro 2m"

    with pytest.raises(AlertRuleError) as caught:
        AlertRule.parse(text)

    _, shown, caret, *_ = str(caught.value).splitlines()
    assert shown[caret.index("^") :].startswith("fro 2m")


def test_metrics_of_your_own_can_be_named() -> None:
    rule = AlertRule.parse("battery < 20%", metrics={**KNOWN_METRICS, "battery": "fraction"})

    assert rule.threshold == 0.2


def test_a_rule_made_by_hand_is_checked_too() -> None:
    with pytest.raises(ValueError, match="operator: expected one of"):
        AlertRule("memory_usage", "=>", Quantity.of("90%"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="need a window"):
        AlertRule("memory_usage", ">", Quantity.of("90%"), aggregate="avg")


def test_what_is_no_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="expected a text"):
        AlertRule.parse(7)  # type: ignore[arg-type]
