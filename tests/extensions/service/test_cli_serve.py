"""``agentreg serve``, as somebody calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentreg.cli import main


def serve(*options: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agentreg", "serve", *options]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **paths, **(environment or {})}
    )


def test_it_says_where_it_serves_and_ends_well(tmp_path: Path) -> None:
    with serve("--port", "0", environment={"AGENTREG_WORKSPACE": str(tmp_path)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("agentreg serves at http://127.0.0.1:")
        assert (tmp_path / "state" / "agent-registry.json").exists()
        process.terminate()

        assert process.wait(10) == 0
        assert not (tmp_path / "state" / "agent-registry.json").exists()


def test_what_the_service_warns_of_is_told_on_standard_error(tmp_path: Path) -> None:
    database = tmp_path / "data" / "agent-registry.db"
    database.parent.mkdir()
    database.write_bytes(b"no database" * 500)

    with serve("--port", "0", "--workspace", str(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "ERROR agentreg.extensions.service" in err
    assert "agent-registry.db.damaged-" in err


def test_a_service_that_can_not_be_started_says_why_and_exits_with_1(tmp_path: Path) -> None:
    with serve("--host", "0.0.0.0", "--workspace", str(tmp_path)) as process:
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    assert err.startswith("agentreg serve: error: 0.0.0.0 can be reached from other machines")
    assert "Traceback" not in err


def test_an_address_of_no_known_store_is_bad_usage_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--workspace", str(tmp_path), "--backend", "mysql://:s3cret@host"]) == 2

    said = capsys.readouterr().err
    assert said.startswith("agentreg serve: error: --backend 'mysql://")
    assert "no store goes by 'mysql'; known forms: memory://" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("option", ["--memory", "--stale-after", "--prune-after"])
def test_a_bad_value_is_said_of_the_option_that_has_it(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", f"{option}=-1"]) == 2
    assert capsys.readouterr().err.startswith(f"agentreg serve: error: {option}: ")


@pytest.mark.parametrize(
    "options", [["--port", "70000"], ["--port", "x"], ["--stale-after", "0"], ["--prune-after", "nan"], ["extra"]]
)
def test_bad_usage_exits_with_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *options]) == 2
    assert options[0].lstrip("-").replace("-", "_") in capsys.readouterr().err.replace("-", "_")
