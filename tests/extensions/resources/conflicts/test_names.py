"""Names with a time in them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.resources.conflicts.names import NameSuffixes


class Clock:
    """A clock that stands still."""

    def __init__(self, now: float = 1_767_322_445.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_suffix_is_the_time_in_utc() -> None:
    assert NameSuffixes(Clock()).make("scout") == "scout-20260102-025405"


def test_a_second_name_within_one_second_has_a_number() -> None:
    suffixes = NameSuffixes(Clock())

    assert [suffixes.make("scout") for _ in range(3)] == [
        "scout-20260102-025405",
        "scout-20260102-025405-2",
        "scout-20260102-025405-3",
    ]


def test_a_name_that_is_taken_is_passed_over() -> None:
    made = NameSuffixes(Clock()).make("scout", {"scout-20260102-025405"}.__contains__)

    assert made == "scout-20260102-025405-2"


def test_a_long_name_is_cut_to_what_a_name_may_have() -> None:
    made = NameSuffixes(Clock()).make("x" * 255)

    assert len(made) == 255
    assert made.endswith("x-20260102-025405")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["a", "b", "x" * 255, "x" * 254 + "y"])), max_size=30))
def test_no_name_is_made_twice_even_when_the_clock_goes_back(history: list[tuple[int, str]]) -> None:
    clock = Clock()
    suffixes = NameSuffixes(clock)

    made = []
    for tick, name in history:
        clock.now += tick
        made.append(suffixes.make(name))

    assert len(set(made)) == len(made)
    assert all(len(name) <= 255 for name in made)


def test_threads_never_get_the_same_name() -> None:
    suffixes = NameSuffixes(Clock())

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(suffixes.make, ["scout"] * 200))

    assert len(set(made)) == 200
