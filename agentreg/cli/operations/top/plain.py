"""The picture as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentreg.cli.operations.top.picture import Picture, columns_of

__all__ = ["lines_of"]

_LEFT = 2  # columns that hold words; the others hold numbers


def lines_of(shown: Picture, width: int) -> Iterator[str]:
    """The lines, none longer than *width*; the last is the footer."""
    for line in _lines(shown):
        yield line if len(line) <= width else f"{line[: width - 1]}~"


def _lines(shown: Picture) -> Iterator[str]:
    yield shown.title
    if shown.trouble:
        yield f"! {shown.trouble}"
    wide = max(len(total.value) for total in shown.totals)
    for total in shown.totals:
        yield f"{total.name:15}{total.value:>{wide}}  {total.trend}".rstrip()
    for severity, text in shown.alerts:
        yield f"! {severity}: {text}"
    if shown.more_alerts:
        yield f"! and {shown.more_alerts:,} more alerts"
    yield ""
    yield from _table([shown.head, *shown.rows])
    yield shown.footer


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = columns_of(rows)
    for row in rows:
        yield "  ".join(_cell(number, cell, widths[number]) for number, cell in enumerate(row)).rstrip()


def _cell(number: int, cell: str, width: int) -> str:
    return cell.ljust(width) if number < _LEFT else cell.rjust(width)
