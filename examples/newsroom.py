"""An orchestra: two researchers side by side, then a writer with a model, then an editor.

It prints:

    success: True
    -- EDITED: weather says sun; traffic says jam
    researchers, writer and editor are gone: []
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from agentreg import Agent, AgentRegistry, BaseAgent, Message, Orchestra, Topology


class Researcher(BaseAgent):
    """Finds out one thing about the task."""

    def __init__(self, name: str, finding: str) -> None:
        self.finding = finding
        super().__init__(name)

    async def run(self, prompt: Any, **kwargs: Any) -> str:
        await asyncio.sleep(0.01)
        return f"{self.name} says {self.finding}"


class Editor(BaseAgent):
    """Has the last word."""

    async def run(self, prompt: Any, context: Mapping[str, Any] | None = None, **kwargs: Any) -> str:
        return f"-- EDITED: {(context or {})['writer']}"


def joining_model(messages: list[Message]) -> str:
    """Stand for a model: join what the named messages say."""
    return "; ".join(str(message.content) for message in messages if message.name)


async def run_newsroom() -> None:
    """Make the agents, run them, and see who is left."""
    staff = [
        Researcher("weather", "sun"),
        Researcher("traffic", "jam"),
        Agent("writer", model=joining_model, instruction="Write one line."),
        Editor("editor"),
    ]
    topology = Topology([agent.name for agent in staff], ["weather -> writer", "traffic -> writer", "writer -> editor"])
    result = await Orchestra.run("the morning news", topology)
    print("success:", result.success)
    print(result.final_response)
    print("researchers, writer and editor are gone:", AgentRegistry.names())


if __name__ == "__main__":
    asyncio.run(run_newsroom())
