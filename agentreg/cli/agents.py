"""``agentreg register``, ``heartbeat``, ``deregister``, ``list``, ``watch``, ``status``: who is running."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentreg.cli.errors import DONE

if TYPE_CHECKING:
    from agentreg.cli.client.calling import Caller

__all__ = ["add_commands", "add_service", "caller_of", "interval", "json_object", "request", "workspace_of"]

CODES = """\
exit codes: 0 done, 1 the service refuses it (the message says why), 2 no service, or bad usage, 130 interrupted
"""

WATCH_CODES = """\
exit codes: 0 it has ended as it should, 1 the service refuses it, or another one has the id by now, 2 no service, or
bad usage
"""

REGISTER = """\
Register an agent with the service, and print its id. It counts as active as long as a heartbeat comes every 90 seconds.
With --pid it ends with that process; with the --id of an agent that is registered, that one is replaced.
"""

WATCH = """\
Register an agent and print its id; then send heartbeats until its process ends, or this command gets SIGTERM or Ctrl-C;
then deregister it. A service that is restarted meanwhile is found again, and told again.
"""

LIST = """\
Print every agent that the service knows, the newest first: those that are active, those from which nothing was heard
for 90 seconds (stale), and those that have ended within the last hour (stopped).
"""

_FAREWELL = 5.0  # seconds
STATUSES = ("active", "stale", "stopped")


def add_commands(commands: Any) -> None:
    """Enter the commands into argparse's table of commands."""
    _add_register(commands)
    for name, help, run in (
        ("heartbeat", "tell the service that an agent is alive", _heartbeat),
        ("deregister", "tell the service that an agent has ended", _deregister),
    ):
        parser = _verb(commands, name, help, run)
        parser.add_argument("--id", required=True, metavar="ID", help="the id that the agent was registered under")
        _add_json(parser)
    _add_list(commands)
    _add_watch(commands)
    status = _verb(commands, "status", "whether the service runs, and where", _status)
    status.add_argument("--json", action="store_true", help="print the result as one JSON document, and nothing else")


def _add_register(commands: Any) -> None:
    parser = _verb(commands, "register", "enter an agent, and print its id", _register, REGISTER)
    _add_agent(parser)
    parser.add_argument("--pid", type=_pid, default=0, metavar="N", help="its process (default: 0, for none)")
    _add_json(parser)


def _add_list(commands: Any) -> None:
    parser = _verb(commands, "list", "who is running, where, and since when", _list, LIST)
    _add_json(parser)
    parser.add_argument("--status", action="append", choices=STATUSES, help="only those; several: repeat")
    parser.add_argument("--watch", action="store_true", help="go on, and show each change, until Ctrl-C")


def _add_watch(commands: Any) -> None:
    parser = _verb(commands, "watch", "keep a process registered until it ends", _watch, WATCH)
    parser.epilog = WATCH_CODES
    _add_agent(parser)
    parser.add_argument(
        "--pid", type=_pid, metavar="N", help="the process; 0: go on until a signal comes (default: the one that calls)"
    )
    parser.add_argument(
        "--interval", type=interval, default=30.0, metavar="SECONDS", help="between heartbeats (default: 30)"
    )
    parser.add_argument("--while", dest="marker", metavar="FILE", help="go on only as long as this file is there")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print what the service answers, and nothing else")


def _add_agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="what it is called; need not be unique (default: agent)")
    parser.add_argument("--cwd", metavar="DIR", help="its working directory (default: this one)")
    parser.add_argument("--meta", type=json_object, default={}, metavar="JSON", help="what else to say, a JSON object")
    parser.add_argument("--id", metavar="ID", help="the id to register under (default: a new one)")


def _verb(commands: Any, name: str, help: str, run: Any, description: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description or help[0].upper() + help[1:] + ".",
        epilog=CODES,
        allow_abbrev=False,
    )
    add_service(parser)
    parser.set_defaults(run=run, prog=parser.prog)
    return parser


# -- the verbs --------------------------------------------------------------


