"""Advice to scale: `ScalingAdvisor`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from agentreg.extensions.resources import ResourceEvent, ResourceManager, ScalingAdvice, ScalingAdvisor
from tests.extensions.resources.clocks import Clock, manager_of


def used(manager: ResourceManager, size: int) -> None:
    """Have one agent use *size*."""
    manager.release("load")
    manager.allocate("load", size)


class Setting:
    """One host of 100 and an advisor; `at` gives the direction that is advised at a load."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.manager = manager_of(100, clock=self.clock)
        self.advisor = ScalingAdvisor(self.manager, **options)

    def at(self, load: int, seconds: float = 10) -> str | None:
        self.clock.tick(seconds)
        used(self.manager, load)
        advice = self.advisor.check()
        return None if advice is None else advice.direction


@pytest.mark.parametrize(
    ("load", "direction"), [(0, "down"), (39, "down"), (40, None), (60, None), (80, None), (81, "up"), (100, "up")]
)
def test_above_80_percent_up_and_below_40_down(load: int, direction: str | None) -> None:
    assert Setting().at(load) == direction


def test_after_an_advice_there_is_silence_for_five_minutes_in_both_directions() -> None:
    setting = Setting()

    assert setting.at(90) == "up"
    assert [setting.at(90, 100), setting.at(10, 100), setting.at(90, 99)] == [None, None, None]
    assert setting.at(90, 1) == "up"


def test_an_advice_can_be_given_once_until_the_load_has_come_back() -> None:
    setting = Setting(repeat=False, cooldown=60)

    assert [setting.at(load, 100) for load in (90, 90, 79, 90, 75, 90)] == ["up", None, None, None, None, "up"]


def test_several_checks_in_a_row_must_be_beyond() -> None:
    setting = Setting(samples=3)

    assert [setting.at(load) for load in (90, 90, 50, 90, 90, 90)] == [None, None, None, None, None, "up"]


def test_a_load_that_swings_around_the_limit_counts_neither_for_nor_against() -> None:
    setting = Setting(samples=3)

    assert [setting.at(load) for load in (81, 79, 81, 79, 81)] == [None, None, None, None, "up"]


def test_a_load_must_come_back_by_the_hysteresis() -> None:
    setting = Setting(samples=2, hysteresis=0.1)

    assert [setting.at(load) for load in (81, 71, 81)] == [None, None, "up"]
    assert [Setting(samples=2, hysteresis=0.1).at(load) for load in (81, 70, 81)] == [None, None, None]


def test_it_says_how_much_brings_the_load_to_the_middle() -> None:
    manager = manager_of(100, 100)
    for name in ("ann", "bob"):
        manager.allocate(name, 90)
    manager.allocate("cyd", 60)

    advice = ScalingAdvisor(manager).check()

    assert advice is not None
    assert (advice.resource, advice.utilization, advice.memory, advice.hosts) == ("memory", 0.9, 200, 2)
    assert advice.reason == "90% of the memory is allocated, above 80%: add 200B"


def test_cores_may_be_scarcer_than_memory() -> None:
    manager = ResourceManager(hosts={"a": {"memory": 100, "cpu": 10}}, clock=Clock())
    manager.allocate("ann", 10, cpu=9)

    advice = ScalingAdvisor(manager).check()

    assert advice is not None
    assert (advice.direction, advice.resource, advice.cpu, advice.memory, advice.hosts) == ("up", "cpu", 5.0, 0, 1)


def test_it_never_advises_to_take_the_last_host_away() -> None:
    advice = ScalingAdvisor(manager_of(100, 100, 100)).check()

    assert advice is not None
    assert (advice.direction, advice.memory, advice.hosts) == ("down", 300, 2)


def test_nothing_is_taken_away_while_somebody_waits() -> None:
    manager = manager_of(10, 100)
    manager.allocate("ann", 5, host="a")
    manager.allocate("bob", 6, host="a")

    assert ScalingAdvisor(manager).check() is None


def test_the_handler_and_the_subscribers_hear_of_it() -> None:
    handled: list[ScalingAdvice] = []
    heard: list[ResourceEvent] = []
    setting = Setting(handler=handled.append)
    setting.manager.subscribe(heard.append)

    assert setting.at(90) == "up"

    assert [each for each in heard if isinstance(each, ScalingAdvice)] != []
    assert len(handled) == 1
    assert handled[0].direction == "up"


def test_a_handler_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(advice: ScalingAdvice) -> None:
        raise RuntimeError("not today")

    with caplog.at_level(logging.ERROR, "agentreg"):
        assert Setting(handler=fail).at(90) == "up"

    assert "not today" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"up": 1.5},
        {"down": -0.1},
        {"up": 0.4, "down": 0.8},
        {"up": 0.5, "down": 0.45},
        {"cooldown": -1},
        {"cooldown": float("nan")},
        {"samples": 0},
        {"hysteresis": 2},
    ],
)
def test_limits_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ScalingAdvisor(manager_of(10), **options)
