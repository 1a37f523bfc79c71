"""`Alerts`: fed with samples and events, it says which rules are broken, by whom, and when that is over."""

from __future__ import annotations

import difflib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice

from agentreg.extensions.monitoring.alerts.announcing import Announcer
from agentreg.extensions.monitoring.alerts.defaults import DEFAULT_RULES
from agentreg.extensions.monitoring.alerts.delivery import Delivery, Handler
from agentreg.extensions.monitoring.alerts.errors import AlertNotFoundError
from agentreg.extensions.monitoring.alerts.events import Alert, AlertEvent, AlertState, Reason
from agentreg.extensions.monitoring.alerts.feeds import Feeds
from agentreg.extensions.monitoring.alerts.keeping import Keeper
from agentreg.extensions.monitoring.alerts.rule import AlertRule
from agentreg.extensions.monitoring.alerts.saving import Saving
from agentreg.extensions.monitoring.alerts.silences import TEXT_LIMIT, Silence, Silences
from agentreg.extensions.monitoring.alerts.texts import checked_text
from agentreg.extensions.monitoring.alerts.tracking import Acknowledgement, Tracker, Transition
from agentreg.extensions.monitoring.alerts.units import KNOWN_METRICS, Dimension

__all__ = ["Alerts"]


class Alerts:
    """Rules over the metrics of agents.

    Feed it with `observe_many`, `observe` and `count`, and call `evaluate`
    now and then: every ten seconds, for example. What metrics are measured
    in stands in `KNOWN_METRICS`; shares as fractions of 1.

    An alert, one for each rule and agent, is pending while the condition
    holds but not for long enough, then fires, once, and is resolved when
    the condition is false by the rule's margin, or has been false for the
    rule's ``clear after``; when there is no data any more; or when the agent
    is forgotten. The states change in `evaluate` (and `forget` and
    `remove_rule`), which tells the handlers.

    Nothing is fed by itself, and no thread runs but to tell handlers of
    what there is to tell. Thread-safe: yes; samples of one agent and metric
    count in the order in which they come.

    Args:
        rules: What is watched: rules, or texts that are parsed.
        clock: Seconds, never going back: ``at`` and ``now`` are by it.
        wall: Seconds since 1970, for what people see, for silences, and over a restart.
        handlers: Who is told: functions, or objects with ``notify``.
        keeper: Who keeps states over a restart; see `SqliteKeeper`.
        metrics: Metric -> what it is measured in.
        stale_after: Seconds without a sample after which nothing is known of an agent's metric; None: never.
        repeat: Seconds after which an alert that still fires, and that nobody has acknowledged, is told of again;
            None: never.
        history: How many events `history` goes back.
        patience: Seconds that a call waits for handlers; one that takes longer is left to itself.

    Example:
        >>> now = 0.0
        >>> alerts = Alerts(["memory_usage > 90% for 2m"], clock=lambda: now)
        >>> for now in (0.0, 60.0, 120.0):
        ...     alerts.observe("memory_usage", "planner", 0.93)
        ...     for event in alerts.evaluate():
        ...         print(now, event.message)
        120.0 warning: memory_usage > 90% for 2m: memory_usage of 'planner' is 93% (memory_usage > 90% for 2m)
    """

    def __init__(
        self,
        rules: Iterable[AlertRule | str] = DEFAULT_RULES,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        handlers: Iterable[Handler] = (),
        keeper: Keeper | None = None,
        metrics: Mapping[str, Dimension] = KNOWN_METRICS,
        stale_after: float | None = 300.0,
        repeat: float | None = None,
        history: int = 1000,
        patience: float = 1.0,
    ) -> None:
        for what, seconds in (("stale_after", stale_after), ("repeat", repeat)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{what}: expected seconds above 0, or None, got {seconds!r}")
        self._clock, self._wall = clock, wall
        self._metrics = dict(metrics)
        self._lock = threading.RLock()
        self._feeds = Feeds(self._metrics, stale_after)
        self._trackers: dict[str, Tracker] = {}
        self._silences = Silences()
        self._announcer = Announcer(self._silences, wall, repeat)
        self._history: deque[AlertEvent] = deque(maxlen=history)
        self._delivery = Delivery(handlers, patience)
        self._evaluated = self._evaluated_wall = -math.inf
        self._outbox: list[AlertEvent] = []
        self._publishing = threading.Lock()
        self._saving = Saving(keeper, history)
        kept = self._saving.load()
        self._silences.restore(kept.silences)
        self._history.extend(kept.history)
        for rule in rules:
            self.add_rule(rule)

    # -- rules --------------------------------------------------------------

    def rules(self) -> list[AlertRule]:
        """The rules, in the order in which they were added."""
        with self._lock:
            return [tracker.rule for tracker in self._trackers.values()]

    def add_rule(self, rule: AlertRule | str) -> AlertRule:
        """Watch one more rule, from what is fed after this; alerts that were kept under its name go on.

        Raises AlertRuleError for a text that is no rule or a metric that
        isn't there, and ValueError if its name is taken.

        >>> alerts = Alerts([])
        >>> alerts.add_rule("busy: task_queue_length >= 100").name
        'busy'
        >>> [str(rule) for rule in alerts.rules()]
        ['busy: task_queue_length >= 100']
        """
        checked = AlertRule.parse(str(rule), metrics=self._metrics)
        with self._lock:
            if checked.name in self._trackers:
                raise ValueError(f"there is a rule named {checked.name!r} already; remove it first, or name this one")
            tracker = self._trackers[checked.name] = self._feeds.add(checked)
            now = self._clock() if self._saving.is_known(checked.name) else 0.0
            for agent, pending, firing in self._saving.take(checked, now, self._wall(), self._feeds.stale_after):
                self._feeds.restore(tracker, agent, pending, firing, now)
        return checked

    def remove_rule(self, name: str) -> list[AlertEvent]:
        """Watch a rule no more; its alerts are resolved. Raises AlertNotFoundError."""
        with self._lock:
            tracker = self._tracker(name)
            del self._trackers[name]
            self._feeds.remove(tracker)
            events = [self._over(tracker, agent, "rule removed") for agent in list(tracker.firing)]
            for agent in list(tracker.pending):
                tracker.forget(agent)
            self._saving.touch(tracker)
            self._enter(events)
        return self._publish(events)

    # -- feeding ------------------------------------------------------------

    def observe_many(self, metric: str, values: Mapping[str, float], at: float | None = None) -> None:
        """Take in a sample of *metric* for each of several agents, taken at *at* (now).

        A sample older than the agent's last is dropped, and counted. Raises
        ValueError, and takes in nothing, for a metric that isn't there or
        is counted, and for a value that is no finite number.
        """
        self._feeds.check(metric, values, counted=False)
        at = self._moment(at)
        with self._lock:
            self._feeds.observe(metric, values, at)

    def observe(self, metric: str, agent: str, value: float, at: float | None = None) -> None:
        """Take in one sample, like `observe_many`.

        >>> alerts = Alerts(["memory_usage > 90%"])
        >>> alerts.observe("memory_usage", "planner", 0.95)
        >>> [event.shown for event in alerts.evaluate()]
        ['95%']
        """
        self.observe_many(metric, {agent: value}, at)

    def count(self, metric: str, agent: str, n: float = 1, at: float | None = None) -> None:
        """Count *n* events of an agent that happened at *at* (now).

        Raises ValueError for a metric that isn't there or is measured, and for an *n* that isn't above 0.

        >>> alerts = Alerts(["connection_failures > 5 in 1m"])
        >>> alerts.count("connection_failures", "planner", 6)
        >>> [event.agent for event in alerts.evaluate()]
        ['planner']
        """
        self._feeds.check(metric, {agent: n}, counted=True)
        at = self._moment(at)
        with self._lock:
            self._feeds.count(metric, agent, n, at)

    def forget(self, agent: str) -> list[AlertEvent]:
        """The agent has left: drop what is known of it, and resolve its alerts with the reason ``"departed"``."""
        with self._lock:
            trackers = [each for each in self._trackers.values() if agent in each.firing]
            events = [self._over(tracker, agent, "departed") for tracker in trackers]
            self._feeds.forget(agent)
            self._enter(events)
        return self._publish(events)

    # -- evaluating ---------------------------------------------------------

    def evaluate(self, now: float | None = None) -> list[AlertEvent]:
        """What has changed at *now*, with what is silenced marked so; the handlers are told of the rest.

        States are saved before anybody is told. An evaluation never goes
        back: one with an earlier *now* counts as of the latest.
        """
        now = self._moment(now)
        with self._lock:
            wall = self._wall()
            now = max(now, self._evaluated)
            self._evaluated, self._evaluated_wall = now, wall
            events = [self._announcer.event(*found, now, wall) for found in self._feeds.evaluate(now)]
            events += self._announcer.late(self._trackers.values(), now, wall)
            for silence in self._silences.expire(wall):
                self._saving.end(silence)
            self._enter(events)
        return self._publish(events)

    # -- what there is ------------------------------------------------------

    def active(self, pending: bool = False) -> list[Alert]:
        """The alerts that fire, silenced and acknowledged ones included; with *pending*, also those that may.

        In the order of the rules, then in that in which they fired.

        >>> alerts = Alerts(["memory_usage > 90% for 2m"])
        >>> alerts.observe("memory_usage", "planner", 0.95)
        >>> alerts.evaluate(), alerts.active()
        ([], [])
        >>> [(alert.agent, alert.state) for alert in alerts.active(pending=True)]
        [('planner', 'pending')]
        """
        with self._lock:
            now, wall = self._now()
            found = []
            for tracker in self._trackers.values():
                found += [self._announcer.listed(tracker, agent, now, wall) for agent in tracker.firing]
                if pending:
                    rest = [agent for agent in tracker.pending if agent not in tracker.firing]
                    found += [self._announcer.listed(tracker, agent, now, wall) for agent in rest]
            return found

    def state(self, rule: str, agent: str) -> AlertState:
        """How it stands between a rule and an agent; ``"resolved"`` as long as the history knows of it.

        Raises AlertNotFoundError for a rule that isn't there.

        >>> Alerts().state("high_memory", "planner")
        'inactive'
        """
        with self._lock:
            tracker = self._tracker(rule)
            if agent in tracker.firing:
                return "firing"
            if agent in tracker.pending:
                return "pending"
            fired_once = any(event.rule == rule and event.agent == agent for event in self._history)
            return "resolved" if fired_once else "inactive"

    def history(self, limit: int = 100) -> list[AlertEvent]:
        """The latest *limit* events, the newest first, silenced ones included.

        >>> Alerts().history(limit=10)
        []
        """
        if limit < 0:
            raise ValueError(f"limit: expected 0 or more, got {limit!r}")
        with self._lock:
            return list(islice(reversed(self._history), limit))

    def counters(self) -> dict[str, int]:
        """What was lost or went wrong so far, and what went well.

        ``late`` samples that came after newer ones; ``unsaved`` times that
        the keeper failed; events ``delivered`` to handlers, calls that
        ``failed``, and events ``dropped`` because a handler was too slow.

        >>> Alerts().counters()
        {'late': 0, 'unsaved': 0, 'delivered': 0, 'failed': 0, 'dropped': 0}
        """
        return {"late": self._feeds.late, "unsaved": self._saving.failures, **self._delivery.counters()}

    # -- people -------------------------------------------------------------

    def silence(self, rule: str = "*", agent: str = "*", *, until: datetime | float, by: str, why: str = "") -> Silence:
        """Keep alerts of *rule* and *agent*, patterns both, from the handlers; they are still listed.

        One that still fires when no silence covers it any more is told of
        then. Raises ValueError for an *until* (seconds since 1970, or a
        datetime with its zone) that isn't in the future.

        >>> import time
        >>> alerts = Alerts()
        >>> silence = alerts.silence(agent="planner-*", until=time.time() + 3600, by="ann", why="moving house")
        >>> [each.by for each in alerts.silences()]
        ['ann']
        >>> alerts.unsilence(silence.id)
        >>> alerts.silences()
        []
        """
        with self._lock:
            silence = self._silences.add(rule, agent, until, by, why, self._wall())
            self._saving.begin(silence)
        self._publish([])
        return silence

    def unsilence(self, silence_id: str) -> None:
        """End a silence before its time. Raises AlertNotFoundError."""
        with self._lock:
            silence = self._silences.end(silence_id)
            if silence is None:
                raise AlertNotFoundError(f"silence {silence_id!r:.100}", (each.id for each in self.silences()[:3]))
            self._saving.end(silence)
        self._publish([])

    def silences(self) -> list[Silence]:
        """The silences that hold, in the order in which they were made."""
        with self._lock:
            return self._silences.all(self._wall())

    def acknowledge(self, rule: str, agent: str, by: str, note: str = "") -> Alert:
        """Somebody has seen a firing alert: it stays listed until it is resolved, and is not repeated.

        Raises AlertNotFoundError where none fires.

        >>> alerts = Alerts(["busy: task_queue_length >= 100"])
        >>> alerts.observe("task_queue_length", "planner", 120)
        >>> fired = alerts.evaluate()
        >>> alerts.acknowledge("busy", "planner", by="ann").acknowledged_by
        'ann'
        """
        seen = Acknowledgement(
            checked_text(by, "by", TEXT_LIMIT), self._wall(), checked_text(note, "note", TEXT_LIMIT, True)
        )
        with self._lock:
            tracker = self._tracker(rule)
            firing = tracker.firing.get(agent)
            if firing is None:
                raise AlertNotFoundError(f"alert of {rule!r} that fires for {agent!r}", list(tracker.firing)[:3])
            firing.acknowledged = seen
            tracker.untold.discard(agent)
            tracker.touched.add(agent)
            alert = self._announcer.listed(tracker, agent, *self._now())
        self._publish([])
        return alert

    # -- telling ------------------------------------------------------------

    def add_handler(self, handler: Handler) -> None:
        """Tell one more of what happens from now on.

        >>> Alerts().add_handler(print)
        """
        self._delivery.add(handler)

    def wait_for_handlers(self, timeout: float) -> bool:
        """Whether every handler has heard of everything, within *timeout* seconds.

        >>> Alerts().wait_for_handlers(timeout=1.0)
        True
        """
        return self._delivery.wait(timeout)

    def _enter(self, events: list[AlertEvent]) -> None:
        self._history.extend(events)
        self._saving.note(events)
        self._outbox.extend(event for event in events if not event.silenced)

    def _publish(self, events: list[AlertEvent]) -> list[AlertEvent]:
        """Save, then tell; without the lock, but one thread at a time, so that the order is that of the history."""
        with self._publishing:
            with self._lock:
                told, self._outbox = self._outbox, []
                changes = self._saving.collect(self._trackers, *self._now(), self._wall())
            if changes is not None and not self._saving.save(changes):
                with self._lock:
                    self._saving.put_back(changes)
            self._delivery.put(told)
        if told:
            self._delivery.wait_patiently()
        return events

    # -- helpers ------------------------------------------------------------

    def _over(self, tracker: Tracker, agent: str, reason: Reason) -> AlertEvent:
        change = Transition("resolved", agent, tracker.value_of(agent), tracker.firing[agent], reason)
        tracker.forget_alert(agent)
        return self._announcer.event(tracker, change, *self._now())

    def _moment(self, given: float | None) -> float:
        if given is None:
            return self._clock()
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
            raise ValueError(f"expected a time in seconds by the clock, got {given!r}")
        return float(given)

    def _now(self) -> tuple[float, float]:
        """The last evaluation's time by the clock and on the wall; without one, the present."""
        if self._evaluated > -math.inf:
            return self._evaluated, self._evaluated_wall
        return self._clock(), self._wall()

    def _tracker(self, name: str) -> Tracker:
        tracker = self._trackers.get(name)
        if tracker is None:
            nearest = difflib.get_close_matches(str(name), self._trackers, 3, 0.4) or list(self._trackers)[:3]
            raise AlertNotFoundError(f"rule named {name!r:.300}", nearest)
        return tracker
