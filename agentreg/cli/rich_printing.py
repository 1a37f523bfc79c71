"""Tables and differences for a terminal, drawn with rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_difference", "print_table"]

_HEAD = 2  # lines that name the two versions
_STYLES = {"@": "cyan", "-": "red", "+": "green", "\\": "dim"}


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with a bold head; long cells are folded."""
    table = Table(box=SIMPLE_HEAD, header_style="bold cyan", pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def print_difference(lines: Iterable[str]) -> None:
    """The lines of a unified diff: what went in red, what came in green."""
    console = Console()
    for number, line in enumerate(lines):
        style = "bold" if number < _HEAD else _STYLES.get(line[:1], "")
        console.print(Text(line, style=style), soft_wrap=True)
