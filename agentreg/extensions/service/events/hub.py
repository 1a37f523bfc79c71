"""One reading of the directory's changes, for all who listen to the service."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, Change, Listing, Resync
from agentreg.extensions.coordination.ending import end
from agentreg.extensions.service.events.frames import Frame, encoded, frames_of, listing, time_of
from agentreg.extensions.service.events.packets import Filter, Packet, Wire

__all__ = ["BOUND", "Filter", "Hub", "Packet", "Reader", "Wire"]

TICK = 0.05  #: seconds; what happens within one goes out together
BOUND = 800_000  #: bytes that may wait for one reader here; the system keeps some more for it
RECENT = 1.0  #: seconds for which a listing is good enough for others who come, with the changes since
LATER = 1_000  #: frames of such changes
SLICE = 50  #: readers who are written to in one go
TIMES = 10_000  #: of changes that are remembered
ALERTS = 200  #: alerts that are told again to those who come back

_NOTHING: tuple[str, int, float, Packet] = ("", -1, 0.0, Packet([]))


class Reader:
    """One who listens: what waits for it, never more than `BOUND` bytes and a listing.

    It is asked for what is `next`, or told where to `flow_to`.

    Attributes:
        filter: What it wants.
        position: The last revision that it has been told of, or is about to be.
        overflown: Whether it has read too slowly; it gets nothing more.
    """

    __slots__ = (
        "_ended", "_leave", "_most", "_news", "_size", "_too_much", "_waiting", "_wire", "filter", "overflown",
        "position",
    )  # fmt: skip

    def __init__(self, filter: Filter) -> None:
        self.filter = filter
        self.position = 0
        self.overflown = False
        self._ended = False
        self._waiting: deque[Packet] = deque()
        self._size = 0
        self._most = BOUND
        self._news = asyncio.Event()
        self._too_much = asyncio.Event()
        self._wire: Wire | None = None
        self._leave: Callable[[], None] = _stay

    async def until_overflown(self) -> None:
        """Return once too much waits for it."""
        await self._too_much.wait()

    def push(self, packet: Packet) -> None:
        """Have this wait for it."""
        if self.overflown:
            return
        if self._wire is not None:
            self._write(self._wire, packet)
        elif self._size + packet.size > BOUND:
            self._waiting.clear()
            self._overflow()
        else:
            self._waiting.append(packet)
            self._size += packet.size
        self._news.set()

    def _write(self, wire: Wire, packet: Packet) -> None:
        waiting = wire.waiting
        if waiting < BOUND:
            self._most = BOUND
        if waiting + packet.size > self._most:
            self._overflow()
        else:
            wire.write_frame(packet.wire)

    def _overflow(self) -> None:
        self.overflown = True
        self._too_much.set()
        self._leave()

    def begin_with(self, packet: Packet) -> None:
        """Have this wait for it, and nothing else; a listing may be of any size: all share it."""
        self._waiting.clear()
        if self._wire is not None:
            self._most = BOUND + self._wire.waiting + packet.size
            self._wire.write_frame(packet.wire)
            return
        self._waiting.append(packet)
        self._size = packet.size if packet.size < BOUND else 0
        self._news.set()

    def put_first(self, texts: list[bytes]) -> None:
        """Have these wait for it before all else."""
        if texts:
            self._waiting.appendleft(Packet(texts))
            self._news.set()

    def flow_to(self, wire: Wire, leave: Callable[[], None]) -> None:
        """From now on, write everything to *wire*; call *leave* once it is over."""
        self._leave = leave
        while self._waiting:
            packet = self._waiting.popleft()
            self._most += packet.size
            wire.write_frame(packet.wire)
        self._wire = wire
        if self._ended or self.overflown:
            leave()

    def end(self) -> None:
        """It gets nothing more."""
        self._ended = True
        self._news.set()
        self._leave()

    async def next(self, timeout: float | None = None) -> Packet | None:
        """What goes out next; None once it is over. Raises TimeoutError."""
        while not self._waiting:
            if self._ended or self.overflown:
                return None
            self._news.clear()
            await (self._news.wait() if timeout is None else asyncio.wait_for(self._news.wait(), timeout))
        packet = self._waiting.popleft()
        self._size = max(self._size - packet.size, 0)
        return packet


def _stay() -> None:
    """Nobody is to be told yet."""


class Hub:
    """Reads `AgentDirectory.watch` once, encodes each event once, and hands it to every reader.

    Args:
        directory: Whose changes.
        ending: Set when all streams are to be closed.
        watches_memory: Whether memory that runs out is told of as soon as a record says so; not where rules watch it.

    Attributes:
        told: How many events were put on the stream, each counted once.
    """

    def __init__(self, directory: AgentDirectory, ending: asyncio.Event, watches_memory: bool = True) -> None:
        self._directory = directory
        self._agents = directory.agents
        self._ending = ending
        self._readers: set[Reader] = set()
        self._overflown = 0
        self.told = 0
        self._capabilities: dict[str, frozenset[str]] = {}
        self._pending: list[Frame] = []
        self._sent = 0  # the last revision that readers were told of
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[None] | None = None
        self._listed = _NOTHING
        self._later: list[Frame] = []  # than what is listed there
        self._watches_memory = watches_memory
        self._asides: list[Frame] = []  # that are no changes
        self._times: dict[int, float] = {}  # of revisions, in order of telling
        self._alerts: deque[Frame] = deque(maxlen=ALERTS)

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._readers)

    @property
    def overflown(self) -> int:
        """How many were too slow so far."""
        return self._overflown + sum(reader.overflown for reader in self._readers)

    async def close(self) -> None:
        """End every stream."""
        self._ending.set()
        self._end_readers()
        await end(self._tasks)

    def _end_readers(self) -> None:
        for reader in self._readers:
            reader.end()

    # -- reading along ------------------------------------------------------

    async def _begin(self) -> None:
        """Read along, from the first reader on."""
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            works = {"follow": self._follow(), "send": self._send(), "end": self._end()}
            self._tasks = [asyncio.create_task(work, name=f"agentreg-events-{name}") for name, work in works.items()]
        await asyncio.shield(self._ready)

    async def _follow(self) -> None:
        async for item in self._directory.watch():
            if isinstance(item, Resync):
                self._begin_anew(item)
            elif isinstance(item, Listing):
                self._take(item)
            else:
                self._pending += self._frames(item)
        self._end_readers()

    def _take(self, item: Listing) -> None:
        self._capabilities = {each.agent_id: _lowered(each) for each in item.agents}
        self._sent = item.revision
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _begin_anew(self, item: Resync) -> None:
        """Nobody knows what happened meanwhile: everyone gets a new listing."""
        self._pending.clear()
        self._take(item)
        for reader in self._readers:
            self._list(reader, "resync")

    def _frames(self, change: Change) -> list[Frame]:
        agent_id = change.agent_id
        record = change.record or self._agents.get(agent_id)
        if record is not None:
            self._capabilities[agent_id] = _lowered(record)
        capabilities = self._capabilities.get(agent_id, frozenset())
        if change.kind == "deregistered":
            self._capabilities.pop(agent_id, None)
        return frames_of(change, record, capabilities, self._watches_memory, self._time_of(change))

    def _time_of(self, change: Change) -> float:
        """When it happened. Of some changes a store keeps no time: then when it was first told here, to anyone."""
        known = time_of(change)
        if known is not None:
            return known
        if len(self._times) >= TIMES:
            del self._times[next(iter(self._times))]
        return self._times.setdefault(change.revision, time.time())

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._pending or self._asides:
                await self._flush()

    async def _flush(self) -> None:
        """Hand everyone what has happened."""
        frames, self._pending = self._pending, []
        asides, self._asides = self._asides, []
        self.told += len(frames) + len(asides)
        if frames:
            self._sent = frames[-1].revision
            self._later += frames
            if len(self._later) > LATER:
                self._listed, self._later = _NOTHING, []
            packet = Packet([frame.text for frame in frames])
            await self._hand_out(lambda reader: _hand(reader, packet, frames))
        if asides:
            whole = Packet([frame.text for frame in asides])
            await self._hand_out(lambda reader: _hand_aside(reader, whole, asides))

    async def _hand_out(self, hand: Callable[[Reader], None]) -> None:
        """To everyone; between some and the next, others than readers have their turn."""
        readers = list(self._readers)
        for start in range(0, len(readers), SLICE):
            for reader in readers[start : start + SLICE]:
                hand(reader)
            await asyncio.sleep(0)

    def tell(self, kind: str, data: Any, agent_id: str = "") -> None:
        """Put on the stream what is no change of a record; it has the revision of the last change before it.

        Alerts, the latest of them, are told again to readers who come back
        *since* that revision or an earlier one: better twice than never.
        """
        before = self._pending[-1].revision if self._pending else self._sent
        revision = before or self._directory.revision
        capabilities = self._capabilities.get(agent_id, frozenset())
        frame = Frame(revision, kind, agent_id, capabilities, encoded(kind, revision, data))
        if kind == "resource_alert":
            self._alerts.append(frame)
        if self._ready is not None:
            self._asides.append(frame)

    async def _end(self) -> None:
        await self._ending.wait()
        self._end_readers()

    # -- readers ------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def reading(self, since: int | None, filter: Filter) -> AsyncIterator[Reader]:
        """A reader that has, to begin with, a listing, or what it has missed *since* a revision."""
        await self._begin()
        reader = Reader(filter)
        self._readers.add(reader)
        try:
            if since is None:
                self._list(reader, "listing")
            else:
                await self._catch_up(reader, since)
            if self._ending.is_set():
                reader.end()
            yield reader
        finally:
            self._readers.discard(reader)
            self._overflown += reader.overflown

    async def _catch_up(self, reader: Reader, since: int) -> None:
        """Put what it has missed before what it has been sent by now."""
        began, until = since, self._sent
        reader.position = max(since, until)
        if since > self._directory.revision:  # of another store, or before a backup was put back
            self._list(reader, "resync")
            return
        missed: list[Frame] = []
        while since < until:
            changes = await self._changes(since)
            if changes is None:
                self._list(reader, "resync")
                return
            missed += [frame for change in changes for frame in self._frames_then(change) if frame.revision <= until]
            since = changes[-1].revision
        missed += [frame for frame in self._alerts if frame.revision >= began]
        reader.put_first([frame.text for frame in missed if reader.filter.wants(frame)])

    async def _changes(self, since: int) -> list[Change] | None:
        """Some changes after *since*; None if they are not to be had."""
        found = await self._directory.store.changes(since, 0)
        return found.changes if found is not None and found.changes else None

    def _frames_then(self, change: Change) -> list[Frame]:
        """Frames of what happened a while ago."""
        record = change.record or self._agents.get(change.agent_id)
        known = self._capabilities.get(change.agent_id, frozenset()) if record is None else _lowered(record)
        return frames_of(change, record, known, self._watches_memory, self._time_of(change))

    def _list(self, reader: Reader, kind: str) -> None:
        """Have *reader* begin with everything that is there now; or was lately, and what has happened since."""
        if reader.filter.agents is None and reader.filter.capabilities is None:
            revision, packet = self._listing(kind)
        else:
            revision = self._directory.revision
            chosen = [each for each in self._records() if reader.filter.concerns(*_known_by(each))]
            packet = Packet([listing(kind, revision, chosen)])
        reader.position = revision
        reader.begin_with(packet)
        if revision < self._sent:
            _push_some(reader, self._later)
            reader.position = self._sent

    def _listing(self, kind: str) -> tuple[int, Packet]:
        """One for all who come at about the same time."""
        now, revision = asyncio.get_running_loop().time(), self._directory.revision
        known, at, made, packet = self._listed
        if known == kind and now - made < RECENT:
            return at, packet
        packet = Packet([listing(kind, revision, self._records())])
        self._listed, self._later = (kind, revision, now, packet), []
        return revision, packet

    def _records(self) -> list[AgentMetadata]:
        return list(filter(None, map(self._agents.get, self._agents)))


def _hand(reader: Reader, packet: Packet, frames: list[Frame]) -> None:
    if reader.filter.is_open and reader.position < frames[0].revision:
        reader.push(packet)
    else:
        _push_some(reader, frames)
    reader.position = max(reader.position, frames[-1].revision)


def _hand_aside(reader: Reader, packet: Packet, frames: list[Frame]) -> None:
    """What is no change of a record reaches everyone who wants it, wherever they stand."""
    if reader.filter.is_open:
        reader.push(packet)
        return
    texts = [each.text for each in frames if reader.filter.wants(each)]
    if texts:
        reader.push(Packet(texts))


def _push_some(reader: Reader, frames: list[Frame]) -> None:
    texts = [each.text for each in frames if each.revision > reader.position and reader.filter.wants(each)]
    if texts:
        reader.push(Packet(texts))


def _lowered(record: AgentMetadata) -> frozenset[str]:
    return frozenset(map(str.lower, record.capabilities))


def _known_by(record: AgentMetadata) -> tuple[str, frozenset[str]]:
    return record.agent_id, _lowered(record)
