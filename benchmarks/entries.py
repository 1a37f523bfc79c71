"""Entries: registering and unregistering an agent, with and without listeners, and dropping one that nobody did."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import peers
from crowd import USUAL, Agent, crowd, register_all
from figures import Figures, Point, Row, at_most
from timing import Effort, Timed, clock, compare, quiet

from agentreg import AgentRegistry
from agentreg.testing import isolated_registry

__all__ = ["measure"]

PAIR = "t.register(agent, 'one-more'); t.unregister_if_same('one-more', agent)"
PASSING = 4_000  # agents that are dropped in one measurement


def measure(effort: Effort) -> Figures:
    """The pair at every size; the rest at the usual one."""
    figures = Figures()
    for size in effort.sizes:
        with quiet(), isolated_registry():
            agents = crowd(size)
            marsys = peers.emptied(peers.marsys())
            register_all(AgentRegistry, agents)
            register_all(marsys, agents)
            figures.points += _points(marsys, size, effort)
            if size == USUAL:
                figures.rows += [*_pairs(marsys, agents, effort), *_told(effort), *_drops(marsys, effort)]
    return figures


def _pairs(marsys: Any, agents: dict[str, Agent], effort: Effort) -> list[Row]:
    agent = Agent()
    pykka, references = peers.pykka_references(USUAL + 1)
    for reference in references[1:]:
        pykka.register(reference)
    works = {
        "agentreg": Timed(PAIR, t=AgentRegistry, agent=agent),
        "marsys": Timed(PAIR, t=marsys, agent=agent),
        "pykka": Timed("t.register(ref); t.unregister(ref)", t=pykka, ref=references[0]),
        "WeakValueDictionary": Timed(
            "t['one-more'] = agent; del t['one-more']", t=weakref.WeakValueDictionary(agents), agent=agent
        ),
    }
    compared = compare(works, effort.rounds)
    work = "register + unregister_if_same"
    return [
        Row.of(compared, work, "agentreg", "marsys", at_most(0.28)),
        Row.of(compared, work, "agentreg", "pykka"),
        Row.of(compared, f"{work}; its: set + del", "agentreg", "WeakValueDictionary"),
    ]


def _points(marsys: Any, size: int, effort: Effort) -> list[Point]:
    agent = Agent()
    works = {
        "agentreg": Timed(PAIR, t=AgentRegistry, agent=agent),
        "marsys": Timed(PAIR, t=marsys, agent=agent),
    }
    compared = compare(works, effort.rounds)
    return [Point("register + unregister", who, size, compared.median(who)) for who in works]


# -- listeners --------------------------------------------------------------


def _told(effort: Effort) -> list[Row]:
    pair = Timed(PAIR, t=AgentRegistry, agent=Agent())
    told = {f"{count} listener{'s' * (count > 1)}": _with_listeners(count, pair) for count in (1, 3)}
    compared = compare({"no listener": pair, **told}, effort.rounds)
    return [Row.of(compared, f"register + unregister_if_same, {who}", who, "no listener") for who in told]


def _with_listeners(count: int, timed: Timed) -> Callable[[], float]:
    def measured() -> float:
        with _listening(count):
            return timed()

    return measured


@contextmanager
def _listening(count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(AgentRegistry.subscribe(lambda event: None))
        yield


# -- dropped ----------------------------------------------------------------


def _drops(marsys: Any, effort: Effort) -> list[Row]:
    nobody = "a bare drop"
    drops = {"agentreg": _Drop(AgentRegistry), "marsys": _Drop(marsys), nobody: _Drop(None)}
    alone = compare(drops, effort.rounds)
    swept = compare({who: _Drop(drop.registry, swept=True) for who, drop in drops.items()}, effort.rounds)
    lives = compare({"agentreg": _Life(AgentRegistry), "marsys": _Life(marsys)}, effort.rounds)
    drop, sweeping = "drop of an agent nobody unregistered", "drop, with what the next operation sweeps"
    return [
        Row.of(alone, drop, "agentreg", "marsys", at_most(0.35)),
        Row.of(alone, drop, "agentreg", nobody),
        Row.of(swept, sweeping, "agentreg", "marsys", at_most(0.35)),
        Row.of(swept, sweeping, "agentreg", nobody),
        Row.of(lives, "a short life: made, registered, dropped, swept", "agentreg", "marsys"),
    ]


class _Drop:
    """Agents dropped by their last owner; registered, unless there is no *registry*.

    With *swept*, the next operation counts too.
    """

    def __init__(self, registry: Any, swept: bool = False) -> None:
        self.registry = registry
        self._swept = swept

    def __call__(self) -> float:
        agents = [Agent() for _ in range(PASSING)]
        if self.registry is not None:
            for number in range(PASSING):
                self.registry.register(agents[number], f"passing-{number}")
        started = clock()
        agents.clear()
        if self._swept and self.registry is not None:
            len(self.registry._agents)
        seconds = clock() - started
        if self.registry is not None:
            len(self.registry._agents)  # the next measurement finds everything swept
        return seconds / PASSING


class _Life:
    """Agents that are made, registered and dropped, one after the other."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._names = [f"passing-{number}" for number in range(PASSING)]

    def __call__(self) -> float:
        started = clock()
        for name in self._names:
            self._registry.register(Agent(), name)
        len(self._registry._agents)
        return (clock() - started) / PASSING
