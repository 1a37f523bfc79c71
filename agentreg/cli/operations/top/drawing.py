"""The picture drawn with rich."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from agentreg.cli.operations.top.picture import Picture

__all__ = ["Screen", "drawn"]

_LEFT = 2  # columns that hold words
_STATUSES = {"active": "green", "stale": "yellow"}
_SEVERITIES = {"critical": "bold white on red", "warning": "black on yellow"}


class Screen:
    """The whole terminal, from the beginning of the block to its end. Not thread-safe."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def show(self, shown: Callable[[int], Picture]) -> None:
        """Draw what *shown* gives for the number of lines that there are."""
        self._live.update(drawn(shown(self._console.height), self._console.width), refresh=True)


def drawn(shown: Picture, width: int) -> RenderableType:
    """The picture, with its colours."""
    parts: list[RenderableType] = [Text(shown.title, style="bold", no_wrap=True, overflow="ellipsis")]
    if shown.trouble:
        parts.append(Text(shown.trouble, style="bold red", no_wrap=True, overflow="ellipsis"))
    parts.append(_totals(shown))
    parts += [_alert(severity, text) for severity, text in shown.alerts]
    if shown.more_alerts:
        parts.append(Text(f" and {shown.more_alerts:,} more alerts", style="yellow"))
    parts += [_table(shown, width), Text(shown.footer, style="reverse", no_wrap=True, overflow="ellipsis")]
    return Group(*parts)


def _totals(shown: Picture) -> Table:
    grid = Table.grid(padding=(0, 2))
    for total in shown.totals:
        grid.add_row(Text(total.name, style="dim"), Text(total.value, justify="right"), Text(total.trend, style="cyan"))
    return grid


def _alert(severity: str, text: str) -> Text:
    style = _SEVERITIES.get(severity, "black on yellow")
    return Text.assemble((f" {severity} ", style), f" {text}", no_wrap=True, overflow="ellipsis")


def _table(shown: Picture, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold cyan", width=width)
    for number, name in enumerate(shown.head):
        side: JustifyMethod = "left" if number < _LEFT else "right"
        table.add_column(name, justify=side, no_wrap=True, overflow="ellipsis", ratio=3 if number == 0 else None)
    for row, alarmed in zip(shown.rows, shown.alarmed, strict=True):
        style = "bold red" if alarmed else ""
        table.add_row(*(Text(cell, style=style or _STATUSES.get(cell, "")) for cell in row))
    return table
