"""Which documents are meant: filters as MongoDB and js-doc-store-server write them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from agentreg import RegistryError
from agentreg.extensions.definitions.storing.ordering import equal, kind_of
from agentreg.extensions.definitions.storing.patterns import Pattern, PatternError

__all__ = ["DEPTH_LIMIT", "Filter", "FilterError"]

DEPTH_LIMIT = 20  # objects and arrays inside one another, in a filter

_Document = Mapping[str, Any]
_Test = Callable[[Any], bool]


class FilterError(RegistryError, ValueError):
    """A filter is malformed.

    Attributes:
        place: Where in it: ``filter.tags.$regex``.
        cause: What is wrong there, and what was expected.
    """

    def __init__(self, place: str, cause: str) -> None:
        super().__init__(place, cause)
        self.place, self.cause = place, cause

    def __str__(self) -> str:
        return f"{self.place}: {self.cause}"


class Filter:
    """A compiled filter: every field that it names has to fit.

    ``{"name": "scout"}`` and ``{"name": {"$eq": "scout"}}`` mean the same.
    The operators are ``$eq $ne $gt $gte $lt $lte $in $regex $exists``, and
    ``$not`` with operators in it; at the top also ``$and`` and ``$or``, with
    filters in them. The meaning is MongoDB's:

    - A field that is an array fits if it equals the operand or one of its
      elements does. ``$ne`` and ``$not`` want that none does.
    - A missing field equals null. It is less and greater than nothing, and
      no ``$regex`` finds anything in it.
    - ``$gt`` and its kin compare numbers with numbers, texts with texts
      (by code points) and booleans with booleans.
    - ``a.b`` is the field ``b`` of the object ``a``, unless there is a field
      of just that name. Arrays are not entered.

    ``$regex`` takes what `Pattern` takes and never hangs; ``(?i)`` at its
    start ignores case. A search takes time in proportion to the text.

    Thread-safe: yes, it never changes.

    >>> review = Filter({"tags": {"$regex": "review"}, "status": "active"})
    >>> review.matches({"tags": ["code-review"], "status": "active"})
    True
    >>> review.matches({"tags": ["review"], "status": "deprecated"})
    False
    """

    def __init__(self, conditions: Mapping[str, Any] | None = None) -> None:
        """Compile *conditions*; without any, every document fits.

        Raises:
            FilterError: an operator is unknown, or an operand is not what it takes.
        """
        self._tests = _compiled({} if conditions is None else conditions, "filter", 0)

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether *document*, an object of JSON, fits."""
        return all(test(document) for test in self._tests)


# -- compiling --------------------------------------------------------------


def _compiled(conditions: Any, place: str, depth: int) -> list[_Test]:
    if not isinstance(conditions, Mapping):
        raise FilterError(place, f'expected an object such as {{"name": "scout"}}, got {_shown(conditions)}')
    if depth > DEPTH_LIMIT:
        raise FilterError(place, f"more than {DEPTH_LIMIT} filters inside one another; make it flatter")
    return [_condition(key, value, f"{place}.{key}", depth) for key, value in conditions.items()]


def _condition(key: Any, value: Any, place: str, depth: int) -> _Test:
    if not isinstance(key, str):
        raise FilterError(place, f"expected the name of a field, got {_shown(key)}")
    if key in _JOINED:
        return partial(_JOINED[key], _branches(value, place, depth))
    if key.startswith("$"):
        known = ", ".join([*_JOINED])
        raise FilterError(place, f"in the place of a field only these operators are known: {known}")
    return partial(_field, key, _operators(value, place, depth))


