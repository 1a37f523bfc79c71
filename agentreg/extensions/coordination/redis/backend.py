"""The store in Redis: any number of processes and machines share it."""

from __future__ import annotations

import asyncio
import logging
import os
import zlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from agentreg.extensions.coordination.backend import Answer, Changes, Delete, Patch, Put, Renew, Snapshot
from agentreg.extensions.coordination.errors import BackendURLError, DirectoryUnavailableError
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.record import AgentMetadata
from agentreg.extensions.coordination.redis import reading, scripts, wire, writing
from agentreg.extensions.coordination.redis.beats import WaitingBeats
from agentreg.extensions.coordination.redis.bell import Bell, Ring
from agentreg.extensions.coordination.redis.client import Client
from agentreg.extensions.coordination.redis.reading import News
from agentreg.extensions.coordination.redis.revision import START, Mark, Position, Revision
from agentreg.extensions.coordination.redis.scripts import Script
from agentreg.extensions.coordination.redis.urls import FORMS, parse
from agentreg.extensions.coordination.redis.writing import Chunk, Kind

__all__ = ["RedisBackend"]

_log = logging.getLogger(__name__)
Raw = list[Any]
Rings = list[Ring]
Told = list[tuple[News, Change, int]]

_inherited: list[object] = []  # a parent process' connections: never used here, and never closed

Item = TypeVar("Item")
T = TypeVar("T")
U = TypeVar("U")

TRIES = 5  #: listings that may be overtaken by changes


