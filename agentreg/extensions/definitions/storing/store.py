"""A table of definitions with versions, in a SQLite file or on a Redis server."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal
from uuid import uuid4

from typing_extensions import Self

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import (
    DamagedStoreError,
    DefinitionExistsError,
    NotStoredError,
    VersionConflictError,
)
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent, Problem
from agentreg.extensions.definitions.sources.rows import digest_of
from agentreg.extensions.definitions.sources.source import Listing
from agentreg.extensions.definitions.storing.backends import Backend, Entry, Version
from agentreg.extensions.definitions.storing.drafts import Draft
from agentreg.extensions.definitions.storing.filters import Filter
from agentreg.extensions.definitions.storing.opening import open_backend
from agentreg.extensions.definitions.storing.ordering import Sort
from agentreg.extensions.definitions.storing.stored import StoredDefinition, stored_from, written

__all__ = ["STATUSES", "DefinitionStore"]

STATUSES = ("active", "deprecated")

_Found = tuple[Entry, Version]


class DefinitionStore:
    """A table of definitions: each name has versions, numbered from 1, and none of them ever changes.

    It is also a `Source` for a catalog: what is not removed, with
    ``source="registry"``.

    Every call is one atomic step, and sees all that were through before,
    from any thread or process. What has returned is kept (on a disk for
    SQLite; for Redis as durably as that server is set up).

    Thread-safe: yes. A call may wait for the disk or the network: in an
    event loop, use ``asyncio.to_thread``.

    Attributes:
        name: What a catalog calls it.
        remote: Whether it is reached over a network.

    >>> store = DefinitionStore(":memory:")
    >>> scout = store.create("---\\nname: scout\\ndescription: Looks around\\ntags: [recon]\\n---\\nYou are a scout.")
    >>> scout.version, scout.tags
    (1, ('recon',))
    >>> store.update("scout", scout.content + " Be quick.", replaces=1).version
    2
    >>> store.rollback("scout", 1).version
    3
    >>> [found.name for found in store.query({"tags": "recon"})]
    ['scout']
    """

    def __init__(
        self,
        url_or_path: str | os.PathLike[str] | Backend,
        *,
        name: str | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Name a place; it is opened, or made, at the first use.

        Args:
            url_or_path: A file for SQLite (also ``sqlite:///relative.db`` and ``sqlite:////absolute.db``),
                ``:memory:`` for one that ends with the object, ``redis://[:password@]host:port/db`` (also
                ``rediss://`` and ``unix://``), or a `Backend`.
            name: What a catalog calls it; without one, its place.
            clock: The present moment, aware of its time zone.

        Raises:
            ValueError: the URL's kind is unknown.
            ImportError: a Redis server is named, and the package ``redis`` is missing.
        """
        self._clock = clock or _now
        self._backend = open_backend(url_or_path, self._moment)
        self.name = name or self._backend.url
        self.remote = self._backend.remote
        self._loaded: tuple[int, Listing] | None = None

    def __repr__(self) -> str:
        return f"DefinitionStore({self._backend.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- changing -----------------------------------------------------------

    def create(
        self,
        content: str | bytes | AgentDefinition,
        status: str = "active",
        tags: Iterable[str] = (),
        *,
        columns: Mapping[str, Any] | None = None,
    ) -> StoredDefinition:
        """Store a new definition as version 1; of a name that was removed, as the next version.

        Args:
            content: The whole markdown, or a definition. Of that, the file's bytes are stored if the file is still
                the one that was read, else markdown that says the same.
            status: ``active`` or ``deprecated``.
            tags: In addition to those in the header.
            columns: What a row says beside its content: see `parse_row`.

        Raises:
            DefinitionError, NotAnAgent: the content is no definition.
            ContentError: it is too large, or its name too long.
            DefinitionExistsError: there is one of this name.
        """
        draft = Draft(content, columns)
        return self._create(draft, Entry(draft.name, "", 0, _status(status), _tags(tags)))

    def update(
        self,
        name: str,
        content: str | bytes | AgentDefinition,
        replaces: int,
        *,
        status: str | None = None,
        tags: Iterable[str] | None = None,
        columns: Mapping[str, Any] | None = None,
    ) -> StoredDefinition:
        """Store *content* as a new version, in the place of version *replaces*, which must be the latest.

        Status and the store's tags stay as they are unless given.

        Raises:
            VersionConflictError: another version is the latest.
            NotStoredError: there is no definition of this name.
            DefinitionError, NotAnAgent: the content is no definition.
            ContentError: it is too large, or names another definition.
        """
        _number(replaces, "replaces")
        return self._update(Draft(content, columns, _text(name, "name")), replaces, _changes(status, tags))

    def put(
        self, content: str | bytes | AgentDefinition, columns: Mapping[str, Any] | None = None
    ) -> Literal["created", "updated", "unchanged"]:
        """See to it that the latest version of a definition is *content*, and say what that took.

        Raises:
            DefinitionError, NotAnAgent, ContentError: as for `create`.
        """
        draft = Draft(content, columns)
        while True:
            found = self._backend.read(draft.name)
            try:
                if found is None or found[0].removed:
                    self._create(draft, Entry(draft.name, "", 0, "active"))
                    return "created"
                if draft.says_the_same_as(found[1]):
                    return "unchanged"
                self._update(draft, found[0].version, {})
                return "updated"
            except (DefinitionExistsError, NotStoredError, VersionConflictError):
                continue  # somebody was quicker: look again

    def rollback(self, name: str, version: int) -> StoredDefinition:
        """Store the content of *version* once more, to the byte, as a new version; a removed name is there again.

        Raises:
            NotStoredError: the name, or this version of it, is not there.
            DamagedStoreError: the old content does not have its digest any more.
        """
        _number(version, "version")

        def change(found: _Found | None) -> _Found:
            entry, old = self._backend.read(name, version) or self._missing(name, version if found else None)
            if digest_of(old.content) != old.digest:
                cause = f"the content of version {version} of {name!r} does not have its digest {old.digest}"
                raise DamagedStoreError(self._backend.url, cause, "take another version, or a backup")
            number = entry.version + 1
            again = replace(
                old, number=number, created_at=written(self._moment()), change="rolled back", restores=version
            )
            return replace(entry, version=number, removed=False), again

        return self._change(name, change)

    def remove(self, name: str) -> None:
        """Take the definition *name* away; its history stays until `purge`.

        Raises:
            NotStoredError: there is no definition of this name.
        """
        self._mark(name, {"removed": True})

    def purge(self, name: str) -> None:
        """Forget the definition *name*, removed or not, with every version; the next one begins at 1 again.

        Raises:
            NotStoredError: nothing is known of this name.
        """
        while True:
            entry, _ = self._backend.read(_text(name, "name")) or self._missing(name)
            if self._backend.forget(name, entry.token):
                return

    def set_status(self, name: str, status: str) -> StoredDefinition:
        """Make the definition ``active`` or ``deprecated``; that is no new version.

        Raises:
            NotStoredError: there is no definition of this name.
        """
        return self._mark(name, _changes(status, None))

    def set_tags(self, name: str, tags: Iterable[str]) -> StoredDefinition:
        """Replace the tags that the store adds to the definition's own; that is no new version.

        Raises:
            NotStoredError: there is no definition of this name.
        """
        return self._mark(name, _changes(None, tags))

    # -- reading ------------------------------------------------------------

    def get(self, name: str, version: int | None = None) -> StoredDefinition | None:
        """The latest version of *name*, or None; a given *version* is found even after `remove`."""
        if version is not None:
            _number(version, "version")
        found = self._backend.read(_text(name, "name"), version)
        return stored_from(*found) if found and (version is not None or not found[0].removed) else None

    def require(self, name: str, version: int | None = None) -> StoredDefinition:
        """As `get`, but a `NotStoredError` instead of None."""
        return self.get(name, version) or self._missing(name, version if self.history(name) else None)

    def history(self, name: str) -> list[StoredDefinition]:
        """Every version of *name*, the oldest first, removed or not; empty for an unknown name."""
        found = self._backend.history(_text(name, "name"))
        return [stored_from(found[0], version) for version in found[1]] if found else []

    def query(
        self, filter: Mapping[str, Any] | None = None, sort: Mapping[str, int] | None = None, limit: int | None = None
    ) -> list[StoredDefinition]:
        """The latest versions that fit *filter*, ordered by *sort*, then by name; *limit* of them at most.

        They are compared as `StoredDefinition.document` says. See `Filter`
        for the operators, `Sort` for the order; removed ones are left out.

        Raises:
            FilterError, SortError, ValueError: the filter, the order or the limit is malformed.
        """
        compiled, order = Filter(filter), Sort(sort)
        if limit is not None:
            _number(limit, "limit")
        _, pairs = self._backend.current()
        by_name = sorted((stored_from(*pair) for pair in pairs), key=lambda stored: stored.name)
        documents = [(stored.document(), stored) for stored in by_name]
        fitting = [pair for pair in documents if compiled.matches(pair[0])]
        return [stored for _, stored in order.sorted(fitting, lambda pair: pair[0])[:limit]]

    def load(self) -> Listing:
        """As `Source.load`: every definition that is not removed, by name; the deprecated ones, too.

        Raises:
            SourceUnavailableError: the store can't be read now.
        """
        known = self._loaded
        if known is not None and known[0] == self._backend.revision():
            return known[1]
        revision, pairs = self._backend.current()
        listing = _listing(stored_from(*pair) for pair in sorted(pairs, key=lambda pair: pair[0].name))
        self._loaded = revision, listing
        return listing

    @property
    def revision(self) -> int:
        """A number that every change makes larger, in whatever process."""
        return self._backend.revision()

    def close(self) -> None:
        """Close the file or the connection. A later call opens it again."""
        self._backend.close()

    # -- inside -------------------------------------------------------------

    def _create(self, draft: Draft, entry: Entry) -> StoredDefinition:
        def change(found: _Found | None) -> _Found:
            if found and not found[0].removed:
                raise DefinitionExistsError(draft.name, found[0].version)
            number = found[0].version + 1 if found else 1
            return replace(entry, version=number), draft.version(number, self._moment(), "created")

        return self._change(draft.name, change)

    def _update(self, draft: Draft, replaces: int, changes: Mapping[str, Any]) -> StoredDefinition:
        def change(found: _Found | None) -> _Found:
            entry, _ = self._there(draft.name, found)
            if entry.version != replaces:
                raise VersionConflictError(draft.name, replaces, entry.version)
            number = replaces + 1
            return replace(entry, version=number, **changes), draft.version(number, self._moment(), "updated")

        return self._change(draft.name, change)

    def _change(self, name: str, change: Callable[[_Found | None], _Found]) -> StoredDefinition:
        """Look, decide, and write if nothing has happened since; else look again."""
        token = uuid4().hex
        while True:
            found = self._backend.read(_text(name, "name"))
            entry, version = change(found)
            entry = replace(entry, token=token)
            added = None if found and version is found[1] else version
            if self._backend.commit(entry, found[0].token if found else None, added):
                return stored_from(entry, version)

    def _mark(self, name: str, changes: Mapping[str, Any]) -> StoredDefinition:
        def change(found: _Found | None) -> _Found:
            entry, version = self._there(name, found)
            return replace(entry, **changes), version

        return self._change(name, change)

    def _there(self, name: str, found: _Found | None) -> _Found:
        return found if found and not found[0].removed else self._missing(name)

    def _missing(self, name: str, version: int | None = None) -> Any:
        names = [entry.name for entry, _ in self._backend.current()[1]]
        raise NotStoredError(name, version, difflib.get_close_matches(name, names))

    def _moment(self) -> datetime:
        moment = self._clock()
        if moment.tzinfo is None:
            raise ValueError(f"the clock gives {moment!r}, without a time zone; pass one that gives aware times")
        return moment.astimezone(timezone.utc)


