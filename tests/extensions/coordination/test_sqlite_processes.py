"""The SQLite store between processes: turns, races, and processes that are killed or stopped."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentreg.extensions.coordination.backend import Put
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.sqlite import SQLiteBackend

from .stores import record, run, until

LONG = os.environ.get("AGENTREG_LONG") == "1"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and flock")


class Crew:
    """The processes of one test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.members: list[subprocess.Popen[str]] = []

    def start(self, what: str, *args: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name("sqlite_process.py")), what, self.url, *map(str, args)]
        member = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.members.append(member)
        return member

    def end(self) -> None:
        for member in self.members:
            if member.poll() is None:
                member.kill()
            member.communicate()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/agents.db"


@pytest.fixture
def crew(url: str) -> Iterator[Crew]:
    members = Crew(url)
    yield members
    members.end()


def line(member: subprocess.Popen[str]) -> str:
    assert member.stdout is not None
    return member.stdout.readline().strip()


def go(member: subprocess.Popen[str]) -> None:
    assert member.stdin is not None
    member.stdin.write("go\n")
    member.stdin.flush()


def rest(member: subprocess.Popen[str]) -> list[str]:
    assert member.stdout is not None
    return member.stdout.read().split("\n")


def sound(url: str) -> bool:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        [answer] = connection.execute("PRAGMA integrity_check").fetchone()
        revisions = [number for (number,) in connection.execute("SELECT revision FROM log ORDER BY revision")]
    return answer == "ok" and revisions == list(range(1, len(revisions) + 1))


async def ids(url: str) -> set[str]:
    backend = SQLiteBackend(url, time.monotonic)
    try:
        return {each.agent_id for each in (await backend.list()).records}
    finally:
        await backend.close()


@pytest.mark.timeout(1200 if LONG else 120)
def test_eight_processes_write_and_one_reads_and_all_get_their_turn(crew: Crew, url: str) -> None:
    count = 2000 if LONG else 40
    writers = [crew.start("write", f"w{number}", count) for number in range(8)]
    reader = crew.start("read")
    assert {line(member) for member in (*writers, reader)} == {"ready"}

    for writer in writers:
        go(writer)
    # a round is over when each has written once more: none can be far ahead of a starving one for long
    said = [rest(writer) for writer in writers]
    reader.send_signal(signal.SIGTERM)

    assert all(words[-2:] == ["done", ""] for words in said)
    assert sum(text.startswith("read ") for text in rest(reader)) > 3
    assert len(asyncio.run(ids(url))) == 8 * count
    assert sound(url)


def test_a_process_that_wants_little_is_not_starved_by_those_that_want_much(crew: Crew) -> None:
    churners = [crew.start("churn", f"c{number}") for number in range(4)]
    for churner in churners:
        assert line(churner) != ""
    modest = crew.start("write", "modest", 20)
    assert line(modest) == "ready"

    go(modest)
    said = rest(modest)
    for churner in churners:
        churner.kill()
    greediest = max(len(rest(churner)) for churner in churners)

    assert said[-2:] == ["done", ""]
    assert greediest > 20  # they did write meanwhile


