"""PendingDecision: a question that a person or a program answers."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from agentreg.extensions.resources.conflicts.errors import AlreadyAnsweredError
from agentreg.extensions.resources.conflicts.latch import Latch
from agentreg.extensions.resources.conflicts.lock import lock

__all__ = ["MANUAL_STRATEGIES", "Answer", "CustomLogic", "PendingDecision", "PendingKind"]

PendingKind = Literal["user_intervention", "configuration_review", "resource_upgrade", "custom_logic"]
CustomLogic = Callable[["PendingDecision"], str | Awaitable[str | None] | None]

MANUAL_STRATEGIES: tuple[PendingKind, ...] = (
    "user_intervention",
    "configuration_review",
    "resource_upgrade",
    "custom_logic",
)
"""The kinds of pending decisions: the strategies that ask somebody."""

_log = logging.getLogger("agentreg")


@dataclass(frozen=True)
class Answer:
    """What was answered.

    Attributes:
        choice: One of the choices.
        by: Who answered; ``"timeout"`` when nobody did, ``"custom_logic"`` when the function did.
        reason: Why, as far as it was said.
    """

    choice: str
    by: str
    reason: str


class PendingDecision:
    """A question about a request, to be answered by a person or a program; the first answer holds.

    ``await decision`` waits for the answer, in any event loop and any
    number of times. When nobody answers within *timeout* seconds, the
    default is the answer; whoever looks or waits after that finds it.

    Thread-safe: yes. *clock* is monotonic.

    Attributes:
        id: Unlike any other.
        kind: ``"user_intervention"``, ``"configuration_review"``, ``"resource_upgrade"`` or ``"custom_logic"``.
        conflict: What is in conflict: ``"name"``, ``"resources"``, ``"tools"`` or ``"mcp"``.
        subject: The name of the agent that it is about.
        question: What is to be decided, in a sentence.
        choices: What may be answered.
        default: What is taken when nobody answers in time.
        timeout: Seconds until then; None for never.

    Raises:
        ValueError: the kind is unknown, the default is no choice, or the time-out is below 0.

    Example:
        >>> decision = PendingDecision("user_intervention", "name", "scout", "Another one?", ["refuse", "name_suffix"])
        >>> decision.answer("name_suffix", by="ann", reason="both are needed").choice
        'name_suffix'
        >>> decision.outcome.by
        'ann'
    """

    def __init__(
        self,
        kind: PendingKind,
        conflict: str,
        subject: str,
        question: str,
        choices: Iterable[str],
        default: str = "refuse",
        timeout: float | None = 300.0,
        logic: CustomLogic | None = None,
        clock: Callable[[], float] = time.monotonic,
        id: str = "",
    ) -> None:
        self.id = id or secrets.token_hex(8)
        self.kind, self.conflict, self.subject, self.question = kind, conflict, subject, question
        self.choices, self.default, self.timeout = tuple(choices), default, timeout
        self._check()
        self._clock, self._logic = clock, logic
        self._deadline = None if timeout is None else clock() + timeout
        self._latch = Latch()
        self._answer: Answer | None = None

    def answer(self, choice: str, by: str, reason: str = "") -> Answer:
        """Answer with *choice*, one of `choices`.

        Raises:
            AlreadyAnsweredError: somebody was first, or the time was up.
            ValueError: *choice* is none of the choices, or *by* is empty.
        """
        if choice not in self.choices:
            raise ValueError(f"choice: expected {', '.join(self.choices)}, got {choice!r}")
        if not by:
            raise ValueError("by: expected the name of who answers, got an empty text")
        answer = Answer(choice, by, reason)
        first = self.outcome or self._settle(answer)
        if first is not answer:
            raise AlreadyAnsweredError(self.id, first.choice, first.by, choice)
        return answer

    @property
    def outcome(self) -> Answer | None:
        """The answer, or None as long as there is none; once the time is up, the default."""
        if self._answer is None and self._deadline is not None and self._clock() >= self._deadline:
            self._settle(Answer(self.default, "timeout", f"nobody answered within {self.timeout:g} s"))
        return self._answer

    def __await__(self) -> Generator[Any, None, Answer]:
        """Wait for the answer. Cancelling the wait leaves the question open."""
        return self._wait().__await__()

    def begin(self) -> None:
        """Have the custom logic answer, if there is one and it is a plain function. The resolver does so.

        >>> decision = PendingDecision("custom_logic", "name", "a", "?", ["refuse"], logic=lambda decision: "refuse")
        >>> decision.begin()
        >>> decision.outcome.by
        'custom_logic'
        """
        if self._logic is None or inspect.iscoroutinefunction(self._logic):
            return  # the first to wait runs a coroutine
        try:
            said = self._logic(self)
        except Exception as error:
            self._fail(error)
            return
        if inspect.isawaitable(said):
            self._logic = lambda _: said
        else:
            self._logic = None
            self._take(said)

    def __repr__(self) -> str:
        state = f"answered {self._answer.choice!r}" if self._answer else "open"
        return f"<PendingDecision {self.id} about {self.subject!r}: {state}>"

    async def _wait(self) -> Answer:
        logic, self._logic = self._logic, None
        thinking = None if logic is None else asyncio.ensure_future(self._think(logic))
        try:
            while (answer := self.outcome) is None:
                left = None if self._deadline is None else max(0.0, self._deadline - self._clock())
                await self._latch.wait(left)
            return answer
        finally:
            if thinking is not None and not thinking.done():
                thinking.cancel()
                self._logic = logic if inspect.iscoroutinefunction(logic) else None  # the next to wait starts it again
                await asyncio.wait([thinking])

    async def _think(self, logic: CustomLogic) -> None:
        try:
            said = logic(self)
            self._take(await said if inspect.isawaitable(said) else said)
        except Exception as error:
            self._fail(error)

    def _take(self, said: object) -> None:
        if said is None:
            return  # it leaves the question to others
        if said in self.choices:
            self._settle(Answer(str(said), "custom_logic", "the custom logic chose it"))
        else:
            self._fail(ValueError(f"expected {', '.join(self.choices)} or None, got {said!r}"))

    def _fail(self, error: Exception) -> None:
        _log.error("the custom logic for %r failed; the default is taken", self.subject, exc_info=error)
        self._settle(Answer(self.default, "custom_logic", f"the custom logic failed: {type(error).__name__}: {error}"))

    def _settle(self, answer: Answer) -> Answer:
        """The first answer: *answer*, unless there was one before."""
        with lock:
            if self._answer is None:
                self._answer = answer
            first = self._answer
        self._latch.set()
        return first

    def _check(self) -> None:
        if self.kind not in MANUAL_STRATEGIES:
            raise ValueError(f"kind: expected {', '.join(MANUAL_STRATEGIES)}, got {self.kind!r}")
        if self.default not in self.choices:
            raise ValueError(f"default: expected one of {', '.join(self.choices)}, got {self.default!r}")
        if self.timeout is not None and not self.timeout >= 0:
            raise ValueError(f"timeout: expected 0 seconds or more, or None for no end, got {self.timeout!r}")
