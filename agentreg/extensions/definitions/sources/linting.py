"""What is wrong with the files in some paths: what ``agentreg check`` prints."""

from __future__ import annotations

import os
from collections.abc import Iterable

from agentreg.extensions.definitions.families import FAMILIES, family_of
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent, Problem
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.sources.folders import read_file
from agentreg.extensions.definitions.sources.walking import Walk

__all__ = ["check_paths"]

_SUFFIXES = (".md", ".toml")


def check_paths(paths: Iterable[str | os.PathLike[str]]) -> list[Problem]:
    """Everything there is to say about the files *paths*, and about those in the folders among them, by path.

    A file's family is seen by its path. In a folder, ``*.md`` files count,
    those below included, and ``*.toml`` where Codex keeps them.

    >>> [str(problem) for problem in check_paths(["/nowhere.md"])]
    ['/nowhere.md:1:1: there is no such file or folder; check the path']
    """
    found: list[Problem] = []
    for path in paths:
        found += _of_folder(os.fspath(path)) if os.path.isdir(path) else _of_file(os.fspath(path))
    return sorted(dict.fromkeys(found), key=lambda each: (each.path, each.line, each.column, each.message))


def _of_folder(folder: str) -> list[Problem]:
    try:
        walk = Walk(folder, lambda name: name.endswith(_SUFFIXES) and not name.startswith("."), True, False)
    except OSError as error:
        return [Problem(folder, 1, 1, f"the folder can't be listed: {error.strerror}", "permit reading it")]
    files = [each.path for each in walk.files if _counts(each.path)]
    return [*walk.problems, *(problem for path in files for problem in _of_file(path))]


def _counts(path: str) -> bool:
    return FAMILIES[family_of(path)].takes(os.path.basename(path)) and (path.endswith(".md") or ".codex" in path)


def _of_file(path: str) -> list[Problem]:
    try:
        data = read_file(path)
    except FileNotFoundError:
        return [Problem(path, 1, 1, "there is no such file or folder", "check the path")]
    except OSError as error:
        return [Problem(path, 1, 1, f"the file can't be read: {error.strerror}", "permit reading it")]
    if isinstance(data, Problem):
        return [data]
    try:
        return list(parse(data, path=path, family=family_of(path)).warnings)
    except (DefinitionError, NotAnAgent) as error:
        return [error.problem]
