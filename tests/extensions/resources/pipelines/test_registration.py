"""Everything that entering an agent takes, all of it or nothing."""

from __future__ import annotations

import asyncio
import copy
import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg import AgentRegistry, BaseAgent, NameTakenError, create_agent_pool_sync
from agentreg.extensions.resources import ResourceManager
from agentreg.extensions.resources.conflicts import (
    AgentRequest,
    ConflictContext,
    ConflictPolicies,
    ConflictRefusedError,
    ConflictResolver,
    ConnectionPool,
)
from agentreg.extensions.resources.pipelines import (
    REGISTRATION_STEPS,
    LiveAgents,
    PipelineError,
    RegistrationPipeline,
    Run,
    Step,
    following_departures,
)
from agentreg.testing import isolated_registry
from tests.extensions.resources.pipelines.crew import Agent, Book, Directory, Office, Servers


class Setting:
    """A pipeline with all its parts, and the world that it changes."""

    def __init__(self, down: tuple[str, ...] = (), total: int = 100, **policies: Any) -> None:
        self.directory, self.office, self.book, self.servers = Directory(), Office(total), Book(), Servers(down)
        self.pool = ConnectionPool(self.servers.connect, self.servers.close, limit=2, sharing=1)
        self.resolver = ConflictResolver(ConflictPolicies(**policies), wall_clock=lambda: 0.0)
        self.pipeline = RegistrationPipeline(
            self.directory,
            self.resolver,
            ConflictContext(allowed_tools={"parent": ["Read", "Bash(git:*)"]}),
            self.pool,
            self.office,
            self.book.notify,
            self.book.monitor,
            self.book.watch,
        )

    def world(self) -> dict[str, Any]:
        state = {
            "records": self.directory.records,
            "held": self.office.held,
            "line": [share.agent for share in self.office.line],
            "open": +self.servers.open,
            "leases": [str(lease) for name in "abcxyz" for lease in self.pool.leases(name)],
            "monitored": self.book.monitored,
            "watched": self.book.watched,
            "enrolled": list(self.pipeline.enrolments),
            "believed": believed(self.book),
        }
        return copy.deepcopy(state)


def believed(book: Book) -> set[str]:
    """Who is registered, to those who were told."""
    names: set[str] = set()
    for notice in book.told:
        (names.add if notice.kind == "registered" else names.discard)(notice.name)
    return names


def full(name: str, **more: Any) -> AgentRequest:
    fields = {"tools": ["Read"], "mcp_servers": ["gh", "db"], "memory": 10, "file_path": f"{name}.md", **more}
    return AgentRequest(name, **fields)


def test_an_agent_is_registered_with_all_that_it_asked_for() -> None:
    async def main() -> None:
        here = Setting()
        result = await here.pipeline.run(full("x"))

        assert (result.name, result.token, result.troubles) == ("x", (1, "x"), ())
        assert [step.name for step in result.steps] == list(REGISTRATION_STEPS)
        assert {step.outcome for step in result.steps} == {"done"}
        assert here.world() == {
            "records": {"x": (1, "x")},
            "held": {"x": 10},
            "line": [],
            "open": {"gh": 1, "db": 1},
            "leases": ["<ConnectionLease of 'x' on 'db'>", "<ConnectionLease of 'x' on 'gh'>"],
            "monitored": {"x"},
            "watched": {"x.md"},
            "enrolled": ["x"],
            "believed": {"x"},
        }

    asyncio.run(main())


def test_what_is_not_set_up_or_not_asked_for_is_skipped() -> None:
    agent = Agent()

    result = asyncio.run(RegistrationPipeline().run(AgentRequest("scout", agent=agent)))

    assert {step.name for step in result.steps if step.outcome == "skipped"} == {
        "connect_mcp_servers",
        "allocate",
        "notify",
        "monitor",
        "watch_file",
    }
    assert AgentRegistry.get("scout") is agent


