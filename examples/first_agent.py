"""An agent registers itself, is found by name, and leaves when nobody holds it.

It prints:

    ['translator']
    Bonjour, mes amis
    []
"""

import asyncio
from typing import Any

from agentreg import AgentRegistry, BaseAgent


class Translator(BaseAgent):
    """Says it to the friends."""

    async def run(self, prompt: Any, **kwargs: Any) -> str:
        return f"{prompt}, mes amis"


def main() -> None:
    """Make an agent, use it, let it go."""
    translator = Translator("translator")
    print(AgentRegistry.names())
    print(asyncio.run(AgentRegistry.require("translator").run("Bonjour")))
    del translator
    print(AgentRegistry.names())


if __name__ == "__main__":
    main()
