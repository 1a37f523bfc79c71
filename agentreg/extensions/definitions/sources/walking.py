"""The files of a folder: which there are, and by what to see that one has changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from agentreg.extensions.definitions.problems import Problem, Severity

__all__ = ["Found", "Signature", "Walk"]

# device, inode, size, mtime and ctime in nanoseconds
Signature = tuple[int, int, int, int, int]


class Found(NamedTuple):
    """One file: its path within the root, its whole path, and its signature."""

    relative: str
    path: str
    signature: Signature


class Walk:
    """One walk through a folder.

    A file that is reached twice through links counts once: as itself, else
    by its first path. A linked folder is entered once too, so that loops
    end, and only if it lies within the root or *outside* allows it. What
    vanishes meanwhile is not there.

    Attributes:
        files: What was found, sorted by path.
        unreadable: The folders, as paths within the root, that could not be listed.
        problems: The links and folders that were left out.

    Raises:
        OSError: the root can't be listed; one that is missing is empty instead.
    """

    def __init__(self, root: str, takes: Callable[[str], bool], recursive: bool, outside: bool) -> None:
        self.files: list[Found] = []
        self.unreadable: list[str] = []
        self.problems: list[Problem] = []
        self._takes = takes
        self._recursive = recursive
        self._outside = outside
        self._root = os.path.realpath(root)
        self._entered: set[tuple[int, int]] = set()
        self._folders = [("", root)]
        self._links: list[tuple[str, str]] = []
        self._enter_all()
        if self._links:
            self._follow_links()
        self.files.sort()

    def _enter_all(self) -> None:
        while self._folders:
            relative, path = self._folders.pop()
            try:
                self._enter(relative, path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if not relative:
                    raise
                self.unreadable.append(relative)
                self._tell(path, f"the folder can't be listed: {error.strerror}", "permit reading it", "error")

    def _enter(self, relative: str, path: str) -> None:
        if self._recursive:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in self._entered:
                return
            self._entered.add((status.st_dev, status.st_ino))
        prefix = f"{relative}/" if relative else ""
        takes = self._takes
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    self._links.append((prefix + entry.name, entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    if self._recursive and not entry.name.startswith("."):
                        self._folders.append((prefix + entry.name, entry.path))
                elif takes(entry.name):
                    try:
                        self._add(prefix + entry.name, entry.path, entry.stat(follow_symlinks=False))
                    except FileNotFoundError:
                        continue

    def _add(self, relative: str, path: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            self.files.append(Found(relative, path, signature))
        else:
            self._tell(path, "it is no regular file", "put a file in its place", "warning")

    # -- links --------------------------------------------------------------

    def _follow_links(self) -> None:
        seen = {found.signature[:2] for found in self.files}
        while self._links:
            links, self._links = sorted(self._links), []
            for relative, path in links:
                self._follow(relative, path, seen)
            self._enter_all()

    def _follow(self, relative: str, path: str, seen: set[tuple[int, int]]) -> None:
        taken = self._takes(os.path.basename(path))
        try:
            status = os.stat(path)
        except OSError as error:
            if taken:
                self._tell(path, f"the link leads nowhere: {error.strerror}", "mend or remove it", "warning")
            return
        if stat.S_ISDIR(status.st_mode):
            if self._recursive:
                self._follow_folder(relative, path)
        elif taken and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            self._add(relative, path, status)

    def _follow_folder(self, relative: str, path: str) -> None:
        target = os.path.realpath(path)
        if self._outside or os.path.commonpath([self._root, target]) == self._root:
            self._folders.append((relative, path))
        else:
            what = f"the link leads out of the folder, to {target}, and is not followed"
            self._tell(path, what, "allow it with outside=True", "warning")

    def _tell(self, path: str, message: str, remedy: str, severity: Severity) -> None:
        self.problems.append(Problem(path, 1, 1, message, remedy, severity))
