"""A step for connections that fail: try again, with pauses."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import stamina

from agentreg.extensions.monitoring.recovery.plan import Case

__all__ = ["Reconnect"]


class Reconnect:
    """A step: connect, again and again with growing pauses, until it succeeds.

    Needs the extra ``monitoring`` (stamina).

    Args:
        connect: Agent's name -> whatever; it raises what is wrong. A coroutine function: a plain one would hold
            up the event loop.
        attempts: How often it is tried at most.
        longest: Seconds between two attempts at most.
    """

    def __init__(self, connect: Callable[[str], Awaitable[Any]], attempts: int = 5, longest: float = 5.0) -> None:
        if not inspect.iscoroutinefunction(connect):
            raise TypeError(f"connect: expected a coroutine function (async def), got {connect!r:.200}")
        self._connect = connect
        self._attempts = attempts
        self._longest = longest

    async def __call__(self, case: Case) -> bool:
        """Whether there is a connection; raises what the last attempt has raised."""
        tries = stamina.retry_context(on=Exception, attempts=self._attempts, timeout=None, wait_max=self._longest)
        async for attempt in tries:
            with attempt:
                await self._connect(case.agent)
        return True