@pytest.mark.timeout(1200 if LONG else 120)
def test_a_killed_writer_loses_nothing_that_it_was_told_is_done(crew: Crew, url: str) -> None:
    chance = random.Random(7)
    for number in range(200 if LONG else 20):
        members = [crew.start("churn", f"{number}-{which}") for which in range(1 + number % 5 // 4)]
        said = [line(members[0]) for _ in range(chance.randrange(3, 60))]

        members[0].kill()
        said += rest(members[0])
        for survivor in members[1:]:
            line(survivor)
            survivor.kill()

        there = asyncio.run(ids(url))
        for words in (said, *map(rest, members[1:])):
            acknowledged = {sign: {text[2:] for text in words if text.startswith(sign)} for sign in "+?-"}
            assert acknowledged["+"] - acknowledged["?"] <= there
            assert not acknowledged["-"] & there
        assert any(text.startswith("+") for text in said)
    assert sound(url)


def test_a_killed_holder_of_the_lock_frees_it(crew: Crew, url: str) -> None:
    holder = crew.start("hold")
    assert line(holder) == "held"

    async def wait_for_it() -> list[object]:
        backend = SQLiteBackend(url + "?timeout=30", time.monotonic)
        waiting = asyncio.ensure_future(backend.put([Put(record("ann"))]))
        await asyncio.sleep(0)
        holder.kill()
        try:
            return (await waiting).results
        finally:
            await backend.close()

    assert asyncio.run(wait_for_it()) == [None]


def test_a_holder_that_was_forked_and_killed_does_not_hold_it_through_its_child(crew: Crew, url: str) -> None:
    holder = crew.start("churn", "c")
    assert line(holder).startswith("+")

    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert asyncio.run(ids(url))


def test_a_stopped_holder_makes_the_others_say_so_in_time_and_hangs_nobody(crew: Crew, url: str) -> None:
    holder = crew.start("hold")
    assert line(holder) == "held"
    holder.send_signal(signal.SIGSTOP)

    async def try_all() -> str:
        backend = SQLiteBackend(url + "?timeout=0.2", time.monotonic)
        reasons = set()
        for call in (backend.put([Put(record("ann"))]), backend.list(), backend.changes(0, 0), backend.open()):
            with pytest.raises(DirectoryUnavailableError) as caught:
                await call
            reasons.add(caught.value.reason)
        await backend.close()
        return reasons.pop()

    reason = asyncio.run(try_all())

    assert f"process {holder.pid} holds {url.removeprefix('sqlite:///')}-lock" in reason
    holder.send_signal(signal.SIGCONT)
    go(holder)
    holder.wait()
    assert asyncio.run(ids(url)) == set()  # what had timed out was not done later


def test_a_writer_that_is_stopped_in_the_middle_goes_on_where_it_was(crew: Crew, url: str) -> None:
    churner = crew.start("churn", "c")
    for _ in range(20):
        line(churner)
    churner.send_signal(signal.SIGSTOP)

    async def use() -> None:
        backend = SQLiteBackend(url + "?timeout=0.5", time.monotonic)
        try:
            await backend.put([Put(record("ann"))])
        except DirectoryUnavailableError:  # it was stopped with the lock
            churner.send_signal(signal.SIGCONT)
            await until(lambda: line(churner))
        finally:
            await backend.close()

    asyncio.run(use())
    churner.send_signal(signal.SIGCONT)

    assert line(churner)


def test_of_twenty_processes_that_register_one_id_one_wins(crew: Crew, url: str) -> None:
    racers = crew.start("race", 20)
    assert line(racers) == "ready"

    answers = [words.split() for words in racers.communicate()[0].splitlines()]

    assert sorted(word for word, _ in answers) == ["lost"] * 19 + ["won"]
    assert len({winner for _, winner in answers}) == 1


def test_a_full_disk_is_said_and_got_over(crew: Crew, url: str) -> None:
    member = crew.start("fill")

    said, there = line(member), line(member).split()

    assert said.startswith("unavailable ")
    assert "full" in said or "I/O error" in said
    assert int(there[1]) > 3
    assert int(there[2]) == int(there[1]) + 1
    assert sound(url)


def test_a_fork_in_the_middle_of_everything_harms_neither_side(crew: Crew, url: str) -> None:
    member = crew.start("fork")

    assert line(member) == "child ended 0"

    member.wait()
    there = asyncio.run(ids(url))
    assert {f"{side}-{number}" for side in ("parent", "child", "busy") for number in range(50)} <= there
    assert sound(url)


@pytest.mark.timeout(1200 if LONG else 120)
@run
async def test_fifty_watchers_see_every_revision_once_however_often_they_start_anew(url: str) -> None:
    last = 10_000 if LONG else 600
    chance = random.Random(3)

    async def watch() -> list[int]:
        seen: list[int] = []
        at, mark = 0, 0
        backend = SQLiteBackend(url, time.monotonic)
        while at < last:
            if chance.random() < 0.1:
                await backend.close()
                backend = SQLiteBackend(url, time.monotonic)
            changes = await backend.changes(at, mark, wait=5.0)
            assert changes is not None
            seen += [change.revision for change in changes.changes]
            at, mark = changes.revision, changes.mark
        await backend.close()
        return seen

    writer = SQLiteBackend(url, time.monotonic)
    await writer.open()
    watchers = [asyncio.ensure_future(watch()) for _ in range(50)]
    for start in range(0, last, 20):
        await writer.put([Put(record(f"agent {number}")) for number in range(start, start + 20)])
    everything = await asyncio.gather(*watchers)
    await writer.close()

    assert everything == [list(range(1, last + 1))] * 50
