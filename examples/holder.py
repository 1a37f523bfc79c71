"""An object that can't be weakly referenced is registered in a holder.

It prints:

    a Sealed can't be weakly referenced
    sealed: done
    []
"""

import asyncio
from typing import Any

from agentreg import AgentRegistry, Orchestra


class Sealed:
    """Stands for an agent of another library: slots, and no weak references."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def work(self) -> str:
        """Do what it does, under its library's own name for it."""
        return f"{self.name}: done"


class Holder:
    """Holds an agent that the registry can't hold, and translates calls."""

    def __init__(self, agent: Sealed) -> None:
        self.agent = agent

    async def run(self, prompt: Any, **kwargs: Any) -> str:
        """Be called as an orchestra calls."""
        return self.agent.work()


def main() -> None:
    """Register the object, in vain; then its holder."""
    sealed = Sealed("sealed")
    try:
        AgentRegistry.register(sealed, "sealed")
    except TypeError as error:
        print(str(error).partition(",")[0])

    holder = Holder(sealed)  # keep this: when it goes, the entry goes
    AgentRegistry.register(holder, "sealed")
    print(asyncio.run(Orchestra.run("go", ["sealed"])).final_response)
    print(AgentRegistry.names())


if __name__ == "__main__":
    main()
