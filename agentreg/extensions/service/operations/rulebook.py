"""Alert rules that were added or removed while the service ran, kept over a restart."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping

from agentreg.extensions.monitoring import AlertRule, AlertRuleError

__all__ = ["RuleBook"]

_log = logging.getLogger(__name__)
_TABLE = "CREATE TABLE IF NOT EXISTS operations_rules (name TEXT PRIMARY KEY, expression TEXT) WITHOUT ROWID"


class RuleBook:
    """Changes to the rules, in the table ``operations_rules`` of a SQLite file.

    Thread-safe: yes; each call has a connection of its own.

    Args:
        path: The file; None: nothing is kept.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path

    def rules(self, given: Mapping[str, AlertRule], fixed: frozenset[str]) -> list[AlertRule]:
        """The rules that are *given*, with the changes made to them; those named in *fixed* are as given."""
        rules = dict(given)
        for name, expression in self._changes():
            if name in fixed:
                continue
            if expression is None:
                rules.pop(name, None)
                continue
            try:
                rules[name] = AlertRule.parse(expression, name=name)
            except AlertRuleError as error:
                _log.warning("the rule %r that was kept is left out: %s", name, error)
        return list(rules.values())

    def keep(self, name: str, expression: str | None) -> None:
        """Note that a rule was added or, with None, removed. Raises sqlite3.Error."""
        with self._open() as connection:
            if connection is not None:
                connection.execute("INSERT OR REPLACE INTO operations_rules VALUES (?, ?)", (name, expression))

    def _changes(self) -> list[tuple[str, str | None]]:
        with self._open() as connection:
            if connection is None:
                return []
            return connection.execute("SELECT name, expression FROM operations_rules ORDER BY name").fetchall()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        if self._path is None:
            yield None
            return
        with contextlib.closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as connection, connection:
            connection.execute(_TABLE)
            yield connection


_PATIENCE = 2.0  # seconds to wait for others who write