def _branches(value: Any, place: str, depth: int) -> list[list[_Test]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise FilterError(place, f"expected an array of filters, at least one, got {_shown(value)}")
    return [_compiled(each, f"{place}[{index}]", depth + 1) for index, each in enumerate(value)]


def _operators(value: Any, place: str, depth: int) -> list[_Test]:
    """What a field has to be: operators with their operands, or a plain value."""
    marked = [str(key).startswith("$") for key in value] if isinstance(value, Mapping) else []
    if not any(marked):
        return [_equality(value, place)]
    if not all(marked):
        raise FilterError(place, "operators and plain fields are mixed; write either all with $, or none")
    return [_operator(key, operand, f"{place}.{key}", depth) for key, operand in value.items()]


def _operator(key: str, operand: Any, place: str, depth: int) -> _Test:
    if key == "$not":
        return _negation(operand, place, depth + 1)
    if key not in _OPERATORS:
        hint = "; to ignore case, begin the $regex with (?i)" if key == "$options" else ""
        raise FilterError(place, f"unknown operator; the known ones are {', '.join(_OPERATORS)} and $not{hint}")
    return _OPERATORS[key](operand, place)


def _negation(operand: Any, place: str, depth: int) -> _Test:
    if not isinstance(operand, Mapping) or not operand or not all(str(key).startswith("$") for key in operand):
        raise FilterError(place, f'expected operators such as {{"$regex": "review"}}, got {_shown(operand)}')
    if depth > DEPTH_LIMIT:
        raise FilterError(place, f"more than {DEPTH_LIMIT} operators inside one another; make it flatter")
    tests = _operators(operand, place, depth)
    return lambda value: not all(test(value) for test in tests)


# -- operators --------------------------------------------------------------
# Each makes a test of its operand. The test gets the field's value, or _MISSING.


class _Missing:
    """The value of a field that is not there."""


_MISSING = _Missing()


def _equality(operand: Any, place: str) -> _Test:
    _check_value(operand, place)
    return partial(_equals, operand)


def _inequality(operand: Any, place: str) -> _Test:
    _check_value(operand, place)
    return lambda value: not _equals(operand, value)


def _comparison(compare: Callable[[Any, Any], bool], operand: Any, place: str) -> _Test:
    _check_value(operand, place)
    kind = kind_of(operand)
    if kind not in {"number", "text", "boolean"}:
        raise FilterError(place, f"expected a number, a text or a boolean to compare with, got {_shown(operand)}")
    return partial(_any_element, lambda value: kind_of(value) == kind and compare(value, operand))


def _membership(operand: Any, place: str) -> _Test:
    if not isinstance(operand, (list, tuple)):
        raise FilterError(place, f"expected an array of values, got {_shown(operand)}")
    _check_value(operand, place)
    return lambda value: any(_equals(each, value) for each in operand)


def _search(operand: Any, place: str) -> _Test:
    if not isinstance(operand, str):
        raise FilterError(place, f"expected a regular expression as text, got {_shown(operand)}")
    try:
        pattern = Pattern(operand)
    except PatternError as error:
        raise FilterError(place, f"the regular expression {operand[:80]!r} can't be used: {error}") from error
    return partial(_any_element, lambda value: isinstance(value, str) and pattern.search(value))


def _existence(operand: Any, place: str) -> _Test:
    if not isinstance(operand, bool):
        raise FilterError(place, f"expected true or false, got {_shown(operand)}")
    return lambda value: (value is not _MISSING) is operand


_OPERATORS: dict[str, Callable[[Any, str], _Test]] = {
    "$eq": _equality,
    "$ne": _inequality,
    "$gt": partial(_comparison, operator.gt),
    "$gte": partial(_comparison, operator.ge),
    "$lt": partial(_comparison, operator.lt),
    "$lte": partial(_comparison, operator.le),
    "$in": _membership,
    "$regex": _search,
    "$exists": _existence,
}


# -- testing ----------------------------------------------------------------


def _field(path: str, tests: list[_Test], document: _Document) -> bool:
    value = _value(path, document)
    return all(test(value) for test in tests)


def _every(branches: list[list[_Test]], document: _Document) -> bool:
    return all(test(document) for branch in branches for test in branch)


def _some(branches: list[list[_Test]], document: _Document) -> bool:
    return any(all(test(document) for test in branch) for branch in branches)


_JOINED: dict[str, Callable[[list[list[_Test]], _Document], bool]] = {"$and": _every, "$or": _some}


def _value(path: str, document: _Document) -> Any:
    if path in document:
        return document[path]
    head, dot, rest = path.partition(".")
    inner = document.get(head) if dot else None
    return _value(rest, inner) if isinstance(inner, Mapping) else _MISSING


def _equals(operand: Any, value: Any) -> bool:
    if value is _MISSING:
        return operand is None
    return equal(operand, value) or (isinstance(value, (list, tuple)) and any(equal(operand, each) for each in value))


def _any_element(test: _Test, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(test, value))
    return value is not _MISSING and test(value)


# -- checking ---------------------------------------------------------------


def _check_value(value: Any, place: str, depth: int = 0) -> None:
    """Refuse what JSON can't say, and what is too deep to be compared."""
    if depth > DEPTH_LIMIT:
        raise FilterError(place, f"more than {DEPTH_LIMIT} objects and arrays inside one another")
    try:
        kind = kind_of(value)
    except TypeError as error:
        raise FilterError(place, str(error)) from error
    inner = value.values() if kind == "object" else value if kind == "array" else ()
    for each in inner:
        _check_value(each, place, depth + 1)


def _shown(value: Any) -> str:
    try:
        kind = kind_of(value)
    except TypeError:
        return f"a {type(value).__name__}"
    return {"nothing": "null", "object": "an object", "array": "an array"}.get(kind) or f"{value!r:.80}"
