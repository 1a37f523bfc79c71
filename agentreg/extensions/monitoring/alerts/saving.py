"""What has to be kept: collected while the engine's lock is held, saved when it isn't."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

from agentreg.extensions.monitoring.alerts.events import AlertEvent
from agentreg.extensions.monitoring.alerts.keeping import Changes, Keeper, Kept, KeptAlert
from agentreg.extensions.monitoring.alerts.rule import AlertRule
from agentreg.extensions.monitoring.alerts.silences import Silence
from agentreg.extensions.monitoring.alerts.tracking import Firing, Tracker

__all__ = ["Saving"]

_log = logging.getLogger("agentreg")

HEARTBEAT = 60.0  # seconds after which it is noted that alerts are still watched


class Saving:
    """The way to the keeper, and back from it. Not thread-safe, but for `save`, of which one runs at a time.

    Attributes:
        failures: How often the keeper has failed.
    """

    def __init__(self, keeper: Keeper | None, history: int) -> None:
        self.failures = 0
        self._keeper = keeper
        self._history = history
        self._kept: dict[str, list[KeptAlert]] = {}
        self._loaded_from = self._saved_at = 0.0
        self._open: set[tuple[str, str]] = set()
        self._changes = Changes()

    def load(self) -> Kept:
        """What was kept; its alerts wait until their rules are there."""
        if self._keeper is None:
            return Kept()
        kept = self._keeper.load(self._history)
        self._loaded_from = kept.saved_at
        for alert in kept.alerts:
            self._kept.setdefault(alert.rule, []).append(alert)
        return kept

    def is_known(self, rule: str) -> bool:
        """Whether alerts wait for a rule of this name."""
        return rule in self._kept

    def take(
        self, rule: AlertRule, now: float, wall: float, stale_after: float
    ) -> Iterator[tuple[str, float, Firing | None]]:
        """Agent, since when, and its alert if that fires, by the clock: what was kept of *rule*.

        What was pending is not taken up where nobody has watched for too long.
        """
        for kept in self._kept.pop(rule.name, ()):
            since = now - max(0.0, wall - kept.since)
            if kept.fired_at is None:
                if wall - self._loaded_from <= stale_after:
                    yield kept.agent, since, None
                else:
                    self._touch(rule.name, kept.agent)
            else:
                told_at = None if kept.told_at is None else now - max(0.0, wall - kept.told_at)
                fired_at = now - max(0.0, wall - kept.fired_at)
                yield kept.agent, since, Firing(since, fired_at, told_at, acknowledged=kept.acknowledged)

    # -- collecting ---------------------------------------------------------

    def _touch(self, rule: str, agent: str) -> None:
        if self._keeper is not None:
            self._open.add((rule, agent))

    def touch(self, tracker: Tracker) -> None:
        """Take over what a rule has changed."""
        if tracker.touched:
            for agent in tracker.touched:
                self._touch(tracker.rule.name, agent)
            tracker.touched = set()

    def note(self, events: Iterable[AlertEvent]) -> None:
        """Keep events."""
        if self._keeper is not None:
            self._changes.events.extend(events)
            del self._changes.events[: -self._history]

    def begin(self, silence: Silence) -> None:
        """Keep a silence."""
        if self._keeper is not None:
            self._changes.silences.append(silence)

    def end(self, silence: Silence) -> None:
        """Keep that a silence has ended."""
        if self._keeper is not None:
            self._changes.ended.append(silence.id)

    def collect(self, trackers: dict[str, Tracker], now: float, wall: float, at: float) -> Changes | None:
        """What is to be saved *at* a time; None if there is nothing. *now* by the clock was *wall*."""
        if self._keeper is None:
            return None
        for tracker in trackers.values():
            self.touch(tracker)
        collected = self._changes
        idle = not (self._open or collected.events or collected.silences or collected.ended)
        if idle and (at - self._saved_at < HEARTBEAT or not any(each.pending for each in trackers.values())):
            return None
        self._changes, changed, self._open = Changes(), self._open, set()
        for rule, agent in changed:
            alert = _kept_alert(trackers.get(rule), agent, now, wall)
            if alert is None:
                collected.gone.append((rule, agent))
            else:
                collected.alerts.append(alert)
        return replace(collected, at=at)

    def put_back(self, changes: Changes) -> None:
        """They could not be saved."""
        self._open |= {(alert.rule, alert.agent) for alert in changes.alerts} | set(changes.gone)
        later = self._changes
        self._changes = Changes(
            silences=changes.silences + later.silences,
            ended=changes.ended + later.ended,
            events=(changes.events + later.events)[-self._history :],
        )

    # -- saving -------------------------------------------------------------

    def save(self, changes: Changes) -> bool:
        """Whether the keeper has taken them; its errors are logged."""
        assert self._keeper is not None
        try:
            self._keeper.save(changes)
        except Exception:
            self.failures += 1
            _log.exception("the states of alerts could not be kept; they will be with the next")
            return False
        self._saved_at = changes.at
        return True


def _kept_alert(tracker: Tracker | None, agent: str, now: float, wall: float) -> KeptAlert | None:
    if tracker is None:
        return None

    def on_the_wall(moment: float) -> float:
        return wall - (now - moment)

    firing = tracker.firing.get(agent)
    if firing is not None:
        told_at = None if firing.told_at is None else on_the_wall(firing.told_at)
        times = on_the_wall(firing.since), on_the_wall(firing.fired_at), told_at
        return KeptAlert(tracker.rule.name, agent, *times, firing.acknowledged)
    since = tracker.pending.get(agent)
    return None if since is None else KeptAlert(tracker.rule.name, agent, on_the_wall(since))
