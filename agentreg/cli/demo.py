"""``agentreg demo``: a crew of agents at work on a real folder."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentreg.cli.errors import DONE, CommandError, UsageError

if TYPE_CHECKING:
    from agentreg.demo.alerting.scene import Scene
    from agentreg.demo.alerting.views import AlertingView
    from agentreg.demo.definitions.outcome import Outcome as DefinitionsOutcome
    from agentreg.demo.outcome import Outcome
    from agentreg.demo.processes.outcome import Outcome as RuntimesOutcome
    from agentreg.demo.processes.views import RuntimesView
    from agentreg.demo.serving.views import ServingView
    from agentreg.demo.views import View

__all__ = ["add_commands"]

DESCRIPTION = """\
Watch a registry, a pool and an orchestra at work. A crew of agents reads a folder of Python files: a scout lists
them, a pool of analysts reads them side by side, a reviewer that is found by what it can do picks the worst places,
and a reporter writes a Markdown report. Half way the registry is saved to a file and an agent is restored from it; at
the end the registry is empty again. It needs no service, no network and no model, and changes nothing in the folder.

With --processes, agents in several processes share the work over one directory, and one of the processes is killed in
the middle: the others notice within a second, and do what it had begun.

With --definitions, the agents come from files: those of a folder, or the demo's own. It shows which were found, which
are hidden by others, and which were refused and why; three of them read PATH; who edits a file meanwhile sees the agent
take it over.

With --serve, a real service runs for a minute, with agents of five kinds: live objects and the members of a pool,
agents in three processes, two wrapped commands, and a program that speaks HTTP. Its page shows all of them; the address
is the first line. Nothing of it is left at the end.

With --alerts, agents work while rules watch them. One of them gets slower and slower, by a real fault: an alert fires,
a plan restarts the agent, and the alert ends. The last lines say what happened, and why.
"""

EPILOG = """\
exit codes: 0 done, 1 the agents failed, there are none, or the backend gives no answer, 2 the path or an option is no
good, 130 interrupted
"""

RUNTIMES = 3  # where only a backend is given
WAIT = 20.0  # seconds in which edits of somebody's definitions are waited for
OWN = ""  # --definitions without a folder
SERVED, SERVED_SHORT = 60.0, 10.0  # seconds of --serve: for somebody who looks at it, and for a pipe or a CI


def add_commands(commands: Any) -> None:
    """Enter the command into argparse's table of commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="a crew of agents reads a folder of Python files",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="a folder, or one Python file (default: agentreg's own source)"
    )
    parser.add_argument("--report", metavar="FILE", help="where to write the report (default: a new temporary folder)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document, and nothing else")
    parser.add_argument(
        "--analysts",
        type=_between(1, 64),
        metavar="N",
        help="agents in the pool, 1 to 64 (default: 4), or analysts in each process (default: 2)",
    )
    parser.add_argument(
        "--limit", type=_between(1, 100_000), default=2000, metavar="N", help="read at most N files (default: 2000)"
    )
    parser.add_argument("--fast", action="store_true", help="don't slow down for the eye; only a terminal is slow")
    _add_other_demos(parser)
    _add_serving(parser)
    parser.add_argument(
        "--alerts", action="store_true", help="agents at work, one that gets slow, the alert, and how it is recovered"
    )
    parser.set_defaults(run=run, prog=parser.prog)


