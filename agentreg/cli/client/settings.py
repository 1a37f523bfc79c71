"""The hooks in Claude Code's settings: put in, and taken out without a trace."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentreg.cli.client.json_text import JsonText
from agentreg.cli.errors import CommandError

__all__ = ["EVENTS", "install", "uninstall"]

# Each event of Claude Code, and the verb of `agentreg hook` that it calls.
EVENTS = {"SessionStart": "session-start", "SessionEnd": "session-end"}
_OURS = re.compile(r"""\bagentreg(\.exe)?['"]?\s+hook\s+(session-start|session-end)\b""")
_MARK = "\ufeff"  # some editors begin a file with it
_LONGEST = 16_000_000  # characters
_NEW = "{}\n"

Place = tuple[str, int, int]  # the event, the number of the group, the number of the hook


def install(file: Path, commands: Mapping[str, str]) -> bool:
    """Have *file* call the command of each event; whether that changed anything.

    Everything else stays as it is, byte for byte. What was there before is
    kept beside it, as ``settings.json.agentreg-backup``. A file that isn't
    there is made.

    Args:
        file: The settings; where it is a link, the file that it leads to.
        commands: The shell command of each event.

    Raises:
        CommandError: The file can't be read or written, or is not what Claude
            Code's settings are; then it is untouched.
    """
    file = file.resolve()
    before = _read(file)
    settings = _settings(file, before or "")
    after = _installed(settings, commands)
    if before is not None and after.text == settings.text:
        return False
    if before is None:
        _unlink(_backup(file))
    elif not [*_places(settings.value)]:
        _write(_backup(file), before, file)
    _write(file, _mark_of(before) + after.text, file)
    return True


def uninstall(file: Path) -> bool:
    """Take everything out of *file* that `install` put in; whether there was anything.

    A file or a folder ``.claude`` that was made for it goes, too, and so does the backup.

    Raises:
        CommandError: As for `install`.
    """
    file = file.resolve()
    before = _read(file)
    settings = _settings(file, before or "")
    if before is None or not [*_places(settings.value)]:
        return False
    original = _read(_backup(file))
    rest = _uninstalled(settings, original)
    if original is None and not rest.value:
        _remove_made(file)
    elif original is not None and _leads_to(original, settings):
        _write(file, original, file)
    else:
        _write(file, _mark_of(before) + rest.text, file)
    _unlink(_backup(file))
    return True


def _installed(settings: JsonText, commands: Mapping[str, str]) -> JsonText:
    if "hooks" not in settings.value:
        return settings.append((), {event: [_group(command)] for event, command in commands.items()}, "hooks")
    for event, command in commands.items():
        settings = _with_event(settings, event, command)
    return settings


def _with_event(settings: JsonText, event: str, command: str) -> JsonText:
    if event not in settings.value["hooks"]:
        return settings.append(("hooks",), [_group(command)], event)
    ours = [place for place in _places(settings.value) if place[0] == event]
    if not ours:
        return settings.append(("hooks", event), _group(command))
    for _, group, number in reversed(ours[1:]):
        settings = settings.remove(("hooks", event, group, "hooks", number))
    _, group, number = ours[0]
    path = ("hooks", event, group, "hooks", number, "command")
    before = settings.value["hooks"][event][group]["hooks"][number]["command"]
    command += _added_to(before)
    return settings if before == command else settings.replace(path, command)


def _added_to(command: str) -> str:
    """What somebody has put behind our command, ``--name`` for one."""
    ours = _OURS.search(command)
    return command[ours.end() :] if ours else ""


def _group(command: str) -> dict[str, Any]:
    return {"hooks": [{"type": "command", "command": command}]}


def _leads_to(original: str, settings: JsonText) -> bool:
    """Whether *settings* are what `install` made of *original*: nobody has changed anything since."""
    hooks = settings.value["hooks"]
    commands = {
        event: hooks[event][group]["hooks"][number]["command"] for event, group, number in _places(settings.value)
    }
    try:
        before = JsonText(_unmarked(original) if original.strip() else _NEW)
        return _installed(before, commands).text == settings.text
    except (ValueError, TypeError, AttributeError, RecursionError):  # somebody's file in the backup's place
        return False


def _uninstalled(settings: JsonText, original: str | None) -> JsonText:
    for event, group, number in reversed([*_places(settings.value)]):
        settings = settings.remove(("hooks", event, group, "hooks", number))
        if not settings.value["hooks"][event][group]["hooks"]:
            settings = settings.remove(("hooks", event, group))
    return _without_empty(settings, _hooks_of(original))


def _without_empty(settings: JsonText, before: dict[str, Any] | None) -> JsonText:
    """The settings without the containers that were made for our hooks."""
    for event in EVENTS:
        if settings.value["hooks"].get(event) == [] and event not in (before or {}):
            settings = settings.remove(("hooks", event))
    if not settings.value["hooks"] and before is None:
        settings = settings.remove(("hooks",))
    return settings


def _hooks_of(original: str | None) -> dict[str, Any] | None:
    with suppress(ValueError, AttributeError):
        hooks = json.loads(_unmarked(original or "")).get("hooks")
        return hooks if isinstance(hooks, dict) else None
    return None


def _places(value: dict[str, Any]) -> Iterator[Place]:
    """Where our hooks are."""
    for event in EVENTS:
        for group, each in enumerate(value.get("hooks", {}).get(event, ())):
            for number, hook in enumerate(each.get("hooks", ())):
                command = hook.get("command")
                if isinstance(command, str) and _OURS.search(command):
                    yield event, group, number


# -- the file ---------------------------------------------------------------


def _settings(file: Path, text: str) -> JsonText:
    text = _unmarked(text)
    try:
        settings = JsonText(text if text.strip() else _NEW)
    except json.JSONDecodeError as error:
        raise CommandError(
            f"{file}:{error.lineno}:{error.colno}: this is no JSON ({error.msg}); mend it first, nothing was changed"
        ) from error
    except (RecursionError, ValueError) as error:
        raise CommandError(f"{file}: this can't be read as JSON ({error}); nothing was changed") from error
    for path, found, wanted in _shapes(settings.value):
        if not isinstance(found, wanted):
            expected, got = "an object" if wanted is dict else "a list", json.dumps(found)[:60]
            raise CommandError(f"{file}: {path}: expected {expected}, got {got}; mend it first, nothing was changed")
    return settings


def _shapes(value: Any) -> Iterator[tuple[str, Any, type]]:
    """Everything that has to have a certain shape, from the outside to the inside; what is right is looked into."""
    yield "the settings", value, dict
    hooks = value.get("hooks", {})
    yield "hooks", hooks, dict
    for event in EVENTS:
        yield f"hooks.{event}", hooks.get(event, []), list
        for index, group in enumerate(hooks.get(event, ())):
            path = f"hooks.{event}[{index}]"
            yield path, group, dict
            yield f"{path}.hooks", group.get("hooks", []), list
            for number, hook in enumerate(group.get("hooks", ())):
                yield f"{path}.hooks[{number}]", hook, dict


def _read(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read(_LONGEST + 1)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: this is no UTF-8 (byte {error.start}); nothing was changed") from error
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}") from error
    if len(text) > _LONGEST:
        raise CommandError(f"{file}: settings of more than {_LONGEST:,} characters are not touched")
    return text


def _write(file: Path, text: str, model: Path) -> None:
    """Write beside *file* and rename, with the permissions of *model*."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with beside.open("x", encoding="utf-8", newline="") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            if model.exists():
                shutil.copymode(model, beside)
            os.replace(beside, file)
        except BaseException:
            _unlink(beside)
            raise
    except OSError as error:
        raise CommandError(f"{file} can't be written: {error.strerror}; nothing was changed") from error


def _unlink(file: Path) -> None:
    with suppress(FileNotFoundError):
        file.unlink()


def _remove_made(file: Path) -> None:
    _unlink(file)
    if file.parent.name == ".claude":
        with suppress(OSError):  # others keep something there
            file.parent.rmdir()


def _backup(file: Path) -> Path:
    return file.with_name(f"{file.name}.agentreg-backup")


def _mark_of(text: str | None) -> str:
    return _MARK if text is not None and text.startswith(_MARK) else ""


def _unmarked(text: str) -> str:
    return text.removeprefix(_MARK)
