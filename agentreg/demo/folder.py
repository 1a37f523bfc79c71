"""Which Python files a folder holds: bounded, and in the same order every time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENTRIES", "Listing", "list_python_files"]

ENTRIES = 200_000  # files and folders that are looked at before giving up
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})
_MARKS_OF_ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta"})


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        folder: Where.
        files: The Python files, each at most once.
        cut: Why there may be more than these, or None.
        problems: Folder -> why it could not be read.
    """

    folder: Path
    files: tuple[Path, ...]
    cut: str | None = None
    problems: tuple[tuple[str, str], ...] = ()

    def name_of(self, file: Path) -> str:
        """The file's path from the folder on."""
        return file.relative_to(self.folder).as_posix() if file != self.folder else file.name


def list_python_files(folder: Path, limit: int, entries: int = ENTRIES) -> Listing:
    """The Python files below *folder*, or *folder* itself if it is one.

    Hidden folders, virtual environments, ``node_modules`` and links to
    folders are left out. At most *limit* files are listed, and at most
    *entries* entries looked at.
    """
    if folder.is_file():
        return Listing(folder, (folder,))
    walk = _Walk(folder, entries)
    files: list[Path] = []
    for file in walk.files():
        if len(files) == limit:
            return Listing(folder, tuple(files), f"only the first {limit:,} files are read", tuple(walk.problems))
        files.append(file)
    cut = f"only the first {entries:,} files and folders were looked at" if walk.exhausted else None
    return Listing(folder, tuple(files), cut, tuple(walk.problems))


class _Walk:
    """One walk over a tree, without following links to folders."""

    def __init__(self, root: Path, entries: int) -> None:
        self.root = root
        self.left = entries
        self.problems: list[tuple[str, str]] = []
        self._seen: set[tuple[int, int]] = set()

    @property
    def exhausted(self) -> bool:
        return self.left <= 0

    def files(self) -> Iterator[Path]:
        for base, folders, names in os.walk(self.root, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if not _is_skipped(base, name))
            for name in sorted(names):
                self.left -= 1
                if self.exhausted:
                    return
                if name.endswith(".py") and self._is_new_file(os.path.join(base, name)):
                    yield Path(base, name)
            self.left -= len(folders)

    def _is_new_file(self, path: str) -> bool:
        try:
            status = os.stat(path)
        except OSError:  # a dangling link, a loop, gone meanwhile: the reader will say which
            return True
        identity = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode) or identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def _unreadable(self, error: OSError) -> None:
        where = os.path.relpath(error.filename, self.root)
        self.problems.append((where, error.strerror or str(error)))


def _is_skipped(base: str, name: str) -> bool:
    if name.startswith(".") or name in _SKIPPED:
        return True
    return any(os.path.exists(os.path.join(base, name, mark)) for mark in _MARKS_OF_ENVIRONMENTS)
