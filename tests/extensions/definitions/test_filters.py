"""Filters: each operator, what is refused, and a naive evaluator that always has to agree."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentreg import RegistryError
from agentreg.extensions.definitions.storing.filters import DEPTH_LIMIT, Filter, FilterError
from agentreg.extensions.definitions.storing.ordering import Sort, SortError

SCOUT = {
    "name": "scout",
    "tags": ["recon", "fast"],
    "priority": 8,
    "load": 0.5,
    "public": True,
    "none": None,
    "empty": [],
    "team": {"lead": "ann", "size": 3},
    "dotted.name": "yes",
    "numbers": [1, 5, 9],
}


@pytest.mark.parametrize(
    "conditions",
    [
        None,
        {},
        {"name": "scout"},
        {"name": {"$eq": "scout"}},
        {"name": "scout", "priority": 8},
        {"priority": 8.0},
        {"tags": "fast"},
        {"tags": ["recon", "fast"]},
        {"team": {"size": 3, "lead": "ann"}},
        {"team.lead": "ann"},
        {"team.size": {"$gt": 2}},
        {"dotted.name": "yes"},
        {"missing": None},
        {"missing": {"$eq": None}},
        {"none": None},
        {"name": {"$ne": "guide"}},
        {"missing": {"$ne": "anything"}},
        {"name": {"$ne": None}},
        {"tags": {"$ne": "slow"}},
        {"priority": {"$gt": 7, "$lt": 9}},
        {"priority": {"$gte": 8, "$lte": 8}},
        {"load": {"$lt": 1}},
        {"name": {"$gt": "a"}},
        {"public": {"$gt": False}},
        {"numbers": {"$gt": 8}},
        {"name": {"$in": ["guide", "scout"]}},
        {"tags": {"$in": ["fast", "slow"]}},
        {"missing": {"$in": [None]}},
        {"name": {"$regex": "^sc.*t$"}},
        {"name": {"$regex": "(?i)SCOUT"}},
        {"tags": {"$regex": "con"}},
        {"name": {"$exists": True}},
        {"none": {"$exists": True}},
        {"missing": {"$exists": False}},
        {"team.missing": {"$exists": False}},
        {"name.first": {"$exists": False}},
        {"empty": []},
        {"$and": [{"name": "scout"}, {"priority": 8}]},
        {"$or": [{"name": "guide"}, {"tags": "fast"}]},
        {"name": {"$not": {"$regex": "guide"}}},
        {"missing": {"$not": {"$gt": 3}}},
        {"$or": [{"$and": [{"name": "guide"}]}, {"$or": [{"priority": {"$gt": 7}}]}], "name": "scout"},
    ],
)
def test_it_fits(conditions: Any) -> None:
    assert Filter(conditions).matches(SCOUT)


@pytest.mark.parametrize(
    "conditions",
    [
        {"name": "Scout"},
        {"name": "scout", "priority": 9},
        {"priority": "8"},
        {"priority": True},
        {"public": 1},
        {"tags": "rec"},
        {"tags": ["fast", "recon"]},
        {"team": {"lead": "ann"}},
        {"name": None},
        {"empty": None},
        {"name": {"$ne": "scout"}},
        {"tags": {"$ne": "fast"}},
        {"missing": {"$ne": None}},
        {"priority": {"$gt": "7"}},
        {"name": {"$gt": 1}},
        {"public": {"$gt": 0}},
        {"missing": {"$gt": 1}},
        {"missing": {"$lte": "z"}},
        {"none": {"$lt": 1}},
        {"empty": {"$lt": 10}},
        {"priority": {"$gt": 8}},
        {"name": {"$in": []}},
        {"missing": {"$in": ["scout"]}},
        {"priority": {"$regex": "8"}},
        {"missing": {"$regex": ""}},
        {"none": {"$regex": ""}},
        {"name": {"$exists": False}},
        {"missing": {"$exists": True}},
        {"team.lead.name": "ann"},
        {"$and": [{"name": "scout"}, {"priority": 9}]},
        {"$or": [{"name": "guide"}]},
        {"name": {"$not": {"$regex": "sc"}}},
        {"name": {}},
    ],
)
def test_it_does_not_fit(conditions: Any) -> None:
    assert not Filter(conditions).matches(SCOUT)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"name": {"$near": 1}}, r"filter\.name\.\$near: unknown operator; the known ones are \$eq, \$ne, \$gt"),
        ({"name": {"$regex": "a", "$options": "i"}}, r"\$options: unknown operator.*begin the \$regex with \(\?i\)"),
        ({"$where": "1"}, r"filter\.\$where: in the place of a field only these operators are known: \$and, \$or"),
        ({"$eq": 1}, r"filter\.\$eq: in the place of a field"),
        ({"name": {"$eq": 1, "other": 2}}, "operators and plain fields are mixed"),
        ({"name": {"$in": "scout"}}, r"filter\.name\.\$in: expected an array of values, got 'scout'"),
        ({"name": {"$in": {}}}, "expected an array of values, got an object"),
        ({"name": {"$regex": 5}}, r"\$regex: expected a regular expression as text, got 5"),
        ({"name": {"$regex": {}}}, "expected a regular expression as text, got an object"),
        ({"name": {"$regex": "(a"}}, r"'\(a' can't be used: missing \), unterminated subpattern at character 1"),
        ({"name": {"$regex": r"(a)\1"}}, "back references are not supported"),
        ({"name": {"$regex": "a" * 501}}, "it has 501 characters; at most 500 are allowed"),
        ({"name": {"$exists": "yes"}}, r"\$exists: expected true or false, got 'yes'"),
        ({"name": {"$exists": 1}}, "expected true or false, got 1"),
        ({"name": {"$gt": None}}, r"filter\.name\.\$gt: expected a number, a text or a boolean.*got null"),
        ({"name": {"$lte": [1]}}, "expected a number, a text or a boolean to compare with, got an array"),
        ({"name": {"$gt": {}}}, "got an object"),
        ({"name": {"$not": "scout"}}, r"\$not: expected operators such as"),
        ({"name": {"$not": {}}}, r"\$not: expected operators such as"),
        ({"name": {"$not": {"$near": 1}}}, r"filter\.name\.\$not\.\$near: unknown operator"),
        ({"$and": {}}, r"filter\.\$and: expected an array of filters, at least one, got an object"),
        ({"$or": []}, "expected an array of filters, at least one, got an array"),
        ({"$or": [{"name": 1}, 5]}, r"filter\.\$or\[1\]: expected an object such as"),
        ([], "filter: expected an object such as .*, got an array"),
        ("name", "filter: expected an object such as .*, got 'name'"),
        ({1: "x"}, "expected the name of a field, got 1"),
        ({"name": object()}, "expected what JSON can say, got object"),
        ({"name": {"$in": [b"x"]}}, "expected what JSON can say, got bytes"),
        ({"name": {"$eq": {"a": {1, 2}}}}, "expected what JSON can say, got set"),
    ],
)
def test_a_malformed_filter_is_refused_with_its_place(conditions: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message) as caught:
        Filter(conditions)

    assert isinstance(caught.value, (RegistryError, ValueError))
    assert caught.value.place.startswith("filter")


def nested(depth: int, around: Any) -> Any:
    value: Any = {"name": "scout"}
    for _ in range(depth):
        value = around(value)
    return value


@pytest.mark.parametrize(
    "around",
    [lambda inner: {"$and": [inner]}, lambda inner: {"$or": [inner]}, lambda inner: {"field": inner}],
)
def test_a_filter_is_only_so_deep(around: Any) -> None:
    Filter(nested(DEPTH_LIMIT - 1, around))

    for depth in (DEPTH_LIMIT + 2, 5_000):
        with pytest.raises(FilterError, match=f"more than {DEPTH_LIMIT}"):
            Filter(nested(depth, around))


def test_negations_are_only_so_deep() -> None:
    condition: Any = {"$eq": 1}
    for _ in range(5_000):
        condition = {"$not": condition}

    with pytest.raises(FilterError, match=f"more than {DEPTH_LIMIT} operators inside one another"):
        Filter({"name": condition})


# -- against a naive evaluator ------------------------------------------------

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.text("ab", max_size=2))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from("xy"), SCALARS, max_size=2))
FIELDS = st.sampled_from(["a", "b", "c", "a.x"])
ORDERED = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.text("ab", max_size=2))
OPERATORS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), VALUES),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ORDERED),
    st.tuples(st.just("$in"), st.lists(VALUES, max_size=3)),
    st.tuples(st.just("$regex"), st.sampled_from(["a", "^b", "ab$", "a|b", ""])),
    st.tuples(st.just("$exists"), st.booleans()),
)
CONDITIONS = st.lists(OPERATORS, min_size=1, max_size=2).map(dict)
DOCUMENTS = st.dictionaries(st.sampled_from("abc"), VALUES)


def sort_of(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    return sort_of(one) == sort_of(other) and bool(one == other)


def naive(operator: str, operand: Any, there: bool, value: Any) -> bool:
    """MongoDB's manual, word by word; a field that is missing has the value null."""
    choices = [value, *value] if isinstance(value, list) else [value]
    if operator == "$exists":
        return there is operand
    if operator == "$eq":
        return any(same(choice, operand) for choice in choices)
    if operator == "$ne":
        return not naive("$eq", operand, there, value)
    if operator == "$in":
        return any(naive("$eq", each, there, value) for each in operand)
    if operator == "$regex":
        return any(isinstance(choice, str) and re.search(operand, choice) is not None for choice in choices)
    return any(naive_order(operator, choice, operand) for choice in choices if sort_of(choice) == sort_of(operand))