def _register(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.keeping import Keeper

    keeper = Keeper(caller_of(arguments), request(arguments, arguments.pid), 0)
    identity = keeper.register()
    _say_now(json.dumps(keeper.answer) if arguments.json else identity)
    return DONE


def _heartbeat(arguments: argparse.Namespace) -> int:
    answer = caller_of(arguments).ask("POST", "/heartbeat", {"id": arguments.id})
    _say_now(json.dumps(answer.document) if arguments.json else str(answer.document.get("status", "active")))
    return DONE


def _deregister(arguments: argparse.Namespace) -> int:
    answer = caller_of(arguments).ask("POST", "/deregister", {"id": arguments.id})
    if arguments.json:
        _say_now(json.dumps(answer.document))
    return DONE


def _list(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.listing import follow, show

    (follow if arguments.watch else show)(caller_of(arguments), arguments.status, arguments.json)
    return DONE


def _status(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.listing import show_status

    show_status(caller_of(arguments), arguments.json)
    return DONE


def _watch(arguments: argparse.Namespace) -> int:
    from agentreg.cli.client.keeping import Keeper, Keeping
    from agentreg.cli.client.processes import Process
    from agentreg.cli.client.watching import Alarm, Marker, wait_for_end

    process = Process.of(os.getppid() if arguments.pid is None else arguments.pid)
    marker = None if arguments.marker is None else Marker(Path(arguments.marker))
    keeper = Keeper(caller_of(arguments), request(arguments, process.pid), arguments.interval)
    with Alarm() as alarm:
        identity = keeper.register()
        keeping = Keeping(keeper, ended=alarm.ring)
        keeping.start()
        try:
            _say_now(identity)
            wait_for_end(alarm, process, marker)
        finally:
            keeping.stop(_FAREWELL)
    if keeper.superseded and keeper.failure is not None:
        raise keeper.failure
    return DONE


def _say_now(text: str) -> None:
    from agentreg.demo.printable import printable

    print(printable(text), flush=True)


# -- the parts --------------------------------------------------------------


def add_service(parser: argparse.ArgumentParser) -> None:
    """The options that say which service is meant."""
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        help="the service's folder (default: AGENTREG_WORKSPACE, or else agentreg's folder among your data)",
    )
    parser.add_argument("--autostart", action="store_true", help="start the service if it doesn't run")


def workspace_of(arguments: argparse.Namespace) -> Path:
    """The workspace that the arguments name, or else the user's."""
    from agentreg.cli.workspace import workspace

    return Path(arguments.workspace).expanduser().absolute() if arguments.workspace else workspace()


def caller_of(arguments: argparse.Namespace) -> Caller:
    """Somebody who has found the service that the arguments name."""
    from agentreg.cli.client.calling import Caller

    caller = Caller(workspace_of(arguments))
    caller.find(arguments.autostart)
    return caller


def request(arguments: argparse.Namespace, pid: int) -> dict[str, Any]:
    """The body of ``POST /register`` for what the arguments describe."""
    name = "agent" if arguments.name is None else arguments.name
    body = {"name": name, "cwd": _folder(arguments.cwd), "pid": pid, "meta": arguments.meta}
    return body if arguments.id is None else {**body, "id": arguments.id}


def _folder(given: str | None) -> str | None:
    try:
        folder = os.getcwd() if given is None else os.path.abspath(given)
    except OSError:  # it was removed
        return given
    return os.fsencode(folder).decode("utf-8", "replace")  # a name of other bytes can't be sent


def json_object(text: str) -> dict[str, Any]:
    """A type of argument: a JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'expected a JSON object such as {{"task": "review"}}, got {text[:60]!r}')
    return value


def interval(text: str) -> float:
    """A type of argument: seconds between two heartbeats."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, above 0 and up to 86,400, got {text!r}")
    return value


def _pid(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 31:
        raise argparse.ArgumentTypeError(f"expected a process id, a whole number from 0 up, got {text!r}")
    return value
