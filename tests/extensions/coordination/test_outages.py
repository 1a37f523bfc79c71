"""What must not end a lease: clocks that jump, a process that was stopped, a store that was away or has forgotten."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    AgentMetadata,
    AgentStatus,
    DirectoryUnavailableError,
    RegistryEventType,
    Resync,
)
from agentreg.extensions.coordination.backend import Answer, Changes, Delete, Patch, Put, Renew, Snapshot
from agentreg.extensions.coordination.memory import MemoryBackend
from agentreg.extensions.coordination.record import from_wire, to_wire

from .stores import run, until

QUICK = AgentDirectoryConfig(heartbeat_timeout=0.6, auto_deregister_timeout=1.2)


class Worker:
    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.capabilities = ["work"]


class Site:
    """Where a store is; it may be away, and another may stand there afterwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = MemoryBackend(clock)
        self.away = False
        self.calls = 0

    def records(self) -> dict[str, AgentMetadata]:
        return self.store.replica.records


class Distant:
    """A connection to a store that is somewhere else: what goes there is copied."""

    def __init__(self, site: Site) -> None:
        self.url = f"distant://{id(site)}"
        self.site = site
        self._listed: MemoryBackend | None = None

    def reach(self) -> MemoryBackend:
        self.site.calls += 1
        if self.site.away:
            raise DirectoryUnavailableError(self.url, "it is away")
        return self.site.store

    async def open(self) -> None:
        self.reach()

    async def close(self) -> None: ...

    async def put(self, batch: Sequence[Put]) -> Answer:
        return await self.reach().put([item._replace(record=_copied(item.record)) for item in batch])

    async def patch(self, batch: Sequence[Patch]) -> Answer:
        return await self.reach().patch(batch)

    async def delete(self, batch: Sequence[Delete]) -> Answer:
        return await self.reach().delete(batch)

    async def renew(self, batch: Sequence[Renew]) -> Answer:
        return await self.reach().renew(batch)

    async def list(self) -> Snapshot:
        self._listed = self.reach()
        return await self._listed.list()

    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Changes | None:
        changes = await self.reach().changes(since, mark, min(wait, 0.02))
        if self.reach() is not self._listed or changes is None:
            return None
        copies = [replace(each, record=each.record and _copied(each.record)) for each in changes.changes]
        return replace(changes, changes=copies)


def _copied(record: AgentMetadata) -> AgentMetadata:
    return from_wire(to_wire(record))


def ids(records: Sequence[AgentMetadata]) -> list[str]:
    return [record.agent_id for record in records]


@run
async def test_nobody_expires_when_the_wall_clock_jumps_by_an_hour_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    really = time.time
    site = Site()
    mine, theirs = Worker("mine"), Worker("theirs")
    async with (
        AgentDirectory(QUICK, Distant(site), auto_heartbeat=True) as one,
        AgentDirectory(QUICK, Distant(site)) as two,
    ):
        await one.register_agent(mine, "r1")
        for hour in (3600, -3600):
            monkeypatch.setattr(time, "time", lambda hour=hour: really() + hour)
            await two.register_agent(theirs, "r2", f"theirs {hour}")
            await until(lambda hour=hour: f"theirs {hour}" not in two.agents)  # its own lease has run out
            assert ids(await two.find_agents_by_capability("work")) == ["mine"]


@run
async def test_a_process_that_was_stopped_gives_everyone_a_full_lease_when_it_goes_on() -> None:
    site = Site()
    worker = Worker("ann")
    watcher = AgentDirectory(QUICK, Distant(site))
    seen: list[AgentStatus] = []
    async with AgentDirectory(QUICK, Distant(site)) as owner, watcher:
        watcher.subscribe(
            RegistryEventType.AGENT_STATUS_CHANGED, lambda event: seen.append(event.metadata["new_status"])
        )
        await owner.register_agent(worker, "r")
        await until(lambda: "ann" in watcher.agents)
        time.sleep(1.3)  # the whole process stands still for longer than any time-out
        assert ids(await watcher.find_agents_by_capability("work")) == ["ann"]
        await asyncio.sleep(0.3)
        assert ids(await watcher.find_agents_by_capability("work")) == ["ann"]
        assert seen == []
        await until(lambda: seen)  # and then it is overdue like anybody


@run
async def test_an_outage_of_the_store_ends_no_lease_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    worker = Worker("ann")
    with caplog.at_level(logging.WARNING):
        async with (
            AgentDirectory(QUICK, Distant(site), auto_heartbeat=True) as owner,
            AgentDirectory(QUICK, Distant(site)) as other,
        ):
            await owner.register_agent(worker, "r")
            await until(lambda: "ann" in other.agents)
            site.away = True
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                assert ids(await other.find_agents_by_capability("work")) == ["ann"]
                assert ids(await owner.find_agents_by_capability("work")) == ["ann"]
                await asyncio.sleep(0.02)
            with pytest.raises(DirectoryUnavailableError, match="gives no answer"):
                await other.register_agent(Worker("bob"), "r")
            site.away = False
            await asyncio.sleep(0.5)
            assert ids(await other.find_agents_by_capability("work")) == ["ann"]

    assert caplog.text.count("gives no answer") == 2  # once for each directory
    assert caplog.text.count("is back") == 2