def test_the_run_and_every_decision_are_explained() -> None:
    async def main() -> str:
        here = Setting()
        await here.pipeline.run(full("x", tools=["Read", "Bash"]))
        return here.resolver.log.explain("x")

    text = asyncio.run(main())

    assert "tools conflict of 'x': least_privilege, by policy" in text
    assert "registration of 'x': registered, by pipeline" in text
    assert "  enter: done in " in text


def test_a_refused_request_leaves_nothing_behind() -> None:
    async def main() -> None:
        here = Setting()
        before = here.world()
        with pytest.raises(PipelineError) as caught:
            await here.pipeline.run(full("x", tools=["Write"]))

        assert caught.value.step == "verify_tool_permissions"
        assert isinstance(caught.value.cause, ConflictRefusedError)
        assert here.world() == before

    asyncio.run(main())


def test_an_optional_server_that_is_down_is_done_without() -> None:
    async def main() -> None:
        here = Setting(down=("db",))
        result = await here.pipeline.run(full("x", optional_mcp_servers=["db"]))

        assert result.request.mcp_servers == ("gh",)
        assert "without db" in next(step.detail for step in result.steps if step.name == "connect_mcp_servers")

    asyncio.run(main())


def test_a_server_that_is_down_fails_the_registration_and_the_others_are_disconnected() -> None:
    async def main() -> None:
        here = Setting(down=("gh",))
        before = here.world()
        with pytest.raises(PipelineError, match="'connect_mcp_servers': OSError: gh is down"):
            await here.pipeline.run(full("x"))

        assert here.world() == before

    asyncio.run(main())


def test_who_finds_no_memory_waits_until_somebody_leaves() -> None:
    async def main() -> None:
        here = Setting(total=10)
        await here.pipeline.run(full("x"))
        waiting = asyncio.create_task(here.pipeline.run(full("y", file_path=None)))
        while not here.office.line:
            await asyncio.sleep(0)
        await here.pipeline.departed("x")
        await waiting

        assert here.office.held == {"y": 10}

    asyncio.run(main())


def test_who_is_cancelled_in_the_queue_leaves_it() -> None:
    async def main() -> None:
        here = Setting(total=10)
        await here.pipeline.run(full("x"))
        before = here.world()
        waiting = asyncio.create_task(here.pipeline.run(full("y")))
        while not here.office.line:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert here.world() == before

    asyncio.run(main())


# -- names ------------------------------------------------------------------


def test_of_two_registrations_of_one_name_at_once_one_wins_and_the_other_is_refused() -> None:
    async def main() -> None:
        here = Setting()
        results = await asyncio.gather(*(here.pipeline.run(full("x")) for _ in range(2)), return_exceptions=True)

        assert not isinstance(results[0], BaseException)
        assert isinstance(results[1], PipelineError)
        assert isinstance(results[1].cause, ConflictRefusedError)
        assert here.directory.records == {"x": (1, "x")}

    asyncio.run(main())


def test_of_two_registrations_of_one_name_at_once_the_other_gets_a_suffix() -> None:
    async def main() -> None:
        here = Setting(name="name_suffix")
        results = await asyncio.gather(*(here.pipeline.run(full("x", mcp_servers=[])) for _ in range(3)))

        assert [result.name for result in results] == ["x", "x-19700101-000000", "x-19700101-000000-2"]
        assert sorted(here.directory.records) == sorted(here.office.held) == sorted(r.name for r in results)

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["refuse", "name_suffix"])
def test_when_somebody_else_was_quicker_at_the_end_it_is_a_conflict_of_names(policy: str) -> None:
    async def main() -> None:
        here = Setting(name=policy)

        async def intrude(run: Run) -> None:
            here.directory.records.setdefault("x", (99, "x"))

        pipeline = here.pipeline.before("enter", Step("intrude", intrude))
        if policy == "refuse":
            with pytest.raises(PipelineError) as caught:
                await pipeline.run(full("x"))
            assert isinstance(caught.value.cause, ConflictRefusedError)
            assert here.servers.open.total() == 0
        else:
            assert (await pipeline.run(full("x"))).name == "x-19700101-000000"
        assert here.directory.records["x"] == (99, "x")

    asyncio.run(main())


