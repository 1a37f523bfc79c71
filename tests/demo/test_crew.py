"""Cases of the demo's crew that a run of the command does not reach."""

from __future__ import annotations

from pathlib import Path

from agentreg.demo.stage import Assignment, perform
from agentreg.demo.views import View


def test_files_that_are_gone_before_the_scout_comes_do_not_make_the_archivist_wait_for_ever(tmp_path: Path) -> None:
    outcome = perform(Assignment(tmp_path, tmp_path / "report.md"), View())

    assert outcome.totals()["files"] == 0
    assert outcome.remaining == 0
    assert outcome.snapshot.restored == ("simplicity-reviewer",)


def test_a_pool_of_one_will_do(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"module_{number}.py").write_text("name = 1\n")

    outcome = perform(Assignment(tmp_path, tmp_path / "report.md", analysts=1), View())

    assert outcome.totals()["files"] == 5
    assert outcome.pool["peak_concurrent_usage"] == 1
