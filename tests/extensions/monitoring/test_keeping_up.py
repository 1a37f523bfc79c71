"""However seldom a store is flushed, roll-ups keep up with the samples, and the file stays small."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

from agentreg.extensions.monitoring import TRACKED, MetricsStore
from tests.extensions.monitoring.hands import START, Hands

HOUR, DAY = 3600, 86_400


def oldest_raw(path: Path) -> float:
    """When the oldest hour of which samples are kept as they came begins."""
    connection = sqlite3.connect(path)
    hour = connection.execute("SELECT min(hour) FROM metrics_raw").fetchone()[0]
    connection.close()
    return math.inf if hour is None else float(hour * HOUR)


def live(store: MetricsStore, hands: Hands, hours: range, flush_every: int, agents: int, metrics: int) -> None:
    """A sample of some metrics and agents in each of the hours, and a flush now and then."""
    flushed = hands.now
    for hour in hours:
        hands.now = START + hour * HOUR
        if hands.now - flushed >= flush_every:
            store.flush()
            flushed = hands.now
        # ahead of the clock, so that nothing is flushed meanwhile
        hands.now = flushed
        for metric in TRACKED[:metrics]:
            store.record_many(metric, {f"agent-{number}": 0.5 for number in range(agents)}, at=START + hour * HOUR)
    hands.now = START + (hours[-1] + 1) * HOUR
    store.flush()


def test_a_store_that_is_flushed_once_a_week_for_a_month_keeps_no_raw_samples_of_last_week(tmp_path: Path) -> None:
    hands = Hands()
    store = MetricsStore(tmp_path / "m.db", clock=hands)

    live(store, hands, range(0, 35 * 24, 2), 7 * DAY, agents=1, metrics=1)

    assert oldest_raw(tmp_path / "m.db") >= hands.now - 5 * HOUR
    assert sum(point.count for point in store.query("memory_usage", "agent-0", step=HOUR)) == 30 * 12
    store.close()


def test_a_store_that_is_flushed_once_an_hour_keeps_up_with_many_agents(tmp_path: Path) -> None:
    hands = Hands()
    store = MetricsStore(tmp_path / "m.db", clock=hands)

    live(store, hands, range(24), HOUR, agents=200, metrics=6)

    assert oldest_raw(tmp_path / "m.db") >= hands.now - 4 * HOUR
    store.close()


def test_what_programs_that_ran_for_a_moment_left_behind_is_made_up_for(tmp_path: Path) -> None:
    hands = Hands()
    for day in range(8):
        with MetricsStore(tmp_path / "m.db", clock=hands) as store:
            live(store, hands, range(24 * day, 24 * (day + 1), 2), DAY, agents=20, metrics=2)

    assert oldest_raw(tmp_path / "m.db") >= hands.now - 3 * DAY


def test_a_flush_after_a_long_silence_does_not_do_everything_at_once(tmp_path: Path) -> None:
    hands = Hands()
    with MetricsStore(tmp_path / "m.db", clock=hands) as store:
        for metric in TRACKED:
            store.record_many(metric, {f"agent-{number}": 0.5 for number in range(1000)})
    hands.tick(4 * HOUR)

    with MetricsStore(tmp_path / "m.db", clock=hands) as store:
        store.tend()
        left = oldest_raw(tmp_path / "m.db")
        for _ in range(12 * 6):
            hands.tick(10)
            store.tend()
        points = store.query("memory_usage", "agent-7", step=60).points

    assert left == START
    assert oldest_raw(tmp_path / "m.db") == math.inf
    assert [point.count for point in points] == [1]
