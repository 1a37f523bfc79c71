"""Orchestra: what runs when, what it is given, and what comes of it."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest

from agentreg import (
    Agent,
    AgentPool,
    AgentRegistry,
    BaseAgent,
    ExecutionConfig,
    Orchestra,
    OrchestraResult,
    PoolClosedError,
    Topology,
    TopologyError,
)
from tests.crew import Closing, Echo, JumpingLoop, Meeting, Plain, finish, jump, passing, turns


class Step(Closing):
    """Remembers how it was called, and gives back its name in capitals."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        return self.name.upper()


class Failing(Closing):
    """Fails."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        raise LookupError(f"{self.name} is lost")


class Doing(Closing):
    """Does what it is told to do."""

    def __init__(self, name: str, work: Callable[[], Any]) -> None:
        super().__init__(name)
        self.work = work

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return await self.work()


def run(*args: Any, **kwargs: Any) -> OrchestraResult:
    """`Orchestra.run`, waited for."""
    return finish(Orchestra.run(*args, **kwargs))


def steps(*names: str) -> list[Step]:
    """An agent under each name."""
    return [Step(name) for name in names]


KEEP = ExecutionConfig(auto_cleanup_agents=False)


# -- what nodes are given, and what they give -------------------------------


def test_a_source_gets_the_task_itself_and_nothing_else() -> None:
    (agent,) = steps("agent")
    task = object()

    run(task, ["agent"])

    assert agent.calls == [((task,), {})]
    assert agent.calls[0][0][0] is task


def test_the_return_value_of_the_sink_is_the_response_unchanged() -> None:
    response = object()

    async def respond() -> object:
        return response

    agent = Doing("agent", respond)

    result = run("task", [agent.name])

    assert result.final_response is response


def test_a_later_node_gets_the_task_and_the_results_of_those_before_it() -> None:
    scout, left, right, writer = steps("scout", "left", "right", "writer")
    task = object()

    run(task, {"agents": ["scout", "left", "right", "writer"], "flows": ["scout -> left -> writer", "scout -> right"]})

    assert scout.calls == [((task,), {})]
    assert left.calls == [((task,), {"context": {"scout": "SCOUT"}})]
    assert right.calls == [((task,), {"context": {"scout": "SCOUT"}})]
    assert writer.calls == [((task,), {"context": {"left": "LEFT"}})]


def test_results_come_in_the_order_of_the_arrows() -> None:
    a, b, c = steps("a", "b", "c")

    run("task", {"agents": ["a", "b", "c"], "flows": ["b -> c", "a -> c"]})

    assert list(c.calls[0][1]["context"]) == ["b", "a"]
    assert (len(a.calls), len(b.calls)) == (1, 1)


def test_a_pipeline_hands_on_from_one_to_the_next() -> None:
    agents = steps("a", "b", "c")

    result = run("task", ["a", "b", "c"])

    assert [agent.calls[0][1] for agent in agents] == [{}, {"context": {"a": "A"}}, {"context": {"b": "B"}}]
    assert result.final_response == "C"


def test_a_given_context_comes_before_the_results_and_reaches_the_sources_too() -> None:
    a, b = steps("a", "b")
    context = {"language": "en", "a": "replaced by the result"}

    run("task", ["a", "b"], context=context)

    assert a.calls[0][1] == {"context": {"language": "en", "a": "replaced by the result"}}
    assert b.calls[0][1] == {"context": {"language": "en", "a": "A"}}
    assert context == {"language": "en", "a": "replaced by the result"}


def test_a_node_that_changes_its_context_changes_nobody_elses() -> None:
    class Greedy(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            seen = dict(kwargs["context"])
            kwargs["context"].clear()
            return seen

    agents = [Greedy("a"), Greedy("b")]
    context = {"language": "en"}

    result = run("task", [agent.name for agent in agents], context=context)

    assert result.results == {"a": {"language": "en"}, "b": {"language": "en", "a": {"language": "en"}}}
    assert context == {"language": "en"}


def test_a_model_reads_the_results_of_those_before() -> None:
    scout = Agent("scout", model=lambda messages: "three files")
    writer = Agent("writer", model=lambda messages: [(m.name, m.content) for m in messages])

    result = run("count", [scout.name, writer.name])

    assert result.final_response == [("scout", "three files"), (None, "count")]


def test_nodes_need_not_be_agents_of_ours_nor_asynchronous() -> None:
    class Shouting:
        def run(self, prompt: str, context: Any = None) -> str:
            return f"{prompt}!"

    plain, shouting = Plain(), Shouting()
    AgentRegistry.register(plain, "plain")
    AgentRegistry.register(shouting, "shouting")

    result = run("hello", ["plain", "shouting"])

    assert result.results == {"plain": "hello", "shouting": "hello!"}


@pytest.mark.parametrize("kind", [Mock, MagicMock, AsyncMock])
def test_mocks_may_be_nodes(kind: type[Mock]) -> None:
    agents = {name: kind(name=name) for name in "ab"}
    for name, agent in agents.items():
        agent.run.return_value = name.upper()
        AgentRegistry.register(agent, name)

    result = run("task", ["a", "b"])

    assert result.results == {"a": "A", "b": "B"}
    assert result.cleanup_errors == {}
    agents["b"].run.assert_called_once_with("task", context={"a": "A"})
    agents["a"].cleanup.assert_called_once_with()
    assert AgentRegistry.names() == []


def test_a_result_tells_everything_about_the_run() -> None:
    agents = steps("a", "b")
    before = time.perf_counter()

    result = run("task", [agent.name for agent in agents])

    elapsed = time.perf_counter() - before
    assert result.success is True
    assert result.final_response == "B"
    assert result.results == {"a": "A", "b": "B"}
    assert set(result.durations) == {"a", "b"}
    assert all(0 <= duration <= elapsed for duration in result.durations.values())
    assert result.errors == {}
    assert result.skipped == {}
    assert result.cleanup_errors == {}


def test_several_sinks_give_a_response_each() -> None:
    agents = steps("a", "b", "c")

    result = run("task", {"agents": [agent.name for agent in agents], "flows": ["a -> b", "a -> c"]})

    assert result.final_response == {"b": "B", "c": "C"}


def test_a_sink_that_gives_nothing_gives_none() -> None:
    async def nothing() -> None:
        return None

    agent = Doing("agent", nothing)

    result = run("task", [agent.name])

    assert result.success is True
    assert result.final_response is None
    assert result.results == {"agent": None}


# -- side by side -----------------------------------------------------------


def test_independent_nodes_run_at_the_same_time() -> None:
    async def meet() -> OrchestraResult:
        meeting = Meeting(3)
        agents = [Doing(name, meeting) for name in "abc"]
        return await Orchestra.run("task", {"agents": [agent.name for agent in agents]})

    assert finish(meet()).final_response == {"a": 3, "b": 3, "c": 3}


def test_a_node_starts_as_soon_as_those_before_it_are_done_whatever_others_do() -> None:
    async def meet() -> OrchestraResult:
        meeting = Meeting(2)

        async def quick() -> str:
            return "quick"

        agents = [Doing("quick", quick), Doing("after quick", meeting), Doing("slow", meeting)]
        topology = Topology([agent.name for agent in agents], [("quick", "after quick")])
        return await Orchestra.run("task", topology)

    assert finish(meet()).success


def test_a_node_waits_for_all_of_those_before_it() -> None:
    order: list[str] = []

    def noting(name: str, rounds: int) -> Doing:
        async def work() -> None:
            await turns(rounds)
            order.append(name)

        return Doing(name, work)

    agents = [noting("a", 9), noting("b", 1), noting("c", 5), noting("end", 0)]

    run("task", {"agents": [agent.name for agent in agents], "flows": ["a -> end", "b -> end", "c -> end"]})

    assert order == ["b", "c", "a", "end"]


@pytest.mark.parametrize("limit", [1, 2, 5, None])
def test_no_more_nodes_than_allowed_run_at_the_same_time(limit: int | None) -> None:
    running, peak = 0, 0

    async def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await turns(3)
        running -= 1

    agents = [Doing(f"agent {number}", work) for number in range(7)]

    result = run(
        "task", {"agents": [agent.name for agent in agents]}, execution_config=ExecutionConfig(max_concurrency=limit)
    )

    assert result.success
    assert peak == (limit or 7)


def test_two_runs_may_call_one_agent_at_the_same_time() -> None:
    async def meet() -> list[OrchestraResult]:
        agent = Doing("agent", Meeting(2))
        return await asyncio.gather(*(Orchestra.run("task", [agent.name]) for _ in range(2)))

    assert [result.success for result in finish(meet())] == [True, True]


def test_an_agent_that_a_branch_holds_runs_all_the_same() -> None:
    (agent,) = steps("agent")
    agent.acquire_instance("somebody")

    result = run("task", ["agent"])

    assert result.success
    assert agent.release_instance("somebody") is True


# -- pools ------------------------------------------------------------------


class Member(Closing):
    """Gives back its name and how many members are free."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return self.name, AgentRegistry.get_available_count("pool")


