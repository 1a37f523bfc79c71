"""Connections to MCP servers: shared, limited, in line, and never left open."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.resources.conflicts import ConnectionLease, ConnectionPool, ConnectionUnavailableError


class Servers:
    """Servers that notice what is done to them; doors open when a test says so."""

    def __init__(self, patient: bool = False) -> None:
        self.open: Counter[str] = Counter()
        self.opening: Counter[str] = Counter()
        self.highest: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.doors: list[asyncio.Future[None]] = []
        self.patient = patient

    async def connect(self, server: str) -> str:
        self.opening[server] += 1
        self.at_once[server] = max(self.at_once[server], self.opening[server])
        try:
            await self._door()
        finally:
            self.opening[server] -= 1
        self.open[server] += 1
        self.highest[server] = max(self.highest[server], self.open[server])
        return server

    async def close(self, connection: str) -> None:
        try:
            await self._door()
        finally:
            self.open[connection] -= 1

    async def _door(self) -> None:
        if self.patient:
            door = asyncio.get_running_loop().create_future()
            self.doors.append(door)
            await door


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


def run(test: Any) -> None:
    asyncio.run(test())


def test_agents_share_a_connection_and_the_last_closes_it() -> None:
    async def main() -> None:
        servers = Servers()
        pool = ConnectionPool(servers.connect, servers.close, limit=1)
        ann, bob = await pool.acquire("gh", "ann"), await pool.acquire("gh", "bob")

        assert (ann.connection, pool.usage("gh").users, servers.open["gh"]) == ("gh", 2, 1)
        await ann.release()
        assert servers.open["gh"] == 1
        await bob.release()
        assert servers.open["gh"] == 0

    run(main)


def test_connections_are_opened_up_to_the_limit_before_they_are_shared() -> None:
    async def main() -> None:
        servers = Servers()
        async with ConnectionPool(servers.connect, servers.close, limits={"gh": 2}, sharing=2) as pool:
            leases = [await pool.acquire("gh", name) for name in "abcd"]

            assert (servers.open["gh"], pool.usage("gh").users, pool.room("gh")) == (2, 4, 0)
            assert len(leases) == 4
        assert servers.open["gh"] == 0

    run(main)


def test_who_comes_after_the_limit_waits_in_order() -> None:
    async def main() -> None:
        servers = Servers()
        pool = ConnectionPool(servers.connect, servers.close, limit=1, sharing=1)
        first = await pool.acquire("gh", "first")
        served: list[str] = []

        async def come(name: str) -> None:
            async with pool.borrow("gh", name):
                served.append(name)

        tasks = [asyncio.create_task(come(name)) for name in "abc"]
        await settle()
        assert (served, pool.usage("gh").waiting) == ([], 3)
        await first.release()
        await asyncio.gather(*tasks)

        assert served == ["a", "b", "c"]
        assert servers.open["gh"] == 0
        assert servers.highest["gh"] == 1

    run(main)


def test_a_failed_attempt_concerns_only_who_made_it() -> None:
    async def main() -> None:
        attempts: list[str] = []

        def connect(server: str) -> str:
            attempts.append(server)
            if len(attempts) == 1:
                raise OSError("refused")
            return server

        pool = ConnectionPool(connect, limit=1)
        results = await asyncio.gather(*(pool.acquire("gh", n) for n in "ab"), return_exceptions=True)

        assert isinstance(results[0], OSError)
        assert isinstance(results[1], ConnectionLease)
        await results[1].release()

    run(main)


def test_one_attempt_is_made_at_a_time() -> None:
    async def main() -> None:
        servers = Servers(patient=True)
        pool = ConnectionPool(servers.connect, servers.close, limit=3, sharing=1)
        tasks = [asyncio.create_task(pool.acquire("gh", name)) for name in "abc"]
        for _ in range(3):
            await settle()
            assert servers.opening["gh"] == 1
            servers.doors.pop().set_result(None)
        await asyncio.gather(*tasks)

        assert servers.at_once["gh"] == 1
        servers.patient = False
        await pool.aclose()
        assert servers.open["gh"] == 0

    run(main)


def test_cancelling_who_connects_lets_the_next_try() -> None:
    async def main() -> None:
        servers = Servers(patient=True)
        pool = ConnectionPool(servers.connect, servers.close, limit=1, sharing=1)
        ann, bob = (asyncio.create_task(pool.acquire("gh", name)) for name in ("ann", "bob"))
        await settle()
        ann.cancel()
        await settle()
        servers.doors.pop().set_result(None)
        lease = await bob

        assert (lease.agent, pool.usage("gh").users) == ("bob", 1)
        servers.patient = False
        await lease.release()
        assert servers.open["gh"] == 0

    run(main)


def test_a_connection_that_is_being_closed_still_counts() -> None:
    async def main() -> None:
        servers = Servers()
        pool = ConnectionPool(servers.connect, servers.close, limit=1, sharing=1)
        lease = await pool.acquire("gh", "ann")
        servers.patient = True
        closing = asyncio.create_task(lease.release())
        await settle()
        coming = asyncio.create_task(pool.acquire("gh", "bob"))
        await settle()

        assert (servers.opening["gh"], pool.usage("gh").connections) == (0, 1)
        servers.doors.pop().set_result(None)
        await closing
        await settle()
        servers.patient = False
        servers.doors.pop().set_result(None)
        await (await coming).release()
        assert servers.highest["gh"] == 1

    run(main)


def test_cancelling_who_releases_does_not_keep_the_connection_open() -> None:
    async def main() -> None:
        servers = Servers()
        pool = ConnectionPool(servers.connect, servers.close)
        lease = await pool.acquire("gh", "ann")
        servers.patient = True
        releasing = asyncio.create_task(lease.release())
        await settle()
        releasing.cancel()
        await settle()
        servers.doors.pop().set_result(None)
        await settle()

        assert releasing.cancelled()
        assert servers.open["gh"] == 0

    run(main)


def test_an_agent_that_departs_gives_back_everything_and_leaves_the_lines() -> None:
    async def main() -> None:
        servers = Servers()
        pool = ConnectionPool(servers.connect, servers.close, limit=1, sharing=1)
        held = [await pool.acquire(server, "ann") for server in ("a", "b")]
        other = await pool.acquire("c", "bob")
        waiting = asyncio.create_task(pool.acquire("c", "ann"))
        await settle()
        await pool.release_agent("ann")

        assert (servers.open["a"], servers.open["b"], servers.open["c"]) == (0, 0, 1)
        with pytest.raises(ConnectionUnavailableError, match="departed while it waited"):
            await waiting
        await held[0].release()  # a second time is fine
        await other.release()

    run(main)


def test_a_closing_that_fails_is_told_and_frees_the_place() -> None:
    async def main() -> None:
        def close(connection: str) -> None:
            raise OSError("broken pipe")

        pool = ConnectionPool(str.upper, close, limit=1, sharing=1)
        lease = await pool.acquire("gh", "ann")
        with pytest.raises(OSError, match="broken pipe"):
            await lease.release()

        assert pool.usage("gh").connections == 0

    run(main)


def test_a_closed_pool_refuses_who_waits_and_who_comes() -> None:
    async def main() -> None:
        servers = Servers()
        pool = ConnectionPool(servers.connect, servers.close, limit=1, sharing=1)
        await pool.acquire("gh", "ann")
        waiting = asyncio.create_task(pool.acquire("gh", "bob"))
        await settle()
        await pool.aclose()

        for coming in (waiting, pool.acquire("gh", "cid")):
            with pytest.raises(ConnectionUnavailableError, match="the pool was closed"):
                await coming
        assert servers.open["gh"] == 0

    run(main)


def test_a_connection_that_opens_after_the_pool_was_closed_is_closed() -> None:
    async def main() -> None:
        servers = Servers(patient=True)
        pool = ConnectionPool(servers.connect, servers.close)
        coming = asyncio.create_task(pool.acquire("gh", "ann"))
        await settle()
        await pool.aclose()
        servers.patient = False
        servers.doors.pop().set_result(None)

        with pytest.raises(ConnectionUnavailableError):
            await coming
        assert servers.open["gh"] == 0

    run(main)


def test_a_line_that_is_too_long_refuses_who_comes() -> None:
    async def main() -> None:
        async with ConnectionPool(str.upper, limit=1, sharing=1, queue_limit=1) as pool:
            await pool.acquire("gh", "ann")
            waiting = asyncio.create_task(pool.acquire("gh", "bob"))
            await settle()

            with pytest.raises(ConnectionUnavailableError, match="1 agents wait in line"):
                await pool.acquire("gh", "cid")
            waiting.cancel()
            await asyncio.wait([waiting])

    run(main)


@pytest.mark.parametrize("options", [{"limit": 0}, {"sharing": 0}, {"limits": {"gh": 0}}, {"limit": True}])
def test_a_limit_below_one_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ConnectionPool(str.upper, **options)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "cancel", "release", "depart", "open", "fail", "break", "pause"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(ACTIONS, st.integers(1, 3), st.integers(1, 2))
def test_the_limit_always_holds_and_nothing_is_left_open(
    actions: list[tuple[str, int]], limit: int, sharing: int
) -> None:
    servers = Servers(patient=True)

    async def main() -> None:
        pool = ConnectionPool(servers.connect, servers.close, limit=limit, sharing=sharing)
        tasks: list[asyncio.Task[Any]] = []
        for action, which in actions:
            await act(pool, tasks, action, which)
            for server in ("x", "y"):
                usage = pool.usage(server)
                assert usage.connections <= limit
                assert usage.users <= limit * sharing
                assert servers.open[server] + servers.opening[server] <= limit
        servers.patient = False
        for task in tasks:
            task.cancel()
        for door in servers.doors:
            if not door.done():
                door.set_result(None)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(pool.release_agent(str(each)) for each in range(6)), return_exceptions=True)
        await settle()
        assert [pool.usage(server).connections for server in ("x", "y")] == [0, 0]

    async def act(pool: ConnectionPool, tasks: list[asyncio.Task[Any]], action: str, which: int) -> None:
        agent, server = str(which), "xy"[which % 2]
        doors = [door for door in servers.doors if not door.done()]
        if action == "come":
            tasks.append(asyncio.create_task(pool.acquire(server, agent)))
        elif action == "cancel" and tasks:
            tasks[which % len(tasks)].cancel()
        elif action == "release" and (leases := pool.leases(agent)):
            tasks.append(asyncio.create_task(leases[0].release()))
        elif action == "depart":
            tasks.append(asyncio.create_task(pool.release_agent(agent)))
        elif action == "open" and doors:
            doors[which % len(doors)].set_result(None)
        elif action == "fail" and doors:
            doors[which % len(doors)].set_exception(OSError("refused"))
        elif action == "break" and doors and tasks:  # both in one moment
            doors[which % len(doors)].set_result(None)
            tasks[which % len(tasks)].cancel()
        elif action == "pause":
            await asyncio.sleep(0)
            return
        if which != 5:  # sometimes several things happen before anybody moves
            await settle()

    asyncio.run(main())

    assert (servers.open["x"], servers.open["y"]) == (0, 0)
    assert max(servers.at_once.values(), default=0) <= 1
    assert max(servers.highest.values(), default=0) <= limit
