"""BaseAgent: being made, being found, calling peers, leaving."""

from __future__ import annotations

import abc
import asyncio
import gc
import inspect
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from agentreg import (
    AgentNotFoundError,
    AgentPool,
    AgentRegistered,
    AgentRegistry,
    BaseAgent,
    CallDepthError,
    ExecutionConfig,
    NameTakenError,
    Orchestra,
    PoolExhaustedError,
    RegistryEvent,
)
from tests.crew import Closing, Echo, Hearing, Meeting, Plain, finish, jump, turns

# -- being made -------------------------------------------------------------


def test_an_agent_is_registered_by_being_made() -> None:
    agent = Echo("echo")

    assert AgentRegistry.get("echo") is agent
    assert agent.name == "echo"


def test_an_agent_without_a_name_is_called_after_its_class() -> None:
    agents = [Echo(), Closing(), Echo()]

    assert [agent.name for agent in agents] == ["Echo-1", "Closing-2", "Echo-3"]
    assert AgentRegistry.names() == ["Echo-1", "Closing-2", "Echo-3"]


def test_an_automatic_name_moves_on_when_it_is_taken() -> None:
    holder = Echo("Echo-1")

    agent = Echo()

    assert agent.name == "Echo-2"
    assert AgentRegistry.get("Echo-1") is holder


def test_the_name_of_a_living_agent_is_refused() -> None:
    holder = Echo("echo")

    with pytest.raises(NameTakenError, match="'echo' is held by <Echo 'echo'>"):
        Echo("echo")

    assert AgentRegistry.get("echo") is holder


def test_what_an_agent_is_given_it_keeps() -> None:
    agent = Echo(
        "echo",
        description="an echo",
        goal="repeat",
        instruction="say it again",
        capabilities=["repeating", "listening"],
        tools=[len, "hammer"],
        model=max,
        allowed_peers=["writer"],
    )

    assert (agent.description, agent.goal, agent.instruction) == ("an echo", "repeat", "say it again")
    assert agent.capabilities == ("repeating", "listening")
    assert agent.tools == (len, "hammer")
    assert agent.model is max
    assert agent.allowed_peers == frozenset({"writer"})


def test_an_agent_that_is_given_nothing_has_it_all_empty() -> None:
    agent = Echo()

    assert (agent.description, agent.goal, agent.instruction) == ("", "", "")
    assert (agent.capabilities, agent.tools) == ((), ())
    assert agent.model is None
    assert agent.allowed_peers is None


def test_a_mapping_of_tools_stays_a_mapping() -> None:
    agent = Echo("echo", tools={"count": len})

    assert agent.tools == {"count": len}


def test_everything_but_the_name_is_passed_by_keyword() -> None:
    with pytest.raises(TypeError):
        Echo("echo", "an echo")  # type: ignore[call-arg]


def test_registering_is_the_last_act_of_the_base_constructor() -> None:
    seen: list[dict[str, Any]] = []

    def look(event: RegistryEvent) -> None:
        agent = AgentRegistry.require("echo")
        seen.append({"name": agent.name, "goal": agent.goal, "peers": agent.allowed_peers, "tools": agent.tools})
        seen.append({"held": agent.acquire_instance("a"), "given back": agent.release_instance("a")})

    class Named(Echo):
        name = "not yet"

    with AgentRegistry.subscribe(look):
        agent = Named("echo", goal="repeat", tools=[len], allowed_peers=["writer"])

    assert agent.name == "echo"
    assert seen == [
        {"name": "not yet", "goal": "repeat", "peers": {"writer"}, "tools": (len,)},
        {"held": True, "given back": True},
    ]


def test_the_registry_hears_what_an_agent_can_do() -> None:
    with Hearing() as heard:
        agent = Echo("echo", capabilities=["repeating", "listening"])

    assert heard == [
        AgentRegistered(agent.name, "Echo", AgentRegistry.revision, capabilities=("repeating", "listening"))
    ]


@pytest.mark.parametrize("argument", ["capabilities", "allowed_peers"])
def test_one_text_where_several_are_expected_is_refused_with_the_way_out(argument: str) -> None:
    with pytest.raises(TypeError, match=rf"{argument}: expected several texts.*write \['writing'\]"):
        Echo("echo", **{argument: "writing"})

    assert AgentRegistry.get("echo") is None


