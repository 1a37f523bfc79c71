"""What is written for a record is what the directory says of it, and comes back the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.extensions.coordination.backend import Put
from agentreg.extensions.coordination.processes import Process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, WorkState, from_wire, to_wire
from agentreg.extensions.coordination.redis import wire, writing
from agentreg.extensions.coordination.redis.revision import Mark, Position, Revision

texts = st.text(min_size=1)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), plain, max_size=4)
rests = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(),
        "work_state": st.sampled_from(WorkState),
        "version": st.none() | st.text(),
        "endpoint": st.none() | st.text(),
        "a2a_card": st.none() | objects | st.just(object()),
        "max_concurrency": st.integers(0, 100),
        "budget_limit_usd": numbers,
        "config": objects,
        "metadata": objects,
        "lapsed_from": st.none() | st.sampled_from(AgentStatus),
        "worked": st.none() | numbers,
    },
)
processes = st.builds(Process, st.text(), st.integers(0), numbers, st.text(), st.text())
records = st.builds(
    AgentMetadata,
    texts,
    texts,
    st.text(),
    st.lists(st.text(), max_size=4),
    st.sampled_from(AgentStatus),
    processes,
    numbers,
    st.none() | numbers,
    st.just(0),
    st.none() | rests,
)


@given(records)
def test_the_lines_of_a_record_say_what_its_wire_form_says(record: AgentMetadata) -> None:
    expected = {**to_wire(record)}
    del expected["revision"]

    assert json.loads(wire.lines_of(record)) == expected


@given(records)
def test_the_lines_of_a_record_are_one_field_each_with_token_and_runtime_first(record: AgentMetadata) -> None:
    first, second, *others = wire.lines_of(record)[1:-1].split("\n")

    assert [first[:8], second[:13]] == ['"token":', '"runtime_id":']
    assert all(isinstance(json.loads("{" + line.removesuffix(",") + "}"), dict) for line in (first, second, *others))
    assert len({first, second, *others}) == len(to_wire(record)) - 1


@given(records, st.integers(1, 2**52))
def test_a_record_comes_back_as_it_was(record: AgentMetadata, revision: int) -> None:
    stored = wire.lines_of(record)[:-1] + f',\n"born":5,\n"revision":{revision}' + "}"
    there, born = wire.record_of(stored.encode())

    assert to_wire(there) == {**to_wire(from_wire(to_wire(record))), "revision": revision}
    assert born == 5


@given(texts)
def test_an_id_comes_back_as_it_was_and_its_text_has_no_newline(name: str) -> None:
    text = wire.text_of(name)

    assert "\n" not in text
    assert text.isascii()
    assert wire.id_of(text.encode()) == name


def test_an_id_without_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        wire.text_of("")


@given(plain)
def test_equal_values_give_equal_texts(value: Any) -> None:
    turned = json.loads(json.dumps(value), object_pairs_hook=lambda pairs: dict(reversed(pairs)))

    assert wire._json(turned) == wire._json(value)
    assert json.loads(wire._json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"x": {float("nan")}}, object(), {1, 2}])
def test_what_is_not_plain_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        wire._json(value)


@pytest.mark.parametrize("count", [1, 199, 200, 201, 1000])
def test_a_batch_is_cut_into_pieces_of_some_hundreds(count: int) -> None:
    batch = [Put(AgentMetadata(f"a{n}", "r", "t")) for n in range(count)]

    pieces = list(writing.chunks(writing.PUT, batch, range(count), 0))

    assert [place for piece in pieces for place in piece.places] == list(range(count))
    assert max(len(piece.places) for piece in pieces) <= 200
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_long_records_are_not_all_sent_in_one_piece() -> None:
    sizes = [400_000, 400_000, 400_000, 2_000_000, 10, 10]
    batch = [Put(AgentMetadata(f"a{n}", "r", "t" * size)) for n, size in enumerate(sizes)]

    pieces = list(writing.chunks(writing.PUT, batch, range(len(batch)), 0))

    assert [list(piece.places) for piece in pieces] == [[0, 1], [2], [3], [4, 5]]


def test_a_revision_is_the_sum_of_its_parts_and_survives_a_copy() -> None:
    import copy

    revision = Revision([Position(3, "x"), Position(4, "y")])

    assert revision == 7
    assert json.dumps({"revision": revision}) == '{"revision": 7}'
    assert copy.deepcopy(revision).parts == revision.parts
    assert revision.moved(1, Position(9, "z")) == 12


def test_a_mark_is_the_lowest_of_its_parts_and_stands_for_all_as_a_plain_number() -> None:
    mark = Mark([5, 3], 1.5)

    assert (mark, wire.mark_in(mark, 0), wire.mark_in(3, 0)) == (3, 5, 3)
