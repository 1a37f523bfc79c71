"""What reads the file, and waits for news in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from agentreg.extensions.coordination.sqlite.database import Database
from agentreg.extensions.coordination.sqlite.queries import Known, Query
from agentreg.extensions.coordination.sqlite.schema import Address
from agentreg.extensions.coordination.sqlite.tables import Reading
from agentreg.extensions.coordination.sqlite.worker import Request, Worker

__all__ = ["Reader"]

SOON = 4  #: times as often as else, it is looked for news soon after some
RESTLESS = 0.1  #: seconds after news in which the file's time, of some milliseconds, says nothing
THOROUGH = 0.5  #: seconds after which it isn't relied upon any more
GROUP = 100


class Reader:
    """The thread that reads, and its connection."""

    def __init__(self, address: Address, clock: Callable[[], float]) -> None:
        self.database = Database(address, clock)
        self._later = address.look
        self._soon = address.look / SOON
        self._known = Known(clock)
        self._watching: list[Request] = []
        self._seen: object = None
        self._stamp: object = None
        self._restless = self._last = self._next = 0.0
        self.worker = Worker("read", self._round, self._pause, self._rest)

    def submit(self, query: Query) -> Future[Any]:
        """Ask the file."""
        return self.worker.submit(query)

    def news(self) -> None:
        """This process has changed the file."""
        if self._watching:
            self.worker.wake()

    def _pause(self) -> float | None:
        if not self._watching:
            return None
        now = time.monotonic()
        if now < self._restless:
            return self._last + self._soon - now
        if now >= self._next or self.database.stamp() != self._stamp:
            return 0.0
        return min(self._later, self._next - now)

    def _round(self) -> None:
        self._watching = [request for request in self._watching if not request.cancelled()]
        asked = self.worker.take(GROUP)
        if self._watching and self._is_new():
            asked += self._watching
            self._watching = []
        if asked:
            self._ask(asked)
        self._watching = [request for request in self._watching if not self._is_over(request)]
        self._last = time.monotonic()
        self._next = min([self._last + THOROUGH, *[request.what.until for request in self._watching]])

    def _rest(self) -> None:
        watching, self._watching = self._watching, []
        for request in watching:  # closed: there will be no news
            self._answer(request)
        self.database.close()

    def _is_new(self) -> bool:
        self._stamp = self.database.stamp()
        before, self._seen = self._seen, self.database.version()
        if self._seen == before:
            return False
        self._restless = time.monotonic() + RESTLESS
        return True

    def _ask(self, asked: list[Request]) -> None:
        try:
            with self.database.transaction(write=False) as connection:
                reading = Reading(connection)
                for request in asked:
                    request.what.look(reading, self._known)
        except Exception as error:
            for request in asked:
                if request.begin():
                    request.future.set_exception(error)
        else:
            for request in asked:
                if request.what.has_answer():
                    self._answer(request)
                else:
                    self._watching.append(request)

    def _is_over(self, request: Request) -> bool:
        over: bool = request.what.until <= time.monotonic()
        if over:
            self._answer(request)
        return over

    def _answer(self, request: Request) -> None:
        if request.begin():
            try:
                request.future.set_result(request.what.answer())
            except Exception as error:
                request.future.set_exception(error)