class RedisBackend:
    """A store in Redis or Valkey: one server, one that Sentinels name, or a cluster.

    Records are spread over partitions by agent id. What a batch does within
    one partition is done in order, in steps of some 200 items, each of which
    is atomic; partitions are independent of one another. With several,
    revisions are the sums of the partitions', as numbered by whoever reads:
    only `Revision` objects can be resumed from, and between agents of
    different partitions the order may differ from reader to reader.

    Thread-safe: no; it belongs to one event loop. A child process makes
    connections of its own, and must open it anew.

    Args:
        url: One of `agentreg.extensions.coordination.redis.urls.FORMS`.
    """

    def __init__(self, url: str) -> None:
        self.address = parse(url)
        self.url = self.address.url
        self._keep = str(self.address.history + 1)  # who resumes shows the change that it has last
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._client = Client(self.address)
        self._bell = Bell(self._client, lambda position: (*self._first_arguments(), *_reading(position, None)))
        self._beats = WaitingBeats(self._renew)
        self._seen = [START] * self.address.partitions
        self._met = self._opened = False
        self._false_alarm: Sequence[Position] = ()  # there the log goes on, but not with anything of ours
        self._clock = 0.0  # the wall clock of the first partition's server, less the event loop's

    async def open(self) -> None:
        """Make sure that the servers are there, and that they have as many partitions as we think."""
        await self._meet()
        self._opened = True

    async def close(self) -> None:
        """Write the beats that wait, end every connection. Twice is once; a later call makes new ones."""
        if self._is_ours():
            await self._beats.stop()
            await self._bell.stop()
            await self._client.close()
            self._begin()  # perhaps in another event loop

    def _is_ours(self) -> bool:
        """Whether this is the process that has made the connections; if not, make a new beginning."""
        if self._pid == os.getpid():
            return True
        _inherited.append((self._client, self._bell, self._beats))
        self._begin()
        return False

    async def _meet(self) -> None:
        if self._is_ours() and self._met:
            return
        count = str(self.address.partitions)
        answers = await self._everywhere(lambda p: self._run(scripts.HELLO, p, count))
        self._clock = int(answers[0][3]) / 1_000_000 - asyncio.get_running_loop().time()
        for answer in answers:
            if answer[2].decode() != count:
                reason = f"it has {answer[2].decode()} partitions, not {count}: set ?partitions= to that"
                raise BackendURLError(self.url, reason, FORMS)
        self._met = True

    # -- writing ------------------------------------------------------------

    async def put(self, batch: Sequence[Put]) -> Answer:
        """Enter records."""
        answer = await self._write(writing.PUT, batch)
        for place, held in enumerate(answer.results):
            if held is not None:
                answer.results[place] = self._holder(held, batch[place].record.agent_id)
        return answer

    def _holder(self, held: bytes, agent_id: str) -> AgentMetadata:
        try:
            return wire.record_of(held)[0]
        except Exception as error:
            self._warn(agent_id, error)
            return AgentMetadata(agent_id, "?")

    async def patch(self, batch: Sequence[Patch]) -> Answer:
        """Change records."""
        await self._tell_beats(batch)
        return await self._write(writing.PATCH, batch)

    async def delete(self, batch: Sequence[Delete]) -> Answer:
        """Remove records, and their beats with them."""
        await self._tell_beats(batch)
        return await self._write(writing.DELETE, batch)

    async def _tell_beats(self, batch: Sequence[Patch] | Sequence[Delete]) -> None:
        if any(item.heard is not None for item in batch):
            await self._beats.flush()

    async def renew(self, batch: Sequence[Renew]) -> Answer:
        """Note beats. Of a runtime that owns nothing, none is kept.

        While open, those of runtimes alone are written together within a
        twentieth of a second, unless that has failed the last time.
        """
        if not self._opened or not self._is_ours() or any(item.agent_id for item in batch):
            return await self._renew(batch)
        self._beats.note([item.runtime_id for item in batch])
        if self._beats.failing:
            await self._beats.flush()
        return Answer(Revision(self._seen), [True] * len(batch))

    async def _renew(self, batch: Sequence[Renew]) -> Answer:
        return await self._write(writing.RENEW, batch)

    async def _write(self, kind: Kind[Item], batch: Sequence[Item]) -> Answer:
        await self._meet()
        shares = self._shares(kind, batch)
        touched = [partition for partition, share in enumerate(shares) if share]
        began = self._now()
        answers = await self._everywhere(lambda p: self._write_share(kind, batch, p, shares[p], began), touched)
        if len(self._seen) == 1 and answers:
            return Answer(Revision([answers[0][0]]), answers[0][1])
        positions = list(self._seen)
        results: list[Any] = [None] * len(batch)
        for partition, (position, got) in zip(touched, answers, strict=True):
            positions[partition] = position
            for place, result in zip(shares[partition], got, strict=True):
                results[place] = result
        return Answer(Revision(positions), results)

    def _shares(self, kind: Kind[Item], batch: Sequence[Item]) -> Sequence[Sequence[int]]:
        """For each partition, which items of the batch are about it."""
        if len(self._seen) == 1:
            return [range(len(batch))]
        shares: list[list[int]] = [[] for _ in self._seen]
        for place, item in enumerate(batch):
            agent_id = kind.agent_id(item)
            for share in shares if agent_id is None else [shares[self._partition(agent_id)]]:
                share.append(place)
        return shares

    def _now(self) -> int:
        """The wall clock of the first partition's server, about, in microseconds."""
        return int((self._clock + asyncio.get_running_loop().time()) * 1_000_000)

    async def _write_share(
        self, kind: Kind[Item], batch: Sequence[Item], partition: int, share: Sequence[int], began: int
    ) -> tuple[Position, list[Any]]:
        results: list[Any] = []
        pieces = writing.chunks(kind, batch, share, partition)
        chunk: Chunk | None = next(pieces)
        while chunk is not None:
            call = self._run(kind.script, partition, chunk.text, self._moments(chunk, began))
            if chunk.last:
                answer, chunk = await call, None
            else:
                answer, chunk = await _meanwhile(call, lambda: next(pieces))
            results += kind.results(answer)
        return Position(answer[0], answer[1].decode()), results

    def _moments(self, chunk: Chunk, began: int) -> str:
        """When the batch began and the items' numbers in it: what orders them across partitions."""
        return "" if len(self._seen) == 1 else f"{began} {' '.join(map(str, chunk.places))}"

    async def _run(self, script: Script, partition: int, *arguments: str) -> list[Any]:
        """Every script begins with the same two arguments, and answers with where the partition is first."""
        answer = await self._client.run(script, partition, *self._first_arguments(), *arguments)
        self._seen[partition] = Position(answer[0], answer[1].decode())
        return answer

    def _first_arguments(self) -> tuple[str, str]:
        return os.urandom(6).hex(), self._keep

    async def _everywhere(self, work: Callable[[int], Any], partitions: Sequence[int] | None = None) -> list[Any]:
        """The results of *work* for partitions, all at once; for an error, all are awaited and it is raised."""
        places = range(len(self._seen)) if partitions is None else partitions
        if len(places) == 1:
            return [await work(places[0])]
        results = await asyncio.gather(*(work(partition) for partition in places), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    def _partition(self, name: str) -> int:
        count = len(self._seen)
        return zlib.crc32(name.encode("utf-8", "surrogatepass")) % count if count > 1 else 0

    # -- reading ------------------------------------------------------------

    async def list(self) -> Snapshot:
        """Everything, read in pieces: other calls, and other processes', come between them."""
        await self._meet()
        await self._beats.flush()
        listings = await self._everywhere(self._list_partition)
        news = [each.news for each in listings]
        beats = reading.merged([each.ages() for each in listings])
        mark = Mark([each.mark for each in news], asyncio.get_running_loop().time())
        return Snapshot(Revision([each.position for each in news]), reading.records_of(listings), beats, mark)

    async def _list_partition(self, partition: int) -> reading.Listing:
        for _ in range(TRIES):
            listing = reading.Listing(self._warn)
            start = await self._pages(partition, listing)
            news = await self._read(partition, start, 0)
            if news is not None and listing.catch_up(news):
                return listing
        raise DirectoryUnavailableError(self.url, "changes come faster than it can be listed; a longer ?history= helps")

    async def _pages(self, partition: int, listing: reading.Listing) -> Position:
        start, place = None, "0"
        while True:
            answer = await self._run(scripts.PAGE, partition, place, str(reading.PAGE))
            start = start or Position(answer[0], answer[1].decode())
            place = listing.add(answer).decode()
            if not place:
                return start

    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Changes | None:
        """What is new, after *wait* seconds at most if nothing is yet.

        While it waits it looks for beats ten times a second (twice, in a
        cluster), and changes wake it at once.
        """
        await self._meet()
        await self._beats.flush()
        parts = self._parts(since)
        if parts is None:
            return None
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        rings: list[Ring] = []
        while True:
            found = await self._changes(parts, mark, wait <= 0 or loop.time() >= self._due(mark), rings)
            if found is None or found.changes or found.beats or loop.time() >= until:
                return found
            mark = found.mark
            rings = await self._news(parts, max(0.001, min(until, self._due(mark)) - loop.time()))

    def _due(self, mark: int) -> float:
        """When to look for beats after *mark*."""
        interval = 0.5 if self.address.mode == "cluster" else 0.1
        return getattr(mark, "read", 0.0) + interval

    async def _news(self, parts: Sequence[Position], seconds: float) -> Rings:
        if parts == self._false_alarm:
            await asyncio.sleep(seconds)
            return []
        rings = await self._bell.wait(parts, seconds)
        if any(ring.heard for ring in rings):
            self._false_alarm = parts  # if it still is where we stand the next time
        return [ring for ring in rings if ring.heard]

    def _parts(self, since: int) -> tuple[Position, ...] | None:
        if isinstance(since, Revision):
            return since.parts if len(since.parts) == len(self._seen) else None
        if since == 0:
            return (START,) * len(self._seen)
        return (Position(int(since), ""),) if len(self._seen) == 1 and since > 0 else None

    async def _changes(
        self, parts: Sequence[Position], mark: int, look_for_beats: bool, rings: Sequence[Ring]
    ) -> Changes | None:
        read = asyncio.get_running_loop().time()
        known = {p: ring.answer for ring in rings for p, at in ring.positions.items() if at == parts[p]}
        news = await self._everywhere(
            lambda p: self._read(p, parts[p], wire.mark_in(mark, p) if look_for_beats else None, known.get(p))
        )
        if any(each is None for each in news):
            return None
        told = self._decoded(Revision(parts), news)
        if told is None:
            return None
        beats = reading.merged([reading.of_registrations(told), *[each.ages() for each in news]])
        revision = Revision([each.position for each in news])
        heard = Mark([each.mark for each in news], read) if look_for_beats else mark
        return Changes(revision, [change for _, change, _ in told], beats, heard)

    def _decoded(self, revision: Revision, news: Sequence[News]) -> Told | None:
        """The changes in order, each with where it was read and its tick; None if one can't be read."""
        told = []
        for partition, position, fields in reading.in_order(news):
            revision = revision.moved(partition, position)
            try:
                told.append((news[partition], *wire.change_of(revision, fields)))
            except Exception as error:
                _log.warning("%s: change %s in %s can't be read: %r", self.url, position.number, partition, error)
                return None
        return told

    async def _read(
        self, partition: int, position: Position, mark: int | None, answer: Raw | None = None
    ) -> News | None:
        """Everything after *position*, and the beats after *mark*; None if the log can't be resumed there.

        *answer* is what the script gives there, beats left out, if that is known.
        """
        news, upto = News(position), None
        while True:
            if answer is None or mark is not None:
                answer = await self._run(scripts.READ, partition, *_reading(news.position, mark))
            upto = answer[0] if upto is None else upto
            if not answer[2] or not news.add(answer, mark is not None):
                return None
            answer = None
            if mark is not None:
                mark = news.mark if news.more_beats else None
            if news.position.number >= upto and mark is None:
                return news

    def _warn(self, agent_id: str, error: Exception) -> None:
        key = f"{{{self.address.prefix}:{self._partition(agent_id)}}}:records"
        _log.warning("%s: the record %r in %s can't be read and is left out: %r", self.url, agent_id, key, error)


def _reading(position: Position, mark: int | None) -> tuple[str, ...]:
    """The arguments of read.lua after the first two."""
    beats_after = "-" if mark is None else str(mark)
    return str(position.number), position.nonce or "-", beats_after, str(reading.LIMIT)


async def _meanwhile(call: Coroutine[Any, Any, T], work: Callable[[], U]) -> tuple[T, U]:
    """Do *work* while the answer to *call* is on its way."""
    task = asyncio.create_task(call)
    try:
        await asyncio.sleep(0)  # it is sent now
        done = work()
    finally:
        answer = await task
    return answer, done