def test_a_pool_node_borrows_a_member_and_gives_it_back() -> None:
    pool = AgentPool(Member, 2, name="pool")
    AgentRegistry.register_pool(pool)

    result = run("task", ["pool"])

    assert result.results == {"pool": ("pool_0", 1)}
    assert pool.get_available_count() == 2
    assert pool.get_statistics()["total_allocations"] == 1


def test_a_pool_node_gets_task_and_context_like_any_other() -> None:
    pool = AgentPool(Step, 1, name="pool")
    AgentRegistry.register_pool(pool)
    (first,) = steps("first")
    task = object()

    run(task, [first.name, "pool"])

    assert pool.instances[0].calls == [((task,), {"context": {"first": "FIRST"}})]


def test_a_third_run_on_a_pool_of_two_finds_its_members_given_back() -> None:
    pool = AgentPool(Member, 2, name="pool")
    AgentRegistry.register_pool(pool)

    results = [run("task", ["pool"]) for _ in range(3)]

    assert [result.success for result in results] == [True, True, True]
    assert pool.get_available_count() == 2


def test_runs_at_the_same_time_get_a_member_each_and_wait_when_there_is_none() -> None:
    async def meet() -> list[OrchestraResult]:
        meeting = Meeting(2)
        busy: set[str] = set()

        class Busy(Closing):
            async def run(self, prompt: Any, **kwargs: Any) -> Any:
                assert self.name not in busy
                busy.add(self.name)
                await meeting()
                busy.remove(self.name)

        AgentRegistry.register_pool(AgentPool(Busy, 2, name="pool"))
        return await asyncio.gather(*(Orchestra.run("task", ["pool"]) for _ in range(6)))

    assert [result.success for result in finish(meet())] == [True] * 6


