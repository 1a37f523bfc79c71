"""The crowd: agents to be registered, and what they can do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

__all__ = ["USUAL", "Agent", "crowd", "register_all", "shuffled", "vocabulary"]

USUAL = 4_462  # agents, where nothing else is said
WORDS = 5_000
SYLLABLES = ("ba", "co", "da", "fe", "ga", "hi", "jo", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo")


class Agent:
    """An agent of nobody's framework: an object that can be weakly referenced."""

    name: str


def crowd(count: int) -> dict[str, Agent]:
    """*count* agents by name."""
    return {f"agent-{number}": Agent() for number in range(count)}


def register_all(registry: Any, agents: dict[str, Agent]) -> None:
    """Enter all of them."""
    for name, agent in agents.items():
        registry.register(agent, name)


def shuffled(names: dict[str, Any], count: int) -> list[str]:
    """*count* of the names, in an order that no cache foresees; always the same."""
    chosen = random.Random(1).sample(list(names), min(count, len(names)))
    return chosen * (count // len(chosen))


def vocabulary(count: int) -> list[str]:
    """*count* different phrases of three words, some words common and most of them rare, as in a language."""
    source = random.Random(2)
    words = list(islice(_words(source), WORDS))
    weights = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))
    phrases: dict[str, None] = {}
    while len(phrases) < count:
        phrases[" ".join(source.choices(words, cum_weights=weights, k=3))] = None
    return list(phrases)


def _words(source: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        word = "".join(source.choices(SYLLABLES, k=source.randint(2, 4)))
        if word not in seen:
            seen.add(word)
            yield word
