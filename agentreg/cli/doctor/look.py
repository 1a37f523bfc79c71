"""A look at all places of definitions, for the doctor."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from agentreg.cli.definitions.places import folder_of, is_there, opened, store_place
from agentreg.cli.doctor.findings import Finding
from agentreg.extensions.definitions import Catalog, FolderSource, Source
from agentreg.extensions.definitions.families import Place, places

__all__ = ["Look"]

ENTRIES = 20_000  # files that are looked at before giving up
_TEXTS = (".md", ".markdown", ".mdx", ".toml", ".txt", ".yaml", ".yml", ".json")


class Look:
    """The places that the options name, and what is in them now.

    Attributes:
        project: The project's folder.
        places: The folders that count, in rising precedence.
        store: The store, if there is one.
        catalog: What these give.
        findings: What is wrong with the places themselves.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.scope = arguments.scope
        self.project = folder_of(arguments.project, "--project")
        home = folder_of(arguments.home, "--home")
        self._all = list(places(self.project, home))
        self.places = [place for place in self._all if self.scope in ("both", place.scope)]
        self.findings: list[Finding] = []
        place = store_place(arguments.store)
        self.store = opened(place) if is_there(place) else None
        if self.store is None:
            self._miss(place, named=arguments.store is not None)
        self.catalog = self._catalog(self.places)

    def _miss(self, place: str, named: bool) -> None:
        what = f"there is no store at {place}"
        self.findings.append(
            Finding("error", what, "name another with --store, or make it: agentreg definitions add FILE")
            if named
            else Finding("note", what, "none is needed; agentreg definitions add FILE makes it")
        )

    def _catalog(self, wanted: list[Place]) -> Catalog:
        sources: list[Source] = [
            FolderSource(each.folder, family=each.family.name, scope=each.scope) for each in wanted
        ]
        return Catalog([*sources, self.store] if self.store is not None else sources)

    def in_other_scopes(self) -> Catalog:
        """What there would be if every scope counted."""
        return self._catalog(self._all)

    def above(self) -> Iterator[tuple[Path, Path]]:
        """Folders above the project that look like one: each with the folder of definitions in it."""
        known = {place.folder for place in self._all}
        kept = dict.fromkeys(place.family.project for place in self._all if place.scope == "project")
        for folder in Path(self.project).resolve().parents:
            for within in kept:
                if (folder / within).is_dir() and str(folder / within) not in known:
                    yield folder, folder / within

    def not_looked_at(self) -> Iterator[tuple[str, str, str]]:
        """Files in the places that don't count, each with the reason and what to do."""
        left = ENTRIES
        for place in self.places:
            for folder, folders, names in os.walk(place.folder):
                folders.sort()
                left -= len(names)
                if left < 0:
                    return
                for name in sorted(names):
                    reason = _reason(place, os.path.relpath(folder, place.folder), name)
                    if reason is not None:
                        yield os.path.join(folder, name), *reason


def _reason(place: Place, below: str, name: str) -> tuple[str, str] | None:
    """Why a file of *place* does not count, and what to do; None if it does, or nobody would think so."""
    family = place.family
    if not name.endswith(_TEXTS):
        return None
    if name.startswith(family.ignored):
        return f"its name begins with {name[0]!r}", "rename it"
    if any(part.startswith(".") for part in below.split(os.sep) if part != "."):
        return "its folder's name begins with a dot", "move it"
    if not name.endswith(family.suffix):
        return f"the names of {family.name}'s files end in {family.suffix}", f"rename it to end in {family.suffix}"
    if below != "." and not family.recursive:
        return f"{family.name} does not look into folders below", f"move it up into {place.folder}"
    return None
