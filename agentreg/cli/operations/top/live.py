"""The picture on a terminal, until somebody has had enough."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from agentreg.cli.client.watching import Alarm
from agentreg.cli.operations.top.collecting import Collector
from agentreg.cli.operations.top.controls import Controls, keys_in
from agentreg.cli.operations.top.picture import ALERTS, Picture, picture
from agentreg.cli.operations.top.screen import Keyboard, PlainScreen

if TYPE_CHECKING:
    from agentreg.cli.operations.top.drawing import Screen

__all__ = ["show"]

_AROUND = 9  # lines beside the agents: title, five totals, a line between, the head and the footer


def show(collector: Collector, controls: Controls, interval: float) -> None:
    """Draw the picture anew with every change and key, and every *interval* seconds.

    It ends with q, with a signal that asks for the end, or when the terminal
    is gone; whichever it is, the terminal is as it was before.
    """
    nobody = suppress(EOFError, OSError)  # the terminal is gone
    with Alarm() as alarm, collector, nobody, Keyboard() as keyboard, _screen() as screen:
        _loop(alarm, keyboard, screen, collector, controls, interval)


def _loop(
    alarm: Alarm,
    keyboard: Keyboard,
    screen: Screen | PlainScreen,
    collector: Collector,
    controls: Controls,
    interval: float,
) -> None:
    while not controls.done:
        screen.show(lambda lines: _picture(collector, controls, lines))
        rang, _ = alarm.wait(interval, collector.descriptor, *keyboard.descriptors)
        if rang:
            return
        collector.heard()
        for key in keys_in(keyboard.read()):
            controls.press(key)


def _picture(collector: Collector, controls: Controls, lines: int) -> Picture:
    """As many agents as *lines* have room for."""
    board = collector.board
    firing = len(board.firing())
    taken = min(firing, ALERTS) + (firing > ALERTS) + bool(board.trouble)
    return picture(board, controls, max(1, lines - _AROUND - taken))


def _screen() -> Screen | PlainScreen:
    if find_spec("rich") is None:
        return PlainScreen()
    from agentreg.cli.operations.top.drawing import Screen

    return Screen()
