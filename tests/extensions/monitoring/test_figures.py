"""The registry in figures: of what records say, and of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.monitoring import MetricsStore, Summary, statistics
from tests.extensions.monitoring.hands import Hands


@dataclass
class Card:
    """A record, as small as can be."""

    agent_id: str
    work_state: str = "active"
    status: str = "active"
    active_tasks: int = 0
    max_concurrency: int = 10
    resources: Mapping[str, Any] = field(default_factory=dict)
    performance: Mapping[str, Any] = field(default_factory=dict)
    completed_tasks: int = 0
    failed_tasks: int = 0
    avg_execution_time: float = 0.0

    @property
    def name(self) -> str:
        return self.agent_id


def test_agents_are_counted_by_what_they_are_doing() -> None:
    cards = [
        Card("a"),
        Card("b", "idle"),
        Card("c", "maintenance"),
        Card("d", status="unhealthy"),
        Card("e", status="offline"),
    ]

    found = statistics(cards)

    assert found.total == 5
    assert found.states == {"active": 1, "idle": 1, "error": 1, "maintenance": 1, "offline": 1}


def test_a_record_of_the_directory_will_do() -> None:
    assert statistics([AgentMetadata("planner", "worker")]).states["active"] == 1


def test_memory_is_that_of_the_agents_that_say_both() -> None:
    cards = [
        Card("a", resources={"memory_used": "256mb", "memory_allocated": "1gb"}),
        Card("b", resources={"memory_used": 256 << 20, "memory_allocated": "1024MiB"}),
        Card("c", resources={"memory_used": "a lot", "memory_allocated": "8gb"}),
    ]

    found = statistics(cards)

    assert (found.memory, found.memory_used, found.memory_allocated) == (0.25, 512 << 20, 2 << 30)
    assert found.to_dict()["resource_utilization"]["memory"] == "25% (0.5GB / 2GB)"


@pytest.mark.parametrize(
    ("said", "rate"), [("98.2%", 0.982), (0.982, 0.982), (98.2, 0.982), ("often", None), (True, None)]
)
def test_rates_are_said_in_several_ways(said: Any, rate: float | None) -> None:
    assert statistics([Card("a", performance={"uptime": said})]).uptime == pytest.approx(rate)


def test_what_was_measured_counts_more_than_what_was_said() -> None:
    hands = Hands()
    store = MetricsStore(clock=hands)
    store.record_many("cpu_utilization", {"a": 0.2, "b": 0.4, "stranger": 1.0})
    store.record_many("task_queue_length", {"a": 3, "b": 4})
    store.record_summaries("response_time", {"a": Summary.of([1.0, 2.0]), "b": Summary.of([6.0])})
    store.record_summaries("error_rate", {"a": Summary.of([0.0, 0.0, 0.0, 1.0])})
    cards = [Card("a", active_tasks=9, performance={"avg_response_time": "9s"}), Card("b", active_tasks=9)]

    found = statistics(cards, store, clock=hands)

    assert found.cpu == pytest.approx(0.3)
    assert (found.queued, found.response_time, found.success_rate) == (7, 3.0, 0.75)


def test_the_best_are_named_for_what_they_are_best_in() -> None:
    cards = [
        Card("steady", performance={"uptime": "99.8%", "avg_response_time": "2s"}),
        Card("quick", performance={"uptime": "90%", "avg_response_time": "800ms"}),
        Card("right", performance={"uptime": "80%", "task_success_rate": "99.9%"}),
    ]

    best = statistics(cards).to_dict()["top_performers"]

    assert best == [{"steady": "99.8% uptime"}, {"quick": "0.8s avg response"}, {"right": "99.9% success rate"}]


def test_it_is_text_with_a_line_for_each_figure() -> None:
    text = str(statistics([Card("a", active_tasks=2, completed_tasks=3, failed_tasks=1, avg_execution_time=1.4)]))

    assert "  total: 1\n  active: 1\n" in text
    assert "  cpu: 20% average\n  task_queue: 2 pending\n" in text
    assert "  avg_response_time: 1.4s\n  success_rate: 75.0%\n  uptime: -\n" in text
    assert text.endswith("top_performers:\n  - a: 1.4s avg response\n  - a: 75.0% success rate")


def test_of_nobody_nothing_is_known() -> None:
    found = statistics([])

    assert set(found.states.values()) == {0}
    assert (found.memory, found.cpu, found.queued, found.response_time, found.uptime) == (None, None, 0, None, None)
    assert found.to_dict()["top_performers"] == []


def test_the_function_has_its_name_for_itself() -> None:
    # a module of the same name would hide it from tools that read the source, the reference among them
    assert find_spec("agentreg.extensions.monitoring.statistics") is None
