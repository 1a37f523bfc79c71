"""A pool against a plain model of it: any course of asking, waiting, giving back and cancelling."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentreg import AgentPool, AgentRegistry, PoolExhaustedError
from agentreg.testing import isolated_registry
from tests.crew import Closing, turns

BRANCHES = st.sampled_from("abcd")


class Pool(RuleBasedStateMachine):
    """The model: who holds which member, and who waits, in order.

    Tasks are handed a member at once, and find out when the loop goes
    round: until then they may be cancelled, and the next in line gets it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.stack.enter_context(isolated_registry())
        self.loop = asyncio.new_event_loop()
        self.stack.callback(self.loop.close)

    @initialize(size=st.integers(1, 2))
    def make(self, size: int) -> None:
        self.pool = AgentPool(Closing, size, name="pool")
        AgentRegistry.register_pool(self.pool)
        self.members = self.pool.get_all_instances()
        self.free = set(range(size))
        self.held: dict[str, int] = {}
        self.line: list[tuple[str, asyncio.Task[Any]]] = []
        self.handed: dict[str, list[asyncio.Task[Any]]] = {}  # not told yet
        self.allocations = self.releases = self.peak = 0
        self.closed = False

    # -- what the model does ------------------------------------------------

    def _lend(self, branch: str, index: int, *, now: bool) -> None:
        self.free.discard(index)
        self.held[branch] = index
        if now:
            self._count()

    def _count(self) -> None:
        self.allocations += 1
        self.peak = max(self.peak, len(self.held))

    def _put_back(self, index: int) -> None:
        if self.closed:
            return
        if not self.line:
            self.free.add(index)
            return
        branch = self.line[0][0]
        self.handed[branch] = [task for waiting, task in self.line if waiting == branch]
        self.line = [(waiting, task) for waiting, task in self.line if waiting != branch]
        self._lend(branch, index, now=False)

    # -- what happens -------------------------------------------------------

    @rule(branch=BRANCHES)
    def ask(self, branch: str) -> None:
        self.go_round()
        if branch in self.held:
            assert self.pool.acquire_instance(branch) is self.members[self.held[branch]]
        elif self.free:
            member = self.pool.acquire_instance(branch)
            index = self.members.index(member)
            assert index in self.free
            self._lend(branch, index, now=True)
        else:
            with pytest.raises(PoolExhaustedError) as caught:
                self.pool.acquire_instance(branch)
            error = caught.value
            assert (error.total_instances, error.allocated_instances) == (len(self.members), len(self.held))

    @rule(branch=BRANCHES)
    def wait(self, branch: str) -> None:
        self.go_round()
        task = self.loop.create_task(self.pool.acquire_instance_async(branch, timeout=None))
        self.loop.run_until_complete(turns(1))
        if branch in self.held or self.free or self.closed:
            self.loop.run_until_complete(turns(3))
            member = task.result()
            if branch in self.held:
                assert member is self.members[self.held[branch]]
            elif self.closed:
                assert member is None
            else:
                index = self.members.index(member)
                assert index in self.free
                self._lend(branch, index, now=True)
        else:
            assert not task.done()
            self.line.append((branch, task))

    @rule(branch=BRANCHES)
    def give_back(self, branch: str) -> None:
        if branch in self.handed:
            self.go_round()
        assert self.pool.release_instance(branch) is (branch in self.held)
        if branch in self.held:
            self.releases += 1
            self._put_back(self.held.pop(branch))

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def cancel_one_who_waits(self, data: st.DataObject) -> None:
        self.go_round()
        if not self.line:
            return
        _, task = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
        task.cancel()
        self.loop.run_until_complete(turns(3))
        assert task.cancelled()

    @precondition(lambda self: self.handed)
    @rule(data=st.data())
    def cancel_some_who_were_handed_a_member(self, data: st.DataObject) -> None:
        branch = data.draw(st.sampled_from(sorted(self.handed)))
        tasks = self.handed[branch]
        chosen = data.draw(st.sets(st.integers(0, len(tasks) - 1), min_size=1))
        cancelled = [tasks[index] for index in chosen]
        for task in cancelled:
            task.cancel()
        self.handed[branch] = [task for task in tasks if task not in cancelled]
        self.go_round()
        assert all(task.cancelled() for task in cancelled)

    @rule()
    def go_round(self) -> None:
        self.loop.run_until_complete(turns())
        while self.handed:
            branch, tasks = next(iter(self.handed.items()))
            del self.handed[branch]
            if tasks:
                assert all(task.result() is self.members[self.held[branch]] for task in tasks)
                self._count()
            else:
                self._put_back(self.held.pop(branch))

    @precondition(lambda self: not self.closed)
    @rule()
    def reset(self) -> None:
        self.go_round()
        self.pool.reset_statistics()
        self.allocations = self.releases = 0
        self.peak = len(self.held)

    @precondition(lambda self: not self.closed)
    @rule()
    def clean_up(self) -> None:
        self.go_round()
        waiting, self.line = [task for _, task in self.line], []
        self.loop.run_until_complete(self.pool.cleanup())
        self.loop.run_until_complete(turns())
        assert [task.result() for task in waiting] == [None] * len(waiting)
        assert [member.closed for member in self.members] == [1] * len(self.members)
        assert AgentRegistry.all_with_pools() == {}
        self.releases += len(self.held)
        self.held.clear()
        self.free.clear()
        self.closed = True

    # -- what always holds --------------------------------------------------

    @invariant()
    def the_tables_agree(self) -> None:
        loans = {branch: loan.instance_id for branch, loan in self.pool.allocated_instances.items()}
        assert loans == self.held
        assert self.pool.instance_to_branch == {index: branch for branch, index in self.held.items()}
        assert self.pool.available_instances == self.free
        assert not self.free or not self.line

    @invariant()
    def every_branch_sees_its_own_member(self) -> None:
        for branch, index in self.held.items():
            assert self.pool.get_instance_for_branch(branch) is self.members[index]

    @invariant()
    def the_statistics_are_exact(self) -> None:
        statistics = self.pool.get_statistics()
        assert statistics["total_allocations"] == self.allocations
        assert statistics["total_releases"] == self.releases
        assert statistics["available_instances"] == len(self.free)
        assert statistics["allocated_instances"] == len(self.held)
        assert set(statistics["current_allocations"]) == set(self.held)

    def teardown(self) -> None:
        with self.stack:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(turns())


Pool.TestCase.settings = settings(
    max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPool = Pool.TestCase
