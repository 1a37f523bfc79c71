"""What the store in Redis does beyond the contract that all stores share."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.coordination.backend import Changes, Delete, Patch, Put, Renew
from agentreg.extensions.coordination.errors import BackendURLError, DirectoryUnavailableError, ForeignKeyError
from agentreg.extensions.coordination.redis import RedisBackend
from agentreg.extensions.coordination.redis.nodes import AT_ONCE

from .servers import Cluster, Proxy, Server, command
from .stores import record, run, until
from .test_redis_faults import names, opened


async def news(backend: RedisBackend, since: int = 0, mark: int = 0) -> Changes:
    changes = await backend.changes(since, mark)
    assert changes is not None
    return changes


# -- what is kept -------------------------------------------------------------


@run
async def test_nothing_is_kept_of_agents_that_are_gone_but_the_log(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        batch = [record(f"a{n}", f"r{n % 3}") for n in range(50)]
        await backend.put([Put(each) for each in batch])
        await backend.renew([Renew(each.runtime_id, each.agent_id, each.token) for each in batch])
        await backend.renew([Renew("r0"), Renew("nobody's")])
        await backend.delete([Delete(each.agent_id, each.token) for each in batch])
        await backend.renew([Renew("r0")])
        await backend.list()
    keys = command(own_server.port, "KEYS", "*")

    assert keys.count(b"$") == 2
    assert b":state" in keys
    assert b":log" in keys


@run
async def test_nothing_in_the_store_expires_by_itself(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        await backend.renew([Renew("runtime", "ann", "token of ann")])
    info = command(own_server.port, "INFO", "keyspace")

    assert b"expires=0" in info


@run
async def test_the_log_is_trimmed_by_length_and_whoever_is_further_behind_must_start_anew(redis_url: str) -> None:
    async with opened(f"{redis_url}&history=10") as backend:
        await backend.put([Put(record("first"))])
        start = await backend.list()
        await backend.put([Put(record(f"a{n}")) for n in range(10)])
        just = await news(backend, start.revision, start.mark)
        await backend.put([Put(record("last"))])
        late = await backend.changes(start.revision, start.mark)

    assert len(just.changes) == 10
    assert late is None


@run
async def test_more_changes_and_beats_than_one_answer_holds_come_together(redis_url: str) -> None:
    async with opened(redis_url) as backend:
        batch = [record(f"a{n}") for n in range(5_000)]
        await backend.put([Put(each) for each in batch])
        await backend.renew([Renew("runtime", each.agent_id, each.token) for each in batch])
        changes = await news(backend)
        beaten = {beat.agent_id for beat in changes.beats}
        later = await news(backend, changes.revision, changes.mark)

    assert [int(each.revision) for each in changes.changes] == list(range(1, 5_001))
    assert beaten == {each.agent_id for each in batch}
    assert later.beats == []


@run
async def test_a_beat_that_comes_while_many_changes_are_read_is_not_lost(redis_url: str) -> None:
    async with opened(redis_url) as backend, opened(redis_url) as reader:
        await backend.put([Put(record(f"a{n}", "r")) for n in range(5_000)])
        send = reader._client.run
        asked = 0

        async def run_and_beat(*words: Any) -> list[Any]:
            nonlocal asked
            answer = await send(*words)
            asked += 1
            if asked == 1:
                await backend.renew([Renew("r", "a1", "token of a1")])
            return answer

        reader._client.run = run_and_beat  # type: ignore[method-assign,assignment]
        changes = await news(reader)
        later = await news(reader, changes.revision, changes.mark)

    assert asked > 2
    assert "a1" in {beat.agent_id for beat in later.beats}


@run
async def test_someone_elses_entry_at_the_end_of_the_log_keeps_nobody_busy(own_server: Server) -> None:
    async with Proxy(own_server.port) as proxy, opened(proxy.url) as backend:
        await backend.put([Put(record("ann"))])
        start = await backend.list()
        command(own_server.port, "XADD", "{agentreg:0}:log", "99-0", "whose", "mine")
        command(own_server.port, "CONFIG", "RESETSTAT")
        changes = await backend.changes(start.revision, start.mark, wait=0.5)
        scripts = command(own_server.port, "INFO", "commandstats").partition(b"cmdstat_evalsha:calls=")[2]

    assert changes is not None
    assert changes.changes == []
    assert int(scripts.partition(b",")[0]) < 20


@run
async def test_a_listing_during_changes_is_the_store_at_one_revision(redis_url: str) -> None:
    async with opened(redis_url) as backend, opened(redis_url) as other:
        await backend.put([Put(record(f"a{n}")) for n in range(3_500)])
        listing = asyncio.create_task(other.list())
        for number in range(0, 3_500, 500):
            await backend.delete([Delete(f"a{number}", f"token of a{number}")])
            await backend.patch([Patch(f"a{number + 1}", f"token of a{number + 1}", {"status": "degraded"})])
            await backend.put([Put(record(f"a{number}", token="again"))])
        snapshot = await listing
        log = await news(backend)

    expected: dict[str, tuple[str, str]] = {}
    for change in log.changes[: snapshot.revision]:
        if change.kind == "registered":
            expected[change.agent_id] = (change.token, "active")
        elif change.kind == "updated":
            expected[change.agent_id] = (change.token, "degraded")
        else:
            del expected[change.agent_id]
    assert [(each.agent_id, (each.token, each.status.value)) for each in snapshot.records] == list(expected.items())


@run
async def test_a_beat_of_a_runtime_while_open_costs_no_round_trip_and_is_heard_soon(redis_url: str) -> None:
    async with opened(redis_url) as backend, opened(redis_url) as other:
        await backend.put([Put(record("ann", "r"))])
        start = await other.list()
        for _ in range(1000):
            await backend.renew([Renew("r")])
        changes = await other.changes(start.revision, start.mark, wait=10)

    assert changes is not None
    assert [(beat.runtime_id, beat.agent_id) for beat in changes.beats] == [("r", None)]


@run
async def test_a_beat_that_waits_is_written_when_the_store_closes(redis_url: str) -> None:
    async with opened(redis_url) as backend:
        await backend.put([Put(record("ann", "r"))])
        mark = (await backend.list()).mark
        await backend.renew([Renew("r")])
    async with opened(redis_url) as backend:
        removed = await backend.delete([Delete("ann", "token of ann", "expired", mark)])

    assert removed.results == [False]


@run
async def test_who_beats_while_the_server_is_away_hears_of_it_and_the_beat_is_not_forgotten(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with Proxy(own_server.port) as proxy, opened(f"{proxy.url}?timeout=0.3") as backend:
        await backend.put([Put(record("ann", "r"))])
        mark = (await backend.list()).mark
        proxy.mute = True
        await backend.renew([Renew("r")])
        await until(lambda: "heartbeats wait" in caplog.text)
        with pytest.raises(DirectoryUnavailableError):
            await backend.renew([Renew("r")])
        proxy.mute = False
        removed = await backend.delete([Delete("ann", "token of ann", "expired", mark)])

    assert removed.results == [False]


# -- what is wrong in the store -----------------------------------------------


@pytest.mark.parametrize("key", ["state", "records", "order", "log", "beats", "runtimes"])
@run
async def test_someone_elses_key_under_our_name_is_an_error_that_names_it_and_nothing_changes(
    own_server: Server, key: str
) -> None:
    command(own_server.port, "SET", f"{{agentreg:0}}:{key}", "mine")
    backend = RedisBackend(own_server.url)
    with pytest.raises(ForeignKeyError, match=rf"\{{agentreg:0\}}:{key} is a string, expected a"):
        await backend.put([Put(record("ann"))])
    with pytest.raises(ForeignKeyError):
        await backend.list()
    await backend.close()

    assert command(own_server.port, "DBSIZE") == b":1\r\n"


@pytest.mark.parametrize("text", ["junk", "{}", '{"agent_id":7}', "", "\n", '{"token":"x"}', "[1]", "\n\n"])
@run
async def test_a_record_that_cannot_be_read_is_left_out_with_a_warning_that_names_it(
    own_server: Server, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann")), Put(record("bob")), Put(record("cleo"))])
        command(own_server.port, "HSET", "{agentreg:0}:records", "bob", text)
        there = await names(backend)
        held = await backend.put([Put(record("bob", token="new"))])
        refused = await backend.delete([Delete("bob", "token of bob")])
        patched = await backend.patch([Patch("bob", "token of bob", {"status": "offline"})])
        beaten = await backend.renew([Renew("runtime", "bob", "token of bob")])

    assert there == ["ann", "cleo"]
    assert "'bob' in {agentreg:0}:records" in caplog.text
    assert held.results[0].agent_id == "bob"
    assert [refused.results, patched.results, beaten.results] == [[False]] * 3


@pytest.mark.parametrize("member", ["x", "a", "r", "a\\", "aghost\n\n", "r\\u12", "\u00e4"])
@run
async def test_a_beat_that_cannot_be_read_is_left_out(own_server: Server, member: str) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r", "ann", "token of ann")])
        command(own_server.port, "ZADD", "{agentreg:0}:beats", "5", member)
        beats = (await backend.list()).beats

    assert [beat.agent_id for beat in beats] == ["ann"]


@pytest.mark.parametrize("name", ["gh\n\nost", "\\u12", "\n"])
@run
async def test_an_id_that_nobody_of_us_has_written_is_left_out(own_server: Server, name: str) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        command(own_server.port, "ZADD", "{agentreg:0}:order", "5", name)
        command(own_server.port, "HSET", "{agentreg:0}:records", name, '{"x":1}')

        assert await names(backend) == ["ann"]


@run
async def test_a_place_without_a_record_is_left_out(own_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        command(own_server.port, "ZADD", "{agentreg:0}:order", "1", "ghost")

        assert await names(backend) == ["ann"]
        assert "ghost" in caplog.text


@run
async def test_a_change_that_cannot_be_read_makes_readers_start_anew(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        start = await backend.list()
        command(own_server.port, "XADD", "{agentreg:0}:log", "2-0", "n", "x" * 28, "k", "?", "i", "bob", "v", "junk")
        command(own_server.port, "HSET", "{agentreg:0}:state", "revision", "2", "nonce", "0" * 28)
        changes = await backend.changes(start.revision, start.mark)

    assert changes is None
    assert "change 2 " in caplog.text


@run
async def test_a_directory_without_its_state_goes_on_where_its_log_ends(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann")), Put(record("bob"))])
        command(own_server.port, "DEL", "{agentreg:0}:state")
        answer = await backend.put([Put(record("cleo"))])

        assert answer.revision == 3
        assert await names(backend) == ["ann", "bob", "cleo"]


@run
async def test_two_who_count_partitions_differently_do_not_miss_each_other(redis_url: str) -> None:
    async with opened(f"{redis_url}&partitions=3"):
        backend = RedisBackend(redis_url)
        with pytest.raises(BackendURLError, match="3 partitions, not 1: set \\?partitions="):
            await backend.put([Put(record("ann"))])
        await backend.close()


@run
async def test_a_revision_of_another_number_of_partitions_is_not_resumed(redis_url: str, redis_prefix: str) -> None:
    async with (
        opened(redis_url) as one,
        opened(redis_url.replace(redis_prefix, f"{redis_prefix}b") + "&partitions=2") as two,
    ):
        await one.put([Put(record("ann"))])
        await two.put([Put(record("ann"))])
        revision = (await two.list()).revision

        assert await one.changes(revision, 0) is None
        assert await two.changes(1, 0) is None
        assert await two.changes(-1, 0) is None
        assert len((await news(two, 0)).changes) == 1


@run
async def test_several_partitions_are_resumed_exactly(redis_url: str) -> None:
    async with opened(f"{redis_url}&partitions=5") as backend, opened(f"{redis_url}&partitions=5") as reader:
        heard = []
        since, mark = 0, 0
        for step in range(20):
            await backend.put([Put(record(f"{step}:{n}")) for n in range(7)])
            await backend.delete([Delete(f"{step}:0", f"token of {step}:0")])
            changes = await news(reader, since, mark)
            assert [int(each.revision) for each in changes.changes] == list(range(since + 1, since + 9))
            heard += [(each.kind, each.agent_id) for each in changes.changes]
            since, mark = changes.revision, changes.mark
        there = await names(backend)

    assert heard == [
        *[
            each
            for step in range(20)
            for each in [("registered", f"{step}:{n}") for n in range(7)] + [("deregistered", f"{step}:0")]
        ]
    ]
    assert there == [f"{step}:{n}" for step in range(20) for n in range(1, 7)]


# -- connections --------------------------------------------------------------


@run
async def test_scripts_that_a_server_has_forgotten_are_sent_again(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        command(own_server.port, "SCRIPT", "FLUSH")
        answer = await backend.put([Put(record("bob"))])

    assert (answer.revision, answer.results) == (2, [None])


@run
async def test_however_many_call_at_once_the_connections_are_few(own_server: Server) -> None:
    async with Proxy(own_server.port) as proxy, opened(proxy.url) as backend:
        await asyncio.gather(*[backend.put([Put(record(f"a{n}"))]) for n in range(300)])
        open_now = proxy.open
        there = await names(backend)

    assert open_now <= AT_ONCE
    assert len(there) == 300


@run
async def test_closing_leaves_no_connection_and_no_task(own_server: Server) -> None:
    async with Proxy(own_server.port) as proxy:
        before = asyncio.all_tasks()
        backend = RedisBackend(proxy.url)
        await backend.open()
        waiting = asyncio.create_task(backend.changes(0, 0, wait=30))
        await asyncio.gather(*[backend.renew([Renew("r")]) for _ in range(5)])
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await backend.close()
        await until(lambda: proxy.open == 0)

        assert {task for task in asyncio.all_tasks() if "agentreg" in task.get_name()} <= before


@run
async def test_a_password_is_needed_and_given(tmp_path: Path) -> None:
    with Server(tmp_path, "--requirepass", "secret") as server:
        for url, reason in (
            (server.url, "NOAUTH|Authentication"),
            (f"redis://:no@127.0.0.1:{server.port}", "WRONGPASS|invalid"),
        ):
            backend = RedisBackend(url)
            started = asyncio.get_running_loop().time()
            with pytest.raises(DirectoryUnavailableError, match=reason):
                await backend.open()
            assert asyncio.get_running_loop().time() - started < 2  # trying again is no use
            await backend.close()
        async with opened(f"redis://default:secret@127.0.0.1:{server.port}/3") as backend:
            answer = await backend.put([Put(record("ann"))])

    assert answer.results == [None]
    assert "secret" not in backend.url


@run
async def test_a_user_who_may_not_run_scripts_is_told_at_once(own_server: Server) -> None:
    command(own_server.port, "ACL", "SETUSER", "reader", "on", ">pass", "~*", "+get")
    backend = RedisBackend(own_server.url.replace("://", "://reader:pass@"))
    with pytest.raises(DirectoryUnavailableError, match=r"NOPERM|permission"):
        await backend.open()

    await backend.close()


@run
async def test_a_server_that_is_full_refuses_whole_batches_and_still_answers_readers(own_server: Server) -> None:
    async with opened(own_server.url) as backend:
        await backend.put([Put(record("ann"))])
        before = await backend.list()
        command(own_server.port, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(DirectoryUnavailableError, match=r"maxmemory|OOM"):
            await backend.put([Put(record("bob"))])
        changes = await news(backend, before.revision, before.mark)
        command(own_server.port, "CONFIG", "SET", "maxmemory", "0")
        answer = await backend.put([Put(record("bob"))])

    assert changes.changes == []
    assert (answer.revision, answer.results) == (2, [None])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself."""
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=agentreg"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(
            ["openssl", *words, "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    return tmp_path / "cert.pem"


@run
async def test_connections_are_encrypted_and_the_server_is_checked(certificate: Path, tmp_path: Path) -> None:
    key = str(tmp_path / "key.pem")
    options = ("--tls-cert-file", str(certificate), "--tls-key-file", key, "--tls-auth-clients", "no")
    with Server(tmp_path / "tls", *options, tls=True) as server:
        url = f"rediss://127.0.0.1:{server.tls_port}"
        async with opened(f"{url}?ssl_ca_certs={certificate}") as backend:
            answer = await backend.put([Put(record("ann"))])
        stranger = RedisBackend(f"{url}?timeout=5")
        with pytest.raises(DirectoryUnavailableError, match=r"(?i)certificate"):
            await stranger.open()
        await stranger.close()

    assert answer.results == [None]


@run
async def test_a_socket_in_the_file_system_does_as_well(tmp_path: Path) -> None:
    path = Path(os.path.relpath(tmp_path / "s")) if len(str(tmp_path)) > 80 else tmp_path / "s"
    with Server(tmp_path / "redis", "--unixsocket", str(path)):
        async with opened(f"unix://{path}") as backend:
            answer = await backend.put([Put(record("ann"))])

    assert answer.results == [None]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@run
async def test_a_child_process_does_not_use_its_parents_connections(redis_url: str) -> None:
    async with opened(redis_url) as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r")])
        child = os.fork()
        if child == 0:
            os._exit(in_the_child(backend))
        answers = await asyncio.gather(*[backend.put([Put(record(f"parent{n}"))]) for n in range(50)])
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        there = await names(backend)

    assert os.waitstatus_to_exitcode(status) == 0
    assert [answer.results for answer in answers] == [[None]] * 50
    assert sorted(there) == sorted(["ann", *[f"{who}{n}" for who in ("parent", "child") for n in range(50)]])


def in_the_child(backend: RedisBackend) -> int:
    async def work() -> None:
        answers = await asyncio.gather(*[backend.put([Put(record(f"child{n}"))]) for n in range(50)])
        assert [answer.results for answer in answers] == [[None]] * 50
        assert len(await names(backend)) >= 51
        await backend.close()

    try:
        asyncio.run(work())
    except BaseException:
        logging.getLogger(__name__).exception("in the child")
        return 1
    return 0


@run
async def test_a_change_in_any_partition_of_a_cluster_wakes_who_waits(
    redis_cluster: Cluster, redis_prefix: str
) -> None:
    url = f"{redis_cluster.url}?prefix={redis_prefix}&partitions=4"
    async with opened(url) as backend, opened(url) as reader:
        heard = []
        start = await reader.list()
        since, mark = start.revision, start.mark
        for number in range(12):
            waiting = asyncio.create_task(reader.changes(since, mark, wait=30))
            await asyncio.sleep(0)
            await backend.put([Put(record(f"a{number}"))])
            changes = await asyncio.wait_for(waiting, 10)
            assert changes is not None
            heard += [each.agent_id for each in changes.changes]
            since, mark = changes.revision, changes.mark

    assert heard == [f"a{n}" for n in range(12)]


def test_a_backend_that_was_closed_can_be_used_in_another_event_loop(redis_url: str) -> None:
    backend = RedisBackend(redis_url)

    async def use(prefix: str) -> None:
        await backend.open()
        await asyncio.gather(*[backend.put([Put(record(f"{prefix}{n}"))]) for n in range(60)])
        await asyncio.gather(*[backend.renew([Renew("runtime")]) for _ in range(60)])
        await backend.close()

    asyncio.run(use("a"))
    asyncio.run(use("b"))
    assert len(asyncio.run(listed_and_closed(backend))) == 120


async def listed_and_closed(backend: RedisBackend) -> list[str]:
    there = await names(backend)
    await backend.close()
    return there
