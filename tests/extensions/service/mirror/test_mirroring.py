"""Mirrors hear who joins, changes and leaves, in order; and nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("starlette")

from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata
from agentreg.extensions.coordination.backend import Delete, Patch, Put
from agentreg.extensions.service import open_directory
from agentreg.extensions.service.mirror import Mirroring, News, Undelivered
from tests.extensions.service.driving import run, service


class Notes:
    """A mirror that notes what it hears; it waits at the gate, if there is one."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.heard: list[News] = []
        self.gate = gate

    async def joined(self, news: News) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.heard.append(news)

    changed = left = joined

    @property
    def story(self) -> list[str]:
        return [f"{news.agent['id']} {news.type}" for news in self.heard]


class ResyncingNotes(Notes):
    """One that wants to be told when it has to begin anew."""

    async def resync(self, news: News) -> None:
        self.heard.append(news)

    @property
    def story(self) -> list[str]:
        return [f"{news.agent['id']} {news.type}" if news.agent else news.type for news in self.heard]


@asynccontextmanager
async def directory() -> AsyncIterator[AgentDirectory]:
    async with open_directory("memory://") as opened:
        yield opened


@asynccontextmanager
async def mirroring(opened: AgentDirectory, *mirrors: Any, **options: Any) -> AsyncIterator[Mirroring]:
    mirroring = Mirroring(opened, mirrors, **options)
    mirroring.start()
    try:
        await until(lambda: all(feed.resyncs for feed in mirroring.feeds))
        yield mirroring
    finally:
        await mirroring.close()


async def join(opened: AgentDirectory, *ids: str, token: str = "first") -> None:
    for each in ids:
        holder = opened.agents.get(each)
        record = AgentMetadata(each, "tests", token=token)
        await opened.carry_out([Put(record, None if holder is None else holder.token)])


async def patch(opened: AgentDirectory, agent_id: str, **fields: Any) -> None:
    await opened.carry_out([Patch(agent_id, opened.agents[agent_id].token, fields)])


async def leave(opened: AgentDirectory, agent_id: str) -> None:
    await opened.carry_out([Delete(agent_id, opened.agents[agent_id].token, "deregistered")])


async def until(condition: Callable[[], object]) -> None:
    async def holds() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(holds(), 20)


# -- what is told ---------------------------------------------------------------


@run
async def test_who_joins_changes_and_leaves_is_told_in_order_of_revision() -> None:
    notes = Notes()
    async with directory() as opened, mirroring(opened, notes):
        await join(opened, "scout")
        await until(lambda: notes.heard)
        await patch(opened, "scout", metadata={"task": "look"})
        await until(lambda: len(notes.heard) == 2)
        await leave(opened, "scout")
        await until(lambda: len(notes.heard) == 3)

    assert notes.story == ["scout joined", "scout changed", "scout left"]
    assert [news.revision for news in notes.heard] == [1, 2, 3]
    assert notes.heard[1].agent["meta"] == {"task": "look"}
    assert notes.heard[2].agent["reason"] == "deregistered"
    assert notes.heard[0].time.endswith("Z")


@run
async def test_those_who_are_there_at_the_beginning_join_first() -> None:
    notes = Notes()
    async with directory() as opened:
        await join(opened, "scout", "cook")
        async with mirroring(opened, notes):
            await until(lambda: len(notes.heard) == 2)

    assert notes.story == ["scout joined", "cook joined"]
    assert {news.revision for news in notes.heard} == {2}


@run
async def test_an_agent_that_stops_has_left_once_and_joins_when_it_comes_back() -> None:
    notes = Notes()
    async with directory() as opened, mirroring(opened, notes):
        await join(opened, "scout")
        await patch(opened, "scout", status="offline")
        await patch(opened, "scout", metadata={"after": "the end"})
        await leave(opened, "scout")
        await join(opened, "scout", token="second")
        await patch(opened, "scout", status="unhealthy")

    assert notes.story[0] == "scout joined"
    assert [each for each in notes.story if each != "scout changed"] == ["scout joined", "scout left", "scout joined"]
    assert notes.heard[-1].agent["status"] == "stale"


@run
async def test_a_registration_under_the_id_of_one_that_is_there_is_a_change() -> None:
    notes = Notes()
    async with directory() as opened, mirroring(opened, notes):
        await join(opened, "scout")
        await until(lambda: notes.heard)
        await join(opened, "scout", token="second")

    assert notes.story[0] == "scout joined"
    assert notes.story[-1] in ("scout changed", "scout joined")
    joins = [each for each in notes.story if each != "scout changed"]
    assert joins in (["scout joined"], ["scout joined", "scout left", "scout joined"])


@run
async def test_what_happened_last_is_delivered_before_the_end() -> None:
    notes = Notes()
    async with directory() as opened, mirroring(opened, notes):
        await join(opened, *(f"agent-{number}" for number in range(50)))

    assert len(notes.heard) == 50


@run
async def test_plain_methods_are_called_in_a_thread() -> None:
    threads: list[threading.Thread] = []

    class Plain:
        def joined(self, news: News) -> None:
            threads.append(threading.current_thread())

        changed = left = joined

    async with directory() as opened, mirroring(opened, Plain()):
        await join(opened, "scout")

    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


# -- mirrors that are slow, or fail -----------------------------------------------


