"""What was packed comes back: samples to the bit, roll-ups to the eighth digit; damage is noticed."""

from __future__ import annotations

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.extensions.monitoring import Sketch, Summary
from agentreg.extensions.monitoring.metrics.packing import (
    UnreadableBlockError,
    pack,
    pack_slots,
    unpack,
    unpack_slots,
)
from agentreg.extensions.monitoring.metrics.rollup import LOSS, Block, RawSlot

FINITE = st.floats(1e-200, 1e200) | st.floats(-1e200, -1e-200) | st.just(0.0)
VALUES = st.lists(FINITE, min_size=1, max_size=20)
TIMES = st.integers(0, 30_000_000)


@given(st.dictionaries(TIMES, VALUES, max_size=20), st.dictionaries(TIMES, VALUES, max_size=4))
def test_a_block_comes_back(cells: dict[int, list[float]], sketches: dict[int, list[float]]) -> None:
    block = Block(
        {60 * time: Summary.of(values).cell for time, values in cells.items()},
        {3600 * time: Sketch.of(values) for time, values in sketches.items()},
    )

    found = unpack(pack(block, 60, 3600), 60, 3600)

    assert found.sketches == block.sketches
    assert found.cells.keys() == block.cells.keys()
    for time, cell in block.cells.items():
        assert found.cells[time][0] == cell[0]
        assert all(math.isclose(a, b, rel_tol=LOSS) for a, b in zip(found.cells[time], cell, strict=True))


@st.composite
def slots(draw: st.DrawFn) -> list[RawSlot]:
    rosters = draw(st.lists(st.lists(st.integers(1, 2**32 - 1), unique=True, max_size=8), min_size=1, max_size=3))
    made = []
    for time in draw(st.lists(TIMES, unique=True, max_size=6)):
        ids = draw(st.sampled_from(rosters))
        values = draw(st.lists(FINITE, min_size=len(ids), max_size=len(ids)))
        extra = draw(st.dictionaries(st.integers(1, 1000), VALUES, max_size=3))
        summaries = [(series, Summary.of(each)) for series, each in extra.items()]
        made.append(RawSlot(time, array("I", ids), array("d", values), summaries))
    return made


@given(slots())
def test_samples_come_back_to_the_bit(packed: list[RawSlot]) -> None:
    found = unpack_slots(pack_slots(packed))

    assert [(slot.time, slot.ids, slot.values) for slot in found] == [
        (slot.time, slot.ids, slot.values) for slot in packed
    ]
    for one, other in zip(found, packed, strict=True):
        assert [(series, each.cell, each.sketch) for series, each in one.extra] == [
            (series, each.cell, each.sketch) for series, each in other.extra
        ]


@given(st.binary(max_size=60))
def test_bytes_that_were_never_packed_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableBlockError):
        unpack(data, 60, 3600)
    with pytest.raises(UnreadableBlockError):
        unpack_slots(data)


def test_a_block_that_was_cut_off_is_refused() -> None:
    data = pack(Block({60: (1, 1.0, 1.0, 1.0)}), 60, 3600)

    with pytest.raises(UnreadableBlockError):
        unpack(data[:-1], 60, 3600)
