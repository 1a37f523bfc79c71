"""Definitions: a scan of 4,462 files beside a bare loop over them, and a rescan in which nothing has changed."""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from crowd import USUAL
from figures import Figures, Row, at_most
from timing import Effort, clock, compare, quiet

from agentreg.extensions.definitions import Catalog, FolderSource

__all__ = ["measure"]

CORPUS = Path(__file__).parent.parent / "tests" / "extensions" / "definitions" / "corpus"
FOLDERS = 20
SCAN = at_most(1.5)
RESCAN = at_most(0.12)
SETTLED = 2.5  # seconds until a file system tells a second change from the first


def measure(effort: Effort) -> Figures:
    """Scans of real files, each under another name."""
    figures = Figures()
    with crowd_of_files() as folder, quiet():
        known = FolderSource(folder)
        known.load()
        catalog = Catalog([FolderSource(folder)])
        catalog.refresh()
        works = {
            "agentreg": lambda: timed(lambda: FolderSource(folder).load()),
            "bare loop": lambda: timed(lambda: bare_loop(folder)),
            "rescan": lambda: timed(known.load),
            "refresh": lambda: timed(catalog.refresh),
            "catalog": lambda: timed(lambda: Catalog([FolderSource(folder)]).all()),
        }
        compared = compare(works, min(effort.rounds, 9))
    what = f"{USUAL:,} files"
    figures.rows += [
        Row.of(compared, f"scan of {what}; its: read, PyYAML's C loader", "agentreg", "bare loop", SCAN),
        Row.of(compared, f"Catalog over {what}; its: read, PyYAML's C loader", "catalog", "bare loop"),
        Row.of(compared, f"rescan of {what}, nothing changed", "rescan", "bare loop", RESCAN),
        Row.of(compared, f"Catalog.refresh of {what}, nothing changed", "refresh", "bare loop", RESCAN),
    ]
    return figures


def timed(work: Callable[[], object]) -> float:
    """The seconds that *work* takes; what it leaves behind is thrown away outside."""
    start = clock()
    result = work()
    seconds = clock() - start
    del result
    gc.collect()
    return seconds


def bare_loop(folder: str) -> list[object]:
    """What everybody would write: read each file, cut the header out, load it."""
    headers = []
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                text = file.read().decode("utf-8")
            headers.append(yaml.load(text.split("---", 2)[1], Loader=yaml.CSafeLoader))
    return headers


@contextmanager
def crowd_of_files() -> Iterator[str]:
    """A folder with as many definitions as agents are usual, made from real ones whose headers are plain YAML."""
    texts = list(_plain_texts())
    with tempfile.TemporaryDirectory() as folder:
        for number, text in zip(range(USUAL), itertools.cycle(texts), strict=False):
            path = Path(folder, f"group-{number % FOLDERS}", f"agent-{number}.md")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("name: ", f"name: a{number}-", 1), encoding="utf-8")
        time.sleep(SETTLED)
        yield folder


def _plain_texts() -> Iterator[str]:
    for path in sorted(CORPUS.rglob("*.md")):
        text = path.read_bytes().decode("utf-8", "replace")
        if text.startswith("---\nname: ") and _loads(text):
            yield text


def _loads(text: str) -> bool:
    try:
        header = yaml.load(text.split("---", 2)[1], Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return False
    return isinstance(header, dict) and "description" in header
