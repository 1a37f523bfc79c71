"""``agentreg completion SHELL``: a script that completes the command's words, made from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from agentreg.cli.errors import DONE, CommandError

__all__ = ["SHELLS", "add_commands"]

SHELLS = ("bash", "zsh", "fish")

DESCRIPTION = """\
Print a script for your shell that completes agentreg's commands, options and choices, and names of files where one is
expected. The script is all that the shell needs: completing starts no Python. Make it anew after an upgrade.
"""

USAGES = """\
bash:  agentreg completion bash > ~/.local/share/bash-completion/completions/agentreg
zsh:   agentreg completion zsh > ~/.zfunc/_agentreg     (with fpath+=~/.zfunc before compinit, in ~/.zshrc)
fish:  agentreg completion fish > ~/.config/fish/completions/agentreg.fish

exit codes: 0 done, 1 the package shtab is missing, 2 bad usage
"""

_FILES, _FOLDERS = {"FILE", "PATH"}, {"DIR", "FOLDER"}


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="a script that completes the command in your shell",
        description=DESCRIPTION,
        epilog=USAGES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")
    parser.set_defaults(run=run, prog=parser.prog)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from agentreg.cli import make_parser

    try:
        import shtab
    except ImportError as error:
        raise CommandError(f'{error}; the scripts are made by it: pip install "agentreg[cli]"') from error
    parser = make_parser()
    for action in _actions(parser):
        kind = "file" if action.metavar in _FILES else "directory" if action.metavar in _FOLDERS else None
        if kind is not None:
            action.complete = {"file": shtab.FILE, "directory": shtab.DIRECTORY}[kind]  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return DONE


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of the parser and of its commands, in any depth."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in {id(inner): inner for inner in action.choices.values()}.values():
                yield from _actions(each)
        else:
            yield action
