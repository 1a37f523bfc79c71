"""Whether the coding agent's settings call agentreg, and reach it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentreg.cli.client.settings import EVENTS
from agentreg.cli.doctor.noting import Notes

__all__ = ["look_at_hooks"]

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_LONGEST = 16_000_000  # bytes
INSTALL = "agentreg hook install"


def look_at_hooks(home: Path, project: Path, notes: Notes) -> None:
    """Look at Claude Code's settings of the user and of the project."""
    files = {
        home / ".claude" / "settings.json": "user",
        project / ".claude" / "settings.json": "project",
        project / ".claude" / "settings.local.json": "local",
    }
    if project == home:
        files[home / ".claude" / "settings.json"] = "user"
    settings = {file: _settings(file, scope, notes) for file, scope in files.items()}
    ours = {file: [*_ours(value)] for file, value in settings.items()}
    for file, scope in files.items():
        _row(file, scope, settings[file], ours[file], notes)
        for event, command in ours[file]:
            _look_at_command(file, event, command, notes)
    events = {event for calls in ours.values() for event, _ in calls}
    if not events:
        notes.note("Claude Code's sessions are not registered by themselves: no settings have the hooks", INSTALL)
        return
    for event in (each for each in EVENTS if each not in events):
        notes.warning(f"of agentreg's hooks, {event} is missing", INSTALL)
    for file, value in settings.items():
        if isinstance(value, dict) and value.get("disableAllHooks") is True:
            what = f'{file}: "disableAllHooks" is true: Claude Code calls no hook, nor agentreg\'s'
            notes.warning(what, "take that out, or set it to false")


def _row(file: Path, scope: str, value: Any, ours: list[tuple[str, str]], notes: Notes) -> None:
    if ours or value is not None or scope != "local":
        events = ", ".join(dict.fromkeys(event for event, _ in ours))
        missing = "none of ours" if file.exists() else "no such file"
        notes.row(f"hooks ({scope})", file, events or missing)


# -- the file ---------------------------------------------------------------


def _settings(file: Path, scope: str, notes: Notes) -> Any:
    """What the file holds; None if there is nothing to be had from it."""
    try:
        with file.open("rb") as opened:
            value = json.loads(opened.read(_LONGEST).decode("utf-8-sig").strip() or "{}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        notes.warning(f"{file} can't be read: {error.strerror}", "see to its permissions")
        return None
    except json.JSONDecodeError as error:
        what = f"{file}:{error.lineno}:{error.colno}: the {scope} settings are no JSON ({error.msg})"
        notes.error(what, f"mend it, then: {INSTALL}")
        return None
    except (ValueError, RecursionError):
        notes.error(f"{file}: the {scope} settings can't be read as UTF-8 and JSON", f"mend it, then: {INSTALL}")
        return None
    if not isinstance(value, dict) or not isinstance(value.get("hooks", {}), dict):
        what = f"{file}: the {scope} settings, or hooks in them, are no object"
        notes.error(what, f"mend it, then: {INSTALL}")
    return value


def _ours(settings: Any) -> Iterator[tuple[str, str]]:
    """The event and the command of each hook that calls agentreg."""
    for event in EVENTS:
        for group in _list(_get(_get(settings, "hooks"), event)):
            for hook in _list(_get(group, "hooks")):
                command = _get(hook, "command")
                if isinstance(command, str) and _is_ours(_words(command)):
                    yield event, command


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# -- the command ------------------------------------------------------------


def _words(command: str) -> list[str]:
    """The words of a shell command, without assignments before it; none if it can't be told."""
    try:
        words = [word.strip("\"'") for word in shlex.split(command, posix=os.name != "nt")]
    except ValueError:  # a quote that is never closed
        return []
    while words and _ASSIGNMENT.match(words[0]):
        del words[0]
    return words


def _is_ours(words: list[str]) -> bool:
    return any(
        verb in EVENTS.values() and hook == "hook" and re.split(r"[/\\]", program)[-1] in ("agentreg", "agentreg.exe")
        for program, hook, verb in zip(words, words[1:], words[2:], strict=False)
    )


def _look_at_command(file: Path, event: str, command: str, notes: Notes) -> None:
    program = os.path.expanduser(os.path.expandvars(_words(command)[0]))
    if shutil.which(program) is None:
        what = f"{file}: the hook {event} calls {program}, which is no program that can be run"
        notes.error(what, f"{INSTALL} (writes it anew), or agentreg hook uninstall")
