"""The peers: registries of other packages, each loaded with as little else as possible."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
import weakref
from collections.abc import Coroutine, Iterable
from typing import Any

__all__ = ["answer", "emptied", "kaizen", "kaizen_module", "marsys", "marsys_pool", "pykka_references"]


def marsys() -> Any:
    """marsys' ``AgentRegistry``.

    Its file and those that it imports (the exceptions and the reserved
    names) are loaded from the wheel without the packages around them,
    which would need 25 others.
    """
    _without_init("marsys.agents")
    _without_init("marsys.coordination.topology")
    # imported by its register(): absent, every call would search for it in vain, and be far slower than in marsys
    importlib.import_module("marsys.coordination.topology.core")
    return importlib.import_module("marsys.agents.registry").AgentRegistry


def emptied(registry: Any) -> Any:
    """marsys' registry with new tables: its own way of emptying would leave them as large as they were."""
    registry._agents = weakref.WeakValueDictionary()
    registry._pools = {}
    registry._pool_instance_map = {}
    return registry


def marsys_pool() -> Any:
    """marsys' ``AgentPool``, loaded the same way."""
    _without_init("marsys.agents")
    return importlib.import_module("marsys.agents.agent_pool").AgentPool


def kaizen() -> Any:
    """A new ``AgentRegistry`` of kailash-kaizen's orchestration.

    Without its events: nobody takes them out of their queue here, and the
    thousandth registration would wait for ever.
    """
    module = kaizen_module()
    return module.AgentRegistry(module.AgentRegistryConfig(enable_event_broadcasting=False))


def kaizen_module() -> Any:
    """kailash-kaizen's module of the registry."""
    return importlib.import_module("kaizen.orchestration.registry")


def answer(call: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing: without the price of an event loop."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError(f"{call!r} waits for something")


def pykka_references(count: int) -> tuple[Any, list[Any]]:
    """pykka's ``ActorRegistry``, and references to *count* actors whose threads are not started."""
    pykka = importlib.import_module("pykka")
    actor_class = type("Actor", (pykka.ThreadingActor,), {})
    return pykka.ActorRegistry, [actor_class().actor_ref for _ in range(count)]


def _without_init(package: str) -> None:
    folders: Iterable[str] = ()
    name = ""
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        folders = [os.path.join(folder, part) for folder in folders] or _folders_of(name)
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__path__ = list(folders)
            sys.modules[name] = module


def _folders_of(name: str) -> list[str]:
    if name in sys.modules:
        return list(sys.modules[name].__path__)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{name} is not installed; `make bench` makes an environment that has it")
    return list(spec.submodule_search_locations)