def test_a_run_waits_for_a_member_as_long_as_it_takes() -> None:
    pool = AgentPool(Member, 1, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("somebody")

    async def wait(loop: JumpingLoop) -> OrchestraResult:
        loop.call_later(3000, pool.release_instance, "somebody")
        return await Orchestra.run("task", ["pool"])

    assert jump(wait).success


@pytest.mark.parametrize("ending", ["an error", "a time-out", "a cancellation"])
def test_a_member_is_given_back_however_its_node_ends(ending: str) -> None:
    class Ending(Closing):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            if ending == "an error":
                raise LookupError
            await asyncio.Event().wait()

    pool = AgentPool(Ending, 1, name="pool")
    AgentRegistry.register_pool(pool)

    async def play(loop: JumpingLoop) -> None:
        running = asyncio.create_task(
            Orchestra.run("task", ["pool"], execution_config=ExecutionConfig(node_timeout=100))
        )
        await turns()
        if ending == "a cancellation":
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    jump(play)

    assert pool.get_available_count() == 1


def test_a_pool_that_is_cleaned_up_while_a_node_waits_fails_the_node() -> None:
    pool = AgentPool(Member, 1, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("somebody")

    async def wait() -> OrchestraResult:
        running = asyncio.create_task(Orchestra.run("task", ["pool"]))
        await turns()
        await pool.cleanup()
        return await running

    result = finish(wait())

    assert isinstance(result.errors["pool"], PoolClosedError)


def test_members_may_be_nodes_by_their_own_names() -> None:
    pool = AgentPool(Member, 2, name="pool")
    AgentRegistry.register_pool(pool)

    result = run("task", ["pool_1"])

    assert result.results["pool_1"][0] == "pool_1"


# -- failing ----------------------------------------------------------------


def test_a_failing_node_fails_the_run_and_never_raises() -> None:
    agent = Failing("agent")

    result = run("task", [agent.name])

    assert result.success is False
    assert result.final_response is None
    assert result.results == {}
    assert isinstance(result.errors["agent"], LookupError)
    assert "agent is lost" in str(result.errors["agent"])
    assert set(result.durations) == {"agent"}


def test_a_node_that_cancels_itself_fails_the_run_and_never_raises() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    agent = Doing("agent", cancelled)

    result = run("task", [agent.name])

    assert result.success is False
    assert isinstance(result.errors["agent"], asyncio.CancelledError)


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_what_depends_on_a_failed_node_is_not_run(on_error: Any) -> None:
    failing = Failing("failing")
    (after,) = steps("after")

    result = run("task", [failing.name, after.name], execution_config=ExecutionConfig(on_error=on_error))

    assert after.calls == []
    assert result.success is False
    assert result.final_response is None


def test_results_from_before_the_failure_are_kept() -> None:
    (before,) = steps("before")
    failing = Failing("failing")

    result = run("task", [before.name, failing.name])

    assert result.results == {"before": "BEFORE"}
    assert list(result.errors) == ["failing"]


def test_a_failure_stops_what_is_still_running() -> None:
    stopped: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("endless")

    agents = [Doing("endless", endless), Failing("failing")]

    result = run("task", {"agents": [agent.name for agent in agents]})

    assert result.success is False
    assert stopped == ["endless"]


def test_after_a_failure_the_rest_may_go_on() -> None:
    failing = Failing("failing")
    agents = steps("a", "b", "after failing")
    topology = Topology(["failing", "a", "b", "after failing"], ["a -> b", ("failing", "after failing")])

    result = run("task", topology, execution_config=ExecutionConfig(on_error="continue"))

    assert result.success is False
    assert result.results == {"a": "A", "b": "B"}
    assert result.final_response == {"b": "B"}
    assert isinstance(result.errors["failing"], LookupError)
    assert agents[2].calls == []
    assert failing.closed == 1


def test_every_node_that_was_not_run_says_why() -> None:
    failing = Failing("failing")
    agents = steps("after", "far after")

    result = run("task", [failing.name, "after", "far after"], execution_config=ExecutionConfig(on_error="continue"))

    assert set(result.errors) == {"failing"}
    assert result.skipped == {
        "after": "not run: there is no result of 'failing'",
        "far after": "not run: there is no result of 'after'",
    }
    assert [agent.calls for agent in agents] == [[], []]


def test_nodes_that_were_stopped_say_so() -> None:
    agents = [Doing("endless", lambda: asyncio.Event().wait()), Failing("failing")]

    result = run("task", {"agents": [agent.name for agent in agents]})

    assert set(result.errors) == {"failing"}
    assert result.skipped == {"endless": "stopped, because another node failed"}


@pytest.mark.parametrize("ending", ["an error", "a time-out", "a cancellation"])
@pytest.mark.parametrize("node_timeout", [None, 5])
def test_a_node_that_is_stopped_ends_before_its_agent_is_cleaned_up(ending: str, node_timeout: float | None) -> None:
    if ending == "a time-out" and node_timeout is None:
        node_timeout = 3
    order: list[str] = []

    class Lingering(Closing):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            try:
                await passing(1000)
            finally:
                await turns(5)
                order.append("ended")

        async def cleanup(self) -> None:
            order.append("cleaned up")

    async def fail() -> None:
        await passing(1 if ending == "an error" else 1000)
        raise LookupError

    agents = [Lingering("lingering"), Doing("doing", fail)]

    async def play(loop: JumpingLoop) -> None:
        config = ExecutionConfig(node_timeout=node_timeout)
        running = asyncio.create_task(
            Orchestra.run("task", {"agents": [agent.name for agent in agents]}, execution_config=config)
        )
        await turns()
        if ending == "a cancellation":
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        order.append("through")

    jump(play)

    assert order == ["ended", "cleaned up", "through"]


def test_what_a_node_raises_when_it_is_stopped_is_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    async def complain() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("a complaint")

    agents = [Doing("complaining", complain), Failing("failing")]

    result = run("task", {"agents": [agent.name for agent in agents]})
    gc.collect()

    assert set(result.errors) == {"failing"}
    assert "a complaint" not in caplog.text


def test_a_failing_node_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    agent = Failing("agent")

    run("task", [agent.name])

    assert "node 'agent' failed: LookupError('agent is lost')" in caplog.text


def test_an_error_in_every_node_at_once_is_kept_for_each() -> None:
    agents = [Failing("a"), Failing("b")]

    result = run("task", {"agents": [agent.name for agent in agents]})

    assert set(result.errors) == {"a", "b"}
    assert result.final_response == {}


def test_a_node_that_does_not_take_a_context_fails_like_any_other() -> None:
    class Narrow(Closing):
        async def run(self, prompt: Any) -> Any:  # type: ignore[override]
            return prompt

    agents = [Narrow("a"), Narrow("b")]

    result = run("task", [agent.name for agent in agents])

    assert result.results == {"a": "task"}
    assert isinstance(result.errors["b"], TypeError)


# -- limits -----------------------------------------------------------------


def test_a_node_that_takes_too_long_fails() -> None:
    agent = Doing("agent", lambda: passing(1000))

    result, now = jump(
        lambda loop: timed(loop, Orchestra.run("task", ["agent"], execution_config=ExecutionConfig(node_timeout=5)))
    )

    assert isinstance(result.errors["agent"], TimeoutError)
    assert "node 'agent' did not finish within 5 s" in str(result.errors["agent"])
    assert now == pytest.approx(5, abs=0.01)
    assert agent.closed == 1


async def timed(loop: JumpingLoop, work: Any) -> tuple[Any, float]:
    """The result of *work* and the time at its end."""
    return await work, loop.now


def test_a_node_in_time_is_not_disturbed() -> None:
    agent = Doing("agent", lambda: passing(4, "done"))

    result = jump(lambda loop: Orchestra.run("task", [agent.name], execution_config=ExecutionConfig(node_timeout=5)))

    assert result.final_response == "done"


def test_waiting_for_a_member_counts_towards_a_nodes_time() -> None:
    pool = AgentPool(Member, 1, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("somebody")

    result = jump(lambda loop: Orchestra.run("task", ["pool"], execution_config=ExecutionConfig(node_timeout=5)))

    assert isinstance(result.errors["pool"], TimeoutError)
    assert pool.get_allocated_count() == 1


def test_waiting_for_a_turn_does_not_count_towards_a_nodes_time() -> None:
    agents = [Doing(f"agent {number}", lambda: passing(4)) for number in range(3)]
    config = ExecutionConfig(node_timeout=5, max_concurrency=1)

    result = jump(
        lambda loop: Orchestra.run("task", {"agents": [agent.name for agent in agents]}, execution_config=config)
    )

    assert result.success


def test_a_node_that_ignores_its_end_does_not_hold_up_the_run() -> None:
    async def stubborn() -> Any:
        while True:
            try:
                return await passing(2000, "at last")
            except asyncio.CancelledError:
                ignored.append("cancellation")

    ignored: list[str] = []
    agent = Doing("agent", stubborn)

    result, now = jump(
        lambda loop: timed(loop, Orchestra.run("task", ["agent"], execution_config=ExecutionConfig(node_timeout=5)))
    )

    assert isinstance(result.errors["agent"], TimeoutError)
    assert ignored[0] == "cancellation"
    assert now < 10
    assert agent.closed == 1


def test_no_more_nodes_than_max_steps_are_started() -> None:
    agents = steps("a", "b", "c")

    result = run("task", ["a", "b", "c"], max_steps=2)

    assert result.results == {"a": "A", "b": "B"}
    assert result.success is False
    assert result.skipped == {"c": "not run: 2 nodes were started, which is max_steps"}
    assert result.errors == {}
    assert agents[2].calls == []


def test_without_max_steps_a_hundred_nodes_are_started() -> None:
    agents = [Echo(f"agent {number}") for number in range(101)]

    result = run("task", [agent.name for agent in agents])

    assert len(result.results) == 100
    assert list(result.skipped) == ["agent 100"]


def test_as_many_nodes_as_max_steps_are_fine() -> None:
    agents = steps("a", "b")

    assert run("task", [agent.name for agent in agents], max_steps=2).success


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("cleanup_scope", "everything"),
        ("on_error", "ignore"),
        ("cleanup_timeout", 0),
        ("cleanup_timeout", -1),
        ("max_concurrency", 0),
        ("node_timeout", 0),
        ("node_timeout", float("nan")),
    ],
)
def test_an_option_out_of_range_is_refused_and_named(option: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"{option}: expected .*, got {wrong!r}"):
        ExecutionConfig(**{option: wrong})


def test_without_options_a_run_cleans_up_every_node_within_ten_seconds_and_stops_at_an_error() -> None:
    assert ExecutionConfig() == ExecutionConfig(
        auto_cleanup_agents=True,
        cleanup_scope="topology_nodes",
        cleanup_timeout=10.0,
        max_concurrency=None,
        node_timeout=None,
        on_error="stop",
    )


def test_options_can_not_be_changed_afterwards() -> None:
    config = ExecutionConfig()

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.node_timeout = 1.0  # type: ignore[misc]


# -- what is refused --------------------------------------------------------


def test_a_node_that_nobody_has_is_named_and_nothing_is_run_or_cleaned() -> None:
    (agent,) = steps("agent")

    with pytest.raises(TopologyError, match="no agent or pool is registered under the node's name 'writer'"):
        run("task", ["agent", "writer"])

    assert agent.calls == []
    assert agent.closed == 0
    assert AgentRegistry.get("agent") is agent


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ({"agents": ["a", "b"], "flows": ["a => b"]}, "malformed arrow 'a => b'"),
        ({"agents": ["a", "b"], "flows": ["a -> c"]}, "names 'c', which is no node"),
        ({"agents": ["a", "b"], "flows": ["a -> b -> a"]}, "cycle, and has (a -> b -> a|b -> a -> b)"),
        ([], "it has no node"),
        ("a", "must be a list"),
    ],
)
def test_a_topology_that_is_wrong_is_refused_before_anything_is_run(topology: Any, message: str) -> None:
    agents = steps("a", "b")

    with pytest.raises(TopologyError, match=message):
        run("task", topology)

    assert [(agent.calls, agent.closed) for agent in agents] == [([], 0), ([], 0)]
    assert AgentRegistry.names() == ["a", "b"]