def naive_order(operator: str, value: Any, operand: Any) -> bool:
    outcomes = {"$gt": value > operand, "$gte": value >= operand, "$lt": value < operand, "$lte": value <= operand}
    return bool(outcomes[operator])


def look_up(document: dict[str, Any], field: str) -> tuple[bool, Any]:
    head, _, rest = field.partition(".")
    if not rest:
        return head in document, document.get(head)
    inner = document.get(head)
    return (rest in inner, inner.get(rest)) if isinstance(inner, dict) else (False, None)


@given(DOCUMENTS, st.dictionaries(FIELDS, CONDITIONS, max_size=3))
@example({"a": [1, True]}, {"a": {"$eq": 1}})
@example({"a": [[1]]}, {"a": {"$eq": [1]}})
@example({"a": []}, {"a": {"$ne": None}})
def test_a_filter_agrees_with_a_naive_evaluator(document: dict[str, Any], conditions: dict[str, Any]) -> None:
    expected = all(
        naive(operator, operand, *look_up(document, field))
        for field, operators in conditions.items()
        for operator, operand in operators.items()
    )

    assert Filter(conditions).matches(document) is expected


@given(DOCUMENTS, FIELDS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)))
def test_a_plain_value_means_the_same_as_eq(document: dict[str, Any], field: str, value: Any) -> None:
    assert Filter({field: value}).matches(document) is Filter({field: {"$eq": value}}).matches(document)


