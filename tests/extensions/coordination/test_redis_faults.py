"""Redis away, stopped, restarted, restored, cut off: an answer or an error in time, and all is well afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentreg.extensions.coordination.backend import Changes, Delete, Patch, Put, Renew
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.record import AgentMetadata
from agentreg.extensions.coordination.redis import RedisBackend

from .servers import Proxy, Server, command, wait_for
from .stores import record, run, until

LONG = bool(os.environ.get("AGENTREG_LONG"))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(url)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Server]:
    """A server that writes what it answers to a file before."""
    with Server(tmp_path / "durable", "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


async def names(backend: RedisBackend) -> list[str]:
    return [each.agent_id for each in (await backend.list()).records]


# -- away ---------------------------------------------------------------------


@run
async def test_while_the_server_is_away_calls_say_so_in_time_and_then_work_again(own_server: Server) -> None:
    async with opened(f"{own_server.url}?timeout=0.4") as backend:
        await backend.put([Put(record("ann"))])
        own_server.stop()
        started = time.monotonic()
        with pytest.raises(DirectoryUnavailableError, match=str(own_server.port)):
            await backend.put([Put(record("bob"))])
        with pytest.raises(DirectoryUnavailableError):
            await backend.list()
        with pytest.raises(DirectoryUnavailableError):
            await backend.changes(0, 0, wait=30)
        took = time.monotonic() - started
        own_server.start()
        answer = await backend.put([Put(record("bob"))])

    assert took < 3 * 0.4 + 1
    assert (answer.revision, answer.results) == (1, [None])


@run
async def test_a_call_outlasts_a_short_absence(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        own_server.stop()
        call = asyncio.create_task(backend.put([Put(record("ann"))]))
        await asyncio.sleep(0.05)
        own_server.start()
        answer = await call

    assert answer.results == [None]


@run
async def test_a_directory_whose_server_was_never_there_cannot_be_opened(own_server: Server) -> None:
    own_server.stop()
    backend = RedisBackend(f"{own_server.url}?timeout=0.2")
    with pytest.raises(DirectoryUnavailableError):
        await backend.open()

    await backend.close()


@run
async def test_a_server_that_comes_back_without_its_data_makes_readers_resynchronise(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann")), Put(record("bob"))])
        before = await backend.list()
        own_server.stop()
        own_server.start()
        empty = await backend.changes(before.revision, before.mark)
        await backend.put([Put(record("cleo")), Put(record("dora"))])
        other = await backend.changes(before.revision, before.mark)

        assert (empty, other) == (None, None)
        assert await names(backend) == ["cleo", "dora"]


@run
async def test_a_server_that_comes_back_with_its_data_is_resumed_without_a_gap(durable: Server) -> None:
    async with opened(durable.url) as backend:
        await backend.put([Put(record("ann"))])
        before = await backend.list()
        await backend.put([Put(record("bob"))])
        durable.stop()
        durable.start()
        changes = await backend.changes(before.revision, before.mark)
        await backend.put([Put(record("cleo"))])

        assert changes is not None
        assert [(int(each.revision), each.agent_id) for each in changes.changes] == [(2, "bob")]
        assert await names(backend) == ["ann", "bob", "cleo"]


@run
async def test_whoever_waits_for_changes_outlives_a_restart(durable: Server) -> None:
    async with opened(durable.url) as backend, opened(durable.url) as other:
        start = await backend.list()
        waiting = asyncio.create_task(backend.changes(start.revision, start.mark, wait=30))
        await asyncio.sleep(0.05)
        durable.stop()
        durable.start()
        await other.put([Put(record("ann"))])
        changes = await asyncio.wait_for(waiting, 10)

    assert changes is not None
    assert [each.agent_id for each in changes.changes] == ["ann"]


# -- stopped ------------------------------------------------------------------


@run
async def test_a_stopped_server_is_noticed_in_time_and_ages_nobody(own_server: Server) -> None:
    async with opened(f"{own_server.url}?timeout=0.5") as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r", "ann", "token of ann")])
        own_server.pause()
        started = time.monotonic()
        with pytest.raises(DirectoryUnavailableError, match=r"0\.5 s|TimeoutError"):
            await backend.list()
        took = time.monotonic() - started
        own_server.resume()
        beats = (await backend.list()).beats

    assert took < 1.5
    assert all(0 <= beat.age < 2.6 for beat in beats)


@run
async def test_no_connection_to_a_server_that_went_silent_is_left(own_server: Server) -> None:
    async with Proxy(own_server.port) as proxy:
        async with opened(f"{proxy.url}?timeout=0.4") as backend:
            await backend.put([Put(record("ann"))])
            proxy.mute = True
            with pytest.raises(DirectoryUnavailableError):
                await asyncio.gather(*[backend.put([Put(record(f"a{n}"))]) for n in range(8)])
            await until(lambda: proxy.open == 0)
            proxy.mute = False
            answer = await backend.put([Put(record("bob"))])
        await until(lambda: proxy.open == 0)

    assert answer.results == [None]


# -- cut ----------------------------------------------------------------------


@run
async def test_a_registration_whose_answer_was_lost_is_found_to_be_ones_own(
    redis_server: Server, redis_prefix: str
) -> None:
    async with Proxy(redis_server.port) as proxy, opened(f"{proxy.url}?prefix={redis_prefix}") as backend:
        proxy.swallow = b'"agent_id":"ann"'
        answer = await backend.put([Put(record("ann")), Put(record("bob"))])
        changes = await backend.changes(0, 0)

    assert proxy.swallowed == 1
    assert (answer.revision, answer.results) == (2, [None, None])
    assert changes is not None
    assert [each.agent_id for each in changes.changes] == ["ann", "bob"]


@run
async def test_a_replacement_whose_answer_was_lost_happens_once(redis_server: Server, redis_prefix: str) -> None:
    async with Proxy(redis_server.port) as proxy, opened(f"{proxy.url}?prefix={redis_prefix}") as backend:
        await backend.put([Put(record("ann", token="old"))])
        proxy.swallow = b'"token":"new"'
        answer = await backend.put([Put(record("ann", token="new"), "old")])

    assert proxy.swallowed == 1
    assert (answer.revision, answer.results) == (3, [None])


@run
async def test_a_removal_whose_answer_was_lost_is_still_told_as_ones_own(
    redis_server: Server, redis_prefix: str
) -> None:
    async with Proxy(redis_server.port) as proxy, opened(f"{proxy.url}?prefix={redis_prefix}") as backend:
        await backend.put([Put(record("ann")), Put(record("bob"))])
        proxy.swallow = b'"token of ann"'
        answer = await backend.delete([Delete("ann", "token of ann"), Delete("bob", "wrong"), Delete("nobody", "x")])

    assert proxy.swallowed == 1
    assert (answer.revision, answer.results) == (3, [True, False, False])


@run
async def test_a_patch_whose_answer_was_lost_happens_once(redis_server: Server, redis_prefix: str) -> None:
    async with Proxy(redis_server.port) as proxy, opened(f"{proxy.url}?prefix={redis_prefix}") as backend:
        await backend.put([Put(record("ann"))])
        proxy.swallow = b'"token of ann"'
        answer = await backend.patch([Patch("ann", "token of ann", {"status": "degraded"})])

    assert proxy.swallowed == 1
    assert (answer.revision, answer.results) == (2, [True])


@run
async def test_a_call_that_was_cancelled_leaves_its_answer_to_nobody_else(own_server: Server) -> None:
    async with Proxy(own_server.port) as proxy, opened(proxy.url) as backend:
        await backend.put([Put(record("ann"))])
        proxy.mute = True
        call = asyncio.create_task(backend.list())
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        proxy.mute = False

        answers = await asyncio.gather(*[backend.put([Put(record("ann", token=f"t{n}"))]) for n in range(20)])

    assert [answer.results[0].token for answer in answers] == ["token of ann"] * 20


# -- not the same store any more ----------------------------------------------


@run
async def test_a_store_restored_from_a_backup_is_not_resumed(durable: Server, tmp_path: Path) -> None:
    folder, backup = tmp_path / "durable", tmp_path / "backup"
    async with opened(durable.url) as backend:
        await backend.put([Put(record(f"a{n}")) for n in range(5)])
        early = await backend.list()
        durable.stop(signal.SIGTERM)
        shutil.copytree(folder, backup)
        durable.start()
        await backend.put([Put(record(f"b{n}")) for n in range(5)])
        late = await backend.list()
        durable.stop()
        shutil.rmtree(folder)
        shutil.move(backup, folder)
        durable.start()
        behind = await backend.changes(late.revision, late.mark)
        await backend.put([Put(record(f"c{n}")) for n in range(9)])
        elsewhere = await backend.changes(late.revision, late.mark)
        common = await backend.changes(early.revision, early.mark)

    assert (late.revision, behind, elsewhere) == (10, None, None)
    assert common is not None
    assert [each.agent_id for each in common.changes] == [f"c{n}" for n in range(9)]


@run
async def test_a_store_that_was_cleared_and_filled_anew_is_not_resumed(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann")), Put(record("bob"))])
        before = await backend.list()
        command(own_server.port, "FLUSHALL")
        await backend.put([Put(record(f"a{n}")) for n in range(3)])
        changes = await backend.changes(before.revision, before.mark)
        beats = await backend.changes((await backend.list()).revision, before.mark)

    assert changes is None
    assert beats is not None


@run
async def test_a_log_with_an_entry_cut_out_is_not_resumed_over_the_hole(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        start = await backend.list()
        await backend.put([Put(record(name)) for name in ("bob", "cleo", "dora")])
        command(own_server.port, "XDEL", "{agentreg:0}:log", "3-0")

        assert await backend.changes(start.revision, start.mark) is None
        assert await names(backend) == ["ann", "bob", "cleo", "dora"]


@run
async def test_a_server_turned_into_a_replica_is_not_taken_for_the_store(
    own_server: Server, redis_server: Server
) -> None:
    async with opened(f"{own_server.url}?timeout=0.5") as backend:
        await backend.put([Put(record("ann"))])
        command(own_server.port, "REPLICAOF", "127.0.0.1", redis_server.port)
        with pytest.raises(DirectoryUnavailableError, match=r"read only|ReadOnly|MASTERDOWN|LOADING"):
            await backend.put([Put(record("bob"))])
        command(own_server.port, "REPLICAOF", "NO", "ONE")
        answer = await backend.put([Put(record("bob"))])

    assert answer.results == [None]


@run
async def test_a_server_that_is_still_loading_is_waited_for(tmp_path: Path) -> None:
    with Server(
        tmp_path / "slow", "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"
    ) as server:
        async with opened(server.url) as backend:
            await backend.put([Put(record("ann"))])
            for number in range(200):
                command(server.port, "SET", f"filler{number}", "x" * 100)
            command(server.port, "SAVE")
            server.stop()
            server.start(ready=False)
            wait_for(server.port, b"LOADING", "GET", "x")

            assert await names(backend) == ["ann"]


# -- the clock ----------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1, 1])
@run
async def test_setting_the_servers_clock_ages_nobody(own_server: Server, hours: int) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r"), Renew("r", "ann", "token of ann")])
        await backend.list()
        answer = command(own_server.port, "HGET", "{agentreg:0}:state", "wall")
        wall = int(answer.split(b"\r\n")[1]) - hours * 3_600_000_000  # as if the clock had been set by so much since
        command(own_server.port, "HSET", "{agentreg:0}:state", "wall", wall)
        snapshot = await backend.list()
        await backend.renew([Renew("r", "ann", "token of ann")])
        changes = await backend.changes(snapshot.revision, snapshot.mark)

    assert all(0 <= beat.age < 2.5 for beat in snapshot.beats)
    assert changes is not None
    assert [(beat.agent_id, beat.age < 2.5) for beat in changes.beats] == [("ann", True)]


# -- everything at once -------------------------------------------------------


class Copy:
    """What someone knows who reads the changes, and starts anew when told to."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.revision = 0
        self.mark = 0
        self.resyncs = 0

    def take(self, changes: Changes) -> None:
        for change in changes.changes:
            assert int(change.revision) == int(self.revision) + 1
            self.revision = change.revision
            if change.kind == "registered":
                assert change.agent_id not in self.records
                self.records[change.agent_id] = change.token
            elif change.kind == "deregistered":
                assert self.records.pop(change.agent_id) == change.token
        self.revision, self.mark = changes.revision, changes.mark

    async def follow(self, backend: RedisBackend, last: int) -> None:
        while self.revision < last:
            try:
                changes = await backend.changes(self.revision, self.mark, wait=1.0)
                if changes is None:
                    await self.restart(backend)
                else:
                    self.take(changes)
            except DirectoryUnavailableError:
                pass

    async def restart(self, backend: RedisBackend) -> None:
        snapshot = await backend.list()
        self.records = {each.agent_id: each.token for each in snapshot.records}
        self.revision, self.mark = snapshot.revision, snapshot.mark
        self.resyncs += 1


