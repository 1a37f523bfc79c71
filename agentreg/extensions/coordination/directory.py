"""AgentDirectory: which agents are there, in whatever process, and may I have one?"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from typing_extensions import Self

from agentreg.extensions.coordination import views
from agentreg.extensions.coordination.backend import Answer, Backend, Delete, Patch, Put, Renew, open_backend
from agentreg.extensions.coordination.broadcast import Broadcast, Callback
from agentreg.extensions.coordination.cards import text
from agentreg.extensions.coordination.config import AgentDirectoryConfig
from agentreg.extensions.coordination.describing import LIMITS, describe, status_of, updates
from agentreg.extensions.coordination.ending import end
from agentreg.extensions.coordination.errors import AgentIdTakenError, DirectoryUnavailableError
from agentreg.extensions.coordination.events import Change, Listing, RegistryEvent, RegistryEventType
from agentreg.extensions.coordination.following import Follower
from agentreg.extensions.coordination.holdings import Holdings, new_token
from agentreg.extensions.coordination.keeping import Keeper
from agentreg.extensions.coordination.liveness import process_is_over
from agentreg.extensions.coordination.memory import MemoryBackend
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus
from agentreg.extensions.coordination.watching import Watchers

__all__ = ["AgentDirectory"]

_log = logging.getLogger(__name__)
_now, _UTC = datetime.now, timezone.utc

Batch = Sequence[Put] | Sequence[Patch] | Sequence[Delete] | Sequence[Renew]
_VERBS = {Put: "put", Patch: "patch", Delete: "delete"}


class AgentDirectory:
    """All agents of all runtimes, over a store that processes and machines may share.

    ```
    async with AgentDirectory(backend="sqlite:///agents.db", auto_heartbeat=True) as directory:
        await directory.register_agent(agent, runtime_id="worker-1", capabilities=["translation"])
        found = await directory.find_agents_by_capability("translation")
    ```

    Args:
        config: Time-outs and queue sizes.
        backend: The store's address, or a `Backend`: ``memory://`` (for this
            directory alone), ``memory://name``, ``sqlite:///path``,
            ``redis://host:port``, ``http://host:port``.
        clock: Seconds that never go back. A named store in memory keeps the
            clock of its first directory.
        auto_heartbeat: Renew the leases of the runtimes registered here, three
            times in a heartbeat time-out, while started; and register again
            what others took for dead because this process was held up.

    Thread-safe: no; a directory belongs to one event loop. Directories in
    other loops, threads, processes and machines may share the store.

    Look-ups are answered from a copy in this process. Over a store in memory
    that is the store itself; over others, a started directory's copy follows
    the store within milliseconds (and shows this process' own writes at
    once), and one that is not started asks the store first.
    """

    def __init__(
        self,
        config: AgentDirectoryConfig | None = None,
        backend: str | Backend = "memory://",
        clock: Callable[[], float] = time.monotonic,
        auto_heartbeat: bool = False,
    ) -> None:
        if config is None:
            config = AgentDirectoryConfig()
        if not isinstance(config, AgentDirectoryConfig):
            raise TypeError(f"config: expected an AgentDirectoryConfig, got {config!r}")
        if not isinstance(auto_heartbeat, bool):
            raise TypeError(f"auto_heartbeat: expected True or False, got {auto_heartbeat!r}")
        self.config = config
        self._backend = open_backend(backend, clock) if isinstance(backend, str) else _checked(backend)
        self._memory = self._backend if isinstance(self._backend, MemoryBackend) else None  # nothing to wait for
        self._follower = Follower(self._backend, clock)
        self._replica = self._follower.replica
        self._clock = self._replica.clock
        self._keeper = Keeper(self._follower, config)
        self._holdings = Holdings(self._follower, insist=auto_heartbeat)
        self._watchers = Watchers(self._follower)
        self._broadcast = Broadcast(config.event_queue_size)
        self._follower.on_load = self._holdings.settle
        self._follower.on_break = self._watchers.wake
        self._keeper.works.append(self._holdings.enter_lost)
        if auto_heartbeat:
            self._keeper.works.append(self._beat)
        self._next_beat = 0.0
        self._queries = 0
        self._life = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._listen()

    def _listen(self) -> None:
        """Hear of what happens in the copy, without being kept alive by it."""
        replica, this = self._replica, weakref.ref(self)

        def heard(change: Change, runtime_changed: bool) -> None:
            directory = this()
            if directory is not None:
                directory._heard(change, runtime_changed)

        def beaten(record: AgentMetadata) -> None:
            directory = this()
            if directory is not None:
                directory._beaten(record)

        replica.listeners.append(heard)
        replica.beat_listeners.append(beaten)
        weakref.finalize(self, _unlisten, replica.listeners, heard).atexit = False
        weakref.finalize(self, _unlisten, replica.beat_listeners, beaten).atexit = False

    # -- its life -----------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    async def start(self) -> None:
        """Load the copy and keep it current, watch over leases, and tell callbacks. Twice is once.

        Raises DirectoryUnavailableError when the store gives no answer;
        nothing is started then.
        """
        async with self._life:
            if not self._tasks:
                await self._start()

    async def _start(self) -> None:
        loop, follower = asyncio.get_running_loop(), self._follower
        try:
            await self._backend.open()
            if follower.remote:
                await follower.load()
        except BaseException:
            await self._backend.close()
            raise
        follower.contact = loop.time()
        if self.config.enable_event_broadcasting:
            self._broadcast.start()
        self._tasks = [loop.create_task(self._keeper.keep(), name="agentreg-directory-keeper")]
        if follower.remote:
            follower.following = True
            following = follower.follow(self.config.heartbeat_timeout, lambda: self._keeper.liveness.pause())
            self._tasks.append(loop.create_task(following, name="agentreg-directory-follower"))

    async def shutdown(self, timeout: float = 10.0) -> None:
        """Deregister what was registered here (reason ``shutdown``), deliver what was accepted, end every task.

        Callbacks that are not through after *timeout* seconds are cancelled,
        and those who watch get no more. Twice is once. The directory may be
        started again.
        """
        async with self._life:
            tasks, self._tasks = self._tasks, []
            await end(tasks)
            try:
                await self._keeper.sweep()
                await self._holdings.release()
            except DirectoryUnavailableError as error:
                _log.warning("%s; the agents registered here stay in it until their leases end", error)
            finally:
                self._holdings.own.clear()
                self._watchers.end()
                self._follower.following = False
                await self._broadcast.stop(timeout)
                await self._backend.close()
                if self._follower.remote:
                    self._forget_copy()

    def _forget_copy(self) -> None:
        self._follower.forget()
        self._replica = self._follower.replica
        self._keeper.begin_anew()

    # -- registering --------------------------------------------------------

    async def register_agent(
        self,
        agent: object,
        runtime_id: str,
        agent_id: str | None = None,
        *,
        capabilities: Iterable[str] | None = None,
        max_concurrency: int = 10,
        memory_limit_mb: float = 512,
        budget_limit_usd: float = 1.0,
        endpoint: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        version: str | None = None,
    ) -> str:
        """Enter *agent* as one of *runtime_id*'s, and give its id.

        The agent is held weakly: once it is collected, it leaves (reason
        ``collected``). One that can't be weakly referenced is held until it
        is deregistered. Nothing of it is ever called.

        Args:
            agent: The live object.
            runtime_id: Who owns it.
            agent_id: Else ``agent.agent_id``, else ``agent_`` and 8 hex digits.
            capabilities: Else what ``agent._a2a_card`` says, else ``agent.capabilities``.
            max_concurrency: Data for callers, as the next two; nothing enforces them here.
            memory_limit_mb: Megabytes.
            budget_limit_usd: US dollars.
            endpoint: Where it is reached from elsewhere.
            metadata: A plain JSON object.
            name: For people; else ``agent.name``, else the id.
            version: As its owner counts.

        Raises:
            AgentIdTakenError: The id is held by another living registration
                (a ValueError). A holder whose process has ended or whose
                lease has run out gives way in the same step.
            TypeError, ValueError: Something is not as expected; nothing has changed.
            DirectoryUnavailableError: The store gives no answer.
        """
        given: dict[str, Any] = {}
        if max_concurrency != 10 or memory_limit_mb != 512 or budget_limit_usd != 1.0:
            given = dict(zip(LIMITS, (max_concurrency, memory_limit_mb, budget_limit_usd), strict=True))
        if endpoint is not None or metadata or name is not None or version is not None:
            given |= {"endpoint": endpoint, "metadata": metadata, "name": name, "version": version}
        record = describe(agent, runtime_id, agent_id, capabilities, given)
        if self._replica.dead:
            await self._keeper.sweep()
        self._holdings.hold(agent, record)
        memory = self._memory
        holder = await self._put(Put(record)) if memory is None else memory.put_now(Put(record))
        if holder is not None:
            await self._replace(holder, record)
        self._holdings.own[record.agent_id] = record
        return record.agent_id

    async def _replace(self, holder: AgentMetadata, record: AgentMetadata) -> None:
        """Enter *record* in *holder*'s place, if that may be."""
        reason = await self._why_gone(holder)
        successor = holder if reason is None else await self._put(Put(record, holder.token, reason))
        if successor is not None:
            raise AgentIdTakenError(record.agent_id, successor.runtime_id, str(successor.process))

    async def _put(self, item: Put) -> AgentMetadata | None:
        answer = await self._follower.write(self._backend.put([item]))
        holder: AgentMetadata | None = answer.results[0]
        return holder

    async def _why_gone(self, holder: AgentMetadata) -> str | None:
        """Why *holder* may be replaced, if it may."""
        if isinstance(holder._agent, weakref.ref) and holder.agent is None:
            return "collected"
        if process_is_over(holder.process):
            return "died"
        await self._fresh()  # which removes those whose lease has run out
        known = self._replica.records.get(holder.agent_id)
        return None if known is not None and known.token == holder.token else "expired"

    async def register_records(self, records: Iterable[AgentMetadata]) -> list[AgentMetadata | None]:
        """Enter records as they are, many in one step of the store.

        For agents that are no objects of this process, and for many at once.
        Each record needs an id and a runtime; a missing token is made. The
        result has, for each, None or the record that holds its id already.
        """
        now, batch = time.time(), []
        for record in records:
            text(record.agent_id, "agent_id")
            text(record.runtime_id, "runtime_id")
            record.token = record.token or new_token()
            record.registered = record.registered or now
            batch.append(Put(record))
        answer = await self._follower.write(self._backend.put(batch))
        for item, holder in zip(batch, answer.results, strict=True):
            if holder is None:
                self._holdings.own_up(item.record)
        return answer.results

    async def deregister_agent(self, agent_id: str, runtime_id: str) -> bool:
        """Remove an agent of *runtime_id*. False, and nothing changes, when it is unknown or another runtime's."""
        if self._is_stale():
            await self._fresh()
        record = self._replica.records.get(agent_id)
        if record is None:
            return False
        if record.runtime_id != runtime_id:
            owner = record.runtime_id
            _log.warning("%r tried to deregister %r, which is %r's; nothing has changed", runtime_id, agent_id, owner)
            return False
        if self._memory is not None:
            return self._memory.delete_now(Delete(agent_id, record.token))
        answer = await self._follower.write(self._backend.delete([Delete(agent_id, record.token)]))
        return bool(answer.results[0])

    async def update_record(self, agent_id: str, **fields: Any) -> bool:
        """Set fields of a record other than its status: capabilities, endpoint, metadata, counters, and so on.

        False when it is unknown. Raises TypeError or ValueError for what a
        record can't have.
        """
        plain = updates(fields)
        await self._fresh()
        record = self._replica.records.get(agent_id)
        if record is None:
            return False
        plain["worked"] = plain["modified"] = time.time()
        answer = await self._follower.write(self._backend.patch([Patch(agent_id, record.token, plain)]))
        return bool(answer.results[0])

    # -- on behalf of others ------------------------------------------------

    @property
    def store(self) -> Backend:
        """The store itself."""
        return self._backend

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of the copy here: `AgentMetadata.heard` is on it."""
        return self._clock

    async def carry_out(self, batch: Batch) -> Answer:
        """Have the store carry out *batch*, all of one kind, and wait until the copy here shows it.

        For services that keep records on behalf of others: a record entered
        so does not leave with this directory. Raises DirectoryUnavailableError.
        """
        verb = next((verb for kind, verb in _VERBS.items() if batch and isinstance(batch[0], kind)), "renew")
        answer: Answer = await self._follower.write(getattr(self._backend, verb)(batch))
        return answer

    def records(self) -> list[AgentMetadata]:
        """The records in the copy here, in registration order, as it stands: nothing is waited for."""
        with self._replica.lock:
            return list(self._replica.records.values())

    @property
    def position(self) -> tuple[int, int]:
        """Where the copy here stands: how many whole listings it has been made from, and its revision."""
        return self._replica.breaks, self._replica.revision

    def changes_since(self, position: tuple[int, int]) -> list[Change] | None:
        """What has changed in the copy here since it stood at *position*; at most the first 1,000.

        None where that is not known any more: then look at all of it.
        """
        replica = self._replica
        with replica.lock:
            return replica.since(position[1]) if position[0] == replica.breaks else None

    def hear(self, record: AgentMetadata) -> None:
        """The copy here shows at once that *record* has beaten; the store hears of it by a `Renew` of the caller's."""
        self._replica.beat(record, self._clock())

    # -- status and heartbeats ----------------------------------------------

    async def update_agent_status(
        self, agent_id: str, status: AgentStatus | str, runtime_id: str | None = None
    ) -> bool:
        """Set an agent's status; False when it is unknown. An event comes only of a change.

        Setting one ACTIVE that was not counts as a heartbeat, and so does
        setting one DEGRADED that was unhealthy or offline. *runtime_id* says
        who asks, and decides nothing. Raises ValueError for an unknown status.
        """
        status = status_of(status)
        await self._fresh()
        record = self._replica.records.get(agent_id)
        if record is None:
            return False
        if record.status is status and record.lapsed_from is None:
            return True
        if status is AgentStatus.ACTIVE or (status is AgentStatus.DEGRADED and record.status in _UNWELL):
            await self._renew_one(record)
        fields = {"status": status.value, "lapsed_from": None}
        answer = await self._follower.write(self._backend.patch([Patch(agent_id, record.token, fields)]))
        return bool(answer.results[0])

    async def update_agent_heartbeat(self, agent_id: str) -> bool:
        """Note that an agent is alive; False when it is unknown, or its id is another registration's by now.

        One that was unhealthy only because its heartbeat had lapsed gets the
        status back that it had.
        """
        if self._is_stale():
            await self._fresh()
        record = self._replica.records.get(agent_id)
        if record is None or not await self._renew_one(record):
            return False
        if record.lapsed_from is not None:
            await self._keeper.revive([record])
        return True

    async def _renew_one(self, record: AgentMetadata) -> bool:
        item = Renew(record.runtime_id, record.agent_id, self._holdings.own.get(record.agent_id, record).token)
        if self._memory is not None:
            return self._memory.renew_now(item)
        echoes = self._replica.echoes
        echoes.add(record.agent_id)
        alive: bool = False
        try:
            alive = bool((await self._backend.renew([item])).results[0])
        finally:
            if not alive:
                echoes.discard(record.agent_id)
        if alive:
            self._replica.beat(record, self._clock())
        return alive

    async def heartbeat_runtime(self, runtime_id: str) -> int:
        """Renew all agents of a runtime by one write, without an event for each; how many there are."""
        await self._fresh()
        runtime = self._replica.runtimes.get(runtime_id)
        if runtime is None:
            return 0
        await self._backend.renew([Renew(runtime_id)])
        runtime.beat = self._clock()
        unhealthy = self._replica.with_status(AgentStatus.UNHEALTHY)
        await self._keeper.revive([record for record in unhealthy if record.runtime_id == runtime_id])
        return len(runtime.agents)

    async def _beat(self) -> None:
        """Renew the leases of what was registered here, if it is time."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self.config.heartbeat_timeout / 3
            for runtime_id in self._holdings.runtimes():
                await self.heartbeat_runtime(runtime_id)

    # -- looking ------------------------------------------------------------

    def _is_stale(self) -> bool:
        """Whether `_fresh` may have something to do."""
        return self._follower.remote or bool(self._replica.dead) or self._clock() >= self._keeper.liveness.next_due

    async def _fresh(self) -> None:
        """Make the copy fit to answer: own writes are in, the dead are out, the overdue are marked."""
        if self._follower.remote:
            await self._follower.fresh()
        if self._replica.dead:
            await self._keeper.sweep()
        if self._clock() >= self._keeper.liveness.next_due:
            await self._keeper.check_leases()

    async def get_agent(self, agent_id: str) -> AgentMetadata | None:
        """The record with this id, or None."""
        await self._fresh()
        return self._replica.records.get(agent_id)

    async def list_agents(
        self, runtime_id: str | None = None, status_filter: AgentStatus | str | None = None
    ) -> list[AgentMetadata]:
        """All records, those of one runtime or of one status, in registration order."""
        status = None if status_filter is None else status_of(status_filter)
        await self._fresh()
        replica = self._replica
        with replica.lock:
            if runtime_id is None:
                return list(replica.records.values()) if status is None else replica.with_status(status)
            runtime = replica.runtimes.get(runtime_id)
            found = [] if runtime is None else list(runtime.agents.values())
            return found if status is None else [record for record in found if record.status is status]

    async def find_agents_by_runtime(self, runtime_id: str) -> list[AgentMetadata]:
        """The records of one runtime, in registration order."""
        return await self.list_agents(runtime_id)

    async def find_agents_by_status(self, status: AgentStatus | str) -> list[AgentMetadata]:
        """The records of one status, in registration order."""
        return await self.list_agents(None, status_of(status))

    async def find_agents_by_capability(
        self, capability: str, status_filter: AgentStatus | str | None = AgentStatus.ACTIVE, limit: int | None = None
    ) -> list[AgentMetadata]:
        """The agents with a capability that contains the text, whatever its case, the best first.

        Each counts by its best capability: the share of words that it has in
        common with the text; ties in registration order. Nobody whose
        heartbeat is overdue is among the ACTIVE. A filter of None gives every
        status, a *limit* the first so many. Raises ValueError for an empty
        text.
        """
        status = None if status_filter is None else status_of(status_filter)
        if not isinstance(capability, str):
            raise TypeError(f"capability: expected text, got {capability!r}")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise TypeError(f"limit: expected None or a whole number, got {limit!r}")
        self._queries += 1
        if self._is_stale():
            await self._fresh()
        with self._replica.lock:
            return self._replica.search(capability, status, limit)

    @property
    def agents(self) -> Mapping[str, AgentMetadata]:
        """Agent id -> record, in registration order; read-only."""
        self._settle()
        return views.AgentsView(lambda: self._replica)

    @property
    def runtime_agents(self) -> Mapping[str, set[str]]:
        """Runtime id -> the ids of its agents; read-only."""
        self._settle()
        return views.runtimes(lambda: self._replica)

    @property
    def capability_index(self) -> Mapping[str, set[str]]:
        """Capability in lower case -> the ids of the agents that have it; read-only."""
        self._settle()
        return views.capabilities(lambda: self._replica)

    @property
    def status_index(self) -> Mapping[AgentStatus, set[str]]:
        """Status -> the ids of the agents that are so; read-only."""
        self._settle()
        return views.statuses(lambda: self._replica)

    def _settle(self) -> None:
        """`_fresh` for views, which can't wait: over a store in memory nothing has to be waited for."""
        if not self._follower.remote:
            with contextlib.suppress(StopIteration):
                self._fresh().send(None)

    @property
    def event_listeners(self) -> Mapping[RegistryEventType, list[Callback]]:
        """Kind of event -> the callbacks that are subscribed to it; read-only."""
        return views.View(lambda: list(RegistryEventType), self._broadcast.callbacks)

    @property
    def revision(self) -> int:
        """The last change that the copy here shows."""
        return self._replica.revision

    async def get_metrics(self) -> dict[str, Any]:
        """Counts: what there is now, and what has happened since this copy began."""
        await self._fresh()
        here = self._replica
        with here.lock:
            counts = {status.value: here.count(status) for status in AgentStatus}
            return {
                "total_agents": len(here.records),
                "total_runtimes": len(here.runtimes),
                "status_distribution": Counter({key: count for key, count in counts.items() if count}),
                "runtime_distribution": {key: len(runtime.agents) for key, runtime in here.runtimes.items()},
                "total_queries": self._queries,
                "total_registrations": here.registrations,
                "total_deregistrations": here.deregistrations,
                "capability_index_size": len(here.capabilities()),
                "dropped_events": self._broadcast.dropped,
                "revision": here.revision,
            }

    # -- hearing of changes -------------------------------------------------

    def subscribe(self, event_type: RegistryEventType | str, callback: Callback) -> None:
        """Call *callback*, plain or async, with each event of this type, in order, one at a time.

        Its queue holds ``event_queue_size`` events; of more, the oldest is
        dropped, counted in the metrics and logged once. One that fails is
        logged, and gets the next event all the same.
        """
        self._broadcast.subscribe(_kind(event_type), callback)

    def unsubscribe(self, event_type: RegistryEventType | str, callback: Callback) -> bool:
        """Call it no more; False if it was not subscribed."""
        return self._broadcast.unsubscribe(_kind(event_type), callback)

    async def watch(self, since: int | None = None) -> AsyncIterator[Listing | Change]:
        """A listing with its revision, then every change in order and without gaps, for as long as it is read.

        With *since*, the changes after that revision instead of a listing.
        Where they are not to be had any more, or the reader has fallen too
        far behind, a `Resync` with a fresh listing comes in their place.
        Ends with `shutdown`.
        """
        if since is not None and (isinstance(since, bool) or not isinstance(since, int) or since < 0):
            raise ValueError(f"since: expected None or a revision, a whole number from 0 up, got {since!r}")
        await self._fresh()
        async for item in self._watchers.watch(since):
            yield item

    def _heard(self, change: Change, runtime_changed: bool) -> None:
        """A change has come into the copy. Called under its lock, in any thread."""
        if change.kind == "deregistered":
            self._holdings.let_go(change)
        elif change.record is not None or "status" in (change.fields or {}):
            self._keeper.liveness.expect(self._replica.records[change.agent_id])
        if self.config.enable_event_broadcasting:
            self._announce(change, runtime_changed)
        self._watchers.wake()

    def _announce(self, change: Change, runtime_changed: bool) -> None:
        broadcast = self._broadcast
        kind = change.event_type
        if kind is not None and broadcast.wanted(kind):
            broadcast.emit(
                RegistryEvent(kind, change.agent_id, change.runtime_id, _now(_UTC), change.metadata, change.revision)
            )
        if runtime_changed:
            kind = RegistryEventType.RUNTIME_JOINED if change.kind == "registered" else RegistryEventType.RUNTIME_LEFT
            if broadcast.wanted(kind):
                broadcast.emit(RegistryEvent(kind, None, change.runtime_id, _now(_UTC), {}, change.revision))

    def _beaten(self, record: AgentMetadata) -> None:
        kind = RegistryEventType.AGENT_HEARTBEAT
        if self.config.enable_event_broadcasting and self._broadcast.wanted(kind):
            revision = self._replica.revision
            self._broadcast.emit(RegistryEvent(kind, record.agent_id, record.runtime_id, revision=revision))


_UNWELL = (AgentStatus.UNHEALTHY, AgentStatus.OFFLINE)


def _kind(event_type: RegistryEventType | str) -> RegistryEventType:
    try:
        return RegistryEventType(event_type)
    except ValueError:
        known = ", ".join(kind.value for kind in RegistryEventType)
        raise ValueError(f"event_type: expected one of {known}; got {event_type!r}") from None


def _checked(backend: Backend) -> Backend:
    if not isinstance(backend, Backend):
        raise TypeError(f"backend: expected an address or an object with the methods of Backend, got {backend!r}")
    return backend


def _unlisten(listeners: list[Any], listener: Any) -> None:
    if listener in listeners:
        listeners.remove(listener)
