"""The desk, move by move: every short course of events leaves it consistent and nobody forgotten."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator

import pytest

from agentreg.lending import Desk, Waiter, loop_gate, thread_gate, wait_at
from tests.crew import JumpingLoop, finish, jump, turns

BRANCHES = "abc"


class Play:
    """A desk, a plain model of what should happen at it, and the moves."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.desk = Desk([f"thing {index}" for index in range(size)])
        self.woken: set[Waiter] = set()
        # what should be: who holds something, with the requests that share it; and who waits, in order
        self.holding: dict[str, list[Waiter]] = {}
        self.waiting: list[Waiter] = []

    def ask(self, branch: str) -> None:
        waiter = self.desk.ask(branch, wake=lambda: self.woken.add(waiter))
        if branch in self.holding:
            self.holding[branch].append(waiter)
        elif len(self.holding) < self.size:
            self.holding[branch] = [waiter]
        else:
            self.waiting.append(waiter)

    def give_back(self, branch: str) -> None:
        loan = self.desk.loans.get(branch)
        if loan is not None:
            assert self.desk.end(loan)
            self.desk.shelve(loan.instance_id)
        if self.holding.pop(branch, None) is not None:
            self._serve()

    def run_out_of_time(self, branch: str) -> None:
        waiter = self._waiting(branch)
        if waiter is not None:
            assert self.desk.leave(waiter) is None
            self.waiting.remove(waiter)

    def cancel(self, branch: str) -> None:
        waiter = self._waiting(branch)
        if waiter is not None:
            self.desk.abandon(waiter)
            self.waiting.remove(waiter)
        elif branch in self.holding:
            self.desk.abandon(self.holding[branch].pop())
            if not self.holding[branch]:
                del self.holding[branch]
                self._serve()

    def _waiting(self, branch: str) -> Waiter | None:
        return next((waiter for waiter in self.waiting if waiter.branch_id == branch), None)

    def _serve(self) -> None:
        if self.waiting:
            branch = self.waiting[0].branch_id
            self.holding[branch] = [waiter for waiter in self.waiting if waiter.branch_id == branch]
            self.waiting = [waiter for waiter in self.waiting if waiter.branch_id != branch]

    def check(self) -> None:
        desk = self.desk
        lent = {loan.instance_id: branch for branch, loan in desk.loans.items()}
        assert list(desk.line) == self.waiting
        assert set(desk.loans) == set(self.holding)
        assert lent == desk.holders
        assert desk.free == set(range(self.size)) - set(lent)
        for branch, sharing in self.holding.items():
            assert all(desk.leave(waiter) is desk.loans[branch] for waiter in sharing)
            assert all(waiter in self.woken for waiter in sharing if waiter.queued)
        assert not self.woken.intersection(self.waiting)


def plays(length: int) -> Iterator[list[tuple[str, str]]]:
    """Every course of *length* moves, but for those that only rename the branches."""
    moves = [(move, branch) for move in ("ask", "give_back", "run_out_of_time", "cancel") for branch in BRANCHES]
    for rest in itertools.product(moves, repeat=length - 2):
        yield [("ask", "a"), ("ask", "b"), *rest]


@pytest.mark.parametrize("size", [1, 2])
def test_whatever_comes_after_what_the_desk_and_its_line_are_as_they_should_be(size: int) -> None:
    for moves in plays(6):
        play = Play(size)
        try:
            for move, branch in moves:
                getattr(play, move)(branch)
                play.check()
        except AssertionError as error:
            raise AssertionError(f"after {moves}") from error


def test_things_are_lent_from_the_first_on() -> None:
    desk = Desk(["x", "y", "z"])

    lent = [desk.ask(branch).loan for branch in "abc"]

    assert [loan.agent_instance for loan in lent if loan] == ["x", "y", "z"]
    assert desk.ask("d").loan is None


def test_who_gives_no_way_to_be_woken_does_not_stand_in_the_line() -> None:
    desk = Desk(["x"])
    desk.ask("a")

    assert not desk.ask("b").queued
    assert not desk.line


