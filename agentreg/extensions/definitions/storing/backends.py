"""What a store is kept in: entries, their versions, and a few verbs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

__all__ = ["Backend", "Entry", "Version"]


@dataclass(frozen=True)
class Entry:
    """What is known of a name, and may change.

    Attributes:
        name: The definition's name.
        token: Names this very state of the entry; every change gives it a new one.
        version: The latest version's number, from 1.
        status: ``active`` or ``deprecated``.
        tags: Those that the store adds to the definition's own.
        removed: Whether it is there for its history only.
    """

    name: str
    token: str
    version: int
    status: str
    tags: tuple[str, ...] = ()
    removed: bool = False

    def to_json(self) -> str:
        """The entry as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """The entry that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "tags": tuple(values["tags"])})


@dataclass(frozen=True)
class Version:
    """One version of a definition: it never changes.

    Attributes:
        number: From 1, without holes.
        content: The whole markdown, to the byte.
        digest: The SHA-256 of the content's bytes, in hexadecimal digits.
        created_at: When it was stored: ISO 8601, UTC, with microseconds.
        change: ``created``, ``updated`` or ``rolled back``.
        restores: Of which version the content is, for one that was rolled back.
        fields: What the content says of itself, for queries: texts and lists of texts.
        columns: What was said beside the content, and counts where that is silent.
    """

    number: int
    content: str
    digest: str
    created_at: str
    change: str
    restores: int | None = None
    fields: dict[str, str | list[str]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The version as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Version:
        """The version that `to_json` wrote."""
        return cls(**json.loads(text))


class Backend(Protocol):
    """Where entries and versions are kept.

    Each verb is one atomic step, also among processes. Each raises
    `StoreUnavailableError` when it can't be done; then nothing was changed,
    or it can't be known (a connection that broke before the answer).

    Thread-safe: yes, each verb.

    Attributes:
        url: Where it is, without any password.
        remote: Whether it is reached over a network.
    """

    url: str
    remote: bool

    def revision(self) -> int:
        """A number that every change makes larger."""

    def read(self, name: str, number: int | None = None) -> tuple[Entry, Version] | None:
        """The entry *name*, removed or not, and its version *number*, or its latest; None without either."""

    def history(self, name: str) -> tuple[Entry, Sequence[Version]] | None:
        """The entry *name*, removed or not, and all versions, the oldest first."""

    def current(self) -> tuple[int, list[tuple[Entry, Version]]]:
        """The revision, and each entry of it that is not removed with its latest version, in any order."""

    def commit(self, entry: Entry, expected: str | None, version: Version | None = None) -> bool:
        """Put *entry* in the place of the one with the token *expected*, and add *version*.

        None expects that there is no entry. False: there is another one, and
        nothing was changed. The same call again is done already, and true.
        """

    def forget(self, name: str, expected: str) -> bool:
        """Drop the entry *name* with the token *expected*, and all versions; as for `commit`."""

    def close(self) -> None:
        """Close what is open. A later verb opens it again."""
