"""Agents made from definitions, and told when those change."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from agentreg import Agent
from agentreg.extensions.definitions.definition import AgentDefinition

__all__ = ["Living", "SpawnedAgent", "origin"]

_log = logging.getLogger("agentreg")


class SpawnedAgent(Agent):
    """An `Agent` made by `Catalog.spawn`: the body of its definition is its instruction.

    Attributes:
        definition: What it was made from, or what that has become.
        cloned_from: The name of the definition.
        template_source: The name of the template it goes back to, or None.
    """

    def __init__(self, name: str | None = None, *, definition: AgentDefinition, **kwargs: Any) -> None:
        self.definition = definition
        self.cloned_from = definition.name
        self.template_source: str | None = origin(definition)["template_source"]
        super().__init__(
            name,
            description=definition.description,
            instruction=definition.body,
            tools=definition.tools or (),
            **kwargs,
        )

    def on_definition_changed(self, definition: AgentDefinition) -> None:
        """Take over the text and the tools of *definition*, from the next run on; a run under way is not disturbed.

        >>> scout = SpawnedAgent("scout", definition=AgentDefinition("scout", "Looks around"))
        >>> scout.on_definition_changed(AgentDefinition("scout", "Looks around", body="Look twice."))
        >>> scout.instruction
        'Look twice.'
        """
        self.definition = definition
        self.description = definition.description
        self.instruction = definition.body
        self.tools = definition.tools or ()


def origin(definition: AgentDefinition) -> dict[str, str | None]:
    """Where a copy of *definition* comes from, as it is kept in the copy's metadata."""
    template = definition.name if definition.kind == "template" else definition.metadata.get("template_source")
    return {"cloned_from": definition.name, "template_source": template}


class Living:
    """The agents that were spawned and are still held by somebody. Thread-safe: yes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._agents: dict[tuple[str, str], list[Callable[[], Any]]] = {}

    def add(self, definition: AgentDefinition, agent: Any) -> None:
        """Tell *agent*, as long as it lives, when *definition* changes."""
        with self._lock:
            key = (definition.kind, definition.name)
            alive = [ref for ref in self._agents.get(key, ()) if ref() is not None]
            self._agents[key] = [*alive, weakref.ref(agent)]

    def tell(self, definition: AgentDefinition) -> None:
        """Call ``on_definition_changed(definition)`` of everyone made from it that has such a method."""
        for ref in self._agents.get((definition.kind, definition.name), ()):
            listener = getattr(ref(), "on_definition_changed", None)
            if callable(listener):
                try:
                    listener(definition)
                except Exception:
                    _log.exception("an agent made from %r failed to take over its change", definition.name)
