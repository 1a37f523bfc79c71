"""What writes to the file: everything that waits goes into one transaction."""

from __future__ import annotations

import itertools
import logging
import math
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from agentreg.extensions.coordination.backend import Answer, Renew
from agentreg.extensions.coordination.errors import DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.sqlite.database import Database
from agentreg.extensions.coordination.sqlite.schema import Address
from agentreg.extensions.coordination.sqlite.tables import Entry, Heard, Item, Writing
from agentreg.extensions.coordination.sqlite.worker import Request, Worker

__all__ = ["Beats", "Writer"]

_log = logging.getLogger(__name__)

GROUP = 1_000  #: items in one transaction, more or less
BEATS = 2_000  #: beats that are due in one transaction
SHARE = 10  #: times as long as the last ones took to write, beats wait for the next time,
SLOWEST = 0.9  #: but no longer than this, in seconds: others hear of them within one


class Beats:
    """Beats that wait to be written. Thread-safe: there is a lock."""

    def __init__(self, clock: Callable[[], float], flush: float) -> None:
        self._clock = clock
        self._least = self._flush = flush
        self._due = 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._waiting: deque[Heard] = deque()
        self._since: float | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def note(self, batch: Iterable[Renew], ages: Iterable[float] = itertools.repeat(0.0)) -> bool:
        """Take them down, heard as many seconds ago as *ages* say; whether they are the first that wait."""
        if self._pid != os.getpid():  # forked: what waits is the parent's
            self._begin_anew()
        now, now_utc = self._clock(), time.time()
        beats = [
            Heard(item.runtime_id, item.agent_id, item.token, now - age, now_utc - age)
            for item, age in zip(batch, ages, strict=False)
        ]
        with self._lock:
            first = not self._waiting
            if first:
                self._due = time.monotonic() + self._flush
                self._since = self._due if self._since is None else self._since
            self._waiting.extend(beats)
        return first

    def pause(self) -> float | None:
        """Seconds until they are due; None if there are none."""
        return self._due - time.monotonic() if self._waiting else None

    def take(self, most: float = math.inf) -> list[Heard]:
        """Those that have waited longest, the last of each agent and runtime among them."""
        last: dict[object, Heard] = {}
        with self._lock:
            for _ in range(int(min(most, len(self._waiting)))):
                heard = self._waiting.popleft()
                last[heard.runtime_id if heard.agent_id is None else (heard.agent_id, heard.token)] = heard
        return list(last.values())

    def written(self) -> None:
        """Those that were taken are in the file."""
        with self._lock:
            self._since = time.monotonic() + self._flush if self._waiting else None

    def overdue(self) -> float:
        """Seconds by which the writing of the oldest is late; 0 if there are none, or it is not."""
        since = self._since
        return 0.0 if since is None or not self._waiting else max(time.monotonic() - since, 0.0)

    def took(self, seconds: float) -> None:
        """So long it took to write those that were taken."""
        self._flush = max(self._least, min(seconds * SHARE, SLOWEST))

    def put_back(self, beats: Sequence[Heard]) -> None:
        """They could not be written, and wait for the next time."""
        if beats:
            with self._lock:
                self._waiting.extendleft(reversed(beats))
                self._due = time.monotonic() + self._flush


class Writer:
    """The thread that writes, and its connection.

    Attributes:
        beats: Those that wait.
        trouble: Why the last transaction failed; None if it did not.

    Args:
        committed: Called in the thread after each transaction.
    """

    def __init__(self, address: Address, clock: Callable[[], float], committed: Callable[[], None]) -> None:
        self.beats = Beats(clock, address.flush)
        self.database = Database(address, clock)
        self._clock = clock
        self._history = address.history
        self._committed = committed
        self._ill = False
        self.trouble: Exception | None = None
        self.worker = Worker("write", self._round, self.beats.pause, self.database.close)

    def submit(self, items: Sequence[Item]) -> Future[Answer]:
        """Carry *items* out, after the beats that wait if there are none."""
        return self.worker.submit(items)

    def _round(self) -> None:
        group: list[Request] = []
        try:
            answers = self._transact(group)
        except (DirectoryUnavailableError, DamagedStoreError) as error:
            self._failed(group or self._begun(), error)
        except Exception as error:
            self._one_by_one(group or self._begun(), error)
        else:
            self._ill, self.trouble = False, None
            for request, answer in zip(group, answers, strict=True):
                request.future.set_result(answer)
            self._committed()

    def _begun(self) -> list[Request]:
        return [request for request in self.worker.take(GROUP, len) if request.begin()]

    def _transact(self, group: list[Request]) -> list[Answer]:
        """Answers for the requests in *group*; if that is empty, it is filled once it is our turn."""
        beats: list[Heard] = []
        try:
            with self.database.transaction(write=True) as connection:
                group += [] if group else self._begun()
                if any(_asks_for_beats(request.what) for request in group):
                    beats = self.beats.take()
                elif self._beats_are_due():
                    beats = self.beats.take(BEATS)
                answers = self._carried_out(connection, group, beats)
            if beats:
                self.beats.written()
            return answers
        except BaseException:
            self.beats.put_back(beats)
            raise

    def _beats_are_due(self) -> bool:
        pause = self.beats.pause()
        return pause is not None and pause <= 0

    def _carried_out(self, connection: sqlite3.Connection, group: list[Request], beats: list[Heard]) -> list[Answer]:
        writing = Writing(connection, self._clock())
        if beats:
            began = time.monotonic()
            writing.hear(beats)
            self.beats.took(time.monotonic() - began)
        answers = []
        for request in group:
            results = [writing.do(item) for item in request.what]
            answers.append(Answer(writing.last, results))
        writing.finish(self._history)
        return answers

    def _one_by_one(self, group: list[Request], error: Exception) -> None:
        """One of them can't be carried out: only that one shall fail."""
        if len(group) < 2:
            return self._failed(group, error)
        for request in group:
            try:
                answer = self._transact([request])[0]
            except Exception as its_own:
                request.future.set_exception(its_own)
            else:
                request.future.set_result(answer)
        self._committed()

    def _failed(self, group: list[Request], error: Exception) -> None:
        self.trouble = error
        for request in group:
            request.future.set_exception(error)
        if not self.worker.stays:  # nobody would see to it that they are written later
            self.beats.take()
        elif not group and not self._ill:
            _log.warning("heartbeats can't be written, and wait: %s", error)
            self._ill = True


def _asks_for_beats(items: Sequence[Item]) -> bool:
    return not items or any(not isinstance(item, Entry) and item.heard is not None for item in items)
