"""Rows as a table, as objects, as comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from agentreg.cli.printing import note, say, say_table
from agentreg.cli.query.database import Result
from agentreg.demo.printable import printable

__all__ = ["say_csv", "say_objects", "say_rows"]


def say_rows(result: Result) -> None:
    """Print a table: drawn on a terminal, else in columns of plain text."""
    say_table(result.columns, [[_cell(value) for value in row] for row in result.rows])
    _note_more(result)


def say_objects(result: Result) -> None:
    """Print a JSON list of objects, one for each row, one a line.

    What JSON doesn't have becomes text: bytes in hexadecimal, infinities as
    their names. A name that comes again gets a number: ``id``, ``id:1``.
    """
    names = _distinct(result.columns)
    objects = [json.dumps(dict(zip(names, map(_plain, row), strict=True))) for row in result.rows]
    say("[" + ",".join(f"\n  {each}" for each in objects) + ("\n]" if objects else "]"))
    _note_more(result)


def say_csv(result: Result) -> None:
    """Print comma-separated values (RFC 4180, but for ends of lines), first the names; NULL is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows(map(_values, result.rows))
    say(text.getvalue().removesuffix("\n"))
    _note_more(result)


def _values(row: Sequence[Any]) -> list[Any]:
    values = ["" if value is None else _plain(value) for value in row]
    if sys.stdout.isatty():  # a value may hold what a terminal obeys
        return [printable(value) if isinstance(value, str) else value for value in values]
    return values


def _note_more(result: Result) -> None:
    if result.more:
        note(f"the first {len(result.rows):,} rows; there are more: --limit 0 prints all")


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _distinct(names: Sequence[str]) -> list[str]:
    """
    >>> _distinct(["id", "name", "id", "id"])
    ['id', 'name', 'id:1', 'id:2']
    """
    taken: list[str] = []
    for name in names:
        tries = (f"{name}:{number}" if number else name for number in range(len(names) + 1))
        taken.append(next(each for each in tries if each not in taken))
    return taken