@pytest.mark.parametrize("argument", ["capabilities", "allowed_peers"])
@pytest.mark.parametrize("wrong", ["", 7, None])
def test_what_is_no_text_among_texts_is_refused_and_quoted(argument: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"{argument}: expected non-empty texts, got {wrong!r}"):
        Echo("echo", **{argument: ["writing", wrong]})  # type: ignore[arg-type]


def test_a_repr_says_class_and_name() -> None:
    agent = Echo("echo")

    assert repr(agent) == "<Echo 'echo'>"


def test_a_repr_works_before_the_agent_has_a_name() -> None:
    class Early(Echo):
        def __init__(self) -> None:
            self.early = repr(self)
            super().__init__("early")

    assert Early().early == "<Early '(not registered yet)'>"


def test_the_signature_of_a_class_is_that_of_its_constructor() -> None:
    class Tuned(Echo):
        def __init__(self, volume: int, name: str | None = None) -> None:
            super().__init__(name)

    before = str(inspect.signature(Tuned))
    agent = Tuned(3)

    assert str(inspect.signature(type(agent))) == before == "(volume: 'int', name: 'str | None' = None) -> 'None'"


# -- what must be written ---------------------------------------------------


def test_the_base_can_not_be_made() -> None:
    with pytest.raises(TypeError, match=r"abstract.*run"):
        BaseAgent("base")  # type: ignore[abstract]

    assert AgentRegistry.names() == []


def test_a_class_without_run_can_not_be_made() -> None:
    class Mute(BaseAgent):
        pass

    with pytest.raises(TypeError, match=r"Mute.*abstract.*run"):
        Mute("mute")  # type: ignore[abstract]

    assert AgentRegistry.names() == []


def test_a_class_below_one_without_run_can_be_made_once_it_has_it() -> None:
    class Mute(BaseAgent):
        pass

    class Speaking(Mute):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return "word"

    agent = Speaking("speaking")

    assert finish(agent.run("?")) == "word"


def test_run_may_come_from_a_mixin() -> None:
    class Running:
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return "ran"

    class Mixed(Running, BaseAgent):
        pass

    agent = Mixed("mixed")

    assert finish(agent.run("?")) == "ran"


def test_run_may_be_made_abstract_again() -> None:
    class Again(Echo):
        @abc.abstractmethod
        async def run(self, prompt: Any, **kwargs: Any) -> Any: ...

    with pytest.raises(TypeError, match="abstract"):
        Again("again")  # type: ignore[abstract]


def test_the_base_has_no_metaclass_so_that_a_class_with_one_can_join() -> None:
    class Meta(type):
        pass

    class Theirs(metaclass=Meta):
        pass

    class Ours(Theirs, Echo):
        pass

    assert type(BaseAgent) is type
    assert type(Ours("ours")) is Ours


def test_the_abstract_methods_of_an_abc_are_asked_for_too() -> None:
    class Shaped(abc.ABC):
        @abc.abstractmethod
        def shape(self) -> str: ...

    class Unshaped(Echo, Shaped):
        pass

    class Round(Unshaped):
        def shape(self) -> str:
            return "round"

    with pytest.raises(TypeError, match=r"Unshaped.*shape"):
        Unshaped("unshaped")  # type: ignore[abstract]
    assert Round("round").shape() == "round"


# -- leaving ----------------------------------------------------------------


def test_a_dropped_agent_leaves_the_registry() -> None:
    agent = Echo("echo")

    del agent
    gc.collect()

    assert AgentRegistry.names() == []
    assert AgentRegistry.get("echo") is None


def test_a_dropped_agent_leaves_even_though_it_was_on_loan() -> None:
    agent = Echo("echo")
    agent.acquire_instance("branch")

    del agent
    gc.collect()

    assert AgentRegistry.names() == []


def test_an_agent_leaves_with_its_last_reference_however_it_was_used() -> None:
    async def use() -> list[str]:
        agent, peer = Echo("agent"), Echo("peer")
        await agent.invoke_agent("peer", "hello")
        await agent.acquire_instance_async("branch")
        await Orchestra.run("task", ["agent", "peer"], execution_config=ExecutionConfig(auto_cleanup_agents=False))
        del agent, peer
        return AgentRegistry.names()

    gc.disable()
    try:
        assert finish(use()) == []
    finally:
        gc.enable()


def test_the_base_has_no_finalizer() -> None:
    assert not hasattr(BaseAgent, "__del__")


