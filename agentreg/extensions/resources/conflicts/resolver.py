"""ConflictResolver: whether a request can be accepted, and in which form."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from agentreg.extensions.resources.conflicts.context import CONFLICTS, Conflict, ConflictContext, ConflictKind
from agentreg.extensions.resources.conflicts.decision_log import DecisionLog
from agentreg.extensions.resources.conflicts.decisions import Decision
from agentreg.extensions.resources.conflicts.detecting import detect
from agentreg.extensions.resources.conflicts.lock import lock
from agentreg.extensions.resources.conflicts.names import NameSuffixes
from agentreg.extensions.resources.conflicts.pending import MANUAL_STRATEGIES, Answer, PendingDecision, PendingKind
from agentreg.extensions.resources.conflicts.policies import ConflictPolicies
from agentreg.extensions.resources.conflicts.request import AgentRequest
from agentreg.extensions.resources.conflicts.resolution import Resolution
from agentreg.extensions.resources.conflicts.strategies import Strategy, WayOut, automatic_strategies

__all__ = ["ConflictResolver"]


class ConflictResolver:
    """Who is asked before a registration or a reload is accepted.

    It looks for conflicts of names, resources, tools and MCP servers, and
    does about each what the policies say. Every decision is recorded with
    its reason in *log*. *strategies* adds ways out of your own, by kind and
    name. A question that nobody answered is kept; when there are
    *pending_limit* of them, a further one takes its default at once.

    Thread-safe: yes. *clock* is monotonic and for time-outs, *wall_clock*
    gives seconds since 1970.

    Raises:
        ValueError: a policy names a strategy that there is not.

    Example:
        >>> resolver = ConflictResolver(ConflictPolicies(tools="least_privilege", allowed_tools=["Read"]))
        >>> resolution = resolver.resolve(AgentRequest("scout", tools=["Read", "Bash"]))
        >>> resolution.status, resolution.request.tools
        ('accepted', ('Read',))
        >>> print(resolver.log.decisions("scout")[0].reason)
        Bash was taken away by policy
    """

    def __init__(
        self,
        policies: ConflictPolicies | None = None,
        log: DecisionLog | None = None,
        strategies: Mapping[ConflictKind, Mapping[str, Strategy]] | None = None,
        pending_limit: int = 1000,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.policies = policies or ConflictPolicies()
        self.log = log or DecisionLog()
        self._strategies = automatic_strategies(NameSuffixes(wall_clock), self.policies.highest_priority)
        for kind, ways in (strategies or {}).items():
            self._strategies[_known(kind)].update(ways)
        self._check()
        self._clock, self._wall_clock = clock, wall_clock
        self._questions: dict[str, PendingDecision] = {}
        self._pending_limit = pending_limit

    def resolve(
        self,
        request: AgentRequest,
        context: ConflictContext | None = None,
        kinds: Iterable[ConflictKind] = CONFLICTS,
    ) -> Resolution:
        """Whether *request* can be accepted, and in which form; of *kinds*, in that order.

        Never waits: where somebody has to be asked, the resolution is
        pending, and ``await resolution.settled()`` waits for the answer.

        >>> ConflictResolver().resolve(AgentRequest("scout")).status
        'accepted'
        """
        start = Resolution("accepted", request, request)
        return self._go_through(start, context or ConflictContext(), tuple(map(_known, kinds)))

    def pending(self) -> list[PendingDecision]:
        """The questions that wait for an answer, the oldest first. Those whose time is up have their default.

        >>> ConflictResolver().pending()
        []
        """
        with lock:
            questions = list(self._questions.values())
        return [question for question in questions if question.outcome is None]

    def answer(self, decision_id: str, choice: str, by: str, reason: str = "") -> Answer:
        """Answer the question with this id.

        Raises:
            LookupError: there is no such question, or it was answered long ago.
            AlreadyAnsweredError: it was answered before.
            ValueError: *choice* is none of its choices.
        """
        with lock:
            question = self._questions.get(decision_id)
        if question is None:
            known = ", ".join(each.id for each in self.pending()) or "none"
            raise LookupError(f"no pending decision has the id {decision_id!r} (pending: {known})")
        return question.answer(choice, by, reason)

    # -- going through the conflicts ----------------------------------------

    def _go_through(
        self, resolution: Resolution, context: ConflictContext, kinds: tuple[ConflictKind, ...]
    ) -> Resolution:
        for place, kind in enumerate(kinds):
            request, conflict = detect(kind, resolution.request, context, self.policies)
            if request is not resolution.request:
                resolution = replace(resolution, request=request)
            if conflict is not None:
                resolution = self._treat(resolution, conflict, context, kinds[place + 1 :])
            if resolution.status != "accepted":
                break
        return resolution

    def _treat(
        self, resolution: Resolution, conflict: Conflict, context: ConflictContext, rest: tuple[ConflictKind, ...]
    ) -> Resolution:
        for strategy in self.policies.of(conflict.kind):
            if strategy in MANUAL_STRATEGIES:
                return self._ask(strategy, resolution, conflict, context, rest)
            way_out = self._strategies[conflict.kind][strategy](resolution.request, conflict, context)
            if way_out is not None:
                return self._decide(resolution, conflict, way_out, strategy, strategy, "policy")
        tried = ", ".join(self.policies.of(conflict.kind))
        return self._decide(resolution, conflict, _no_way(conflict, tried), tried, "refuse", "policy")

    def _ask(
        self,
        kind: PendingKind,
        resolution: Resolution,
        conflict: Conflict,
        context: ConflictContext,
        rest: tuple[ConflictKind, ...],
    ) -> Resolution:
        question = self._question(kind, resolution, conflict)
        self._keep(question)
        made = self._decision(
            resolution, conflict, kind, "pending", conflict.message, question.choices, "policy", resolution.request
        )

        def go_on(pending: Resolution, answer: Answer) -> Resolution:
            return self._after_answer(_afresh(pending), conflict, kind, answer, context, rest)

        question.begin()
        return replace(
            _afresh(resolution),
            status="pending",
            pending=question,
            conflict=conflict.kind,
            reason=conflict.message,
            decisions=(*resolution.decisions, made),
            _go_on=go_on,
        )

    def _after_answer(
        self,
        resolution: Resolution,
        conflict: Conflict,
        kind: PendingKind,
        answer: Answer,
        context: ConflictContext,
        rest: tuple[ConflictKind, ...],
    ) -> Resolution:
        strategy = self._strategies[conflict.kind][answer.choice]
        way_out = strategy(resolution.request, conflict, context) or _no_way(conflict, answer.choice)
        told = f"{answer.reason}; {way_out.reason}" if answer.reason else way_out.reason
        way_out = replace(way_out, reason=told)
        decided = self._decide(resolution, conflict, way_out, kind, answer.choice, answer.by)
        return self._go_through(decided, context, rest) if decided.status == "accepted" else decided

    def _decide(
        self, resolution: Resolution, conflict: Conflict, way_out: WayOut, strategy: str, choice: str, by: str
    ) -> Resolution:
        others = tuple(name for name in self._strategies[conflict.kind] if name not in (choice, "refuse"))
        chosen = "refuse" if way_out.request is None else choice
        made = self._decision(resolution, conflict, strategy, chosen, way_out.reason, others, by, way_out.request)
        decisions = (*resolution.decisions, made)
        if way_out.request is None:
            return replace(
                resolution,
                status="refused",
                conflict=conflict.kind,
                reason=way_out.reason,
                alternatives=others,
                decisions=decisions,
            )
        return replace(resolution, request=way_out.request, decisions=decisions)

    def _decision(
        self,
        resolution: Resolution,
        conflict: Conflict,
        strategy: str,
        choice: str,
        reason: str,
        others: tuple[str, ...],
        by: str,
        request: AgentRequest | None,
    ) -> Decision:
        names = {resolution.request.name, request.name if request else resolution.request.name} - {
            resolution.asked.name
        }
        decision = Decision(
            kind=conflict.kind,
            subject=resolution.asked.name,
            strategy=strategy,
            choice=choice,
            reason=reason,
            alternatives=others,
            by=by,
            names=tuple(sorted(names)),
            when=datetime.fromtimestamp(self._wall_clock(), timezone.utc),
        )
        self.log.record(decision)
        return decision

    # -- questions ----------------------------------------------------------

    def _question(self, kind: PendingKind, resolution: Resolution, conflict: Conflict) -> PendingDecision:
        return PendingDecision(
            kind,
            conflict.kind,
            resolution.request.name,
            conflict.message,
            choices=self._strategies[conflict.kind],
            default=self.policies.default_of(conflict.kind),
            timeout=self.policies.timeout,
            logic=self.policies.custom_logic if kind == "custom_logic" else None,
            clock=self._clock,
        )

    def _keep(self, question: PendingDecision) -> None:
        with lock:
            questions = list(self._questions.values())
        answered = [each for each in questions if each.outcome is not None]
        waiting = len(questions) - len(answered)
        if waiting >= self._pending_limit:
            question.answer(question.default, "pending_limit", f"{waiting} questions wait already")
        with lock:
            self._questions[question.id] = question
            for each in answered[: max(0, len(answered) - self._pending_limit)]:
                self._questions.pop(each.id, None)

    def _check(self) -> None:
        for kind in CONFLICTS:
            known = {*self._strategies[kind], *MANUAL_STRATEGIES}
            for name in self.policies.of(kind):
                if name not in known:
                    raise ValueError(f"policies.{kind}: expected one of {', '.join(sorted(known))}, got {name!r}")
            if self.policies.default_of(kind) not in self._strategies[kind]:
                given = self.policies.default_of(kind)
                expected = ", ".join(sorted(self._strategies[kind]))
                raise ValueError(f"policies.default: for {kind}, expected one of {expected}, got {given!r}")


def _no_way(conflict: Conflict, tried: str) -> WayOut:
    return WayOut(None, f"{conflict.message}, and {tried or 'no strategy'} is no way out")


def _afresh(resolution: Resolution) -> Resolution:
    """A copy that leads nowhere yet."""
    return Resolution("accepted", resolution.request, resolution.asked, resolution.decisions)


def _known(kind: str) -> ConflictKind:
    for each in CONFLICTS:
        if each == kind:
            return each
    raise ValueError(f"kind of conflict: expected one of {', '.join(CONFLICTS)}, got {kind!r}")
