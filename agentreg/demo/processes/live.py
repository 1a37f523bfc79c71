"""The view for a terminal: the story scrolls by, above a table of all agents and the events as they come."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agentreg.demo.live import MARGIN, LiveView
from agentreg.demo.printable import counted, printable
from agentreg.demo.processes.roster import Entry, Heard, Roster
from agentreg.demo.processes.views import RuntimesView

__all__ = ["LiveRuntimes"]

WIDEST = 132  # columns of the picture
BESIDE = 100  # columns from which on the events stand beside the table, and not below it
BELOW = 6  # events that are shown there


class LiveRuntimes(LiveView, RuntimesView):
    """Tells the story with rich, and keeps table and events below it up to date."""

    def __init__(self, console: Console | None = None) -> None:
        self.roster = Roster(())  # the picture is asked for at once
        super().__init__(console)

    def begin(self, title: str, roster: Roster) -> None:
        self.roster = roster
        self._print(Text(title, style="bold"), 0, 0)

    def picture(self) -> RenderableType:
        """Who is in the directory and at what, and what was heard last."""
        width = min(self.console.width - MARGIN, WIDEST)
        if width < BESIDE:
            room = max(3, self.console.height - BELOW - 10)
            return Group(self._agents(width, room), self._events(width, min(BELOW, self.console.height // 4)))
        room = max(3, self.console.height - 7)
        left = 3 * width // 5
        grid = Table.grid()
        agents = self._agents(left, room)
        lines = min(room, len(self.roster.entries)) + 1
        grid.add_row(agents, self._events(width - left, lines + (2 if self.roster.found else 0)))
        return grid

    # -- the agents -----------------------------------------------------------

    def _agents(self, width: int, room: int) -> Panel:
        roster = self.roster
        entries = sorted(roster.entries.copy().values(), key=lambda entry: entry.runtime_id)
        parts: list[RenderableType] = [self._rows_of(entries, room)]
        if roster.found:
            parts += [Text(), _bar(roster)]
        present = sum(entry.present for entry in entries)
        title = f"in the directory: {counted(present, 'agent')}"
        return Panel(Group(*parts), title=title, title_align="left", border_style="cyan", width=width)

    def _rows_of(self, entries: list[Entry], room: int) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, show_edge=False, header_style="bold")
        for name in ("runtime", "agent", "pid", "status"):
            table.add_column(name, no_wrap=True)
        table.add_column("doing", no_wrap=True, ratio=1, overflow="ellipsis")
        table.add_column("done", justify="right")
        shown = _chosen(entries, room)
        for entry in shown:
            table.add_row(*_cells(entry), style=_style(entry))
        if len(shown) < len(entries):
            table.add_row(Text("..."), Text(f"{len(entries) - len(shown)} more"))
        return table

    # -- the events -----------------------------------------------------------

    def _events(self, width: int, lines: int) -> Panel:
        roster = self.roster
        texts = [_line(heard, roster) for heard in roster.heard[-lines:]]
        filler = [Text("")] * (lines - len(texts))
        return Panel(Group(*texts, *filler), title="events", title_align="left", border_style="cyan", width=width)


def _line(heard: Heard, roster: Roster) -> Text:
    delay = roster.delay(heard)
    when = f"{heard.at:5.1f} s " if delay is None else f"+{delay:4.0f} ms"
    return Text(f"{when} {heard.text}", style="" if delay is None else "red", no_wrap=True, overflow="ellipsis")


def _cells(entry: Entry) -> list[Text]:
    short = entry.agent_id.removeprefix(f"{entry.runtime_id}-")
    status = entry.status if entry.present else f"left: {entry.status}"
    doing = printable(entry.doing.rpartition("/")[2])
    cells = (entry.runtime_id, short, str(entry.pid), status, doing, str(entry.done))
    return [Text(cell) for cell in cells]


def _style(entry: Entry) -> str:
    if entry.status in ("unhealthy", "died", "expired"):
        return "red"
    if not entry.present:
        return "dim"
    return "green" if entry.doing else ""


def _chosen(entries: list[Entry], room: int) -> list[Entry]:
    """Those that fit, in order; if not all do, those who are gone give way, and then the idle ones."""
    if len(entries) <= room:
        return entries
    order = sorted(entries, key=lambda entry: (not entry.present, not entry.doing))
    chosen = {entry.agent_id for entry in order[: room - 1]}
    return [entry for entry in entries if entry.agent_id in chosen]


def _bar(roster: Roster) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column()
    grid.add_column(ratio=1)
    grid.add_column()
    done = f"{roster.read:,} of {counted(roster.found, 'file')} read"
    grid.add_row("reading", ProgressBar(total=roster.found, completed=roster.read), done)
    return grid
