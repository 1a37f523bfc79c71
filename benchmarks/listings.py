"""Listings: ``all()``, ``names()`` and ``count()``."""

from __future__ import annotations

from typing import Any

import peers
from crowd import USUAL, crowd, register_all
from figures import Figures, Point, Row, at_most
from timing import Effort, Timed, compare, quiet

from agentreg import AgentRegistry
from agentreg.testing import isolated_registry

__all__ = ["measure"]

FAR_BELOW = 0.2  # how "far below" all() is read


def measure(effort: Effort) -> Figures:
    """``all()`` at every size; the rows are those of the usual one."""
    figures = Figures()
    for size in effort.sizes:
        with quiet(), isolated_registry():
            agents = crowd(size)
            marsys = peers.emptied(peers.marsys())
            register_all(AgentRegistry, agents)
            register_all(marsys, agents)
            figures.points += _points(marsys, size, effort)
            if size == USUAL:
                figures.rows += _rows(marsys, effort)
    return figures


def _rows(marsys: Any, effort: Effort) -> list[Row]:
    pykka, references = peers.pykka_references(USUAL)
    for reference in references:
        pykka.register(reference)
    works = {
        "agentreg": Timed("t.all()", t=AgentRegistry),
        "marsys": Timed("t.all()", t=marsys),
        "pykka": Timed("t.get_all()", t=pykka),
        "names": Timed("t.names()", t=AgentRegistry),
        "count": Timed("t.count()", t=AgentRegistry),
    }
    compared = compare(works, effort.rounds)
    return [
        Row.of(compared, "all()", "agentreg", "marsys", at_most(0.42)),
        Row.of(compared, "all(); pykka: get_all(), a list that holds them", "agentreg", "pykka"),
        Row.of(compared, "names()", "names", "agentreg", at_most(FAR_BELOW)).beside("all()"),
        Row.of(compared, "count()", "count", "agentreg", at_most(FAR_BELOW)).beside("all()"),
    ]


def _points(marsys: Any, size: int, effort: Effort) -> list[Point]:
    works = {
        "agentreg": Timed("t.all()", per=size, t=AgentRegistry),
        "marsys": Timed("t.all()", per=size, t=marsys),
    }
    rounds = effort.rounds if size <= USUAL else min(5, effort.rounds)
    compared = compare(works, rounds)
    return [Point("all(), per agent", who, size, compared.median(who)) for who in works]
