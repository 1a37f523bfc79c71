"""The files of the operations: which there are, and what becomes of one that is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

__all__ = ["Files", "mend"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """Where the operations keep what they know; None: in memory, as long as the service runs.

    Attributes:
        metrics: The metrics: the file of the records, or one of their own.
        own_metrics: Whether it is one of their own, which nobody else mends.
        alerts: What alerts fire, silences, rules.
        decisions: What was decided.
    """

    metrics: str | None = None
    own_metrics: bool = False
    alerts: str | None = None
    decisions: str | None = None


def mend(path: str | None, clock: Callable[[], float] = time.time) -> str | None:
    """Set the file at *path*, which is the operations' own, aside if it is damaged; its new name, or None.

    A file that can't be looked at now is left alone.
    """
    if path is None or not os.path.exists(path) or not _is_damaged(path):
        return None
    stem = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(clock()))}"
    aside, number = stem, 1
    while os.path.exists(aside):
        number += 1
        aside = f"{stem}-{number}"
    for suffix in ("-journal", "-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.rename(path + suffix, aside + suffix)
    _log.error("%s was damaged; it is kept as %s, and a new one is in use", path, aside)
    return aside


def _is_damaged(path: str) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        return type(error) is sqlite3.DatabaseError  # the others are about space, rights, and locks


_PATIENCE = 2.0  # seconds to wait for others who use it
