"""The doctor's look at definitions: where they are looked for, what was refused, and who is hidden."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from agentreg.cli.doctor.findings import Cell, Examination, Finding, Level, Table

if TYPE_CHECKING:
    from agentreg.cli.doctor.look import Look
    from agentreg.extensions.definitions import Problem

__all__ = ["examine"]

HEAD = ("scope", "family", "place", "there", "definitions", "problems")

_PACKAGES = (  # module, extra, what is missing without it, and how bad that is
    ("yaml", "definitions", "nothing can be read", "error"),
    *((("tomli", "definitions", "nothing can be read", "error"),) if sys.version_info < (3, 11) else ()),
    ("watchfiles", "definitions", "changes are not watched", "warning"),
    ("rich", "cli", "tables are plain text, without colours", "note"),
    ("httpx", "http", "js-doc-store-server can't be a source", "note"),
    ("redis", "redis", "a store on Redis can't be opened", "note"),
    ("mcp", "mcp", "MCP servers can't be checked", "note"),
)
_LEVELS: dict[str, Level] = {"error": "error", "warning": "warning", "information": "note"}


def examine(arguments: argparse.Namespace) -> Examination:
    """Look at everything, or only at why a name is not there."""
    examination = Examination(findings=[*_missing_packages()])
    if not examination.ok:
        return examination  # without these nothing else can be asked

    from agentreg.cli.doctor.look import Look

    look = Look(arguments)
    examination.looked_at = _table(look)
    if arguments.name is not None:
        from agentreg.cli.doctor.why_not import why_not

        examination.findings = why_not(arguments.name, look)
    else:
        examination.findings += _everything(look, arguments)
    return examination


def _missing_packages() -> Iterator[Finding]:
    for module, extra, loss, level in _PACKAGES:
        if not _is_installed(module):
            yield Finding(
                _LEVELS.get(level, "note"), f"{module} is missing: {loss}", f'pip install "agentreg[{extra}]"'
            )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # sys.modules has None for it
        return False


def _table(look: Look) -> Table:
    problems = look.catalog.problems()
    rows: list[tuple[Cell, ...]] = []
    for place, status in zip(look.places, look.catalog.sources(), strict=False):
        within = os.path.join(place.folder, "")
        wrong = sum(each.path.startswith(within) and each.severity != "information" for each in problems)
        there = os.path.isdir(place.folder)
        rows.append((place.scope, place.family.name, place.folder, there, status.count, wrong))
    if look.store is not None:
        status = look.catalog.sources()[-1]
        wrong = sum(each.path.startswith("registry://") for each in problems)
        rows.append(("store", "registry", status.name, status.reachable, status.count, wrong))
    return Table(HEAD, rows)


# -- everything -------------------------------------------------------------


def _everything(look: Look, arguments: argparse.Namespace) -> Iterator[Finding]:
    from agentreg.cli.doctor.known_tools import unknown_tools

    yield from look.findings
    for status in look.catalog.sources():
        if not status.reachable:
            yield Finding("error", f"{status.name} can't be read: {status.cause}", "see to that, then look again")
    yield from map(_refused, look.catalog.problems())
    yield from _hidden(look)
    yield from _left_lying(look)
    yield from unknown_tools(look.catalog.all(), arguments.permit)
    if not look.catalog.all():
        yield from _nothing_there(look)


def _refused(problem: Problem) -> Finding:
    what = f"{problem.path}:{problem.line}:{problem.column}: {problem.message}"
    return Finding(_LEVELS[problem.severity], what, problem.remedy)


def _hidden(look: Look) -> Iterator[Finding]:
    for shadow in look.catalog.shadowed():
        if not shadow.reason.startswith("both"):  # else it is among the problems
            what = f"{shadow.name!r} of {shadow.loser.file_path} is hidden by that of {shadow.winner.file_path}"
            yield Finding(
                "note", f"{what}: {shadow.reason}", "give one of them another name, if both are meant to count"
            )


def _left_lying(look: Look) -> Iterator[Finding]:
    for path, reason, fix in look.not_looked_at():
        yield Finding("note", f"{path} is not looked at: {reason}", fix)


def _nothing_there(look: Look) -> Iterator[Finding]:
    above = next(look.above(), None)
    if above is not None:
        yield Finding("warning", f"no definitions were found here, but {above[1]} exists", f"--project {above[0]}")
    else:
        fix = "put one into .claude/agents/NAME.md of the project, or name its folder with --project"
        yield Finding("warning", "no definitions were found anywhere", fix)
