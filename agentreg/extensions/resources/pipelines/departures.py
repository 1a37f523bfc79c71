"""Departures: agents that leave by themselves give back what they had."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from agentreg import AgentRegistry
from agentreg.events import AgentUnregistered, RegistryEvent, Resync
from agentreg.extensions.resources.pipelines.registration import RegistrationPipeline

__all__ = ["following_departures"]


@contextlib.asynccontextmanager
async def following_departures(pipeline: RegistrationPipeline) -> AsyncIterator[None]:
    """While the block runs, live agents that leave or are collected give back what *pipeline* gave them.

    For pipelines that enter agents in `AgentRegistry`. At the end of the
    block, those who left until then have given it back.

    Example:
        >>> import asyncio
        >>> class Scout: ...
        >>> async def main():
        ...     pipeline, scout = RegistrationPipeline(), Scout()
        ...     async with following_departures(pipeline):
        ...         await pipeline.run(AgentRequest("scout", agent=scout))
        ...         del scout
        ...     return list(pipeline.enrolments)
        >>> from agentreg.extensions.resources.conflicts import AgentRequest
        >>> asyncio.run(main())
        []
    """
    loop, names = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def hear(event: RegistryEvent) -> None:
        left = [event.name] if isinstance(event, AgentUnregistered) else []
        if isinstance(event, Resync):
            left = [name for name in list(pipeline.enrolments) if name not in event.listing]
        for name in left:
            loop.call_soon_threadsafe(names.put_nowait, name)

    subscription = AgentRegistry.subscribe(hear)
    worker = asyncio.ensure_future(_follow(pipeline, names))
    try:
        yield
    finally:
        AgentRegistry.count()  # tells of those who died unnoticed
        subscription.close()
        loop.call_soon(names.put_nowait, None)
        await worker


async def _follow(pipeline: RegistrationPipeline, names: asyncio.Queue[str | None]) -> None:
    while (name := await names.get()) is not None:
        enrolment = pipeline.enrolments.get(name)
        if enrolment is not None and not _is_there(enrolment.token):
            await pipeline.departed(name, enrolment.token)


def _is_there(token: object) -> bool:
    agent = getattr(token, "agent", None)
    return agent is not None and AgentRegistry.get(getattr(token, "name", "")) is agent
