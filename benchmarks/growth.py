"""Draw what each store's operations cost as its records grow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from figures import Point
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator
from plot import STYLE, counted, rounded

__all__ = ["draw"]

COLOURS = ("#0b5cad", "#d1603d", "#8a6d9e", "#4d8c57", "#b58900", "#5f6b7a", "#a33b6b", "#2a9d8f", "#777777")


def draw(points: Iterable[Point], place: Path, title: str, caption: str) -> None:
    """One panel for each store, all on one scale, one line for each operation."""
    panels: dict[str, dict[str, list[Point]]] = {}
    for point in points:
        panels.setdefault(point.who, {}).setdefault(point.operation, []).append(point)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(4.4 * len(panels), 4.6), sharey=True, squeeze=False)
        for panel, (store, lines) in zip(axes[0], panels.items(), strict=True):
            panel.set_title(store, loc="left", size=10, weight="bold")
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: counted(value)))
            panel.xaxis.set_minor_locator(NullLocator())
            for colour, (operation, line) in zip(COLOURS, lines.items(), strict=False):
                last = rounded(line[-1].seconds)
                sizes, seconds = [point.agents for point in line], [point.seconds for point in line]
                panel.plot(sizes, seconds, "o-", color=colour, lw=1.6, ms=4, label=f"{operation}, {last}")
            panel.legend(fontsize=7.5, frameon=False, loc="upper left")
        low, high = axes[0][0].get_ylim()
        axes[0][0].set_ylim(low, high * 30)  # room for the legends
        axes[0][0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded(value)))
        figure.suptitle(title, x=0.012, ha="left", size=13)
        figure.text(0.012, 0.015, caption, size=7.5, color="#777777")
        figure.supxlabel("records in the store", size=9, y=0.06)
        figure.tight_layout(rect=(0, 0.05, 1, 0.99), w_pad=1.2)
        figure.savefig(place, dpi=140)
        plt.close(figure)
