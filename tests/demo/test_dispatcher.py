"""Handing out tasks to agents of other processes, and what becomes of a task whose agent is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agentreg.demo.processes.child import Child, Line
from agentreg.demo.processes.dispatcher import Dispatcher, Task
from agentreg.demo.processes.roster import Entry, Roster
from agentreg.extensions.coordination import AgentDirectory, AgentStatus

MEASURE, REVIEW = "measure", "review"


class Worker:
    """An agent; the directory holds it weakly."""


class Mailbox(Child):
    """A child that only notes what it is sent."""

    def __init__(self, runtime_id: str) -> None:
        super().__init__(runtime_id, Path())
        self.orders: list[Line] = []
        self.listens = True

    @property
    def reachable(self) -> bool:
        return self.listens

    def send(self, line: Line) -> None:
        self.orders.append(line)


class Office:
    """Two runtimes with an analyst each, the first one with a reviewer, and their dispatcher."""

    def __init__(self, directory: AgentDirectory) -> None:
        self.directory = directory
        self.children = {name: Mailbox(name) for name in ("one", "two")}
        self.roster = Roster(tuple(self.children))
        self.dispatcher = Dispatcher(directory, self.children, self.roster)
        self.agents: list[Worker] = []

    async def hire(self, runtime_id: str, agent_id: str, capability: str) -> None:
        self.agents.append(Worker())
        await self.directory.register_agent(self.agents[-1], runtime_id, agent_id, capabilities=[capability])
        self.roster.entries[agent_id] = Entry(agent_id, runtime_id, 1)

    async def leave(self, agent_id: str) -> Task | None:
        await self.directory.deregister_agent(agent_id, self.roster.entries[agent_id].runtime_id)
        return self.dispatcher.lose(agent_id)

    def add(self, number: int, capability: str = MEASURE, **more: Any) -> Task:
        task = Task(number, capability, f"{number}.py", {"path": f"{number}.py"}, **more)
        self.dispatcher.add(task)
        return task

    async def given(self) -> list[tuple[int, str]]:
        return [(task.number, task.given[-1]) for task in await self.dispatcher.hand_out()]


def in_an_office(story: Callable[[Office], Awaitable[None]]) -> None:
    async def play() -> None:
        async with AgentDirectory() as directory:
            office = Office(directory)
            await office.hire("one", "one-analyst", MEASURE)
            await office.hire("two", "two-analyst", MEASURE)
            await office.hire("one", "one-reviewer", REVIEW)
            await story(office)

    asyncio.run(play())


def test_a_task_goes_to_an_agent_that_can_do_it_in_the_process_where_it_lives() -> None:
    async def story(office: Office) -> None:
        office.add(1)
        office.add(2)
        office.add(3, REVIEW)

        assert await office.given() == [(1, "one-analyst"), (2, "two-analyst"), (3, "one-reviewer")]

        assert [order["task"] for order in office.children["one"].orders] == [1, 3]
        assert office.children["two"].orders == [
            {"task": 2, "agent": "two-analyst", "at_least": 0.0, "path": "2.py"},
        ]
        assert office.roster.entries["two-analyst"].doing == "2.py"

    in_an_office(story)


def test_an_agent_gets_its_next_task_when_it_is_through_with_the_last() -> None:
    async def story(office: Office) -> None:
        for number in (1, 2, 3):
            office.add(number)
        await office.given()

        assert await office.given() == []
        assert office.dispatcher.done(2, "two-analyst", "result") is office.dispatcher.tasks[2]
        assert await office.given() == [(3, "two-analyst")]

        assert office.dispatcher.left == 2
        assert office.roster.entries["two-analyst"].done == 1

    in_an_office(story)


def test_a_task_that_was_lost_with_its_agent_is_the_next_to_be_handed_out() -> None:
    async def story(office: Office) -> None:
        lost = office.add(1)
        office.add(2)
        office.add(3)
        await office.given()

        assert await office.leave("one-analyst") is lost
        office.dispatcher.done(2, "two-analyst", "result")
        assert await office.given() == [(1, "two-analyst")]

        assert lost.given == ["one-analyst", "two-analyst"]

    in_an_office(story)


def test_who_had_no_task_loses_none() -> None:
    async def story(office: Office) -> None:
        office.add(1)
        await office.given()

        assert await office.leave("two-analyst") is None

    in_an_office(story)


def test_a_result_that_comes_from_one_who_was_thought_dead_counts_once() -> None:
    async def story(office: Office) -> None:
        task = office.add(1)
        await office.given()
        await office.leave("one-analyst")
        await office.given()

        assert office.dispatcher.done(1, "one-analyst", "the first") is task
        assert office.dispatcher.done(1, "two-analyst", "the second") is None

        assert (task.result, task.done_by) == ("the first", "one-analyst")
        assert (office.dispatcher.left, office.dispatcher.again) == (0, 1)
        office.add(2)
        assert await office.given() == [(2, "two-analyst")]

    in_an_office(story)


def test_a_result_that_comes_before_the_task_is_handed_on_makes_that_needless() -> None:
    async def story(office: Office) -> None:
        office.add(1)
        await office.given()
        await office.leave("one-analyst")

        office.dispatcher.done(1, "one-analyst", "result")

        assert await office.given() == []
        assert (office.dispatcher.left, office.dispatcher.again) == (0, 0)

    in_an_office(story)


def test_a_task_for_one_runtime_waits_for_it_and_holds_nobody_up() -> None:
    async def story(office: Office) -> None:
        meant = office.add(1, only="two")
        office.add(2)

        assert sorted(await office.given()) == [(1, "two-analyst"), (2, "one-analyst")]

        await office.leave("two-analyst")
        assert meant.only is None

    in_an_office(story)


@pytest.mark.parametrize("why", ["out of reach", "unhealthy"])
def test_nobody_who_is_unhealthy_or_out_of_reach_gets_a_task(why: str) -> None:
    async def story(office: Office) -> None:
        office.add(1)
        if why == "unhealthy":
            await office.directory.update_agent_status("one-analyst", AgentStatus.UNHEALTHY)
        else:
            office.children["one"].listens = False

        assert await office.given() == [(1, "two-analyst")]

    in_an_office(story)


def test_agents_of_other_programs_get_no_task() -> None:
    async def story(office: Office) -> None:
        await office.hire("elsewhere", "guest", REVIEW)
        await office.leave("one-reviewer")
        office.add(1, REVIEW)

        assert await office.given() == []

    in_an_office(story)
