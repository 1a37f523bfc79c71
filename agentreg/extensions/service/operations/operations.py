"""`Operations`: resources, conflicts, metrics and alerts of one service, put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from agentreg.extensions.coordination import (
    AgentMetadata,
    AgentStatus,
    Change,
    DamagedStoreError,
    DirectoryUnavailableError,
    Listing,
)
from agentreg.extensions.coordination.ending import end
from agentreg.extensions.monitoring import AlertEvent, KeeperError, MetricsStoreError, statistics
from agentreg.extensions.resources import Notice
from agentreg.extensions.service.events import Hub
from agentreg.extensions.service.full import Changing
from agentreg.extensions.service.operations.config import OperationsConfig
from agentreg.extensions.service.operations.deciding import Decisions, LateLog
from agentreg.extensions.service.operations.entering import Entrance, RecordToken
from agentreg.extensions.service.operations.files import Files
from agentreg.extensions.service.operations.leaving import Exit
from agentreg.extensions.service.operations.monitor import Clocks, Monitor, Round
from agentreg.extensions.service.operations.readings import reading_of
from agentreg.extensions.service.operations.sampling import Known, totals_of
from agentreg.extensions.service.operations.shares import Shares
from agentreg.extensions.service.refusals import unavailable
from agentreg.extensions.service.roster import Roster

__all__ = ["Operations"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_PAUSE = 0.25  # seconds from one feeding to the next
_RETRY = 1.0  # seconds between tries to open the files, and to follow the records
_READY = 5.0  # seconds that a request waits until they are open
_END = 2.0  # seconds for the last samples to be written
_FED = frozenset(("performance", "resources"))
_ASKED = frozenset(("status", "config", "resources"))


class Operations:
    """What watches over the agents of a service: samples, alerts, shares of memory, decisions.

    `create_app` takes one; it begins once the store of the records is open,
    and ends with the application. For one event loop; what blocks runs in a
    thread of its own.

    Args:
        config: What is allocated, sampled and watched.
        files: Where it is kept.
        clock: Gives the seconds since 1970.
        monotonic: Gives seconds that never go back.
        sleep: Waits for so many seconds until the next sample.
        notify: Called with a `Notice` of each registration and deregistration of the full form; may be a coroutine
            function. A registration that it raises for is undone.

    Attributes:
        hub: The stream of events of the application.
        shares: Who has memory, and who waits for it.
        totals: Metric -> what all agents have together, as of the last sample; see `totals_of`.

    Example:
        >>> Operations(OperationsConfig(memory="64GB", reserved="8GB")).config.has_budget
        True
    """

    def __init__(
        self,
        config: OperationsConfig | None = None,
        files: Files | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        notify: Callable[[Notice], Any] | None = None,
    ) -> None:
        self.config = config or OperationsConfig()
        self.files = files or Files()
        self.clocks = Clocks(clock, monotonic)
        self.totals: dict[str, float] = {}
        self.shares = Shares(self.config, self.clocks, self._share_changed)
        self._notify = notify or _log_notice
        self._sleep = sleep
        self._roster: Roster
        self.hub: Hub
        self._changing: Changing
        self._entrance: Entrance
        self._exit: Exit
        self.decisions: Decisions
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = ThreadPoolExecutor(1, "agentreg-operations")
        self._log = LateLog(self.files.decisions, self._submit)
        self._monitor: Monitor | None = None
        self._trouble: Exception | None = None
        self._opened: asyncio.Event | None = None
        self._news = asyncio.Event()
        self._fresh: dict[str, Known | None] = {}
        self._gone: dict[str, None] = {}
        self._unsettled: dict[str, None] = {}
        self._under_way: Counter[str] = Counter()
        self._left: dict[str, str] = {}
        self._asked = asyncio.Event()

    # -- life -------------------------------------------------------------------

    def attach(self, roster: Roster, hub: Hub, changing: Changing) -> None:
        """Belong to an application: these are its records, its stream of events, and who changes records."""
        self._roster, self.hub, self._changing = roster, hub, changing
        parts = self.config, roster, self.shares, self._log
        self._entrance = Entrance(*parts, self._watch, self._notify, self.clocks)
        self._exit = Exit(roster, self.shares, self._entrance.pipeline.enrolments, self._log, self._notify)
        self.decisions = Decisions(self._log, self._entrance.resolvers)

    def begin(self) -> None:
        """Give everybody who is there their share; open the files, sample and follow the records from now on."""
        self._opened = asyncio.Event()
        self._restore(self._roster.directory.records())
        works = {
            "sampling": self._sample_on(),
            "following": self._follow_on(),
            "feeding": self._feed_on(),
            "settling": self._settle_on(),
        }
        self._tasks = [asyncio.create_task(work, name=f"agentreg-operations-{name}") for name, work in works.items()]

    async def close(self) -> None:
        """End all of it; what waits is written."""
        await end(self._tasks)
        self.shares.close()
        closing = asyncio.ensure_future(self.do(self._close_files))
        await asyncio.wait((closing,), timeout=_END)
        self._thread.shutdown(wait=False)

    def _close_files(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.close()
        self._log.close()

    def _submit(self, work: Callable[[], object]) -> None:
        try:
            self._thread.submit(_logged, work)
        except RuntimeError:  # it has ended
            _log.warning("a decision came too late to be kept")

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """What *work* returns, which may block; one such at a time, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def monitor(self) -> Monitor:
        """The metrics and the alerts, once they are open. A Refusal (503) if they can't be opened now."""
        if self._monitor is None and self._opened is not None:
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._opened.wait(), _READY)
        if self._monitor is None:
            raise unavailable(self._trouble or RuntimeError("the operations are not open yet; try again in a moment"))
        return self._monitor

    async def _open(self) -> Monitor:
        arguments = self.config, self.files, self._roster.directory, self.shares.given, self.name_of, self.clocks
        while self._monitor is None:
            try:
                self._monitor = await self.do(Monitor, *arguments)
            except (KeeperError, MetricsStoreError, sqlite3.Error, OSError) as error:
                if self._trouble is None:
                    _log.warning("metrics and alerts wait for their files: %s", error)
                self._trouble = error
                await asyncio.sleep(_RETRY)
        self._trouble = None
        assert self._opened is not None
        self._opened.set()
        return self._monitor

    def firing(self) -> Mapping[tuple[str, str], int]:
        """Rule and severity -> how many agents it fires for; every rule is there."""
        if self._monitor is None:
            return {}
        alerts = self._monitor.alerts
        counts = Counter((alert.rule, alert.severity) for alert in alerts.active())
        return {(rule.name, rule.severity): counts[rule.name, rule.severity] for rule in alerts.rules()}

    def name_of(self, agent_id: str) -> str:
        """The name that people know an agent by; its id, if it is there no more."""
        record = self._roster.agents.get(agent_id)
        return agent_id if record is None else record.name

    # -- sampling -----------------------------------------------------------------

    async def sample(self) -> Round:
        """Take one sample of everybody, look at the rules, and tell who listens."""
        monitor = await self.monitor()
        done = await self.do(monitor.round)
        self.totals = totals_of(done.columns)
        if self.totals:
            self.hub.tell("performance_update", {"agent_id": None, "metrics": self.totals})
        self.tell(monitor, done.events)
        self.shares.look()
        return done

    async def _sample_on(self) -> None:
        monitor = await self._open()
        while True:
            interval = monitor.store.interval
            await self._sleep(interval - self.clocks.wall() % interval)
            try:
                await self.sample()
            except Exception:
                _log.exception("a sample failed; the next one is tried")

    def tell(self, monitor: Monitor, events: Iterable[AlertEvent]) -> None:
        """Put what became of alerts on the stream, but for what is silenced."""
        for event in events:
            alert_id = monitor.desk.id_of(event)
            if not event.silenced:
                self.hub.tell("resource_alert", _told(alert_id, event), event.agent)

    # -- following the records ----------------------------------------------------

    async def _follow_on(self) -> None:
        while True:
            with contextlib.suppress(DirectoryUnavailableError, DamagedStoreError):
                async for item in self._roster.directory.watch():
                    self._hear(item)
            await asyncio.sleep(_RETRY)

    def _hear(self, item: Listing | Change) -> None:
        if isinstance(item, Listing):
            self._restore(item.agents)
            return
        agent_id, fields = item.agent_id, item.fields or {}
        record = self._roster.agents.get(agent_id)
        if record is None or record.status is AgentStatus.OFFLINE:
            self._gone[agent_id] = None
            self._news.set()
        elif _says_something(item, record):
            self._fresh.setdefault(agent_id, None)
            self._news.set()
        if item.kind == "deregistered":
            self._left[agent_id] = item.token
        if item.kind != "updated" or not _ASKED.isdisjoint(fields):
            self._share_changed(agent_id)

    async def _feed_on(self) -> None:
        monitor = await self.monitor_at_last()
        while True:
            await self._news.wait()
            self._news.clear()
            fresh, self._fresh = self._fresh, {}
            gone, self._gone = self._gone, {}
            try:
                if fresh:
                    self.tell(monitor, await self.do(monitor.feed, fresh))
                if gone:
                    self.tell(monitor, await self.do(monitor.depart, list(gone)))
            except Exception:
                _log.exception("what agents said could not be taken in; the next is")
            if fresh or gone:
                await asyncio.sleep(_PAUSE)

    # -- shares -------------------------------------------------------------------

    def _share_changed(self, agent_id: str) -> None:
        self._unsettled[agent_id] = None
        self._asked.set()

    def _restore(self, records: Iterable[AgentMetadata]) -> None:
        """Give everybody their share again, first those who had it."""
        there = [record for record in records if record.config.get("resource_limit") is not None]
        for record in sorted(there, key=_had_none):
            self.shares.settle(record.agent_id, record)
            self._entrance.know(record)
            self._share_changed(record.agent_id)
        for agent_id in set(self.shares.held).difference(record.agent_id for record in there):
            self._share_changed(agent_id)

    async def _settle_on(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            unsettled, self._unsettled = self._unsettled, {}
            for agent_id in unsettled:
                try:
                    await self._settle(agent_id)
                except (DirectoryUnavailableError, DamagedStoreError) as error:
                    _log.debug("the share of %r is not shown yet: %s", agent_id, error)
                    asyncio.get_running_loop().call_later(_RETRY, self._share_changed, agent_id)
                except Exception:
                    _log.exception("the share of %r could not be settled", agent_id)

    async def _settle(self, agent_id: str) -> None:
        """Have an agent's share be what its record asks for, and its record show it."""
        if agent_id in self._under_way:  # it is settled afterwards
            return
        token = self._left.pop(agent_id, None)
        if token is not None:
            await self._entrance.pipeline.departed(agent_id, RecordToken(agent_id, token))
        record = self._roster.agents.get(agent_id)
        self.shares.settle(agent_id, record)
        if record is not None and self.config.has_budget:
            await self._changing.set_allocation(agent_id, self.shares.allocation(agent_id))

    # -- registering --------------------------------------------------------------

    def check(self, config: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
        """Refuse a record that asks for what it can't have. A Refusal (400 or 409)."""
        self.shares.check(self.shares.asked(config, resources))

    async def register(self, record: AgentMetadata) -> AgentMetadata:
        """Enter a record with all that belongs to it: its name, its memory. A Refusal that names the step."""
        with self._under_way_with(record.agent_id):
            return await self._entrance.register(record)

    async def leave(self, record: AgentMetadata, force: bool, migrate: bool) -> str | None:
        """Remove a record; the id of the agent that its tasks were handed to. A Refusal that names the step."""
        with self._under_way_with(record.agent_id):
            return await self._exit.leave(record, force, migrate, self._changing)

    @contextlib.contextmanager
    def _under_way_with(self, agent_id: str) -> Iterator[None]:
        """Leave an agent's share to the pipeline for the time of the block: its record does not tell yet."""
        self._under_way[agent_id] += 1
        try:
            yield
        finally:
            self._under_way[agent_id] -= 1
            if not self._under_way[agent_id]:
                del self._under_way[agent_id]
            self._share_changed(agent_id)

    def _watch(self, agent_id: str) -> Callable[[], object]:
        """Take in what an agent says of itself from its first moment."""
        record = self._roster.agents.get(agent_id)
        self._fresh[agent_id] = None if record is None else Known(record.token, record.revision, reading_of(record))
        self._news.set()
        return lambda: self._unwatch(agent_id)

    def _unwatch(self, agent_id: str) -> None:
        self._gone[agent_id] = None
        self._news.set()

    async def statistics(self, records: Sequence[AgentMetadata]) -> dict[str, Any]:
        """The registry in figures: what records say, and what was measured."""
        store = None if self._monitor is None else self._monitor.store
        try:
            found = await asyncio.to_thread(statistics, records, store, clock=self.clocks.wall)
        except MetricsStoreError as error:
            raise unavailable(error) from error
        return found.to_dict()

    async def monitor_at_last(self) -> Monitor:
        """The metrics and the alerts, however long it takes until they are open."""
        assert self._opened is not None
        await self._opened.wait()
        assert self._monitor is not None
        return self._monitor


def _says_something(change: Change, record: AgentMetadata) -> bool:
    if change.kind == "registered":
        return bool(record.performance or record.resources)
    return not _FED.isdisjoint(change.fields or ())


def _had_none(record: AgentMetadata) -> bool:
    allocation = record.resources.get("allocation")
    return not (isinstance(allocation, dict) and allocation.get("state") == "granted")


def _log_notice(notice: Notice) -> None:
    _log.info("%s: %s %s", notice.kind, notice.name, notice.reason)


def _logged(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        _log.exception("a decision could not be kept")


def _told(alert_id: str, event: AlertEvent) -> dict[str, Any]:
    return {
        "alert": event.rule,
        "id": alert_id,
        "state": "resolved" if event.kind == "resolved" else "firing",
        "severity": event.severity,
        "details": event.message,
        "value": event.value,
        "affected_agents": [event.agent],
    }