async def churn(backend: RedisBackend, changes: int, chance: random.Random) -> None:
    there: dict[str, AgentMetadata] = {}
    done = 0
    while done < changes:
        batch = [record(f"agent {done + n}") for n in range(min(chance.randint(1, 20), changes - done))]
        await backend.put([Put(each) for each in batch])
        there.update({each.agent_id: each for each in batch})
        done += len(batch)
        gone = chance.sample(list(there), min(len(there), chance.randint(0, 10), changes - done))
        await backend.delete([Delete(name, there.pop(name).token) for name in gone])
        done += len(gone)
        await asyncio.sleep(0)


async def cut_now_and_then(proxy: Proxy, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(0.005, 0.1))
        proxy.cut()


@pytest.mark.timeout(900)
@run
async def test_watchers_that_are_cut_off_at_random_see_every_change_once_and_in_order(
    redis_server: Server, redis_prefix: str
) -> None:
    watchers, last = (50, 10_000) if LONG else (10, 600)
    chance = random.Random(7)
    copies = [Copy() for _ in range(watchers)]
    async with Proxy(redis_server.port) as proxy, opened(f"{redis_server.url}?prefix={redis_prefix}") as writer:
        backends = [RedisBackend(f"{proxy.url}?prefix={redis_prefix}") for _ in copies]
        cutting = asyncio.create_task(cut_now_and_then(proxy, chance))
        following = [copy.follow(backend, last) for copy, backend in zip(copies, backends, strict=True)]
        await asyncio.gather(churn(writer, last, chance), *following)
        cutting.cancel()
        await asyncio.gather(cutting, return_exceptions=True)
        expected = {each.agent_id: each.token for each in (await writer.list()).records}
        for backend in backends:
            await backend.close()

    assert [copy.records == expected for copy in copies] == [True] * watchers
    assert [copy.resyncs for copy in copies] == [0] * watchers


