"""A runtime: one process, its agents, and its own copy of the directory.

It is told what to do, and tells what is done, in lines of JSON: on standard
input first the setup, ``{"runtime", "backend", "analysts"}``, then tasks,
``{"task", "agent", "at_least", ...}``; on standard output

    {"kind": "came", "agent", "runtime"}            its copy of the directory shows an agent
    {"kind": "left", "agent", "runtime", "reason"}  ... and shows it no more
    {"kind": "begun", "task", "agent"}
    {"kind": "done", "task", "agent", "result"}
    {"kind": "failed", "task", "agent", "error"}

The end of its input is the end of its work, whoever closed it: a parent
that is killed leaves no runtime behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

from agentreg import RegistryError
from agentreg.demo.processes.agents import Agent, hired
from agentreg.demo.processes.shared import open_directory
from agentreg.extensions.coordination import AgentDirectory, Listing

__all__ = ["Runtime", "main"]


class Runtime:
    """The agents of this process, and the lines that it exchanges with its parent.

    Args:
        setup: The first line.
        output: The file descriptor that lines are written to.
    """

    def __init__(self, setup: Mapping[str, Any], output: int) -> None:
        self.name: str = setup["runtime"]
        self.backend: str = setup["backend"]
        self.agents = hired(self.name, setup["analysts"])
        self.output = output

    async def live(self) -> None:
        """From the first registration to the end of the input."""
        async with open_directory(self.backend) as directory:
            watching = asyncio.create_task(self._watch(directory))
            for agent_id, agent in self.agents.items():
                await directory.register_agent(agent, self.name, agent_id)
            await self._work()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, directory: AgentDirectory) -> None:
        async for item in directory.watch():
            if isinstance(item, Listing):
                for record in item.agents:
                    self._say("came", agent=record.agent_id, runtime=record.runtime_id)
            elif item.kind == "registered":
                self._say("came", agent=item.agent_id, runtime=item.runtime_id)
            elif item.kind == "deregistered":
                self._say("left", agent=item.agent_id, runtime=item.runtime_id, reason=item.reason)

    async def _work(self) -> None:
        running: set[asyncio.Task[None]] = set()
        async for task in _tasks():
            doing = asyncio.create_task(self._do(task, self.agents[task["agent"]]))
            running.add(doing)
            doing.add_done_callback(running.discard)
        for doing in running:
            doing.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _do(self, task: Mapping[str, Any], agent: Agent) -> None:
        name = {"task": task["task"], "agent": task["agent"]}
        self._say("begun", **name)
        try:
            result, _ = await asyncio.gather(agent.run(task), asyncio.sleep(task["at_least"]))
        except Exception as error:
            self._say("failed", **name, error=f"{type(error).__name__}: {error}")
        else:
            self._say("done", **name, result=result)

    def _say(self, kind: str, **more: Any) -> None:
        line = memoryview(json.dumps({"kind": kind, **more}).encode() + b"\n")
        while line:
            line = line[os.write(self.output, line) :]


async def _tasks() -> AsyncIterator[dict[str, Any]]:
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        yield json.loads(line)


def main() -> None:
    """Run the runtime that the first line of the input describes; end with code 1, and say why, if that fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's, which closes the input then
    logging.basicConfig(format="%(message)s")
    _expect_odd_source()
    output = os.dup(1)
    os.dup2(2, 1)  # whatever else is printed in this process is no line of JSON
    try:
        if setup := sys.stdin.buffer.readline():
            asyncio.run(Runtime(json.loads(setup), output).live())
    except BrokenPipeError:
        _end(0)  # nobody listens any more
    except (RegistryError, ImportError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        _end(1)
    except Exception:
        traceback.print_exc()
        _end(1)


def _expect_odd_source() -> None:
    # the parser warns of the code that it reads, which is not ours
    warnings.simplefilter("ignore", SyntaxWarning)
    warnings.filterwarnings("ignore", "invalid .*(escape sequence|literal)", DeprecationWarning)


def _end(code: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(code)  # the thread that waits for a line can't be ended otherwise


if __name__ == "__main__":
    main()
