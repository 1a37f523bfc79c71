"""Tasks of a lost agent: each goes to exactly one other."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.extensions.monitoring.recovery import MemoryTaskQueue, give_tasks_to_others


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 12), min_size=2), st.integers(0, 12))
def test_each_task_is_given_to_exactly_one_other(counts: dict[str, int], taken: int) -> None:
    queue = MemoryTaskQueue()
    for agent, count in counts.items():
        for number in range(count):
            queue.put(agent, f"{agent}{number}")
    lost, *others = counts
    for _ in range(taken):
        queue.take(lost)

    queue.suspend(lost)
    given_to = give_tasks_to_others(queue, lost, counts)

    assert queue.tasks(lost) == []
    assert sorted(given_to) == sorted(f"{lost}{number}" for number in range(counts[lost]))
    everything = Counter(task for other in others for task in queue.tasks(other))
    assert everything == Counter(f"{agent}{number}" for agent, count in counts.items() for number in range(count))
    lengths = [len(queue.tasks(other)) for other in others]
    assert max(lengths) <= max(min(lengths) + 1, *(counts[other] for other in others))


def test_tasks_that_nobody_can_take_stay_where_they_are() -> None:
    queue = MemoryTaskQueue()
    queue.put("ann", "a")

    with pytest.raises(LookupError, match="nobody can take the 1 tasks of 'ann'"):
        give_tasks_to_others(queue, "ann", ["ann"])

    assert queue.tasks("ann") == ["a"]


def test_what_the_lost_agent_finishes_in_the_end_is_void() -> None:
    queue = MemoryTaskQueue()
    queue.put("ann", "a")
    assert queue.take("ann") == "a"
    queue.suspend("ann")
    give_tasks_to_others(queue, "ann", ["bob"])

    assert queue.done("ann", "a") is False
    assert queue.take("bob") == "a"
    assert queue.done("bob", "a") is True
    assert queue.tasks("bob") == []


def test_a_suspended_agent_gets_nothing() -> None:
    queue = MemoryTaskQueue()
    queue.put("ann", "a")
    queue.suspend("ann")

    assert queue.take("ann") is None
    with pytest.raises(RuntimeError, match="'ann' is suspended"):
        queue.put("ann", "b")
    queue.resume("ann")
    assert queue.take("ann") == "a"
    with pytest.raises(ValueError, match="there is one with this id already"):
        queue.put("bob", "a")


def test_two_that_give_the_same_tasks_at_once_give_each_once(restless_threads: None) -> None:
    queue = MemoryTaskQueue()
    for number in range(100):
        queue.put("ann", str(number))
    queue.suspend("ann")
    given_to: list[dict[str, str]] = []
    start = threading.Barrier(2)

    def give() -> None:
        start.wait()
        given_to.append(give_tasks_to_others(queue, "ann", ["bob", "eve"]))

    threads = [threading.Thread(target=give) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not given_to[0].keys() & given_to[1].keys()
    assert len(queue.tasks("bob")) + len(queue.tasks("eve")) == 100
