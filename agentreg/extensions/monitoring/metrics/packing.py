"""Blocks and slots as bytes, and back.

Whole numbers are variable in length (LEB128), times and buckets the
differences from those before. Floats are laid out by the significance of
their bytes, as the first of neighbours are alike, and all of it is deflated.
The last three bytes of a roll-up's floats are left out: its figures are off
by at most 2e-9 of themselves. Raw samples are kept as they came.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from agentreg.extensions.monitoring.metrics.rollup import Block, RawSlot
from agentreg.extensions.monitoring.metrics.sketch import Sketch
from agentreg.extensions.monitoring.metrics.summary import Summary

__all__ = ["UnreadableBlockError", "pack", "pack_slots", "unpack", "unpack_slots"]

LEFT_OUT = 3  #: bytes of a float that roll-ups do without
_HALF = 1 + 2**-29  # half of the least step that is left: so cutting off rounds
_QUICK, _SMALL = 1, 6  # zlib's levels: of what is kept for hours, and for days
_BIG_ENDIAN = sys.byteorder == "big"


class UnreadableBlockError(Exception):
    """The bytes are not what was packed."""


def pack(block: Block, step: int, grain: int, left_out: int = LEFT_OUT) -> bytes:
    """A block with cells of *step* seconds and sketches of *grain* seconds as bytes; *left_out* of each float."""
    times = sorted(block.cells)
    cells = [block.cells[time] for time in times]
    numbers = [_encoded([len(times), len(block.sketches)]), _encoded(_gaps([time // step for time in times]))]
    numbers.append(_encoded([cell[0] for cell in cells]))
    for time in sorted(block.sketches):
        numbers.append(_encoded([time // grain]))
        numbers += _sketch(block.sketches[time])
    nudge = _HALF if left_out else 1.0
    floats = array("d", [nudge * cell[which] for which in (1, 2, 3) for cell in cells])
    return _joined(b"".join(numbers), _planes(floats, left_out), _SMALL)


def unpack(data: bytes, step: int, grain: int, left_out: int = LEFT_OUT) -> Block:
    """What `pack` made *data* of. Raises UnreadableBlockError."""
    try:
        reader, planes = _parted(data)
        size, sketches = reader.take(2)
        times = [index * step for index in accumulate(reader.take(size))]
        counts = reader.take(size)
        found = {reader.one() * grain: _read_sketch(reader) for _ in range(sketches)}
        values = _Planes(planes).take("d", 3 * size, left_out)
    except (zlib.error, ValueError, IndexError) as error:
        raise UnreadableBlockError(str(error)) from error
    lows, highs, totals = values[:size], values[size : 2 * size], values[2 * size :]
    return Block(dict(zip(times, zip(counts, lows, highs, totals, strict=True), strict=True)), found)


def pack_slots(slots: Sequence[RawSlot]) -> bytes:
    """Slots as bytes. Who is in one is written once for all slots with the same series."""
    rosters: dict[bytes, array[int]] = {slot.ids.tobytes(): slot.ids for slot in slots}
    order = list(rosters)
    numbers = [_encoded([len(slots), len(order)])]
    numbers.append(_encoded([len(ids) for ids in rosters.values()]))
    for slot in slots:
        numbers.append(_encoded([slot.time, order.index(slot.ids.tobytes()), len(slot.extra)]))
        for series, summary in slot.extra:
            numbers += [_encoded([series, summary.count]), *_sketch(summary.sketch)]
    extra = [value for slot in slots for _, summary in slot.extra for value in summary.cell[1:]]
    parts = [_planes(ids) for ids in rosters.values()] + [_planes(slot.values) for slot in slots]
    return _joined(b"".join(numbers), b"".join(parts) + _planes(array("d", extra)), _QUICK)


def unpack_slots(data: bytes) -> list[RawSlot]:
    """What `pack_slots` made *data* of. Raises UnreadableBlockError."""
    try:
        reader, planes = _parted(data)
        size, rosters = reader.take(2)
        sizes = reader.take(rosters)
        heads = [_slot_head(reader) for _ in range(size)]
        return _slots(heads, sizes, _Planes(planes))
    except (zlib.error, ValueError, IndexError) as error:
        raise UnreadableBlockError(str(error)) from error


_Head = tuple[int, int, list[tuple[int, int, Sketch]]]


def _slot_head(reader: _Reader) -> _Head:
    time, roster, extra = reader.take(3)
    return time, roster, [(*reader.take(2), _read_sketch(reader)) for _ in range(extra)]  # type: ignore[misc]


def _slots(heads: list[_Head], sizes: list[int], planes: _Planes) -> list[RawSlot]:
    rosters = [planes.take("I", size) for size in sizes]
    slots = [RawSlot(time, rosters[which], planes.take("d", sizes[which]), []) for time, which, _ in heads]
    rest = iter(planes.take("d", 3 * sum(len(extra) for _, _, extra in heads)))
    for slot, (_, _, extra) in zip(slots, heads, strict=True):
        for series, count, sketch in extra:
            slot.extra.append((series, Summary(count, next(rest), next(rest), next(rest), sketch)))
    return slots


# -- the parts --------------------------------------------------------------


def _joined(numbers: bytes, floats: bytes, level: int) -> bytes:
    return zlib.compress(_encoded([len(numbers)]) + numbers + floats, level)


def _parted(data: bytes) -> tuple[_Reader, bytes]:
    reader = _Reader(zlib.decompress(data))
    size = reader.one()
    end = reader.position + size
    return reader, reader.data[end:]


def _sketch(sketch: Sketch) -> list[bytes]:
    buckets = sorted(sketch.counts)
    first = _zigzag(buckets[0]) if buckets else 0
    gaps = _gaps(buckets)[1:]
    return [_encoded([len(buckets), first]), _encoded(gaps), _encoded([sketch.counts[bucket] for bucket in buckets])]


def _read_sketch(reader: _Reader) -> Sketch:
    size, first = reader.take(2)
    buckets = accumulate([_from_zigzag(first), *reader.take(max(size - 1, 0))])
    return Sketch(dict(zip(buckets, reader.take(size), strict=False)))


def _planes(values: array[Any], left_out: int = 0) -> bytes:
    if _BIG_ENDIAN:
        values = array(values.typecode, values)
        values.byteswap()
    data, size = values.tobytes(), values.itemsize
    return b"".join([data[place::size] for place in range(left_out, size)])


class _Planes:
    """Reads arrays that `_planes` laid out, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def take(self, kind: str, size: int, left_out: int = 0) -> array[Any]:
        """The next array, of *size* items."""
        values = array(kind)
        width = values.itemsize
        raw = bytearray(width * size)
        for place in range(left_out, width):
            raw[place::width] = self._data[self._position : self._position + size]
            self._position += size
        values.frombytes(raw)
        if _BIG_ENDIAN:
            values.byteswap()
        return values


# -- whole numbers ----------------------------------------------------------


def _gaps(numbers: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in zip([0, *numbers], numbers, strict=False)]


def _zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _from_zigzag(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2


def _encoded(numbers: list[int]) -> bytes:
    if not numbers or max(numbers) < 128:
        return bytes(numbers)
    data = bytearray()
    for number in numbers:
        while number > 127:
            data.append(number & 127 | 128)
            number >>= 7
        data.append(number)
    return bytes(data)


class _Reader:
    """Reads whole numbers from bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, size: int) -> list[int]:
        """The next *size* numbers."""
        start = self.position
        quick = self.data[start : start + size]
        if len(quick) == size and quick.isascii():  # each in a byte of its own
            self.position = start + size
            return list(quick)
        return [self.one() for _ in range(size)]

    def one(self) -> int:
        """The next number."""
        number = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