def _listing(stored: Iterable[StoredDefinition]) -> Listing:
    definitions: list[AgentDefinition] = []
    problems: list[Problem] = []
    for each in stored:
        try:
            definitions.append(each.definition)
        except (DefinitionError, NotAnAgent) as error:  # it was stored by an agentreg with other rules
            problems.append(error.problem)
    return Listing(tuple(definitions), tuple(problems))


# -- at the door ------------------------------------------------------------


def _changes(status: str | None, tags: Iterable[str] | None) -> dict[str, Any]:
    changes: dict[str, Any] = {} if status is None else {"status": _status(status)}
    return changes if tags is None else {**changes, "tags": _tags(tags)}


def _status(status: str) -> str:
    if status not in STATUSES:
        raise ValueError(f"status: expected {' or '.join(STATUSES)}, got {status!r}")
    return status


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, (str, bytes)):
        raise TypeError(f"tags: expected several texts, got {tags!r}; write [{tags!r}]")
    found = tuple(dict.fromkeys(tags))
    for tag in found:
        if not _text(tag, "tags").strip():
            raise ValueError(f"tags: expected texts that are not empty, got {tag!r}")
    return found


def _text(value: str, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected text, got {type(value).__name__}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{what}: {value!r} holds half a character; write the whole one")
    return value


def _number(value: int, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what}: expected a whole number from 1 up, got {value!r}")
    if value < 1:
        raise ValueError(f"{what}: expected a whole number from 1 up, got {value}")


def _now() -> datetime:
    return datetime.now(timezone.utc)
