"""The store in a file: for several processes of one machine.

Writers, and readers where there is no write-ahead log, take turns by a lock
file beside the database: SQLite's own waiting favours whoever was there
last. Others may read the file with SQL while it is in use; the view
``agents`` is made for them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from agentreg.extensions.coordination.backend import Answer, Changes, Delete, Patch, Put, Renew, Snapshot
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.sqlite.queries import Listing, Present, Since
from agentreg.extensions.coordination.sqlite.reader import Reader
from agentreg.extensions.coordination.sqlite.schema import Address
from agentreg.extensions.coordination.sqlite.tables import prepared
from agentreg.extensions.coordination.sqlite.writer import Writer

__all__ = ["SQLiteBackend"]

T = TypeVar("T")

CHUNK = 500  #: items of one transaction: others get their turn in between
MANY = 5_000  #: items that are only looked up


class SQLiteBackend:
    """Records in a SQLite file.

    A long batch is carried out in several transactions, a long listing is
    read in several, and the time-out counts for each of them. What has timed
    out before its turn came is not done at all. Thread-safe: calls may come
    from several event loops. Between a fork and `open`, a child's calls work
    as before `open`.

    Args:
        url: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``, with ``?timeout=`` (seconds, 5),
            ``history=`` (changes that the log keeps, 100,000), ``flush=`` (seconds that a beat waits at most
            until it is written, 0.1) and ``look=`` (seconds between two looks whether other processes have
            changed the file, 0.02). Raises BackendURLError.
        clock: Monotonic seconds, the same for all processes that use the file.
    """

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self.url = url
        self._address = Address.of(url)
        self._reader = Reader(self._address, clock)
        self._writer = Writer(self._address, clock, self._reader.news)
        self._opened_in = 0

    async def open(self) -> None:
        """Make the file if there is none, check it, and keep two threads until `close`.

        Raises DirectoryUnavailableError, DamagedStoreError (the next
        `open` then begins a new file), or ForeignStoreError for a file
        that is something else.
        """
        try:
            await self._answer(self._writer.submit(()), self._writer)
            await self._answer(self._reader.submit(Present(())), self._reader)
        except BaseException:
            for each in (self._writer, self._reader):
                each.worker.close()
            raise
        self._opened_in = os.getpid()
        for each in (self._writer, self._reader):
            each.worker.stay()

    async def close(self) -> None:
        """Write the beats that wait, end the threads, close the file; one that is stuck in a lock is left to itself."""
        self._opened_in = 0
        if self._writer.beats.pause() is not None:
            self._writer.submit(())
        workers = [each.worker for each in (self._writer, self._reader)]
        ends = [asyncio.wrap_future(worker.close()) for worker in workers]
        done, _ = await asyncio.wait(ends, timeout=self._address.timeout)
        for worker, end in zip(workers, ends, strict=True):
            if end in done:
                worker.join()
            else:
                end.cancel()

    async def put(self, batch: Sequence[Put]) -> Answer:
        """Enter records."""
        return await self._write(batch)

    async def patch(self, batch: Sequence[Patch]) -> Answer:
        """Change records."""
        return await self._write(batch)

    async def delete(self, batch: Sequence[Delete]) -> Answer:
        """Remove records, and their beats with them."""
        return await self._write(batch)

    async def _write(self, batch: Sequence[Put] | Sequence[Patch] | Sequence[Delete]) -> Answer:
        if not batch:
            return await self.renew(())
        answers: list[Answer] = []
        under_way: Future[Answer] | None = None
        for start in range(0, len(batch), CHUNK):
            items = [prepared(item) for item in batch[start : start + CHUNK]]  # while the last chunk is being written
            if under_way is not None:
                answers.append(await self._answer(under_way, self._writer))
            under_way = self._writer.submit(items)
        assert under_way is not None
        answers.append(await self._answer(under_way, self._writer))
        return _join(answers)

    async def renew(self, batch: Sequence[Renew]) -> Answer:
        """Note beats, to be written with the next that are due; if the store isn't open, at once."""
        if batch:
            self.note(batch)
        if batch and self._opened_in != os.getpid():
            await self._answer(self._writer.submit(()), self._writer)
        queries = [Present(batch[start : start + MANY]) for start in range(0, len(batch) or 1, MANY)]
        return _join([await self._answer(self._reader.submit(query), self._reader) for query in queries])

    def note(self, batch: Sequence[Renew], ages: Iterable[float] = itertools.repeat(0.0)) -> None:
        """`renew` for those who need no answer: nothing is looked up. Only of an open store are they written soon.

        *ages* are the seconds since each of them was heard; left out: now.
        """
        if self._writer.beats.note(batch, ages):
            self._writer.worker.wake()

    def lateness(self) -> tuple[float, Exception | None]:
        """By how many seconds the writing of beats is late, and why as far as that is known. Thread-safe."""
        return self._writer.beats.overdue(), self._writer.trouble

    async def list(self) -> Snapshot:
        """Everything, the beats included that wait."""
        if self._writer.beats.pause() is not None:
            await self._answer(self._writer.submit(()), self._writer)
        listing = Listing()
        snapshot: Snapshot | None = None
        while snapshot is None:
            snapshot = await self._answer(self._reader.submit(listing), self._reader)
        return snapshot

    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Changes | None:
        """What is new, after *wait* seconds at most; at most 2,000 changes at once."""
        query = Since(since, mark, time.monotonic() + wait)
        return await self._answer(self._reader.submit(query), self._reader, wait)

    async def _answer(self, future: Future[T], of: Writer | Reader, more: float = 0.0) -> T:
        waiting = asyncio.wrap_future(future)
        try:
            await asyncio.wait((waiting,), timeout=self._address.timeout + more)
            if waiting.done():
                return waiting.result()
        finally:
            future.cancel()  # what has not begun never will
            waiting.cancel()
        raise DirectoryUnavailableError(self.url, f"nothing within {self._address.timeout:g} s, {_why(of)}")


def _join(answers: Sequence[Answer]) -> Answer:
    return Answer(answers[-1].revision, [result for answer in answers for result in answer.results])


def _why(of: Writer | Reader) -> str:
    lock = of.database.lock
    return f"{lock.holder() or 'someone'} holds {lock.path}" if lock.waiting else "the disk or another program is slow"
