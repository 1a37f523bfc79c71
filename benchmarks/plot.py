"""Draw cost.png: what five operations cost as the registry grows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from figures import Point, shown
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

__all__ = ["STYLE", "counted", "draw", "rounded"]

PLACE = Path(__file__).with_name("cost.png")
TITLE = "Asking a registry of 100 agents, and one of 1,000,000: what a call costs"
COLOURS = {"agentreg": "#0b5cad", "marsys": "#d1603d", "kaizen": "#8a6d9e"}
INK, FAINT = "#333333", "#dddddd"
STYLE: Any = {
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#eeeeee",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.major.size": 0,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


def draw(points: Iterable[Point], caption: str) -> None:
    """One panel for each operation, all on one scale, one line for each registry."""
    panels: dict[str, dict[str, list[Point]]] = {}
    for point in points:
        panels.setdefault(point.operation, {}).setdefault(point.who, []).append(point)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(2.4 * len(panels), 4.4), sharex=True, sharey=True)
        for panel, (operation, lines) in zip(axes, panels.items(), strict=True):
            _draw_panel(panel, operation, lines)
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded(value)))
        figure.suptitle(TITLE, x=0.012, ha="left", size=13)
        figure.text(0.012, 0.015, caption, size=7.5, color="#777777")
        figure.supxlabel("agents in the registry", size=9, y=0.06)
        figure.tight_layout(rect=(0, 0.045, 1, 0.99), w_pad=1.2)
        figure.savefig(PLACE, dpi=160)
        plt.close(figure)


def _draw_panel(panel: Any, operation: str, lines: dict[str, list[Point]]) -> None:
    panel.set_title(operation, loc="left", size=9.5, weight="bold")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_ylim(1e-8, 3)
    panel.yaxis.set_major_locator(LogLocator(numticks=12))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: counted(value)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_locator(NullLocator())
    lowest = min(lines, key=lambda who: lines[who][-1].seconds)
    for who, points in lines.items():
        _draw_line(panel, who, points, below=who == lowest)


def _draw_line(panel: Any, who: str, points: list[Point], below: bool) -> None:
    """A line with its name and last figure, below it or above, clear of the line itself."""
    agents, seconds = [point.agents for point in points], [point.seconds for point in points]
    ours = who == "agentreg"
    panel.plot(agents, seconds, "o-", color=COLOURS[who], lw=2.2 if ours else 1.4, ms=4)
    panel.annotate(
        f"{who} {rounded(seconds[-1])}",
        (agents[-1], min(seconds) if below else seconds[-1]),
        xytext=(4, -14 if below else 8),
        textcoords="offset points",
        ha="right",
        color=COLOURS[who],
        weight="bold" if ours else "normal",
        size=8.5,
    )


def rounded(seconds: float) -> str:
    """As `shown`, with two digits: more than that is noise."""
    number, unit = shown(float(f"{seconds:.2g}"), "s").split()
    return f"{float(number):g} {unit}"


def counted(agents: float) -> str:
    """A number of agents, in thousands or millions."""
    return f"{agents / 1e6:.0f}M" if agents >= 1e6 else f"{agents / 1e3:.0f}k" if agents >= 1e3 else f"{agents:.0f}"