def test_a_finalizer_of_the_users_may_unregister_its_own_agent_only() -> None:
    class Leaving(Echo):
        def __del__(self) -> None:
            left.append(AgentRegistry.unregister_if_same("leaving", self))

    left: list[bool] = []
    first = Leaving("leaving")
    AgentRegistry.unregister("leaving")
    second = Leaving("leaving")

    del first
    gc.collect()

    assert left == [False]
    assert AgentRegistry.get("leaving") is second


def test_cleaning_up_does_not_unregister() -> None:
    agent = Closing("closing")

    finish(agent.cleanup())

    assert agent.closed == 1
    assert AgentRegistry.get("closing") is agent


def test_the_cleanup_that_every_agent_has_may_be_called_again() -> None:
    agent = Echo("echo")

    async def twice() -> None:
        await agent.cleanup()
        await agent.cleanup()

    finish(twice())

    assert AgentRegistry.get("echo") is agent


def test_leaving_the_block_of_an_agent_cleans_up_and_unregisters() -> None:
    async def block() -> Closing:
        agent = Closing("closing")
        async with agent as entered:
            assert entered is agent
            assert AgentRegistry.names() == ["closing"]
            assert agent.closed == 0
        return agent

    agent = finish(block())

    assert agent.closed == 1
    assert AgentRegistry.get("closing") is None


def test_leaving_the_block_unregisters_every_alias() -> None:
    async def block() -> Echo:
        async with Echo("echo") as agent:
            AgentRegistry.register(agent, "alias")
        return agent

    agent = finish(block())

    assert agent.name == "echo"
    assert AgentRegistry.names() == []


def test_leaving_the_block_leaves_a_successor_alone() -> None:
    async def block() -> Echo:
        async with Echo("echo"):
            AgentRegistry.unregister("echo")
            successor = Echo("echo")
        return successor

    successor = finish(block())

    assert AgentRegistry.get("echo") is successor


def test_leaving_the_block_by_an_error_cleans_up_and_passes_it_on() -> None:
    agent = Closing("closing")

    async def block() -> None:
        async with agent:
            raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        finish(block())

    assert agent.closed == 1
    assert AgentRegistry.get("closing") is None


def test_an_agent_whose_cleanup_fails_leaves_the_registry_all_the_same() -> None:
    class Stuck(Echo):
        async def cleanup(self) -> None:
            raise OSError("stuck")

    agent = Stuck("stuck")

    async def block() -> None:
        async with agent:
            pass

    with pytest.raises(OSError, match="stuck"):
        finish(block())

    assert AgentRegistry.get("stuck") is None


class PlainCleanup(Echo):
    """Overrides ``cleanup`` as a plain method."""

    closed = 0

    def cleanup(self) -> Any:
        self.closed += 1
        return "closed"


def test_a_plain_cleanup_can_be_awaited() -> None:
    agent = PlainCleanup("plain")

    async def wait_for_it() -> Any:
        return await agent.cleanup()

    assert finish(wait_for_it()) == "closed"
    assert agent.closed == 1


def test_a_plain_cleanup_can_be_called_without_an_event_loop() -> None:
    agent = PlainCleanup("plain")

    agent.cleanup()

    assert agent.closed == 1


def test_a_plain_cleanup_works_for_the_block_of_an_agent() -> None:
    async def block() -> PlainCleanup:
        async with PlainCleanup("plain") as agent:
            pass
        return agent

    agent = finish(block())

    assert agent.closed == 1
    assert AgentRegistry.get("plain") is None


def test_a_plain_cleanup_may_return_something_to_await() -> None:
    class Deferred(Echo):
        def cleanup(self) -> Any:
            async def close() -> str:
                return "closed later"

            return close()

    async def wait_for_it() -> Any:
        return await Deferred("deferred").cleanup()

    assert finish(wait_for_it()) == "closed later"


def test_a_plain_cleanup_that_comes_from_a_mixin_can_be_awaited() -> None:
    class Closable:
        closed = 0

        def cleanup(self) -> Any:
            self.closed += 1

    class Mixed(Closable, Echo):
        pass

    agent = Mixed("mixed")

    async def wait_for_it() -> None:
        await agent.cleanup()

    finish(wait_for_it())

    assert agent.closed == 1


def test_an_async_cleanup_may_await_the_plain_one_that_it_overrides() -> None:
    class Further(PlainCleanup):
        async def cleanup(self) -> Any:
            return [await super().cleanup(), "and further"]

    agent = Further("further")

    assert finish(agent.cleanup()) == ["closed", "and further"]


