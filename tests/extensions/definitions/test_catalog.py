"""Catalog: many sources, one definition of each name, and change without a gap."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentreg import RegistryError
from agentreg.extensions.definitions import (
    AgentDefinition,
    Catalog,
    Checks,
    DefinitionChange,
    DefinitionDeregistered,
    DefinitionMoved,
    DefinitionNotFoundError,
    DefinitionRegistered,
    DefinitionUpdated,
    FolderSource,
    Listing,
    Problem,
    Reload,
    ReloadRefused,
    SourceUnavailableError,
)
from tests.extensions.definitions.texts import definition, write


class Shelf:
    """A source whose definitions the test puts there."""

    def __init__(self, name: str, *names: str, remote: bool = False) -> None:
        self.name = name
        self.remote = remote
        self.error: Exception | None = None
        self.loads = 0
        self.holds(*(AgentDefinition(each, "Helps", source=name, file_path=f"{name}://{each}") for each in names))

    def holds(self, *definitions: AgentDefinition, problems: tuple[Problem, ...] = ()) -> None:
        self.listing = Listing(definitions, problems)

    def load(self) -> Listing:
        self.loads += 1
        if self.error is not None:
            raise self.error
        return self.listing


def names(catalog: Catalog) -> list[str]:
    return [each.name for each in catalog.all()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "agents"


@pytest.fixture
def catalog(root: Path) -> Catalog:
    return Catalog([FolderSource(root, name="folder")])


@pytest.fixture
def heard(catalog: Catalog) -> list[DefinitionChange]:
    changes: list[DefinitionChange] = []
    catalog.subscribe(changes.append)
    return changes


# -- questions --------------------------------------------------------------


def test_nothing_is_read_until_something_is_asked() -> None:
    shelf = Shelf("a", "x")
    catalog = Catalog([shelf])
    assert shelf.loads == 0

    catalog.get("x")
    catalog.all()
    catalog.problems()

    assert shelf.loads == 1


def test_definitions_are_found_by_name_and_listed_by_name() -> None:
    catalog = Catalog([Shelf("one", "b", "a"), Shelf("two", "c")])

    assert names(catalog) == ["a", "b", "c"]
    assert catalog.require("c").source == "two"
    assert catalog.get("d") is None


def test_who_is_not_there_is_missed_with_the_nearest_names() -> None:
    with pytest.raises(DefinitionNotFoundError, match="no definition is named 'scuot'; the nearest names are 'scout'"):
        Catalog([Shelf("one", "scout")]).require("scuot")
    with pytest.raises(RegistryError, match="nor anything like it"):
        Catalog([]).require("scout")


def test_the_later_source_counts_and_the_loser_is_told() -> None:
    catalog = Catalog([Shelf("user", "x", "y"), Shelf("project", "x"), Shelf("registry", "x")])

    assert catalog.require("x").source == "registry"
    assert [(each.loser.source, each.winner.source) for each in catalog.shadowed()] == [
        ("user", "registry"),
        ("project", "registry"),
    ]
    assert catalog.shadowed()[1].reason == "the source 'registry' has precedence over 'project'"


def test_of_two_files_with_one_name_the_first_by_path_counts(root: Path, catalog: Catalog) -> None:
    write(root / "b.md", "x", "second")
    write(root / "a.md", "x", "first")

    assert catalog.require("x").body == "first"
    (problem,) = catalog.problems()
    assert str(problem) == (
        f"{root / 'b.md'}:1:1: the name 'x' is that of {root / 'a.md'} too, which counts; give one of them another name"
    )
    assert "first by path" in catalog.shadowed()[0].reason


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two sources are named 'one'"):
        Catalog([Shelf("one"), Shelf("one")])


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({"tags": "web"}, ["api", "ui"]),
        ({"tags": ["web", "css"]}, ["ui"]),
        ({"text": "PAYS"}, ["api"]),
        ({"text": "css"}, ["ui"]),
        ({"tool": "Bash"}, ["api", "free"]),
        ({"tool": "Read"}, ["free", "ui"]),
        ({"model": "opus"}, ["api"]),
        ({"tags": "web", "model": "haiku"}, []),
        ({}, ["api", "free", "ui"]),
    ],
)
def test_definitions_are_found_by_what_is_asked(question: dict[str, object], found: list[str]) -> None:
    shelf = Shelf("one")
    shelf.holds(
        AgentDefinition("api", "Pays bills", tools=("Bash(curl *)",), tags=("web",), model="opus", file_path="1"),
        AgentDefinition("ui", "Draws", tools=("Read",), tags=("web", "css"), file_path="2"),
        AgentDefinition("free", "Does all", disallowed_tools=("Write",), file_path="3"),
    )

    assert [each.name for each in Catalog([shelf]).find(**question)] == found  # type: ignore[arg-type]


def test_problems_hold_errors_and_warnings_by_path(root: Path, catalog: Catalog) -> None:
    write(root / "b.md", "b", description="a: b")
    write(root / "a.md", "a/b")
    (root / "c.md").write_text("---\nname: c\n", encoding="utf-8")

    assert [(os.path.basename(each.path), each.severity) for each in catalog.problems()] == [
        ("a.md", "warning"),
        ("b.md", "warning"),
        ("c.md", "error"),
    ]


# -- change -----------------------------------------------------------------


def test_what_happens_to_files_is_told(root: Path, catalog: Catalog, heard: list[DefinitionChange]) -> None:
    write(root / "a.md", "a")
    catalog.refresh()
    write(root / "a.md", "a", "Better.")
    catalog.refresh()
    os.rename(root / "a.md", root / "b.md")
    catalog.refresh()
    os.remove(root / "b.md")
    catalog.refresh()

    assert [type(change) for change in heard] == [
        DefinitionRegistered,
        DefinitionUpdated,
        DefinitionMoved,
        DefinitionDeregistered,
    ]
    assert [change.revision for change in heard] == [1, 2, 3, 4]
    moved = heard[2]
    assert isinstance(moved, DefinitionMoved)
    assert (moved.previous.file_path, moved.definition.file_path) == (str(root / "a.md"), str(root / "b.md"))


def test_nothing_is_told_when_nothing_has_changed(root: Path, catalog: Catalog, heard: list[DefinitionChange]) -> None:
    path = write(root / "a.md", "a")
    catalog.refresh()
    before = catalog.get("a")
    heard.clear()

    os.utime(path, (1, 1))
    catalog.refresh()

    assert heard == []
    assert catalog.get("a") is before


def test_a_renamed_agent_leaves_under_the_old_name_and_comes_under_the_new(
    root: Path, catalog: Catalog, heard: list[DefinitionChange]
) -> None:
    write(root / "a.md", "a")
    catalog.refresh()

    write(root / "a.md", "b")
    catalog.refresh()

    assert [(type(each), each.name) for each in heard[1:]] == [
        (DefinitionDeregistered, "a"),
        (DefinitionRegistered, "b"),
    ]


def test_who_was_shadowed_comes_back_when_the_winner_goes() -> None:
    user, project = Shelf("user", "x"), Shelf("project", "x")
    catalog = Catalog([user, project])
    heard: list[DefinitionChange] = []
    catalog.subscribe(heard.append)

    project.holds()
    catalog.refresh()

    assert catalog.require("x").source == "user"
    assert [type(change) for change in heard] == [DefinitionUpdated]


def test_a_broken_edit_leaves_the_last_good_one(root: Path, catalog: Catalog, heard: list[DefinitionChange]) -> None:
    path = write(root / "a.md", "a")
    catalog.refresh()
    good = catalog.get("a")

    path.write_text("---\nname: a\n", encoding="utf-8")
    catalog.refresh()

    assert catalog.get("a") is good
    refusal = heard[-1]
    assert isinstance(refusal, ReloadRefused)
    assert refusal.problem in catalog.problems()
    assert "not closed" in refusal.problem.message


def test_a_broken_file_that_is_mended_or_removed_is_no_problem_any_more(
    root: Path, catalog: Catalog, heard: list[DefinitionChange]
) -> None:
    path = write(root / "a.md", "a")
    catalog.refresh()
    path.write_bytes(b"\xff")
    catalog.refresh()

    write(path, "a", "Mended.")
    catalog.refresh()
    assert catalog.require("a").body == "Mended."
    assert catalog.problems() == []

    path.write_bytes(b"\xff")
    catalog.refresh()
    path.unlink()
    catalog.refresh()
    assert catalog.get("a") is None
    assert catalog.problems() == []


def test_a_file_that_becomes_a_read_me_is_an_agent_no_longer(root: Path, catalog: Catalog) -> None:
    path = write(root / "a.md", "a")
    catalog.refresh()

    path.write_text("# Read me", encoding="utf-8")
    catalog.refresh()

    assert catalog.get("a") is None


def test_files_that_swap_their_names_are_moved(root: Path, catalog: Catalog, heard: list[DefinitionChange]) -> None:
    one, two = write(root / "a.md", "a"), write(root / "b.md", "b")
    catalog.refresh()
    heard.clear()

    os.rename(one, root / "c")
    os.rename(two, one)
    os.rename(root / "c", two)
    catalog.refresh()

    assert [(type(each), each.name) for each in heard] == [(DefinitionMoved, "a"), (DefinitionMoved, "b")]


def test_only_the_named_sources_are_read_again() -> None:
    one, two = Shelf("one"), Shelf("two")
    catalog = Catalog([one, two])
    catalog.all()

    catalog.refresh(["two"])

    assert (one.loads, two.loads) == (1, 2)


# -- listeners --------------------------------------------------------------


def test_a_subscription_starts_with_what_is_there(root: Path, catalog: Catalog) -> None:
    write(root / "a.md", "a")

    subscription = catalog.subscribe(lambda change: None)

    assert list(subscription.listing) == ["a"]
    assert subscription.revision == catalog.revision


def test_a_closed_subscription_hears_nothing(root: Path, catalog: Catalog) -> None:
    changes: list[DefinitionChange] = []
    with catalog.subscribe(changes.append):
        pass

    write(root / "a.md", "a")
    catalog.refresh()

    assert changes == []


def test_a_listener_that_fails_spoils_nothing_else(
    root: Path, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(change: DefinitionChange) -> None:
        raise RuntimeError("no")

    changes: list[DefinitionChange] = []
    catalog.subscribe(fail)
    catalog.subscribe(changes.append)

    write(root / "a.md", "a")
    catalog.refresh()

    assert len(changes) == 1
    assert "a listener of a catalog failed at DefinitionRegistered" in caplog.text


def test_a_listener_may_use_the_catalog_and_hears_the_rest_in_order(root: Path, catalog: Catalog) -> None:
    changes: list[str] = []

    def listen(change: DefinitionChange) -> None:
        changes.append(change.name)
        if change.name == "a":
            assert catalog.get("a") is not None
            write(root / "c.md", "c")
            catalog.refresh()

    catalog.subscribe(listen)
    write(root / "a.md", "a")
    write(root / "b.md", "b")
    catalog.refresh()

    assert changes == ["a", "b", "c"]


# -- sources that fail ------------------------------------------------------


def test_a_server_that_is_down_takes_its_definitions_with_it_until_it_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [100.0]
    folder, server = Shelf("folder", "x"), Shelf("registry", "x", "y", remote=True)
    catalog = Catalog([folder, server], clock=lambda: now[0])
    assert catalog.require("x").source == "registry"

    server.error, now[0] = SourceUnavailableError("registry", "the token has expired"), 200.0
    for _ in range(3):
        catalog.refresh()
        now[0] += 10

    assert names(catalog) == ["x"]
    assert catalog.require("x").source == "folder"
    status = catalog.sources()[1]
    assert (status.reachable, status.since, status.count, status.cause) == (False, 200.0, 0, "the token has expired")
    assert caplog.text.count("can't be read") == 1

    server.error = None
    caplog.set_level(logging.INFO, logger="agentreg")
    catalog.refresh()
    assert catalog.require("x").source == "registry"
    assert (catalog.sources()[1].reachable, catalog.sources()[1].since) == (True, now[0])
    assert "can be read again" in caplog.text


def test_a_server_that_is_down_from_the_start_is_left_out_silently() -> None:
    server = Shelf("registry", "x", remote=True)
    server.error = SourceUnavailableError("registry", "no route")

    catalog = Catalog([Shelf("folder", "y"), server])

    assert names(catalog) == ["y"]
    assert not catalog.sources()[1].reachable


def test_a_folder_that_is_down_keeps_its_last_good_ones() -> None:
    folder = Shelf("folder", "x")
    catalog = Catalog([folder])
    catalog.all()

    folder.error = SourceUnavailableError("folder", "not permitted")
    catalog.refresh()

    assert names(catalog) == ["x"]
    assert (catalog.sources()[0].reachable, catalog.sources()[0].count) == (False, 1)


def test_a_source_that_raises_anything_else_is_as_if_it_were_down() -> None:
    server = Shelf("registry", "x", remote=True)
    catalog = Catalog([Shelf("folder", "y"), server])
    catalog.all()

    server.error = RuntimeError("oops")
    catalog.refresh()

    assert names(catalog) == ["y"]
    assert catalog.sources()[1].cause == "RuntimeError: oops"


def test_a_row_that_no_longer_parses_leaves_the_last_good_one() -> None:
    server = Shelf("registry", "x", remote=True)
    catalog = Catalog([server])
    catalog.all()

    server.holds(problems=(Problem("registry://x", 1, 1, "broken", "mend it"),))
    catalog.refresh()

    assert names(catalog) == ["x"]


# -- reload -----------------------------------------------------------------


def test_reloading_reads_the_file_again(root: Path, catalog: Catalog) -> None:
    write(root / "a.md", "a")
    catalog.all()
    write(root / "a.md", "a", "Better.")

    outcome = catalog.reload("a")

    assert outcome.definition is catalog.get("a")
    assert (outcome.changed, outcome.problem, catalog.require("a").body) == (True, None, "Better.")
    assert not catalog.reload("a").changed


def test_reloading_a_broken_file_says_why_and_keeps_the_last_good_one(root: Path, catalog: Catalog) -> None:
    write(root / "a.md", "a")
    good = catalog.require("a")
    (root / "a.md").write_bytes(b"\0")

    outcome = catalog.reload("a")

    assert (outcome.definition, outcome.changed) == (good, False)
    assert outcome.problem is not None
    assert "NUL" in outcome.problem.message


def test_reloading_a_file_that_has_gone_deregisters_it(root: Path, catalog: Catalog) -> None:
    write(root / "a.md", "a")
    catalog.all()
    (root / "a.md").unlink()

    assert catalog.reload("a").definition is None
    assert catalog.get("a") is None


def test_reloading_a_clone_changes_nothing(root: Path, catalog: Catalog) -> None:
    write(root / "a.md", "a")
    copy = catalog.clone("a", "b")

    outcome = catalog.reload("b")

    assert (outcome.definition, outcome.changed, outcome.problem) == (copy, False, None)


def test_reloading_nobody_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(DefinitionNotFoundError):
        catalog.reload("nobody")


def test_reloading_every_so_often_refreshes_each_time(root: Path, catalog: Catalog) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError
        write(root / f"{len(waits)}.md", f"x{len(waits)}")

    catalog.all()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(catalog.reload_every(60, sleep=sleep))

    assert waits == [60, 60, 60]
    assert names(catalog) == ["x1", "x2"]


def test_a_check_may_ask_the_catalog_while_it_loads() -> None:
    seen: list[object] = []

    def ask(definition: AgentDefinition, reload: Reload) -> str | None:
        seen.append(asked.get("x"))
        return None

    shelf = Shelf("one", "x")
    asked = Catalog([shelf], checks=Checks(tools=ask))
    assert asked.get("x") is not None
    shelf.holds(replace(shelf.listing.definitions[0], body="Better."))
    asked.refresh()

    assert seen == [None, AgentDefinition("x", "Helps", source="one", file_path="one://x")]


def test_a_finalizer_may_use_the_catalog_at_any_time(eager_collector: None) -> None:
    shelf = Shelf("one", "x")
    catalog = Catalog([shelf])
    catalog.all()

    class Farewell:
        def __init__(self) -> None:
            self.itself = self
            self.subscription = catalog.subscribe(lambda change: None)

        def __del__(self) -> None:
            self.subscription.close()
            catalog.refresh()

    def work() -> None:
        for number in range(20):
            Farewell()
            shelf.holds(AgentDefinition("x", str(number), file_path="x"))
            catalog.refresh()

    run_all([work])

    assert catalog.require("x").description == "19"


# -- threads ----------------------------------------------------------------


def test_the_first_question_of_many_threads_loads_once() -> None:
    shelf = Shelf("one", "x")
    catalog = Catalog([shelf])
    barrier = threading.Barrier(4)
    found: list[AgentDefinition | None] = []

    def ask() -> None:
        barrier.wait(10)
        found.append(catalog.get("x"))

    run_all([ask] * 4)

    assert shelf.loads == 1
    assert found == [shelf.listing.definitions[0]] * 4


def test_no_reader_ever_misses_a_definition_that_was_always_there(restless_threads: None) -> None:
    shelf = Shelf("one", "x")
    always = shelf.listing.definitions[0]
    catalog = Catalog([Shelf("zero", "y"), shelf])
    catalog.all()
    done = threading.Event()
    missed: list[str] = []

    def read() -> None:
        while not done.is_set():
            if catalog.get("x") is None or "x" not in names(catalog):
                missed.append("x")

    def change() -> None:
        for number in range(300):
            other = AgentDefinition(f"n{number}", "Helps", file_path=str(number))
            shelf.holds(other, replace(always, body=str(number)))
            catalog.refresh()
        done.set()

    run_all([read, read, change])

    assert missed == []
    assert catalog.require("x").body == "299"


def test_changes_of_several_threads_are_told_one_at_a_time_and_in_order(restless_threads: None) -> None:
    shelves = [Shelf(f"shelf-{number}") for number in range(3)]
    catalog = Catalog(shelves)
    inside = threading.Lock()
    revisions: list[int] = []
    overlaps: list[int] = []

    def listen(change: DefinitionChange) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(change.revision)
            return
        revisions.append(change.revision)
        inside.release()

    catalog.subscribe(listen)

    def work(shelf: Shelf) -> Callable[[], None]:
        def run() -> None:
            for number in range(100):
                shelf.holds(AgentDefinition(shelf.name, str(number), file_path=shelf.name))
                catalog.refresh([shelf.name])

        return run

    run_all([work(shelf) for shelf in shelves])
    catalog.refresh()

    assert overlaps == []
    assert revisions == sorted(revisions)
    assert len(revisions) == 300
    assert revisions[-1] == catalog.revision


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_can_refresh_though_a_thread_was_refreshing_at_the_fork() -> None:
    shelf = Shelf("one", "x")
    catalog = Catalog([shelf])
    catalog.all()
    loading, leave = threading.Event(), threading.Event()
    load = shelf.load

    def stuck() -> Listing:
        loading.set()
        leave.wait(60)
        return load()

    shelf.load = stuck  # type: ignore[method-assign]
    thread = threading.Thread(target=catalog.refresh)
    thread.start()
    loading.wait(60)

    child = os.fork()
    if not child:
        leave.set()
        catalog.refresh()
        os._exit(0 if names(catalog) == ["x"] else 1)
    leave.set()
    thread.join(60)

    assert os.waitpid(child, 0)[1] == 0


def run_all(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_definitions_of_a_text_and_of_a_file_are_the_same(root: Path, catalog: Catalog) -> None:
    path = write(root / "a.md", "a")

    assert path.read_text(encoding="utf-8") == definition("a")
    assert catalog.require("a").body == "Do it."


@pytest.mark.parametrize("sources", ["folder", 5, ["folder"], [object()]])
def test_what_is_no_source_is_refused_at_the_door(sources: Any) -> None:
    with pytest.raises(TypeError, match="sources: expected"):
        Catalog(sources)


def test_a_catalog_says_what_it_is_of() -> None:
    assert repr(Catalog([])) == "<Catalog of nothing>"
    assert repr(Catalog([FolderSource("/nowhere", name="mine")])) == "<Catalog of mine>"
    assert repr(FolderSource("/nowhere", name="mine")) == "<FolderSource 'mine'>"
