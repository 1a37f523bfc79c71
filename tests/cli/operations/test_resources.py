"""`agentreg resources`, from what a real manager says."""

from __future__ import annotations

from tests.cli.operations.conftest import Call
from tests.cli.operations.small_operations import SmallOperations

GB = 1 << 30
SINCE = "2024-01-01T00:00:00Z"


def fill(service: SmallOperations) -> None:
    share = {"agent_id": "a-1", "agent": "planner", "memory": GB // 2, "priority": "critical", "since": SINCE}
    host = {"name": "here", "memory": {"total": 4 * GB, "allocated": 3 * GB, "free": GB}, "cpu": None}
    service.resources = {
        "budget": {"memory": 4 * GB, "reserved": GB, "cpu": 8.0},
        "utilization": {"memory": 0.75, "cpu": 0.5, "memory_text": "75% (3GB / 4GB)"},
        "hosts": [{**host, "fragmentation": 0.25, "allocations": [share]}],
        "waiting": [{**share, "agent": "scout", "memory": 2 * GB, "priority": "low", "reason": "not enough"}],
        "advice": [{"time": SINCE, "direction": "up", "amount": 2, "reason": "above 80%"}],
        "proposal": {"moves": [{"agent": "planner", "from": "here", "to": "there"}]},
    }


def test_the_budget_the_hosts_who_waits_and_what_is_advised(call: Call, service: SmallOperations) -> None:
    fill(service)

    lines = call("resources").out.splitlines()

    assert lines[:3] == [
        "memory: 75% (3GB / 4GB), 1 GiB reserved",
        "processors: 50% of 8 cores",
        "host here: 1 GiB free of 4 GiB, 25% of it in pieces",
    ]
    assert lines[5].split()[:5] == ["here", "planner", "512", "MiB", "critical"]
    assert lines[8].split()[:4] == ["scout", "2", "GiB", "low"]
    assert lines[8].endswith("not enough")
    assert lines[-2:] == ["advice: scale up by 2: above 80%", "proposal: move planner from here to there"]


def test_an_empty_budget_is_told_in_words(call: Call, service: SmallOperations) -> None:
    done = call("resources")

    assert (done.code, done.out) == (0, "memory: -\n")
    assert done.err.splitlines() == ["no agent was given anything", "nobody waits"]


def test_as_json_it_is_what_the_service_answers(call: Call, service: SmallOperations) -> None:
    fill(service)

    assert call("resources", "--json").document == service.resources
