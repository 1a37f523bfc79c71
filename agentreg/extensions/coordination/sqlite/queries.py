"""What can be asked: looked up within a transaction, then answered outside of it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentreg.extensions.coordination.backend import Answer, Beat, Changes, Renew, Snapshot
from agentreg.extensions.coordination.record import AgentMetadata, from_wire
from agentreg.extensions.coordination.sqlite.rows import from_row
from agentreg.extensions.coordination.sqlite.tables import Line, Reading, beat, change

__all__ = ["Known", "Listing", "Present", "Query", "Since"]

_log = logging.getLogger(__name__)

PART = 1_000  #: records that a listing reads at once; others get their turn in between


class Known:
    """What queries have to know besides the file: the clock, and which store was there before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._store: str | None = None

    def is_the_store(self, reading: Reading, anew: bool = False) -> bool:
        """Whether the file is still the one that was there at first, or *anew*: from now on it is."""
        store = reading.meta("store")
        if anew or self._store is None:
            self._store = store
        return bool(store == self._store)

    def beats(self, lines: Sequence[Line]) -> list[Beat]:
        """Beats, with their ages."""
        now = self.clock()
        return [beat(line, now) for line in lines]


class Query(ABC):
    """One question.

    Attributes:
        until: When to stop waiting for an answer, on the monotonic clock.
    """

    until = 0.0

    @abstractmethod
    def look(self, reading: Reading, known: Known) -> None:
        """Fetch what the answer needs."""

    def has_answer(self) -> bool:
        """Whether there is one; if not, it is looked again when there is news."""
        return True

    @abstractmethod
    def answer(self) -> Any:
        """Make it."""


class Listing(Query):
    """Asks for a `Snapshot`, a part at a time; its answer is None until it has the last part.

    What was changed while the parts were read is read again with the last.
    """

    def __init__(self) -> None:
        self._begin_anew(0)

    def _begin_anew(self, revision: int) -> None:
        self._start = self._revision = revision
        self._seq = 0
        self._records: dict[str, tuple[int, AgentMetadata]] = {}
        self._entered: dict[str, float] = {}
        self._touched: list[str] = []

    def look(self, reading: Reading, known: Known) -> None:
        """Fetch the next part."""
        if not self._seq or not known.is_the_store(reading) or not reading.reaches_back_to(self._start):
            known.is_the_store(reading, anew=True)
            self._begin_anew(reading.revision())
        self._rows = reading.rows(self._seq, PART)
        self._is_last = len(self._rows) < PART
        if self._is_last:
            self._finish(reading, known)
        else:
            self._seq = self._rows[-1][0]

    def _finish(self, reading: Reading, known: Known) -> None:
        self._revision, self._mark = reading.revision(), reading.meta("mark")
        self._beats, self._now = known.beats(reading.beats(-1)), known.clock()
        self._touched = reading.touched(self._start)
        if self._touched:
            self._rows += reading.rows_touched(self._start)

    def answer(self) -> Snapshot | None:
        """Take in the part, and after the last make the whole."""
        if self._is_last and self._touched:
            for agent_id in self._touched:
                self._records.pop(agent_id, None)
        for row in self._rows:
            try:
                record = from_wire(from_row(row))
            except (ValueError, TypeError) as error:  # somebody else wrote it
                _log.error("the record of agent %r can't be read, and is left out: %s", row[2], error)
                continue
            self._records[record.agent_id] = row[0], record
            self._entered[record.agent_id] = row[-1]
        return self._whole() if self._is_last else None

    def _whole(self) -> Snapshot:
        pairs = list(self._records.values())
        if self._touched:
            pairs.sort(key=lambda pair: pair[0])
        beaten = {beat.agent_id for beat in self._beats}
        for _, record in pairs:
            if record.agent_id not in beaten:  # registering counts as a beat
                age = max(self._now - self._entered[record.agent_id], 0.0)
                self._beats.append(Beat(record.runtime_id, record.agent_id, age))
        return Snapshot(self._revision, [record for _, record in pairs], self._beats, self._mark)


@dataclass
class Since(Query):
    """Asks for `Changes`, and waits for some; None if they are not to be had."""

    since: int
    mark: int
    until: float

    def look(self, reading: Reading, known: Known) -> None:
        """Fetch them."""
        self._lines: list[Line] | None = None
        if known.is_the_store(reading) and reading.reaches_back_to(self.since):
            lines = self._lines = reading.log(self.since)
            entered = reading.entered(lines[0][0], lines[-1][0]) if lines else []  # registering counts as a beat
            self._beats, self._mark = known.beats(entered + reading.beats(self.mark)), reading.meta("mark")

    def has_answer(self) -> bool:
        """Whether there is anything."""
        return self._lines is None or bool(self._lines or self._beats)

    def answer(self) -> Changes | None:
        """Make it."""
        if self._lines is None:
            return None
        try:
            changes = [change(line) for line in self._lines]
        except (ValueError, TypeError) as error:  # a listing takes the place of what somebody else wrote
            _log.error("the changes after %d can't be read: %s", self.since, error)
            return None
        return Changes(changes[-1].revision if changes else self.since, changes, self._beats, self._mark)


class Present(Query):
    """Asks which of the agents that are to be renewed are there."""

    def __init__(self, batch: Sequence[Renew]) -> None:
        self._batch = batch

    def look(self, reading: Reading, known: Known) -> None:
        """Look each of them up."""
        known.is_the_store(reading)
        results = [item.agent_id is None or reading.has(item.agent_id, item.token) for item in self._batch]
        self._answer = Answer(reading.revision(), results)

    def answer(self) -> Answer:
        """For `Backend.renew`."""
        return self._answer
