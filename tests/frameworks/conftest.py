"""What the tests of other frameworks share: a machine without network, keys and home, and the drop check.

This file is loaded before the frameworks are, and they read their settings
when they are imported.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from agentreg import AgentRegistry

HOME = tempfile.mkdtemp(prefix="agentreg-frameworks-")
attempts: list[str] = []

for variable in [name for name in os.environ if name.endswith("_API_KEY") or name.lower().endswith("_proxy")]:
    del os.environ[variable]
os.environ.update(
    {
        "HOME": HOME,
        "XDG_CACHE_HOME": f"{HOME}/cache",
        "XDG_CONFIG_HOME": f"{HOME}/config",
        "XDG_DATA_HOME": f"{HOME}/data",
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_DISABLE_TRACKING": "true",
        "CREWAI_DISABLE_VERSION_CHECK": "true",
        "CREWAI_TESTING": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "LANGCHAIN_TRACING_V2": "false",
        "LANGSMITH_TRACING": "false",
        "LOGFIRE_SEND_TO_LOGFIRE": "false",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "OTEL_SDK_DISABLED": "true",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
)


def _refuse_the_network(event: str, args: tuple[Any, ...]) -> None:
    looks_up = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    # an address that is a tuple is an internet address; a Unix socket's is a path
    sends = event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(args[-1], tuple)
    if looks_up or sends:
        attempts.append(f"{event}{args!r}")
        raise OSError("the network is off in these tests")


sys.addaudithook(_refuse_the_network)


@pytest.fixture(scope="session", autouse=True)
def _nobody_has_tried_the_network() -> Iterator[None]:
    yield
    assert attempts == []


@pytest.fixture(autouse=True)
def _a_registry_of_its_own(isolated_registry: object) -> None:
    """Each test starts with an empty registry."""


@pytest.fixture
def leaves() -> Callable[..., bool]:
    """The drop check: whether an agent leaves the registry when its last user drops it."""

    def check(
        make: Callable[[], Any],
        use: Callable[[Any], Any] | None = None,
        *,
        keep_result: bool = False,
        collect: bool = False,
    ) -> bool:
        """Make an agent, register it, *use* it by its name, and drop it: is its name gone?

        With *keep_result*, what *use* returned is kept. With *collect*, the
        garbage collector comes by first; without, it must not.
        """
        gc.collect()
        gc.disable()
        try:
            agent = make()
            AgentRegistry.register(agent, "let go")
            results = [use(AgentRegistry.require("let go"))] if use is not None else []
            if not keep_result:
                results.clear()
            del agent
            if collect:
                gc.collect()
            return "let go" not in AgentRegistry.names()
        finally:
            gc.enable()

    return check


@pytest.fixture
def outcomes() -> Callable[..., dict[str, list[Any]]]:
    """Several at once: what each member of a pool gave, by its name in the registry."""

    def collect(pool: Any, use: Callable[[Any], Awaitable[Any]]) -> dict[str, list[Any]]:
        """Let twice as many branches as *pool* has members *use* one each, all members at the same time."""
        given: dict[str, list[Any]] = {}

        async def branch(number: int, all_lent: asyncio.Barrier) -> None:
            async with pool.aborrow(f"branch {number}") as member:
                await all_lent.wait()
                name = next(iter(AgentRegistry.find(lambda agent: agent is member)))
                given.setdefault(name, []).append(await use(member))

        async def branches() -> None:
            all_lent = asyncio.Barrier(len(pool))
            await asyncio.gather(*(branch(number, all_lent) for number in range(2 * len(pool))))

        asyncio.run(branches())
        return given

    return collect


def pytest_configure(config: pytest.Config) -> None:
    """What the frameworks warn themselves of, when they are imported or used, is theirs to mend."""
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore::ImportWarning")


def pytest_unconfigure() -> None:
    """Remove what the frameworks wrote at home."""
    shutil.rmtree(HOME, ignore_errors=True)
