"""The collector: keeps the board current, in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from typing_extensions import Self

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.errors import NoServiceError
from agentreg.cli.errors import CommandError
from agentreg.cli.operations.asking import ask, items, place
from agentreg.cli.operations.top.board import Board
from agentreg.cli.operations.top.columns import METRICS
from agentreg.cli.operations.top.news import News

__all__ = ["Collector"]

PERIODS = {"agents": 5.0, "metrics": 10.0, "alerts": 10.0}  # seconds, where the stream of events says what is new
_ALERTS = 1000  # of one answer
_SPAN = "10m"  # of the totals


class Collector:
    """Asks the service for what has changed.

    Args:
        caller: Who asks; from `start` on, only the collector's thread uses it.
        interval: Seconds between two questions where there is no stream of events.
        clock: Seconds, never going back.

    Attributes:
        board: What is known now.
        descriptor: Within the block: can be read when the board is a new one.
    """

    def __init__(self, caller: Caller, interval: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.board = Board()
        self._caller = caller
        self._interval = interval
        self._clock = clock
        self._changed = threading.Condition()
        self._nudged = set(PERIODS)
        self._asked = dict.fromkeys(PERIODS, float("-inf"))
        self._over = False
        self._service = caller.find()
        self._news = News(lambda: self._service, self.nudge)
        self._thread = threading.Thread(target=self._run, daemon=True, name="agentreg-top")

    def __enter__(self) -> Self:
        """Keep the board current until the end of the block."""
        self._ear, self._bell = socket.socketpair()
        for end in (self._ear, self._bell):
            end.setblocking(False)
        self.descriptor = self._ear.fileno()
        self._news.start()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._news.close()
        self._thread.join(self._caller.timeout)
        self._ear.close()
        self._bell.close()

    @property
    def listening(self) -> bool:
        """Whether the stream of events is open, so that news come by themselves."""
        return self._news.listening

    def nudge(self, what: str) -> None:
        """Ask for *what* soon. Thread-safe."""
        with self._changed:
            self._nudged.add(what)
            self._changed.notify()

    def heard(self) -> None:
        """Forget that the board was a new one; see `descriptor`."""
        with suppress(OSError):
            self._ear.recv(1024)

    # -- asking -------------------------------------------------------------

    def refresh(self) -> None:
        """Ask for all that is due. Raises CommandError as `ask` does."""
        for what in self._due():
            changes = getattr(self, f"_{what}")()
            self.board = replace(self.board, **changes, trouble="", url=self._service.url)
            self._asked[what] = self._clock()

    def _due(self) -> list[str]:
        now = self._clock()
        with self._changed:
            due = [what for what in PERIODS if what in self._nudged or now - self._asked[what] >= self._period(what)]
            self._nudged.clear()
        return due

    def _period(self, what: str) -> float:
        return PERIODS[what] if self.listening else self._interval

    def _run(self) -> None:
        while not self._over:
            try:
                self.refresh()
            except NoServiceError:
                self._lost("no service; waiting for one")
            except CommandError as error:
                self._lost(str(error))
            with suppress(OSError):  # it is full: it rings already
                self._bell.send(b"\0")
            self._rest()

    def _lost(self, why: str) -> None:
        self.board = replace(self.board, trouble=why)
        with suppress(CommandError):
            self._service = self._caller.find()  # it may have moved
        with self._changed:
            self._nudged = set(PERIODS)

    def _rest(self) -> None:
        """Wait for the next question: not as often as things change."""
        with self._changed:
            if not self._over:
                self._changed.wait_for(lambda: self._over, self._interval)

    # -- what there is ------------------------------------------------------

    def _agents(self) -> dict[str, Any]:
        return {"agents": items(ask(self._caller, "GET", "/agents").document, "agents")}

    def _alerts(self) -> dict[str, Any]:
        answer = ask(self._caller, "GET", place("alerts", state="active", limit=_ALERTS))
        return {"alerts": items(answer.document, "alerts")}

    def _metrics(self) -> dict[str, Any]:
        known = {str(each.get("name")) for each in items(self._ask("metrics"), "metrics")}
        wanted = [metric for metric in METRICS if metric in known]
        return {
            "latest": {metric: _numbers(self._ask("metrics", "latest", metric=metric)) for metric in wanted},
            "totals": {metric: _means(self._ask("metrics", metric=metric, since=_SPAN)) for metric in wanted},
        }

    def _ask(self, *parts: str, **query: object) -> dict[str, Any]:
        return ask(self._caller, "GET", place(*parts, **query)).document


def _numbers(document: dict[str, Any]) -> dict[str, float]:
    values = document.get("values")
    found = values.items() if isinstance(values, dict) else ()
    return {agent: value for agent, value in found if isinstance(value, (int, float))}


def _means(document: dict[str, Any]) -> list[float]:
    means = [point.get("mean") for point in items(document, "points")]
    return [mean for mean in means if isinstance(mean, (int, float))]
