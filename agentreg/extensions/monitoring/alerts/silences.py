"""Silences: which alerts are kept from the handlers, until when, by whom and why."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any

from agentreg.extensions.monitoring.alerts.texts import checked_text

__all__ = ["Silence", "Silences"]

TEXT_LIMIT = 1000  # characters of who and why, each
LIMIT = 1000  # silences at a time


@dataclass(frozen=True)
class Silence:
    """What is silenced.

    Attributes:
        id: Names this silence.
        rule: Which rules, as a pattern of their names.
        agent: Which agents, as a pattern.
        until: When it ends, in seconds since 1970.
        by: Who wanted it.
        why: For which reason.
        made_at: When, in seconds since 1970.
    """

    id: str
    rule: str
    agent: str
    until: float
    by: str
    why: str
    made_at: float

    def covers(self, rule: str, agent: str) -> bool:
        """Whether an alert is silenced by it.

        >>> Silence("1", "high_*", "*", 0.0, "ann", "", 0.0).covers("high_memory", "planner")
        True
        """
        return fnmatchcase(rule, self.rule) and fnmatchcase(agent, self.agent)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON, with the times in ISO 8601."""
        times = {key: datetime.fromtimestamp(getattr(self, key), timezone.utc).isoformat() for key in _TIMES}
        return {**asdict(self), **times}


_TIMES = ("until", "made_at")


class Silences:
    """Those that hold. Not thread-safe: their user holds a lock."""

    def __init__(self) -> None:
        self._known: dict[str, Silence] = {}

    def add(self, rule: str, agent: str, until: datetime | float, by: str, why: str, now: float) -> Silence:
        """A new silence, from *now* on. Raises ValueError."""
        ends = _seconds(until)
        if not now < ends < math.inf:
            raise ValueError(f"until: expected a time to come, in seconds since 1970 or as a datetime, got {until!r}")
        for what, text in (("rule", rule), ("agent", agent), ("by", by)):
            checked_text(text, what, TEXT_LIMIT)
        checked_text(why, "why", TEXT_LIMIT, empty=True)
        if len(self._known) >= LIMIT:
            raise ValueError(f"there are {LIMIT} silences already; end some, or use patterns")
        silence = Silence(uuid.uuid4().hex, rule, agent, ends, by, why, now)
        self._known[silence.id] = silence
        return silence

    def restore(self, silences: Iterable[Silence]) -> None:
        """Take in those that were kept."""
        self._known.update((silence.id, silence) for silence in silences)

    def end(self, silence_id: str) -> Silence | None:
        """End one before its time."""
        return self._known.pop(silence_id, None)

    def expire(self, now: float) -> list[Silence]:
        """End those whose time is over."""
        over = [silence for silence in self._known.values() if silence.until <= now]
        for silence in over:
            del self._known[silence.id]
        return over

    def all(self, now: float) -> list[Silence]:
        """Those that hold at *now*, in the order in which they were made."""
        return [silence for silence in self._known.values() if silence.until > now]

    def cover(self, rule: str, agent: str, now: float) -> bool:
        """Whether one of them holds for an alert."""
        return any(silence.until > now and silence.covers(rule, agent) for silence in self._known.values())


def _seconds(until: datetime | float) -> float:
    if isinstance(until, datetime):
        if until.tzinfo is None:
            raise ValueError(f"until: expected a time with its time zone, got {until!r}")
        return until.timestamp()
    if isinstance(until, bool) or not isinstance(until, (int, float)):
        raise ValueError(f"until: expected seconds since 1970 or a datetime, got {until!r}")
    return float(until)
