"""How often an agent may be restarted."""

from __future__ import annotations

from collections import deque

__all__ = ["RestartLimit"]


class RestartLimit:
    """At most *restarts* of an agent within *period* seconds, like the intensity and period of an OTP supervisor.

    The one too many is refused, and with it every further one until
    `reset`: an agent that falls again and again is not helped by a pause.
    What is kept of an agent is at most *restarts* times.

    Not thread-safe: it belongs to one `Recovery`.

    Example:
        >>> limit = RestartLimit(restarts=2, period=60)
        >>> [limit.allows("planner", now) for now in (0.0, 10.0, 20.0, 500.0)]
        [True, True, False, False]
        >>> limit.reset("planner")
        >>> limit.allows("planner", 510.0)
        True
    """

    def __init__(self, restarts: int = 3, period: float = 300.0) -> None:
        if restarts < 0 or not period > 0:
            raise ValueError(f"expected 0 or more restarts in more than 0 seconds, got {restarts!r} in {period!r}")
        self.restarts = restarts
        self.period = period
        self._times: dict[str, deque[float]] = {}
        self._given_up: set[str] = set()

    def allows(self, agent: str, now: float) -> bool:
        """Whether *agent* may be restarted at *now*; if so, that counts as done."""
        if self.has_given_up(agent):
            return False
        times = self._times.setdefault(agent, deque())
        while times and times[0] <= now - self.period:
            times.popleft()
        if len(times) >= self.restarts:
            self._given_up.add(agent)
            return False
        times.append(now)
        return True

    def has_given_up(self, agent: str) -> bool:
        """Whether *agent* was to be restarted once too often."""
        return agent in self._given_up

    def reset(self, agent: str) -> None:
        """Begin anew with *agent*: somebody has mended it, or it has left."""
        self._given_up.discard(agent)
        self._times.pop(agent, None)
