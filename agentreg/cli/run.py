"""``agentreg run NAME -- COMMAND...``: any command, registered while it runs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agentreg.cli.agents import add_service, interval, json_object, request, workspace_of
from agentreg.cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from agentreg.cli.client.keeping import Keeper

__all__ = ["add_commands"]

DESCRIPTION = """\
Run COMMAND, and register it with the service under NAME for as long as it runs. Its standard streams are those of this
command, signals are passed on to it, and its exit code is this command's: 128 and the signal's number if a signal ended
it. Without a service it runs all the same, and is registered as soon as there is one.
"""

EPILOG = """\
exit codes: those of COMMAND; 2 bad usage, 126 it can't be run, 127 it isn't there
"""

CANNOT, NOT_FOUND, BY_SIGNAL = 126, 127, 128
_FAREWELL = 3.0  # seconds
# Passed on to the command; those of the second line come from the terminal to all of its foreground processes.
_FROM_TERMINALS = ("SIGINT", "SIGQUIT", "SIGWINCH")
_PASSED_ON = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGBREAK", *_FROM_TERMINALS)


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run any command, registered while it runs",
        usage="agentreg run [OPTION...] NAME -- COMMAND...",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add_service(parser)
    parser.add_argument("--id", metavar="ID", help="the id to register under (default: a new one)")
    parser.add_argument("--cwd", metavar="DIR", help="the working directory to register (default: this one)")
    parser.add_argument("--meta", type=json_object, default={}, metavar="JSON", help="what else to say, a JSON object")
    parser.add_argument(
        "--interval", type=interval, default=30.0, metavar="SECONDS", help="between heartbeats (default: 30)"
    )
    parser.add_argument("name", metavar="NAME", help="what it is called in the registry")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")
    parser.set_defaults(run=run, prog=parser.prog)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    from agentreg.cli.client.calling import Caller
    from agentreg.cli.client.keeping import Keeper, Keeping

    command = _checked(arguments.command)
    caller = Caller(workspace_of(arguments))
    try:
        caller.find(arguments.autostart)
    except CommandError as error:
        _say(arguments, f"{error}; running it all the same")
    with _passing_signals_on() as passing:
        child = _started(command)
        passing.begin(child)
        keeper = Keeper(caller, request(arguments, child.pid), arguments.interval)
        keeping = Keeping(keeper)
        keeping.start()
        code = child.wait()
        keeping.stop(_FAREWELL)
    _complain(arguments, keeper)
    return BY_SIGNAL - code if code < 0 else code


def _checked(words: Sequence[str]) -> Sequence[str]:
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise UsageError("there is no command to run: expected agentreg run NAME -- COMMAND...")
    if words[:1] != ["--"] and command[0].startswith("-"):
        raise UsageError(f"{command[0]}: options stand before NAME, and the command behind --")
    return command


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        failure = CommandError(f"{command[0]!r} can't be run: {reason}")
        failure.code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT
        raise failure from error


def _complain(arguments: argparse.Namespace, keeper: Keeper) -> None:
    from agentreg.cli.client.errors import RefusedError

    if isinstance(keeper.failure, RefusedError):
        _say(arguments, f"it was not registered: {keeper.failure}")


def _say(arguments: argparse.Namespace, text: str) -> None:
    print(f"{arguments.prog}: {text}", file=sys.stderr, flush=True)


# -- signals ----------------------------------------------------------------


class _Passing:
    """Whom signals go to; those that come before there is anybody wait."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def begin(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        for number in self._early:
            self.on(number)

    def on(self, number: int) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            with suppress(OSError):
                self._child.send_signal(number)


@contextmanager
def _passing_signals_on() -> Iterator[_Passing]:
    """Signals within the block are passed on."""
    passing = _Passing()
    numbers = [number for name in _PASSED_ON if (number := getattr(signal, name, None)) is not None]

    def pass_on(number: int, frame: object) -> None:
        if number not in told_by_terminal or not _is_in_foreground():
            passing.on(number)

    told_by_terminal = {getattr(signal, name, None) for name in _FROM_TERMINALS}
    before = {n: signal.signal(n, pass_on) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield passing
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether the terminal's keys reach our process group, and with it the command."""
    if sys.platform == "win32":
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
