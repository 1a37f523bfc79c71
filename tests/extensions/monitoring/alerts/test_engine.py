"""Alerts from the first sample to the history."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agentreg.extensions.monitoring.alerts import AlertEvent, AlertNotFoundError, AlertRuleError, Alerts
from tests.extensions.monitoring.alerts.clocks import Clock

Feed = Callable[..., list[str]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def kinds(events: list[AlertEvent]) -> list[str]:
    return [f"{each.kind} {each.reason}".strip() for each in events]


def fed(alerts: Alerts, clock: Clock, metric: str, values: list[float], step: float = 10.0) -> list[str]:
    """What happened: a sample and an evaluation every *step* seconds."""
    happened: list[str] = []
    for value in values:
        alerts.observe(metric, "ann", value)
        happened += kinds(alerts.evaluate())
        clock.tick(step)
    return happened


# -- the four defaults ------------------------------------------------------


def test_high_memory_fires_once_after_two_minutes_above_90_percent(clock: Clock) -> None:
    alerts = Alerts(clock=clock)

    assert fed(alerts, clock, "memory_usage", [0.95] * 12) == []
    assert alerts.state("high_memory", "ann") == "pending"
    assert fed(alerts, clock, "memory_usage", [0.95] * 20) == ["firing"]
    assert alerts.state("high_memory", "ann") == "firing"


def test_one_good_sample_starts_the_two_minutes_anew(clock: Clock) -> None:
    alerts = Alerts(clock=clock)

    assert fed(alerts, clock, "memory_usage", [*[0.95] * 11, 0.5, *[0.95] * 12]) == []
    assert fed(alerts, clock, "memory_usage", [0.95]) == ["firing"]


def test_slow_response_is_about_the_average_of_five_minutes(clock: Clock) -> None:
    alerts = Alerts(clock=clock)

    assert fed(alerts, clock, "response_time", [2.0, 9.0] * 15) == []
    assert fed(alerts, clock, "response_time", [2.0]) == ["firing"]
    (alert,) = alerts.active()
    assert alert.value == pytest.approx(5.25, abs=0.3)


def test_error_rate_and_failures_fire(clock: Clock) -> None:
    alerts = Alerts(clock=clock)

    assert fed(alerts, clock, "error_rate", [0.2] * 7) == ["firing"]
    alerts.count("connection_failures", "bob", 5)
    assert kinds(alerts.evaluate()) == []
    alerts.count("connection_failures", "bob")
    assert kinds(alerts.evaluate()) == ["firing"]


# -- resolving --------------------------------------------------------------


def test_an_alert_is_resolved_at_once_when_the_condition_is_false_by_the_margin(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90%"], clock=clock)

    assert fed(alerts, clock, "memory_usage", [0.95, 0.89, 0.86, 0.85]) == ["firing", "resolved recovered"]
    assert alerts.active() == []
    assert alerts.state("memory_usage > 90%", "ann") == "resolved"


def test_an_alert_that_is_false_by_less_is_resolved_after_a_time(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90% clear after 1m"], clock=clock)

    assert fed(alerts, clock, "memory_usage", [0.95, *[0.89] * 6]) == ["firing"]
    assert fed(alerts, clock, "memory_usage", [0.89]) == ["resolved recovered"]


def test_a_relapse_starts_that_time_anew(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90% clear after 1m"], clock=clock)

    assert fed(alerts, clock, "memory_usage", [0.95, *[0.89] * 5, 0.95, *[0.89] * 6]) == ["firing"]
    assert fed(alerts, clock, "memory_usage", [0.89]) == ["resolved recovered"]


def test_a_value_around_the_limit_fires_once(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90%"], clock=clock)

    assert fed(alerts, clock, "memory_usage", [0.91, 0.89] * 50) == ["firing"]


def test_an_agent_that_falls_silent_resolves_its_alert_for_want_of_data(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90%"], clock=clock, stale_after=60)
    fed(alerts, clock, "memory_usage", [0.95])

    clock.tick(50)
    assert kinds(alerts.evaluate()) == []
    clock.tick(1)
    assert kinds(alerts.evaluate()) == ["resolved no data"]


def test_an_agent_that_left_resolves_its_alerts_with_that_reason(clock: Clock) -> None:
    told: list[AlertEvent] = []
    alerts = Alerts(["memory_usage > 90%", "memory_usage > 80%"], clock=clock, handlers=[told.append], patience=60)
    fed(alerts, clock, "memory_usage", [0.95])

    assert kinds(alerts.forget("ann")) == ["resolved departed", "resolved departed"]
    assert kinds(told) == ["firing", "firing", "resolved departed", "resolved departed"]
    assert kinds(alerts.evaluate()) == []
    assert alerts.forget("nobody") == []


# -- rules at run time ------------------------------------------------------


def test_rules_come_and_go(clock: Clock) -> None:
    alerts = Alerts([], clock=clock)
    alerts.add_rule("full: memory_usage > 90%")
    fed(alerts, clock, "memory_usage", [0.95])

    assert kinds(alerts.remove_rule("full")) == ["resolved rule removed"]
    assert alerts.rules() == []
    assert alerts.active(pending=True) == []
    assert fed(alerts, clock, "memory_usage", [0.95]) == []


def test_a_rule_is_about_the_agents_that_it_names(clock: Clock) -> None:
    alerts = Alerts(['memory_usage > 90% on "planner-*"'], clock=clock)

    alerts.observe_many("memory_usage", {"planner-1": 0.95, "scout-1": 0.95})

    assert [event.agent for event in alerts.evaluate()] == ["planner-1"]
    alerts.observe("memory_usage", "planner-2", 0.95)
    assert [event.agent for event in alerts.evaluate()] == ["planner-2"]


def test_two_rules_of_one_name_are_refused() -> None:
    alerts = Alerts()

    with pytest.raises(ValueError, match="there is a rule named 'high_memory' already"):
        alerts.add_rule("high_memory: memory_usage > 1%")
    with pytest.raises(AlertRuleError):
        alerts.add_rule("memory > 1%")
    with pytest.raises(AlertNotFoundError, match="high_memory"):
        alerts.remove_rule("hi_memory")
    assert len(alerts.rules()) == 4


# -- what is fed ------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", None, True])
def test_a_batch_with_something_that_is_no_number_is_refused_as_a_whole(value: object, clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90%"], clock=clock)

    with pytest.raises((TypeError, ValueError), match="memory_usage of 'bob': expected a"):
        alerts.observe_many("memory_usage", {"ann": 0.95, "bob": value})  # type: ignore[dict-item]

    assert alerts.evaluate() == []


def test_what_is_counted_is_not_measured_and_the_other_way_round() -> None:
    alerts = Alerts()

    with pytest.raises(ValueError, match=r"connection_failures is counted: call count\(\)"):
        alerts.observe("connection_failures", "ann", 3)
    with pytest.raises(ValueError, match=r"memory_usage is measured: call observe\(\)"):
        alerts.count("memory_usage", "ann")
    with pytest.raises(ValueError, match="did you mean 'memory_usage'"):
        alerts.observe("memory_usag", "ann", 0.5)
    with pytest.raises(ValueError, match="expected a number of events above 0"):
        alerts.count("connection_failures", "ann", 0)
    with pytest.raises(ValueError, match="agent: expected a text"):
        alerts.observe("memory_usage", "", 0.5)


def test_a_sample_that_comes_too_late_is_dropped_and_counted(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90%"], clock=clock)
    alerts.observe("memory_usage", "ann", 0.5, at=10)

    alerts.observe("memory_usage", "ann", 0.95, at=9)

    assert alerts.evaluate(now=11) == []
    assert alerts.counters()["late"] == 1


def test_memory_is_bounded_however_many_samples_come(clock: Clock) -> None:
    alerts = Alerts(["response_time > 5s avg for 1m", "connection_failures > 5 in 1m"], clock=clock)

    for _ in range(3000):
        clock.tick(0.1)
        alerts.observe("response_time", "ann", 1.0)
        alerts.count("connection_failures", "ann")
    alerts.evaluate()

    windows = [window for feed in alerts._feeds._feeds.values() for window, _ in feed._windows.values()]
    assert [window.series["ann"].size <= 62 for window in windows] == [True, True]
    clock.tick(3600)
    alerts.evaluate()
    assert [window.series for window in windows] == [{}, {}]
    assert alerts._feeds._agents == set()


# -- people -----------------------------------------------------------------


def test_a_silenced_alert_is_listed_and_told_of_once_the_silence_is_over(clock: Clock) -> None:
    wall = Clock(1_000_000)
    told: list[AlertEvent] = []
    alerts = Alerts(["full: memory_usage > 90%"], clock=clock, wall=wall, handlers=[told.append], patience=60)
    alerts.silence("fu*", "a?n", until=wall() + 60, by="bob", why="a test")

    assert fed(alerts, clock, "memory_usage", [0.95, 0.95]) == ["firing"]
    assert (told, [alert.silenced for alert in alerts.active()]) == ([], [True])
    assert [event.silenced for event in alerts.history()] == [True]

    wall.tick(60)
    assert kinds(alerts.evaluate()) == ["firing"]
    assert kinds(told) == ["firing"]
    assert alerts.silences() == []


def test_what_a_silence_has_kept_from_the_handlers_is_not_resolved_before_them(clock: Clock) -> None:
    wall = Clock(1_000_000)
    told: list[AlertEvent] = []
    alerts = Alerts(["memory_usage > 90%"], clock=clock, wall=wall, handlers=[told.append], patience=60)
    alerts.silence(until=wall() + 60, by="bob")
    fed(alerts, clock, "memory_usage", [0.95])

    wall.tick(61)
    alerts.observe("memory_usage", "ann", 0.1)

    assert kinds(alerts.evaluate()) == ["resolved recovered"]
    assert told == []


def test_a_silence_can_be_ended_and_has_to_make_sense() -> None:
    wall = Clock(1000)
    alerts = Alerts(wall=wall)
    silence = alerts.silence(until=1010, by="bob", why="because")

    assert alerts.silences() == [silence]
    alerts.unsilence(silence.id)
    assert alerts.silences() == []
    with pytest.raises(AlertNotFoundError, match="there is no silence"):
        alerts.unsilence(silence.id)
    with pytest.raises(ValueError, match="until: expected a time to come"):
        alerts.silence(until=1000, by="bob")
    with pytest.raises(ValueError, match="by: expected a text"):
        alerts.silence(until=1010, by="")


def test_an_alert_is_repeated_until_somebody_acknowledges_it(clock: Clock) -> None:
    alerts = Alerts(["full: memory_usage > 90%"], clock=clock, repeat=20)

    assert fed(alerts, clock, "memory_usage", [0.95] * 5) == ["firing", "repeated", "repeated"]
    alert = alerts.acknowledge("full", "ann", by="bob", note="on it")
    assert (alert.acknowledged_by, alert.note) == ("bob", "on it")
    assert fed(alerts, clock, "memory_usage", [0.95] * 5) == []
    assert [each.acknowledged_by for each in alerts.active()] == ["bob"]
    with pytest.raises(AlertNotFoundError, match="there is no alert"):
        alerts.acknowledge("full", "bob", by="bob")


def test_the_history_is_bounded_and_the_newest_comes_first(clock: Clock) -> None:
    alerts = Alerts(["memory_usage > 90%"], clock=clock, history=3)
    fed(alerts, clock, "memory_usage", [0.95, 0.1] * 3)

    assert kinds(alerts.history()) == ["resolved recovered", "firing", "resolved recovered"]
    assert kinds(alerts.history(limit=1)) == ["resolved recovered"]


def test_an_event_says_it_all_in_a_sentence_and_as_json(clock: Clock) -> None:
    wall = Clock(1_000_000)
    alerts = Alerts(["full: memory_usage > 90% as critical"], clock=clock, wall=wall)
    alerts.observe("memory_usage", "ann", 0.931)

    (event,) = alerts.evaluate()

    message = "critical: full: memory_usage of 'ann' is 93.1% (memory_usage > 90% as critical)"
    assert event.message == message
    assert event.to_dict()["at"] == "1970-01-12T13:46:40+00:00"


# -- handlers ---------------------------------------------------------------


def test_a_handler_that_raises_does_not_keep_others_from_hearing(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[AlertEvent] = []

    def broken(event: AlertEvent) -> None:
        raise RuntimeError("no paper")

    alerts = Alerts(["memory_usage > 90%"], clock=clock, handlers=[broken, told.append], patience=60)

    assert fed(alerts, clock, "memory_usage", [0.95]) == ["firing"]
    assert kinds(told) == ["firing"]
    assert "no paper" in caplog.text
    assert alerts.counters() == {"late": 0, "unsaved": 0, "delivered": 1, "failed": 1, "dropped": 0}


def test_a_handler_that_hangs_holds_up_neither_others_nor_the_next_evaluation(clock: Clock) -> None:
    go_on = threading.Event()
    heard = threading.Semaphore(0)
    told: list[AlertEvent] = []
    slow: list[AlertEvent] = []

    def hear(event: AlertEvent) -> None:
        told.append(event)
        heard.release()

    def hanging(event: AlertEvent) -> None:
        go_on.wait()
        slow.append(event)

    alerts = Alerts(["memory_usage > 90%"], clock=clock, handlers=[hanging, hear], patience=0.05)
    try:
        assert fed(alerts, clock, "memory_usage", [0.95, 0.1, 0.95]) == ["firing", "resolved recovered", "firing"]
        assert all(heard.acquire(timeout=60) for _ in range(3))
        assert kinds(told) == ["firing", "resolved recovered", "firing"]
        assert slow == []
    finally:
        go_on.set()

    assert alerts.wait_for_handlers(timeout=60)
    assert kinds(slow) == ["firing", "resolved recovered", "firing"]


def test_a_handler_may_use_the_alerts(clock: Clock) -> None:
    alerts = Alerts(["full: memory_usage > 90%"], clock=clock, patience=30)
    seen: list[int] = []

    def acknowledge(event: AlertEvent) -> None:
        alerts.acknowledge(event.rule, event.agent, by="a program")
        seen.append(len(alerts.evaluate()))

    alerts.add_handler(acknowledge)

    assert fed(alerts, clock, "memory_usage", [0.95]) == ["firing"]
    assert seen == [0]
    assert alerts.active()[0].acknowledged_by == "a program"


def test_a_handler_that_is_no_handler_is_refused() -> None:
    async def asynchronous(event: AlertEvent) -> None: ...

    with pytest.raises(TypeError, match="expected a plain function, got the coroutine function"):
        Alerts(handlers=[asynchronous])
    with pytest.raises(TypeError, match="expected a function or an object"):
        Alerts(handlers=[7])  # type: ignore[list-item]


def test_threads_that_feed_and_evaluate_at_once_find_each_alert_once(restless_threads: None) -> None:
    alerts = Alerts(["memory_usage > 90%"])
    found: list[AlertEvent] = []
    start = threading.Barrier(4)

    def feed(number: int) -> None:
        start.wait()
        for each in range(50):
            alerts.observe("memory_usage", f"{number}-{each}", 0.95)
            found.extend(alerts.evaluate())

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == len({event.agent for event in found}) == 200
    assert len(alerts.history(1000)) == 200
