"""The programs in examples/ run, and print what they say they print."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
PROMISE = "It prints:\n"
LIMIT = 60  # seconds; alone on a machine each takes well under five


def _docstring(program: Path) -> str:
    return ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_an_example_runs_and_prints_what_it_says(program: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "utf8", "-W", "error", str(program)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT)

    assert (done.returncode, done.stderr) == (0, "")
    head, promised, said = _docstring(program).partition(PROMISE)
    assert head.strip(), "an example begins with a docstring that says what it shows"
    if promised:
        assert done.stdout.splitlines() == textwrap.dedent(said.strip("\n")).splitlines()


def test_there_are_examples() -> None:
    assert len(PROGRAMS) >= 5