def _add_other_demos(parser: argparse.ArgumentParser) -> None:
    """The options of the demos besides the crew's: several processes, and agents from definitions."""
    parser.add_argument(
        "--processes",
        type=_between(2, 8),
        metavar="N",
        help="run N runtimes, 2 to 8, in processes that share a directory",
    )
    parser.add_argument(
        "--backend",
        metavar="URL",
        help=f"their directory: sqlite:///path/to/file.db, redis://host:port/db, ... (default: a temporary SQLite "
        f"file); without --processes, {RUNTIMES} share it",
    )
    parser.add_argument(
        "--definitions",
        nargs="?",
        const=OWN,
        metavar="FOLDER",
        help="spawn agents from the definitions in FOLDER, a project or a folder of files (default: the demo's own)",
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help=f"with --definitions FOLDER: how long to watch for edits at the end (default: {WAIT:g}, 0 with --fast or "
        "--json)",
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    """The options of the service's demo."""
    parser.add_argument(
        "--serve", action="store_true", help="run a service and agents of five kinds, to be seen in a browser"
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_positive,
        metavar="SECONDS",
        help=f"with --serve: how long (default: {SERVED:g}; {SERVED_SHORT:g} where nobody looks: in a pipe, or a CI)",
    )
    parser.add_argument(
        "--no-open", action="store_true", help="with --serve: don't open a browser, even if there is a display"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the arguments, run the demo and show it."""
    import json

    from agentreg.demo.stage import DemoFailed

    try:
        if arguments.serve:
            return _run_serving(arguments)
        outcome = _perform(arguments)
    except BrokenPipeError:
        raise
    except (DemoFailed, OSError) as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        print(json.dumps(outcome.as_dict(), indent=2))
    return DONE


def _perform(arguments: argparse.Namespace) -> Outcome | RuntimesOutcome | DefinitionsOutcome | Scene:
    several = arguments.processes is not None or arguments.backend is not None
    if arguments.seconds is not None or arguments.no_open:
        raise UsageError("--for, --no-open: they belong to --serve; leave them out")
    if arguments.alerts:
        return _run_alerting(arguments)
    if arguments.definitions is None and arguments.wait is not None:
        raise UsageError("--wait: only --definitions FOLDER waits for edits; leave it out")
    if arguments.definitions is None:
        return _run_processes(arguments) if several else _run_crew(arguments)
    if several or arguments.report is not None or arguments.analysts is not None:
        raise UsageError("--definitions: it goes with PATH, --limit, --wait, --fast and --json only")
    return _run_definitions(arguments)


def _run_serving(arguments: argparse.Namespace) -> int:
    from agentreg import RegistryError
    from agentreg.demo.stage import DemoFailed

    others = ("processes", "backend", "definitions", "wait", "report", "analysts")
    if arguments.json or arguments.alerts or any(getattr(arguments, name) is not None for name in others):
        raise UsageError("--serve: it goes with PATH, --limit, --for and --no-open only")
    path = _checked_path(arguments.path)
    try:
        import agentreg.extensions.service  # noqa: F401  (the child process needs it)
        from agentreg.demo.serving.stage import Assignment, perform

        seconds = arguments.seconds or (SERVED if _is_watched() else SERVED_SHORT)
        browse = not arguments.no_open and _is_watched() and _has_display()
        perform(Assignment(path, seconds, arguments.limit, browse), _serving_view())
    except ImportError as error:
        raise CommandError(f'{error}; --serve needs more packages: pip install "agentreg[service]"') from error
    except RegistryError as error:
        raise DemoFailed(str(error)) from error
    return DONE


def _serving_view() -> ServingView:
    from agentreg.demo.serving.views import PlainServing

    if not _draws():
        return PlainServing()
    from agentreg.demo.serving.live import LiveServing

    return LiveServing()


def _run_alerting(arguments: argparse.Namespace) -> Scene:
    from agentreg.demo.alerting import Assignment, perform

    others = ("processes", "backend", "definitions", "wait", "report", "analysts")
    if any(getattr(arguments, name) is not None for name in others):
        raise UsageError("--alerts: it goes with PATH, --limit, --fast and --json only")
    assignment = Assignment(_checked_path(arguments.path), arguments.limit, slowly=_is_slow(arguments))
    return perform(assignment, _alerting_view(arguments))


def _alerting_view(arguments: argparse.Namespace) -> AlertingView:
    from agentreg.demo.alerting.views import AlertingView, PlainAlerting

    if arguments.json:
        return AlertingView()
    if not _draws():
        return PlainAlerting()
    from agentreg.demo.alerting.live import LiveAlerting

    return LiveAlerting()


def _is_watched() -> bool:
    return _is_terminal() and not os.environ.get("CI")


def _has_display() -> bool:
    shown = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return shown or sys.platform in ("darwin", "win32")


def _run_definitions(arguments: argparse.Namespace) -> DefinitionsOutcome:
    from agentreg.cli.refusing import refusals

    folder = _checked_folder(arguments.definitions)
    path = _checked_path(arguments.path)
    hasty = arguments.fast or arguments.json
    wait = arguments.wait if arguments.wait is not None else 0.0 if hasty else WAIT
    with refusals():
        from agentreg.demo.definitions.stage import Assignment, perform

        assignment = Assignment(folder, path, arguments.limit, wait, slowly=_is_slow(arguments))
        return perform(assignment, _crew_view(arguments))


def _checked_folder(given: str) -> Path | None:
    if given == OWN:
        return None
    path = Path(given).expanduser()
    if not path.is_dir():
        raise UsageError(f"--definitions: {given!r} is no folder; give one that holds definitions, or none")
    return path.resolve()


def _run_crew(arguments: argparse.Namespace) -> Outcome:
    from agentreg.demo.stage import Assignment, perform

    assignment = Assignment(
        _checked_path(arguments.path),
        _checked_report(arguments.report),
        arguments.analysts or 4,
        arguments.limit,
        slowly=_is_slow(arguments),
    )
    return perform(assignment, _crew_view(arguments))


def _crew_view(arguments: argparse.Namespace) -> View:
    from agentreg.demo.views import PlainView, View

    if arguments.json:
        return View()
    if not _draws():
        return PlainView()
    from agentreg.demo.live import LiveView

    return LiveView()


def _run_processes(arguments: argparse.Namespace) -> RuntimesOutcome:
    from agentreg import RegistryError
    from agentreg.demo.processes.stage import Assignment, perform
    from agentreg.extensions.coordination import BackendURLError

    if arguments.report is not None:
        raise UsageError("--report: the runtimes of --processes and --backend write no report; leave it out")
    assignment = Assignment(
        _checked_path(arguments.path),
        arguments.processes or RUNTIMES,
        arguments.analysts or 2,
        arguments.limit,
        arguments.backend,
        slowly=_is_slow(arguments),
    )
    try:
        return perform(assignment, _runtimes_view(arguments))
    except BackendURLError as error:
        raise UsageError(str(error)) from error
    except (RegistryError, ImportError) as error:
        raise CommandError(str(error)) from error


def _runtimes_view(arguments: argparse.Namespace) -> RuntimesView:
    from agentreg.demo.processes.views import PlainRuntimes, RuntimesView

    if arguments.json:
        return RuntimesView()
    if not _draws():
        return PlainRuntimes()
    from agentreg.demo.processes.live import LiveRuntimes

    return LiveRuntimes()


def _is_slow(arguments: argparse.Namespace) -> bool:
    return _is_terminal() and not arguments.json and not arguments.fast


def _draws() -> bool:
    from importlib.util import find_spec

    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return _is_terminal() and unicode and find_spec("rich") is not None


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _checked_path(given: str | None) -> Path:
    from agentreg.demo.folder import list_python_files

    path = Path(__file__).parents[1] if given is None else Path(given)
    expected = "expected a folder of Python files, or one file that ends in .py"
    try:
        path = path.resolve(strict=True)
        if path.is_file() and path.suffix != ".py":
            raise UsageError(f"{str(path)!r} is a file, but no Python file; {expected}")
        if not path.is_file():
            os.scandir(path).close()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle, before Python 3.13
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"can't read {str(path)!r} ({reason}); {expected}") from error
    if not list_python_files(path, limit=1).files:
        raise UsageError(f"there is no Python file in {str(path)!r}; {expected}. Without PATH, agentreg reads itself")
    return path


def _checked_report(given: str | None) -> Path | None:
    if given is None:
        return None
    path = Path(given).absolute()
    if path.is_dir():
        raise UsageError(f"--report: {str(path)!r} is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"--report: the folder {str(path.parent)!r} does not exist; make it, or give another file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"--report: {str(path)!r} can't be written to; give another file")
    return path


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, from 0 to 86,400, got {text!r}")
    return value


def _positive(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected seconds, from 1 to 86,400, got {text!r}")
    return value


def _between(low: int, high: int) -> Any:
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low:,} to {high:,}, got {text!r}")
        return value

    return number