def test_a_plain_cleanup_may_call_the_one_of_the_base() -> None:
    class Closable(Echo):
        closed = 0

        def cleanup(self) -> Any:
            super().cleanup()
            self.closed += 1

    agent = Closable("closable")

    agent.cleanup()
    gc.collect()  # what was never awaited would complain now

    assert agent.closed == 1


def test_a_plain_cleanup_may_hand_on_the_async_one_that_it_overrides() -> None:
    class Further(Closing):
        def cleanup(self) -> Any:
            return super().cleanup()

    agent = Further("further")

    async def wait_for_it() -> None:
        await agent.cleanup()

    finish(wait_for_it())

    assert agent.closed == 1


# -- asynchronous set-up ----------------------------------------------------


def test_create_safe_makes_an_agent_of_the_class_it_is_called_on() -> None:
    agent = finish(Closing.create_safe(name="closing", goal="close"))

    assert type(agent) is Closing
    assert AgentRegistry.get("closing") is agent
    assert agent.goal == "close"


def test_create_safe_is_where_asynchronous_set_up_goes() -> None:
    class Connected(Echo):
        connected = False

        @classmethod
        async def create_safe(cls, **kwargs: Any) -> Connected:
            agent = await super().create_safe(**kwargs)
            await turns(1)
            agent.connected = True
            return agent

    agent = finish(Connected.create_safe(name="connected"))

    assert agent.connected


# -- peers ------------------------------------------------------------------


