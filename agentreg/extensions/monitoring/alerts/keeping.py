"""What is kept of alerts over a restart, and what `Alerts` asks of whoever keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentreg.extensions.monitoring.alerts.events import AlertEvent
from agentreg.extensions.monitoring.alerts.silences import Silence
from agentreg.extensions.monitoring.alerts.tracking import Acknowledgement

__all__ = ["Changes", "Keeper", "Kept", "KeptAlert"]


@dataclass(frozen=True)
class KeptAlert:
    """A pending or firing alert; all times in seconds since 1970.

    Attributes:
        rule: The rule's name.
        agent: Whom it concerns.
        since: Since when its condition has held.
        fired_at: When it fired; None while it is pending.
        told_at: When the handlers were last told, or None.
        acknowledged: By whom, or None.
    """

    rule: str
    agent: str
    since: float
    fired_at: float | None = None
    told_at: float | None = None
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True)
class Kept:
    """Everything that was kept.

    Attributes:
        alerts: Pending and firing ones.
        silences: Those that were not ended.
        history: The latest events, oldest first.
        saved_at: When something was last saved, in seconds since 1970; 0: never.
    """

    alerts: Sequence[KeptAlert] = ()
    silences: Sequence[Silence] = ()
    history: Sequence[AlertEvent] = ()
    saved_at: float = 0.0


@dataclass
class Changes:
    """What has changed since the last saving.

    Attributes:
        alerts: New or changed ones.
        gone: (rule's name, agent) of those that are over.
        silences: New ones.
        ended: The ids of those that have ended.
        events: New ones, oldest first.
        at: When, in seconds since 1970.
    """

    alerts: list[KeptAlert] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    events: list[AlertEvent] = field(default_factory=list)
    at: float = 0.0


class Keeper(Protocol):
    """Whoever keeps the state of alerts over a restart. Calls come one at a time, from any thread."""

    def load(self, history: int) -> Kept:
        """Everything, with the latest *history* events."""

    def save(self, changes: Changes) -> None:
        """Keep *changes*, all of them or none. Whatever it raises is logged, and they come again with the next."""
