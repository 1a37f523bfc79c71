"""``agentreg doctor``: what is wrong with the set-up, and what to do about it."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentreg.cli.definitions import add_places, add_store
from agentreg.cli.errors import DONE, REFUSED

if TYPE_CHECKING:
    from agentreg.cli.doctor.findings import Examination

__all__ = ["AREAS", "add_commands"]

# Every area, and the module whose ``examine(arguments)`` looks at it; a new area is one more line.
AREAS = {"definitions": "agentreg.cli.doctor.definitions", "service": "agentreg.cli.doctor.service"}

DESCRIPTION = """\
Look at the set-up, say what is wrong with it, and what to do about each. The area "definitions" says which folders are
looked at, how many definitions each has, which files were refused and why, and who is hidden by whom; with --name, why
one definition is not there. The area "service" looks at the local service: its workspace, whether it runs, its database
and token file, its port, its packages, the hooks in Claude Code's settings, and the end of its log.
"""

CODES = """\
exit codes: 0 nothing is wrong, though there may be warnings, 1 something is, or the NAME is not there, 2 bad usage
"""


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="what is wrong with the set-up, and the fix",
        description=DESCRIPTION,
        epilog=CODES,
        allow_abbrev=False,
    )
    parser.add_argument("area", nargs="?", choices=[*AREAS], help="what to look at (default: everything)")
    add_places(parser)
    add_store(parser)
    parser.add_argument("--name", metavar="NAME", help="why is this definition not there?")
    parser.add_argument(
        "--permit",
        action="append",
        metavar="TOOL",
        help="a tool that your policy permits; several: repeat (default: the tools that Claude Code has)",
    )
    parser.add_argument(
        "--workspace", metavar="DIR", help="the service's folder (default: AGENTREG_WORKSPACE, or yours)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document, and nothing else")
    parser.set_defaults(run=run, prog=parser.prog)


def run(arguments: argparse.Namespace) -> int:
    """Look at one area, or at all."""
    from agentreg.cli.printing import say_document
    from agentreg.cli.refusing import refusals

    areas = _areas(arguments)
    with refusals():
        found = {area: _examined(area, arguments) for area in areas}
    if arguments.json:
        say_document({area: examination.to_dict() for area, examination in found.items()})
    else:
        for area, examination in found.items():
            _print(area, examination)
    return DONE if all(examination.ok for examination in found.values()) else REFUSED


def _areas(arguments: argparse.Namespace) -> list[str]:
    if arguments.area is not None:
        return [arguments.area]
    return [*AREAS] if arguments.name is None else ["definitions"]  # only definitions have names


def _examined(area: str, arguments: argparse.Namespace) -> Examination:
    examination: Examination = import_module(AREAS[area]).examine(arguments)
    return examination


def _print(area: str, examination: Examination) -> None:
    from agentreg.cli.printing import one_line, say, say_table
    from agentreg.demo.printable import counted

    say(area)
    if examination.looked_at is not None:
        say_table(examination.looked_at.head, examination.looked_at.texts())
    for finding in examination.ranked():
        say(f"{finding.level}: {one_line(finding.what)}")
        if finding.fix:
            say(f"    fix: {one_line(finding.fix)}")
    errors, warnings = (sum(f.level == level for f in examination.findings) for level in ("error", "warning"))
    say(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}" if errors or warnings else "nothing is wrong")