class Telling(Echo):
    """Gives back everything it is asked, and who it is."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return {"name": self.name, "prompt": prompt, "kwargs": kwargs}


def test_an_agent_invokes_a_peer_by_name() -> None:
    caller, peer = Echo("caller"), Telling("peer")
    request = object()

    answer = finish(caller.invoke_agent("peer", request, tone="kind"))

    assert answer == {"name": peer.name, "prompt": request, "kwargs": {"tone": "kind"}}
    assert answer["prompt"] is request


def test_a_peer_need_not_be_an_agent_of_ours() -> None:
    class Shouting:
        def run(self, prompt: str) -> str:
            return prompt.upper()

    caller, peer = Echo("caller"), Shouting()
    AgentRegistry.register(peer, "shouting")

    assert finish(caller.invoke_agent("shouting", "hello")) == "HELLO"


def test_invoking_a_name_that_nobody_has_tells_the_nearest() -> None:
    caller, peer = Echo("caller"), Echo("writer")

    with pytest.raises(AgentNotFoundError, match=r"'writter'.*'writer'"):
        finish(caller.invoke_agent("writter", "?"))

    assert peer.name == "writer"


@pytest.mark.parametrize("kind", [Mock, AsyncMock])
def test_a_peer_may_be_a_mock(kind: type[Mock]) -> None:
    caller, peer = Echo("caller"), kind()
    peer.run.return_value = "answer"
    AgentRegistry.register(peer, "mock")

    assert finish(caller.invoke_agent("mock", "hello", tone="kind")) == "answer"
    peer.run.assert_called_once_with("hello", tone="kind")


def test_what_a_peer_raises_comes_out_unchanged() -> None:
    error = LookupError("lost")

    class Failing(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            raise error

    caller, peer = Echo("caller"), Failing("failing")

    with pytest.raises(LookupError) as caught:
        finish(caller.invoke_agent(peer.name, "?"))

    assert caught.value is error


def test_without_allowed_peers_every_agent_may_be_invoked() -> None:
    caller, peer = Echo("caller", allowed_peers=None), Echo("anybody")

    assert finish(caller.invoke_agent(peer.name, "hello")) == "hello"


def test_an_allowed_peer_may_be_invoked() -> None:
    caller, peer = Echo("caller", allowed_peers=["writer", "editor"]), Echo("editor")

    assert finish(caller.invoke_agent(peer.name, "hello")) == "hello"


def test_a_peer_that_is_not_allowed_is_refused_and_the_allowed_are_told() -> None:
    ran: list[Any] = []

    class Spying(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            ran.append(prompt)

    caller, peer = Echo("caller", allowed_peers=["writer", "editor"]), Spying("stranger")

    with pytest.raises(PermissionError, match=r"'caller' may not invoke 'stranger'.*'editor', 'writer'"):
        finish(caller.invoke_agent(peer.name, "hello"))

    assert ran == []


def test_with_no_allowed_peers_nobody_may_be_invoked() -> None:
    caller, peer = Echo("caller", allowed_peers=[]), Echo("peer")

    with pytest.raises(PermissionError, match="nobody"):
        finish(caller.invoke_agent(peer.name, "hello"))


def test_a_peer_that_is_neither_allowed_nor_there_is_not_given_away() -> None:
    caller = Echo("caller", allowed_peers=[])

    with pytest.raises(PermissionError):
        finish(caller.invoke_agent("unknown", "hello"))


def test_an_allowed_pool_stands_for_each_of_its_members() -> None:
    pool = AgentPool(Telling, 2, name="pool")
    AgentRegistry.register_pool(pool)
    caller = Echo("caller", allowed_peers=["pool"])

    assert finish(caller.invoke_agent("pool", "?"))["name"] == "pool_0"
    assert finish(caller.invoke_agent("pool_1", "?"))["name"] == "pool_1"


def test_an_allowed_member_does_not_stand_for_its_pool() -> None:
    pool = AgentPool(Telling, 2, name="pool")
    AgentRegistry.register_pool(pool)
    caller = Echo("caller", allowed_peers=["pool_1"])

    assert finish(caller.invoke_agent("pool_1", "?"))["name"] == "pool_1"
    for name in ("pool", "pool_0"):
        with pytest.raises(PermissionError):
            finish(caller.invoke_agent(name, "?"))


def test_allowed_peers_can_not_be_changed_afterwards() -> None:
    peers = ["writer"]
    agent = Echo("agent", allowed_peers=peers)

    peers.append("editor")

    assert agent.allowed_peers == frozenset({"writer"})
    assert isinstance(agent.allowed_peers, frozenset)
    with pytest.raises(AttributeError):
        agent.allowed_peers = frozenset({"editor"})  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del agent.allowed_peers


# -- peers in a pool --------------------------------------------------------


def test_invoking_a_pool_borrows_a_member_for_the_call_and_gives_it_back() -> None:
    class Looking(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return pool.get_available_count(), self.acquire_instance("somebody else")

    pool = AgentPool(Looking, 2, name="pool")
    AgentRegistry.register_pool(pool)
    caller = Echo("caller")

    assert finish(caller.invoke_agent("pool", "?")) == (1, False)
    assert pool.get_available_count() == 2


def test_a_member_is_given_back_when_the_call_fails() -> None:
    class Failing(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            raise LookupError("lost")

    pool = AgentPool(Failing, 1, name="pool")
    AgentRegistry.register_pool(pool)

    with pytest.raises(LookupError, match="lost"):
        finish(Echo("caller").invoke_agent("pool", "?"))

    assert pool.get_available_count() == 1


def test_a_member_is_given_back_when_the_call_is_cancelled() -> None:
    class Endless(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

    pool = AgentPool(Endless, 1, name="pool")
    AgentRegistry.register_pool(pool)
    caller = Echo("caller")

    async def cancelled() -> int:
        call = asyncio.create_task(caller.invoke_agent("pool", "?"))
        await turns()
        busy = pool.get_allocated_count()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return busy

    assert finish(cancelled()) == 1
    assert pool.get_available_count() == 1


def test_two_calls_of_one_agent_hold_two_members() -> None:
    class Joining(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            await meeting()
            return self.name

    meeting = Meeting(2)
    pool = AgentPool(Joining, 2, name="pool")
    AgentRegistry.register_pool(pool)
    caller = Echo("caller")

    async def call_twice() -> list[Any]:
        return list(await asyncio.gather(caller.invoke_agent("pool", 1), caller.invoke_agent("pool", 2)))

    assert sorted(finish(call_twice())) == ["pool_0", "pool_1"]


def test_a_call_waits_for_a_member() -> None:
    pool = AgentPool(Telling, 1, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("somebody else")
    caller = Echo("caller")

    async def call() -> Any:
        waiting = asyncio.create_task(caller.invoke_agent("pool", "?"))
        await turns()
        assert not waiting.done()
        pool.release_instance("somebody else")
        return await waiting

    assert finish(call())["name"] == "pool_0"
    assert pool.get_available_count() == 1


def test_a_call_for_which_no_member_comes_free_says_that_the_pool_is_exhausted() -> None:
    pool = AgentPool(Telling, 1, name="pool")
    AgentRegistry.register_pool(pool)
    pool.acquire_instance("somebody else")
    caller = Echo("caller")

    with pytest.raises(PoolExhaustedError) as caught:
        jump(lambda loop: caller.invoke_agent("pool", "?"))

    assert (caught.value.pool_name, caught.value.total_instances) == ("pool", 1)
    assert pool.get_instance_for_branch("somebody else") is pool.get_all_instances()[0]


# -- how deep calls may go --------------------------------------------------


class Calling(Echo):
    """Hands every request on to the agent named in it."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        first, *others = prompt
        return await self.invoke_agent(first, others) if others else await self.invoke_agent(first, [first])


