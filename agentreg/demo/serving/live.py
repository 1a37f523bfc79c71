"""The view for a terminal: who is there by kind, and what happens."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agentreg.demo.live import LiveView
from agentreg.demo.printable import counted, printable
from agentreg.demo.serving.scene import KINDS, Scene
from agentreg.demo.serving.views import ServingView, title

__all__ = ["LiveServing"]

NEWS = 8  # lines


class LiveServing(LiveView, ServingView):
    """Keeps a picture up to date while the demo runs."""

    def __init__(self, console: Console | None = None) -> None:
        self.scene: Scene | None = None  # the picture is asked for at once
        super().__init__(console)

    def begin(self, scene: Scene) -> None:
        self.scene = scene
        self.console.print(Text(f"{scene.url}/", style=f"bold link {scene.url}/"))
        self._print(Text(title(scene)), 0, 0)

    def picture(self) -> RenderableType:
        """Who is there, what has happened last, and how long it lasts."""
        scene = self.scene
        if scene is None:
            return Text("starting the service ...", style="dim")
        agents = list(scene.agents.copy().values())
        table = Table(box=None, expand=True, pad_edge=False, show_edge=False, header_style="bold")
        table.add_column("kind", no_wrap=True)
        table.add_column("now", justify="right")
        table.add_column("who", ratio=1, no_wrap=True, overflow="ellipsis")
        for kind in KINDS:
            names = sorted(each.name for each in agents if each.kind == kind)
            table.add_row(Text(kind), Text(str(len(names))), Text(printable(", ".join(names))))
        room = max(2, min(NEWS, self.console.height - len(KINDS) - 8))
        news = [Text(line, no_wrap=True, overflow="ellipsis") for line in list(scene.news)[-room:]]
        news += [Text("")] * (room - len(news))
        heading = f"{counted(len(agents), 'agent')}, {scene.tasks:,} tasks done, {scene.remaining:.0f} s left"
        content = Group(table, Text(), *news)
        return Panel(content, title=heading, title_align="left", border_style="cyan", width=self._width)
