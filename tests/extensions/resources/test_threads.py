"""However many threads ask at once: nothing is given twice, nothing is lost, nobody hangs."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentreg.extensions.resources import Allocation, InsufficientResourcesError, RequestTooLargeError, turns
from agentreg.extensions.resources.requests import PRIORITIES
from tests.extensions.resources.clocks import manager_of
from tests.watchdog import run_threads

SIZES = (16, 10, 10)


@pytest.mark.parametrize("seed", range(3))
def test_threads_never_have_more_together_than_there_is(seed: int, restless_threads: None) -> None:
    manager = manager_of(*SIZES, registry=None)
    given, most = {"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 0, "c": 0}
    counting = threading.Lock()

    def count(host: str, size: int) -> None:
        with counting:
            given[host] += size
            most[host] = max(most[host], given[host])

    def work(number: int) -> None:
        choice = random.Random(seed * 100 + number)
        for turn in range(60):
            # low ones may be preempted at any moment: they can't be counted from outside
            size = choice.randint(1, 9)
            allocation = manager.allocate(f"{number}-{turn}", size, choice.choice(PRIORITIES[:3]))
            if choice.random() < 0.2 and allocation.cancel():
                continue
            if allocation.state == "waiting":
                allocation.wait(30)
            host = str(allocation.host)
            count(host, size)
            count(host, -size)
            assert allocation.cancel()

    run_threads(*[lambda number=number: work(number) for number in range(6)])

    use = manager.utilization()
    assert (use.total.memory, use.total.allocations, use.waiting) == (0, 0, 0)
    assert all(most[name] <= size for name, size in zip("abc", SIZES, strict=True))
    assert any(most.values())


def test_every_moment_adds_up_while_threads_do_everything(restless_threads: None) -> None:
    manager = manager_of(*SIZES, registry=None)
    over = threading.Event()
    moments = []

    def look() -> None:
        while not over.is_set():
            use = manager.utilization()
            moments.append(use)
            assert sum(host.memory for host in use.hosts.values()) == use.total.memory <= sum(SIZES)
            assert all(0 <= host.memory <= host.memory_total for host in use.hosts.values())

    def work(number: int) -> None:
        choice, mine = random.Random(number), []
        for turn in range(80):
            mine.append(manager.allocate(f"{number}-{turn}", choice.randint(0, 9), choice.choice(PRIORITIES)))
            step = choice.random()
            if step < 0.2:
                _resize(mine[-1], choice.randint(0, 9))
            elif step < 0.8:
                mine.pop(choice.randrange(len(mine))).cancel()
        for allocation in mine:
            allocation.cancel()

    def _resize(allocation: Allocation, size: int) -> None:
        with contextlib.suppress(InsufficientResourcesError, RequestTooLargeError, LookupError):
            manager.resize(allocation, size)

    def work_all() -> None:
        try:
            run_threads(*[lambda number=number: work(number) for number in range(4)])
        finally:
            over.set()

    run_threads(look, work_all)

    use = manager.utilization()
    assert moments
    assert (use.total.memory, use.total.allocations, use.waiting) == (0, 0, 0)


def test_a_release_is_put_off_while_another_thread_holds_the_lock_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = manager_of(10)
    manager.allocate("ann", 8)
    monkeypatch.setattr(turns, "PATIENCE", 0.01)

    calls: list[Callable[[], Any]] = [lambda: manager.release("ann"), lambda: manager.allocate("bob", 10)]

    with turns.lock:  # as if it waited for something that the others hold
        released, bob = run_threads(*calls, timeout=30)
        assert (released, bob.state) == (True, "waiting")

    assert manager.utilization().total.memory == 10
    assert bob.granted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_use_the_manager_while_the_parent_s_threads_do() -> None:
    manager = manager_of(10)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            manager.allocate("ann", 1).cancel()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        codes = []
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if manager.allocate("bob", 1).granted else 1)
            codes.append(os.waitpid(child, 0)[1])
    finally:
        stop.set()
        thread.join(30)

    assert codes == [0] * 10
