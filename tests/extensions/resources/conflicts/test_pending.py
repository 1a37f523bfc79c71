"""Questions that wait for an answer."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentreg.extensions.resources.conflicts import MANUAL_STRATEGIES, AlreadyAnsweredError, Answer, PendingDecision
from agentreg.extensions.resources.conflicts.pending import CustomLogic, PendingKind


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(
    timeout: float | None = 60.0,
    logic: CustomLogic | None = None,
    kind: PendingKind = "user_intervention",
    clock: Clock | None = None,
) -> PendingDecision:
    return PendingDecision(
        kind, "name", "scout", "What now?", ["refuse", "name_suffix"], "refuse", timeout, logic, clock or Clock()
    )


@pytest.mark.parametrize("kind", MANUAL_STRATEGIES)
def test_a_question_of_each_kind_can_be_answered(kind: PendingKind) -> None:
    decision = ask(kind=kind)

    assert decision.answer("name_suffix", "ann", "both are needed") == Answer("name_suffix", "ann", "both are needed")
    assert asyncio.run(wait_for(decision)).choice == "name_suffix"


async def wait_for(decision: PendingDecision) -> Answer:
    return await decision


def test_the_first_answer_holds_and_the_second_is_told_so() -> None:
    decision = ask()
    decision.answer("name_suffix", "ann")

    with pytest.raises(AlreadyAnsweredError, match=r"'name_suffix' by 'ann'; 'refuse' came later") as caught:
        decision.answer("refuse", "bob")

    assert (caught.value.choice, caught.value.by, caught.value.refused) == ("name_suffix", "ann", "refuse")
    assert decision.outcome == Answer("name_suffix", "ann", "")


def test_of_many_threads_that_answer_one_is_first() -> None:
    decision, start = ask(), threading.Barrier(4)

    def answer(by: str) -> bool:
        start.wait()
        try:
            decision.answer("refuse", by)
        except AlreadyAnsweredError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(answer, "abcd"))

    assert won.count(True) == 1
    assert decision.outcome is not None
    assert decision.outcome.by == "abcd"[won.index(True)]


def test_when_nobody_answers_in_time_the_default_is_taken() -> None:
    clock = Clock()
    decision = ask(clock=clock)

    clock.now = 60.0

    assert decision.outcome == Answer("refuse", "timeout", "nobody answered within 60 s")
    with pytest.raises(AlreadyAnsweredError, match="by 'timeout'"):
        decision.answer("name_suffix", "ann")


def test_who_waits_gets_the_default_when_the_time_is_up() -> None:
    decision = PendingDecision("user_intervention", "name", "scout", "?", ["refuse"], timeout=0.01)

    assert asyncio.run(wait_for(decision)).by == "timeout"


def test_an_answer_from_another_thread_wakes_everyone_who_waits() -> None:
    decision = ask(timeout=None)

    async def main() -> list[Answer]:
        waiting = [asyncio.ensure_future(wait_for(decision)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(decision.answer, "refuse", "ann")
        return await asyncio.gather(*waiting)

    assert {answer.by for answer in asyncio.run(main())} == {"ann"}


def test_cancelling_who_waits_leaves_the_question_open() -> None:
    decision = ask(timeout=None)

    async def main() -> None:
        waiting = asyncio.ensure_future(wait_for(decision))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(main())

    assert decision.outcome is None
    assert decision.answer("refuse", "ann").by == "ann"


@pytest.mark.parametrize("choice", ["maybe", ""])
def test_an_answer_that_is_no_choice_is_refused_with_the_choices(choice: str) -> None:
    decision = ask()

    with pytest.raises(ValueError, match="expected refuse, name_suffix, got"):
        decision.answer(choice, "ann")

    assert decision.outcome is None


def test_an_answer_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="by: expected the name"):
        ask().answer("refuse", "")


def test_a_default_that_is_no_choice_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="default: expected one of refuse, got 'accept'"):
        PendingDecision("custom_logic", "name", "scout", "?", ["refuse"], default="accept")
    with pytest.raises(ValueError, match="kind: expected user_intervention"):
        PendingDecision("guess", "name", "scout", "?", ["refuse"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout: expected 0 seconds"):
        ask(timeout=-1)


# -- custom logic -----------------------------------------------------------


def test_a_function_answers_at_once() -> None:
    decision = ask(logic=lambda asked: asked.choices[1])

    decision.begin()

    assert decision.outcome == Answer("name_suffix", "custom_logic", "the custom logic chose it")


def test_a_coroutine_function_answers_whoever_waits() -> None:
    async def think(decision: PendingDecision) -> str:
        await asyncio.sleep(0)
        return "name_suffix"

    decision = ask(logic=think)
    decision.begin()

    assert asyncio.run(wait_for(decision)).choice == "name_suffix"


def test_custom_logic_may_leave_the_question_to_others() -> None:
    decision = ask(logic=lambda asked: None)

    decision.begin()

    assert decision.outcome is None
    assert decision.answer("refuse", "ann").by == "ann"


@pytest.mark.parametrize("said", [ZeroDivisionError("oh"), "perhaps"])
def test_custom_logic_that_fails_gives_the_default_and_says_why(said: object) -> None:
    def think(decision: PendingDecision) -> str:
        if isinstance(said, Exception):
            raise said
        return str(said)

    decision = ask(logic=think)
    decision.begin()

    assert decision.outcome is not None
    assert decision.outcome.choice == "refuse"
    assert decision.outcome.reason.startswith("the custom logic failed: ")


def test_a_person_may_be_quicker_than_custom_logic() -> None:
    async def think(decision: PendingDecision) -> str:
        decision.answer("refuse", "ann")
        await asyncio.get_running_loop().create_future()
        return "name_suffix"

    decision = ask(logic=think)
    decision.begin()

    assert asyncio.run(wait_for(decision)).by == "ann"


# -- what must always hold --------------------------------------------------


class PendingMachine(RuleBasedStateMachine):
    """Answers, time and waits in any order: the first thing that decides decides for good."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.decision = ask(timeout=10.0, clock=self.clock)
        self.expected: Answer | None = None

    def look(self) -> None:
        if self.expected is None and self.clock.now >= 10.0:
            self.expected = Answer("refuse", "timeout", "nobody answered within 10 s")

    @rule(choice=st.sampled_from(["refuse", "name_suffix"]), by=st.sampled_from(["ann", "bob"]))
    def answer(self, choice: str, by: str) -> None:
        self.look()
        if self.expected is None:
            self.expected = self.decision.answer(choice, by)
            assert self.expected == Answer(choice, by, "")
        else:
            with pytest.raises(AlreadyAnsweredError) as caught:
                self.decision.answer(choice, by)
            assert (caught.value.choice, caught.value.by) == (self.expected.choice, self.expected.by)

    @rule()
    def answer_nonsense(self) -> None:
        with pytest.raises(ValueError, match="expected refuse"):
            self.decision.answer("nonsense", "ann")

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0]))
    def tick(self, seconds: float) -> None:
        self.clock.now += seconds
        self.look()

    @rule()
    def cancel_a_wait(self) -> None:
        async def main() -> None:
            waiting = asyncio.ensure_future(wait_for(self.decision))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])

        asyncio.run(main())

    @precondition(lambda self: self.expected is not None)
    @rule()
    def wait(self) -> None:
        assert asyncio.run(wait_for(self.decision)) == self.expected

    @invariant()
    def the_outcome_is_what_came_first(self) -> None:
        assert self.decision.outcome == self.expected


TestPending = PendingMachine.TestCase
TestPending.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
