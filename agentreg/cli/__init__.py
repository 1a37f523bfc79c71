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

__all__ = ["COMMANDS", "main"]

# Every command and the module that brings it; a new one is one more line.
COMMANDS = {
    "demo": "agentreg.cli.demo",
    "definitions": "agentreg.cli.definitions",
    "check": "agentreg.cli.definitions",
    "doctor": "agentreg.cli.doctor",
    "register": "agentreg.cli.agents",
    "heartbeat": "agentreg.cli.agents",
    "deregister": "agentreg.cli.agents",
    "list": "agentreg.cli.agents",
    "watch": "agentreg.cli.agents",
    "status": "agentreg.cli.agents",
    "run": "agentreg.cli.run",
    "hook": "agentreg.cli.hook",
    "serve": "agentreg.cli.serve",
    "query": "agentreg.cli.query",
    "stats": "agentreg.cli.operations.stats",
    "alerts": "agentreg.cli.operations.alerts",
    "resources": "agentreg.cli.operations.resources",
    "why": "agentreg.cli.operations.why",
    "decisions": "agentreg.cli.operations.decisions",
    "top": "agentreg.cli.operations.top",
    "completion": "agentreg.cli.completion",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    >>> main(["demo", "--analysts", "4", "--loud"])
    2
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser(COMMANDS.get(argv[0]) if argv else None)
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


def make_parser(module: str | None = None) -> argparse.ArgumentParser:
    """The parser of every command, or only of those that one *module* brings: a call starts faster so."""
    parser = argparse.ArgumentParser(
        prog="agentreg", description="Which agents are there, and may I have one?", allow_abbrev=False
    )
    parser.add_argument("-V", "--version", action="version", version=f"agentreg {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for each in [module] if module is not None else dict.fromkeys(COMMANDS.values()):
        import_module(each).add_commands(commands)
    return parser


def _version() -> str:
    from agentreg import __version__

    return __version__


def _let_go_of_stdout() -> None:
    # what is still buffered would fail again when the interpreter closes the stream
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
