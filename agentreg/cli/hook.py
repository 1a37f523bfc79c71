"""``agentreg hook``: Claude Code's sessions, registered by themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentreg.cli.agents import workspace_of
from agentreg.cli.errors import DONE

__all__ = ["add_commands"]

DESCRIPTION = """\
Have every session of Claude Code registered with the service while it lasts. `agentreg hook install` writes two hooks
into Claude Code's settings, which call the other two verbs; `agentreg hook uninstall` takes them out again.
"""

CODES = """\
exit codes: 0 done (session-start and session-end: always), 1 the settings are not what was expected, and untouched; 2
bad usage
"""

USAGES = """\
agentreg hook install [--user | --project] [--settings FILE]
agentreg hook uninstall [--user | --project] [--settings FILE]
agentreg hook session-start [--workspace DIR] [--name NAME]
agentreg hook session-end [--workspace DIR] [--name NAME]

"""

INSTALL = """\
Write the hooks SessionStart and SessionEnd into Claude Code's settings. Everything else in there stays as it is; what
was there before is kept beside it, as settings.json.agentreg-backup, until the hooks are taken out.
"""

UNINSTALL = "Take the hooks out of Claude Code's settings again; nothing of them is left."

START = """\
What the hook SessionStart calls, with its JSON on standard input: starts a watch over the program that runs the hook,
and comes back at once. It prints nothing, and always ends with 0.
"""

END = """\
What the hook SessionEnd calls, with its JSON on standard input: deregisters the session. It prints nothing, and always
ends with 0.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that can be told to be silent about what it doesn't know: a hook must not disturb who runs it."""

    silent = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, rest = super().parse_known_args(args, namespace)
        return known, [] if self.silent else rest

    def error(self, message: str) -> Any:
        if self.silent:
            raise SystemExit(DONE)
        super().error(message)


def add_commands(commands: Any) -> None:
    """Enter the commands into argparse's table of commands."""
    group = commands.add_parser(
        "hook",
        help="have Claude Code's sessions registered by themselves",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=USAGES + CODES,
        allow_abbrev=False,
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True, help="what to do", parser_class=_Parser)
    for name, help, description, run in (
        ("install", "write the hooks into Claude Code's settings", INSTALL, _install),
        ("uninstall", "take them out again", UNINSTALL, _uninstall),
    ):
        parser = verbs.add_parser(name, help=help, description=description, epilog=CODES, allow_abbrev=False)
        _add_settings(parser, run)
    for name, help, description, run in (
        ("session-start", "what the hook SessionStart calls", START, _session_start),
        ("session-end", "what the hook SessionEnd calls", END, _session_end),
    ):
        parser = verbs.add_parser(name, help=help, description=description, allow_abbrev=False)
        parser.add_argument("--workspace", metavar="DIR", help="the service's (default: AGENTREG_WORKSPACE, or yours)")
        parser.add_argument("--name", default="claude-code", metavar="NAME", help="of the agent (default: claude-code)")
        parser.set_defaults(run=run, prog=parser.prog)
        parser.silent = True


def _add_settings(parser: argparse.ArgumentParser, run: Any) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--user", action="store_true", help="~/.claude/settings.json, for all projects (the default)")
    which.add_argument("--project", action="store_true", help=".claude/settings.json of this directory, for all users")
    parser.add_argument("--settings", metavar="FILE", help="another file")
    parser.set_defaults(run=run, prog=parser.prog)


# -- the settings -----------------------------------------------------------


def _install(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.hook_command import commands
    from agentreg.cli.client.settings import install
    from agentreg.cli.printing import note, one_line, say

    file = _settings(arguments)
    changed = install(file, commands(shared=arguments.project))
    say(one_line(f"{'installed in' if changed else 'nothing to do: the hooks are in'} {file}"))
    for each in _obstacles(file):
        note(each)
    return DONE


def _obstacles(file: Path) -> Iterator[str]:
    """Why the hooks, which are in *file* now, would have no effect."""
    import json
    from importlib.util import find_spec

    if json.loads(file.read_text(encoding="utf-8-sig")).get("disableAllHooks") is True:
        yield 'note: "disableAllHooks" is true in there: as long as it is, Claude Code calls no hook'
    if find_spec("uvicorn") is None:
        yield 'note: the service that the hooks start is not installed: pip install "agentreg[service]"'


def _uninstall(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.settings import uninstall
    from agentreg.cli.printing import one_line, say

    file = _settings(arguments)
    changed = uninstall(file)
    say(one_line(f"{'taken out of' if changed else 'nothing to do: there are no hooks of ours in'} {file}"))
    return DONE


def _settings(arguments: argparse.Namespace) -> Path:
    if arguments.settings:
        return Path(arguments.settings).expanduser().absolute()
    base = Path.cwd() if arguments.project else Path.home()
    return base / ".claude" / "settings.json"


# -- the sessions -----------------------------------------------------------


def _session_start(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.session_hooks import quietly, session_started

    quietly(lambda: session_started(workspace_of(arguments), arguments.name))
    return DONE


def _session_end(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.session_hooks import quietly, session_ended

    quietly(lambda: session_ended(workspace_of(arguments)))
    return DONE
