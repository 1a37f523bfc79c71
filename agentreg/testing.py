"""For the tests of programs that use agentreg."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentreg.registry import AgentRegistry, isolate, restore

__all__ = ["isolated_registry"]


@contextmanager
def isolated_registry() -> Iterator[type[AgentRegistry]]:
    """An empty registry for a block, given as ``AgentRegistry``; afterwards the one before is back.

    Agents, pools, the counter, ``reserved_names``, listeners and the state
    of extensions are put aside for the whole process, every thread
    included, and come back untouched. Blocks may be nested, and overlap in
    several threads: when all have ended, the first registry is back.

    >>> with isolated_registry() as registry:
    ...     registry.names()
    []
    """
    table = isolate()
    try:
        yield AgentRegistry
    finally:
        restore(table)
