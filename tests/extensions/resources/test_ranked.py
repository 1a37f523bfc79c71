"""The sorted structure beneath hosts and lines, against a plain sorted list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.resources import ranked
from agentreg.extensions.resources.ranked import LOWEST, Rank, Ranked

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(-3, 3)), max_size=200)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(0, 40), st.integers(-3, 4))
def test_it_finds_what_a_scan_of_a_sorted_list_finds(
    steps: list[tuple[bool, int, int]], size: int, weight: int
) -> None:
    things: Ranked[Rank] = Ranked()
    plain: dict[Rank, int] = {}
    load, ranked.LOAD = ranked.LOAD, 3
    try:
        for number, (leave, key, heavy) in enumerate(steps):
            if leave and plain:
                gone = sorted(plain)[key % len(plain)]
                things.remove(gone)
                del plain[gone]
            else:
                plain[key, number] = heavy
                things.add((key, number), heavy, (key, number))
    finally:
        ranked.LOAD = load

    in_order = sorted(plain)
    assert len(things) == len(in_order)
    assert list(things.walk()) == in_order
    assert list(things.backwards()) == in_order[::-1]
    assert things.heaviest() == max(plain.values(), default=float("-inf"))
    heavy_ones = [rank for rank in in_order if plain[rank] >= weight]
    assert list(things.walk((size,), weight)) == [rank for rank in heavy_ones if rank >= (size,)]
    for rank in (LOWEST, (size,), *in_order[:3]):
        behind = [other for other in heavy_ones if rank is LOWEST or other > rank]
        assert things.after(rank, weight) == (behind[0] if behind else None)


def test_a_great_many_come_and_go_in_any_order() -> None:
    things: Ranked[int] = Ranked()
    numbers = [(number * 7919) % 10_007 for number in range(10_007)]

    for number in numbers:
        things.add((number,), 0.0, number)
    assert list(things.walk()) == sorted(numbers)
    for number in reversed(numbers[:5000]):
        things.remove((number,))

    assert list(things.walk()) == sorted(numbers[5000:])
    assert things.first((5000,)) == min(number for number in numbers[5000:] if number >= 5000)
