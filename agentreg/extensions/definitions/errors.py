"""What can go wrong with sources and stored definitions, each with the way out."""

from __future__ import annotations

from collections.abc import Iterable

from agentreg import RegistryError
from agentreg.extensions.definitions.problems import DefinitionNotFoundError

__all__ = [
    "ContentError",
    "DamagedStoreError",
    "DefinitionExistsError",
    "NotStoredError",
    "SourceUnavailableError",
    "StoreFormatError",
    "StoreUnavailableError",
    "VersionConflictError",
]


class SourceUnavailableError(RegistryError):
    """A source can't be read now: its server is down, its token has expired, its folder is not permitted.

    Attributes:
        source: The source's name.
        cause: What went wrong.
    """

    def __init__(self, source: str, cause: str) -> None:
        super().__init__(source, cause)
        self.source = source
        self.cause = cause

    def __str__(self) -> str:
        return f"the source {self.source!r} can't be read: {self.cause}; it is asked again at the next refresh"


class ContentError(RegistryError, ValueError):
    """What was to be stored is not what a store takes: too large, no text, or named otherwise than it has to be."""


class NotStoredError(DefinitionNotFoundError):
    """The store has no definition of this name, or not this version of it.

    Attributes:
        version: The version that was asked for, or None for the latest.
    """

    def __init__(self, name: str, version: int | None = None, nearest: Iterable[str] = ()) -> None:
        super().__init__(name, nearest)
        self.version = version
        self.args = (name, version, self.nearest)

    def __str__(self) -> str:
        if self.version is not None:
            return f"definition {self.name!r} has no version {self.version}; history({self.name!r}) lists those it has"
        if not self.nearest:
            return f"no definition is named {self.name!r}, nor anything like it; query() lists what is there"
        return super().__str__()


class DefinitionExistsError(RegistryError, ValueError):
    """A definition of this name is there already.

    Attributes:
        name: Its name.
        version: Its latest version.
    """

    def __init__(self, name: str, version: int) -> None:
        super().__init__(name, version)
        self.name, self.version = name, version

    def __str__(self) -> str:
        return (
            f"definition {self.name!r} is there already, in version {self.version}; "
            f"update({self.name!r}, content, replaces={self.version}) makes a new version"
        )


class VersionConflictError(RegistryError, ValueError):
    """Somebody else has changed the definition meanwhile: nothing was written.

    Attributes:
        name: Its name.
        replaces: The version that was to be replaced.
        current: The latest version.
    """

    def __init__(self, name: str, replaces: int, current: int) -> None:
        super().__init__(name, replaces, current)
        self.name, self.replaces, self.current = name, replaces, current

    def __str__(self) -> str:
        return (
            f"definition {self.name!r} is at version {self.current}, not at {self.replaces} which was to be replaced; "
            f"look at version {self.current}, then update with replaces={self.current}"
        )


class StoreFormatError(RegistryError, ValueError):
    """A file or a key is something else than a store of definitions, or of a later version of agentreg.

    Attributes:
        url: Where it is, without any password.
        cause: What is there instead.
        advice: What to do.
    """

    def __init__(self, url: str, cause: str, advice: str) -> None:
        super().__init__(url, cause, advice)
        self.url, self.cause, self.advice = url, cause, advice

    def __str__(self) -> str:
        return f"{self.url}: {self.cause}; {self.advice}"


class StoreUnavailableError(SourceUnavailableError):
    """The store can't be read or written now.

    Attributes:
        source: Where it is, without any password.
        cause: What is wrong.
        advice: What to do.
    """

    def __init__(self, source: str, cause: str, advice: str) -> None:
        super().__init__(source, cause)
        self.args = (source, cause, advice)
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.source}: {self.cause}; {self.advice}"


class DamagedStoreError(StoreUnavailableError):
    """What the store has kept is damaged.

    Attributes:
        moved_to: Where the damaged file is now, or None if it is where it was.
    """

    def __init__(self, source: str, cause: str, advice: str, moved_to: str | None = None) -> None:
        super().__init__(source, cause, advice)
        self.args = (source, cause, advice, moved_to)
        self.moved_to = moved_to
