"""Watcher: what it refreshes, and when; then the real thing on real files."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentreg.extensions.definitions import Catalog, DefinitionChange, FolderSource
from agentreg.extensions.definitions.catalog.watching import Watcher
from tests.extensions.definitions.texts import write
from tests.watchdog import run_python

DEBOUNCE, EVERY, PULSE = 0.5, 10.0, 1.0
PATIENCE = 60.0  # seconds after which a test has failed


class Time:
    """Sleeps end when the test says so."""

    def __init__(self) -> None:
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._came = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((seconds, done))
        self._came.set()
        await done

    async def over(self, seconds: float, sleepers: int = 1) -> None:
        """Wait until so many sleep this long, then wake everybody who does."""
        while self.sleeping(seconds) < sleepers:
            self._came.clear()
            await asyncio.wait_for(self._came.wait(), PATIENCE)
        woken = [done for length, done in self._sleepers if length == seconds]
        self._sleepers = [each for each in self._sleepers if each[0] != seconds]
        for done in woken:
            if not done.done():
                done.set_result(None)

    def sleeping(self, seconds: float) -> int:
        return sum(length == seconds and not done.done() for length, done in self._sleepers)


class Hints:
    """Streams of events that the test feeds."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[list[str]] = asyncio.Queue()
        self._events: asyncio.Queue[Collection[str] | Exception] = asyncio.Queue()

    async def __call__(self, roots: Sequence[str]) -> AsyncGenerator[Collection[str], None]:
        self.started.put_nowait(list(roots))
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    def put(self, event: Collection[str] | Exception) -> None:
        self._events.put_nowait(event)


class Recorder:
    """A catalog that keeps what it was asked to refresh."""

    def __init__(self, **roots: Path) -> None:
        self._roots = {str(root): name for name, root in roots.items()}
        self._loop = asyncio.get_running_loop()
        self.refreshed: asyncio.Queue[Collection[str] | None] = asyncio.Queue()
        self.error: Exception | None = None

    def refresh(self, sources: Collection[str] | None = None) -> None:
        self._loop.call_soon_threadsafe(self.refreshed.put_nowait, sources)
        if self.error is not None:
            raise self.error

    def roots(self) -> dict[str, str]:
        return self._roots

    def sources(self) -> Sequence[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self._roots.values()]

    async def next(self) -> Collection[str] | None:
        return await asyncio.wait_for(self.refreshed.get(), PATIENCE)


Play = Callable[[Recorder, Time, Hints], Awaitable[None]]


def watched(play: Play, **roots: Path) -> None:
    """Let *play* happen beside a watcher; what is read at its start has been by then."""

    async def run() -> None:
        recorder, time, hints = Recorder(**roots), Time(), Hints()
        watcher = Watcher(recorder, debounce=DEBOUNCE, every=EVERY, pulse=PULSE, hints=hints, sleep=time.sleep)
        task = asyncio.create_task(watcher.run())
        try:
            assert await recorder.next() is None
            await play(recorder, time, hints)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


async def started(recorder: Recorder, time: Time, hints: Hints) -> list[str]:
    """The roots that are watched; their first reading has been waited for."""
    roots = await asyncio.wait_for(hints.started.get(), PATIENCE)
    await time.over(DEBOUNCE)
    for _ in roots:
        await recorder.next()
    return roots


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("one", "two")}
    for root in found.values():
        root.mkdir()
    return found


def test_the_roots_are_watched_and_read_once_more_behind_it(roots: dict[str, Path]) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        assert await asyncio.wait_for(hints.started.get(), PATIENCE) == sorted(map(str, roots.values()))
        await time.over(DEBOUNCE)
        assert [await recorder.next(), await recorder.next()] == [["one"], ["two"]]

    watched(play, **roots)


def test_any_event_has_its_source_read_again(roots: dict[str, Path]) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)

        hints.put([str(roots["two"] / "deep" / "x.md")])
        await time.over(DEBOUNCE)

        assert await recorder.next() == ["two"]

    watched(play, **roots)


def test_many_events_are_answered_at_once(roots: dict[str, Path]) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)

        for number in range(100):
            hints.put([str(roots["one"] / f"{number}.md"), str(roots["one"])])
        while not hints._events.empty():
            await asyncio.sleep(0)
        await time.over(DEBOUNCE)

        assert await recorder.next() == ["one"]
        await time.over(EVERY, sleepers=2)
        assert {str(await recorder.next()) for _ in roots} == {"['one']", "['two']"}

    watched(play, **roots)


def test_an_event_elsewhere_is_nobodys(roots: dict[str, Path]) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)

        hints.put([f"{roots['one']}-beside/x.md"])
        hints.put([str(roots["two"])])
        await time.over(DEBOUNCE)

        assert await recorder.next() == ["two"]
        assert recorder.refreshed.empty()

    watched(play, **roots)


def test_everything_is_read_again_every_so_often(roots: dict[str, Path]) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)

        for _ in range(2):
            await time.over(EVERY, sleepers=2)
            assert {str(await recorder.next()) for _ in roots} == {"['one']", "['two']"}

    watched(play, **roots)


