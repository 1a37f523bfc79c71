"""What an orchestra cleans up: however the run ends, each agent on its own, and nothing that others still use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentreg import AgentPool, AgentRegistry, BaseAgent, ExecutionConfig, Orchestra, OrchestraResult, Topology
from tests.crew import Closing, Echo, JumpingLoop, LoopThread, Plain, finish, jump, passing, turns


class Ending(Closing):
    """Ends its run in a certain way."""

    def __init__(self, name: str, ending: str = "success") -> None:
        super().__init__(name)
        self.ending = ending

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        if self.ending == "failure":
            raise LookupError("lost")
        if self.ending != "success":
            await asyncio.Event().wait()
        return prompt


class Cleaning(Echo):
    """Cleans up in a certain way."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        super().__init__(name)
        self.work = work

    async def cleanup(self) -> Any:
        return await self.work()


class Gate(Closing):
    """Runs until it is let through."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gates: list[asyncio.Event] = []

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        return self.closed


def start(names: list[str], **options: Any) -> asyncio.Task[OrchestraResult]:
    """A run of independent nodes."""
    return asyncio.ensure_future(Orchestra.run("task", {"agents": names}, execution_config=ExecutionConfig(**options)))


ENDINGS = ["success", "failure", "time-out", "cancellation"]


async def play(names: list[str], ending: str, **options: Any) -> OrchestraResult | None:
    """A run of independent nodes that ends in a certain way."""
    running = start(names, node_timeout=100, **options)
    if ending != "cancellation":
        return await running
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return None


# -- however it ends --------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_agents_are_cleaned_up_and_unregistered_however_a_run_ends(ending: str) -> None:
    agents = [Ending("a", ending), Ending("b")]

    result = jump(lambda loop: play(["a", "b"], ending))

    assert [agent.closed for agent in agents] == [1, 1]
    assert AgentRegistry.names() == []
    assert result is None or result.success is (ending == "success")


@pytest.mark.parametrize("ending", ENDINGS)
def test_agents_are_left_alone_when_that_is_asked_for(ending: str) -> None:
    agents = [Ending("a", ending), Ending("b")]

    jump(lambda loop: play(["a", "b"], ending, auto_cleanup_agents=False))

    assert [agent.closed for agent in agents] == [0, 0]
    assert AgentRegistry.names() == ["a", "b"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_failing_clean_up_does_not_stop_the_rest_however_a_run_ends(
    ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Ending):
        async def cleanup(self) -> None:
            await super().cleanup()
            raise OSError("stuck")

    agents = [Ending("a", ending), Stuck("b"), Ending("c")]

    result = jump(lambda loop: play(["a", "b", "c"], ending))

    assert [agent.closed for agent in agents] == [1, 1, 1]
    assert AgentRegistry.names() == []
    assert "the clean-up of agent 'b' failed: OSError('stuck')" in caplog.text
    if result is not None:
        assert {name: str(error) for name, error in result.cleanup_errors.items()} == {"b": "stuck"}
        assert result.success is (ending == "success")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_clean_up_has_its_time_and_no_more_however_a_run_ends(ending: str) -> None:
    slow = Cleaning("slow", lambda: passing(1000))
    agents = [Ending("a", ending), Ending("b")]

    async def timed(loop: JumpingLoop) -> tuple[OrchestraResult | None, float]:
        result = await play(["a", "b", slow.name], ending, cleanup_timeout=7)
        return result, loop.now - (100 if ending == "time-out" else 0)

    result, seconds = jump(timed)

    assert seconds == pytest.approx(7, abs=0.1)
    assert [agent.closed for agent in agents] == [1, 1]
    assert AgentRegistry.names() == []
    if result is not None:
        assert isinstance(result.cleanup_errors["slow"], TimeoutError)
        assert "the clean-up of 'slow' did not finish within 7 s" in str(result.cleanup_errors["slow"])


# -- how --------------------------------------------------------------------


def test_agents_are_cleaned_up_side_by_side() -> None:
    async def meet() -> OrchestraResult:
        arrived: list[str] = []
        everybody = asyncio.Event()

        async def work() -> None:
            arrived.append("one")
            if len(arrived) == 3:
                everybody.set()
            await everybody.wait()

        agents = [Cleaning(name, work) for name in "abc"]
        return await Orchestra.run("task", [agent.name for agent in agents])

    assert finish(meet()).cleanup_errors == {}


def test_every_clean_up_has_a_time_limit_of_its_own() -> None:
    agents = [Cleaning(name, lambda: passing(1000)) for name in "abc"]

    async def timed(loop: JumpingLoop) -> tuple[OrchestraResult, float]:
        return await Orchestra.run("task", [agent.name for agent in agents]), loop.now

    result, seconds = jump(timed)

    assert seconds == pytest.approx(10, abs=0.1)
    assert set(result.cleanup_errors) == {"a", "b", "c"}
    assert result.success


def test_a_clean_up_that_takes_too_long_is_stopped() -> None:
    async def slow() -> None:
        try:
            await passing(1000)
        except asyncio.CancelledError:
            await turns(5)
            stopped.append("slow")
            raise

    async def run(loop: JumpingLoop) -> list[str]:
        await Orchestra.run("task", [agent.name])
        return stopped.copy()

    stopped: list[str] = []
    agent = Cleaning("slow", slow)

    assert jump(run) == ["slow"]


def test_a_clean_up_that_ignores_its_end_does_not_hold_up_the_run() -> None:
    async def stubborn() -> Any:
        while True:
            try:
                return await passing(2000)
            except asyncio.CancelledError:
                ignored.append("cancellation")

    ignored: list[str] = []
    stuck, other = Cleaning("stuck", stubborn), Closing("other")

    async def timed(loop: JumpingLoop) -> tuple[OrchestraResult, float]:
        return await Orchestra.run("task", [stuck.name, other.name]), loop.now

    result, seconds = jump(timed)

    assert ignored[0] == "cancellation"
    assert seconds < 20
    assert isinstance(result.cleanup_errors["stuck"], TimeoutError)
    assert other.closed == 1
    assert AgentRegistry.names() == []


def test_a_clean_up_that_ends_in_a_cancellation_of_its_own_is_an_error_like_any_other() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(asyncio.Event().wait())
        await turns(1)
        task.cancel()
        await task

    stuck, other = Cleaning("stuck", cancelled), Closing("other")

    result = finish(Orchestra.run("task", [stuck.name, other.name]))

    assert result.success
    assert set(result.cleanup_errors) == {"stuck"}
    assert other.closed == 1
    assert AgentRegistry.names() == []


def test_a_clean_up_may_be_a_plain_method_or_missing() -> None:
    class PlainCleanup(Echo):
        closed = 0

        def cleanup(self) -> Any:
            self.closed += 1

    class PlainObject(Plain):
        closed = 0

        def cleanup(self) -> None:
            self.closed += 1

    agent, thing, nothing = PlainCleanup("agent"), PlainObject(), Plain()
    AgentRegistry.register(thing, "thing")
    AgentRegistry.register(nothing, "nothing")

    result = finish(Orchestra.run("task", {"agents": ["agent", "thing", "nothing"]}))

    assert result.cleanup_errors == {}
    assert (agent.closed, thing.closed) == (1, 1)
    assert AgentRegistry.names() == []


def test_a_clean_up_finds_the_agent_still_registered() -> None:
    found: list[Any] = []

    async def look() -> None:
        found.append(AgentRegistry.get("agent"))

    agent = Cleaning("agent", look)

    finish(Orchestra.run("task", ["agent"]))

    assert found == [agent]
    assert AgentRegistry.get("agent") is None


def test_a_successor_that_was_registered_during_the_clean_up_stays() -> None:
    successors: list[Echo] = []

    async def replace() -> None:
        AgentRegistry.unregister("agent")
        successors.append(Echo("agent"))

    agent = Cleaning("agent", replace)

    finish(Orchestra.run("task", [agent.name]))

    assert AgentRegistry.get("agent") is successors[0]


def test_an_agent_that_was_replaced_during_the_run_is_cleaned_up_and_its_successor_is_not() -> None:
    class Replacing(Closing):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            AgentRegistry.unregister("agent")
            successors.append(Closing("agent"))

    successors: list[Closing] = []
    agent = Replacing("agent")

    finish(Orchestra.run("task", ["agent"]))

    assert agent.closed == 1
    assert successors[0].closed == 0
    assert AgentRegistry.get("agent") is successors[0]


def test_an_agent_that_is_two_nodes_is_cleaned_up_once_and_loses_both_names() -> None:
    agent = Closing("agent")
    AgentRegistry.register(agent, "alias")

    result = finish(Orchestra.run("task", ["agent", "alias"]))

    assert result.success
    assert agent.closed == 1
    assert AgentRegistry.names() == []


def test_clean_ups_run_before_the_result_is_there() -> None:
    async def work() -> None:
        await turns(20)
        order.append("cleaned up")

    async def run() -> None:
        await Orchestra.run("task", [agent.name])
        order.append("result")

    order: list[str] = []
    agent = Cleaning("agent", work)

    finish(run())

    assert order == ["cleaned up", "result"]


# -- whom -------------------------------------------------------------------


def test_by_default_agents_that_never_ran_are_cleaned_up_too() -> None:
    agents = [Ending("a", "failure"), Ending("b")]

    finish(Orchestra.run("task", ["a", "b"]))

    assert [agent.closed for agent in agents] == [1, 1]
    assert AgentRegistry.names() == []


def test_only_agents_that_ran_are_cleaned_up_when_that_is_asked_for() -> None:
    agents = [Ending("a"), Ending("b", "failure"), Ending("c")]

    finish(Orchestra.run("task", ["a", "b", "c"], execution_config=ExecutionConfig(cleanup_scope="used_agents")))

    assert [agent.closed for agent in agents] == [1, 1, 0]
    assert AgentRegistry.names() == ["c"]


def test_agents_outside_the_topology_are_left_alone() -> None:
    agent, outsider = Closing("agent"), Closing("outsider")

    finish(Orchestra.run("task", [agent.name]))

    assert outsider.closed == 0
    assert AgentRegistry.names() == ["outsider"]


@pytest.mark.parametrize("node", ["pool", "pool_1"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_pools_and_their_members_are_left_alone(node: str, ending: str) -> None:
    pool = AgentPool(lambda name: Ending(name, ending), 2, name="pool")
    AgentRegistry.register_pool(pool)

    jump(lambda loop: play([node], ending))

    assert [member.closed for member in pool.instances] == [0, 0]
    assert AgentRegistry.names() == ["pool_0", "pool_1"]
    assert AgentRegistry.get_pool("pool") is pool
    assert pool.get_available_count() == 2


# -- agents that others still use -------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_an_agent_that_another_run_still_uses_is_cleaned_up_by_the_last_one(first: int) -> None:
    agent = Gate("agent")

    async def two() -> list[tuple[int, list[str]]]:
        runs = [start(["agent"]), start(["agent"])]
        await turns()
        agent.gates[first].set()
        await runs[first]
        after_first = (agent.closed, AgentRegistry.names())
        agent.gates[1 - first].set()
        await runs[1 - first]
        return [after_first, (agent.closed, AgentRegistry.names())]

    assert finish(two()) == [(0, ["agent"]), (1, [])]


@pytest.mark.parametrize("ending", ["failure", "cancellation"])
def test_a_run_that_ends_badly_leaves_alone_what_another_still_uses(ending: str) -> None:
    agent = Gate("agent")

    async def two() -> tuple[int, int]:
        running = start(["agent"])
        await turns()
        bad = Ending("bad", ending)
        await play(["agent", bad.name], ending)
        closed = agent.closed
        agent.gates[0].set()
        await running
        return closed, agent.closed

    assert jump(lambda loop: two()) == (0, 1)


def test_a_run_that_uses_an_agent_later_counts_from_its_beginning() -> None:
    late = Closing("late")

    async def two() -> tuple[int, bool]:
        gate = Gate("gate")
        waiting = asyncio.ensure_future(Orchestra.run("task", [gate.name, "late"]))
        await turns()
        await Orchestra.run("task", ["late"])
        closed = late.closed
        gate.gates[0].set()
        return closed, (await waiting).success

    assert finish(two()) == (0, True)
    assert late.closed == 1


def test_a_run_that_does_not_clean_up_still_keeps_others_from_it() -> None:
    agent = Gate("agent")

    async def two() -> tuple[int, int]:
        keeping = start(["agent"], auto_cleanup_agents=False)
        cleaning = start(["agent"])
        await turns()
        agent.gates[1].set()
        await cleaning
        closed = agent.closed
        agent.gates[0].set()
        await keeping
        return closed, agent.closed

    assert finish(two()) == (0, 1)


def test_agents_of_two_runs_that_neither_wants_cleaned_up_stay() -> None:
    agent = Gate("agent")

    async def two() -> None:
        runs = [start(["agent"], auto_cleanup_agents=False) for _ in range(2)]
        await turns()
        for gate in agent.gates:
            gate.set()
        await asyncio.gather(*runs)

    finish(two())

    assert agent.closed == 0
    assert AgentRegistry.get("agent") is agent


def test_an_agent_that_stays_is_cleaned_up_by_a_later_run() -> None:
    agent = Closing("agent")

    async def two() -> tuple[int, int]:
        await start(["agent"], auto_cleanup_agents=False)
        closed = agent.closed
        await start(["agent"])
        return closed, agent.closed

    assert finish(two()) == (0, 1)


def test_an_agent_that_another_run_calls_by_an_alias_is_still_used() -> None:
    agent = Gate("agent")
    AgentRegistry.register(agent, "alias")

    async def two() -> tuple[int, int]:
        runs = [start(["agent"]), start(["alias"])]
        await turns()
        agent.gates[0].set()
        await runs[0]
        closed = agent.closed
        agent.gates[1].set()
        await runs[1]
        return closed, agent.closed

    assert finish(two()) == (0, 1)


def test_of_two_runs_in_two_threads_the_last_one_cleans_up() -> None:
    arrived = threading.Barrier(2, timeout=30)
    through: dict[str, asyncio.Event] = {}

    class Held(Closing):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            through[prompt] = asyncio.Event()
            await asyncio.get_running_loop().run_in_executor(None, arrived.wait)
            await through[prompt].wait()

    async def let_through(task: str) -> None:
        through[task].set()

    agent = Held("agent")
    with LoopThread() as one, LoopThread() as other:
        runs = [thread.start(Orchestra.run(name, ["agent"])) for thread, name in ((one, "one"), (other, "other"))]
        while len(through) < 2:
            one.finish(turns(1))
        one.finish(let_through("one"))
        assert runs[0].result(30).success
        after_first = (agent.closed, AgentRegistry.names())
        other.finish(let_through("other"))
        assert runs[1].result(30).success

    assert after_first == (0, ["agent"])
    assert (agent.closed, AgentRegistry.names()) == (1, [])


def test_a_hundred_runs_of_one_agent_in_four_threads_clean_it_up_once() -> None:
    class Once(Closing):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            await turns(5)
            return self.closed

    async def many() -> list[OrchestraResult]:
        arrived.wait()  # every thread has its runs begun before the first may end
        running = [asyncio.ensure_future(Orchestra.run("task", ["agent"])) for _ in range(25)]
        await turns(1)
        arrived.wait()
        return await asyncio.gather(*running)

    agent = Once("agent")
    arrived = threading.Barrier(4, timeout=30)
    threads = [LoopThread() for _ in range(4)]
    with threads[0], threads[1], threads[2], threads[3]:
        results = [result for work in [thread.start(many()) for thread in threads] for result in work.result(30)]

    assert [(result.success, result.final_response) for result in results] == [(True, 0)] * 100
    assert agent.closed == 1
    assert AgentRegistry.names() == []


# -- cancelled again --------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_run_that_is_cancelled_again_and_again_still_cleans_up(times: int) -> None:
    cleaned: list[str] = []

    async def work() -> None:
        await turns(20)
        cleaned.append("agent")

    agent = Cleaning("agent", work)
    endless = Ending("endless", "cancellation")

    async def cancelled() -> None:
        running = start([agent.name, endless.name])
        await turns()
        for _ in range(times):
            running.cancel()
            await turns(3)
        with pytest.raises(asyncio.CancelledError):
            await running

    finish(cancelled())

    assert cleaned == ["agent"]
    assert endless.closed == 1
    assert AgentRegistry.names() == []


def test_a_run_that_is_cancelled_while_it_cleans_up_finishes_that_and_is_cancelled_then() -> None:
    cleaned: list[str] = []
    begun: list[asyncio.Event] = []

    async def work() -> None:
        begun[0].set()
        await turns(10)
        cleaned.append("agent")

    agent = Cleaning("agent", work)

    async def cancelled() -> None:
        begun.append(asyncio.Event())
        running = start([agent.name])
        await begun[0].wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    finish(cancelled())

    assert cleaned == ["agent"]
    assert AgentRegistry.names() == []


def test_a_run_that_ends_with_its_loop_still_cleans_up() -> None:
    agents = [Ending("a", "cancellation"), Ending("b", "cancellation")]

    async def leave_it_running() -> asyncio.Task[OrchestraResult]:
        running = start(["a", "b"])
        await turns()
        return running

    running = finish(leave_it_running())

    assert running.cancelled()
    assert [agent.closed for agent in agents] == [1, 1]
    assert AgentRegistry.names() == []


def test_a_failed_run_that_is_cancelled_while_it_stops_the_others_cleans_up() -> None:
    class Lingering(Closing):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            try:
                await asyncio.Event().wait()
            finally:
                lingering[0].set()
                await turns(10)

    lingering: list[asyncio.Event] = []
    agents: list[BaseAgent] = [Lingering("lingering"), Ending("failing", "failure")]

    async def cancelled() -> None:
        lingering.append(asyncio.Event())
        running = asyncio.ensure_future(Orchestra.run("task", Topology([agent.name for agent in agents])))
        await lingering[0].wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    finish(cancelled())

    assert [agent.closed for agent in agents if isinstance(agent, Closing)] == [1, 1]
    assert AgentRegistry.names() == []
