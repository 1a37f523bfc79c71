"""The command ``agentreg``, also ``python -m agentreg``.

Each group of commands is one module with a function ``add_commands``, which
enters their parsers and gives each the defaults ``run`` (a function of the
arguments that returns the exit code) and ``prog``. What a command needs is
imported inside its ``run``, so that the help and every other command start
without it.

Exit codes: 0 done, 1 refused, 2 bad usage (the message is on standard
error), 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from agentreg.cli.errors import DONE, INTERRUPTED, UNREAD, USAGE, CommandError

__all__ = ["GROUPS", "main"]

# Every module that brings commands; a new group is one more line.
GROUPS = (
    "agentreg.cli.demo",
    "agentreg.cli.definitions",
    "agentreg.cli.doctor",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    >>> main(["demo", "--analysts", "4", "--loud"])
    2
    """
    parser = make_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as done:  # --help and --version, or bad usage that argparse has explained
        return done.code if isinstance(done.code, int) else DONE
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except CommandError as error:
        print(f"{arguments.prog}: error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print(f"{arguments.prog}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _let_go_of_stdout()
        return UNREAD


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog="agentreg", description="Which agents are there, and may I have one?", allow_abbrev=False
    )
    parser.add_argument("-V", "--version", action="version", version=f"agentreg {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for group in GROUPS:
        import_module(group).add_commands(commands)
    return parser


def _version() -> str:
    from agentreg import __version__

    return __version__


def _let_go_of_stdout() -> None:
    # what is still buffered would fail again when the interpreter closes the stream
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
