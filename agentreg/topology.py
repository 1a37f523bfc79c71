"""Topology: which agents take part in a run, and who hands on to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from agentreg.errors import TopologyError

__all__ = ["Topology"]


@dataclass(frozen=True)
class Topology:
    """Names of agents or pools, and arrows between them, without a cycle.

    Attributes:
        nodes: The names.
        edges: (from, to): *to* gets the result of *from*. Texts such as
            ``"planner -> writer"`` (also ``"a -> b -> c"``) are read too.

    Raises:
        TopologyError: an arrow is malformed or leads to a name that is no
            node, a node is named twice, there is none, or there is a cycle.

    Example:
        >>> topology = Topology(["planner", "writer"], ["planner -> writer"])
        >>> topology.edges
        (('planner', 'writer'),)
        >>> topology.predecessors("writer")
        ('planner',)
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]

    def __init__(self, nodes: Iterable[str], edges: Iterable[Any] = ()) -> None:
        object.__setattr__(self, "nodes", _nodes(nodes))
        arrows = dict.fromkeys(pair for edge in _several(edges, "edges") for pair in _arrow(edge))
        object.__setattr__(self, "edges", tuple(arrows))
        self._check()

    @classmethod
    def of(cls, topology: Topology | Mapping[str, Any] | Sequence[str]) -> Topology:
        """A topology from any of its forms.

        A `Topology`; a dict with ``agents`` (or ``nodes``) and ``flows`` (or
        ``edges``); or a list of names, which is a pipeline.
        """
        if isinstance(topology, Topology):
            return topology
        if isinstance(topology, Mapping):
            return cls._of_mapping(topology)
        names = _nodes(topology)
        return cls(names, pairwise(names))

    @classmethod
    def _of_mapping(cls, topology: Mapping[str, Any]) -> Topology:
        unknown = [key for key in topology if key not in ("agents", "nodes", "flows", "edges")]
        if unknown:
            raise TopologyError(f"topology: unknown key {unknown[0]!r}; expected agents (or nodes), flows (or edges)")
        for name, other in (("agents", "nodes"), ("flows", "edges")):
            if name in topology and other in topology:
                raise TopologyError(f"topology: {name!r} and {other!r} are two words for one thing; give one of them")
        nodes = topology.get("agents", topology.get("nodes"))
        if nodes is None:
            raise TopologyError("topology: no 'agents' (or 'nodes') is given; list the names that take part")
        return cls(nodes, topology.get("flows", topology.get("edges", ())))

    def predecessors(self, node: str) -> tuple[str, ...]:
        """Whose results *node* gets, in the order of the arrows."""
        return tuple(start for start, end in self.edges if end == node)

    def sinks(self) -> tuple[str, ...]:
        """The nodes that hand on to nobody, in order."""
        starts = {start for start, _ in self.edges}
        return tuple(node for node in self.nodes if node not in starts)

    def sorter(self) -> TopologicalSorter[str]:
        """A sorter that gives a node once all before it are done; prepared."""
        sorter: TopologicalSorter[str] = TopologicalSorter({node: self.predecessors(node) for node in self.nodes})
        sorter.prepare()
        return sorter

    def _check(self) -> None:
        known = set(self.nodes)
        for start, end in self.edges:
            for name in (start, end):
                if name not in known:
                    raise TopologyError(f"topology: the arrow {start} -> {end} names {name!r}, which is no node")
        try:
            self.sorter()
        except CycleError as error:
            cycle = " -> ".join(error.args[1])
            raise TopologyError(f"topology: it must not have a cycle, and has {cycle}") from None


def _several(values: Iterable[Any], what: str) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TopologyError(f"topology: {what} must be a list, got {values!r}")
    return tuple(values)


def _nodes(names: Iterable[str]) -> tuple[str, ...]:
    nodes = _several(names, "nodes")
    if not nodes:
        raise TopologyError("topology: it has no node; name at least one agent or pool")
    for node in nodes:
        if not isinstance(node, str) or not node:
            raise TopologyError(f"topology: a node must be a name, got {node!r}")
    twice = next((node for index, node in enumerate(nodes) if node in nodes[:index]), None)
    if twice is not None:
        raise TopologyError(f"topology: the node {twice!r} is named twice")
    return nodes


def _arrow(edge: Any) -> list[tuple[str, str]]:
    if isinstance(edge, str):
        names = [name.strip() for name in edge.split("->")]
    elif isinstance(edge, Sequence) and all(isinstance(name, str) for name in edge):
        names = list(edge)
    else:
        names = []
    if len(names) < 2 or not all(names) or (not isinstance(edge, str) and len(names) != 2):
        raise TopologyError(f"topology: malformed arrow {edge!r}; write 'A -> B' or ('A', 'B')")
    return list(pairwise(names))
