"""What was decided, and what waits for a decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from agentreg.extensions.resources import (
    Answer,
    ConflictResolver,
    Decision,
    DecisionLog,
    DecisionLogError,
    PendingDecision,
)
from agentreg.extensions.service.operations.asking import iso
from agentreg.extensions.service.operations.files import mend

__all__ = ["Decisions", "LateLog", "decision_shown"]


class LateLog(DecisionLog):
    """A log of decisions that is written in a thread, so that deciding waits for no disk.

    Args:
        path: The file; None: in memory.
        submit: Has something done in the thread, one such after the other.

    Attributes:
        names: Agent id -> the name that it also can be found under, while something is decided about it.
    """

    def __init__(self, path: str | None, submit: Callable[[Callable[[], object]], object]) -> None:
        super().__init__()
        self.names: dict[str, str] = {}
        self._path = path
        self._submit = submit
        self._kept: DecisionLog | None = None
        self._asked: deque[Decision] = deque(maxlen=1_000)

    def record(self, decision: Decision) -> None:
        """Keep *decision*, soon."""
        name = self.names.get(decision.subject)
        if name is not None and name != decision.subject:
            decision = replace(decision, names=(*decision.names, name))
        if decision.choice == "pending":
            self._asked.append(decision)
        if self._path is None:
            super().record(decision)
        else:
            self._submit(lambda: self._write(decision))

    def decisions(self, name: str | None = None) -> list[Decision]:
        """Those about *name*, or all, the oldest first. Blocks: to be called in the thread. Raises DecisionLogError."""
        return super().decisions(name) if self._path is None else self._open().decisions(name)

    def close(self) -> None:
        """Close the file. Blocks: to be called in the thread."""
        if self._kept is not None:
            self._kept.close()

    def asked_at(self, question: PendingDecision) -> datetime | None:
        """When a question was asked."""
        about = question.conflict, question.question
        return next((each.when for each in reversed(self._asked) if (each.kind, each.reason) == about), None)

    def _write(self, decision: Decision) -> None:
        try:
            kept = self._open()
        except DecisionLogError:
            self.lost += 1
            raise
        kept.record(decision)

    def _open(self) -> DecisionLog:
        if self._kept is None:
            assert self._path is not None
            try:
                self._kept = DecisionLog(self._path)
            except DecisionLogError:
                if mend(self._path) is None:
                    raise
                self._kept = DecisionLog(self._path)
        return self._kept


class Decisions:
    """The decisions of a service, made and to be made.

    Attributes:
        log: What was decided.
    """

    def __init__(self, log: LateLog, resolvers: Iterable[ConflictResolver]) -> None:
        self.log = log
        self._resolvers = tuple(resolvers)

    def latest(self, name: str | None, limit: int) -> list[dict[str, Any]]:
        """The latest *limit*, about *name* or all, the newest first. Blocks: to be called in the thread."""
        return [decision_shown(each) for each in reversed(self.log.decisions(name)[-limit:])]

    def pending(self) -> list[dict[str, Any]]:
        """The questions that wait for an answer, the oldest first."""
        return [self._shown(question) for resolver in self._resolvers for question in resolver.pending()]

    def answer(self, decision_id: str, choice: str, by: str, reason: str) -> Answer:
        """Answer a question.

        Raises:
            LookupError: there is no such question.
            AlreadyAnsweredError: somebody was first, or its time was up.
            ValueError: *choice* is none of its choices.
        """
        problem: LookupError | None = None
        for resolver in self._resolvers:
            try:
                return resolver.answer(decision_id, choice, by, reason)
            except LookupError as error:
                problem = error
        there = ", ".join(each["id"] for each in self.pending()) or "none"
        raise LookupError(f"no pending decision has the id {decision_id[:80]!r} (pending: {there})") from problem

    def _shown(self, question: PendingDecision) -> dict[str, Any]:
        asked = self.log.asked_at(question)
        known = asked is not None and question.timeout is not None
        deadline = asked + timedelta(seconds=question.timeout or 0) if known and asked is not None else None
        return {
            "id": question.id,
            "kind": question.kind,
            "subject": question.subject,
            "question": question.question,
            "choices": list(question.choices),
            "default": question.default,
            "deadline": None if deadline is None else iso(deadline.timestamp()),
        }


def decision_shown(decision: Decision) -> dict[str, Any]:
    """A decision as it is shown.

    >>> decision_shown(Decision("name", "scout", "refuse", "refused", "it is taken"))["choice"]
    'refused'
    """
    plain = decision.to_dict()
    fields = ("kind", "subject", "strategy", "choice", "reason", "alternatives", "by", "steps")
    return {"time": iso(decision.when.timestamp()), **{field: plain[field] for field in fields}}
