"""A copy of a directory in this process: records, and what is looked up by.

A store in memory *is* such a copy, shared by its directories; over any other
store, each directory keeps one and feeds it with the store's changes.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from agentreg.extensions.capabilities import CapabilityIndex
from agentreg.extensions.coordination.backend import Beat, Snapshot
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.processes import Process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, Lease, rest_from_wire

__all__ = ["Replica", "Runtime"]

HISTORY = 10_000  #: how many changes a watcher may be behind before it must resynchronise
UNWATCHED = (
    1_000  # and how many are kept while nobody has watched yet: old ones are cold in the cache, and dear to drop
)

_NEVER = float("-inf")
_SAME_BEAT = 0.05  # seconds: what comes back from the store is this process' own beat, not another

Listener = Callable[[Change, bool], None]


class Runtime(Lease):
    """A runtime and the agents it owns, in registration order."""

    __slots__ = ("agents", "runtime_id")

    def __init__(self, runtime_id: str, epoch: float) -> None:
        super().__init__(_NEVER, epoch)
        self.runtime_id = runtime_id
        self.agents: dict[str, AgentMetadata] = {}


class Replica:
    """Records and the indices over them, at one revision.

    Thread-safe: while `lock` is held. Listeners are called under it: they
    note what they hear and return.

    Attributes:
        processes: How many records each process has registered; not counted
            in a copy that is *one_process*'.
        records: Agent id -> record, in registration order.
        runtimes: Runtime id -> runtime; only those that own an agent.
        revision: The last change that shows here.
        mark: The last of the store's beats that shows here.
        breaks: How often a new listing has taken the place of changes: the
            revisions before it and after it are not of one row.
        listeners: Called with each change, and whether a runtime came or
            left by it.
        beat_listeners: Called with each record that has beaten by itself.
        dead: The weak references of agents that were collected.
        echoes: Agents whose last beat went out from here, and has not come
            back from the store yet: it was told when it went.
        registrations, deregistrations: How many changes of these kinds came.
    """

    def __init__(self, clock: Callable[[], float], one_process: bool = False) -> None:
        self.clock = clock
        self._one_process = one_process
        self.lock = threading.RLock()
        self.epoch = time.time() - clock()
        self.revision = 0
        self.mark = 0
        self.breaks = 0
        self.listeners: list[Listener] = []
        self.beat_listeners: list[Callable[[AgentMetadata], None]] = []
        self.dead: deque[Any] = deque()
        self.registrations = 0
        self.deregistrations = 0
        self.history: deque[Change] = deque(maxlen=UNWATCHED)
        self._clear()

    def _clear(self) -> None:
        self.records: dict[str, AgentMetadata] = {}
        self.runtimes: dict[str, Runtime] = {}
        self.processes: Counter[Process] = Counter()
        self._unusual: dict[AgentStatus, dict[str, AgentMetadata]] = {status: {} for status in _UNUSUAL}
        self._index = CapabilityIndex()
        self._holes = 0
        self.echoes: set[str] = set()

    # -- changing it --------------------------------------------------------

    def apply(self, change: Change) -> None:
        """Carry out *change*, which must follow on the last one, and tell it."""
        runtime_changed = self._carry_out(change)
        self.revision = change.revision
        self.history.append(change)
        for listener in self.listeners:
            listener(change, runtime_changed)

    def _carry_out(self, change: Change) -> bool:
        """Whether a runtime has come or left with it."""
        record = change.record
        if record is not None:
            self.registrations += 1
            record.revision = change.revision
            return self._enter(record)
        if change.kind == "deregistered":
            self.deregistrations += 1
            return self._remove(change.agent_id)
        self._update(change)
        return False

    def load(self, snapshot: Snapshot, tell: bool) -> None:
        """Become what *snapshot* says, and forget the history; with *tell*, listeners hear of the differences."""
        now = self.clock()
        ages = {beat.agent_id: max(beat.age, 0.0) for beat in snapshot.beats}
        for record in snapshot.records:
            record.beat = now - ages.get(record.agent_id, 0.0)
        if tell:
            for change in list(self._differences(snapshot)):
                runtime_changed = self._carry_out(change)
                for listener in self.listeners:
                    listener(change, runtime_changed)
        else:
            self._clear()
            for record in snapshot.records:
                self._enter(record)
        self.revision = snapshot.revision
        self.mark = snapshot.mark
        self.breaks += 1
        self.history.clear()
        self.hear(snapshot.beats, now, tell=False)

    def _differences(self, snapshot: Snapshot) -> Iterable[Change]:
        there = {record.agent_id: record for record in snapshot.records}
        at = snapshot.revision
        for agent_id, record in self.records.items():
            successor = there.get(agent_id)
            if successor is None or successor.token != record.token:
                yield Change(at, "deregistered", agent_id, record.runtime_id, reason="lost", token=record.token)
        for agent_id, record in there.items():
            mine = self.records.get(agent_id)
            if mine is None or mine.token != record.token:
                yield Change(at, "registered", agent_id, record.runtime_id, record, token=record.token)
            elif mine.revision != record.revision:
                fields = _fields_between(mine, record)
                yield Change(at, "updated", agent_id, record.runtime_id, fields=fields, token=record.token)

    def _enter(self, record: AgentMetadata) -> bool:
        """Whether its runtime came with it."""
        runtime = self.runtimes.get(record.runtime_id)
        came = runtime is None
        if runtime is None:
            runtime = self.runtimes[record.runtime_id] = Runtime(record.runtime_id, self.epoch)
        record.lease = runtime
        if record.beat == _NEVER:
            record.beat = self.clock()
        agent_id = record.agent_id
        self.records[agent_id] = record
        runtime.agents[agent_id] = record
        if not self._one_process:
            self.processes[record.process] += 1
        if record.status is not AgentStatus.ACTIVE:
            self._unusual[record.status][agent_id] = record
        self._index.enter(agent_id, map(_lower, record.capabilities))
        return came

    def _remove(self, agent_id: str) -> bool:
        """Whether its runtime left with it."""
        record = self.records.pop(agent_id)
        runtime = self.runtimes[record.runtime_id]
        del runtime.agents[agent_id]
        if not runtime.agents:
            del self.runtimes[record.runtime_id]
        if not self._one_process:
            self._forget_process(record.process)
        if record.status is not AgentStatus.ACTIVE:
            del self._unusual[record.status][agent_id]
        self._index.leave(agent_id)
        self.echoes.discard(agent_id)
        if not isinstance(record._agent, weakref.ref):
            record._agent = None  # the history keeps the record, and must not keep the agent
        self._holes += 1
        if self._holes > 1024 and self._holes > 2 * len(self.records):
            self.records = dict(self.records)  # a dict never shrinks by itself
            self._holes = 0
        return not runtime.agents

    def _forget_process(self, process: Process) -> None:
        self.processes[process] -= 1
        if not self.processes[process]:
            del self.processes[process]

    def _update(self, change: Change) -> None:
        record = self.records[change.agent_id]
        fields = dict(change.fields or {})
        old = record.status
        if "status" in fields:
            record.status = AgentStatus(fields["status"])
            self._move(record, old)
        if "capabilities" in fields:
            self._index_anew(record, tuple(fields["capabilities"]))
        if "created" in fields:
            record.created = fields["created"]
        rest = rest_from_wire(fields)
        if rest:
            record._rest = {**(record._rest or {}), **rest}
        record.revision = change.revision

    def _index_anew(self, record: AgentMetadata, capabilities: tuple[str, ...]) -> None:
        before, after = (dict.fromkeys(map(_lower, texts)) for texts in (record.capabilities, capabilities))
        for text in before.keys() - after.keys():
            self._index.withdraw(record.agent_id, text)
        for text in after:
            self._index.declare(record.agent_id, text)
        record.capabilities = capabilities

    def _move(self, record: AgentMetadata, old: AgentStatus) -> None:
        if old is not AgentStatus.ACTIVE:
            self._unusual[old].pop(record.agent_id, None)
        if record.status is not AgentStatus.ACTIVE:
            self._unusual[record.status][record.agent_id] = record

    # -- beats --------------------------------------------------------------

    def hear(self, beats: Iterable[Beat], now: float, tell: bool = True) -> None:
        """Note heartbeats, *now* on this copy's clock; later ones win."""
        for runtime_id, agent_id, age in beats:
            at = now - max(age, 0.0)
            if agent_id is None:
                runtime = self.runtimes.get(runtime_id)
                if runtime is not None and at > runtime.beat:
                    runtime.beat = at
            else:
                record = self.records.get(agent_id)
                if record is not None and at > record.beat + _SAME_BEAT:
                    self.beat(record, at, tell and agent_id not in self.echoes)
                self.echoes.discard(agent_id)

    def beat(self, record: AgentMetadata, at: float, tell: bool = True) -> None:
        """*record* has beaten by itself."""
        record.beat = at
        if tell:
            for listener in self.beat_listeners:
                listener(record)

    # -- looking ------------------------------------------------------------

    def with_status(self, status: AgentStatus) -> list[AgentMetadata]:
        """The records of one status, in registration order."""
        if status is AgentStatus.ACTIVE:
            return [record for record in self.records.values() if record.status is AgentStatus.ACTIVE]
        found = self._unusual[status]
        if len(found) < 2:
            return list(found.values())
        return [found[agent_id] for agent_id in sorted(found, key=self._index.rank)]

    def count(self, status: AgentStatus) -> int:
        """How many records have this status."""
        if status is AgentStatus.ACTIVE:
            return len(self.records) - sum(map(len, self._unusual.values()))
        return len(self._unusual[status])

    def search(self, text: str, status: AgentStatus | None, limit: int | None) -> list[AgentMetadata]:
        """The records with a capability that contains *text*, best first."""
        records = self.records
        wanted = limit
        while True:
            found = [records[agent_id] for agent_id in self._index.search(text, wanted)]
            chosen = found if status is None else [record for record in found if record.status is status]
            if wanted is None or len(chosen) >= (limit or 0) or len(found) < wanted:
                return chosen[:limit]
            wanted *= 4

    def capabilities(self) -> list[str]:
        """The capabilities that agents have, in lower case."""
        return self._index.capabilities()

    def with_capability(self, text: str) -> list[str]:
        """The ids of the agents with exactly this capability, in lower case."""
        return self._index.find(text)

    def keep_history(self) -> None:
        """Somebody watches: from now on, keep as many changes as a watcher may be behind."""
        if self.history.maxlen != HISTORY:
            self.history = deque(self.history, HISTORY)

    def since(self, revision: int) -> list[Change] | None:
        """The changes after *revision*, at most 1,000 of them; None if the history does not reach back that far."""
        if revision >= self.revision:
            return [] if revision == self.revision else None
        if not self.history or revision < self.history[0].revision - 1:
            return None
        start = revision - self.history[0].revision + 1
        return list(islice(self.history, start, start + 1000))


_lower = str.lower

_UNUSUAL = (AgentStatus.DEGRADED, AgentStatus.UNHEALTHY, AgentStatus.OFFLINE)


def _fields_between(old: AgentMetadata, new: AgentMetadata) -> Mapping[str, Any]:
    rest = {**dict.fromkeys(old._rest or {}), **(new._rest or {})}
    fields: dict[str, Any] = {name: getattr(new, name) for name in rest if getattr(old, name) != getattr(new, name)}
    if old.capabilities != new.capabilities:
        fields["capabilities"] = new.capabilities
    if old.status is not new.status:
        fields |= {"status": new.status.value, "old_status": old.status.value}
    return fields
