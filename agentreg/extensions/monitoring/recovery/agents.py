"""A new agent under the name of one that does not answer any more."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from agentreg import AgentRegistry
from agentreg.extensions.monitoring.recovery.calling import Caller
from agentreg.extensions.monitoring.recovery.plan import Case

__all__ = ["GracefulRestart"]

_log = logging.getLogger("agentreg")


class GracefulRestart:
    """A step: ask the agent to clean up, take it from the registry, and have a new one made under its name.

    Which agent that is, is decided by identity, when the step begins: one
    that took the name meanwhile is left alone, and the new one is not
    registered in its place. If none can be made, the old one gets its name
    back. What is made is held here, until it is replaced, or the name
    leaves the registry and `forget` is called: the registry itself holds
    agents weakly.

    Not thread-safe: it is called by one `Recovery`.

    Args:
        make: Agent's name -> a new agent; a coroutine function, or a plain one, which runs in a thread. The agent
            may register itself, as a ``BaseAgent`` does.
        patience: Seconds that the old one has for its ``cleanup``; that it fails or hangs stops nothing.

    Attributes:
        agents: Name -> the agent that was made last.
    """

    def __init__(self, make: Callable[[str], Any], patience: float = 5.0) -> None:
        self._make = make
        self._patience = patience
        self._caller = Caller()
        self.agents: dict[str, Any] = {}

    async def __call__(self, case: Case) -> bool:
        """True: there is a new agent. Raises RuntimeError if another has taken the name, or what *make* raises."""
        name = case.agent
        old = AgentRegistry.get(name)
        if old is not None:
            await self._clean_up(name, old)
            AgentRegistry.unregister_if_same(name, old)
        holder = AgentRegistry.get(name)
        if holder is not None:
            raise RuntimeError(f"another agent has taken the name {name!r} meanwhile; it is left alone")
        try:
            new = await self._made(name)
        except BaseException:
            if old is not None and AgentRegistry.get(name) is None:
                AgentRegistry.register(old, name)
            raise
        self.agents[name] = new
        return True

    def forget(self, name: str) -> None:
        """Hold the agent called *name* no longer."""
        self.agents.pop(name, None)

    async def _made(self, name: str) -> Any:
        agent = await self._caller.call((name, "make"), math.inf, self._make, name)
        if AgentRegistry.get(name) is not agent:
            AgentRegistry.register(agent, name)  # raises NameTakenError where another was quicker
        return agent

    async def _clean_up(self, name: str, agent: Any) -> None:
        """Let it put its things in order, if it can; it may be past that."""
        cleanup = getattr(agent, "cleanup", None)
        if not callable(cleanup):
            return
        try:
            await self._caller.call((name, "clean up"), self._patience, cleanup)
        except Exception as error:
            _log.warning("the clean-up of %r failed, which is replaced anyway: %s", name, error)
