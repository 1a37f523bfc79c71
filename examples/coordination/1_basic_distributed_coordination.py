"""Two runtimes share one directory, and each finds the other's agents.

The store is a file, as it would be for two programs on one machine. With
``redis://host`` in its place the runtimes may be on two machines; nothing
else changes.

It prints:

    office has coder, analyst
    studio has writer
    office asks for 'code generation': coder of office
    office asks for 'WRITING': writer of studio
    coder: def add(a, b): return a + b
    the studio closes: coder, analyst are left
"""

import asyncio
import tempfile
from pathlib import Path

from agentreg.extensions.coordination import AgentDirectory


class Coder:
    """Writes functions."""

    def run(self, task: str) -> str:
        """Give the source of a function that does *task*."""
        return f"def {task}(a, b): return a + b"


class Analyst:
    """Sums up numbers."""

    def run(self, task: str) -> str:
        """Give the mean of the numbers in *task*."""
        numbers = [float(word) for word in task.split()]
        return f"{sum(numbers) / len(numbers):g} on average"


class Writer:
    """Makes sentences."""

    def run(self, task: str) -> str:
        """Make a sentence of *task*."""
        return f"{task.capitalize()}."


async def coordinate(url: str) -> None:
    """Register from both runtimes, look from either."""
    coder, analyst, writer = Coder(), Analyst(), Writer()  # the directory holds them weakly: keep them
    async with AgentDirectory(backend=url, auto_heartbeat=True) as office:
        async with AgentDirectory(backend=url, auto_heartbeat=True) as studio:
            await office.register_agent(coder, "office", "coder", capabilities=["Python code generation"])
            await office.register_agent(analyst, "office", "analyst", capabilities=["data analysis"])
            await studio.register_agent(writer, "studio", "writer", capabilities=["creative writing"])

            for runtime_id in ("office", "studio"):
                there = await office.find_agents_by_runtime(runtime_id)
                print(runtime_id, "has", ", ".join(record.agent_id for record in there))
            for wanted in ("code generation", "WRITING"):
                best = (await office.find_agents_by_capability(wanted))[0]
                print(f"office asks for {wanted!r}: {best.agent_id} of {best.runtime_id}")

            best = (await studio.find_agents_by_capability("code"))[0]
            print(f"{best.agent_id}: {best.agent.run('add')}")
        print("the studio closes:", ", ".join([record.agent_id for record in await office.list_agents()]), "are left")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(coordinate(f"sqlite:///{Path(folder, 'agents.db').as_posix()}"))
