"""Objects that can't be weakly referenced, as an agent of any framework might be: they need a holder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from agentreg import AgentRegistry


class Slotted:
    __slots__ = ("greeting",)

    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting

    def run(self) -> str:
        return self.greeting


@dataclass(frozen=True, slots=True)
class SlottedDataclass:
    greeting: str = "hello"

    def run(self) -> str:
        return self.greeting


class Tupled(NamedTuple):
    greeting: str = "hello"

    def run(self) -> str:
        return self.greeting


class Holder:
    def __init__(self, agent: Any) -> None:
        self.agent = agent


KINDS = [Slotted, SlottedDataclass, Tupled]


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_cannot_be_weakly_referenced_is_refused_with_the_way_out(kind: Callable[[], Any]) -> None:
    agent = kind()

    with pytest.raises(TypeError, match=r"can't be weakly referenced.*holder"):
        AgentRegistry.register(agent, "the researcher")

    assert AgentRegistry.names() == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_and_runs_in_a_holder_of_one_line(kind: Callable[[], Any]) -> None:
    holder = Holder(kind())

    AgentRegistry.register(holder, "the researcher")

    assert AgentRegistry.require("the researcher").agent.run() == "hello"


@pytest.mark.parametrize("kind", KINDS)
def test_it_leaves_when_its_holder_is_dropped_though_it_is_kept_itself(
    kind: Callable[[], Any], leaves: Callable[..., bool]
) -> None:
    agent = kind()

    assert leaves(lambda: Holder(agent), lambda holder: holder.agent.run())
