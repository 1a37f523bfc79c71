"""Operations in this process, with two clocks that go when they are told to, and samples that are taken when asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agentreg.extensions.service.events.hub import Filter, Reader
from agentreg.extensions.service.operations import Files, Operations, OperationsConfig

from ..driving import Client, FakeClock, service, until

AGENTS = "/registry/agents"


async def never(seconds: float) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


def files_in(folder: Path, shared: bool = False) -> Files:
    """The files of a workspace."""
    metrics = folder / ("agent-registry.db" if shared else "metrics.db")
    return Files(str(metrics), not shared, str(folder / "operations.db"), str(folder / "decisions.db"))


class Office:
    """A service with operations: its client, and the hands on its clocks."""

    def __init__(self, operations: Operations, client: Client, wall: FakeClock, monotonic: FakeClock) -> None:
        self.operations = operations
        self.client = client
        self.wall = wall
        self._monotonic = monotonic
        self.get = client.get
        self.post = client.post

    def pass_by(self, seconds: float) -> None:
        self.wall.pass_by(seconds)
        self._monotonic.pass_by(seconds)

    async def sample(self, times: int = 1, every: float = 10.0) -> None:
        for _ in range(times):
            await self.operations.sample()
            self.pass_by(every)

    async def put(self, agent_id: str, /, **patch: Any) -> dict[str, Any]:
        answer = await self.client.http.put(f"{AGENTS}/{agent_id}", json=patch)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def delete(self, path: str) -> tuple[int, Any]:
        answer = await self.client.http.delete(path)
        return answer.status_code, answer.json()

    async def enter(self, agent_id: str, **record: Any) -> dict[str, Any]:
        status, answer = await self.post(AGENTS, {"agent_id": agent_id, "name": agent_id, **record})
        assert status == 201, answer
        return dict(answer)

    async def allocation(self, agent_id: str) -> Any:
        _, record = await self.get(f"{AGENTS}/{agent_id}")
        return record["resources"].get("allocation")

    async def alerts(self, state: str = "active") -> list[dict[str, Any]]:
        status, answer = await self.get(f"/registry/alerts?state={state}")
        assert (status, answer["count"]) == (200, len(answer["alerts"])), answer
        return list(answer["alerts"])

    async def states(self, state: str = "active") -> list[tuple[str, str, str]]:
        return [(each["rule"], each["agent"], each["state"]) for each in await self.alerts(state)]


@asynccontextmanager
async def office(
    config: OperationsConfig | None = None,
    files: Files | None = None,
    *,
    wall: FakeClock | None = None,
    notify: Callable[[Any], Any] | None = None,
    **options: Any,
) -> AsyncIterator[Office]:
    """A service with operations."""
    wall, monotonic = wall or clock(), FakeClock()
    operations = Operations(config, files, clock=wall, monotonic=monotonic, sleep=never, notify=notify)
    async with service(operations=operations, **options) as client:
        yield Office(operations, client, wall, monotonic)


def clock(at: float = 1_700_000_000.0) -> FakeClock:
    """A wall clock."""
    wall = FakeClock()
    wall.now = at
    return wall


async def eventually(ask: Callable[[], Any], expected: Any) -> None:
    """Wait until *ask* gives what is *expected*."""

    async def holds() -> bool:
        return bool(await ask() == expected)

    await until(holds)


class Told:
    """What a reader of the stream is told."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._frames: list[dict[str, Any]] = []

    async def next(self, kind: str) -> dict[str, Any]:
        """The next frame of a kind; those before it are left out."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame["type"] == kind:
                    return frame
            packet = await self._reader.next(10)
            assert packet is not None
            self._frames += [json.loads(each) for each in packet.frames]


@asynccontextmanager
async def told(here: Office, since: int | None = None) -> AsyncIterator[Told]:
    """A reader of the stream, in this process."""
    async with here.operations.hub.reading(since, Filter()) as reader:
        yield Told(reader)
