"""The stores that the shared suites run on, and what they need to run."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from agentreg.extensions.coordination import AgentDirectory, AgentDirectoryConfig, AgentMetadata
from agentreg.extensions.coordination.backend import Backend, open_backend

P = ParamSpec("P")
T = TypeVar("T")

STORES = ["memory", "sqlite", "redis"]
if all(map(find_spec, ("httpx", "msgspec", "platformdirs", "starlette", "uvicorn"))):
    STORES.append("http")

_numbers = itertools.count(1)


class Store:
    """One store of one kind; every test has a new one."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.remote = kind != "memory"

    @asynccontextmanager
    async def opened(self, clock: Callable[[], float] = time.monotonic) -> AsyncIterator[Backend]:
        """A backend over it."""
        backend = open_backend(self.url, clock)
        await backend.open()
        try:
            yield backend
        finally:
            await backend.close()

    def directory(self, config: AgentDirectoryConfig | None = None, **options: Any) -> AgentDirectory:
        """A directory over it, not started."""
        return AgentDirectory(config, backend=self.url, **options)


def make_store(kind: str, folder: Path, request: pytest.FixtureRequest) -> Store:
    if kind == "memory":
        return Store(kind, f"memory://{folder.name}-{next(_numbers)}")
    if kind == "sqlite":
        return Store(kind, f"sqlite:///{folder}/agents.db")
    if kind == "redis":
        return Store(kind, request.getfixturevalue("redis_url"))
    if kind == "http":
        from .services import ThreadedService

        service = ThreadedService()
        request.addfinalizer(service.stop)
        return Store(kind, service.url)
    raise ValueError(kind)


def run(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an async test a plain one, with a loop of its own."""

    @functools.wraps(test)
    def runs(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(test(*args, **kwargs))

    return runs


async def until(condition: Callable[[], Awaitable[object]] | Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until *condition* holds; fail after *seconds*."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {condition}")
        await asyncio.sleep(0.005)


def record(agent_id: str, runtime_id: str = "runtime", token: str = "", **rest: Any) -> AgentMetadata:
    """A record as a backend takes it."""
    capabilities = rest.pop("capabilities", ())
    return AgentMetadata(
        agent_id,
        runtime_id,
        token or f"token of {agent_id}",
        capabilities,
        registered=1_700_000_000.0,
        rest=rest or None,
    )
