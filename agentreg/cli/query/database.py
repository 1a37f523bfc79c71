"""A SQLite file, read and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from agentreg.cli.errors import CommandError, UsageError
from agentreg.cli.query.places import place_of
from agentreg.demo.printable import printable

__all__ = ["Database", "Result", "reading"]

TIMEOUT = 5.0  # seconds to wait for somebody who writes
COPIED = 256 << 20  # bytes; a larger file is read where it is
STEPS = 2000  # of SQLite's machine, between two looks whether a Ctrl-C has come

_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_WORDS = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_ATTACH: "ATTACH, or VACUUM,",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "this PRAGMA",
    sqlite3.SQLITE_FUNCTION: "this function",
    sqlite3.SQLITE_TRANSACTION: "a transaction",
    sqlite3.SQLITE_SAVEPOINT: "a SAVEPOINT",
    sqlite3.SQLITE_ALTER_TABLE: "ALTER",
    sqlite3.SQLITE_REINDEX: "REINDEX",
    sqlite3.SQLITE_ANALYZE: "ANALYZE",
}
_LAYOUT = ("sqlite_master", "sqlite_temp_master")
_HARMFUL = {"load_extension", "fts3_tokenizer"}
# PRAGMAs that tell of the layout, whatever they are given; and those that only tell when they are given nothing
_TELL = {
    *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"),
    *("database_list", "function_list", "pragma_list", "module_list", "collation_list", "compile_options"),
    *("quick_check", "integrity_check"),
}
_TELL_BARE = {
    *("user_version", "application_id", "schema_version", "encoding", "page_count", "page_size", "freelist_count"),
    *("journal_mode", "data_version", "query_only"),
}


class Result(NamedTuple):
    """What a statement gave.

    Attributes:
        columns: Their names, in order; several may be the same.
        rows: The values as SQLite has them: None, int, float, str or bytes.
        more: Whether there would have been more rows.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]
    more: bool


@contextmanager
def reading(file: Path) -> Iterator[Database]:
    """The database in *file*, open for reading.

    Raises:
        UsageError: There is none, or it can't be read; the text says what to do.
    """
    if not file.is_file():
        raise UsageError(
            f"there is no database {printable(str(file))}; the service makes it at its first start (agentreg serve); "
            "--workspace or --database name another"
        )
    try:
        connection = _opened(file)
    except sqlite3.Error as error:
        raise UsageError(_unreadable(file, error)) from error
    with closing(connection):
        yield Database(file, connection)


def _opened(file: Path) -> sqlite3.Connection:
    source = _connected(f"file:{quote(str(file))}?mode=ro")
    try:
        if not _makes_others_wait(source, file):
            return source
        copy = _connected("file::memory:")
        try:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # who writes is waited for here
            source.backup(copy)
        except BaseException:
            copy.close()
            raise
        source.close()
        return copy
    except BaseException:
        source.close()
        raise


def _connected(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, timeout=TIMEOUT, isolation_level=None)


def _makes_others_wait(source: sqlite3.Connection, file: Path) -> bool:
    """Whether the service couldn't write while a statement runs; then it runs on a copy in memory."""
    (mode,) = source.execute("PRAGMA journal_mode").fetchone()
    return mode != "wal" and file.stat().st_size <= COPIED


def _unreadable(file: Path, error: sqlite3.Error) -> str:
    told = f"{printable(str(file))} can't be read: {error}"
    if "readonly" in str(error):  # what a writer that was killed has left half-done is to be taken back first
        return f"{told}; start the service once (agentreg serve), which mends what a crash has left"
    if "locked" in str(error):
        return f"{told}; another program has been writing for {TIMEOUT:g} s, try again"
    return told


class Database:
    """Answers statements that read. Not thread-safe.

    Args:
        file: Its name, for messages.
        connection: What it is read by.
    """

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file = file
        self._connection = connection
        self._denied: str | None = None
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(self._judge)
        connection.set_progress_handler(lambda: 0, STEPS)  # a Ctrl-C becomes an exception in there, and that ends it

    def ask(self, statement: str, most: int | None = None) -> Result:
        """The rows of *statement*, at most *most* of them.

        Raises:
            CommandError: It is refused: it would change something, it is not
                one statement, or SQLite does not understand it.
            KeyboardInterrupt: Ctrl-C came meanwhile.
        """
        self._denied = None
        try:
            statement.encode()  # before Python 3.11, sqlite3 doesn't say what is wrong with it
            with closing(self._connection.execute(statement)) as cursor:
                result = _result(cursor, most)
        except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
            if str(error) == "interrupted":
                raise KeyboardInterrupt from error
            raise CommandError(self._told(statement, error)) from error
        if not result.columns:
            raise CommandError("there is nothing to read in it; expected a statement such as SELECT * FROM agents")
        return result

    def _told(self, statement: str, error: Exception) -> str:
        if self._denied is not None:
            return f"{self._denied} is refused: a query only reads"
        if "one statement" in str(error):
            return "there are several statements; expected one: leave the others out, or call agentreg query for each"
        if isinstance(error, UnicodeEncodeError):
            return "the statement is no UTF-8"
        if isinstance(error, MemoryError):
            return "the rows don't fit into memory; ask for fewer of them (LIMIT)"
        if str(error).startswith("no such table"):
            return f"{self._with_place(statement, error)}; there are {', '.join(self._tables()) or 'none'}"
        return self._with_place(statement, error)

    def _with_place(self, statement: str, error: Exception) -> str:
        place = place_of(statement, str(error), self._complaint)
        return printable(f"{error}" if place is None else f"{place}: {error}")

    def _complaint(self, beginning: str) -> str:
        """What is wrong with the *beginning* of a statement, which is not run."""
        try:
            self._connection.execute(f"EXPLAIN {beginning}").close()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            return str(error)
        return ""

    def _tables(self) -> list[str]:
        found = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite^_%' ESCAPE '^' "
            "ORDER BY type DESC, name"
        )
        return [printable(name) for (name,) in found]

    def _judge(self, action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
        if action in _READS or _only_tells(action, first, second):
            return sqlite3.SQLITE_OK
        if self._denied is None:
            self._denied = _named(action, first, second)
        return sqlite3.SQLITE_DENY


def _only_tells(action: int, first: str | None, second: str | None) -> bool:
    if action == sqlite3.SQLITE_FUNCTION:
        return (second or "").lower() not in _HARMFUL
    if action == sqlite3.SQLITE_UPDATE:  # of a table-valued function: SQLite describes its columns to itself so
        return first in _LAYOUT
    name = (first or "").lower()
    return action == sqlite3.SQLITE_PRAGMA and (name in _TELL or (name in _TELL_BARE and second is None))


def _named(action: int, first: str | None, second: str | None) -> str:
    if action == sqlite3.SQLITE_PRAGMA:
        return f"PRAGMA {printable(first or '')}{'' if second is None else ' with a value'}"
    if action == sqlite3.SQLITE_FUNCTION:
        return f"{printable(second or '')}()"
    if first in _LAYOUT:
        return "a change of the layout (CREATE, DROP, ALTER)"
    return _WORDS.get(action, "what this does")


def _result(cursor: sqlite3.Cursor, most: int | None) -> Result:
    columns = [name for name, *_ in cursor.description or ()]
    if most is None:
        return Result(columns, cursor.fetchall(), False)
    rows = cursor.fetchmany(most + 1)
    return Result(columns, rows[:most], len(rows) > most)
