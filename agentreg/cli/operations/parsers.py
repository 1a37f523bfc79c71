"""Parsers of these verbs: what all of them take, and how they end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from agentreg.cli.agents import add_service

__all__ = ["CODES", "Run", "add_by", "add_json", "add_verb", "finish", "late", "positive", "show_usages"]

CODES = """\
exit codes: 0 done, 1 the service refuses it (the message says why), 2 no service, or bad usage, 130 interrupted
"""

Run = Callable[[argparse.Namespace], int]


def add_verb(
    commands: Any, name: str, help: str, run: Run, description: str | None = None, *, nested: bool = False
) -> argparse.ArgumentParser:
    """Enter one verb, with the options that say which service is meant.

    Args:
        commands: argparse's table of commands.
        name: The verb.
        help: What it does, in one line.
        run: Does it, and gives the exit code.
        description: What its help says at the top.
        nested: Whether it is a verb of a verb: what was said before it stays then, unless it is said again.
    """
    defaults: dict[str, Any] = {"argument_default": argparse.SUPPRESS} if nested else {}
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=description or f"{help[0].upper()}{help[1:]}.", allow_abbrev=False, **defaults
    )
    return finish(parser, run)


def finish(parser: argparse.ArgumentParser, run: Run) -> argparse.ArgumentParser:
    """Give *parser* the options, the exit codes and the function of a verb."""
    parser.epilog = CODES
    add_service(parser)
    parser.set_defaults(run=run, prog=parser.prog)
    return parser


def late(module: str, function: str = "run") -> Run:
    """A *function* of a *module*, which is imported when it is called: the help starts without."""

    def run(arguments: argparse.Namespace) -> int:
        code: int = getattr(import_module(module), function)(arguments)
        return code

    return run


def show_usages(parser: argparse.ArgumentParser, verbs: Iterable[argparse.ArgumentParser], codes: str = CODES) -> None:
    """Let the help of *parser* end with how its *verbs* are used, and the exit *codes*."""
    usages = [verb.format_usage().removeprefix("usage: ").rstrip() for verb in verbs]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join([*usages, "", codes])


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option ``--json``."""
    parser.add_argument("--json", action="store_true", help="print what the service answers, and nothing else")


def add_by(parser: argparse.ArgumentParser) -> None:
    """The option ``--by``."""
    parser.add_argument("--by", default=None, metavar="NAME", help="who says so (default: your user's name)")


def positive(text: str) -> float:
    """A type of argument: seconds, of which there are some.

    >>> positive("0.5")
    0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, above 0 and up to 86,400, got {text!r}")
    return value
