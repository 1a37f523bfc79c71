"""Look-ups: ``get`` of a name that is there, and of one that isn't."""

from __future__ import annotations

import weakref
from typing import Any

import peers
from crowd import USUAL, Agent, crowd, register_all, shuffled
from figures import Figures, Point, Row, at_most
from timing import Comparison, Effort, Timed, compare, quiet

from agentreg import AgentRegistry
from agentreg.testing import isolated_registry

__all__ = ["measure"]

WEAK = "WeakValueDictionary"


def measure(effort: Effort) -> Figures:
    """At every size; the rows are those of the usual one."""
    figures = Figures()
    for size in effort.sizes:
        with quiet(), isolated_registry():
            agents = crowd(size)
            tables = _tables(agents)
            if size == USUAL:
                figures.rows += _rows(tables, effort)
                figures.rows.append(_against_pykka(effort))
            figures.points += _points(tables, agents, effort)
    return figures


def _tables(agents: dict[str, Agent]) -> dict[str, Any]:
    marsys = peers.emptied(peers.marsys())
    for registry in (AgentRegistry, marsys):
        register_all(registry, agents)
    return {"agentreg": AgentRegistry, "marsys": marsys, WEAK: weakref.WeakValueDictionary(agents), "dict": agents}


def _rows(tables: dict[str, Any], effort: Effort) -> list[Row]:
    hit = _compared(tables, "agent-7", effort)
    miss = _compared(tables, "nobody", effort)
    return [
        Row.of(hit, "get, hit", "agentreg", WEAK, at_most(0.9)),
        Row.of(hit, "get, hit", "agentreg", "marsys"),
        Row.of(hit, "get, hit", "agentreg", "dict"),
        Row.of(miss, "get, miss", "agentreg", WEAK, at_most(0.3)),
        Row.of(miss, "get, miss", "agentreg", "marsys"),
    ]


def _compared(tables: dict[str, Any], name: str, effort: Effort) -> Comparison:
    return compare({who: Timed("t.get(name)", t=table, name=name) for who, table in tables.items()}, effort.rounds)


def _points(tables: dict[str, Any], agents: dict[str, Agent], effort: Effort) -> list[Point]:
    names = shuffled(agents, 1_000)
    works = {
        who: Timed("for name in names: t.get(name)", per=len(names), t=tables[who], names=names)
        for who in ("agentreg", "marsys")
    }
    compared = compare(works, effort.rounds)
    return [Point("get", who, len(agents), compared.median(who)) for who in works]


def _against_pykka(effort: Effort) -> Row:
    registry, references = peers.pykka_references(USUAL)
    for reference in references:
        registry.register(reference)
    urn = references[USUAL // 2].actor_urn
    works = {
        "agentreg": Timed("t.get(name)", t=AgentRegistry, name="agent-7"),
        "pykka": Timed("t.get_by_urn(urn)", t=registry, urn=urn),
    }
    return Row.of(compare(works, effort.rounds), "get, hit; pykka: get_by_urn", "agentreg", "pykka")
