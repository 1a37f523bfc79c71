"""Everything that an agent's leaving takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg import AgentNotFoundError, AgentRegistry
from agentreg.extensions.resources.conflicts import DecisionLog
from agentreg.extensions.resources.pipelines import (
    DEREGISTRATION_STEPS,
    DeregistrationPipeline,
    LiveAgents,
    PipelineError,
    Run,
    Step,
    TasksActiveError,
)
from tests.extensions.resources.pipelines.crew import Agent, Desk
from tests.extensions.resources.pipelines.test_registration import Setting, full


class Leaving(Setting):
    """An agent ``x`` with all that it asked for, and the pipeline by which it leaves."""

    def __init__(self, **tasks: list[str]) -> None:
        super().__init__()
        self.desk, self.log = Desk(**tasks), DecisionLog()
        self.cleaned: list[str] = []
        self.updated: list[Any] = []
        self.leave = DeregistrationPipeline(
            self.directory,
            self.pipeline.enrolments,
            self.desk,
            self.pool,
            self.office,
            self.book.notify,
            self.cleaned.append,
            lambda name, given: self.updated.append((name, given)),
            grace=0.001,
            log=self.log,
        )

    def world(self) -> dict[str, Any]:
        return {**super().world(), "tasks": {**self.desk.tasks}, "paused": set(self.desk.paused)}


def test_an_agent_leaves_with_everything() -> None:
    async def main() -> None:
        here = Leaving()
        before = here.world()
        await here.pipeline.run(full("x"))
        result = await here.leave.deregister("x", reason="done with it")

        assert [step.name for step in result.steps] == list(DEREGISTRATION_STEPS)
        assert {step.outcome for step in result.steps} == {"done"}
        assert {**here.world(), "paused": set()} == before
        assert (here.cleaned, here.updated) == (["x"], [("x", {})])
        assert (here.book.told[-1].kind, here.book.told[-1].reason) == ("deregistered", "done with it")
        assert here.log.decisions("x")[0].choice == "deregistered"

    asyncio.run(main())


def test_who_is_not_there_can_not_leave() -> None:
    with pytest.raises(PipelineError) as caught:
        asyncio.run(DeregistrationPipeline().deregister("nobody"))

    assert isinstance(caught.value.cause, AgentNotFoundError)


def test_another_registration_of_the_name_is_left_alone() -> None:
    async def main() -> None:
        here = Leaving()
        first = await here.pipeline.run(full("x"))
        here.directory.records.clear()
        await here.pipeline.run(full("x"))
        with pytest.raises(PipelineError):
            await here.leave.deregister("x", token=first.token)

        assert here.directory.records == {"x": (2, "x")}

    asyncio.run(main())


def test_a_successor_that_comes_meanwhile_is_left_alone() -> None:
    async def main() -> None:
        here = Leaving()
        await here.pipeline.run(full("x"))

        def succeed(run: Run) -> None:
            here.directory.records["x"] = (99, "x")

        result = await here.leave.before("remove", Step("succeed", succeed)).deregister("x")

        assert here.directory.records == {"x": (99, "x")}
        assert "left by itself" in next(step.detail for step in result.steps if step.name == "remove")

    asyncio.run(main())


# -- tasks ------------------------------------------------------------------


def test_tasks_that_end_in_time_are_waited_for() -> None:
    async def main() -> None:
        here = Leaving(x=["t"])
        await here.pipeline.run(full("x"))
        here.leave = DeregistrationPipeline(here.directory, here.pipeline.enrolments, here.desk, grace=60)
        leaving = asyncio.create_task(here.leave.deregister("x"))
        while "x" not in here.desk.paused:
            await asyncio.sleep(0)
        here.desk.finish("x")
        await leaving

        assert (here.desk.ended, here.directory.records) == ([], {})

    asyncio.run(main())


def test_tasks_that_do_not_end_keep_the_agent_as_it_was() -> None:
    async def main() -> None:
        here = Leaving(x=["t"])
        await here.pipeline.run(full("x"))
        before = here.world()
        with pytest.raises(PipelineError, match=r"1 active tasks after 0\.001 s; wait longer, pass migrate_tasks") as e:
            await here.leave.deregister("x")

        assert isinstance(e.value.cause, TasksActiveError)
        assert here.world() == before

    asyncio.run(main())


def test_force_ends_the_tasks_that_are_left() -> None:
    async def main() -> None:
        here = Leaving(x=["t", "u"])
        await here.pipeline.run(full("x"))
        await here.leave.deregister("x", force=True)

        assert (here.desk.ended, here.directory.records) == (["t", "u"], {})

    asyncio.run(main())


def test_tasks_go_to_whoever_is_least_busy_and_can_do_them() -> None:
    async def main() -> None:
        here = Leaving(x=["t", "u", "only x can"], y=["busy"], z=[])
        await here.pipeline.run(full("x"))
        await here.leave.deregister("x", migrate_tasks=True, force=True)

        assert here.desk.tasks == {"y": ["busy", "u"], "z": ["t"]}
        assert here.desk.ended == ["only x can"]
        assert here.updated == [("x", {"z": ["t"], "y": ["u"]})]

    asyncio.run(main())


@pytest.mark.parametrize("to", ["z", lambda name, task: "z"])
def test_tasks_go_to_whoever_is_named(to: Any) -> None:
    async def main() -> None:
        here = Leaving(x=["t", "u"], y=[], z=["busy"])
        await here.pipeline.run(full("x"))
        await here.leave.deregister("x", migrate_tasks=to)

        assert here.desk.tasks == {"x": [], "y": [], "z": ["busy", "t", "u"]}

    asyncio.run(main())


def test_tasks_come_back_when_a_later_step_fails() -> None:
    async def main() -> None:
        here = Leaving(x=["t", "u"], y=[])
        await here.pipeline.run(full("x"))
        before = here.world()

        def fail(run: Run) -> None:
            raise OSError("no line")

        with pytest.raises(PipelineError) as caught:
            await here.leave.after("remove", Step("fail", fail)).deregister("x", migrate_tasks=True)

        assert caught.value.failed_undos == {}
        after = here.world()
        assert sorted(after["tasks"].pop("x")) == sorted(before["tasks"].pop("x"))
        assert after == before

    asyncio.run(main())


# -- live agents ------------------------------------------------------------


def test_a_live_agent_leaves_and_comes_back_when_a_later_step_fails() -> None:
    agent = Agent()
    AgentRegistry.register(agent, "scout")

    def fail(run: Run) -> None:
        raise OSError("no line")

    with pytest.raises(PipelineError):
        asyncio.run(DeregistrationPipeline().after("remove", Step("fail", fail)).deregister("scout"))
    assert AgentRegistry.get("scout") is agent

    asyncio.run(DeregistrationPipeline().deregister("scout"))
    assert AgentRegistry.get("scout") is None


def test_a_made_agent_that_comes_back_is_held_again() -> None:
    agents = LiveAgents(make=lambda request: Agent())
    token = agents.enter(full("scout"))

    again = agents.restore(token, agents.remove(token))

    assert AgentRegistry.get("scout") is again.agent is not None
    assert agents.remove(again)


# -- what can't be undone ---------------------------------------------------


@pytest.mark.parametrize("place", ["notify", "clean", "update_dependents"])
def test_what_fails_after_the_removal_is_reported_and_the_rest_goes_on(place: str) -> None:
    async def main() -> None:
        here = Leaving()
        await here.pipeline.run(full("x"))

        def fail(run: Run) -> None:
            raise OSError("no line")

        result = await here.leave.replaced(place, Step(place, fail, vital=False)).deregister("x")

        assert [step.name for step in result.troubles] == [place]
        assert here.directory.records == {}

    asyncio.run(main())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60))
def test_whenever_a_deregistration_is_cancelled_the_agent_is_there_with_everything_or_gone(moment: int) -> None:
    async def main() -> None:
        here = Leaving(x=["t"], y=[])
        gone = {**here.world(), "paused": {"x"}, "tasks": {"x": [], "y": ["t"]}}
        await here.pipeline.run(full("x"))
        before = here.world()
        task = asyncio.create_task(here.leave.deregister("x", migrate_tasks=True))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        for _ in range(5):
            await asyncio.sleep(0)

        assert here.world() in (before, gone)
        assert task.cancelled() or here.world() == gone

    asyncio.run(main())
