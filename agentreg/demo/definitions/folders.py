"""Where the demo's definitions come from: a folder of the user's, or the demo's own, in a temporary copy."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentreg.extensions.definitions import FolderSource, discover
from agentreg.extensions.definitions.families import family_of

__all__ = ["own_definitions", "sources_of"]

OWN = Path(__file__).with_name("agents")


def sources_of(folder: Path) -> list[FolderSource]:
    """The sources of *folder*: what the families keep in it, if it is a project's, else the files in it."""
    kept = [each for each in discover(folder, scope="project") if Path(each.root).is_relative_to(folder)]
    kept = [each for each in kept if os.path.isdir(each.root)]
    if any(each.load().definitions for each in kept):
        return kept
    return [FolderSource(folder, family=family_of(folder / "agent.md"))]


@contextmanager
def own_definitions() -> Iterator[list[FolderSource]]:
    """The demo's own definitions, as a project and a home directory that may be edited; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentreg-demo-"))
    try:
        for part in ("home", "project"):
            shutil.copytree(OWN / part, folder / part / ".claude" / "agents")
        yield [each for each in discover(folder / "project", folder / "home") if os.path.isdir(each.root)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
