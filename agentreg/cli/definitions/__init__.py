"""``agentreg definitions ...`` and ``agentreg check``: agents as files, found, checked, kept in versions."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["add_commands"]

DESCRIPTION = """\
Agents that are defined in files: those of Claude Code, pi, Gemini CLI, opencode, Copilot and Codex, in a project and in
the home directory, and those in a store that keeps every version.
"""

CHECK = """\
Print what is wrong with the definitions in the files and folders PATH, one line for each problem: path:line:column:
what is wrong; what to do. Of a project's folder, those are checked that the families keep in it, such as
.claude/agents.
"""

CODES = """\
exit codes: 0 done, 1 refused (the message says why, and what to do), 2 bad usage, 130 interrupted
"""

CHECK_CODES = """\
exit codes: 0 no errors, though perhaps warnings, 1 errors, 2 bad usage
"""

Run = Callable[[argparse.Namespace], int]


def add_commands(commands: Any) -> None:
    """Enter the commands into argparse's table of commands."""
    group = commands.add_parser(
        "definitions", help="agents that are defined in files: list, check, versions", allow_abbrev=False
    )
    group.description = DESCRIPTION
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True, help="what to do")
    parsers = [*_add_questions(verbs), *_add_changes(verbs), *_add_versions(verbs)]
    group.formatter_class = argparse.RawDescriptionHelpFormatter
    group.epilog = "\n".join([*map(_usage, parsers), "", CODES])
    _add_check(commands, "agentreg check")


# -- the verbs --------------------------------------------------------------


def _add_questions(verbs: Any) -> list[argparse.ArgumentParser]:
    places, store, output = _places(), _store(), _output()
    everything = [places, store, output]
    listing = _verb(verbs, "list", "every definition that counts", "definitions.reading:list_all", everything)
    listing.add_argument("--tag", action="append", default=[], help="only those with this tag; several: with each")
    listing.add_argument("--tool", metavar="NAME", help="only those that may use this tool")
    listing.add_argument("--model", metavar="NAME", help="only those that name this model")
    listing.add_argument("--text", metavar="TEXT", help="only those in whose name, description or tags it stands")
    search = _verb(verbs, "search", "definitions that speak of something", "definitions.reading:search", everything)
    search.add_argument("text", metavar="TEXT", help="what stands in the name, the description, or a tag")
    show = _verb(verbs, "show", "all that one definition says", "definitions.reading:show", everything)
    show.add_argument("name", metavar="NAME", help="an agent, or a template")
    show.add_argument("--version", type=_number, metavar="N", help="this version, from the store")
    watch = _verb(verbs, "watch", "print changes as they come, until Ctrl-C", "definitions.watching:watch", everything)
    return [listing, search, show, _add_check(verbs, "agentreg definitions check"), watch]


def _add_changes(verbs: Any) -> list[argparse.ArgumentParser]:
    parents = [_store(), _output()]
    add = _verb(verbs, "add", "put new definitions into the store", "definitions.storing:add", parents)
    add.add_argument("files", nargs="+", metavar="FILE", help="a definition; all are checked before one is added")
    update = _verb(verbs, "update", "a new version of a definition", "definitions.storing:update", parents)
    update.add_argument("file", metavar="FILE", help="the definition as it is to be")
    update.add_argument(
        "--replaces", type=_number, metavar="N", help="the version that you have seen; if it is not the latest: refused"
    )
    remove = _verb(verbs, "remove", "take a definition away", "definitions.storing:remove", parents)
    remove.add_argument("name", metavar="NAME", help="a definition in the store")
    remove.add_argument("--purge", action="store_true", help="and forget its history; without, rollback brings it back")
    migrate = _verb(
        verbs, "migrate", "copy a folder's files into the store", "definitions.storing:migrate_all", parents
    )
    migrate.add_argument("folder", metavar="FOLDER", help="where the files are, for example .claude/agents")
    migrate.add_argument("--family", metavar="NAME", help="whose format they have (default: seen by the folder)")
    for parser in (add, update):
        parser.add_argument("--tag", action="append", metavar="TAG", help="beside those of the header; several: repeat")
        parser.add_argument("--status", choices=["active", "deprecated"], help="of the definition (default: active)")
    return [add, update, remove, migrate]


def _add_versions(verbs: Any) -> list[argparse.ArgumentParser]:
    parents = [_store(), _output()]
    history = _verb(verbs, "history", "every version of a definition", "definitions.storing:history", parents)
    history.add_argument("--diff", action="store_true", help="and what each has changed, as a unified diff")
    diff = _verb(verbs, "diff", "what differs between two versions", "definitions.storing:diff", parents)
    rollback = _verb(verbs, "rollback", "bring a version back, as a new one", "definitions.storing:rollback", parents)
    for parser in (history, diff, rollback):
        parser.add_argument("name", metavar="NAME", help="a definition in the store, also one that was removed")
    diff.add_argument("old", nargs="?", type=_number, metavar="A", help="from this version (default: the one before B)")
    diff.add_argument("new", nargs="?", type=_number, metavar="B", help="to this version (default: the latest)")
    rollback.add_argument("version", type=_number, metavar="N", help="the version to bring back, to the byte")
    return [history, diff, rollback]


def _add_check(commands: Any, prog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="what is wrong with definitions, line by line",
        description=CHECK,
        epilog=CHECK_CODES,
        parents=[_output()],
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a definition, a folder of some, or a project")
    parser.add_argument(
        "--quiet", action="store_true", help="only errors: no warnings, and no files that are no agents"
    )
    parser.set_defaults(run=_doing("definitions.reading:check"), prog=prog)
    return parser


def _usage(parser: argparse.ArgumentParser) -> str:
    return parser.format_usage().removeprefix("usage: ").rstrip()


# -- the parts --------------------------------------------------------------


def _verb(
    verbs: Any, name: str, help: str, does: str, parents: list[argparse.ArgumentParser]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", epilog=CODES, parents=parents, allow_abbrev=False
    )
    parser.set_defaults(run=_doing(does), prog=parser.prog)
    return parser


def _doing(does: str) -> Run:
    """The function ``module:name`` of this package, imported when it is called."""
    module, _, name = does.partition(":")

    def run(arguments: argparse.Namespace) -> int:
        from agentreg.cli.refusing import refusals

        with refusals():
            code: int = getattr(import_module(f"agentreg.cli.{module}"), name)(arguments)
        return code

    return run


def _output() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    return parser


def _places() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add_places(parser)
    return parser


def add_places(parser: argparse.ArgumentParser) -> None:
    """The options that say where definitions are looked for."""
    parser.add_argument("--project", default=".", metavar="DIR", help="the project's folder (default: this one)")
    parser.add_argument("--home", default="~", metavar="DIR", help="the home directory (default: yours)")
    parser.add_argument(
        "--scope", choices=["user", "project", "both"], default="both", help="whose folders count (default: both)"
    )


def _store() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add_store(parser)
    return parser


def add_store(parser: argparse.ArgumentParser) -> None:
    """The option that names the store."""
    parser.add_argument(
        "--store",
        metavar="PATH|URL",
        help="a SQLite file, sqlite:///file.db or redis://host:port/db (default: data/definitions.db in "
        "AGENTREG_WORKSPACE, or else in agentreg's folder among your data)",
    )


def _number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a version, a whole number from 1 up, got {text!r}")
    return value
