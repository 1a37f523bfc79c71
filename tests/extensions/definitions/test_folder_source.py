"""FolderSource: what it finds in a folder, and what it reads again."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from agentreg.extensions.definitions import FolderSource, Listing, Problem, SourceUnavailableError
from agentreg.extensions.definitions.sources.folders import SIZE_LIMIT
from tests.extensions.definitions.texts import definition, write

LATER = 1e6  # seconds after which every time stamp can be relied on


class LateClock:
    """Tells a time long after every file was written."""

    def __init__(self) -> None:
        self.ahead = LATER

    def __call__(self) -> float:
        return time.time() + self.ahead


def names(listing: Listing) -> list[str]:
    return [each.name for each in listing.definitions]


def only_problem(listing: Listing) -> Problem:
    (problem,) = listing.problems
    return problem


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "agents"
    folder.mkdir()
    return folder


@pytest.fixture
def source(root: Path) -> FolderSource:
    return FolderSource(root, clock=LateClock())


def test_definitions_come_by_path(root: Path, source: FolderSource) -> None:
    for name in ("b", "a", "n/c", "c"):
        write(root / f"{name}.md", name.replace("/", "-"))

    listing = source.load()

    assert names(listing) == ["a", "b", "c", "n-c"]
    assert {each.source for each in listing.definitions} == {"project"}
    assert listing.definitions[3].file_path == str(root / "n" / "c.md")


def test_a_bad_file_never_stops_a_scan(root: Path, source: FolderSource) -> None:
    write(root / "a.md", "a")
    (root / "b.md").write_bytes(b"\xff\xfe\x00")
    (root / "c.md").write_text("---\nname: c\n", encoding="utf-8")
    (root / "d.md").write_text("# Read me\n", encoding="utf-8")
    write(root / "e.md", "e")

    listing = source.load()

    assert names(listing) == ["a", "e"]
    assert [(os.path.basename(each.path), each.severity) for each in listing.problems] == [
        ("b.md", "error"),
        ("c.md", "error"),
        ("d.md", "information"),
    ]


def test_nothing_changed_gives_the_same_listing(root: Path, source: FolderSource) -> None:
    write(root / "a.md", "a")
    first = source.load()

    assert source.load() is first
    assert source.load() is first


def test_an_edit_gives_a_new_definition_and_leaves_the_others(root: Path, source: FolderSource) -> None:
    write(root / "a.md", "a")
    write(root / "b.md", "b")
    first = source.load()

    write(root / "a.md", "a", "Do it better.")
    second = source.load()

    assert second.definitions[0].body == "Do it better."
    assert second.definitions[1] is first.definitions[1]


def test_a_touched_file_keeps_its_definition(root: Path, source: FolderSource) -> None:
    path = write(root / "a.md", "a")
    first = source.load()

    os.utime(path, (1, 1))

    assert source.load() is first


def test_an_edit_of_the_same_size_and_time_is_seen(root: Path, source: FolderSource) -> None:
    path = write(root / "a.md", "a", "one")
    status = path.stat()
    source.load()

    path.write_text(definition("a", "two"), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert source.load().definitions[0].body == "two"


def test_a_file_that_was_just_written_is_read_again_for_its_time_may_not_move(root: Path) -> None:
    clock = LateClock()
    clock.ahead = 0.0
    source = FolderSource(root, clock=clock)
    path = write(root / "a.md", "a", "one")
    source.load()
    before = path.stat()

    # what a second edit within one tick of the file system's clock looks like
    path.write_text(definition("a", "two"), encoding="utf-8")
    known = source._known[str(path)]

    assert known.signature is None
    assert source.load().definitions[0].body == "two"
    assert before.st_size == path.stat().st_size


def test_forgetting_a_file_has_it_read_again(root: Path, source: FolderSource) -> None:
    path = write(root / "a.md", "a")
    first = source.load()

    source.forget(str(path))
    source.forget("/nowhere")

    assert source.load() is first


def test_files_that_go_and_come_are_seen(root: Path, source: FolderSource) -> None:
    path = write(root / "n/a.md", "a")
    assert names(source.load()) == ["a"]

    shutil.rmtree(root)
    assert source.load() == Listing()

    write(path, "b")
    assert names(source.load()) == ["b"]


def test_a_root_that_is_no_folder_holds_nothing(root: Path) -> None:
    assert FolderSource(write(root / "a.md", "a")).load() == Listing()


def test_a_file_that_is_too_large_is_a_problem(root: Path, source: FolderSource) -> None:
    with open(root / "a.md", "wb") as file:
        file.truncate(SIZE_LIMIT + 1)

    assert "more than 8,388,608" in only_problem(source.load()).message


def test_a_pipe_is_never_opened(root: Path, source: FolderSource) -> None:
    os.mkfifo(root / "a.md")
    os.symlink("a.md", root / "b.md")

    assert {each.message for each in source.load().problems} == {"it is no regular file"}


def test_a_folder_with_an_agents_ending_is_a_folder(root: Path, source: FolderSource) -> None:
    write(root / "team.md" / "a.md", "a")

    assert names(source.load()) == ["a"]


needs_permissions = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")


@needs_permissions
def test_a_file_that_may_not_be_read_is_a_problem(root: Path, source: FolderSource) -> None:
    write(root / "a.md", "a").chmod(0)

    assert "can't be read" in only_problem(source.load()).message


@needs_permissions
def test_a_root_that_may_not_be_listed_is_unavailable(root: Path, source: FolderSource) -> None:
    root.chmod(0)
    try:
        with pytest.raises(SourceUnavailableError, match="it is asked again at the next refresh"):
            source.load()
    finally:
        root.chmod(0o700)


# -- links ------------------------------------------------------------------


def test_a_linked_file_is_followed_wherever_it_lies(root: Path, source: FolderSource, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.md", "a", "one")
    (root / "link.md").symlink_to(tmp_path / "elsewhere" / "a.md")

    (found,) = source.load().definitions

    assert (found.name, found.file_path) == ("a", str(root / "link.md"))


def test_a_file_is_counted_once_however_many_links_lead_to_it(root: Path, source: FolderSource, tmp_path: Path) -> None:
    write(root / "n" / "real.md", "a")
    (root / "first.md").symlink_to("n/real.md")
    (root / "second.md").symlink_to("first.md")
    write(tmp_path / "out.md", "b")
    (root / "x.md").symlink_to(tmp_path / "out.md")
    (root / "y.md").symlink_to(tmp_path / "out.md")

    listing = source.load()

    assert [os.path.relpath(each.file_path, root) for each in listing.definitions] == ["n/real.md", "x.md"]
    assert listing.problems == ()


def test_a_swapped_link_gives_the_other_file(root: Path, source: FolderSource, tmp_path: Path) -> None:
    for version in ("one", "two"):
        write(tmp_path / f"{version}.md", "a", version)
    (root / "a.md").symlink_to(tmp_path / "one.md")
    assert source.load().definitions[0].body == "one"

    (root / "new").symlink_to(tmp_path / "two.md")
    os.replace(root / "new", root / "a.md")

    assert source.load().definitions[0].body == "two"


def test_an_edit_behind_a_link_is_seen(root: Path, source: FolderSource, tmp_path: Path) -> None:
    (root / "a.md").symlink_to(write(tmp_path / "a.md", "a", "one"))
    source.load()

    write(tmp_path / "a.md", "a", "two")

    assert source.load().definitions[0].body == "two"


def test_a_link_that_leads_nowhere_is_a_problem(root: Path, source: FolderSource) -> None:
    (root / "a.md").symlink_to("none.md")
    (root / "b.md").symlink_to("b.md")
    (root / "none.txt").symlink_to("none.md")

    assert [each.severity for each in source.load().problems] == ["warning", "warning"]


def test_loops_of_folders_end(root: Path, source: FolderSource) -> None:
    write(root / "n" / "a.md", "a")
    (root / "n" / "up").symlink_to(root)
    (root / "n" / "self").symlink_to(".")
    (root / "other").symlink_to("n")

    listing = source.load()

    assert names(listing) == ["a"]
    assert listing.problems == ()


def test_a_linked_folder_outside_of_the_root_is_not_followed_unless_allowed(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "deep" / "a.md", "a")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "elsewhere")

    closed, open_ = FolderSource(root).load(), FolderSource(root, outside=True).load()

    assert names(closed) == []
    assert "leads out of the folder" in only_problem(closed).message
    assert [each.file_path for each in open_.definitions] == [str(root / "out" / "deep" / "a.md")]
    assert open_.problems == ()


def test_a_root_may_itself_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real" / "n" / "a.md", "a")
    (tmp_path / "root").symlink_to("real")
    (tmp_path / "real" / "linked").symlink_to("n")

    assert names(FolderSource(tmp_path / "root").load()) == ["a"]
