"""Directories over real stores that fail, are raced for, and are watched by many who come and go."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    AgentStatus,
    Change,
    DirectoryUnavailableError,
    Listing,
    Resync,
)

from .servers import Server
from .stores import STORES, Store, make_store, run, until

LONG = bool(os.environ.get("AGENTREG_LONG"))
LEASE = AgentDirectoryConfig(heartbeat_timeout=2.0, auto_deregister_timeout=4.0)


class Worker:
    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.capabilities = ["work"]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return make_store(request.param, tmp_path, request)


# -- the server goes away -------------------------------------------------------


@run
async def test_owners_are_back_within_a_lease_when_the_server_returns_without_its_data(own_server: Server) -> None:
    ann, bob = Worker("ann"), Worker("bob")
    url = f"{own_server.url}?timeout=0.5"
    async with (
        AgentDirectory(LEASE, url, auto_heartbeat=True) as one,
        AgentDirectory(LEASE, url, auto_heartbeat=True) as two,
    ):
        await one.register_agent(ann, "r1")
        await two.register_agent(bob, "r2")
        own_server.stop()
        own_server.start()
        back = time.monotonic()
        async with AgentDirectory(LEASE, url) as newcomer:
            await until(lambda: set(newcomer.agents) == {"ann", "bob"})
            took = time.monotonic() - back
            assert {each.agent_id for each in await newcomer.find_agents_by_capability("work")} == {"ann", "bob"}
        assert [record.agent for record in (one.agents["ann"], two.agents["bob"])] == [ann, bob]

    assert took < LEASE.heartbeat_timeout + 1


@run
async def test_a_paused_server_is_an_error_in_time_and_ends_no_lease(own_server: Server) -> None:
    ann = Worker("ann")
    async with AgentDirectory(LEASE, f"{own_server.url}?timeout=0.4", auto_heartbeat=True) as directory:
        await directory.register_agent(ann, "r")
        own_server.pause()
        began = time.monotonic()
        with pytest.raises(DirectoryUnavailableError):
            await directory.register_agent(Worker("bob"), "r")
        took = time.monotonic() - began
        await asyncio.sleep(LEASE.auto_deregister_timeout + 0.5)
        own_server.resume()
        await until(lambda: directory.agents["ann"].status is AgentStatus.ACTIVE)
        await directory.update_agent_heartbeat("ann")

        assert [each.agent_id for each in await directory.find_agents_by_capability("work")] == ["ann"]

    assert took < 2


# -- twenty want to be one --------------------------------------------------------

RACER = """
import asyncio, sys
from agentreg.extensions.coordination import AgentDirectory

class Worker:
    capabilities = ["racing"]

async def race(url, name):
    worker = Worker()
    async with AgentDirectory(backend=url) as directory:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        try:
            await directory.register_agent(worker, name, "the one")
            print("won", name, flush=True)
        except ValueError as error:
            print("lost", error, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(race(*sys.argv[1:]))
"""


@pytest.fixture
def racers(store: Store) -> Iterator[list[subprocess.Popen[str]]]:
    with ExitStack() as stack:
        members = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACER, store.url, f"runtime {number}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(20)
        ]
        for member in members:
            stack.callback(member.kill)
        yield members


@pytest.mark.parametrize("store", [kind for kind in STORES if kind not in ("memory", "sqlite")], indirect=True)
def test_of_twenty_programs_that_register_one_id_one_wins_and_nineteen_hear_who(
    racers: list[subprocess.Popen[str]],
) -> None:
    def said(member: subprocess.Popen[str]) -> str:
        assert member.stdout is not None
        return member.stdout.readline().strip()

    def go(member: subprocess.Popen[str]) -> None:
        assert member.stdin is not None
        member.stdin.write("go\n")
        member.stdin.flush()

    assert {said(member) for member in racers} == {"ready"}
    for member in racers:
        go(member)
    answers = [said(member) for member in racers]

    [winner] = [answer.removeprefix("won ") for answer in answers if answer.startswith("won")]
    losers = [answer for answer in answers if answer.startswith("lost")]
    assert len(losers) == 19
    assert all("already registered" in answer and winner in answer for answer in losers)
    for member in racers:
        go(member)


# -- many watch, and come and go --------------------------------------------------


class Reader:
    """Someone who watches for a while, leaves, and comes back to where it was."""

    def __init__(self, directory: AgentDirectory, chance: random.Random) -> None:
        self.directory = directory
        self.chance = chance
        self.known: dict[str, str] = {}
        self.revision: int | None = None
        self.resyncs = 0
        self.visits = 0

    async def follow(self, last: int) -> None:
        while self.revision is None or self.revision < last:
            self.visits += 1
            patience = self.chance.randint(1, 60)
            items = self.directory.watch(since=self.revision)
            async with aclosing(items):  # type: ignore[type-var]
                async for item in items:
                    self.take(item)
                    patience -= 1
                    if patience == 0 or (self.revision or 0) >= last:
                        break
            await asyncio.sleep(0)

    def take(self, item: Listing | Change) -> None:
        if isinstance(item, Change):
            assert self.revision is not None
            assert int(item.revision) == int(self.revision) + 1
            if item.kind == "registered":
                assert item.agent_id not in self.known
                self.known[item.agent_id] = item.token
            elif item.kind == "deregistered":
                assert self.known.pop(item.agent_id) == item.token
        else:
            self.resyncs += isinstance(item, Resync)
            self.known = {record.agent_id: record.token for record in item.agents}
        self.revision = item.revision


async def churn(directory: AgentDirectory, changes: int, chance: random.Random) -> list[Worker]:
    """Register and deregister, *changes* times in all; those who are there in the end."""
    there: list[Worker] = []
    for number in range(changes):
        if there and chance.random() < 0.4:
            leaver = there.pop(chance.randrange(len(there)))
            assert await directory.deregister_agent(leaver.agent_id, "r")
        else:
            there.append(Worker(f"agent {number}"))
            await directory.register_agent(there[-1], "r")
        await asyncio.sleep(0)
    return there


@pytest.mark.timeout(1200 if LONG else 120)
@run
async def test_watchers_that_come_and_go_see_every_revision_once_or_a_new_listing(store: Store) -> None:
    count, changes = (50, 10_000) if LONG else (8, 300)
    quiet = AgentDirectoryConfig(enable_event_broadcasting=False)
    async with store.directory(quiet) as writer, store.directory(quiet) as other:
        readers = [Reader((writer, other)[number % 2], random.Random(number)) for number in range(count)]
        churning = asyncio.create_task(churn(writer, changes, random.Random(1)))
        await asyncio.gather(churning, *[reader.follow(changes) for reader in readers])
        there = await churning
        expected = {worker.agent_id: writer.agents[worker.agent_id].token for worker in there}

        assert [reader.known == expected for reader in readers] == [True] * count
        assert [reader.revision for reader in readers] == [changes] * count
        assert min(reader.visits for reader in readers) > 1
