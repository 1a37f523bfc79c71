"""What ``agentreg definitions watch`` does."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import Any

from agentreg.cli.definitions.places import catalog_of
from agentreg.cli.errors import DONE
from agentreg.cli.printing import note, one_line, say, say_document
from agentreg.demo.printable import counted
from agentreg.extensions.definitions import (
    Catalog,
    DefinitionChange,
    DefinitionDeregistered,
    DefinitionMoved,
    DefinitionRegistered,
    DefinitionUpdated,
    Problem,
    ReloadRefused,
)

__all__ = ["told", "watch"]

PATIENCE = 1.0  # seconds between two looks at the problems, which no event tells of

_WORDS = {
    DefinitionRegistered: "registered",
    DefinitionUpdated: "updated",
    DefinitionMoved: "moved",
    DefinitionDeregistered: "deregistered",
    ReloadRefused: "refused",
}


def watch(arguments: argparse.Namespace) -> int:
    """Print each change until interrupted."""
    catalog = catalog_of(arguments)
    asyncio.run(_Watch(catalog, arguments.json).run())
    return DONE


def told(change: DefinitionChange) -> str:
    """A change in words."""
    if isinstance(change, ReloadRefused):
        return f"refused {change.name}: the last good one stays; {change.problem}"
    if isinstance(change, DefinitionDeregistered):
        return f"deregistered {change.name}: it was {change.previous.file_path}"
    place = change.definition.file_path
    if isinstance(change, DefinitionMoved):
        return f"moved {change.name} from {change.previous.file_path} to {place}"
    return f"{_WORDS[type(change)]} {change.name}: {place}"


class _Watch:
    """One watch over a catalog, from its first line to the interruption."""

    def __init__(self, catalog: Catalog, as_json: bool) -> None:
        self.catalog = catalog
        self.as_json = as_json
        self.changes: asyncio.Queue[DefinitionChange] = asyncio.Queue()
        self.known: set[Problem] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()

        def listener(change: DefinitionChange) -> None:
            # printed by a task, not by the catalog's threads: so that all ends when nobody reads any more
            loop.call_soon_threadsafe(self.changes.put_nowait, change)

        with await asyncio.to_thread(self.catalog.subscribe, listener) as subscription:
            self.known = set(self._errors())
            folders = sum(map(os.path.isdir, self.catalog.roots()))
            note(f"watching {counted(folders, 'folder')} with {counted(len(subscription.listing), 'definition')}")
            watching = asyncio.create_task(self.catalog.watch())
            printing = asyncio.create_task(self._print())
            try:
                await asyncio.wait({watching, printing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(watching, printing)

    async def _print(self) -> None:
        while True:
            try:
                change = await asyncio.wait_for(self.changes.get(), PATIENCE)
            except asyncio.TimeoutError:
                self._print_new_problems()
                continue
            if isinstance(change, ReloadRefused):
                self.known.add(change.problem)
            self._say(_WORDS[type(change)], told(change), _plain(change))

    def _print_new_problems(self) -> None:
        errors = self._errors()
        for problem in errors:
            if problem not in self.known:
                self._say("problem", f"refused {problem}", {"problem": problem.to_dict()})
        self.known = set(errors)

    def _errors(self) -> list[Problem]:
        return [problem for problem in self.catalog.problems() if problem.severity == "error"]

    def _say(self, word: str, text: str, plain: dict[str, Any]) -> None:
        if self.as_json:
            say_document({"type": word, **plain}, indent=None)
        else:
            say(f"{time.strftime('%H:%M:%S')}  {one_line(text)}")


def _plain(change: DefinitionChange) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": change.name, "revision": change.revision}
    if isinstance(change, ReloadRefused):
        return {**plain, "problem": change.problem.to_dict()}
    if isinstance(change, DefinitionDeregistered):
        return {**plain, "path": change.previous.file_path}
    return {**plain, "path": change.definition.file_path, "definition": change.definition.to_dict()}


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel what still runs, and raise what one of *tasks* failed with."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
