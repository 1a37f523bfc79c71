"""The file has other users, is locked, damaged, replaced, or goes away."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from agentreg.extensions.monitoring import MetricsStore, MetricsStoreError
from tests.extensions.monitoring.hands import START, Hands

HOUR = 3600


def host(path: Path) -> sqlite3.Connection:
    """Another part of the program, with a table of its own in the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE records (name TEXT)")
    connection.execute("INSERT INTO records VALUES ('ann')")
    return connection


def test_the_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    other = host(tmp_path / "m.db")

    with MetricsStore(tmp_path / "m.db") as store:
        store.record("memory_usage", "ann", 0.5)

    assert other.execute("SELECT * FROM records").fetchall() == [("ann",)]
    tables = [name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert {name for name in tables if not name.startswith(("metrics_", "sqlite_"))} == {"records"}
    other.close()


def test_two_stores_on_one_file_see_what_the_other_has_flushed(tmp_path: Path) -> None:
    hands = Hands()
    one, other = (MetricsStore(tmp_path / "m.db", clock=hands) for _ in range(2))
    one.record("memory_usage", "ann", 0.1)
    other.record("memory_usage", "bob", 0.3)
    one.flush()
    other.flush()

    assert one.latest("memory_usage") == other.latest("memory_usage") == {"ann": 0.1, "bob": 0.3}
    assert one.agents() == other.agents() == ["ann", "bob"]
    (point,) = one.query("memory_usage")
    assert (point.count, point.min, point.max) == (2, 0.1, 0.3)


def test_two_stores_that_roll_up_the_same_hours_count_each_sample_once(tmp_path: Path) -> None:
    hands = Hands()
    stores = [MetricsStore(tmp_path / "m.db", clock=hands) for _ in range(2)]
    for _ in range(5):
        for store in stores:
            store.record("memory_usage", "ann", 0.5)
            store.flush()
        hands.tick(HOUR)
    for _ in range(6):
        for store in stores:
            store.flush()

    assert [point.count for point in stores[0].query("memory_usage", "ann", step=HOUR)] == [2] * 5


def test_an_agent_that_another_store_has_forgotten_can_be_recorded_again(tmp_path: Path) -> None:
    hands = Hands()
    one, other = (MetricsStore(tmp_path / "m.db", clock=hands) for _ in range(2))
    one.record("memory_usage", "ann", 0.1)
    one.flush()
    other.forget("ann")

    one.record("memory_usage", "ann", 0.2)
    one.flush()

    assert [point.mean for point in other.query("memory_usage", "ann")] == [0.2]


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    host(path).close()
    store = MetricsStore(path, clock=Hands())
    store.record("memory_usage", "ann", 0.1)
    store.flush()
    os.rename(path, tmp_path / "m.db.damaged")
    host(path).close()

    store.record("memory_usage", "bob", 0.2)
    store.flush()

    assert store.agents() == ["bob"]
    assert [point.count for point in store.query("memory_usage")] == [1]


def test_a_guest_waits_until_the_owner_has_made_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    host(path).close()
    store = MetricsStore(path, clock=Hands())
    os.rename(path, tmp_path / "m.db.damaged")
    store.record("memory_usage", "ann", 0.1)

    with pytest.raises(MetricsStoreError, match="was taken away"):
        store.flush()
    assert not path.exists()
    host(path).close()
    store.flush()

    assert [point.mean for point in store.query("memory_usage", "ann")] == [0.1]


def test_samples_wait_while_the_file_is_locked(tmp_path: Path) -> None:
    hands = Hands()
    store = MetricsStore(tmp_path / "m.db", clock=hands, patience=0.01)
    holder = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for _ in range(8):
        store.record("memory_usage", "ann", 0.5)  # also when it would flush by itself
        hands.tick(10)

    with pytest.raises(MetricsStoreError, match=r"locked for 0\.01 s"):
        store.flush()
    holder.execute("ROLLBACK")
    store.flush()

    assert len(store.query("memory_usage", "ann")) == 8
    holder.close()


def test_samples_that_wait_for_ever_are_bounded(tmp_path: Path) -> None:
    hands = Hands()
    store = MetricsStore(tmp_path / "m.db", clock=hands, patience=0.0)
    holder = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for number in range(400):
        store.record("memory_usage", "ann", 0.5, at=START + 10 * number)
    for _ in range(2):
        with pytest.raises(MetricsStoreError):
            store.flush()
    holder.close()

    store.flush()

    assert store.dropped == {"unwritten": 40}


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(MetricsStoreError, match=r"m\.db: .*not a database; move the damaged file away"):
        MetricsStore(path)

    assert path.read_bytes().startswith(b"no database")


def test_metrics_of_a_later_layout_are_refused(tmp_path: Path) -> None:
    MetricsStore(tmp_path / "m.db").close()
    with sqlite3.connect(tmp_path / "m.db") as connection:
        connection.execute("UPDATE metrics_meta SET value = 2 WHERE key = 'layout'")
    connection.close()

    with pytest.raises(MetricsStoreError, match="laid out as version 2"):
        MetricsStore(tmp_path / "m.db")


def test_a_block_that_can_not_be_read_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands()
    store = MetricsStore(tmp_path / "m.db", clock=hands)
    for agent in ("ann", "bob"):
        store.record("memory_usage", agent, 0.5)
        store.flush()
        hands.tick(10)
    with sqlite3.connect(tmp_path / "m.db") as connection:
        connection.execute("UPDATE metrics_raw SET body = x'00' WHERE id = 1")
    connection.close()

    found = [len(store.query("memory_usage", agent)) for agent in ("ann", "bob")]

    assert found == [0, 1]
    assert "can't be read" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_has_a_connection_of_its_own(tmp_path: Path) -> None:
    store = MetricsStore(tmp_path / "m.db", clock=Hands())
    store.record("memory_usage", "ann", 0.1)
    store.flush()

    def child() -> None:
        store.record("memory_usage", "bob", 0.2)
        store.flush()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()

    assert process.exitcode == 0
    assert store.latest("memory_usage") == {"ann": 0.1, "bob": 0.2}
