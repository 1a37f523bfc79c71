"""Capabilities: who can do something exactly, and who can do something like it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import peers
from crowd import Agent, crowd, register_all, vocabulary
from figures import Figures, Point, Row, at_most
from timing import Effort, Timed, clock, compare, quiet

from agentreg.extensions.capabilities import CapabilityRegistry
from agentreg.testing import isolated_registry

__all__ = ["measure"]

HITS = 50
DISTINCT = 100_000  # capabilities at most
FEWER = 10_000  # a tenth, to see how the vocabulary tells
EXACT = "surveying"  # what HITS agents can do, evenly spread
SAME = 1.25  # how "the same" at all sizes is read
SUBLINEAR = 5.0  # how "sub-linear" is read: the cost at ten times the vocabulary
RARE, COMMON = "rare word", "commonest word"
KAIZEN_ROUNDS = 3


def measure(effort: Effort) -> Figures:
    """Everything at every size, beside kaizen."""
    figures = Figures()
    asked: dict[int, _Asked] = {}
    for size in sorted({*effort.sizes, FEWER}):
        with quiet(), isolated_registry():
            hall = _Hall(size)
            asked[size] = hall.asked(effort.rounds)
            if size == max(effort.sizes):
                same = hall.beside_a_small_one(min(effort.sizes), effort.rounds)
            if size == DISTINCT:
                first = Row(f"the first search over {size:,} capabilities", hall.first_search)
        if size in effort.sizes:
            figures.points += _points(asked[size], size)
    few, many = min(effort.sizes), max(effort.sizes)
    figures.rows = [*_find_rows(asked, (few, DISTINCT, many)), same, *_search_rows(asked), first]
    return figures


@dataclass(frozen=True)
class _Asked:
    """Seconds that each question took."""

    ours: dict[str, float]
    kaizen: dict[str, float]

    def row(self, label: str, question: str, limit: float) -> Row:
        """The line for one of the questions."""
        ours, theirs = self.ours[question], self.kaizen[question]
        return Row(label, ours, "kaizen", theirs, ours / theirs, target=at_most(limit, of="ours"))


def _points(asked: _Asked, size: int) -> list[Point]:
    operations = {"find_by_capability": EXACT, "search, rare word": RARE}
    return [
        Point(operation, who, size, answers[question])
        for operation, question in operations.items()
        for who, answers in {"agentreg": asked.ours, "kaizen": asked.kaizen}.items()
    ]


def _find_rows(asked: dict[int, _Asked], sizes: Iterable[int]) -> list[Row]:
    return [
        asked[size].row(f"find_by_capability, {HITS} hits, {size:,} agents", EXACT, 2e-6) for size in sorted({*sizes})
    ]


def _search_rows(asked: dict[int, _Asked]) -> list[Row]:
    rows = []
    for word, limit in ((RARE, 15e-6), (COMMON, 1e-3)):
        large = [size for size in asked if size >= DISTINCT]
        rows += [asked[size].row(f"search, {HITS} hits, {word}, {size:,} agents", word, limit) for size in large]
        few, many = (asked[size].ours[word] for size in (FEWER, DISTINCT))
        work, peer = f"search, {word}, {DISTINCT:,} capabilities", f"{FEWER:,} of them"
        rows.append(Row(work, many, peer, few, many / few, target=at_most(SUBLINEAR)))
    return rows


class _Hall:
    """A hall full of agents that can do something, here and in kaizen.

    Each has one of `DISTINCT` capabilities at most, and every so many-th
    can do `EXACT` besides.
    """

    def __init__(self, size: int) -> None:
        phrases = vocabulary(min(size, DISTINCT))
        self.agents = crowd(size)
        self.able = {name: [phrases[number % len(phrases)]] for number, name in enumerate(self.agents)}
        for name in list(self.able)[:: max(1, size // HITS)][:HITS]:
            self.able[name].append(EXACT)
        rare, common = _words(self.able)
        self.questions = {EXACT: EXACT, RARE: rare, COMMON: common}
        self.kaizen = _at_kaizen(self.able)
        _declare(self.agents, self.able)
        started = clock()
        CapabilityRegistry.search(rare, HITS)
        self.first_search = clock() - started

    def asked(self, rounds: int) -> _Asked:
        """The exact look-up and two searches, by both; kaizen's are too slow to be asked often."""
        ours = compare({question: _question(question, text) for question, text in self.questions.items()}, rounds)
        theirs = compare({question: self._to_kaizen(text) for question, text in self.questions.items()}, KAIZEN_ROUNDS)
        return _Asked(*({question: c.median(question) for question in self.questions} for c in (ours, theirs)))

    def beside_a_small_one(self, size: int, rounds: int) -> Row:
        """The exact look-up here and in a registry of *size* agents, in turn."""
        find = _question(EXACT, EXACT)

        def in_a_small_one() -> float:
            with isolated_registry():
                small = _Hall(size)  # its agents live as long as it does
                seconds = find()
                del small
                return seconds

        here, there = f"find_by_capability, {len(self.agents):,} agents", f"{size:,} agents"
        return Row.of(compare({here: find, there: in_a_small_one}, rounds), here, here, there, at_most(SAME))

    def _to_kaizen(self, text: str) -> Timed:
        # its search by capability is its only one; it has no limit
        names = {"answer": peers.answer, "t": self.kaizen, "text": text, "hits": HITS}
        return Timed("answer(t.find_agents_by_capability(text))[:hits]", **names)


def _question(question: str, text: str) -> Timed:
    if question == EXACT:
        return Timed("t.find_by_capability(text)", t=CapabilityRegistry, text=text)
    return Timed("t.search(text, limit=hits)", t=CapabilityRegistry, text=text, hits=HITS)


def _words(able: dict[str, list[str]]) -> tuple[str, str]:
    """A word that HITS agents' capabilities have, as nearly as there is one, and the one that most have."""
    counts = Counter(word for texts in able.values() for word in set(texts[0].split()))
    long = [word for word in counts if len(word) >= 8] or list(counts)  # a short one is often part of another
    return min(long, key=lambda word: abs(counts[word] - HITS)), max(counts, key=counts.__getitem__)


def _declare(agents: dict[str, Agent], able: dict[str, list[str]]) -> None:
    register_all(CapabilityRegistry, agents)
    for name, texts in able.items():
        for text in texts:
            CapabilityRegistry.register_capability(name, text)


def _at_kaizen(able: dict[str, list[str]]) -> Any:
    registry = peers.kaizen()
    for name, texts in able.items():
        peers.answer(registry.register_agent(_Card(name, texts), runtime_id="here"))
    return registry


class _Card:
    """An agent as kaizen expects it."""

    def __init__(self, agent_id: str, texts: list[str]) -> None:
        self.agent_id = agent_id
        self._a2a_card = {"capabilities": texts}
