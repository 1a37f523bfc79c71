"""The stream of events, over WebSocket and as server-sent events."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from agentreg.extensions.service.events import hub as hub_module
from agentreg.extensions.service.events.hub import Filter, Packet, Reader

from .driving import run
from .serving import Service, serving

EVENTS = "/registry/events"


class Stream:
    """A WebSocket, frame by frame."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._waiting: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        while not self._waiting:
            message = json.loads(await asyncio.wait_for(self.connection.recv(), 10))
            self._waiting += message if isinstance(message, list) else [message]
        return self._waiting.pop(0)

    async def several(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def stream(service: Service, query: str = "", **options: Any) -> AsyncIterator[Stream]:
    url = service.url.replace("http", "ws") + EVENTS + query
    async with connect(url, max_size=None, **options) as connection:
        yield Stream(connection)


async def post(service: Service, path: str, **body: Any) -> Any:
    return (await asyncio.to_thread(service.post, path, **body))[1]


async def ask(service: Service, method: str, path: str, body: Any = None) -> Any:
    return (await asyncio.to_thread(service.ask, method, path, body))[1]


@run
async def test_a_reader_gets_a_listing_then_every_change_with_its_revision_and_time(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        await post(service, "/register", id="a", name="first")
        async with stream(service) as events:
            listing = await events.next()
            await post(service, "/register", id="b", name="second")
            await ask(service, "PUT", "/registry/agents/b", {"status": "idle", "performance": {"uptime": "99%"}})
            await ask(service, "DELETE", "/registry/agents/b")
            frames = await events.several(4)

    assert (listing["type"], listing["revision"]) == ("listing", 1)
    assert [agent["agent_id"] for agent in listing["data"]["agents"]] == ["a"]
    assert [(frame["type"], frame["revision"]) for frame in frames] == [
        ("agent_registered", 2),
        ("agent_updated", 3),
        ("performance_update", 3),
        ("agent_deregistered", 4),
    ]
    assert frames[0]["data"]["name"] == "second"
    assert frames[1]["data"]["changes"]["status"] == "idle"
    assert frames[2]["data"] == {"agent_id": "b", "metrics": {"uptime": "99%"}}
    assert frames[3]["data"] == {"agent_id": "b", "reason": "deregistered"}
    assert all(frame["time"].endswith("Z") for frame in (listing, *frames))


@run
async def test_heartbeats_are_not_told_and_a_farewell_is(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        await post(service, "/register", id="a")
        async with stream(service) as events:
            await events.next()
            await post(service, "/heartbeat", id="a")
            await post(service, "/deregister", id="a")
            updated, gone = await events.several(2)

    assert (updated["type"], updated["data"]["changes"]["status"]) == ("agent_updated", "offline")
    assert (gone["type"], gone["data"]) == ("agent_deregistered", {"agent_id": "a", "reason": "stopped"})


@run
async def test_memory_that_runs_out_is_an_alert_at_once_where_no_rules_watch_it(tmp_path: Path) -> None:
    with serving(tmp_path, operations=None) as service:
        await post(service, "/register", id="a")
        async with stream(service, "?type=resource_alert") as events:
            await events.next()
            for used in ("100mb", "950mb"):
                patch = {"resources": {"memory_allocated": "1gb", "memory_used": used}}
                await ask(service, "PUT", "/registry/agents/a", patch)
            alert = await events.next()

    assert (alert["revision"], alert["data"]["affected_agents"]) == (3, ["a"])


@run
async def test_reconnecting_with_since_misses_nothing_not_even_over_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        async with stream(service) as events:
            position = (await events.next())["revision"]
        for name in "abc":
            await post(service, "/register", id=name)
        async with stream(service, f"?since={position}") as events:
            live = await events.several(3)
            await post(service, "/register", id="d")
            live.append(await events.next())
        assert await asyncio.to_thread(service.end) == 0

    with serving(tmp_path) as service:
        async with stream(service, f"?since={position}") as events:
            after = await events.several(4)

    assert [frame["data"]["agent_id"] for frame in live] == ["a", "b", "c", "d"]
    assert [frame["revision"] for frame in live] == [frame["revision"] for frame in after] == [1, 2, 3, 4]


@run
async def test_a_revision_that_there_never_was_is_answered_with_a_new_listing(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        await post(service, "/register", id="a")
        async with stream(service, "?since=999") as events:
            frame = await events.next()

    assert (frame["type"], frame["revision"], frame["data"]["count"]) == ("resync", 1, 1)


@run
async def test_changes_while_many_readers_come_reach_each_of_them_once(tmp_path: Path) -> None:
    count = 40

    async def read(service: Service, since: str) -> list[int]:
        async with stream(service, since) as events:
            if not since:
                first = await events.next()
                revisions = [*range(1, first["revision"] + 1)]
            else:
                revisions = []
            while len(revisions) < count:
                revisions.append((await events.next())["revision"])
            return revisions

    async def write(service: Service) -> list[int]:
        for number in range(count):
            await post(service, "/register", id=str(number))
        return [*range(1, count + 1)]

    with serving(tmp_path) as service:
        readers = [read(service, since) for since in ("", "?since=0") * 8]
        results = await asyncio.gather(write(service), *readers)

    assert all(result == results[0] for result in results)


@run
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?type=agent_registered", ["ann", "bob"]),
        ("?agent=bob", ["bob", "bob"]),
        ("?capability=Code", ["ann", "ann"]),
        ("?capability=code&type=agent_deregistered", ["ann"]),
    ],
)
async def test_a_reader_gets_what_it_asked_for(tmp_path: Path, query: str, expected: list[str]) -> None:
    with serving(tmp_path) as service:
        async with stream(service, query) as events:
            listing = await events.next()
            for name, capability in (("ann", "code"), ("bob", "talk")):
                body = {"name": name, "agent_id": name, "capabilities": [capability]}
                await ask(service, "POST", "/registry/agents", body)
            for name in ("ann", "bob"):
                await ask(service, "DELETE", f"/registry/agents/{name}")
            frames = await events.several(len(expected))

    assert listing["type"] == "listing"
    assert [frame["data"]["agent_id"] for frame in frames] == expected


@run
@pytest.mark.parametrize("query", ["?since=yesterday", "?since=-1", "?type=weather", "?colour=blue"])
async def test_a_question_that_makes_no_sense_is_closed_with_the_reason(tmp_path: Path, query: str) -> None:
    with serving(tmp_path) as service:
        async with stream(service, query) as events:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await events.next()
        async with httpx.AsyncClient() as client:
            refusal = await client.get(service.url + EVENTS + query)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert query[1:].partition("=")[0] in closed.value.rcvd.reason
    assert refusal.status_code == 400


@run
async def test_pages_of_other_origins_get_no_stream(tmp_path: Path) -> None:
    with serving(tmp_path) as service, pytest.raises(websockets.InvalidStatus) as refused:
        async with stream(service, origin="http://evil.example"):
            raise AssertionError("it was let in")

    answer = refused.value.response
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "evil.example" in json.loads(answer.body)["detail"]


@run
async def test_the_time_of_a_farewell_is_the_same_for_readers_who_come_back_later(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        await post(service, "/register", id="a")
        async with stream(service) as events:
            await events.next()
            await ask(service, "DELETE", "/registry/agents/a")
            live = await events.next()
        async with stream(service, "?since=1") as events:
            later = await events.next()

    assert live["type"] == "agent_deregistered"
    assert later == live


@run
async def test_server_sent_events_say_the_same_and_go_on_where_they_were(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        await post(service, "/register", id="a")
        async with httpx.AsyncClient() as client:
            async with client.stream("GET", service.url + EVENTS) as answer:
                lines = answer.aiter_lines()
                listing = [await anext(lines) for _ in range(4)]
                await post(service, "/register", id="b")
                registered = [await anext(lines) for _ in range(4)]
            async with client.stream("GET", service.url + EVENTS, headers={"Last-Event-ID": "1"}) as answer:
                lines = answer.aiter_lines()
                again = [await anext(lines) for _ in range(4)]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert listing[:2] == ["id: 1", "event: listing"]
    assert registered[:2] == ["id: 2", "event: agent_registered"]
    assert json.loads(registered[2].removeprefix("data: "))["data"]["agent_id"] == "b"
    assert again[:2] == registered[:2]
    assert json.loads(again[2].removeprefix("data: "))["data"]["agent_id"] == "b"


@run
async def test_a_service_that_ends_closes_its_streams_and_ends_in_time(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        async with stream(service) as events, httpx.AsyncClient() as client:
            await events.next()
            async with client.stream("GET", service.url + EVENTS) as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                service.process.terminate()
                assert [line async for line in lines][-1] == ""
            with pytest.raises(websockets.ConnectionClosed):
                await events.next()

        assert await asyncio.to_thread(service.process.wait, 5) == 0


@run
async def test_a_reader_that_does_not_read_is_closed_and_slows_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        lazy = sockets.socket()
        lazy.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", service.discovery()["port"]))
        with lazy:
            handshake = (
                f"GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            lazy.sendall(handshake.encode())
            async with stream(service) as events:
                await events.next()
                filler = {"filler": "x" * 60_000}
                for n in range(120):  # one after the other: the other reader keeps up even where the machine is busy
                    await post(service, "/register", id=f"{n}", meta=filler)
                    assert (await events.next())["data"]["agent_id"] == f"{n}"
            lazy.settimeout(20)
            read = 0
            while chunk := lazy.recv(1 << 20):
                read += len(chunk)

    assert 0 < read < 120 * 60_000


# -- the reader itself --------------------------------------------------------


@run
async def test_what_waits_for_a_reader_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "BOUND", 10)
    reader = Reader(Filter())
    reader.push(Packet([b"12345"]))
    reader.push(Packet([b"67890"]))
    assert (await reader.next()) is not None
    reader.push(Packet([b"12345"]))
    assert not reader.overflown

    reader.push(Packet([b"1"]))

    assert await reader.next() is None
    await reader.until_overflown()


@run
async def test_frames_of_a_tick_are_an_array_and_one_alone_is_not() -> None:
    assert Packet([b"1"]).text == "1"
    assert Packet([b"1", b"2"]).text == "[1,2]"
