"""The crew: live objects of this process, which work in shifts and are entered into the service's directory."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentreg import AgentRegistered, AgentRegistry, AgentUnregistered, CallFinished, Orchestra, RegistryEvent
from agentreg.demo.board import Board
from agentreg.demo.company import TOPOLOGY, Company
from agentreg.demo.serving.figures import Figures
from agentreg.demo.stage import DemoFailed
from agentreg.extensions.coordination import AgentDirectory
from agentreg.testing import isolated_registry

__all__ = ["OBJECT", "POOLED", "RUNTIME", "Crew"]

RUNTIME = "crew"
OBJECT, POOLED = "live object", "pool member"
ANALYSTS = 4
SLOWNESS = 8.0  # seconds that a shift's reading is stretched to
PAUSE = 2.0  # seconds between two steps


class Crew:
    """Works for as long as it is let, in a registry of its own.

    Args:
        directory: Where the agents are entered: whoever joins the registry joins there, too.
        figures: Where it is counted what they do.
        folder: Where the Python files are.
        limit: How many are read in a shift at most.
        papers: A folder for what a shift writes.
    """

    def __init__(self, directory: AgentDirectory, figures: Figures, folder: Path, limit: int, papers: Path) -> None:
        self._directory = directory
        self._figures = figures
        self._folder = folder
        self._limit = limit
        self._papers = papers
        self._events: asyncio.Queue[RegistryEvent] = asyncio.Queue()

    async def work(self) -> None:
        """One shift after the other, until cancelled. Raises DemoFailed."""
        with isolated_registry(), _quiet_parser(), self._listening():
            entering = asyncio.create_task(self._enter_all())
            try:
                while not entering.done():
                    await self._shift()
                    await asyncio.sleep(PAUSE)
                entering.result()
            finally:
                entering.cancel()
                await asyncio.wait([entering])

    @contextmanager
    def _listening(self) -> Iterator[None]:
        with AgentRegistry.subscribe(self._events.put_nowait), AgentRegistry.on_call(self._count):
            yield

    async def _shift(self) -> None:
        board = Board()
        report = self._papers / "report.md"
        company = Company(self._papers, report, ANALYSTS, self._limit, SLOWNESS, board)
        try:
            await asyncio.sleep(PAUSE)
            result = await Orchestra.run(self._folder, TOPOLOGY)
            for node, error in result.errors.items():
                raise DemoFailed(f"the agent {node!r} failed: {error}") from error
            await asyncio.sleep(PAUSE)
        finally:
            await company.close()

    def _count(self, call: CallFinished) -> None:
        self._figures.done(call.name, call.seconds, call.ok)

    # -- entering -----------------------------------------------------------

    async def _enter_all(self) -> None:
        while True:
            event = await self._events.get()
            if isinstance(event, AgentRegistered):
                await self._enter(event)
            elif isinstance(event, AgentUnregistered):
                await self._directory.deregister_agent(event.name, RUNTIME)

    async def _enter(self, event: AgentRegistered) -> None:
        agent = AgentRegistry.get(event.name)
        if agent is None:  # it has left again
            return
        pool = AgentRegistry.get_pool_name_for_instance(event.name)
        kind = {"kind": OBJECT} if pool is None else {"kind": POOLED, "pool": pool}
        await self._directory.register_agent(
            agent, RUNTIME, event.name, name=event.name, metadata={**kind, "class": event.class_name}
        )


@contextmanager
def _quiet_parser() -> Iterator[None]:
    # the parser warns of the code that it reads, which is not ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.filterwarnings("ignore", "invalid .*(escape sequence|literal)", DeprecationWarning)
        yield
