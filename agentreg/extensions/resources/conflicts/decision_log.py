"""DecisionLog: what was decided, kept in memory or in a file, and explained."""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import Protocol

from typing_extensions import Self

from agentreg.extensions.resources.conflicts.decision_file import DecisionFile
from agentreg.extensions.resources.conflicts.decisions import Decision
from agentreg.extensions.resources.conflicts.lock import lock

__all__ = ["DecisionLog"]

_log = logging.getLogger("agentreg")


class DecisionStore(Protocol):
    """Where decisions are kept. Thread-safe."""

    def add(self, decision: Decision) -> None:
        """Keep it; the oldest goes where there are too many."""

    def find(self, name: str | None) -> list[Decision]:
        """Those about *name*, or all, the oldest first."""

    def close(self) -> None:
        """Let go of what is open."""


class DecisionLog:
    """What was decided about agents, and why: the last *limit* decisions.

    In memory, or with *path* in a SQLite file, which other processes may
    read and write at the same time, so that they can say why an agent is
    as it is. With ``read_only=True`` the file must be there, and nothing
    is written.

    A decision that can't be written holds up no work: the error goes to the
    log ``agentreg``, and `lost` counts it.

    Thread-safe: yes.

    Raises:
        DecisionLogError: the file can't be opened, or is none of decisions.
        ValueError: *limit* is below 1.

    Example:
        >>> with DecisionLog() as log:
        ...     log.record(Decision("name", "scout", "refuse", "refused", "the name is taken"))
        ...     print(log.explain("scout"))  # doctest: +ELLIPSIS
        20... name conflict of 'scout': refused, by policy (refuse): the name is taken
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, limit: int = 10_000, read_only: bool = False
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit: expected at least 1 decision, got {limit}")
        self.lost = 0
        """How many decisions could not be kept."""
        self._store: DecisionStore = _Memory(limit) if path is None else DecisionFile(path, limit, read_only)

    def record(self, decision: Decision) -> None:
        """Keep *decision*. Never raises for trouble with the file; see `lost`."""
        try:
            self._store.add(decision)
        except OSError:
            self.lost += 1
            _log.exception("a decision about %r could not be kept", decision.subject)

    def decisions(self, name: str | None = None) -> list[Decision]:
        """Those about *name*, under which it was asked for or that it was given; without one all. The oldest first.

        >>> DecisionLog().decisions("scout")
        []

        Raises:
            DecisionLogError: the file can't be read.
        """
        return self._store.find(name)

    def explain(self, name: str) -> str:
        """Why the agent *name* is as it is, as a readable text: a line for each decision and each step.

        >>> DecisionLog().explain("scout")
        "nothing was decided about 'scout'"
        """
        found = self.decisions(name)
        lines = [f"{each.when:%Y-%m-%d %H:%M:%SZ} {each.told()}" for each in found]
        return "\n".join(lines) or f"nothing was decided about {name!r}"

    def close(self) -> None:
        """Close the file, if there is one; what is recorded after that is lost."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Memory:
    """The last decisions, in this process."""

    def __init__(self, limit: int) -> None:
        self._decisions: deque[Decision] = deque(maxlen=limit)

    def add(self, decision: Decision) -> None:
        with lock:
            self._decisions.append(decision)

    def find(self, name: str | None) -> list[Decision]:
        with lock:
            decisions = self._decisions.copy()
        return [each for each in decisions if name is None or name == each.subject or name in each.names]

    def close(self) -> None:
        """Let go of nothing: nothing is open."""
