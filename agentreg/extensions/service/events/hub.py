"""One reading of the directory's changes, for all who listen to the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, Change, Listing, Resync
from agentreg.extensions.service.events.frames import Frame, frames_of, listing

__all__ = ["Filter", "Hub", "Packet", "Reader"]

TICK = 0.05  #: seconds; what happens within one goes out together
BOUND = 1_000_000  #: bytes that may wait for one reader


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a reader wants; None for all."""

    types: frozenset[str] | None = None
    agents: frozenset[str] | None = None
    capabilities: frozenset[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets everything through."""
        return self.types is None and self.agents is None and self.capabilities is None

    def wants(self, frame: Frame) -> bool:
        """Whether *frame* is meant."""
        return (self.types is None or frame.kind in self.types) and self.concerns(frame.agent_id, frame.capabilities)

    def concerns(self, agent_id: str, capabilities: frozenset[str]) -> bool:
        """Whether an agent is meant."""
        return (self.agents is None or agent_id in self.agents) and (
            self.capabilities is None or not self.capabilities.isdisjoint(capabilities)
        )


class Packet:
    """Frames that go out together, and are put together once for all who get the same.

    Attributes:
        frames: Each of them, as JSON.
        size: Bytes.
    """

    __slots__ = ("_text", "frames", "size")

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        self.size = sum(map(len, frames))
        self._text: str | None = None

    @property
    def text(self) -> str:
        """One frame, or an array of them."""
        if self._text is None:
            whole = self.frames[0] if len(self.frames) == 1 else b"[%b]" % b",".join(self.frames)
            self._text = whole.decode()
        return self._text


class Reader:
    """One who listens: what waits for it, never more than `BOUND` bytes.

    Attributes:
        filter: What it wants.
        position: The last revision that it has been told of, or is about to be.
        overflown: Whether it has read too slowly; it gets nothing more.
    """

    def __init__(self, filter: Filter) -> None:
        self.filter = filter
        self.position = 0
        self.overflown = False
        self._ended = False
        self._waiting: deque[Packet] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._too_much = asyncio.Event()

    async def until_overflown(self) -> None:
        """Return once too much waits for it."""
        await self._too_much.wait()

    def push(self, packet: Packet) -> None:
        """Have this wait for it."""
        if self._size + packet.size > BOUND:
            self.overflown = True
            self._waiting.clear()
            self._too_much.set()
        elif not self.overflown:
            self._waiting.append(packet)
            self._size += packet.size
        self._news.set()

    def begin_with(self, text: bytes) -> None:
        """Have this wait for it, and nothing else; a listing may be of any size."""
        self._waiting.clear()
        self._waiting.append(Packet([text]))
        self._size = len(text) if len(text) < BOUND else 0
        self._news.set()

    def put_first(self, texts: list[bytes]) -> None:
        """Have these wait for it before all else."""
        if texts:
            self._waiting.appendleft(Packet(texts))
            self._news.set()

    def end(self) -> None:
        """It gets nothing more."""
        self._ended = True
        self._news.set()

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


class Hub:
    """Reads `AgentDirectory.watch` once, encodes each event once, and hands it to every reader.

    Args:
        directory: Whose changes.
        ending: Set when all streams are to be closed.
    """

    def __init__(self, directory: AgentDirectory, ending: asyncio.Event) -> None:
        self._directory = directory
        self._agents = directory.agents
        self._ending = ending
        self._readers: set[Reader] = set()
        self._capabilities: dict[str, frozenset[str]] = {}
        self._pending: list[Frame] = []
        self._sent = 0  # the last revision that readers were told of
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[None] | None = None
        self._listed: tuple[str, int, bytes] = ("", -1, b"")

    async def close(self) -> None:
        """End every stream."""
        self._ending.set()
        self._end_readers()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        return frames_of(change, record, capabilities)

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._pending:
                self._flush()

    def _flush(self) -> None:
        frames, self._pending = self._pending, []
        packet = Packet([frame.text for frame in frames])
        first, last = frames[0].revision, frames[-1].revision
        for reader in self._readers:
            if reader.filter.is_open and reader.position < first:
                reader.push(packet)
            else:
                _push_some(reader, frames)
            reader.position = max(reader.position, last)
        self._sent = last

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

    async def _catch_up(self, reader: Reader, since: int) -> None:
        """Put what it has missed before what it has been sent by now."""
        until = self._sent
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
        reader.put_first([frame.text for frame in missed if reader.filter.wants(frame)])

    async def _changes(self, since: int) -> list[Change] | None:
        """Some changes after *since*; None if they are not to be had."""
        found = await self._directory.store.changes(since, 0)
        return found.changes if found is not None and found.changes else None

    def _frames_then(self, change: Change) -> list[Frame]:
        """Frames of what happened a while ago."""
        record = change.record or self._agents.get(change.agent_id)
        known = self._capabilities.get(change.agent_id, frozenset()) if record is None else _lowered(record)
        return frames_of(change, record, known)

    def _list(self, reader: Reader, kind: str) -> None:
        """Have *reader* begin with everything that is there now."""
        revision = self._directory.revision
        records = list(filter(None, map(self._agents.get, self._agents)))
        if reader.filter.agents is None and reader.filter.capabilities is None:
            if self._listed[:2] != (kind, revision):
                self._listed = kind, revision, listing(kind, revision, records)
            text = self._listed[2]
        else:
            text = listing(kind, revision, [each for each in records if reader.filter.concerns(*_known_by(each))])
        reader.position = revision
        reader.begin_with(text)


def _push_some(reader: Reader, frames: list[Frame]) -> None:
    texts = [each.text for each in frames if each.revision > reader.position and reader.filter.wants(each)]
    if texts:
        reader.push(Packet(texts))


def _lowered(record: AgentMetadata) -> frozenset[str]:
    return frozenset(map(str.lower, record.capabilities))


def _known_by(record: AgentMetadata) -> tuple[str, frozenset[str]]:
    return record.agent_id, _lowered(record)
