"""Which files the demo's scout finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentreg.demo.folder import list_python_files


def make(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"name = {name!r}\n")


def found(folder: Path, **bounds: int) -> list[str]:
    listing = list_python_files(folder, bounds.pop("limit", 100), **bounds)
    return [listing.name_of(file) for file in listing.files]


def test_python_files_are_found_at_any_depth_in_the_same_order_every_time(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a.py", "c/d/e.py", "c/f.py", "notes.txt", "a.pyc")

    assert found(tmp_path) == ["a.py", "b.py", "c/f.py", "c/d/e.py"]


def test_what_others_have_written_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.py", ".git/b.py", "node_modules/c.py", "__pycache__/d.py", ".venv/e.py", "env/lib/f.py")
    make(tmp_path, "env/pyvenv.cfg")

    assert found(tmp_path) == ["a.py"]


def test_a_folder_that_is_given_is_read_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, "node_modules/a.py")

    assert found(tmp_path / "node_modules") == ["a.py"]


def test_a_circle_of_links_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "deep/b.py")
    (tmp_path / "deep" / "up").symlink_to(tmp_path, target_is_directory=True)

    assert found(tmp_path) == ["a.py", "deep/b.py"]


def test_a_file_that_is_linked_twice_is_listed_once(tmp_path: Path) -> None:
    make(tmp_path, "a.py")
    (tmp_path / "b.py").symlink_to("a.py")
    os.link(tmp_path / "a.py", tmp_path / "c.py")

    assert found(tmp_path) == ["a.py"]


def test_a_link_that_leads_nowhere_is_listed_so_that_somebody_says_why(tmp_path: Path) -> None:
    (tmp_path / "loop.py").symlink_to("loop.py")

    assert found(tmp_path) == ["loop.py"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_taken_for_a_file(tmp_path: Path) -> None:
    make(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe.py")

    assert found(tmp_path) == ["a.py"]


def test_at_the_limit_it_says_that_there_are_more(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "b.py", "c.py")

    assert list_python_files(tmp_path, 3).cut is None
    assert list_python_files(tmp_path, 2).cut == "only the first 2 files are read"
    assert found(tmp_path, limit=2) == ["a.py", "b.py"]


def test_a_huge_folder_is_not_walked_for_ever(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}.txt" for number in range(10)), "z.py")

    listing = list_python_files(tmp_path, 100, entries=5)

    assert listing.files == ()
    assert listing.cut == "only the first 5 files and folders were looked at"


def test_a_single_file_is_listed_under_its_own_name(tmp_path: Path) -> None:
    make(tmp_path, "a.py")

    assert found(tmp_path / "a.py") == ["a.py"]


def test_a_folder_that_can_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.py", "locked/b.py")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_python_files(tmp_path, 100)

    assert [file.name for file in listing.files] == ["a.py"]
    assert listing.problems == (("locked", "Permission denied"),)