@run
async def test_watchers_behind_the_end_of_a_short_log_resynchronise_to_the_same_listing(
    redis_server: Server, redis_prefix: str
) -> None:
    url = f"{redis_server.url}?prefix={redis_prefix}&history=20"
    copy = Copy()
    async with opened(url) as writer, opened(url) as reader:
        await asyncio.gather(churn(writer, 500, random.Random(3)), copy.follow(reader, 500))
        await copy.restart(reader)
        copy.revision = (await reader.list()).revision
        snapshot = await writer.list()

    assert copy.records == {each.agent_id: each.token for each in snapshot.records}
    assert copy.revision == snapshot.revision == 500


@pytest.mark.timeout(900)
@run
async def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_load(durable: Server) -> None:
    kills = 200 if LONG else 4
    chance = random.Random(11)
    certain: dict[str, str] = {}
    stopping = asyncio.Event()

    async def work(backend: RedisBackend, who: int) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            mine = record(f"{who}:{number}")
            await backend.put([Put(mine)])
            certain[mine.agent_id] = mine.token
            if number % 3 == 0:
                name = f"{who}:{number - 1}"
                removed = await backend.delete([Delete(name, certain[name])])
                assert removed.results == [True]
                del certain[name]

    async with opened(f"{durable.url}?timeout=30") as backend:
        workers = [asyncio.create_task(work(backend, who)) for who in range(4)]
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.02, 0.1))
            durable.stop()
            durable.start()
        stopping.set()
        await asyncio.gather(*workers)
        snapshot = await backend.list()

    assert {each.agent_id: each.token for each in snapshot.records} == certain