def test_a_name_that_is_lost_again_and_again_is_given_up() -> None:
    class Crowded(Directory):
        async def enter(self, request: AgentRequest) -> tuple[int, str]:
            raise NameTakenError(request.name, "somebody")

    with pytest.raises(PipelineError) as caught:
        asyncio.run(
            RegistrationPipeline(
                Crowded(), ConflictResolver(ConflictPolicies(name="name_suffix"), wall_clock=lambda: 0.0), attempts=3
            ).run(AgentRequest("x"))
        )

    assert isinstance(caught.value.cause, NameTakenError)
    assert caught.value.cause.name == "x-19700101-000000-2"


def test_a_name_is_free_again_after_a_failed_registration() -> None:
    async def main() -> None:
        here = Setting(down=("gh",))
        for _ in range(2):
            with pytest.raises(PipelineError, match="gh is down"):
                await here.pipeline.run(full("x"))

    asyncio.run(main())


def test_undoing_never_removes_a_successor() -> None:
    async def main() -> None:
        here = Setting()

        def replace_and_fail(run: Run) -> None:
            here.directory.records["x"] = (99, "x")
            raise OSError("no line")

        with pytest.raises(PipelineError):
            await here.pipeline.replaced("notify", Step("notify", replace_and_fail)).run(full("x"))

        assert here.directory.records == {"x": (99, "x")}

    asyncio.run(main())


# -- live agents ------------------------------------------------------------


def test_an_agent_that_registered_itself_is_registered_with_the_rest_and_keeps_its_name_when_that_fails() -> None:
    class Worker(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return prompt

    worker = Worker("worker")
    request = AgentRequest("worker", agent=worker)

    def fail(notice: object) -> None:
        raise OSError("no line")

    with pytest.raises(PipelineError, match="no line"):
        asyncio.run(RegistrationPipeline(notify=fail).run(request))
    assert AgentRegistry.get("worker") is worker

    pipeline = RegistrationPipeline()
    asyncio.run(pipeline.run(request))
    with pytest.raises(PipelineError, match="the name 'worker' is taken"):
        asyncio.run(pipeline.run(request))  # twice is a conflict


def test_an_agent_that_is_made_on_entering_is_held_and_has_the_name_that_was_found() -> None:
    class Worker(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return prompt

    first = Agent()
    AgentRegistry.register(first, "worker")
    agents = LiveAgents(make=lambda request: Worker(request.name))
    resolver = ConflictResolver(ConflictPolicies(name="name_suffix"), wall_clock=lambda: 0.0)

    result = asyncio.run(RegistrationPipeline(agents, resolver).run(AgentRequest("worker")))
    gc.collect()

    assert AgentRegistry.get(result.name).name == "worker-19700101-000000"
    agents.remove(result.token)
    gc.collect()
    assert AgentRegistry.get(result.name) is None


def test_the_name_of_a_pool_is_taken() -> None:
    class Worker(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return prompt

    agent, _crew = Agent(), create_agent_pool_sync(Worker, 2, name="crew")

    with pytest.raises(PipelineError) as caught:
        asyncio.run(RegistrationPipeline().run(AgentRequest("crew", agent=agent)))

    assert isinstance(caught.value.cause, ConflictRefusedError)


def test_a_request_without_an_agent_says_what_is_missing() -> None:
    with pytest.raises(PipelineError, match=r"expected a request with agent=, or LiveAgents\(make=...\)"):
        asyncio.run(RegistrationPipeline().run(AgentRequest("scout")))


def test_nothing_of_a_registration_keeps_the_agent_alive() -> None:
    pipeline, agent = RegistrationPipeline(), Agent()
    result = asyncio.run(pipeline.run(AgentRequest("scout", agent=agent)))

    del agent
    gc.collect()

    assert AgentRegistry.get("scout") is None
    assert result.token.agent is None


def test_a_live_agent_that_is_collected_gives_back_what_it_had() -> None:
    async def main() -> None:
        servers, manager = Servers(), ResourceManager(total_memory="2GB", reserved="0")
        pool = ConnectionPool(servers.connect, servers.close)
        pipeline = RegistrationPipeline(connections=pool, resources=manager)
        async with following_departures(pipeline):
            agent = Agent()
            await pipeline.run(AgentRequest("scout", mcp_servers=["gh"], memory="1gb", agent=agent))
            assert (servers.open["gh"], manager.available("2gb")) == (1, False)
            del agent
            gc.collect()

        assert (servers.open["gh"], manager.available("2gb"), pipeline.enrolments) == (0, True, {})

    asyncio.run(main())


def test_what_a_dead_agent_left_behind_is_given_back_when_its_name_is_taken_over() -> None:
    async def main() -> None:
        here = Setting()
        await here.pipeline.run(full("x"))
        here.directory.records.clear()  # its heartbeat lapsed
        await here.pipeline.run(full("x"))

        assert here.servers.open == {"gh": 1, "db": 1}
        assert here.office.held == {"x": 10}

    asyncio.run(main())


def test_a_late_departure_takes_nothing_from_the_successor() -> None:
    async def main() -> None:
        here = Setting()
        first = await here.pipeline.run(full("x"))
        here.directory.records.clear()
        await here.pipeline.run(full("x"))

        assert not await here.pipeline.departed("x", first.token)
        assert here.servers.open == {"gh": 1, "db": 1}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"attempts": 0}, "attempts: expected at least 1"), ({"timeouts": {"entr": 1}}, "timeouts: expected steps among")],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegistrationPipeline(**options)


