"""The roll-ups in the file: read for one series, written for many."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter

from agentreg.extensions.monitoring.metrics.packing import UnreadableBlockError, pack, unpack
from agentreg.extensions.monitoring.metrics.rollup import Block
from agentreg.extensions.monitoring.metrics.spans import LEVELS, Level

__all__ = [
    "delete_outside",
    "delete_range",
    "delete_series",
    "joined",
    "oldest",
    "packed",
    "read_range",
    "read_series",
    "together",
    "write",
]

_log = logging.getLogger("agentreg")
_BITS = 32  # of a key: which series
_MASK = (1 << _BITS) - 1
_AT_ONCE = 500  # keys in one statement


def read_series(
    connection: sqlite3.Connection, level: Level, series: int, since: float, until: float
) -> Iterator[Block]:
    """What the level has of one series in the blocks that touch these times, in their order."""
    # one look-up for each block: the keys of a series don't lie together
    bounds = connection.execute(f"SELECT min(key), max(key) FROM {level.table}").fetchone()
    if bounds[0] is None:
        return
    first, last = max(int(since // level.block), bounds[0] >> _BITS), min(int(until // level.block), bounds[1] >> _BITS)
    for number in range(first, last + 1):
        query = f"SELECT data FROM {level.table} WHERE key = ?"
        for (data,) in connection.execute(query, (number << _BITS | series,)):
            yield _readable(data, level)


def read_range(
    connection: sqlite3.Connection, level: Level, number: int, first: int, last: int
) -> list[tuple[int, bytes]]:
    """Series and packed block, in one block of the level, of all series from *first* to *last*."""
    keys = (number << _BITS | first, number << _BITS | last)
    rows = connection.execute(f"SELECT key, data FROM {level.table} WHERE key BETWEEN ? AND ?", keys)
    return [(key & _MASK, data) for key, data in rows]


def joined(level: Level, rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Block]]:
    """Series and all that *rows* have of it, in the order of the series."""
    # the sort is stable: the blocks of a series come in the order of time
    for series, group in groupby(sorted(rows, key=itemgetter(0)), key=itemgetter(0)):
        whole = Block()
        for _, data in group:
            whole.merge(_readable(data, level))
        yield series, whole


def delete_range(connection: sqlite3.Connection, level: Level, number: int, first: int, last: int) -> None:
    """Delete what `read_range` reads."""
    keys = (number << _BITS | first, number << _BITS | last)
    connection.execute(f"DELETE FROM {level.table} WHERE key BETWEEN ? AND ?", keys)


def delete_outside(connection: sqlite3.Connection, level: Level, since: float, until: float, most: int) -> int:
    """Delete *most* of the blocks that end before *since* or begin after *until*; how many there were."""
    bounds = (int(since // level.block) << _BITS, int(until // level.block) + 1 << _BITS)
    query = f"SELECT key FROM {level.table} WHERE key {{}} ? LIMIT ?"
    keys = [
        key
        for sign, bound in zip(("<", ">="), bounds, strict=True)
        for key in connection.execute(query.format(sign), (bound, most))
    ][:most]
    connection.executemany(f"DELETE FROM {level.table} WHERE key = ?", keys)
    return len(keys)


def delete_series(connection: sqlite3.Connection, series: Iterable[int]) -> None:
    """Delete everything of these series."""
    series = list(series)
    for level in LEVELS:
        low, high = connection.execute(f"SELECT min(key), max(key) FROM {level.table}").fetchone()
        if low is not None:
            keys = ((number << _BITS | each,) for number in range(low >> _BITS, (high >> _BITS) + 1) for each in series)
            connection.executemany(f"DELETE FROM {level.table} WHERE key = ?", keys)


def oldest(connection: sqlite3.Connection, level: Level) -> tuple[int, int] | None:
    """The number of the level's oldest block, and its first series."""
    key = connection.execute(f"SELECT min(key) FROM {level.table}").fetchone()[0]
    return None if key is None else (key >> _BITS, key & _MASK)


def packed(level: Level, blocks: Mapping[int, Block]) -> list[tuple[int, bytes]]:
    """Key and bytes of what is to be written; each block within one of the level's."""
    rows = []
    for series, block in blocks.items():
        number = min(block.cells) // level.block
        rows.append((number << _BITS | series, pack(block, level.step, level.grain)))
    return rows


def of_known(connection: sqlite3.Connection, rows: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Those *rows* of `packed` whose series was not forgotten meanwhile."""
    known = {series for (series,) in connection.execute("SELECT id FROM metrics_series")}
    return [row for row in rows if row[0] & _MASK in known]


def together(connection: sqlite3.Connection, level: Level, blocks: Mapping[int, Block]) -> dict[int, Block]:
    """Series and *blocks*, each within one of the level's, merged with what the level has of it already."""
    keys = {min(block.cells) // level.block << _BITS | series: series for series, block in blocks.items()}
    merged = dict(blocks)
    for key, data in _known(connection, level, list(keys)).items():
        merged[keys[key]] = _readable(data, level)
        merged[keys[key]].merge(blocks[keys[key]])
    return merged


def write(connection: sqlite3.Connection, level: Level, rows: list[tuple[int, bytes]]) -> None:
    """Write rows of `packed` in place of what is there."""
    rows = sorted(rows)  # in the table's order, so that its pages become full
    connection.executemany(f"INSERT OR REPLACE INTO {level.table} VALUES (?, ?)", rows)


def _known(connection: sqlite3.Connection, level: Level, keys: list[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        found.update(connection.execute(f"SELECT key, data FROM {level.table} WHERE key IN ({marks})", some))
    return found


def _readable(data: bytes, level: Level) -> Block:
    try:
        return unpack(data, level.step, level.grain or level.block)
    except UnreadableBlockError as error:
        _log.warning("a block of %s can't be read (%s) and is left out", level.table, error)
        return Block()
