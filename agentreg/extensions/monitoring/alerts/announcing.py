"""What is said of alerts: events for the handlers, and what is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

from agentreg.extensions.monitoring.alerts.events import Alert, AlertEvent, event_of
from agentreg.extensions.monitoring.alerts.silences import Silences
from agentreg.extensions.monitoring.alerts.tracking import Firing, Tracker, Transition

__all__ = ["Announcer"]


class Announcer:
    """Makes events and listings; knows what is silenced, and what is to be repeated.

    Where *now* and *wall* are asked for, they are the same moment by the
    clock and on the wall. Not thread-safe: its user holds a lock.
    """

    def __init__(self, silences: Silences, wall: Callable[[], float], repeat: float | None) -> None:
        self._silences = silences
        self._wall = wall
        self._repeat = repeat

    def event(self, tracker: Tracker, change: Transition, now: float, wall: float) -> AlertEvent:
        """The event of a change; one that fires and isn't silenced counts as told."""
        firing = change.firing
        silenced = self._is_silenced(tracker, change.agent)
        if change.kind == "firing" and not silenced:
            firing.told_at = now
        elif change.kind == "firing":
            tracker.untold.add(change.agent)
        hidden = silenced or firing.told_at is None
        since = wall - (now - firing.since)
        rule, at = tracker.rule, self._wall()
        return event_of(rule, change.kind, change.agent, change.value, at, since, change.reason, hidden)

    def late(self, trackers: Iterable[Tracker], now: float, wall: float) -> list[AlertEvent]:
        """Those of alerts whose silence is over, and of those that are to be repeated."""
        events = []
        for tracker in trackers:
            for agent in tuple(tracker.untold if self._repeat is None else tracker.firing):
                firing = tracker.firing[agent]
                kind = self._due(firing, now)
                if kind and not self._is_silenced(tracker, agent):
                    firing.told_at = now
                    tracker.untold.discard(agent)
                    tracker.touched.add(agent)
                    value, since = tracker.value_of(agent), wall - (now - firing.since)
                    events.append(event_of(tracker.rule, kind, agent, value, self._wall(), since))
        return events

    def listed(self, tracker: Tracker, agent: str, now: float, wall: float) -> Alert:
        """The alert of an agent that is pending or firing."""
        rule, firing = tracker.rule, tracker.firing.get(agent)
        since = tracker.pending[agent] if firing is None else firing.since
        condition = rule.severity, rule.metric, rule.condition
        alert = Alert(rule.name, agent, "pending", *condition, tracker.value_of(agent), wall - (now - since))
        if firing is None:
            return alert
        seen = firing.acknowledged
        return replace(
            alert,
            state="firing",
            fired_at=wall - (now - firing.fired_at),
            silenced=self._is_silenced(tracker, agent),
            acknowledged_by=seen.by if seen else None,
            acknowledged_at=seen.at if seen else None,
            note=seen.note if seen else "",
        )

    def _is_silenced(self, tracker: Tracker, agent: str) -> bool:
        return self._silences.cover(tracker.rule.name, agent, self._wall())

    def _due(self, firing: Firing, now: float) -> Literal["firing", "repeated"] | None:
        if firing.acknowledged is not None:
            return None
        if firing.told_at is None:
            return "firing"
        return "repeated" if self._repeat is not None and now - firing.told_at >= self._repeat else None