def test_who_was_refused_by_a_thing_is_offered_the_others() -> None:
    desk = Desk(["x", "y"])

    waiter = desk.ask("a", refused={0})

    assert waiter.loan is not None
    assert waiter.loan.agent_instance == "y"


def test_who_waits_for_another_thing_does_not_hold_up_those_behind() -> None:
    desk = Desk(["x", "y"])
    loans = [desk.ask(branch).loan for branch in "ab"]
    picky = desk.ask("c", refused={0}, wake=lambda: None)
    modest = desk.ask("d", wake=lambda: None)
    assert loans[0] is not None

    desk.end(loans[0])
    desk.shelve(0, used=False)

    assert picky.loan is None
    assert modest.loan is not None
    assert modest.loan.instance_id == 0


def test_a_loan_ends_once() -> None:
    desk = Desk(["x"])
    loan = desk.ask("a").loan
    assert loan is not None

    assert desk.end(loan) is True
    assert desk.end(loan) is False


def test_the_end_of_an_old_loan_does_not_end_the_new_one_of_the_same_branch() -> None:
    desk = Desk(["x"])
    old = desk.ask("a").loan
    assert old is not None
    desk.end(old)
    desk.shelve(0)
    new = desk.ask("a").loan

    assert desk.end(old) is False
    assert desk.loans["a"] is new


def test_what_comes_back_after_closing_stays_off_the_shelf() -> None:
    desk = Desk(["x", "y"])
    loan = desk.ask("a").loan
    assert loan is not None

    assert desk.close() is True
    desk.end(loan)
    desk.shelve(0)

    assert desk.close() is False
    assert desk.free == set()
    assert desk.ask("b", wake=lambda: None).queued is False


def test_closing_tells_everybody_in_the_line() -> None:
    desk = Desk(["x"])
    desk.ask("a")
    told: list[str] = []
    waiters = [desk.ask(branch, wake=lambda branch=branch: told.append(branch)) for branch in "bcd"]  # type: ignore[misc]

    desk.close()

    assert told == ["b", "c", "d"]
    assert [waiter.loan for waiter in waiters] == [None] * 3


def test_who_can_not_be_woken_any_more_is_passed_over() -> None:
    def broken() -> None:
        raise RuntimeError("Event loop is closed")

    desk = Desk(["x"])
    loan = desk.ask("a").loan
    assert loan is not None
    lost = [desk.ask(branch, wake=broken) for branch in "bc"]
    waiter = desk.ask("d", wake=lambda: None)

    desk.end(loan)
    desk.shelve(0)

    assert waiter.loan is desk.loans["d"]
    assert [lost_one.branch_id in desk.loans for lost_one in lost] == [False, False]


def test_a_thread_waits_at_a_closed_gate_until_it_is_opened() -> None:
    gate, open_gate = thread_gate()

    assert gate.acquire(timeout=0) is False
    threading.Thread(target=open_gate).start()

    assert gate.acquire(timeout=30) is True


def test_a_task_waits_at_a_closed_gate_until_it_is_opened() -> None:
    async def wait() -> bool:
        gate, open_gate = loop_gate()
        waiting = asyncio.ensure_future(wait_at(gate, None))
        await turns()
        assert not waiting.done()
        threading.Thread(target=open_gate).start()
        await waiting
        return gate.done()

    assert finish(wait()) is True


def test_opening_a_gate_twice_is_harmless() -> None:
    async def wait() -> None:
        gate, open_gate = loop_gate()
        open_gate()
        open_gate()
        await wait_at(gate, None)
        await turns()

    finish(wait())


def test_opening_a_gate_after_its_loop_was_closed_says_so() -> None:
    async def make() -> object:
        return loop_gate()[1]

    open_gate = finish(make())

    with pytest.raises(RuntimeError, match="closed"):
        open_gate()  # type: ignore[operator]


@pytest.mark.parametrize("timeout", [float("inf"), None])
def test_for_ever_may_be_said_in_two_ways(timeout: float | None) -> None:
    async def wait(loop: JumpingLoop) -> float:
        gate, open_gate = loop_gate()
        loop.call_later(3000, open_gate)
        await wait_at(gate, timeout)
        return loop.now

    assert jump(wait) == pytest.approx(3000, abs=0.01)
