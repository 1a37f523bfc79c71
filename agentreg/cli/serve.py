"""``agentreg serve``: the service that other programs register with."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from agentreg.cli.errors import DONE, CommandError, UsageError

if TYPE_CHECKING:
    from agentreg.extensions.service import Discovery, Settings

__all__ = ["add_commands"]

DESCRIPTION = """\
Run the local registry: programs register, beat and deregister over HTTP, and everyone may ask which agents are there.
It listens on the loopback interface, at the first free port from 7847 upward, keeps its records in a SQLite file in the
workspace, and writes down there where it is found. It ends on SIGTERM or Ctrl-C.
"""

EPILOG = """\
exit codes: 0 ended as it was told, 1 it can't be started, 2 bad usage
"""


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve", help="run the local registry", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=7847, help="the first port to try, of 20; 0 for any (default: 7847)"
    )
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        help="the folder for its files (default: AGENTREG_WORKSPACE, else agentreg's folder among your data)",
    )
    parser.add_argument(
        "--backend", metavar="URL", help="where the records are kept (default: data/agent-registry.db there)"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="a file with a token that callers have to show; made if there is none"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name that it is called by"
    )
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN", help="a web page's origin that may call it"
    )
    parser.add_argument(
        "--stale-after", type=float, default=90.0, metavar="SECONDS", help="silence until an agent is stale"
    )
    parser.add_argument(
        "--prune-after", type=float, default=3600.0, metavar="SECONDS", help="until a stale or stopped one is forgotten"
    )
    parser.set_defaults(run=run, prog=parser.prog)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    try:
        from agentreg.extensions.service import ServiceError, serve
    except ImportError as error:
        raise CommandError(f'{error}; the service needs more packages: pip install "agentreg[service]"') from error
    try:
        serve(_settings(arguments), _ready)
    except (ServiceError, ImportError) as error:
        raise CommandError(str(error)) from error
    return DONE


def _settings(arguments: argparse.Namespace) -> Settings:
    from agentreg.extensions.service import Settings, Timing

    if not 0 <= arguments.port <= 65_535:
        raise UsageError(f"--port: expected 0 to 65535, got {arguments.port}")
    try:
        timing = Timing(arguments.stale_after, arguments.prune_after)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Settings(
        host=arguments.host,
        port=arguments.port,
        workspace=arguments.workspace,
        backend=arguments.backend,
        token_file=arguments.token_file,
        hosts=arguments.allow_host,
        origins=arguments.allow_origin,
        timing=timing,
    )


def _ready(discovery: Discovery) -> None:
    print(f"agentreg serves at {discovery.url}", flush=True)
