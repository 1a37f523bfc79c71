"""Sentinel and cluster: when another server takes over, callers get through, and readers resume or start anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentreg.extensions.coordination.backend import Delete, Put, Renew
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.redis import RedisBackend

from .servers import Cluster, SentinelSet, Server, command, wait_for
from .stores import record, run
from .test_redis_faults import names, opened


@pytest.fixture
def replicated_cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, replicas=1) as cluster:
        yield cluster


async def put_until_it_goes(backend: RedisBackend, name: str) -> None:
    """A caller who tries again; each try ends in time."""
    while True:
        started = time.monotonic()
        try:
            answer = await backend.put([Put(record(name))])
        except DirectoryUnavailableError:
            assert time.monotonic() - started < backend.address.timeout + 1
        else:
            assert answer.results == [None]
            return


def cut_off(primary: Server, replicas: list[Server]) -> None:
    """What is written from now on does not reach the replicas."""
    for each in replicas:
        each.pause()
    command(primary.port, "CLIENT", "KILL", "TYPE", "replica")


def other_than(servers: list[Server], server: Server) -> list[Server]:
    return [each for each in servers if each is not server]


@run
async def test_after_a_failover_everything_goes_on_with_the_promoted_replica(sentinels: SentinelSet) -> None:
    async with opened(sentinels.url) as backend:
        await backend.put([Put(record("ann", "r"))])
        start = await backend.list()
        old = sentinels.primary()
        for each in other_than(sentinels.servers, old):
            wait_for(each.port, b"ann", "HKEYS", "{agentreg:0}:records")
        old.stop()
        await put_until_it_goes(backend, "bob")
        changes = await backend.changes(start.revision, start.mark)
        stale = await backend.renew([Renew("r", "ann", "stale")])

        assert changes is not None
        assert [each.agent_id for each in changes.changes] == ["bob"]
        assert await names(backend) == ["ann", "bob"]
        assert stale.results == [False]
        assert sentinels.primary() is not old


@run
async def test_a_watch_goes_on_over_a_failover(sentinels: SentinelSet) -> None:
    async with opened(sentinels.url) as backend, opened(sentinels.url) as writer:
        await writer.put([Put(record("ann"))])
        start = await backend.list()
        old = sentinels.primary()
        for each in other_than(sentinels.servers, old):
            wait_for(each.port, b"ann", "HKEYS", "{agentreg:0}:records")
        heard: list[str] = []

        async def watch() -> None:
            since, mark = start.revision, start.mark
            while len(heard) < 2:
                try:
                    changes = await backend.changes(since, mark, wait=1.0)
                except DirectoryUnavailableError:
                    continue
                assert changes is not None
                heard.extend([each.agent_id for each in changes.changes])
                since, mark = changes.revision, changes.mark

        watching = asyncio.create_task(watch())
        old.pause()
        await put_until_it_goes(writer, "bob")
        await put_until_it_goes(writer, "cleo")
        await asyncio.wait_for(watching, 20)
        old.resume()

    assert heard == ["bob", "cleo"]


@run
async def test_what_a_failover_has_lost_is_not_passed_over_in_silence(sentinels: SentinelSet) -> None:
    async with opened(sentinels.url) as backend:
        await backend.put([Put(record("ann", token="first"))])
        old = sentinels.primary()
        replicas = other_than(sentinels.servers, old)
        for each in replicas:
            wait_for(each.port, b"ann", "HKEYS", "{agentreg:0}:records")
        cut_off(old, replicas)
        await backend.put([Put(record("lost"))])
        ahead = await backend.list()
        old.stop()
        for each in replicas:
            each.resume()
        await put_until_it_goes(backend, "bob")
        same_number = await backend.changes(ahead.revision, ahead.mark)
        await put_until_it_goes(backend, "cleo")
        later = await backend.changes(ahead.revision, ahead.mark)

        assert ahead.revision == 2
        assert (same_number, later) == (None, None)
        assert await names(backend) == ["ann", "bob", "cleo"]


@run
async def test_a_removal_by_an_owner_whose_registration_the_failover_lost_spares_the_successor(
    sentinels: SentinelSet,
) -> None:
    async with opened(sentinels.url) as backend:
        old = sentinels.primary()
        replicas = other_than(sentinels.servers, old)
        cut_off(old, replicas)
        await backend.put([Put(record("ann", token="lost"))])
        old.stop()
        for each in replicas:
            each.resume()
        await put_until_it_goes(backend, "ann")
        late = await backend.delete([Delete("ann", "lost")])
        beat = await backend.renew([Renew("runtime", "ann", "lost")])

        assert (late.results, beat.results) == ([False], [False])
        assert [each.token for each in (await backend.list()).records] == ["token of ann"]


@run
async def test_a_stopped_sentinel_only_costs_time(sentinels: SentinelSet) -> None:
    sentinels.sentinels[0].pause()
    async with opened(sentinels.url) as backend:
        answer = await backend.put([Put(record("ann"))])
    sentinels.sentinels[0].resume()

    assert answer.results == [None]


@run
async def test_a_service_that_the_sentinels_do_not_know_is_an_error_in_time(sentinels: SentinelSet) -> None:
    backend = RedisBackend(f"{sentinels.url.replace('/agents', '/nobody')}?timeout=0.5")
    with pytest.raises(DirectoryUnavailableError, match="nobody"):
        await backend.open()

    await backend.close()


@run
async def test_a_cluster_that_has_lost_a_primary_goes_on(replicated_cluster: Cluster) -> None:
    servers = replicated_cluster.servers
    async with opened(f"{replicated_cluster.url}?partitions=6&timeout=8") as backend:
        await backend.put([Put(record(f"a{n}")) for n in range(30)])
        start = await backend.list()
        for each in servers:
            wait_for(each.port, b"state:ok", "CLUSTER", "INFO")
        for each in servers[3:]:
            wait_for(each.port, b"master_link_status:up", "INFO", "replication")
            offset = wait_for(each.port, b"slave_repl_offset", "INFO", "replication")
            assert offset
        await asyncio.sleep(0.1)  # replication is asynchronous, and its end is nowhere to be seen
        servers[0].stop()
        await asyncio.gather(*[put_until_it_goes(backend, f"b{n}") for n in range(12)])
        changes = await backend.changes(start.revision, start.mark)
        there = await names(backend)

    assert changes is not None
    assert sorted(each.agent_id for each in changes.changes) == sorted(f"b{n}" for n in range(12))
    assert sorted(there) == sorted([f"a{n}" for n in range(30)] + [f"b{n}" for n in range(12)])


@run
async def test_keys_that_have_moved_to_another_node_are_found_there(replicated_cluster: Cluster) -> None:
    async with opened(f"{replicated_cluster.url}?partitions=6") as backend:
        await backend.put([Put(record(f"a{n}")) for n in range(30)])
        promoted = replicated_cluster.servers[3]
        command(promoted.port, "CLUSTER", "FAILOVER")
        wait_for(promoted.port, b"role:master", "INFO", "replication")
        answer = await backend.put([Put(record(f"b{n}")) for n in range(30)])
        there = await names(backend)

    assert answer.results == [None] * 30
    assert len(there) == 60
