"""The runtimes: processes with agents of their own, which are given files to read for as long as it lasts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentreg.demo.processes.agents import hired
from agentreg.demo.processes.child import Child, Line
from agentreg.demo.serving.figures import Figures
from agentreg.demo.stage import DemoFailed

__all__ = ["COUNT", "Runtimes"]

COUNT = 3
ANALYSTS = 2
AT_LEAST = (0.7, 1.3, 2.1)  # seconds that a task takes, for the eye
AWAY = 3.0  # seconds between the kill of a runtime and its return


class Runtimes:
    """Three processes. For one event loop.

    Args:
        url: The service's address.
        files: What is to be read; over and over.
        figures: Where it is counted what they do.
        folder: Where files for their messages may be made.
    """

    def __init__(self, url: str, files: Sequence[Path], figures: Figures, folder: Path) -> None:
        self._url = url
        self._files = itertools.cycle(files)
        self._figures = figures
        self._folder = folder
        self._numbers = itertools.count(1)
        self._children: dict[str, Child] = {}
        self._given: dict[int, float] = {}
        self._facts: Any = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Start all of them."""
        await asyncio.gather(*(self._start(f"runtime-{number + 1}") for number in range(COUNT)))

    async def _start(self, name: str) -> None:
        child = self._children[name] = Child(name, self._folder)
        await child.start({"backend": self._url, "analysts": ANALYSTS}, self._hear)

    async def watch(self) -> None:
        """Wait until one of them fails, which raises DemoFailed."""
        await asyncio.shield(self._failure)

    async def lose_one(self) -> str:
        """Kill the last of them, and have it come back after a while; its name."""
        name = f"runtime-{COUNT}"
        child = self._children.pop(name)
        child.kill()
        await child.end()
        await asyncio.sleep(AWAY)
        await self._start(name)
        return name

    async def end(self) -> None:
        """Have all of them end, and wait until they have."""
        children = [*self._children.values()]
        self._children.clear()
        await asyncio.gather(*(child.end() for child in children))
        if not self._failure.cancel():
            self._failure.exception()  # it was told

    # -- what they say ------------------------------------------------------

    def _hear(self, child: Child, line: Line | None) -> None:
        if self._children.get(child.runtime_id) is not child:
            return
        if line is None:
            self._fail(child.obituary())
        elif line["kind"] == "came" and line["agent"] in hired(child.runtime_id, ANALYSTS):
            self._give(child, line["agent"])
        elif line["kind"] == "done":
            self._note(line)
            self._give(child, line["agent"])
        elif line["kind"] == "failed":
            self._fail(f"the agent {line['agent']!r} failed: {line['error']}")

    def _note(self, line: Line) -> None:
        began = self._given.pop(line["task"], None)
        now = asyncio.get_running_loop().time()
        self._figures.done(line["agent"], 0.0 if began is None else now - began)
        if isinstance(line["result"], dict) and line["result"]["problem"] is None:
            self._facts = line["result"]

    def _give(self, child: Child, agent_id: str) -> None:
        """Give an agent something to do."""
        if not child.reachable:
            return
        number = next(self._numbers)
        task: dict[str, Any] = {"task": number, "agent": agent_id, "at_least": AT_LEAST[number % len(AT_LEAST)]}
        if agent_id.endswith("reviewer"):
            if self._facts is None:  # nothing has been read so far
                asyncio.get_running_loop().call_later(1.0, self._give, child, agent_id)
                return
            task["facts"] = self._facts
        else:
            file = next(self._files)
            task |= {"file": str(file), "path": file.name}
        self._given[number] = asyncio.get_running_loop().time()
        self._figures.begun(agent_id)
        child.send(task)

    def _fail(self, text: str) -> None:
        if not self._failure.done():
            self._failure.set_exception(DemoFailed(text))
