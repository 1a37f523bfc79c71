"""`agentreg demo --alerts` as a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.operations.conftest import Call


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "module.py"
    file.write_text("".join(f"x{number} = {number}\n" for number in range(100)))
    return file


def test_as_json_it_is_what_happened_and_why(call: Call, source: Path) -> None:
    done = call("demo", "--alerts", "--json", source)

    assert (done.code, done.err) == (0, "")
    whats = [each["what"] for each in done.document["happenings"]]
    assert any(what.endswith("fires for") for what in whats)
    assert any(what.endswith("is over for") for what in whats)
    assert set(done.document["readers"]) == {"reader-1", "reader-2", "reader-3"}


@pytest.mark.parametrize(
    "options",
    [["--processes", "2"], ["--report", "x.md"], ["--definitions"], ["--wait", "1"], ["--for", "2"], ["--serve"]],
)
def test_it_stands_alone(call: Call, options: list[str]) -> None:
    done = call("demo", "--alerts", *options)

    assert (done.code, done.out) == (2, "")
    assert "error: --" in done.err
