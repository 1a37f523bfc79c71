"""What ``agentreg definitions add``, ``update``, ``remove``, ``migrate``, ``history``, ``diff`` and ``rollback`` do."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise

from agentreg.cli.definitions.places import folder_of, not_stored, reading_store, writing_store
from agentreg.cli.errors import DONE, REFUSED, CommandError, UsageError
from agentreg.cli.printing import difference, one_line, say, say_difference, say_document, say_table
from agentreg.demo.printable import counted
from agentreg.extensions.definitions import (
    FAMILIES,
    AgentDefinition,
    DefinitionError,
    DefinitionExistsError,
    DefinitionStore,
    StoredDefinition,
    migrate,
    parse,
)
from agentreg.extensions.definitions.families import family_of
from agentreg.extensions.definitions.sources.folders import read_file

__all__ = ["add", "diff", "history", "migrate_all", "remove", "rollback", "update"]


class File:
    """A file that holds a definition, read and parsed.

    Attributes:
        definition: What it says.
        content: What a store is to keep: the file's bytes where they say everything, else the definition.
        columns: What the file's name says beside it.

    Raises:
        DefinitionError, NotAnAgent: it holds none.
        OSError: it can't be read.
    """

    def __init__(self, path: str) -> None:
        data = read_file(path)
        if not isinstance(data, bytes):
            raise DefinitionError(data)
        family = FAMILIES[family_of(path)]
        self.definition = parse(data, path=path, family=family.name)
        whole = family.form == "markdown" and not family.named_by_file
        self.content: bytes | AgentDefinition = data if whole else self.definition
        self.columns = {"name": self.definition.name}


# -- changing ---------------------------------------------------------------


def add(arguments: argparse.Namespace) -> int:
    """Store new definitions; if one can't be, none is."""
    files = _distinct(map(_read, arguments.files))
    with writing_store(arguments.store) as store:
        _refuse_known(files, store)
        added = [
            store.create(file.content, arguments.status or "active", arguments.tag or (), columns=file.columns)
            for file in files
        ]
    _print_stored(added, "added", arguments.json)
    return DONE


def update(arguments: argparse.Namespace) -> int:
    """Store a new version, unless the store has just this content already."""
    file = _read(arguments.file)
    name = file.definition.name
    with writing_store(arguments.store) as store:
        latest = store.get(name)
        if latest is None:
            raise not_stored(store, name)
        if arguments.replaces in (None, latest.version) and _says_the_same(file, latest, arguments):
            _print_stored([latest], "unchanged", arguments.json)
            return DONE
        updated = store.update(
            name,
            file.content,
            arguments.replaces or latest.version,
            status=arguments.status,
            tags=arguments.tag,
            columns=file.columns,
        )
    _print_stored([updated], "updated", arguments.json)
    return DONE


def remove(arguments: argparse.Namespace) -> int:
    """Take a definition away, with its history if that is wanted."""
    name = arguments.name
    with reading_store(arguments.store) as store:
        if arguments.purge:
            store.purge(name)
        else:
            store.remove(name)
    if arguments.json:
        say_document({"name": name, "outcome": "purged" if arguments.purge else "removed"})
    elif arguments.purge:
        say(f"purged {one_line(name)} with every version")
    else:
        say(f"removed {one_line(name)}; its history stays, and agentreg definitions rollback brings it back")
    return DONE


def migrate_all(arguments: argparse.Namespace) -> int:
    """Copy the files of a folder into the store, and report each; 1 if one was refused."""
    folder = folder_of(arguments.folder, "FOLDER")
    family = arguments.family or family_of(os.path.join(os.path.abspath(folder), "agent.md"))
    if family not in FAMILIES:
        raise UsageError(f"--family: there is none named {family!r}; the families are {', '.join(FAMILIES)}")
    with writing_store(arguments.store) as store:
        report = migrate(folder, store, family=family)
    if arguments.json:
        say_document({"files": [asdict(each) for each in report.files]})
    else:
        for each in report.files:
            say(one_line(str(each)))
        outcomes = ("created", "updated", "unchanged", "refused")
        say(", ".join(f"{len(getattr(report, outcome))} {outcome}" for outcome in outcomes))
    return REFUSED if report.refused else DONE


def rollback(arguments: argparse.Namespace) -> int:
    """Bring a version back, as a new one."""
    with reading_store(arguments.store) as store:
        stored = store.rollback(arguments.name, arguments.version)
    _print_stored([stored], f"version {arguments.version} is back:", arguments.json)
    return DONE