# -- what must always hold --------------------------------------------------


@settings(deadline=None, max_examples=80)
@given(
    place=st.sampled_from(REGISTRATION_STEPS),
    how=st.sampled_from(["fails", "times out", "cancelled"]),
    after=st.booleans(),
    more=st.sampled_from(
        [{}, {"memory": None}, {"mcp_servers": []}, {"tools": ["Read", "Bash"]}, {"name": "a", "file_path": None}]
    ),
)
def test_wherever_a_registration_ends_the_world_is_as_it_was(
    place: str, how: str, after: bool, more: dict[str, Any]
) -> None:
    async def main() -> None:
        here = Setting(name="name_suffix")
        await here.pipeline.run(full("a"))
        before = here.world()
        stuck = asyncio.Event()

        async def break_off(run: Run) -> None:
            if how == "fails":
                raise OSError("no line")
            stuck.set()
            await asyncio.get_running_loop().create_future()

        broken = Step("broken", break_off, timeout=0.001 if how == "times out" else None)
        pipeline = here.pipeline.after(place, broken) if after else here.pipeline.before(place, broken)
        task = asyncio.create_task(pipeline.run(full(**{"name": "x", **more})))
        if how == "cancelled":
            await stuck.wait()
            task.cancel()
        with pytest.raises((PipelineError, asyncio.CancelledError)):
            await task

        assert here.world() == before
        runs = [each for each in here.resolver.log.decisions() if each.kind == "registration"]
        assert [each.choice for each in runs] == ["registered", "cancelled" if how == "cancelled" else "failed"]

    with isolated_registry():
        asyncio.run(main())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60))
def test_whenever_a_registration_is_cancelled_it_is_either_there_with_everything_or_not_at_all(moment: int) -> None:
    async def main() -> None:
        here = Setting()
        before = here.world()
        task = asyncio.create_task(here.pipeline.run(full("x")))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        for _ in range(5):
            await asyncio.sleep(0)

        if task.cancelled():
            assert here.world() == before
        else:
            assert task.result().name in here.world()["enrolled"]
            assert here.world()["believed"] == {"x"}

    asyncio.run(main())
