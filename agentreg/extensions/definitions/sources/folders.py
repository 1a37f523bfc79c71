"""FolderSource: the definitions in a folder of one family."""

from __future__ import annotations

import operator
import os
import stat
import time
from collections.abc import Callable
from typing import NamedTuple

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import SourceUnavailableError
from agentreg.extensions.definitions.families import FAMILIES, Scope, places
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent, Problem
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.sources.source import Listing
from agentreg.extensions.definitions.sources.walking import Found, Signature, Walk

__all__ = ["SIZE_LIMIT", "FolderSource", "discover", "read_file"]

SIZE_LIMIT = 8 * 1024 * 1024  # bytes of one file
SETTLED = 2.0  # seconds after which a file system tells a second change from the first, FAT included

_MAY_BLOCK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class _Known(NamedTuple):
    """What a file gave when it was last read; without a signature it has to be read again."""

    signature: Signature | None
    outcome: AgentDefinition | Problem


class FolderSource:
    """The definitions in one folder, read only.

    A folder that is missing holds nothing. Each `load` walks through it and
    reads what has another inode, size, mtime or ctime than before; where
    the content is the same after all, so is the definition.

    A `Source`; one thread at a time.

    Args:
        root: The folder; it need not exist.
        family: Whose format its files have: a key of ``FAMILIES``.
        scope: ``"user"`` or ``"project"``; the definitions' `source`.
        name: What it is called in a catalog; by default made of scope, family and folder.
        outside: Whether linked folders may lead out of the root. Linked files may.
        clock: Seconds since 1970, as the file system counts them.

    Raises:
        ValueError: there is no such family.

    Example:
        >>> FolderSource("/nowhere").load()
        Listing(definitions=(), problems=())
    """

    remote = False

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        family: str = "claude",
        scope: Scope = "project",
        name: str | None = None,
        outside: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if family not in FAMILIES:
            raise ValueError(f"there is no family {family!r}; the families are {', '.join(map(repr, FAMILIES))}")
        self.root = os.path.abspath(root)
        self.roots = (self.root,)
        self.scope = scope
        self.name = f"{scope}:{family}:{self.root}" if name is None else name
        self._family = FAMILIES[family]
        self._outside = outside
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._settled = False  # whether everything known has a signature that can be relied on
        self._files: list[Found] = []  # what the last walk found
        self._problems: list[Problem] = []
        self._listing = Listing()

    def __repr__(self) -> str:
        return f"<FolderSource {self.name!r}>"

    def load(self) -> Listing:
        """What the folder holds now, by path; the same object as before if nothing has changed.

        Raises:
            SourceUnavailableError: the folder is there and can't be listed.
        """
        walk = self._walk()
        if self._settled and walk.files == self._files and walk.problems == self._problems:
            return self._listing
        now = self._clock()
        known: dict[str, _Known] = {}
        before = self._known
        for found in walk.files:
            last = before.get(found.path)
            if last is None or last.signature != found.signature:
                last = self._read(found, last, now)
            if last is not None:
                known[found.path] = last
        self._known = self._with_unreadable(walk, known)
        self._files, self._problems = walk.files, walk.problems
        self._settled = all(each.signature is not None for each in self._known.values())
        self._listing = self._listed([each.outcome for each in self._known.values()], walk.problems)
        return self._listing

    def forget(self, path: str) -> None:
        """Have the next `load` read the file *path*, whatever its time stamps say; an unknown one is no error.

        >>> FolderSource("/nowhere").forget("/nowhere/scout.md")
        """
        known = self._known.get(path)
        if known is not None:
            self._known[path] = _Known(None, known.outcome)
            self._settled = False

    def _walk(self) -> Walk:
        try:
            return Walk(self.root, self._family.takes, self._family.recursive, self._outside)
        except OSError as error:
            raise SourceUnavailableError(self.name, f"{self.root}: {error.strerror or error}") from error

    def _read(self, found: Found, last: _Known | None, now: float) -> _Known | None:
        try:
            data = read_file(found.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            what = f"the file can't be read: {error.strerror or error}"
            return _Known(None, Problem(found.path, 1, 1, what, "permit reading it, or remove it"))
        # who changes a file twice within one tick of its clock leaves the same signature: don't rely on it yet
        settled = now - found.signature[4] / 1e9 > SETTLED
        return _Known(found.signature if settled else None, self._parsed(data, found.path, last))

    def _parsed(self, data: bytes | Problem, path: str, last: _Known | None) -> AgentDefinition | Problem:
        if isinstance(data, Problem):
            return data
        try:
            definition = parse(data, path=path, family=self._family.name, source=self.scope)
        except (DefinitionError, NotAnAgent) as error:
            return error.problem
        return last.outcome if last is not None and last.outcome == definition else definition

    def _with_unreadable(self, walk: Walk, known: dict[str, _Known]) -> dict[str, _Known]:
        if not walk.unreadable:
            return known
        within = tuple(os.path.join(self.root, folder, "") for folder in walk.unreadable)
        known.update({path: each for path, each in self._known.items() if path.startswith(within)})
        return dict(sorted(known.items()))

    def _listed(self, outcomes: list[AgentDefinition | Problem], problems: list[Problem]) -> Listing:
        definitions = tuple(each for each in outcomes if isinstance(each, AgentDefinition))
        problems = [*problems, *(each for each in outcomes if isinstance(each, Problem))]
        before = self._listing
        same = len(before.definitions) == len(definitions) and all(map(operator.is_, before.definitions, definitions))
        return before if same and before.problems == tuple(problems) else Listing(definitions, tuple(problems))


def read_file(path: str) -> bytes | Problem:
    """The bytes of a file, or why they are not wanted: it is too large, or has become something else.

    Raises:
        OSError: it can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | _MAY_BLOCK)  # a pipe would block for ever
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Problem(path, 1, 1, "it is no regular file", "put a file in its place")
        if status.st_size > SIZE_LIMIT:
            what = f"the file has {status.st_size:,} bytes, more than {SIZE_LIMIT:,}"
            return Problem(path, 1, 1, what, "make it shorter")
        chunks = []
        while chunk := os.read(descriptor, status.st_size + 1):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def discover(
    project: str | os.PathLike[str] = ".",
    home: str | os.PathLike[str] = "~",
    scope: str = "both",
) -> list[FolderSource]:
    """A source for each folder in which some family keeps definitions, whether it exists or not.

    In rising precedence: those of the user, then those of the project, each in the order of ``FAMILIES``.

    Args:
        project: The project's folder.
        home: The home directory.
        scope: ``"user"``, ``"project"`` or ``"both"``.

    Raises:
        ValueError: *scope* is another.
    """
    wanted = scopes(scope)
    return [
        FolderSource(place.folder, family=place.family.name, scope=place.scope)
        for place in places(os.path.expanduser(project), os.path.expanduser(home))
        if place.scope in wanted
    ]


def scopes(scope: str) -> frozenset[str]:
    """The scopes that ``"user"``, ``"project"`` or ``"both"`` lets in.

    Raises:
        ValueError: *scope* is another.
    """
    if scope not in ("user", "project", "both"):
        raise ValueError(f"scope: expected 'user', 'project' or 'both', got {scope!r}")
    return frozenset({"user", "project"} if scope == "both" else {scope})
