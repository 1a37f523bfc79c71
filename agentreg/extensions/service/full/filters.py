"""Which records are asked for, and in which order: the parameters of ``GET /registry/agents``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.service.full.shape import STATUSES, active_tasks, status_of
from agentreg.extensions.service.refusals import Refusal

__all__ = ["MOST", "SORTS", "Question", "chosen"]

Test = Callable[[AgentMetadata], bool]
MOST = 10_000

SORTS: dict[str, Callable[[AgentMetadata], Any]] = {
    "name": lambda record: record.name.lower(),
    "priority": lambda record: _priority(record) or 0,
    "status": status_of,
    "created_at": lambda record: record.created_at,
    "last_activity": lambda record: record.last_activity,
    "active_tasks": active_tasks,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked.

    Attributes:
        tests: A record is meant if it passes all of them.
        sort: What to sort by, with a minus in front for the other way round; None for order of registration.
        limit: How many at most; None for all.
        offset: How many to leave out before.
    """

    tests: tuple[Test, ...] = ()
    sort: str | None = None
    limit: int | None = None
    offset: int = 0

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> Question:
        """The question that the parameters of a query ask. A Refusal for one that makes no sense."""
        tests, rest = [], {}
        for name, value in _joined(parameters):
            if name in _TESTS:
                tests.append(_TESTS[name](value))
            elif name in _REST:
                rest[name] = _REST[name](value)
            else:
                raise Refusal(400, f"{name}: no such parameter; there are {', '.join((*_TESTS, *_REST))}")
        return cls(tuple(tests), **rest)

    def asks_for(self, record: AgentMetadata) -> bool:
        """Whether *record* is meant."""
        return all(test(record) for test in self.tests)


def _joined(parameters: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """``tools=Bash&tools=Edit`` says the same as ``tools=Bash,Edit``, and so do statuses."""
    lists: dict[str, list[str]] = {}
    for name, value in parameters:
        if name in _LISTS:
            lists.setdefault(name, []).append(value)
        else:
            yield name, value
    yield from ((name, ",".join(values)) for name, values in lists.items())


def chosen(question: Question, records: Iterable[AgentMetadata]) -> tuple[list[AgentMetadata], int]:
    """The records that are asked for, in order, and how many there are without limit and offset."""
    found = [record for record in records if question.asks_for(record)]
    if question.sort is not None:
        found.sort(key=SORTS[question.sort.lstrip("-")], reverse=question.sort.startswith("-"))
    end = None if question.limit is None else question.offset + question.limit
    return found[question.offset : end], len(found)


# -- what can be asked --------------------------------------------------------


def _status(value: str) -> Test:
    wanted = _several("status", value)
    for each in wanted:
        if each not in STATUSES:
            raise Refusal(400, f"status: expected {', '.join(STATUSES)}, several with commas; got {each!r:.80}")
    return lambda record: status_of(record) in wanted


def _exact_priority(value: str) -> Test:
    wanted = _number("priority", value)
    return lambda record: _priority(record) == wanted


def _least_priority(value: str) -> Test:
    least = _number("min_priority", value)
    return lambda record: (_priority(record) or 0) >= least and _priority(record) is not None


def _tools(value: str) -> Test:
    wanted = _several("tools", value)
    return lambda record: not wanted.isdisjoint(record.config.get("tools") or ())


def _capability(value: str) -> Test:
    wanted = value.lower()
    return lambda record: wanted in map(str.lower, record.capabilities)


def _runtime(value: str) -> Test:
    return lambda record: record.runtime_id == value


def _text(value: str) -> Test:
    wanted = value.lower()

    def has(record: AgentMetadata) -> bool:
        config: Mapping[str, Any] = record.config
        texts = (record.agent_id, record.name, config.get("description"), config.get("specialization"))
        return any(wanted in str(text).lower() for text in (*texts, *record.capabilities) if text)

    return has


def _sort(value: str) -> str:
    if value.lstrip("-") not in SORTS or value.startswith("--"):
        known = ", ".join(SORTS)
        raise Refusal(400, f"sort: expected one of {known}, with - in front for the other way; got {value!r:.80}")
    return value


def _limit(value: str) -> int:
    return _whole("limit", value, 1, MOST)


def _offset(value: str) -> int:
    return _whole("offset", value, 0, 2**53)


_TESTS: dict[str, Callable[[str], Test]] = {
    "status": _status,
    "priority": _exact_priority,
    "min_priority": _least_priority,
    "tools": _tools,
    "capability": _capability,
    "runtime": _runtime,
    "text": _text,
}
_LISTS = ("status", "tools")
_REST: dict[str, Callable[[str], Any]] = {"sort": _sort, "limit": _limit, "offset": _offset}


def _priority(record: AgentMetadata) -> float | None:
    value = record.config.get("priority")
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value


def _several(name: str, value: str) -> set[str]:
    found = {each.strip() for each in value.split(",") if each.strip()}
    if not found:
        raise Refusal(400, f"{name}: expected a name, or several with commas; got {value!r:.80}")
    return found


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e300:
        raise Refusal(400, f"{name}: expected a number, got {value!r:.80}")
    return number


def _whole(name: str, value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and least <= int(value) <= most):
        raise Refusal(400, f"{name}: expected a whole number from {least} to {most}, got {value!r:.80}")
    return int(value)
