"""The command `agentreg` itself: help, version, and how commands end."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import pytest

import agentreg
from agentreg import cli
from agentreg.cli.errors import CommandError


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = cli.make_parser()
    (table,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(table.choices)


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in commands():
        assert cli.main([name, "--help"]) == 0

        assert f"usage: agentreg {name}" in capsys.readouterr().out


def test_every_option_of_every_command_is_explained() -> None:
    for name, parser in commands().items():
        for action in parser._actions:
            assert action.help, f"agentreg {name}: {action.dest} is not explained"


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0

    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in commands())


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0

    assert capsys.readouterr().out == f"agentreg {agentreg.__version__}\n"


def test_without_a_command_the_help_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert "usage: agentreg" in output.err


@pytest.mark.parametrize("argv", [["dance"], ["--loud"], ["demo", "a", "b"], ["demo", "--analysts"]])
def test_bad_usage_is_told_on_standard_error_and_ends_with_two(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert "error: " in output.err


def ending_with(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CommandError("it is Monday"), 1, "agentreg demo: error: it is Monday\n"),
        (KeyboardInterrupt(), 130, "agentreg demo: interrupted\n"),
    ],
)
def test_how_a_command_ends_shows_in_the_exit_code(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(import_module("agentreg.cli.demo"), "run", ending_with(error))

    assert cli.main(["demo"]) == code

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == message


def test_the_help_starts_without_the_parts_that_only_a_command_needs() -> None:
    program = (
        "import sys\n"
        "from agentreg.cli import main\n"
        "main(['--help'])\n"
        "print(sorted(m for m in sys.modules if m.startswith(('agentreg.extensions', 'agentreg.demo', 'rich'))))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_python_dash_m_agentreg_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "agentreg", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"agentreg {agentreg.__version__}\n"


def test_every_command_is_brought_by_the_module_that_the_table_names(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--help"])
    listed = re.findall(r"^ {4}([a-z][a-z-]*) ", capsys.readouterr().out, re.MULTILINE)

    assert listed == list(cli.COMMANDS)
    for command in cli.COMMANDS:
        assert cli.main([command, "--help"]) == 0
        assert f"usage: agentreg {command}" in capsys.readouterr().out
