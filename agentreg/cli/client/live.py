"""The agents on a terminal, drawn anew with every change, with rich."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agentreg.cli.client.listing import HEAD

__all__ = ["draw"]

_STYLES = {"active": "green", "stale": "yellow", "stopped": "dim"}


def draw(states: Iterable[list[list[str]] | None]) -> None:
    """Show each of *states* in place of the one before; None says that there is no service."""
    with Live(auto_refresh=False) as live:
        for rows in states:
            live.update(Text("no service; waiting for one") if rows is None else _table(rows), refresh=True)


def _table(rows: list[list[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold cyan", pad_edge=False, caption=f"{len(rows):,} agents")
    for name in HEAD:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(row[0], "")) for cell in row))
    return table
