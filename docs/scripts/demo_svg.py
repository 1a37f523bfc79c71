"""Draws docs/images/demo.svg from a real run of ``agentreg demo``: ``python docs/scripts/demo_svg.py``.

The table below the story, which a terminal keeps redrawing, is put into the
picture once, half way through the files.
"""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from agentreg.demo.board import Board
from agentreg.demo.live import LiveView
from agentreg.demo.stage import Assignment, perform

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "images" / "demo.svg"


class StillView(LiveView):
    """The live view with one still of its table, and without the paths of this machine."""

    def __init__(self) -> None:
        super().__init__(Console(record=True, file=io.StringIO(), width=103))
        self.taken = False

    def open(self, title: str, board: Board) -> None:
        super().open(_neutral(title), board)

    def line(self, text: str, mark: bool = False) -> None:
        super().line(_neutral(text), mark)

    def close(self, rows: list[tuple[str, str]]) -> None:
        super().close([(name, _neutral(value)) for name, value in rows])

    def progress(self, busy: Mapping[str, str]) -> None:
        if not self.taken and self.board.read > self.board.found // 4:
            self.taken = True
            # a moment later everybody has begun the next file
            asyncio.get_running_loop().call_later(0.1, self._take)

    def _take(self) -> None:
        self.console.print()
        self.console.print(self.picture())


def _neutral(text: str) -> str:
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/agentreg-demo-\w+", "/tmp/agentreg-demo", text)
    return text.replace(str(ROOT), "~/project")


def main() -> None:
    """Run the demo and write the picture."""
    view = StillView()
    perform(Assignment(ROOT / "agentreg", slowly=True), view)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(view.console.export_svg(title="agentreg demo"), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
