"""What subscribers hear."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Any

import pytest

from agentreg.extensions.resources import (
    Granted,
    Moved,
    Preempted,
    Queued,
    Released,
    RepackProposed,
    Resized,
    ResourceEvent,
)
from tests.extensions.resources.clocks import Clock, manager_of
from tests.watchdog import run_threads


def test_every_change_is_told_in_order() -> None:
    clock = Clock()
    manager = manager_of(10, clock=clock)
    heard: list[ResourceEvent] = []
    manager.subscribe(heard.append)

    manager.allocate("low", 6, "low", owner="red")
    manager.allocate("bob", 8)
    clock.tick(5)
    manager.resize("low", 2, cpu=1)
    manager.allocate("cyd", 10, "critical")
    manager.release("bob")
    manager.allocate("dan", 9, "critical")
    manager.release("dan")

    assert heard == [
        Granted("low", "red", "low", "a", 6, 0.0, 0.0, 1),
        Queued("bob", "bob", "normal", 8, 0.0, 1, 2),
        Resized("low", "a", 6, 2, 1.0, 3),
        Granted("bob", "bob", "normal", "a", 8, 0.0, 5.0, 4),
        Queued("cyd", "cyd", "critical", 10, 0.0, 1, 5),
        Released("bob", "bob", "a", 8, 0.0, "released", 6),
        Preempted("low", "red", "a", 2, 1.0, "cyd", 7),
        Granted("cyd", "cyd", "critical", "a", 10, 0.0, 0.0, 8),
        Queued("dan", "dan", "critical", 9, 0.0, 1, 9),
        Released("dan", "dan", None, 9, 0.0, "cancelled", 10),
    ]


def test_a_repacking_is_told_when_it_is_proposed_and_when_it_is_applied() -> None:
    manager = manager_of(10, 10)
    for name, size in [("ann", 4), ("filler", 6), ("bob", 4)]:
        manager.allocate(name, size)
    manager.release("filler")
    heard: list[Any] = []
    manager.subscribe(heard.append)

    manager.apply(manager.repack())

    assert heard == [RepackProposed(1, 4 / 12, 0.0, 5), Moved("ann", "a", "b", 4, 0.0, 6)]


def test_events_can_not_be_changed() -> None:
    event = Resized("ann", "a", 1, 2, 0.0, 1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        event.memory = 3  # type: ignore[misc]


def test_a_listener_may_use_the_manager_and_hears_of_that_afterwards() -> None:
    manager = manager_of(10)
    heard: list[str] = []

    def listen(event: ResourceEvent) -> None:
        heard.append(f"{type(event).__name__} {getattr(event, 'agent', '')}")
        if isinstance(event, Granted) and event.agent == "ann":
            manager.allocate("bob", 1)
            heard.append("asked")

    manager.subscribe(listen)
    manager.allocate("ann", 1)

    assert heard == ["Granted ann", "asked", "Granted bob"]


def test_listeners_are_called_without_the_lock() -> None:
    manager = manager_of(10)
    others: list[Any] = []

    def listen(event: ResourceEvent) -> None:
        if not others:
            others.append(None)
            others.extend(run_threads(lambda: manager.allocate("bob", 1), timeout=20))

    manager.subscribe(listen)
    manager.allocate("ann", 1)

    assert others[1].granted


def test_a_listener_that_fails_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    manager = manager_of(10)
    heard: list[ResourceEvent] = []

    def fail(event: ResourceEvent) -> None:
        raise RuntimeError("not today")

    manager.subscribe(fail)
    manager.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "agentreg"):
        manager.allocate("ann", 1)

    assert len(heard) == 1
    assert "not today" in caplog.text


def test_a_closed_subscription_hears_nothing_more() -> None:
    manager = manager_of(10)
    heard: list[ResourceEvent] = []
    with manager.subscribe(heard.append) as listening:
        manager.allocate("ann", 1)

    manager.release("ann")
    listening.close()

    assert len(heard) == 1
    with pytest.raises(TypeError, match="listener: expected"):
        manager.subscribe(None)  # type: ignore[arg-type]


def test_events_of_many_threads_come_one_at_a_time_and_in_order() -> None:
    manager = manager_of(50)
    heard: list[int] = []
    inside = threading.Lock()

    def listen(event: ResourceEvent) -> None:
        assert inside.acquire(blocking=False)
        heard.append(event.revision)
        inside.release()

    manager.subscribe(listen)

    def work(number: int) -> None:
        for turn in range(50):
            manager.allocate(f"{number}-{turn}", 1).cancel()

    run_threads(*[lambda number=number: work(number) for number in range(4)])

    assert heard == list(range(1, 401))
