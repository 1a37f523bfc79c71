"""Alerts over a restart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agentreg.extensions.monitoring.alerts import AlertEvent, Alerts, Changes, KeeperError, Kept, SqliteKeeper
from tests.extensions.monitoring.alerts.clocks import Clock


class Machine:
    """A program that is started again and again: its monotonic clock begins anew, the one on the wall goes on."""

    def __init__(self, path: Path, *rules: str) -> None:
        self.rules = rules
        self.keeper = SqliteKeeper(path)
        self.wall = Clock(1_000_000.0)
        self.start()

    def start(self, down: float = 0.0) -> None:
        self.wall.tick(down)
        self.clock = Clock(5.0)
        self.told: list[AlertEvent] = []
        self.alerts = Alerts(
            self.rules,
            clock=self.clock,
            wall=self.wall,
            handlers=[self.told.append],
            keeper=self.keeper,
            patience=60,
        )

    def run(self, values: list[float], metric: str = "memory_usage") -> list[str]:
        happened: list[str] = []
        for value in values:
            self.alerts.observe(metric, "ann", value)
            happened += [event.kind for event in self.alerts.evaluate()]
            self.clock.tick(10)
            self.wall.tick(10)
        return happened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "monitoring.db"


def test_a_firing_alert_is_not_announced_again_after_a_restart(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90%")
    assert machine.run([0.95]) == ["firing"]
    before = machine.alerts.active()

    machine.start(down=20)

    assert machine.alerts.active()[0].since == before[0].since
    assert machine.run([0.95, 0.95]) == []
    assert machine.told == []
    assert machine.run([0.1]) == ["resolved"]
    assert [event.kind for event in machine.told] == ["resolved"]
    machine.start()
    assert machine.alerts.active() == []
    assert [event.kind for event in machine.alerts.history()] == ["resolved", "firing"]


def test_a_pending_alert_goes_on_after_a_restart(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90% for 2m")
    assert machine.run([0.95] * 6) == []

    machine.start(down=50)

    assert machine.run([0.95]) == []
    assert machine.run([0.95]) == ["firing"]


def test_a_pending_alert_needs_a_sample_before_it_fires(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90% for 2m")
    machine.run([0.95] * 12)

    machine.start(down=30)

    assert machine.alerts.evaluate() == []
    assert machine.run([0.1]) == []


def test_what_was_pending_before_a_long_break_begins_anew(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90% for 2m")
    machine.run([0.95] * 6)

    machine.start(down=3600)

    assert machine.run([0.95] * 12) == []
    assert machine.run([0.95]) == ["firing"]


@pytest.mark.parametrize("rule", ["slow: response_time > 5s avg for 1m", "slow: response_time > 5s max for 1m"])
def test_an_alert_about_a_window_waits_until_that_is_full_again(path: Path, rule: str) -> None:
    machine = Machine(path, rule)
    assert machine.run([9.0] * 7, "response_time") == ["firing"]

    machine.start(down=10)

    assert machine.run([1.0] * 6, "response_time") == []
    assert machine.run([1.0], "response_time") == ["resolved"]


def test_an_alert_about_events_is_not_resolved_by_a_restart(path: Path) -> None:
    machine = Machine(path, "flaky: connection_failures > 5 in 1m")
    machine.alerts.count("connection_failures", "ann", 6)
    assert [event.kind for event in machine.alerts.evaluate()] == ["firing"]

    machine.start()

    assert machine.alerts.evaluate() == []
    machine.clock.tick(59)
    assert machine.alerts.evaluate() == []
    machine.clock.tick(1)
    assert [event.kind for event in machine.alerts.evaluate()] == ["resolved"]


def test_a_firing_alert_without_samples_after_a_restart_is_resolved_in_the_end(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90%")
    machine.run([0.95])

    machine.start()

    assert machine.alerts.evaluate() == []
    machine.clock.tick(301)
    assert [event.reason for event in machine.alerts.evaluate()] == ["no data"]


def test_silences_and_acknowledgements_outlive_a_restart(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90%", "busy: task_queue_length > 5")
    silence = machine.alerts.silence("busy", until=machine.wall() + 1000, by="bob", why="a sale")
    machine.run([0.95])
    machine.run([6], "task_queue_length")
    machine.alerts.acknowledge("full", "ann", by="eve", note="seen")

    machine.start()

    assert machine.alerts.silences() == [silence]
    assert [(alert.rule, alert.acknowledged_by, alert.silenced) for alert in machine.alerts.active()] == [
        ("full", "eve", False),
        ("busy", None, True),
    ]
    machine.alerts.unsilence(silence.id)
    assert [(event.rule, event.kind) for event in machine.alerts.evaluate()] == [("busy", "firing")]
    machine.start()
    assert machine.alerts.silences() == []


def test_alerts_of_a_rule_that_is_added_later_go_on_then(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90%")
    machine.run([0.95])
    machine.rules = ()
    machine.start()

    assert machine.alerts.active() == []
    machine.alerts.add_rule("full: memory_usage > 90%")

    assert [alert.state for alert in machine.alerts.active()] == ["firing"]


def test_the_history_in_the_file_is_bounded(path: Path) -> None:
    machine = Machine(path, "full: memory_usage > 90%")
    machine.keeper = SqliteKeeper(path, history=3)
    machine.start()

    machine.run([0.95, 0.1] * 5)

    assert len(machine.keeper.load(history=100).history) == 3


def test_tables_of_others_in_the_same_file_are_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as others:
        others.execute("CREATE TABLE points (x)")
        others.execute("INSERT INTO points VALUES (7)")
    others.close()

    Machine(path, "full: memory_usage > 90%").run([0.95])

    with sqlite3.connect(path) as others:
        tables = {name for (name,) in others.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert others.execute("SELECT x FROM points").fetchall() == [(7,)]
    others.close()
    assert tables == {"points", "alerts_meta", "alerts_active", "alerts_silences", "alerts_history"}


class Full:
    """A keeper whose disk is full for a while."""

    def __init__(self) -> None:
        self.room = False
        self.saved: list[Changes] = []

    def load(self, history: int) -> Kept:
        return Kept()

    def save(self, changes: Changes) -> None:
        if not self.room:
            raise OSError("no room")
        self.saved.append(changes)


def test_a_keeper_that_fails_stops_nothing_and_gets_it_all_later(caplog: pytest.LogCaptureFixture) -> None:
    keeper, clock = Full(), Clock()
    told: list[AlertEvent] = []
    alerts = Alerts(["memory_usage > 90%"], clock=clock, keeper=keeper, handlers=[told.append], patience=60)
    for agent in ("ann", "bob"):
        alerts.observe("memory_usage", agent, 0.95)
        alerts.evaluate()
    alerts.observe("memory_usage", "ann", 0.1)

    keeper.room = True
    alerts.evaluate()

    assert [event.kind for event in told] == ["firing", "firing", "resolved"]
    (changes,) = keeper.saved
    assert [alert.agent for alert in changes.alerts] == ["bob"]
    assert [agent for _, agent in changes.gone] == ["ann"]
    assert [event.kind for event in changes.events] == ["firing", "firing", "resolved"]
    assert alerts.counters()["unsaved"] == 2
    assert "no room" in caplog.text


def test_a_file_that_is_no_database_is_refused_with_the_way_out(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look like something" * 20)

    with pytest.raises(KeeperError, match="put a backup in its place, or name another file"):
        Alerts(keeper=SqliteKeeper(path))


def test_a_file_of_a_later_agentreg_is_refused(path: Path) -> None:
    SqliteKeeper(path).load(1)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alerts_meta SET value = 99 WHERE key = 'schema'")
    connection.close()

    with pytest.raises(KeeperError, match="schema 99"):
        SqliteKeeper(path).load(1)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeeperError, match="make the folder"):
        SqliteKeeper(tmp_path / "nowhere" / "a.db").load(1)
