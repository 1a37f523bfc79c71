"""The readers: agents that look for lines they have read before, and one that never forgets any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentreg import BaseAgent

__all__ = ["LEAKY", "PAGE", "Dispatcher", "NotebookFull", "Reader", "pages_of"]

PAGE = 250  # lines
CAPACITY = 25_000  # lines of a notebook: its end, where nobody stops it before
LEAKY = "reader-2"


class NotebookFull(Exception):
    """A reader has no room for what it has read."""


class Reader(BaseAgent):
    """Counts the lines of a page that came before, which it writes down in a notebook.

    A notebook is for one page. A *leaky* reader has forgotten to begin a new
    one, and so compares every line with all that it ever read: that is the
    fault of this demo, and all of its slowness is real.

    Attributes:
        notebook: The lines that it has written down.
    """

    def __init__(self, name: str, leaky: bool = False) -> None:
        self.leaky = leaky
        self.notebook: list[str] = []
        super().__init__(name=name, description="counts lines that it has read before")

    async def run(self, prompt: Any, *, context: Mapping[str, Any] | None = None, **kwargs: Any) -> int:
        """How many lines of the page *prompt* were read before. Raises NotebookFull."""
        if not self.leaky:
            self.notebook = []
        again = 0
        for line in prompt:
            again += line in self.notebook
            self.notebook.append(line)
        if len(self.notebook) > CAPACITY:
            raise NotebookFull(f"{self.name} has no room for more than {CAPACITY:,} lines")
        return again


class Dispatcher(BaseAgent):
    """Hands out the pages: every task is a call of one agent by another, by its name."""

    async def run(self, prompt: Any, *, context: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """What the reader *prompt* says of the page in *context*."""
        return await self.invoke_agent(prompt, (context or {})["page"])


def pages_of(files: Sequence[Path]) -> Iterator[list[str]]:
    """Pages of `PAGE` lines from *files*, over and over; a line says where it stands, so that hardly two are the same.

    Raises:
        ValueError: there is no line in any of them.
    """
    number = 0
    page: list[str] = []
    while True:
        before = number
        for file in files:
            for text in file.read_bytes()[: 1 << 20].decode("utf-8", "replace").splitlines():
                number += 1
                page.append(f"{number}: {text}")
                if len(page) == PAGE:
                    yield page
                    page = []
        if number == before:
            raise ValueError("there is not a single line to read")