def test_a_root_that_is_made_later_is_watched_from_then_on(roots: dict[str, Path]) -> None:
    roots["two"].rmdir()

    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        assert await started(recorder, time, hints) == [str(roots["one"])]

        roots["two"].mkdir()
        await time.over(PULSE)

        assert await asyncio.wait_for(hints.started.get(), PATIENCE) == sorted(map(str, roots.values()))
        await time.over(DEBOUNCE)
        assert await recorder.next() == ["two"]

    watched(play, **roots)


def test_a_root_that_is_removed_and_made_again_is_watched_anew(roots: dict[str, Path], tmp_path: Path) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)

        roots["one"].rename(tmp_path / "old")  # so that the new one gets another inode
        roots["one"].mkdir()
        await time.over(PULSE)

        await asyncio.wait_for(hints.started.get(), PATIENCE)
        await time.over(DEBOUNCE)
        assert await recorder.next() == ["one"]

    watched(play, **roots)


def test_where_nothing_can_be_watched_everything_is_still_read(
    roots: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)

        hints.put(OSError("the limit of watched folders is reached"))
        await time.over(PULSE)
        await time.over(EVERY, sleepers=2)

        assert {str(await recorder.next()) for _ in roots} == {"['one']", "['two']"}

    watched(play, **roots)
    assert caplog.text.count("folders can't be watched (the limit of watched folders is reached)") == 1


def test_a_refresh_that_fails_is_tried_again(roots: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    async def play(recorder: Recorder, time: Time, hints: Hints) -> None:
        await started(recorder, time, hints)
        recorder.error = RuntimeError("no")

        for _ in range(2):
            await time.over(EVERY, sleepers=2)
            assert {str(await recorder.next()) for _ in roots} == {"['one']", "['two']"}

    watched(play, **roots)
    assert "a refresh failed" in caplog.text


def test_without_watchfiles_the_extra_is_named() -> None:
    code = """
import asyncio, sys
sys.modules["watchfiles"] = None
from agentreg.extensions.definitions import Catalog
try:
    asyncio.run(Catalog([]).watch())
except ModuleNotFoundError as error:
    print(error)
"""
    outcome = run_python(code)

    assert 'pip install "agentreg[definitions]"' in outcome.stdout, outcome.stderr


# -- real files -------------------------------------------------------------


class Live:
    """A catalog that is watched, and what it tells."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._loop = asyncio.get_running_loop()
        self._changes: asyncio.Queue[DefinitionChange] = asyncio.Queue()
        catalog.subscribe(self._hear)

    def _hear(self, change: DefinitionChange) -> None:
        self._loop.call_soon_threadsafe(self._changes.put_nowait, change)

    async def next(self) -> tuple[str, str]:
        change = await asyncio.wait_for(self._changes.get(), PATIENCE)
        return type(change).__name__.removeprefix("Definition"), change.name


def live(root: Path, play: Callable[[Live], Awaitable[None]]) -> None:
    async def run() -> None:
        pytest.importorskip("watchfiles")
        catalog = Catalog([FolderSource(root)])
        following = Live(catalog)
        # the sweep is as good as never: what is heard came by an event
        task = asyncio.create_task(catalog.watch(debounce=0.05, pulse=0.05, every=PATIENCE))
        try:
            await play(following)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_files_that_come_change_move_and_go_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "agents"

    async def play(following: Live) -> None:
        write(root / "a.md", "a")  # the root did not exist before
        assert await following.next() == ("Registered", "a")
        write(root / "a.md", "a", "Better.")
        assert await following.next() == ("Updated", "a")
        write(root / "fresh" / "nested" / "b.md", "b")
        assert await following.next() == ("Registered", "b")
        write(root / "fresh" / "nested" / "b.md", "b", "Better.")
        assert await following.next() == ("Updated", "b")
        os.rename(root / "a.md", root / "fresh" / "c.md")
        assert await following.next() == ("Moved", "a")
        shutil.rmtree(root / "fresh")
        assert {await following.next(), await following.next()} == {("Deregistered", "a"), ("Deregistered", "b")}

    live(root, play)


def test_a_root_that_is_made_again_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "agents"
    write(root / "a.md", "a")

    async def play(following: Live) -> None:
        root.rename(tmp_path / "old")
        write(root / "b.md", "b")
        assert {await following.next(), await following.next()} >= {("Registered", "b")}
        write(root / "b.md", "b", "Better.")
        changes = [await following.next()]
        while changes[-1] != ("Updated", "b"):
            changes.append(await following.next())
        assert [each.name for each in following.catalog.all()] == ["b"]

    live(root, play)


def test_an_agent_hears_of_its_definition_while_watching(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "a")

    async def play(following: Live) -> None:
        agent = following.catalog.spawn("a")
        write(tmp_path / "a.md", "a", "Better.")
        assert await following.next() == ("Updated", "a")
        assert agent.instruction == "Better."

    live(tmp_path, play)