@run
async def test_nobody_waits_for_a_mirror_that_hangs() -> None:
    stuck, quick = Notes(asyncio.Event()), Notes()
    async with directory() as opened:
        mirrors = Mirroring(opened, [stuck, quick])
        mirrors.start()
        await join(opened, *(f"agent-{number}" for number in range(100)))
        await until(lambda: len(quick.heard) == 100)
        await mirrors.close(limit=0)

    assert stuck.heard == []


@run
async def test_the_service_answers_while_a_mirror_hangs() -> None:
    stuck = Notes(asyncio.Event())

    async with service(mirrors=[stuck]) as client:
        for number in range(20):
            await client.register(name=f"agent {number}")
        assert len(await client.agents()) == 20

    assert stuck.heard == []


@run
async def test_a_mirror_that_fails_is_reported_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Notes):
        async def joined(self, news: News) -> None:
            self.heard.append(news)
            raise RuntimeError("no room")

        changed = left = joined

    failing, other = Failing(), Notes()
    async with directory() as opened, mirroring(opened, failing, other) as mirrors:
        await join(opened, "scout", "cook")
        await until(lambda: len(failing.heard) == len(other.heard) == 2)
        await until(lambda: mirrors.feeds[0].failed == 2)

    assert "no room" in caplog.text


@run
async def test_a_mirror_that_is_too_slow_begins_anew_and_hears_of_nobody_twice() -> None:
    gate = asyncio.Event()
    notes = Notes(gate)
    async with directory() as opened, mirroring(opened, notes, bound=5) as mirrors:
        feed = mirrors.feeds[0]
        await join(opened, "first")
        await until(lambda: not feed.waiting)
        await join(opened, *(f"agent-{number}" for number in range(20)))
        await leave(opened, "agent-3")
        await until(lambda: feed.dropped)
        assert feed.waiting <= 5

        gate.set()
        await until(lambda: len(notes.heard) >= 20)

    assert feed.resyncs == 2
    joined = [news.agent["id"] for news in notes.heard if news.type == "joined"]
    assert sorted(joined) == sorted(["first", *(f"agent-{n}" for n in range(20) if n != 3)])


@run
async def test_a_mirror_that_asks_for_it_is_told_that_it_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    gate = asyncio.Event()
    notes = ResyncingNotes(gate)
    async with directory() as opened, mirroring(opened, notes, bound=3) as mirrors:
        await join(opened, "first")
        await join(opened, *(f"agent-{number}" for number in range(9)))
        await until(lambda: mirrors.feeds[0].dropped)
        gate.set()
        await until(lambda: mirrors.feeds[0].resyncs == 2)

    second = len(notes.story) - 1 - notes.story[::-1].index("resync")
    assert notes.story[0] == "resync"
    assert sorted(notes.story[second + 1 :]) == sorted(["first joined", *(f"agent-{n} joined" for n in range(9))])
    assert "too slowly" in caplog.text


@run
async def test_a_mirror_that_gives_up_is_brought_up_to_date() -> None:
    class GivesUpOnce(ResyncingNotes):
        gave_up = False

        async def deliver(self, batch: list[News]) -> None:
            if not self.gave_up:
                self.gave_up = True
                raise Undelivered("nobody there")
            self.heard += batch

    notes = GivesUpOnce()
    async with directory() as opened:
        await join(opened, "scout")
        async with mirroring(opened, notes) as mirrors:
            await until(lambda: len(notes.heard) == 2)
            assert mirrors.feeds[0].failed == 1

    assert notes.story == ["resync", "scout joined"]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["join", "stop", "change", "leave", "read"]), st.sampled_from("abc")), max_size=40
)


@given(ACTIONS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_a_mirror_knows_in_the_end_who_is_there(actions: list[tuple[str, str]], bound: int) -> None:
    asyncio.run(_whatever_happens(actions, bound))


async def _whatever_happens(actions: list[tuple[str, str]], bound: int) -> None:
    notes = Notes(asyncio.Event())
    assert notes.gate is not None
    async with directory() as opened, mirroring(opened, notes, bound=bound):
        for action, agent_id in actions:
            record = opened.agents.get(agent_id)
            if action == "join":
                await join(opened, agent_id, token=f"token-{opened.revision}")
            elif action == "read":
                notes.gate.set()
                await asyncio.sleep(0)
                notes.gate.clear()
            elif record is not None and action == "leave":
                await leave(opened, agent_id)
            elif record is not None:
                fields = {"status": "offline"} if action == "stop" else {"metadata": {"at": opened.revision}}
                await patch(opened, agent_id, **fields)
        notes.gate.set()
        there = {
            key: dict(record.metadata) for key, record in opened.agents.items() if record.status.value != "offline"
        }

    known: dict[str, Any] = {}
    for news in notes.heard:
        agent_id = news.agent["id"]
        assert (agent_id in known) == (news.type != "joined"), notes.story
        known[agent_id] = news.agent["meta"]
        if news.type == "left":
            del known[agent_id]
    assert known == there
    revisions = [news.revision for news in notes.heard]
    assert revisions == sorted(revisions)


# -- bad input ------------------------------------------------------------------


@run
async def test_what_is_no_mirror_is_refused_at_the_door() -> None:
    async with directory() as opened:
        with pytest.raises(TypeError, match=r"lacks joined\(\)"):
            Mirroring(opened, [object()])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="bound: expected"):
            Mirroring(opened, [Notes()], bound=0)
