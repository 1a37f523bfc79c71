"""Where the commands of definitions look: the folders of a project and a user, and the store."""

from __future__ import annotations

import argparse
import difflib
import os
from pathlib import Path

from agentreg.cli.errors import CommandError, UsageError
from agentreg.cli.workspace import definitions_file, workspace
from agentreg.extensions.definitions import Catalog, DefinitionStore, NotStoredError, Source, discover

__all__ = [
    "catalog_of",
    "folder_of",
    "is_there",
    "not_stored",
    "opened",
    "reading_store",
    "store_place",
    "writing_store",
]


def catalog_of(arguments: argparse.Namespace) -> Catalog:
    """The definitions of the project, the user and the store: the one that is named, or the default one if it exists.

    Raises:
        CommandError: the store that is named is not there.
        SourceUnavailableError: the store can't be read.
    """
    project, home = folder_of(arguments.project, "--project"), folder_of(arguments.home, "--home")
    sources: list[Source] = [*discover(project, home, arguments.scope)]
    if arguments.store is not None or definitions_file().exists():
        store = reading_store(arguments.store)
        store.load()  # a catalog would leave it out in silence
        sources.append(store)
    return Catalog(sources)


def folder_of(given: str, option: str) -> str:
    """The folder that an option names.

    Raises:
        UsageError: it is none.
    """
    folder = os.path.expanduser(given)
    if not os.path.isdir(folder):
        raise UsageError(f"{option}: {given!r} is no folder; name one that exists")
    return folder


def reading_store(given: str | None) -> DefinitionStore:
    """The store to read: it has to be there already."""
    place = store_place(given)
    if not is_there(place):
        raise CommandError(
            f"there is no store at {place!r}; agentreg definitions add FILE makes it, --store names another"
        )
    return opened(place)


def writing_store(given: str | None) -> DefinitionStore:
    """The store to write; the default one is made if need be."""
    if given is None:
        for folder in (workspace(), definitions_file().parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return opened(store_place(given))


def opened(place: str) -> DefinitionStore:
    """The store at *place*.

    Raises:
        UsageError: the URL's kind is unknown.
    """
    try:
        return DefinitionStore(place)
    except ValueError as error:
        raise UsageError(f"--store: {error}") from error


def not_stored(store: DefinitionStore, name: str, version: int | None = None) -> NotStoredError:
    """That *store* has no definition *name*, or not this version of it; with the nearest names."""
    if version is not None and store.history(name):
        return NotStoredError(name, version)
    return NotStoredError(name, None, difflib.get_close_matches(name, [each.name for each in store.query()]))


def is_there(place: str) -> bool:
    """Whether *place* is a file that exists, or no file at all."""
    scheme, separator, rest = place.partition("://")
    if separator and scheme != "sqlite":
        return True
    return place == ":memory:" or Path(rest.removeprefix("/") if separator else place).exists()


def store_place(given: str | None) -> str:
    """The path or URL of the store that is named, or else of the default one."""
    place = str(definitions_file()) if given is None else given
    return place if "://" in place else os.path.expanduser(place)
