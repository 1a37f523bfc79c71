"""Small real parts for pipelines: a directory, a task desk, an office, and a book of what happened."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from agentreg import NameTakenError
from agentreg.extensions.resources.conflicts import AgentRequest
from agentreg.extensions.resources.pipelines import Notice


class Agent:
    """Something that can be registered."""


class Directory:
    """A directory with tokens, in which everything takes a while."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[int, str]] = {}
        self.count = 0

    async def enter(self, request: AgentRequest) -> tuple[int, str]:
        await asyncio.sleep(0)
        if request.name in self.records:
            raise NameTakenError(request.name, "a record")
        self.count += 1
        self.records[request.name] = token = (self.count, request.name)
        return token

    async def remove(self, token: tuple[int, str]) -> bool:
        await asyncio.sleep(0)
        if self.records.get(token[1]) != token:
            return False
        del self.records[token[1]]
        return True

    async def find(self, name: str) -> tuple[int, str] | None:
        await asyncio.sleep(0)
        return self.records.get(name)

    async def restore(self, token: tuple[int, str], removed: Any) -> tuple[int, str]:
        if token[1] in self.records:
            raise NameTakenError(token[1], "a record")
        self.records[token[1]] = token
        return token


class Office:
    """Gives shares of a number of bytes; who finds too little waits in order."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.held: dict[str, int] = {}
        self.line: list[Share] = []

    @property
    def free(self) -> int:
        return self.total - sum(self.held.values())

    def allocate(self, agent: str, *, memory: Any, priority: Any, tasks: int) -> Share:
        share = Share(self, agent, int(memory))
        self.line.append(share)
        self.serve()
        return share

    def release(self, agent: str) -> None:
        self.held.pop(agent, None)
        self.serve()

    def available(self, memory: Any) -> bool:
        return int(memory) <= self.free and not self.line

    def serve(self) -> None:
        while self.line and self.line[0].memory <= self.free:
            share = self.line.pop(0)
            self.held[share.agent] = share.memory
            share.given.set()


class Share:
    """What an office gives."""

    def __init__(self, office: Office, agent: str, memory: int) -> None:
        self.office, self.agent, self.memory = office, agent, memory
        self.given = asyncio.Event()

    @property
    def granted(self) -> bool:
        return self.given.is_set()

    async def ready(self) -> None:
        await self.given.wait()

    def cancel(self) -> None:
        if self in self.office.line:
            self.office.line.remove(self)
        elif self.granted:
            self.office.release(self.agent)


class Servers:
    """MCP servers that count what is open, some of which can't be reached."""

    def __init__(self, down: tuple[str, ...] = ()) -> None:
        self.open: Counter[str] = Counter()
        self.down = down

    async def connect(self, server: str) -> str:
        await asyncio.sleep(0)
        if server in self.down:
            raise OSError(f"{server} is down")
        self.open[server] += 1
        return server

    async def close(self, connection: str) -> None:
        await asyncio.sleep(0)
        self.open[connection] -= 1


class Book:
    """What others were told, and what is monitored and watched."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.monitored: set[str] = set()
        self.watched: set[str] = set()

    def notify(self, notice: Notice) -> None:
        self.told.append(notice)

    def monitor(self, request: AgentRequest) -> Any:
        name = request.name
        self.monitored.add(name)
        return lambda: self.monitored.discard(name)

    async def watch(self, request: AgentRequest) -> Any:
        path = str(request.file_path)
        self.watched.add(path)

        async def stop() -> None:
            self.watched.discard(path)

        return stop


class Desk:
    """The tasks of agents."""

    def __init__(self, **tasks: list[str]) -> None:
        self.tasks = tasks
        self.paused: set[str] = set()
        self.ended: list[str] = []
        self.changed = asyncio.Event()

    def pause(self, name: str) -> None:
        self.paused.add(name)

    def resume(self, name: str) -> None:
        self.paused.discard(name)

    def active(self, name: str) -> list[str]:
        return self.tasks.get(name, [])

    async def drained(self, name: str) -> None:
        while self.tasks.get(name):
            self.changed.clear()
            await self.changed.wait()

    def finish(self, name: str) -> None:
        self.tasks[name] = []
        self.changed.set()

    async def end(self, name: str) -> None:
        self.ended += self.tasks.pop(name, [])

    def candidates(self, name: str, task: str) -> dict[str, int]:
        return {other: len(tasks) for other, tasks in self.tasks.items() if not task.startswith("only")}

    async def move(self, task: str, name: str, to: str) -> None:
        self.tasks[name].remove(task)
        self.tasks[to].append(task)
