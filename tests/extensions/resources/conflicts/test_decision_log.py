"""What was decided, kept and explained."""

from __future__ import annotations

import json
import logging
import multiprocessing
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agentreg.extensions.resources.conflicts import Decision, DecisionLog, DecisionLogError, StepReport
from tests.watchdog import run_python

Opened = Callable[..., DecisionLog]


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens a log of each kind, and closes it in the end."""
    logs: list[DecisionLog] = []

    def open_log(limit: int = 100) -> DecisionLog:
        logs.append(DecisionLog(None if request.param == "memory" else tmp_path / "decisions.db", limit))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


def decision(subject: str = "scout", number: int = 0, **more: object) -> Decision:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    fields = {"reason": f"reason {number}", "alternatives": ("refuse",), "by": "ann", "when": when, **more}
    return Decision("name", subject, "user_intervention", "name_suffix", **fields)  # type: ignore[arg-type]


def test_what_is_recorded_is_found_again_whole(opened: Opened) -> None:
    log = opened()
    kept = decision(names=("scout-2",), steps=(StepReport("enter", 0.25, "done", "as 'scout'"),))

    log.record(kept)

    assert log.decisions("scout") == [kept]


def test_a_decision_is_found_under_the_name_that_was_given_too(opened: Opened) -> None:
    log = opened()
    log.record(decision(names=("scout-20260102-030405",)))

    assert len(log.decisions("scout-20260102-030405")) == 1
    assert log.decisions("nobody") == []


def test_decisions_come_in_order_and_the_oldest_go_at_the_limit(opened: Opened) -> None:
    log = opened(limit=3)

    for number in range(5):
        log.record(decision("ab"[number % 2], number))

    assert [each.reason for each in log.decisions()] == ["reason 2", "reason 3", "reason 4"]
    assert [each.reason for each in log.decisions("a")] == ["reason 2", "reason 4"]


def test_an_explanation_can_be_read(opened: Opened) -> None:
    log = opened()
    log.record(decision(steps=(StepReport("enter", 0.25, "failed", "the name is taken"),)))

    assert log.explain("scout").splitlines() == [
        "2026-01-02 03:04:05Z name conflict of 'scout': name_suffix, by ann (user_intervention): reason 0; "
        "instead of refuse",
        "  enter: failed in 0.250 s (the name is taken)",
    ]
    assert log.explain("nobody") == "nothing was decided about 'nobody'"


def test_a_decision_is_plain_json_and_back() -> None:
    kept = decision(steps=(StepReport("enter", 0.25, "done"),))

    assert Decision.from_dict(json.loads(json.dumps(kept.to_dict()))) == kept


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="limit: expected at least 1"):
        DecisionLog(limit=limit)


# -- files ------------------------------------------------------------------


def test_another_process_can_say_why(tmp_path: Path) -> None:
    path = tmp_path / "decisions.db"
    with DecisionLog(path) as log:
        log.record(decision())
        outcome = run_python(
            "from agentreg.extensions.resources.conflicts import DecisionLog\n"
            f"print(DecisionLog({str(path)!r}, read_only=True).explain('scout'))"
        )

    assert outcome.stdout.startswith("2026-01-02 03:04:05Z name conflict of 'scout': name_suffix")


def test_a_file_is_shared_by_several_logs(tmp_path: Path) -> None:
    path = tmp_path / "decisions.db"

    with DecisionLog(path) as one, DecisionLog(path) as other:
        one.record(decision("a"))
        other.record(decision("b"))

        assert [each.subject for each in one.decisions()] == ["a", "b"]


def test_names_with_any_characters_are_kept(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "a #1%20?.db") as log:
        log.record(decision("'); drop table names; --"))

        assert len(log.decisions("'); drop table names; --")) == 1
    assert (tmp_path / "a #1%20?.db").is_file()


def test_a_file_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(DecisionLogError, match="there is no such file"):
        DecisionLog(tmp_path / "none.db", read_only=True)

    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database, but a text that is long enough" * 20)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()

    with pytest.raises(DecisionLogError, match="is no SQLite database"):
        DecisionLog(text)
    with pytest.raises(DecisionLogError, match="is a database of something else"):
        DecisionLog(other)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DecisionLogError, match="see whether the folder exists"):
        DecisionLog(tmp_path / "none" / "decisions.db")


def test_a_decision_that_can_not_be_written_is_counted_and_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "decisions.db"
    DecisionLog(path).close()

    with DecisionLog(path, read_only=True) as log, caplog.at_level(logging.ERROR, "agentreg"):
        log.record(decision())

        assert log.lost == 1
        assert log.decisions() == []
    assert "could not be kept" in caplog.text


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.db")
    log.close()
    log.close()

    with pytest.raises(DecisionLogError, match="the log was closed"):
        log.decisions()


def _record_in_child(log: DecisionLog) -> None:
    log.record(decision("child"))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_writes_through_a_connection_of_its_own(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "decisions.db") as log:
        log.record(decision("parent"))
        child = multiprocessing.get_context("fork").Process(target=_record_in_child, args=(log,))
        child.start()
        child.join(30)

        assert child.exitcode == 0
        assert [each.subject for each in log.decisions()] == ["parent", "child"]
