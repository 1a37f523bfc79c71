"""The table ``agents``: stored definitions as rows of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from agentreg.extensions.definitions import (
    DefinitionStore,
    Filter,
    NotStoredError,
    StoredDefinition,
    VersionConflictError,
)
from agentreg.extensions.definitions.sources.rows import columns_of
from agentreg.extensions.definitions.storing.drafts import Draft
from agentreg.extensions.definitions.storing.ordering import Sort

__all__ = ["Agents", "row_of"]

_TRIES = 20  # of an update in whose way others come

Row = dict[str, str]


class Agents:
    """The verbs of a document store, over the definitions of a `DefinitionStore`.

    A row shows what was said in its columns as it was said, and for the
    rest what the header of its content says. An update makes a new version,
    a removal keeps the history. Thread-safe: as the store.
    """

    def __init__(self, store: DefinitionStore) -> None:
        self._store = store

    def insert(self, data: Mapping[str, Any]) -> str:
        """Add a row; its id. Raises as `DefinitionStore.create`."""
        return row_id(self._store.create(data["content"], columns=data).name)

    def query(
        self, filter: Mapping[str, Any] | None, sort: Mapping[str, int] | None = None, limit: int | None = None
    ) -> list[Row]:
        """The rows that fit, by name unless *sort* says otherwise. Raises FilterError, SortError."""
        order = Sort(sort)
        rows: list[Row] = order.sorted(row for _, row in self._fitting(filter))
        return rows[:limit]

    def update(self, filter: Mapping[str, Any], changes: Mapping[str, Any]) -> int:
        """Set columns of every row that fits; how many there were.

        All of them are looked at first: if one can't be as it is asked, none
        is changed.

        Raises:
            FilterError, ContentError, DefinitionError, NotAnAgent: it can't be done.
            VersionConflictError: others change the same rows all the time.
        """
        done: set[str] = set()
        for _ in range(_TRIES - 1):
            try:
                return self._updated(filter, changes, done)
            except (VersionConflictError, NotStoredError):
                continue
        return self._updated(filter, changes, done)

    def _updated(self, filter: Mapping[str, Any], changes: Mapping[str, Any], done: set[str]) -> int:
        todo = []
        for stored, _ in self._fitting(filter):
            if stored.name not in done:
                content = str(changes.get("content", stored.content))
                columns = columns_of({**_said(stored), **changes})
                Draft(content, columns, stored.name)
                todo.append((stored, content, columns))
        for stored, content, columns in todo:
            if content != stored.content or columns != _said(stored):
                self._store.update(stored.name, content, stored.version, columns=columns)
            done.add(stored.name)
        return len(done)

    def remove(self, filter: Mapping[str, Any]) -> int:
        """Remove every row that fits; how many there were. Raises FilterError."""
        count = 0
        for stored, _ in self._fitting(filter):
            try:
                self._store.remove(stored.name)
                count += 1
            except NotStoredError:  # somebody else was quicker
                continue
        return count

    def _fitting(self, filter: Mapping[str, Any] | None) -> Iterator[tuple[StoredDefinition, Row]]:
        compiled = Filter(filter)
        rows = ((stored, row_of(stored)) for stored in self._store.query())
        return ((stored, row) for stored, row in rows if compiled.matches(row))


def row_id(name: str) -> str:
    """The id of a definition's row: the same for the same name, for ever.

    >>> row_id("scout") == row_id("scout") != row_id("planner")
    True
    """
    return uuid5(NAMESPACE_URL, f"registry://{name}").hex


def row_of(stored: StoredDefinition) -> Row:
    """The row of *stored*, as texts; nothing is parsed for it."""
    said = stored.columns
    fields = {key: _text(value) for key, value in stored.fields.items()}
    row = {"_id": row_id(stored.name), "name": stored.name, **fields, **said}
    row |= {"name": stored.name, "content": stored.content, "source": "registry"}
    tags = ",".join(stored.tags)
    if tags and not all(tag in row.get("tags", "") for tag in stored.tags):
        row["tags"] = tags
    return row


def _said(stored: StoredDefinition) -> Row:
    return {"name": stored.name, **stored.columns}


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
