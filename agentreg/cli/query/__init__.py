"""``agentreg query "SELECT ..."``: SQL on the service's database, which is read and never changed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from agentreg.cli.errors import DONE, UsageError

__all__ = ["add_commands"]

DESCRIPTION = """\
Run one SELECT on the database of the service, whether that runs or not, and print the rows. The view agents has one row
for each agent, with the JSON columns config, resources, performance, relationships, metadata and capabilities, and
times as ISO 8601 in UTC; it is at most a second behind. Nothing can be changed: the file is opened for reading only.
"""

EPILOG = """\
exit codes: 0 done, 1 the statement is refused (the message says why), 2 there is no database, or bad usage, 130
interrupted
"""

TABLE_ROWS = 1000  # of a table for people; JSON and CSV are for programs, which want all


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "query", help="ask the service's database in SQL", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("statement", metavar="SQL", help="one statement that reads; - takes it from standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a list of objects, one for each row")
    form.add_argument("--csv", action="store_true", help="print comma-separated values, the columns' names first")
    parser.add_argument(
        "--limit",
        type=_limit,
        metavar="N",
        help=f"print at most N rows; 0: all (default: {TABLE_ROWS:,}, all with --json and --csv)",
    )
    parser.add_argument("--database", metavar="FILE", help="another SQLite file (default: the service's)")
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        help="the service's folder (default: AGENTREG_WORKSPACE, or else agentreg's folder among your data)",
    )
    parser.set_defaults(run=run, prog=parser.prog)


def run(arguments: argparse.Namespace) -> int:
    """Run the statement and print its rows."""
    from agentreg.cli.query.database import reading
    from agentreg.cli.query.output import say_csv, say_objects, say_rows

    file = _database(arguments)
    statement = _statement(arguments.statement)
    with reading(file) as database:
        result = database.ask(statement, _most(arguments))
    (say_objects if arguments.json else say_csv if arguments.csv else say_rows)(result)
    return DONE


def _database(arguments: argparse.Namespace) -> Path:
    from agentreg.cli.agents import workspace_of

    if arguments.database is None:
        return workspace_of(arguments) / "data" / "agent-registry.db"
    if arguments.workspace is not None:
        raise UsageError("--database: it names the file, so that --workspace has no say in it; leave one of them out")
    return Path(arguments.database).expanduser().absolute()


def _statement(given: str) -> str:
    if given != "-":
        return given
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input: this is no UTF-8 (byte {error.start})") from error


def _most(arguments: argparse.Namespace) -> int | None:
    if arguments.limit is not None:
        return arguments.limit or None
    return None if arguments.json or arguments.csv else TABLE_ROWS


def _limit(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 31:
        raise argparse.ArgumentTypeError(f"expected how many rows, a whole number from 0 up, got {text!r}")
    return value
