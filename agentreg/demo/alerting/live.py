"""The view for a terminal: the readers, what their tasks take, and what fires."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agentreg.demo.alerting.scene import Lane, Scene
from agentreg.demo.alerting.views import AlertingView
from agentreg.demo.live import LiveView

__all__ = ["LiveAlerting", "bars"]

_TICKS = "▁▂▃▄▅▆▇█"
_FULL = 0.075  # seconds: the highest bar
_SHOWN = 32


class LiveAlerting(LiveView, AlertingView):
    """Keeps a picture up to date while the demo runs."""

    def __init__(self, console: Console | None = None) -> None:
        self.scene = Scene()  # the picture is asked for at once
        super().__init__(console)

    def watch(self, scene: Scene) -> None:
        self.scene = scene

    def picture(self) -> RenderableType:
        """A row for each reader."""
        table = Table(box=None, expand=True, pad_edge=False, show_edge=False, header_style="bold")
        table.add_column("agent", no_wrap=True)
        table.add_column("tasks", justify="right")
        table.add_column("response", justify="right", no_wrap=True)
        table.add_column("", ratio=1, no_wrap=True, overflow="crop")
        table.add_column("alert", no_wrap=True)
        for name, lane in self.scene.lanes.items():
            table.add_row(*_cells(name, lane), style="bold red" if lane.alert else "")
        heading = f"response time of the last tasks, {self.scene.seconds:.0f} s"
        return Panel(table, title=heading, title_align="left", border_style="cyan", width=self._width)


def _cells(name: str, lane: Lane) -> tuple[Text, ...]:
    times = list(lane.times)
    last = f"{1000 * times[-1]:.1f} ms" if times else "-"
    return Text(name), Text(f"{lane.tasks:,}"), Text(last), Text(bars(times)), Text(lane.alert or "-")


def bars(times: list[float]) -> str:
    """The last of *times*, in seconds, as little bars.

    >>> bars([0.0, 0.03, 0.09])
    '▁▄█'
    """
    heights = (min(1.0, seconds / _FULL) for seconds in times[-_SHOWN:])
    return "".join(_TICKS[round(height * (len(_TICKS) - 1))] for height in heights)
