"""The application in this process, without a network: its life, a client, a clock."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import httpx

from agentreg.extensions.service import create_app, open_directory

P = ParamSpec("P")
T = TypeVar("T")


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def run(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an async test a plain one, with a loop of its own."""

    @functools.wraps(test)
    def runs(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(test(*args, **kwargs))

    return runs


@asynccontextmanager
async def alive(app: Any) -> AsyncIterator[None]:
    """The life of an ASGI application: what a server would tell it."""
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life = asyncio.create_task(app(scope, told.get, said.put))
    for event in ("startup", "shutdown"):
        await told.put({"type": f"lifespan.{event}"})
        answer = await said.get()
        assert answer["type"] == f"lifespan.{event}.complete", answer
        if event == "startup":
            yield
    await life


class Client:
    """Asks an application; every method gives the status and the JSON of the answer."""

    def __init__(self, app: Any, headers: dict[str, str] | None = None) -> None:
        transport = httpx.ASGITransport(app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7847", headers=headers)

    async def post(self, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        answer = await self.http.post(path, json={} if body is None else body, **options)
        return answer.status_code, answer.json()

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        answer = await self.http.get(path, **options)
        return answer.status_code, answer.json()

    async def register(self, **body: Any) -> str:
        status, answer = await self.post("/register", body)
        assert (status, answer["ok"]) == (200, True), answer
        return str(answer["id"])

    async def agents(self) -> list[dict[str, Any]]:
        status, answer = await self.get("/agents")
        assert (status, answer["count"]) == (200, len(answer["agents"]))
        return list(answer["agents"])

    async def statuses(self) -> dict[str, str]:
        return {agent["id"]: agent["status"] for agent in await self.agents()}


@asynccontextmanager
async def service(backend: str = "memory://", clock: FakeClock | None = None, **options: Any) -> AsyncIterator[Client]:
    """A client of a new application."""
    directory = open_directory(backend, **({} if clock is None else {"clock": clock}))
    app = create_app(directory, **options)
    async with alive(app):
        client = Client(app)
        async with client.http:
            yield client


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    """Wait until *condition* holds; fail after *seconds*."""

    async def holds() -> None:
        while not await condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(holds(), seconds)


def child() -> subprocess.Popen[bytes]:
    """A process that waits to be killed."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
