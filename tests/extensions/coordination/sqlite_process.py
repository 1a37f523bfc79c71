"""What the tests of the SQLite store have other processes do: ``python sqlite_process.py WHAT URL ...``.

Each says on its standard output how far it is, a line at a time, and goes on
when it gets a line on its standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from agentreg.extensions.coordination.backend import Delete, Put, Renew
from agentreg.extensions.coordination.errors import DirectoryUnavailableError
from agentreg.extensions.coordination.record import AgentMetadata
from agentreg.extensions.coordination.sqlite import SQLiteBackend
from agentreg.extensions.coordination.sqlite.filelock import FileLock


def say(*words: object) -> None:
    os.write(1, f"{' '.join(map(str, words))}\n".encode())  # in one piece, whoever else writes


def entry(agent_id: str, runtime_id: str) -> Put:
    return Put(AgentMetadata(agent_id, runtime_id, f"token of {agent_id} in {runtime_id}", ["testing"]))


async def churn(url: str, name: str) -> None:
    """Register without end, deregister every other one, and say what was acknowledged."""
    backend = SQLiteBackend(url, time.monotonic)
    await backend.open()
    number = 0
    while True:
        number += 1
        put = entry(f"{name}-{number}", name)
        await backend.put([put])
        say("+", put.record.agent_id)
        if number % 2:
            say("?", put.record.agent_id)
            await backend.delete([Delete(put.record.agent_id, put.record.token)])
            say("-", put.record.agent_id)
        if number % 5 == 0:
            await backend.renew([Renew(name)])


async def write(url: str, name: str, count: str) -> None:
    """Register *count* agents, one after the other."""
    backend = SQLiteBackend(url, time.monotonic)
    await backend.open()
    say("ready")
    sys.stdin.readline()
    for number in range(int(count)):
        await backend.put([entry(f"{name}-{number}", name)])
        say("wrote", number)
    await backend.close()
    say("done")


async def read(url: str) -> None:
    """List without end."""
    backend = SQLiteBackend(url, time.monotonic)
    await backend.open()
    say("ready")
    while True:
        say("read", len((await backend.list()).records))


async def race(url: str, count: str) -> None:
    """*count* processes want to be the one, as soon as the standard input ends."""
    names = [f"r{number}" for number in range(int(count))]
    for name in names:
        if not os.fork():  # no thread has been started yet
            asyncio._set_running_loop(None)
            asyncio.run(_run_for_it(url, name))
            os._exit(0)
    say("ready")
    for _ in names:
        os.wait()


async def _run_for_it(url: str, name: str) -> None:
    backend = SQLiteBackend(url, time.monotonic)
    await backend.open()
    os.read(0, 1)
    [holder] = (await backend.put([entry("the one", name)])).results
    say("lost" if holder else "won", holder.runtime_id if holder else name)
    await backend.close()


async def hold(url: str) -> None:
    """Hold the lock."""
    lock = FileLock(url.removeprefix("sqlite:///") + "-lock")
    lock.acquire()
    say("held")
    sys.stdin.readline()


async def fill(url: str) -> None:
    """Write until the system says that files may not grow any more; then go on when they may."""
    import resource

    backend = SQLiteBackend(url, time.monotonic)
    await backend.open()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    number = 0
    try:
        while True:
            await backend.put([entry(f"big-{number}-{'x' * 2000}", "r")])
            number += 1
    except DirectoryUnavailableError as error:
        say("unavailable", error.reason)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await backend.put([entry("afterwards", "r")])
    say("there", number, len((await backend.list()).records))
    await backend.close()


async def fork(url: str) -> None:
    """Fork while the store is open and busy; parent and child use it."""
    warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
    backend = SQLiteBackend(url, time.monotonic)
    await backend.open()
    under_way = [asyncio.ensure_future(backend.put([entry(f"busy-{n}", "parent")])) for n in range(50)]
    await asyncio.sleep(0)
    child = os.fork()
    if not child:
        # the loop is the parent's, too: the child gets one of its own
        asyncio._set_running_loop(None)
        asyncio.run(_in_child(backend))
        os._exit(0)
    await asyncio.gather(*under_way)
    for number in range(50):
        await backend.put([entry(f"parent-{number}", "parent")])
    _, status = os.waitpid(child, 0)
    say("child ended", status)
    await backend.close()


async def _in_child(backend: SQLiteBackend) -> None:
    for number in range(50):
        await backend.put([entry(f"child-{number}", "child")])
    await backend.renew([Renew("child")])
    await backend.close()


if __name__ == "__main__":
    tasks: list[Callable[..., Coroutine[Any, Any, None]]] = [churn, write, read, race, hold, fill, fork]
    asyncio.run({task.__name__: task for task in tasks}[sys.argv[1]](*sys.argv[2:]))
