"""The service's database, and files that were set aside beside it; read, never written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from agentreg.cli.doctor.noting import Notes
from agentreg.cli.errors import CommandError
from agentreg.cli.query.database import Database, reading
from agentreg.extensions.coordination.sqlite.schema import APPLICATION_ID

__all__ = ["CHECKED", "look_at_database"]

CHECKED = 256 << 20  #: bytes of the largest file that is checked page by page
_ORIGINAL = {"id", "name", "cwd", "pid", "host", "started_at", "last_heartbeat", "status", "meta"}
_DAMAGE = ("malformed", "not a database", "corrupt")  # what SQLite calls it
_PASSING = ("locked", "readonly")  # somebody writes, or has been killed while writing
_AFTER_DAMAGE = "end the service, copy the file, and start it again: it sets the file aside and begins a new one"
_ASIDE = re.compile(r"\.damaged-(\d{8}T\d{6}Z)(-\d+)?$")


def look_at_database(folder: Path, runs: bool, notes: Notes) -> None:
    """Look at the database in the workspace *folder*.

    Args:
        folder: The workspace.
        runs: Whether its service answers.
        notes: Where it goes.
    """
    file = folder / "data" / "agent-registry.db"
    if file.is_file():
        _look(file, notes)
    elif file.exists():
        notes.row("database", file, "no file")
        notes.error(f"{file} is no file: the service can't keep its database there", "move it away")
    else:
        _missing(file, runs, notes)
    for aside, time in _set_aside(file.parent):
        fix = f'sqlite3 "{aside}" .recover > recovered.sql gives what can be read; else delete it'
        notes.warning(f"a damaged file was set aside at {time}: {aside}", fix)


def _missing(file: Path, runs: bool, notes: Notes) -> None:
    notes.row("database", file, "none")
    if runs:
        what = f"the service runs, but there is no {file}: what it knows may be lost with it"
        notes.warning(what, f"start it again: {notes.serve} (all is well if it was started with --backend)")


def _look(file: Path, notes: Notes) -> None:
    size = file.stat().st_size
    try:
        state = _judged(file, size, notes)
    except (CommandError, OSError) as error:
        state = _failed(file, str(error), notes)
    notes.row("database", file, f"{state} ({size:,} bytes)")


def _failed(file: Path, told: str, notes: Notes) -> str:
    told = told if str(file) in told else f"{file} can't be read: {told}"
    if any(word in told for word in _DAMAGE):
        notes.error(f"{told}: it is damaged", _AFTER_DAMAGE)
        return "damaged"
    if any(word in told for word in _PASSING):
        notes.warning(told, f"{notes.serve}, then look again")
        return "not checked"
    notes.error(told, "see to that, and look again")
    return "can't be read"


def _judged(file: Path, size: int, notes: Notes) -> str:
    """The state of the file in a word; what is wrong with it goes into *notes*."""
    with reading(file) as database:
        mark = database.ask("PRAGMA application_id").rows[0][0]
        if mark != APPLICATION_ID:
            return _foreign(file, mark, database, notes)
        if size > CHECKED:
            what = f"{file} was not checked page by page: it has {size:,} bytes, more than {CHECKED:,}"
            notes.note(what, f'sqlite3 "{file}" "PRAGMA quick_check" does that')
            return "not checked"
        return _checked(file, database, notes)


def _checked(file: Path, database: Database, notes: Notes) -> str:
    told = [str(row[0]) for row in database.ask("PRAGMA quick_check(3)").rows]
    if told == ["ok"]:
        return "sound"
    notes.error(f"{file} is damaged: {'; '.join(told)}", _AFTER_DAMAGE)
    return "damaged"


def _foreign(file: Path, mark: int, database: Database, notes: Notes) -> str:
    tables = database.ask("SELECT name FROM sqlite_master").rows
    if not mark and not tables:
        return "empty"
    columns = {row[1] for row in database.ask("PRAGMA table_info(agents)").rows} if ("agents",) in tables else set()
    if not mark and columns >= _ORIGINAL:
        what = f"{file} is the original service's database, which agentreg has not taken over yet"
        notes.warning(what, f"{notes.serve} takes its agents over, and keeps the old file beside the new one")
        return "original"
    what = f"{file} is some other program's database (application_id {mark:#x}, expected {APPLICATION_ID:#x})"
    notes.error(what, "move it away, or choose another folder with --workspace or AGENTREG_WORKSPACE")
    return "foreign"


# -- set aside --------------------------------------------------------------


def _set_aside(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file that was set aside as damaged, and when, in order of time."""
    with suppress(OSError):
        for file in sorted(folder.glob("*.damaged-*")):
            found = _ASIDE.search(file.name)
            if found:
                yield file, _time(found[1])


def _time(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:  # somebody's own name, with such digits in it
        return text
