"""A `DefinitionStore` as an event loop uses it, and its errors as refusals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import ParamSpec, TypeVar
from urllib.parse import quote

from agentreg import RegistryError
from agentreg.extensions.definitions import (
    DefinitionError,
    DefinitionExistsError,
    DefinitionStore,
    NotAnAgent,
    NotStoredError,
    SourceUnavailableError,
    StoreFormatError,
    VersionConflictError,
)
from agentreg.extensions.definitions.storing.sqlite_store import SQLiteBackend
from agentreg.extensions.service.refusals import Refusal

__all__ = ["Table", "open_table", "refusal_of"]

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 2.0  # seconds for a file that another program holds; the service has to be able to end within five
_AT_ONCE = 4  # calls that wait for the disk or the network


def open_table(path: str | os.PathLike[str]) -> DefinitionStore:
    """A store in the file *path*, which is made at the first use."""
    return DefinitionStore(SQLiteBackend(path, _now, _PATIENCE))


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Table:
    """Calls a store in threads, a few at a time; what goes wrong there is a `Refusal`.

    For one event loop.

    Attributes:
        store: The store; None if there is none, which every call answers with 404.
    """

    def __init__(self, store: DefinitionStore | None) -> None:
        self.store = store
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *call* gives, in a thread. Raises Refusal."""
        try:
            async with self._turns:
                return await asyncio.to_thread(call, *args, **kwargs)
        except (RegistryError, ValueError, TypeError, OSError) as error:
            raise refusal_of(error) from error

    @property
    def opened(self) -> DefinitionStore:
        """The store. Raises Refusal if there is none."""
        if self.store is None:
            raise Refusal(404, "no definitions table here; start the service with one (create_app(definitions=...))")
        return self.store

    async def close(self) -> None:
        """Close the store's file or connection."""
        if self.store is not None:
            await asyncio.to_thread(self.store.close)


def refusal_of(error: Exception) -> Refusal:
    """What is answered when a store's call raises *error*."""
    if isinstance(error, (DefinitionError, NotAnAgent)):
        problem = replace(error.problem, path="content")
        return Refusal(400, str(problem), "/content", line=problem.line, column=problem.column)
    if isinstance(error, NotStoredError):
        return Refusal(404, _missing(error), nearest=list(error.nearest))
    if isinstance(error, DefinitionExistsError):
        what = f"definition {error.name!r} is there already, in version {error.version}"
        return Refusal(409, f"{what}; PUT {_path(error.name)} makes a new version", version=error.version)
    if isinstance(error, VersionConflictError):
        what = f"definition {error.name!r} is at version {error.current}, not at {error.replaces}"
        return Refusal(409, f"{what}; get {_path(error.name)}, and try again", version=error.current)
    if isinstance(error, (SourceUnavailableError, StoreFormatError, OSError)):
        return Refusal(503, str(error), headers={"retry-after": "1"})
    return Refusal(400, str(error))


def _missing(error: NotStoredError) -> str:
    if error.version is not None:
        return f"definition {error.name!r} has no version {error.version}; {_path(error.name)}/versions lists them"
    near = f"; the nearest names are {', '.join(map(repr, error.nearest))}" if error.nearest else ""
    return f"there is no definition {error.name!r:.300}{near}"


def _path(name: str) -> str:
    return f"/registry/definitions/{quote(name)}"
