"""Which of two values comes first, whatever they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from agentreg import RegistryError

__all__ = ["Sort", "SortError", "equal", "kind_of"]

T = TypeVar("T")

_KINDS = ["nothing", "number", "text", "object", "array", "boolean"]  # the order between values of different kinds
_EMPTY_ARRAY = (-1, 0)


class SortError(RegistryError, ValueError):
    """An order to sort by is malformed."""


class Sort:
    """An order of documents: by one field, then by the next.

    It reads ``{"field": 1}`` for ascending and ``{"field": -1}`` for
    descending, and orders as MongoDB does: what is missing first, then
    numbers, texts (by code points), objects, arrays and booleans. A field
    that is an array counts as its smallest element when ascending, as its
    largest when descending.

    >>> Sort({"model": -1}).sorted([{"model": "a"}, {"model": "b"}, {}])
    [{'model': 'b'}, {'model': 'a'}, {}]
    """

    def __init__(self, fields: Mapping[str, int] | None = None) -> None:
        """Compile *fields*; nothing leaves the order as it is.

        Raises:
            SortError: it is no mapping of names to 1 or -1.
        """
        if fields is not None and not isinstance(fields, Mapping):
            raise SortError(f'sort: expected an object such as {{"name": 1}}, got {type(fields).__name__}')
        self._fields = [(field, _direction(field, value)) for field, value in (fields or {}).items()]

    def sorted(self, items: Iterable[T], document: Callable[[T], Mapping[str, Any]] | None = None) -> list[T]:
        """A new list of *items*, ordered by the documents that *document* makes of them.

        Items that are equal here keep their order.
        """
        pairs = [(document(item) if document else item, item) for item in items]
        for field, descending in reversed(self._fields):
            pairs.sort(key=partial(_key, field, descending), reverse=descending)
        return [item for _, item in pairs]


def _direction(field: object, value: object) -> bool:
    if not isinstance(field, str) or not field:
        raise SortError(f"sort: expected the name of a field, got {field!r}")
    if isinstance(value, bool) or value not in (1, -1):
        raise SortError(f"sort.{field}: expected 1 (ascending) or -1 (descending), got {value!r}")
    return value == -1


def _key(field: str, descending: bool, pair: tuple[Any, Any]) -> tuple[int, Any]:
    value = pair[0].get(field)
    if isinstance(value, (list, tuple)):
        keys = [_rank(element) for element in value]
        return (max if descending else min)(keys) if keys else _EMPTY_ARRAY
    return _rank(value)


def _rank(value: Any) -> tuple[int, Any]:
    kind = kind_of(value)
    if kind in {"number", "text", "boolean"}:
        return _KINDS.index(kind), -math.inf if value != value else value  # NaN comes before all numbers
    return _KINDS.index(kind), 0


def kind_of(value: Any) -> str:
    """``nothing``, ``number``, ``text``, ``object``, ``array`` or ``boolean``; a boolean is no number.

    >>> kind_of(True), kind_of(1.5), kind_of(("a",))
    ('boolean', 'number', 'array')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "boolean"
    for kind, types in _TYPES:
        if isinstance(value, types):
            return kind
    raise TypeError(f"expected what JSON can say, got {type(value).__name__}")


_TYPES: Sequence[tuple[str, Any]] = [
    ("text", str),
    ("number", (int, float)),
    ("array", (list, tuple)),
    ("object", Mapping),
]


def equal(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal, kinds included; the order of an object's keys does not matter.

    >>> equal(1, 1.0), equal(1, True), equal([1], (1,))
    (True, False, True)
    """
    kind = kind_of(one)
    if kind != kind_of(other):
        return False
    if kind == "array":
        return len(one) == len(other) and all(map(equal, one, other))
    if kind == "object":
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    return bool(one == other) or (one != one and other != other)
