"""Which definitions are asked for: the parameters of ``GET /registry/definitions``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentreg.extensions.definitions import StoredDefinition
from agentreg.extensions.service.refusals import Refusal

__all__ = ["MOST", "Question", "whole"]

MOST = 10_000
_KNOWN = ("text", "tags", "status", "limit", "offset")
_STATUSES = ("active", "deprecated")


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked.

    Attributes:
        text: It stands in the name, the description or a tag, whatever the case.
        tags: Each of these is among its tags.
        statuses: It has one of these; empty for any.
        limit: How many at most; None for all.
        offset: How many to leave out before.
    """

    text: str = ""
    tags: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    limit: int | None = None
    offset: int = 0

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> Question:
        """The question that the parameters of a query ask. A Refusal for one that makes no sense.

        >>> Question.of([("text", "Audit"), ("limit", "10")])
        Question(text='audit', tags=frozenset(), statuses=frozenset(), limit=10, offset=0)
        """
        given: dict[str, str] = {}
        for name, value in parameters:
            if name not in _KNOWN:
                raise Refusal(400, f"{name}: no such parameter; there are {', '.join(_KNOWN)}")
            given[name] = f"{given[name]},{value}" if name in ("tags", "status") and name in given else value
        return cls(
            given.get("text", "").casefold(),
            _several(given.get("tags", "")),
            _statuses(given.get("status", "")),
            whole("limit", given["limit"], 1, MOST) if "limit" in given else None,
            whole("offset", given.get("offset", "0"), 0, 2**53),
        )

    def chosen(self, stored: Iterable[StoredDefinition]) -> tuple[list[StoredDefinition], int]:
        """Those that are asked for, and how many there are without limit and offset."""
        found = [each for each in stored if self._asks_for(each)]
        end = None if self.limit is None else self.offset + self.limit
        return found[self.offset : end], len(found)

    def _asks_for(self, stored: StoredDefinition) -> bool:
        return (
            self.tags.issubset(stored.tags)
            and (not self.statuses or stored.status in self.statuses)
            and (not self.text or any(self.text in text.casefold() for text in _texts(stored)))
        )


def _texts(stored: StoredDefinition) -> Iterable[str]:
    return (stored.name, str(stored.fields.get("description") or ""), *stored.tags)


def _several(value: str) -> frozenset[str]:
    return frozenset(each.strip() for each in value.split(",") if each.strip())


def _statuses(value: str) -> frozenset[str]:
    found = _several(value)
    for each in found:
        if each not in _STATUSES:
            raise Refusal(400, f"status: expected {' or '.join(_STATUSES)}, got {each!r:.80}")
    return found


def whole(name: str, value: str, least: int = 1, most: int = 2**53) -> int:
    """The whole number in a parameter. A Refusal for anything else."""
    if not (value.isascii() and value.isdigit() and len(value) < 20 and least <= int(value) <= most):
        raise Refusal(400, f"{name}: expected a whole number from {least} to {most}, got {value!r:.80}")
    return int(value)