def _read(path: str) -> File:
    try:
        return File(path)
    except OSError as error:
        raise CommandError(one_line(f"can't read {path!r} ({error.strerror}); name a file that can be read")) from error


def _distinct(files: Iterable[File]) -> list[File]:
    by_name: dict[str, File] = {}
    for file in files:
        first = by_name.setdefault(file.definition.name, file)
        if first is not file:
            both = f"{first.definition.file_path} and {file.definition.file_path}"
            what = f"{both} both define {file.definition.name!r}; leave one out: nothing was added"
            raise CommandError(one_line(what))
    return list(by_name.values())


def _refuse_known(files: Iterable[File], store: DefinitionStore) -> None:
    for file in files:
        known = store.get(file.definition.name)
        if known is not None:
            raise DefinitionExistsError(known.name, known.version)


def _says_the_same(file: File, latest: StoredDefinition, arguments: argparse.Namespace) -> bool:
    same = isinstance(file.content, bytes) and file.definition.digest == latest.digest
    return same and arguments.status in (None, latest.status) and arguments.tag is None


def _print_stored(stored: list[StoredDefinition], outcome: str, as_json: bool) -> None:
    if as_json:
        say_document({"definitions": [_told(each) for each in stored], "outcome": outcome.rstrip(":")})
        return
    for each in stored:
        say(f"{outcome} {one_line(each.name)}, version {each.version}")


# -- versions ---------------------------------------------------------------


def history(arguments: argparse.Namespace) -> int:
    """Every version, the oldest first, and perhaps what each has changed."""
    versions = _versions(arguments)
    if arguments.json:
        say_document({"name": arguments.name, "versions": _with_differences(versions, arguments.diff)})
        return DONE
    say_table(("version", "change", "created at", "digest"), map(_row, versions))
    for old, new in pairwise(versions) if arguments.diff else ():
        say()
        _print_difference(old, new)
    return DONE


def diff(arguments: argparse.Namespace) -> int:
    """What differs between two versions."""
    versions = {each.version: each for each in _versions(arguments)}
    new = arguments.new or max(versions)
    old = arguments.old or max((number for number in versions if number < new), default=new)
    for number in (old, new):
        if number not in versions:
            raise CommandError(f"definition {arguments.name!r} has no version {number}; it has {_span(versions)}")
    if arguments.json:
        lines = _difference(versions[old], versions[new])
        say_document({"name": arguments.name, "from": old, "to": new, "diff": lines})
    else:
        _print_difference(versions[old], versions[new])
    return DONE


def _versions(arguments: argparse.Namespace) -> list[StoredDefinition]:
    with reading_store(arguments.store) as store:
        versions = store.history(arguments.name)
        if not versions:
            raise not_stored(store, arguments.name)
    return versions


def _row(stored: StoredDefinition) -> tuple[str, ...]:
    change = f"{stored.change} to {stored.restores}" if stored.restores else stored.change
    return str(stored.version), change, f"{stored.created_at:%Y-%m-%d %H:%M:%S} UTC", stored.digest[:12]


def _with_differences(versions: list[StoredDefinition], wanted: bool) -> list[dict[str, object]]:
    told = [_told(each) for each in versions]
    for number, (old, new) in enumerate(pairwise(versions) if wanted else (), 1):
        told[number]["diff"] = _difference(old, new)
    return told


def _told(stored: StoredDefinition) -> dict[str, object]:
    return {
        "name": stored.name,
        "version": stored.version,
        "change": stored.change,
        "restores": stored.restores,
        "created_at": stored.document()["created_at"],
        "digest": stored.digest,
        "status": stored.status,
        "tags": list(stored.tags),
    }


def _print_difference(old: StoredDefinition, new: StoredDefinition) -> None:
    lines = _difference(old, new)
    if lines:
        say_difference(lines)
    else:
        say(f"versions {old.version} and {new.version} of {one_line(new.name)} are the same")


def _difference(old: StoredDefinition, new: StoredDefinition) -> list[str]:
    names = (f"{one_line(each.name)} version {each.version}" for each in (old, new))
    return difference(old.content, new.content, *names)


def _span(versions: Iterable[int]) -> str:
    numbers = sorted(versions)
    return f"{counted(len(numbers), 'version')}, {numbers[0]} to {numbers[-1]}"