def test_a_circle_of_calls_ends_in_an_error_that_shows_the_chain() -> None:
    class Handing(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return await self.invoke_agent("pong" if self.name == "ping" else "ping", prompt)

    ping, pong = Handing("ping"), Handing("pong")

    with pytest.raises(CallDepthError) as caught:
        finish(ping.invoke_agent("pong", "?"))

    assert caught.value.limit == 16
    assert caught.value.chain == ("ping", "pong") * 9
    assert "more than 16 deep (... ping -> pong -> ping -> pong -> ping -> pong)" in str(caught.value)
    assert isinstance(caught.value, RecursionError)
    assert pong.name == "pong"


def test_as_many_calls_as_allowed_may_be_inside_one_another() -> None:
    class Counting(Echo):
        max_call_depth = 3

        async def run(self, prompt: int, **kwargs: Any) -> Any:
            return await self.invoke_agent("counting", prompt - 1) if prompt else "bottom"

    agent = Counting("counting")

    assert finish(agent.invoke_agent("counting", 2)) == "bottom"
    with pytest.raises(CallDepthError) as caught:
        finish(agent.invoke_agent("counting", 3))
    assert caught.value.limit == 3
    assert len(caught.value.chain) == 5


def test_calls_one_after_the_other_are_not_deep() -> None:
    class Once(Echo):
        max_call_depth = 1

    caller, peer = Once("caller"), Echo("peer")

    async def many() -> list[Any]:
        return [await caller.invoke_agent(peer.name, number) for number in range(50)]

    assert finish(many()) == list(range(50))


def test_a_failed_call_does_not_count_towards_the_depth() -> None:
    class Failing(Echo):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            raise LookupError(prompt)

    class Once(Echo):
        max_call_depth = 1

    caller, peer = Once("caller"), Failing("peer")

    async def many() -> None:
        for _ in range(5):
            with pytest.raises(LookupError):
                await caller.invoke_agent(peer.name, "?")
            with pytest.raises(AgentNotFoundError):
                await caller.invoke_agent("nobody", "?")

    finish(many())


def test_tasks_side_by_side_have_chains_of_their_own() -> None:
    class Deep(Echo):
        max_call_depth = 3

        async def run(self, prompt: int, **kwargs: Any) -> Any:
            await turns(3)
            return await self.invoke_agent("deep", prompt - 1) if prompt else "bottom"

    agent = Deep("deep")

    async def side_by_side() -> list[Any]:
        return await asyncio.gather(*(agent.invoke_agent("deep", 2) for _ in range(20)))

    assert finish(side_by_side()) == ["bottom"] * 20


def test_tasks_that_a_call_starts_belong_to_its_chain() -> None:
    class Spreading(Echo):
        max_call_depth = 4

        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return await asyncio.gather(*(self.invoke_agent("spreading", prompt) for _ in range(2)))

    agent = Spreading("spreading")

    with pytest.raises(CallDepthError) as caught:
        finish(agent.invoke_agent("spreading", "?"))

    assert caught.value.chain == ("spreading",) * 6


def test_a_chain_names_the_pool_that_was_invoked() -> None:
    class Again(Echo):
        max_call_depth = 2

        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            return await self.invoke_agent("pool", prompt)

    pool = AgentPool(Again, 4, name="pool")
    AgentRegistry.register_pool(pool)
    caller = Again("caller")

    with pytest.raises(CallDepthError) as caught:
        finish(caller.invoke_agent("pool", "?"))

    assert caught.value.chain == ("caller", "pool", "pool", "pool")
    assert pool.get_available_count() == 4


def test_an_agent_may_hold_agents_that_are_none_of_ours() -> None:
    plain = Plain()

    assert AgentRegistry.register(plain, "plain") == "plain"
    assert finish(Echo("caller").invoke_agent("plain", "hello")) == "hello"
