"""Where agents are entered and removed: the protocol, and the registry of live agents."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from agentreg import AgentRegistry, NameTakenError
from agentreg.extensions.resources.conflicts import AgentRequest

__all__ = ["Entering", "LiveAgents", "LiveToken"]


class Entering(Protocol):
    """Where agents are entered and removed: a registry or a directory. Every method may be a coroutine function.

    A token stands for one registration and no other of the same name; two
    tokens of one registration are equal.
    """

    def enter(self, request: AgentRequest) -> Any:
        """Enter the agent, and return the token of its registration. Nothing is entered if it raises.

        Raises:
            NameTakenError: somebody else has the name.
        """

    def remove(self, token: Any) -> Any:
        """Remove this very registration; false if it is gone or has a successor, else what `restore` needs."""

    def find(self, name: str) -> Any:
        """The token of whoever has *name* now, or None."""

    def restore(self, token: Any, removed: Any) -> Any:
        """Enter again what was removed, if the name is still free, and return its token."""


class LiveToken:
    """One registration of a live agent; it does not keep the agent alive. Equal by the name and the very agent.

    Attributes:
        name: The agent's name in the registry.
        entered: Whether the agent was entered with it; False where it had been there before.
    """

    __slots__ = ("_agent", "entered", "name")

    def __init__(self, name: str, agent: object, entered: bool = True) -> None:
        self.name, self.entered = name, entered
        self._agent = weakref.ref(agent)

    @property
    def agent(self) -> Any:
        """The agent, or None if it was collected."""
        return self._agent()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LiveToken) or self.name != other.name:
            return False
        return self._agent is other._agent or (self.agent is not None and self.agent is other.agent)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<LiveToken of {self.name!r}>"


class LiveAgents:
    """The registry of live agents, `AgentRegistry`, as a pipeline enters agents in it.

    Entered is the ``agent`` of the request, which its owner holds, as
    always; or, where a request has none, what *make* makes of the request,
    which is held here until it is removed.

    Thread-safe: yes, as the registry is.

    Example:
        >>> class Scout: ...
        >>> scout, agents = Scout(), LiveAgents()
        >>> token = agents.enter(AgentRequest("scout", agent=scout))
        >>> AgentRegistry.get("scout") is scout, agents.find("scout") == token
        (True, True)
        >>> removed = agents.remove(token)
        >>> AgentRegistry.get("scout") is None
        True
    """

    def __init__(self, make: Callable[[AgentRequest], object] | None = None) -> None:
        self._make = make
        self._made: dict[LiveToken, object] = {}

    def enter(self, request: AgentRequest) -> LiveToken:
        """Register the agent under the request's name; one that has it already stays as it is.

        Raises:
            NameTakenError: another agent, or a pool, has the name.
            TypeError: the request has no agent, and nothing makes one.
        """
        before = AgentRegistry.get(request.name)
        agent = self._agent(request)
        AgentRegistry.register(agent, request.name)
        token = LiveToken(request.name, agent, before is not agent)
        if request.agent is None:
            self._made[token] = agent
        return token

    def remove(self, token: LiveToken) -> Any:
        """Remove this very agent from its name, and return what `restore` needs; None if it is not there any more.

        The token of an `enter` that found the agent there already removes
        nothing: the agent stays as it was.
        """
        agent = token.agent
        if agent is None or not token.entered or not AgentRegistry.unregister_if_same(token.name, agent):
            return None
        return agent, self._made.pop(token, None) is not None

    def find(self, name: str) -> LiveToken | None:
        """The token of the agent that has *name* now; a pool has none.

        >>> LiveAgents().find("nobody")
        """
        agent = AgentRegistry.get(name)
        return None if agent is None else LiveToken(name, agent)

    def restore(self, token: LiveToken, removed: Any) -> LiveToken:
        """Register what was removed again under its name.

        Raises:
            NameTakenError: somebody else has the name by now.
        """
        agent, made = removed
        AgentRegistry.register(agent, token.name)
        again = LiveToken(token.name, agent)
        if made:
            self._made[again] = agent
        return again

    def _agent(self, request: AgentRequest) -> object:
        if request.agent is not None:
            return request.agent
        if self._make is None:
            raise TypeError(f"{request.name!r}: expected a request with agent=, or LiveAgents(make=...), got neither")
        if AgentRegistry.get(request.name) is not None:
            raise NameTakenError(request.name, repr(AgentRegistry.get(request.name)))
        return self._make(request)