@given(DOCUMENTS, FIELDS, CONDITIONS, FIELDS, CONDITIONS)
def test_and_or_and_not_are_those_of_logic(document: Any, one: str, first: Any, two: str, second: Any) -> None:
    left, right = Filter({one: first}).matches(document), Filter({two: second}).matches(document)

    assert Filter({"$and": [{one: first}, {two: second}]}).matches(document) is (left and right)
    assert Filter({"$or": [{one: first}, {two: second}]}).matches(document) is (left or right)
    assert Filter({one: {"$not": first}}).matches(document) is not left


ANYTHING = st.recursive(
    st.one_of(SCALARS, st.binary(max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["a", "$eq", "$in", "$regex", "$gt", "$and", "$or", "$not", "$exists", "$what"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)


@given(ANYTHING, DOCUMENTS)
def test_whatever_comes_is_compiled_or_refused(conditions: Any, document: dict[str, Any]) -> None:
    try:
        compiled = Filter(conditions)
    except FilterError:
        return
    assert compiled.matches(document) in (True, False)


# -- order --------------------------------------------------------------------


def test_values_of_different_kinds_are_in_the_order_of_mongodb() -> None:
    values: list[Any] = [True, False, {"x": 1}, "b", "a", 2, 1.5, float("nan"), None]
    documents = [{"a": value} for value in values]

    ascending = Sort({"a": 1}).sorted([*documents, {}])

    assert repr([document.get("a") for document in ascending]) == (
        "[None, None, nan, 1.5, 2, 'a', 'b', {'x': 1}, False, True]"
    )


def test_an_array_counts_as_its_smallest_or_its_largest() -> None:
    documents: list[dict[str, Any]] = [{"a": [5, 1]}, {"a": [3]}, {"a": []}, {"a": 4}]

    assert [d["a"] for d in Sort({"a": 1}).sorted(documents)] == [[], [5, 1], [3], 4]
    assert [d["a"] for d in Sort({"a": -1}).sorted(documents)] == [[5, 1], 4, [3], []]


def test_what_is_equal_keeps_its_order_also_when_descending() -> None:
    documents = [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 3}]

    assert [d["b"] for d in Sort({"a": -1}).sorted(documents)] == [3, 1, 2]
    assert Sort(None).sorted(documents) == documents


@given(st.lists(DOCUMENTS, max_size=6), st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, -1]), max_size=2))
def test_sorting_anything_gives_all_of_it_in_an_order(documents: list[Any], fields: dict[str, int]) -> None:
    once = Sort(fields).sorted(documents)

    assert sorted(map(repr, once)) == sorted(map(repr, documents))
    assert Sort(fields).sorted(once) == once


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": 0}, r"sort\.a: expected 1 \(ascending\) or -1 \(descending\), got 0"),
        ({"a": True}, "got True"),
        ({"a": "asc"}, "got 'asc'"),
        ({"a": [1]}, r"got \[1\]"),
        ({"": 1}, "expected the name of a field, got ''"),
        ({1: 1}, "expected the name of a field, got 1"),
        ("name", "expected an object such as"),
        ([["name", 1]], "expected an object such as"),
    ],
)
def test_a_malformed_order_is_refused(fields: Any, message: str) -> None:
    with pytest.raises(SortError, match=message):
        Sort(fields)
