"""Whether MCP servers answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

from mcp import ClientSession, StdioServerParameters  # type: ignore[import-not-found,unused-ignore]
from mcp.client import streamable_http  # type: ignore[import-not-found,unused-ignore]
from mcp.client.sse import sse_client  # type: ignore[import-not-found,unused-ignore]
from mcp.client.stdio import stdio_client  # type: ignore[import-not-found,unused-ignore]

__all__ = ["trouble_with"]

Config = Mapping[str, Any]


def trouble_with(servers: Mapping[str, Config], timeout: float) -> str | None:
    """Which of *servers* does not answer within *timeout* seconds, and why; None if all do. All are asked at once."""
    return _in_thread(_first_trouble(servers, timeout))


async def _first_trouble(servers: Mapping[str, Config], timeout: float) -> str | None:
    outcomes = await asyncio.gather(*(_trouble(config, timeout) for config in servers.values()))
    for name, outcome in zip(servers, outcomes, strict=True):
        if outcome is not None:
            return f"the MCP server {name!r} does not answer: {outcome}"
    return None


async def _trouble(config: Config, timeout: float) -> str | None:
    try:
        await asyncio.wait_for(_greet(config), timeout)
    except asyncio.TimeoutError:
        return f"nothing within {timeout:g} seconds"
    except Exception as error:
        return _innermost(error)
    return None


async def _greet(config: Config) -> None:
    async with _connected(config) as (receive, send), ClientSession(receive, send) as session:
        await session.initialize()


@contextlib.asynccontextmanager
async def _connected(config: Config) -> AsyncIterator[tuple[Any, Any]]:
    if "command" in config:
        parameters = StdioServerParameters(
            command=config["command"], args=list(config.get("args", ())), env=config.get("env")
        )
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            async with stdio_client(parameters, errlog=nowhere) as streams:
                yield streams[0], streams[1]
    elif config.get("type") == "sse":
        async with sse_client(config["url"], headers=dict(config.get("headers", {}))) as streams:
            yield streams[0], streams[1]
    else:
        async with _http(config["url"], dict(config.get("headers", {}))) as streams:
            yield streams[0], streams[1]


@contextlib.asynccontextmanager
async def _http(url: str, headers: dict[str, str]) -> AsyncIterator[Any]:
    old: Any = getattr(streamable_http, "streamablehttp_client", None)  # before mcp 2
    if old is not None:
        async with old(url, headers=headers) as streams:
            yield streams
        return
    make_client: Any = vars(streamable_http)["create_mcp_http_client"]
    make_streams: Any = vars(streamable_http)["streamable_http_client"]
    async with make_client(headers=headers) as client, make_streams(url, http_client=client) as streams:
        yield streams


def _innermost(error: BaseException) -> str:
    """What went wrong first, below the groups that task groups raise."""
    while inner := getattr(error, "exceptions", None):
        error = inner[0]
    return f"{type(error).__name__}: {error}"


def _in_thread(work: Coroutine[Any, Any, str | None]) -> str | None:
    """The result of *work* in a loop of its own, for the caller may stand in another."""
    results: list[str | None] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:
            results.append(f"the MCP servers could not be asked: {_innermost(error)}")

    thread = threading.Thread(target=run, name="agentreg-mcp-check", daemon=True)
    thread.start()
    thread.join()
    return results[0]
