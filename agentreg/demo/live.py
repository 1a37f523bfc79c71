"""The view for a terminal: the story scrolls by, above a table of who is registered and what they do."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from agentreg.demo import crew
from agentreg.demo.board import Board
from agentreg.demo.printable import counted, printable
from agentreg.demo.views import INDENT, WIDTH, View
from agentreg.extensions.load_balancing import LoadBalancedRegistry

__all__ = ["LiveView"]

MARGIN = 3  # room for the ^C that a terminal echoes: a line that is full would break there, and move the table


class LiveView(View):
    """Tells the story with rich, and keeps the table below it up to date."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = Console() if console is None else console
        self.board = Board()
        self.steps = 0
        self._live = Live(get_renderable=self.picture, console=self.console, refresh_per_second=12, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def open(self, title: str, board: Board) -> None:
        self.board = board
        self._print(Text(title, style="bold"), 0, 0)

    def step(self, word: str, sentence: str) -> None:
        self.steps += 1
        heading = Text.assemble((f"{self.steps}. {word.upper()}", "bold cyan"), ": ", sentence)
        self.console.print()
        self._print(heading, 0, INDENT)

    def line(self, text: str, mark: bool = False) -> None:
        self._print(Text(f"{'>' if mark else '-'} {text}", style="green" if mark else ""), INDENT, 2)

    def close(self, rows: list[tuple[str, str]]) -> None:
        self._live.stop()
        table = Table.grid(padding=(0, 2))
        for name, value in rows:
            table.add_row(Text(name, style="bold cyan"), Text(value, overflow="fold"))
        self.console.print()
        self.console.print(table)

    def _print(self, text: Text, indent: int, hanging: int) -> None:
        room = max(20, self._width - indent - hanging)
        first, *others = text.wrap(self.console, room) or [text]
        self.console.print(Padding(first, (0, 0, 0, indent)))
        for other in others:
            self.console.print(Padding(other, (0, 0, 0, indent + hanging)))

    @property
    def _width(self) -> int:
        return min(self.console.width - MARGIN, WIDTH)

    # -- the picture ----------------------------------------------------------

    def picture(self) -> RenderableType:
        """Who is registered, who is busy, and how far they are."""
        board = self.board
        present, pools = board.present.copy(), board.pools.copy()
        title = f"registered now: {counted(len(present), 'agent')}, {counted(len(pools), 'pool')}"
        parts: list[RenderableType] = [self._table(present)]
        if board.found:
            parts += [Text(), self._bar(board)]
        return Panel(Group(*parts), title=title, title_align="left", border_style="cyan", width=self._width)

    def _table(self, present: dict[str, str]) -> Table:
        statistics: dict[str, Any] = LoadBalancedRegistry.get_statistics()
        active, jobs = statistics["active_tasks"], statistics["invocation_counts"]
        files = self.board.files.copy()
        table = Table(box=None, expand=True, pad_edge=False, show_edge=False, header_style="bold")
        table.add_column("agent", no_wrap=True)
        table.add_column("does", no_wrap=True, ratio=1, overflow="ellipsis")
        table.add_column("jobs done", justify="right")
        rows = self._rows(present, active)
        for name in rows:
            busy = active.get(name, 0)
            does = f"reads {printable(files[name])}" if name in files else _task(present[name])
            table.add_row(
                Text(f"{'●' if busy else '○'} {name}"),
                Text(does if busy else "idle"),
                Text(str(jobs.get(name, 0) - busy)),
                style="green" if busy else "dim",
            )
        if len(rows) < len(present):
            table.add_row(Text(f"  ... and {len(present) - len(rows)} more"))
        return table

    def _rows(self, present: dict[str, str], active: dict[str, int]) -> list[str]:
        """The agents that fit, in order of registration; if not all do, the idle ones give way."""
        room = max(3, self.console.height - 8)
        if len(present) <= room:
            return list(present)
        chosen = set(sorted(present, key=lambda name: not active.get(name))[: room - 1])
        return [name for name in present if name in chosen]

    def _bar(self, board: Board) -> Table:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column()
        grid.add_column(ratio=1)
        grid.add_column()
        done = f"{board.read:,} of {counted(board.found, 'file')} read"
        grid.add_row("reading", ProgressBar(total=board.found, completed=board.read), done)
        return grid


def _task(class_name: str) -> str:
    return str(getattr(getattr(crew, class_name, None), "task", ""))
