"""The store in this process' memory: the reference for all others."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from agentreg.extensions.coordination.backend import (
    FORMS,
    Answer,
    Beat,
    Changes,
    Delete,
    Patch,
    Put,
    Renew,
    Snapshot,
    no_beats_since,
)
from agentreg.extensions.coordination.errors import BackendURLError
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.record import DEFAULTS, AgentMetadata, AgentStatus, Lease, from_wire, to_wire
from agentreg.extensions.coordination.replica import Replica

__all__ = ["MemoryBackend"]

Beats = list[Beat]

_named: weakref.WeakValueDictionary[str, MemoryBackend] = weakref.WeakValueDictionary()


class MemoryBackend:
    """Records in memory, for the directories of this process. It lives as long as one of them does.

    None of its calls waits for anything; they may come from any thread.

    Attributes:
        replica: The records themselves. A directory over this store looks
            here, and keeps no copy of its own.
    """

    def __init__(self, clock: Callable[[], float], name: str = "") -> None:
        self.url = f"memory://{name}"
        self.replica = Replica(clock, one_process=True)
        self._numbers: dict[object, int] = {}  # of the last beats, by record or runtime

    @classmethod
    def named(cls, name: str, clock: Callable[[], float]) -> MemoryBackend:
        """The store that all directories of this process share under *name*; one of its own without a name."""
        if any(character in name for character in "/?#@"):
            raise BackendURLError(f"memory://{name}", "a name has none of / ? # @", FORMS)
        if not name:
            return cls(clock)
        backend = _named.get(name)
        if backend is None:
            backend = cls(clock, name)
            backend = _named.setdefault(name, backend)
        return backend

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do; the records stay while a directory does."""

    async def put(self, batch: Sequence[Put]) -> Answer:
        """Enter records; the very objects, not copies."""
        with self.replica.lock:
            results = [self.put_now(item) for item in batch]
            return Answer(self.replica.revision, results)

    def put_now(self, item: Put) -> AgentMetadata | None:
        """One item of `put`, without an event loop."""
        record, replaces, reason = item
        agent_id = record.agent_id
        replica = self.replica
        with replica.lock:
            holder = replica.records.get(agent_id)
            if holder is not None:
                if holder.token == record.token:
                    return None
                if replaces is None or holder.token != replaces:
                    return holder
                self._drop(holder, reason)
            revision, runtime_id = replica.revision + 1, record.runtime_id
            replica.apply(Change(revision, "registered", agent_id, runtime_id, record, None, None, record.token))
            return None

    def _drop(self, record: AgentMetadata, reason: str) -> None:
        replica = self.replica
        revision = replica.revision + 1
        agent_id, runtime_id = record.agent_id, record.runtime_id
        replica.apply(Change(revision, "deregistered", agent_id, runtime_id, None, None, reason, record.token))
        if self._numbers:
            self._numbers.pop(record, None)
            if runtime_id not in replica.runtimes:
                self._numbers.pop(record.lease, None)

    def _named_by(self, agent_id: str, token: str, heard: int | None) -> AgentMetadata | None:
        record = self.replica.records.get(agent_id)
        if record is None or record.token != token:
            return None
        if heard is not None:
            numbers = self._numbers
            if not no_beats_since(heard, (numbers.get(record, 0), numbers.get(record.lease, 0))):
                return None
        return record

    async def patch(self, batch: Sequence[Patch]) -> Answer:
        """Change records."""
        with self.replica.lock:
            results = [self._patch(item) for item in batch]
            return Answer(self.replica.revision, results)

    def _patch(self, item: Patch) -> bool:
        record = self._named_by(item.agent_id, item.token, item.heard)
        if record is None:
            return False
        there = to_wire(record)
        fields = {name: value for name, value in item.fields.items() if there.get(name, DEFAULTS.get(name)) != value}
        if not fields:
            return True
        if "status" in fields:
            fields["old_status"] = AgentStatus(record.status).value
        self.replica.apply(
            Change(
                self.replica.revision + 1,
                "updated",
                record.agent_id,
                record.runtime_id,
                None,
                fields,
                None,
                record.token,
            )
        )
        return True

    async def delete(self, batch: Sequence[Delete]) -> Answer:
        """Remove records."""
        with self.replica.lock:
            results = [self.delete_now(item) for item in batch]
            return Answer(self.replica.revision, results)

    def delete_now(self, item: Delete) -> bool:
        """One item of `delete`, without an event loop."""
        agent_id, token, reason, heard = item
        with self.replica.lock:
            record = self._named_by(agent_id, token, heard)
            if record is not None:
                self._drop(record, reason)
            return record is not None

    async def renew(self, batch: Sequence[Renew]) -> Answer:
        """Note beats."""
        with self.replica.lock:
            results = [self.renew_now(item) for item in batch]
            return Answer(self.replica.revision, results)

    def renew_now(self, item: Renew) -> bool:
        """One item of `renew`, without an event loop."""
        with self.replica.lock:
            return self._renew(self.replica, item)

    def _renew(self, replica: Replica, item: Renew) -> bool:
        runtime_id, agent_id, token = item
        lease: AgentMetadata | Lease | None
        if agent_id is None:
            lease = replica.runtimes.get(runtime_id)
            if lease is None:
                return True
            lease.beat = replica.clock()
        else:
            lease = replica.records.get(agent_id)
            if lease is None or lease.token != token:
                return False
            replica.beat(lease, replica.clock())
        replica.mark += 1
        self._numbers[lease] = replica.mark
        return True

    async def list(self) -> Snapshot:
        """Everything, as copies."""
        with self.replica.lock:
            records = [from_wire(to_wire(record)) for record in self.replica.records.values()]
            return Snapshot(self.replica.revision, records, self._every_beat(), self.replica.mark)

    def _every_beat(self) -> Beats:
        now = self.replica.clock()
        runtimes = [Beat(each.runtime_id, None, now - each.beat) for each in self.replica.runtimes.values()]
        return runtimes + [Beat(r.runtime_id, r.agent_id, now - r.beat) for r in self.replica.records.values()]

    def _beats(self, mark: int) -> Beats:
        now = self.replica.clock()
        beats = []
        for lease, number in self._numbers.items():
            if number > mark:
                agent_id = lease.agent_id if isinstance(lease, AgentMetadata) else None
                beats.append(Beat(_runtime_of(lease), agent_id, now - lease.beat))  # type: ignore[attr-defined]
        return beats

    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Changes | None:
        """What is new, after *wait* seconds at most."""
        replica = self.replica
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def wake(*_: Any) -> None:
            loop.call_soon_threadsafe(news.set)

        with replica.lock:
            if since == replica.revision and self.replica.mark == mark and wait > 0:
                replica.listeners.append(wake)
                replica.beat_listeners.append(wake)
            else:
                wait = 0
        if wait:
            try:
                await asyncio.wait_for(news.wait(), wait)
            except (TimeoutError, asyncio.TimeoutError):
                pass
            finally:
                with replica.lock:
                    replica.listeners.remove(wake)
                    replica.beat_listeners.remove(wake)
        with replica.lock:
            changes = replica.since(since)
            if changes is None:
                return None
            revision = changes[-1].revision if changes else since
            return Changes(revision, changes, self._first_beats(changes) + self._beats(mark), replica.mark)

    def _first_beats(self, changes: Sequence[Change]) -> Beats:
        now = self.replica.clock()
        return [Beat(each.runtime_id, each.agent_id, now - each.record.beat) for each in changes if each.record]


def _runtime_of(lease: object) -> str:
    return lease.runtime_id  # type: ignore[attr-defined,no-any-return]
