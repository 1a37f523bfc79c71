"""``agentreg serve``: the service that other programs register with."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentreg.cli.errors import DONE, CommandError, UsageError

if TYPE_CHECKING:
    from agentreg.extensions.service import Discovery, Settings
    from agentreg.extensions.service.mirror import Mirror
    from agentreg.extensions.service.operations import OperationsConfig

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
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="URL",
        help="post who joins, changes and leaves to this address; several: repeat",
    )
    parser.add_argument(
        "--mirror-secret-file", metavar="FILE", help="a file with the secret that these posts are signed with"
    )
    _add_operations(parser)
    parser.set_defaults(run=run, prog=parser.prog)


def _add_operations(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("operations", "What is allocated to agents, sampled of them, and watched.")
    group.add_argument("--no-operations", action="store_true", help="none of it")
    group.add_argument(
        "--memory", metavar="SIZE", help="memory for agents, as 64GB; without it, every request is granted"
    )
    group.add_argument("--reserved", metavar="SIZE", help="what of it is kept for others (default: nothing)")
    group.add_argument("--cpu", type=float, metavar="CORES", help="cores for agents (default: not limited)")
    group.add_argument(
        "--alert",
        action="append",
        default=[],
        metavar="NAME='EXPRESSION'",
        help="add an alert rule, as busy='task_queue_length > 50 for 1m', or replace the one of that name; "
        "several: repeat",
    )
    group.add_argument("--alert-webhook", metavar="URL", help="post alerts to this address")
    group.add_argument(
        "--sample-every", type=float, default=10.0, metavar="SECONDS", help="a divisor of 60 (default: 10)"
    )
    group.add_argument(
        "--unique-names",
        choices=("refuse", "suffix", "ask"),
        help="what to do about a name that is taken in the full form: refuse it, append the time, or ask "
        "(default: names may repeat)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    try:
        from agentreg.extensions.service import ServiceError, serve
    except ImportError as error:
        raise CommandError(f'{error}; the service needs more packages: pip install "agentreg[service]"') from error
    from agentreg.extensions.coordination import BackendURLError

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # warnings, to standard error
    try:
        serve(_settings(arguments), _ready)
    except BackendURLError as error:
        raise UsageError(f"--{error}") from error  # "backend '...': what is wrong with it"
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
        raise UsageError(_named(str(error))) from error
    return Settings(
        host=arguments.host,
        port=arguments.port,
        workspace=arguments.workspace,
        backend=arguments.backend,
        token_file=arguments.token_file,
        hosts=arguments.allow_host,
        origins=arguments.allow_origin,
        timing=timing,
        mirrors=_mirrors(arguments),
        operations=_operations(arguments),
    )


def _operations(arguments: argparse.Namespace) -> OperationsConfig | None:
    if arguments.no_operations:
        _refuse_operations(arguments)
        return None
    from agentreg.extensions.service.operations import OperationsConfig

    try:
        return OperationsConfig(
            memory=arguments.memory,
            reserved=_reserved(arguments),
            cpu=arguments.cpu,
            rules=dict(map(_rule, arguments.alert)),
            interval=arguments.sample_every,
            webhook=arguments.alert_webhook,
            unique_names=arguments.unique_names,
        )
    except ValueError as error:
        raise UsageError(_named(str(error))) from error


def _refuse_operations(arguments: argparse.Namespace) -> None:
    given = {
        "--memory": arguments.memory,
        "--reserved": arguments.reserved,
        "--cpu": arguments.cpu,
        "--alert": arguments.alert,
        "--alert-webhook": arguments.alert_webhook,
        "--unique-names": arguments.unique_names,
    }
    for option, value in given.items():
        if value:
            raise UsageError(f"{option}: means nothing with --no-operations; leave out one of them")


def _reserved(arguments: argparse.Namespace) -> str | int:
    if arguments.reserved is not None and arguments.memory is None:
        raise UsageError("--reserved: is a part of --memory SIZE, which is missing")
    return arguments.reserved or 0


def _rule(text: str) -> tuple[str, str]:
    name, separator, expression = text.partition("=")
    if not separator or not name.strip() or not expression.strip():
        raise UsageError(f"--alert: expected NAME='EXPRESSION', as busy='task_queue_length > 50 for 1m'; got {text!r}")
    return name.strip(), expression.strip()


def _named(problem: str) -> str:
    """The *problem* of a field, said of its option."""
    field, separator, rest = problem.partition(":")
    return f"{_OPTIONS[field]}:{rest}" if separator and field in _OPTIONS else problem


_OPTIONS = {
    "stale_after": "--stale-after",
    "prune_after": "--prune-after",
    "memory": "--memory",
    "total_memory": "--memory",
    "reserved": "--reserved",
    "cpu": "--cpu",
    "interval": "--sample-every",
    "webhook": "--alert-webhook",
    "rules": "--alert",
}


def _mirrors(arguments: argparse.Namespace) -> list[Mirror]:
    secret = _secret(arguments.mirror_secret_file)
    if not arguments.mirror:
        if secret is not None:
            raise UsageError("--mirror-secret-file: there is nothing to sign without --mirror URL")
        return []
    from agentreg.extensions.service.mirror.webhook import WebhookMirror

    try:
        return [WebhookMirror(url, secret) for url in arguments.mirror]
    except ValueError as error:
        raise UsageError(f"--mirror: {error}") from error


def _secret(file: str | None) -> bytes | None:
    if file is None:
        return None
    try:
        secret = Path(file).expanduser().read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--mirror-secret-file: {file} can't be read: {error.strerror}") from error
    if not secret:
        raise UsageError(f"--mirror-secret-file: {file} is empty; expected the secret that the hub knows, too")
    return secret


def _ready(discovery: Discovery) -> None:
    print(f"agentreg serves at {discovery.url}", flush=True)