@run
async def test_a_store_that_has_forgotten_everything_is_told_again_by_the_owners() -> None:
    site = Site()
    worker = Worker("ann")
    async with AgentDirectory(backend=Distant(site)) as owner, AgentDirectory(backend=Distant(site)) as other:
        watch = other.watch()
        await owner.register_agent(worker, "r")
        await until(lambda: "ann" in other.agents)
        await watch.__anext__()
        for _ in range(50):
            await other.update_agent_status("ann", "degraded")
            await other.update_agent_status("ann", "active")
        site.store = MemoryBackend(time.monotonic)

        async def back() -> bool:
            return site.records().keys() == {"ann"} and "ann" in other.agents

        await until(back)
        assert owner.agents["ann"].agent is worker
        item = await watch.__anext__()
        while not isinstance(item, Resync):
            item = await watch.__anext__()
        await watch.aclose()  # type: ignore[attr-defined]


@run
async def test_an_agent_that_a_restored_store_brings_back_is_removed_by_the_process_it_belonged_to() -> None:
    site = Site()
    worker = Worker("ann")
    async with AgentDirectory(backend=Distant(site)) as owner, AgentDirectory(backend=Distant(site)) as other:
        await owner.register_agent(worker, "r")
        backup = MemoryBackend(time.monotonic)
        await backup.put([Put(_copied(site.records()["ann"]))])
        await owner.deregister_agent("ann", "r")
        site.store = backup
        await until(lambda: not site.records())
        await until(lambda: not other.agents)


@run
async def test_a_stale_owner_is_not_put_back_over_its_successor() -> None:
    site = Site()
    stale, new = Worker("ann"), Worker("ann")
    async with AgentDirectory(backend=Distant(site)) as owner, AgentDirectory(backend=Distant(site)) as other:
        await owner.register_agent(stale, "old")
        site.store = MemoryBackend(time.monotonic)
        site.away = True
        taken = MemoryBackend(time.monotonic)
        successor = AgentDirectory(backend=taken)
        await successor.register_agent(new, "new")
        site.store = taken
        site.away = False

        async def seen() -> bool:
            there = await other.get_agent("ann")
            return there is not None and there.runtime_id == "new"

        await until(seen)
        assert await owner.deregister_agent("ann", "old") is False
        del stale
        await owner.list_agents()
        assert ids(await other.list_agents()) == ["ann"]
        assert (await owner.get_metrics())["runtime_distribution"] == {"new": 1}


@run
async def test_an_owner_that_was_taken_for_dead_comes_back_if_it_beats_by_itself() -> None:
    site = Site()
    worker = Worker("ann")
    async with (
        AgentDirectory(backend=Distant(site), auto_heartbeat=True) as owner,
        AgentDirectory(backend=Distant(site)) as other,
    ):
        await owner.register_agent(worker, "r")
        there = await other.get_agent("ann")
        assert there is not None
        await site.store.delete([Delete("ann", there.token, "expired")])
        await until(lambda: "ann" not in other.agents)
        await until(lambda: "ann" in other.agents)
        assert owner.agents["ann"].agent is worker


@run
async def test_a_monitor_does_not_act_on_beats_that_it_has_not_heard_yet() -> None:
    """Its condition names what it has heard; the store has heard more."""
    now = 0.0
    site = Site(lambda: now)
    worker = Worker("ann")
    owner, monitor = (
        AgentDirectory(backend=Distant(site), clock=lambda: now),
        AgentDirectory(backend=Distant(site), clock=lambda: now),
    )
    await owner.register_agent(worker, "r")
    await monitor.list_agents()
    monitor._follower.following = True  # it follows, and its news is late
    now = 31.0
    await owner.update_agent_heartbeat("ann")
    assert ids(await monitor.find_agents_by_capability("work")) == ["ann"]
    assert site.records()["ann"].status is AgentStatus.ACTIVE
    assert owner.agents["ann"].agent is worker


@run
async def test_who_hears_late_of_a_registration_does_not_take_it_for_fresh() -> None:
    now = 0.0
    site = Site(lambda: now)
    worker = Worker("ann")
    owner, late = (AgentDirectory(backend=Distant(site), clock=lambda: now) for _ in range(2))
    await late.list_agents()
    await owner.register_agent(worker, "r")
    now = 45.0

    assert await late.find_agents_by_capability("work") == []


@run
async def test_a_directory_does_not_start_over_a_store_that_is_away_and_leaves_nothing_running() -> None:
    site = Site()
    site.away = True
    before = asyncio.all_tasks()
    directory = AgentDirectory(backend=Distant(site))
    with pytest.raises(DirectoryUnavailableError):
        await directory.start()
    assert asyncio.all_tasks() == before
    site.away = False
    async with directory:
        assert dict(directory.agents) == {}


@run
async def test_a_shutdown_over_a_store_that_is_away_ends_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    worker = Worker("ann")
    before = asyncio.all_tasks()
    directory = AgentDirectory(backend=Distant(site))
    await directory.start()
    await directory.register_agent(worker, "r")
    site.away = True
    with caplog.at_level(logging.WARNING):
        await directory.shutdown()

    assert "stay in it until their leases end" in caplog.text
    assert asyncio.all_tasks() == before


class Damaged(Distant):
    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Any:
        await asyncio.sleep(0)
        raise ZeroDivisionError("a mistake in a backend")


@run
async def test_a_backend_with_a_mistake_is_reported_once_and_does_not_spin(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    with caplog.at_level(logging.WARNING):
        async with AgentDirectory(backend=Damaged(site)):
            await asyncio.sleep(0.5)

    assert caplog.text.count("ZeroDivisionError: a mistake") == 1
    assert site.calls < 20
