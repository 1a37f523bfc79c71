"""One place of a JSON text is changed, and not a byte besides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentreg.cli.client.json_text import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
STYLES = st.sampled_from([None, 0, 1, 2, 4, "\t"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", '{\n  "k": [\n    1\n  ]\n}'),
        ('{"a": 1}', '{"a": 1, "k": [1]}'),
        ('{ "a": 1, "b": {} }\n', '{ "a": 1, "b": {}, "k": [1] }\n'),
        ('{\n    "a": 1\n}\n', '{\n    "a": 1,\n    "k": [\n        1\n    ]\n}\n'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"k": [\n\t\t1\n\t]\n}'),
        ('{\r\n  "a": 1\r\n}\r\n', '{\r\n  "a": 1,\r\n  "k": [\r\n    1\r\n  ]\r\n}\r\n'),
        ('{\n  "a": 1,\n\n  "b": 2\n}', '{\n  "a": 1,\n\n  "b": 2,\n  "k": [\n    1\n  ]\n}'),
        ('{\n"a": 1\n}', '{\n"a": 1,\n"k": [\n  1\n]\n}'),
    ],
)
def test_what_is_added_is_written_as_its_neighbours_are(text: str, expected: str) -> None:
    added = JsonText(text).append((), [1], "k").text

    assert added.replace("\r\n", "\n").split() == expected.replace("\r\n", "\n").split()
    assert json.loads(added) == {**json.loads(text), "k": [1]}
    if text != '{\n"a": 1\n}':
        assert added == expected


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    text = JsonText('{"a": [], "a": [1]}')

    assert text.append(("a",), 2).text == '{"a": [], "a": [1, 2]}'
    assert text.remove(("a",)).text == '{"a": []}'


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), STYLES, VALUES, st.text(max_size=3))
def test_what_was_added_can_be_removed_without_a_trace(
    document: dict[str, Any], style: Any, value: Any, key: str
) -> None:
    text = json.dumps(document, indent=style)
    if key in document:
        return

    added = JsonText(text).append((), value, key)
    removed = added.remove((key,))

    assert added.value == {**document, key: value}
    assert [*added.value] == [*document, key]
    assert removed.value == document
    assert removed.text == (text if document else "{}")


@given(st.lists(VALUES, min_size=1, max_size=4), STYLES, st.data())
def test_any_element_can_be_removed(document: list[Any], style: Any, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(document) - 1))

    removed = JsonText(json.dumps({"list": document}, indent=style)).remove(("list", index))

    assert removed.value == {"list": document[:index] + document[index + 1 :]}


@given(st.lists(VALUES, max_size=4), STYLES, VALUES)
def test_an_element_is_added_behind_the_others(document: list[Any], style: Any, value: Any) -> None:
    added = JsonText(json.dumps({"list": document}, indent=style)).append(("list",), value)

    assert added.value == {"list": [*document, value]}


@given(st.lists(VALUES, min_size=1, max_size=4), STYLES, VALUES)
def test_a_value_is_replaced_in_its_place(document: list[Any], style: Any, value: Any) -> None:
    replaced = JsonText(json.dumps(document, indent=style)).replace((len(document) - 1,), value)

    assert replaced.value == [*document[:-1], value]
