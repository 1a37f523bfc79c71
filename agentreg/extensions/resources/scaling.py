"""When there should be more, or less: advice by how much is taken, without haste and without flapping."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from agentreg.extensions.resources.building import fraction
from agentreg.extensions.resources.events import ScalingAdvice
from agentreg.extensions.resources.manager import ResourceManager
from agentreg.extensions.resources.sizes import format_size
from agentreg.extensions.resources.utilization import Utilization

__all__ = ["ScalingAdvisor"]

Direction: TypeAlias = Literal["up", "down"]

_log = logging.getLogger("agentreg")


class ScalingAdvisor:
    """Advice to scale, each time you call `check`: every ten seconds, say.

    The utilization is the part of the memory that is allocated or, where
    cores are limited and scarcer, of those. Above *up* it advises to add,
    below *down* to take away, as much as brings it to the middle between
    them; what waits in the line is to have room, too, and nothing is taken
    away while anybody waits.

    It takes *samples* checks in a row beyond a limit. Between the limit and
    *hysteresis* inside it, a check counts neither for nor against: the
    count begins anew only when the utilization has come back by more. After
    each advice there is silence for *cooldown* seconds, in both directions;
    if the utilization is still beyond then, the advice is repeated
    (``repeat=False``: only once it has come back in between).

    Each advice goes to *handler*, if there is one, and to the manager's
    subscribers. Nothing is checked by itself: call `check` from a loop or
    thread of your own. Thread-safe: yes; the handler is called without a
    lock, and what it raises is logged.

    Raises:
        ValueError: a limit is not between 0 and 1, *down* is not below *up*, or the hysteresis leaves nothing between.

    >>> manager = ResourceManager(hosts={"a": "10GB", "b": "10GB"}, registry=None)
    >>> advisor = ScalingAdvisor(manager)
    >>> taken = [manager.allocate(name, memory="9GB") for name in ("ann", "bob")]
    >>> advice = advisor.check()
    >>> advice.direction, advice.utilization, advice.hosts
    ('up', 0.9, 1)
    >>> advisor.check() is None
    True
    """

    def __init__(
        self,
        manager: ResourceManager,
        up: float = 0.80,
        down: float = 0.40,
        cooldown: float = 300.0,
        hysteresis: float = 0.05,
        samples: int = 1,
        handler: Callable[[ScalingAdvice], object] | None = None,
        repeat: bool = True,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._limits: dict[Direction, float] = {"up": fraction(up, "up"), "down": fraction(down, "down")}
        self._hysteresis = fraction(hysteresis, "hysteresis")
        if not down + 2 * hysteresis < up:
            raise ValueError(
                f"up, down, hysteresis: expected down + 2 * hysteresis < up, got {up}, {down}, {hysteresis}"
            )
        if isinstance(cooldown, bool) or not isinstance(cooldown, (int, float)) or not 0 <= cooldown < math.inf:
            raise ValueError(f"cooldown: expected seconds from 0 up, got {cooldown!r}")
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ValueError(f"samples: expected a whole number from 1 up, got {samples!r}")
        self._manager = manager
        self._cooldown = cooldown
        self._samples = samples
        self._handler = handler
        self._repeat = repeat
        self._clock = manager.clock if clock is None else clock
        self._lock = threading.Lock()
        self._counts: dict[Direction, int] = {"up": 0, "down": 0}
        self._spent: set[Direction] = set()
        self._silent_until = -math.inf

    def check(self) -> ScalingAdvice | None:
        """Look once: the advice that is due now, told to everybody, or None.

        The advice's revision is 0: only the subscribers' copy has one.
        """
        now, use = self._clock(), self._manager.utilization()
        with self._lock:
            direction = self._due(now, use.total.share)
        figures = None if direction is None else self._figures(direction, use)
        if figures is None:
            return None
        with self._lock:
            if now < self._silent_until:  # another thread was quicker
                return None
            self._silent_until = now + self._cooldown
            self._spent.add(figures[0])
        self._manager.announce(ScalingAdvice, *figures)
        advice = ScalingAdvice(*figures, revision=0)
        self._hand(advice)
        return advice

    def _due(self, now: float, share: float) -> Direction | None:
        excess: dict[Direction, float] = {"up": share - self._limits["up"], "down": self._limits["down"] - share}
        for direction, beyond in excess.items():
            self._count(direction, beyond)
        silent = now < self._silent_until
        return next((each for each in excess if not silent and excess[each] > 0 and self._is_due(each)), None)

    def _is_due(self, direction: Direction) -> bool:
        return self._counts[direction] >= self._samples and (self._repeat or direction not in self._spent)

    def _count(self, direction: Direction, excess: float) -> None:
        if excess > 0:
            self._counts[direction] += 1
        elif excess <= -self._hysteresis:
            self._counts[direction] = 0
            self._spent.discard(direction)

    def _figures(
        self, direction: Direction, use: Utilization
    ) -> tuple[Direction, Any, float, int, float, int, str] | None:
        if direction == "down" and use.waiting:
            return None
        target = (self._limits["up"] + self._limits["down"]) / 2
        total = use.total
        sign = 1 if direction == "up" else -1
        memory = max(0, math.ceil(sign * ((total.memory + use.waiting_memory) / target - total.memory_total)))
        cpu = 0.0 if total.cpu_total is None else max(0.0, round(sign * (total.cpu / target - total.cpu_total), 3))
        if direction == "down":
            memory = min(memory, total.memory_total)
        hosts = self._hosts(direction, memory, cpu, use)
        scarce = "memory" if total.memory_share >= total.cpu_share else "cpu"
        return (
            direction,
            scarce,
            total.share,
            memory,
            cpu,
            hosts,
            self._reason(direction, scarce, total.share, memory, cpu),
        )

    def _hosts(self, direction: Direction, memory: int, cpu: float, use: Utilization) -> int:
        number = len(use.hosts)
        parts = [memory / (use.total.memory_total / number)]
        if use.total.cpu_total:
            parts.append(cpu / (use.total.cpu_total / number))
        return math.ceil(max(parts)) if direction == "up" else min(math.floor(min(parts)), number - 1)

    def _reason(self, direction: Direction, scarce: str, share: float, memory: int, cpu: float) -> str:
        side, verb = ("above", "add") if direction == "up" else ("below", "take away")
        what = format_size(memory) + (f" and {cpu:g} cores" if cpu else "")
        return f"{share:.0%} of the {scarce} is allocated, {side} {self._limits[direction]:.0%}: {verb} {what}"

    def _hand(self, advice: ScalingAdvice) -> None:
        if self._handler is None:
            return
        try:
            self._handler(advice)
        except Exception:
            _log.exception("the handler %r failed on %r", self._handler, advice)
