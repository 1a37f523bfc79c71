"""Storm: many edits of every kind, after which the catalog is what a fresh scan gives.

``AGENTREG_LONG=1`` makes it a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.definitions import (
    AgentDefinition,
    Catalog,
    DefinitionChange,
    FolderSource,
    Listing,
    Source,
    SourceUnavailableError,
)
from tests.extensions.definitions.texts import definition, write

LONG = bool(os.environ.get("AGENTREG_LONG"))
FILES, EDITS = (1_000, 10_000) if LONG else (100, 500)
SOON = 2.0 if LONG else 30.0  # seconds in which the catalog has to be right; the short one runs beside other tests
OPTIONS: dict[str, Any] = {"every": 1.0} if LONG else {"debounce": 0.02, "pulse": 0.05, "every": 0.3}


class Server:
    """A remote source that can be switched off."""

    name = "registry"
    remote = True

    def __init__(self) -> None:
        self.down = False
        self._listing = Listing((AgentDefinition("served", "Helps", source="registry", file_path="registry://served"),))

    def load(self) -> Listing:
        if self.down:
            raise SourceUnavailableError(self.name, "switched off")
        return self._listing


class Storm:
    """Edits a folder in every way that people and their tools do."""

    def __init__(self, base: Path, server: Server, seed: int) -> None:
        self.root = base / "agents"
        self.aside = base / "aside"
        self.aside.mkdir()
        self._server = server
        self._random = random.Random(seed)
        self._broken: set[Path] = set()
        self._versions = 0
        self.kinds: dict[str, Callable[[Path, int], None]] = {
            "write": self._write,
            "rename": self._rename_over,
            "half": self._half_written,
            "broken": self._break,
            "remove": self._remove,
            "move": self._move,
            "nest": self._nest,
            "link": self._swap_link,
            "root": self._make_root_again,
            "server": self._switch,
        }
        self._weights = [8, 8, 4, 3, 3, 3, 3, 3, 0.05, 0.5]

    def edits(self, count: int) -> Iterator[str]:
        """Make *count* edits, each followed by its kind."""
        for _ in range(count):
            (kind,) = self._random.choices(list(self.kinds), self._weights)
            number = self._random.randrange(FILES)
            self.kinds[kind](self._path(number), number)
            yield kind

    def calm(self) -> None:
        """Mend what is broken, and switch the server on."""
        for path in sorted(self._broken):
            if path.exists():
                self._write(path, int(path.stem.split("-")[1]))
        self._server.down = False

    def _path(self, number: int) -> Path:
        return self.root / f"group-{number % 7}" / f"agent-{number}.md"

    def _text(self, number: int) -> str:
        self._versions += 1
        return definition(f"agent-{number}", f"Version {self._versions}.")

    def _write(self, path: Path, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._text(number), encoding="utf-8")

    def _rename_over(self, path: Path, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".tmp")
        beside.write_text(self._text(number), encoding="utf-8")
        os.replace(beside, path)

    def _half_written(self, path: Path, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self._text(number)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            os.fsync(file.fileno())
            file.write(text[len(text) // 2 :])

    def _break(self, path: Path, number: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self._random.choice(["---\nname: x\n", "---\nname: x\ndescription: a: b\n  tools: x\n---\n", "---\n\0"])
        path.write_text(text, encoding="utf-8")
        self._broken.add(path)

    def _remove(self, path: Path, number: int) -> None:
        path.unlink(missing_ok=True)

    def _move(self, path: Path, number: int) -> None:
        other = self.root / f"other-{number % 3}" / path.name
        other.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, other)
            self._broken |= {other} if path in self._broken else set()

    def _nest(self, path: Path, number: int) -> None:
        folder = self.root / f"fresh-{self._versions}" / "deep" / "er"
        write(folder / f"agent-{FILES + self._versions}.md", f"agent-{FILES + self._versions}")
        self._versions += 1

    def _swap_link(self, path: Path, number: int) -> None:
        target = write(self.aside / f"{self._random.randrange(3)}.md", "linked", f"Version {self._random.random()}.")
        self.root.mkdir(exist_ok=True)
        beside = self.root / "linked.tmp"
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        os.replace(beside, self.root / "linked.md")

    def _make_root_again(self, path: Path, number: int) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        for each in self._random.sample(range(FILES), FILES // 2):
            self._write(self._path(each), each)

    def _switch(self, path: Path, number: int) -> None:
        self._server.down = not self._server.down


def shown(catalog: Catalog) -> dict[str, tuple[str, str]]:
    return {each.name: (each.digest, each.file_path) for each in catalog.all()}


async def until_right(catalog: Catalog, fresh: dict[str, tuple[str, str]], changed: asyncio.Event) -> None:
    """Wait for changes until the catalog shows the same as *fresh*."""
    while shown(catalog) != fresh:
        await changed.wait()
        changed.clear()


@pytest.mark.timeout(900 if LONG else 120)
def test_after_a_storm_the_catalog_is_what_a_fresh_scan_gives_and_nobody_missed_what_was_always_valid(
    tmp_path: Path,
) -> None:
    pytest.importorskip("watchfiles")
    server = Server()
    storm = Storm(tmp_path, server, seed=20)
    user = tmp_path / "user"
    always = write(user / "always.md", "always")
    for number in range(FILES):
        storm.kinds["write"](storm._path(number), number)
    sources: list[Source] = [FolderSource(user, scope="user"), FolderSource(storm.root), server]
    catalog = Catalog(sources)
    missed: list[str] = []
    made: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.0005):
            if catalog.get("always") is None or "always" not in {each.name for each in catalog.all()}:
                missed.append("always")

    def edit() -> None:
        for kind in storm.edits(EDITS):
            made.append(kind)
            if len(made) % 10 == 0:
                beside = user / "always.tmp"
                beside.write_text(definition("always", f"Version {len(made)}."), encoding="utf-8")
                os.replace(beside, always)
        storm.calm()

    async def run() -> float:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def hear(change: DefinitionChange) -> None:
            loop.call_soon_threadsafe(changed.set)

        catalog.subscribe(hear)
        watching = asyncio.create_task(catalog.watch(**OPTIONS))
        try:
            await asyncio.to_thread(edit)
            fresh = shown(Catalog([FolderSource(user, scope="user"), FolderSource(storm.root), Server()]))
            started = time.monotonic()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(until_right(catalog, fresh, changed), SOON)
            assert shown(catalog) == fresh
            return time.monotonic() - started
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        asyncio.run(run())
    finally:
        over.set()
        for reader in readers:
            reader.join(60)

    assert missed == []
    assert len(made) == EDITS
    assert LONG or set(made) >= set(storm.kinds) - {"root", "server"}
    assert [problem for problem in catalog.problems() if problem.severity == "error"] == []