def test_an_agent_that_another_run_is_cleaning_up_is_refused() -> None:
    class Slow(Closing):
        async def cleanup(self) -> None:
            await turns(20)
            await super().cleanup()

    async def too_late() -> None:
        earlier = asyncio.create_task(Orchestra.run("task", ["agent"]))
        await turns(10)
        with pytest.raises(TopologyError, match="the agent 'agent' is being cleaned up by another run"):
            await Orchestra.run("task", [other.name, "agent"])
        assert (await earlier).success

    agent, other = Slow("agent"), Closing("other")

    finish(too_late())

    assert (agent.closed, other.closed) == (1, 0)
    assert AgentRegistry.names() == ["other"]
    assert run("task", ["other"]).success
    assert other.closed == 1


def test_a_refused_run_keeps_no_later_run_from_cleaning_up() -> None:
    (agent,) = steps("agent")
    with pytest.raises(TopologyError):
        run("task", ["agent", "writer"])

    run("task", ["agent"])

    assert agent.closed == 1


# -- being cancelled --------------------------------------------------------


@pytest.mark.parametrize("moment", range(8))
def test_a_cancelled_run_stops_its_nodes_and_raises(moment: int) -> None:
    running: set[str] = set()

    def endless(name: str) -> Doing:
        async def work() -> None:
            running.add(name)
            try:
                await asyncio.Event().wait()
            finally:
                running.discard(name)

        return Doing(name, work)

    agents = [endless("a"), endless("b")]

    async def cancelled() -> None:
        task = asyncio.create_task(Orchestra.run("task", {"agents": [agent.name for agent in agents]}))
        await turns(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    finish(cancelled())

    assert running == set()
    assert [agent.closed for agent in agents] == ([1, 1] if moment else [0, 0])


# -- other registries -------------------------------------------------------


class Directory:
    """A registry of the user's own, with what an orchestra asks of one."""

    def __init__(self, **agents: Any) -> None:
        self.agents = agents
        self.removed: list[tuple[str, Any]] = []

    def get(self, name: str) -> Any:
        return self.agents.get(name)

    def get_pool(self, name: str) -> Any:
        return None

    def is_pool_instance(self, name: str) -> bool:
        return name.startswith("member")

    def unregister_if_same(self, name: str, instance: object) -> bool:
        self.removed.append((name, instance))
        return self.agents.pop(name, None) is not None


def test_a_run_uses_the_registry_it_is_given() -> None:
    (stranger,) = steps("a")
    AgentRegistry.unregister("a")
    (known,) = steps("a")
    directory = Directory(a=stranger)

    result = run("task", ["a"], agent_registry=directory)

    assert result.success
    assert (len(stranger.calls), len(known.calls)) == (1, 0)
    assert (stranger.closed, known.closed) == (1, 0)
    assert directory.removed == [("a", stranger)]
    assert AgentRegistry.get("a") is known


def test_members_are_skipped_as_the_registry_that_was_given_says() -> None:
    agents = steps("agent", "x")
    directory = Directory(agent=agents[0], member_1=agents[1])

    run("task", ["agent", "member_1"], agent_registry=directory)

    assert [agent.closed for agent in agents] == [1, 0]


def test_a_registry_that_fails_to_unregister_does_not_lock_the_agent_for_ever() -> None:
    class Broken(Directory):
        def unregister_if_same(self, name: str, instance: object) -> bool:
            raise OSError("broken")

    (agent,) = steps("agent")

    outcome = finish(outcome_of(Orchestra.run("task", ["agent"], agent_registry=Broken(agent=agent))))
    again = run("task", ["agent"], execution_config=KEEP)

    assert isinstance(outcome, OSError | OrchestraResult)
    assert again.success


async def outcome_of(work: Any) -> Any:
    """What *work* returns or raises."""
    try:
        return await work
    except Exception as error:
        return error


def test_a_subclass_of_the_registry_shares_its_agents() -> None:
    class Own(AgentRegistry):
        pass

    (agent,) = steps("agent")

    result = run("task", ["agent"], agent_registry=Own)

    assert result.success
    assert agent.closed == 1
    assert AgentRegistry.get("agent") is None


def test_an_agent_may_run_an_orchestra_of_its_own() -> None:
    names = itertools.count()

    class Conductor(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            helper = Echo(f"helper {next(names)}")
            return (await Orchestra.run(prompt, [helper.name])).final_response

    agent = Conductor("conductor")

    result = run("task", [agent.name])

    assert result.final_response == "task"
    assert AgentRegistry.names() == []
