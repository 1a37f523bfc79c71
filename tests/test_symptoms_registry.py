"""What users of other registries suffer from, and what keeps callbacks from doing harm; each test is named after it."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agentreg import AgentRegistry, NameTakenError, subscription
from tests.mirror import Mirror
from tests.watchdog import elsewhere, run_threads


class Probe:
    """A small agent."""


class Named:
    """A small agent that knows its name."""

    def __init__(self, name: str) -> None:
        self.name = name


class Pool:
    """A small pool."""

    def __init__(self, base_name: str, *instances: Any) -> None:
        self.base_name = base_name
        self.instances = list(instances)
        self.num_instances = len(instances)

    def get_available_count(self) -> int:
        return self.num_instances


def use_the_registry() -> list[str]:
    """A bit of everything, in this thread and in another one, which shows that no lock is held here."""
    helper = Probe()

    def use() -> list[str]:
        name = AgentRegistry.register(helper, prefix="Helper")
        AgentRegistry.get(name)
        AgentRegistry.all()
        AgentRegistry.count()
        AgentRegistry.subscribe(lambda event: None).close()
        AgentRegistry.unregister_if_same(name, helper)
        return AgentRegistry.names()

    use()
    return elsewhere(use)


# -- collected agents -------------------------------------------------------


class Farewell:
    """An agent in a cycle, whose finalizer unregisters it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cycle = self
        AgentRegistry.register(self, name)

    def __del__(self) -> None:
        AgentRegistry.unregister_instance(self)
        AgentRegistry.names()


def test_hang_after_about_a_hundred_registrations_of_agents_in_cycles_whose_del_unregisters(
    eager_collector: None,
) -> None:
    def register_many() -> None:
        for index in range(400):
            Farewell(f"farewell {index}")
            AgentRegistry.get(f"farewell {index}")

    run_threads(register_many)
    gc.collect()

    assert AgentRegistry.names() == []


def test_hang_when_agents_in_cycles_unregister_while_many_threads_register(eager_collector: None) -> None:
    mirror = Mirror()

    def register_many() -> None:
        name = f"{threading.get_ident()}"
        for index in range(100):
            Farewell(f"{name} {index}")

    run_threads(*[register_many] * 4)
    gc.collect()

    assert AgentRegistry.names() == []
    mirror.check()


def test_all_raising_while_other_threads_drop_agents(restless_threads: None) -> None:
    stop = threading.Event()

    def drop() -> None:
        while not stop.is_set():
            agents = [Probe() for _ in range(20)]
            for agent in agents:
                AgentRegistry.register(agent)

    def read() -> None:
        try:
            for _ in range(300):
                everybody = AgentRegistry.all()
                assert None not in everybody.values()
                assert None not in AgentRegistry.all_with_pools().values()
                assert all(type(agent) is Probe for agent in AgentRegistry.find_by_type(Probe).values())
                assert AgentRegistry.count() >= 0
                for name in AgentRegistry.names()[:5]:
                    AgentRegistry.get(name)
        finally:
            stop.set()

    run_threads(read, drop, drop, drop)
    assert AgentRegistry.names() == []


def test_an_actor_gone_without_saying_so_staying_listed() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "actor")

    del agent

    assert AgentRegistry.all() == {}
    assert AgentRegistry.names() == []
    assert AgentRegistry.subscribe(print).listing == {}


def test_an_actor_in_a_cycle_stays_listed_only_until_the_collector_came_by() -> None:
    class Cyclic:
        def __init__(self) -> None:
            self.cycle = self

    AgentRegistry.register(Cyclic(), "actor")

    gc.collect()

    assert AgentRegistry.names() == []


def test_an_object_that_can_only_be_collected_as_a_cycle_because_of_the_registry() -> None:
    agent = Probe()
    ghost = weakref.ref(agent)
    AgentRegistry.register(agent)
    AgentRegistry.all()
    AgentRegistry.subscribe(lambda event: None)
    gc.disable()
    try:
        del agent

        assert ghost() is None
    finally:
        gc.enable()


def test_a_new_agent_disappearing_when_the_finalizer_of_its_predecessor_runs_late() -> None:
    class Late(Named):
        def __del__(self) -> None:
            AgentRegistry.unregister_if_same(self.name, self)
            AgentRegistry.unregister_instance(self)

    old = Late("planner")
    AgentRegistry.register(old, "planner")
    AgentRegistry.unregister("planner")
    new = Late("planner")
    AgentRegistry.register(new, "planner")

    del old

    assert AgentRegistry.get("planner") is new


def test_an_agent_accepted_under_a_pools_name() -> None:
    pool = Pool("browser", Probe())
    AgentRegistry.register_pool(pool)

    with pytest.raises(NameTakenError):
        AgentRegistry.register(Probe(), "browser")

    assert AgentRegistry.all_with_pools()["browser"] is pool


def test_a_pool_replacing_a_live_agent_called_pool_0() -> None:
    agent = Named("pool_0")
    AgentRegistry.register(agent, "pool_0")

    with pytest.raises(NameTakenError):
        AgentRegistry.register_pool(Pool("pool", Named("member")))

    assert AgentRegistry.get("pool_0") is agent


def test_an_automatic_name_that_is_taken_raising_instead_of_moving_on() -> None:
    taken, agent = Probe(), Probe()
    AgentRegistry.register(taken, "BaseAgent-1")

    assert AgentRegistry.register(agent) == "BaseAgent-2"


def test_a_half_registered_pool_after_a_clash() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "pool_2")
    members = [Named(f"member {index}") for index in range(3)]

    with pytest.raises(NameTakenError):
        AgentRegistry.register_pool(Pool("pool", *members))

    assert AgentRegistry.all_with_pools() == {"pool_2": agent}
    assert [member.name for member in members] == ["member 0", "member 1", "member 2"]
    assert not AgentRegistry.is_pool_instance("pool_0")


def test_a_false_answer_of_count_and_names_after_agents_died_in_silence() -> None:
    agents = [Probe() for _ in range(10)]
    for agent in agents:
        AgentRegistry.register(agent)
    del agent
    agents.clear()

    assert (AgentRegistry.count(), AgentRegistry.names(), len(AgentRegistry._agents)) == (0, [], 0)


# -- callbacks that use the registry ----------------------------------------


class Open:
    """A lock that keeps nobody out."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


class Curious(logging.Handler):
    """A log handler that looks into the registry."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._busy = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        use_the_registry()

    def createLock(self) -> None:
        # logging's own lock around a handler would keep the other thread out
        self.lock = Open()  # type: ignore[assignment]


@contextmanager
def curious() -> Iterator[Curious]:
    handler = Curious()
    logger = logging.getLogger("agentreg")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def fail_once() -> Callable[[object], None]:
    failures = [RuntimeError("deaf today")]

    def listener(event: object) -> None:
        if failures:
            raise failures.pop()

    return listener


@pytest.mark.parametrize(
    "log_something",
    [
        lambda: AgentRegistry.unregister("nobody"),
        lambda: AgentRegistry.get_from_pool("nobody", "branch"),
        lambda: AgentRegistry.release_to_pool("nobody", "branch"),
        lambda: AgentRegistry.get_or_acquire("pool"),
        lambda: AgentRegistry.get_or_acquire("pool_0"),
    ],
)
def test_hang_when_a_log_handler_calls_the_registry(log_something: Callable[[], object]) -> None:
    AgentRegistry.register_pool(Pool("pool", Probe()))

    with curious() as handler:
        run_threads(log_something)

    assert len(handler.messages) == 1


def test_hang_when_a_log_handler_that_reports_a_failing_listener_calls_the_registry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.01)
    AgentRegistry.subscribe(fail_once())
    agent = Probe()

    with curious() as handler:
        run_threads(lambda: AgentRegistry.register(agent, "agent"))

    assert "failed on AgentRegistered(name='agent'" in handler.messages[0]
    assert AgentRegistry.names() == ["agent"]


def test_hang_when_a_log_handler_that_reports_a_stuck_listener_calls_the_registry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.01)
    inside, go_on = threading.Event(), threading.Event()

    def stuck(event: Any) -> None:
        if event.name == "first":
            inside.set()
            go_on.wait(30)

    AgentRegistry.subscribe(stuck)
    agents = [Probe(), Probe()]

    def second() -> None:
        inside.wait(30)
        AgentRegistry.register(agents[1], "second")
        go_on.set()

    with curious() as handler:
        run_threads(lambda: AgentRegistry.register(agents[0], "first"), second)

    assert "has not returned" in handler.messages[0]
    assert AgentRegistry.names() == ["first", "second"]


def test_hang_when_the_name_of_an_agent_is_a_property_that_calls_the_registry() -> None:
    class Computed:
        @property
        def name(self) -> str:
            use_the_registry()
            return "computed"

    agent = Computed()
    AgentRegistry.register(agent, "computed")

    [removed] = run_threads(lambda: AgentRegistry.unregister_instance(agent))

    assert removed is True


def test_hang_when_naming_a_member_calls_the_registry() -> None:
    class Renamed:
        def __init__(self) -> None:
            self.told = ["first"]

        @property
        def name(self) -> str:
            use_the_registry()
            return self.told[-1]

        @name.setter
        def name(self, name: str) -> None:
            use_the_registry()
            self.told.append(name)

    member = Renamed()

    run_threads(lambda: AgentRegistry.register_pool(Pool("pool", member)))

    assert member.told == ["first", "pool_0"]
    assert AgentRegistry.get("pool_0") is member


def test_hang_when_the_repr_of_a_holder_calls_the_registry() -> None:
    class Talkative:
        def __repr__(self) -> str:
            return f"<one of {len(use_the_registry())}>"

    holder = Talkative()
    AgentRegistry.register(holder, "talkative")

    def clash() -> str:
        with pytest.raises(NameTakenError) as refusal:
            AgentRegistry.register(Probe(), "talkative")
        return refusal.value.holder

    assert run_threads(clash) == ["<one of 1>"]


class Nosy(Pool):
    """A pool whose every attribute and method calls the registry."""

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__"):
            use_the_registry()
        return super().__getattribute__(name)

    def acquire_instance(self, branch_id: str, timeout: float | None = None) -> Any:
        use_the_registry()
        return self.instances[0]

    def release_instance(self, branch_id: str) -> bool:
        use_the_registry()
        return True

    @property
    def allocated_instances(self) -> dict[str, Any]:
        return {}


def test_hang_when_a_pool_calls_the_registry() -> None:
    member = Probe()
    pool = Nosy("pool", member)

    def use() -> list[Any]:
        AgentRegistry.register_pool(pool)
        answers = [
            AgentRegistry.get_or_acquire("pool", "branch"),
            AgentRegistry.get_from_pool("pool", "branch"),
            AgentRegistry.release_to_pool("pool", "branch"),
            AgentRegistry.get_pool_instance("pool_0", "branch"),
            AgentRegistry.get_instance_count("pool"),
            AgentRegistry.get_available_count("pool"),
            AgentRegistry.unregister_pool(pool),
        ]
        AgentRegistry.register_pool(pool)
        AgentRegistry.clear()
        return answers

    assert run_threads(use) == [[member, member, True, None, 1, 1, True]]
    assert AgentRegistry.all_with_pools() == {}


def test_hang_when_a_predicate_calls_the_registry() -> None:
    agents = [Probe(), Probe()]
    for agent in agents:
        AgentRegistry.register(agent)

    [found] = run_threads(lambda: AgentRegistry.find(lambda agent: use_the_registry() is not None))

    assert list(found.values()) == agents


def test_hang_when_an_extension_calls_the_registry_while_it_is_made_and_closed() -> None:
    class Eager:
        def __init__(self) -> None:
            use_the_registry()

        def close(self) -> None:
            use_the_registry()

    def use() -> None:
        AgentRegistry.extension_state("eager", Eager)
        AgentRegistry.clear()
        AgentRegistry.extension_state("eager", Eager)

    run_threads(use)


def test_hang_when_the_last_reference_to_a_pool_goes_with_it_and_its_finalizer_calls_the_registry() -> None:
    farewells: list[list[str]] = []

    class Dying(Pool):
        def __del__(self) -> None:
            farewells.append(use_the_registry())

    def use() -> None:
        AgentRegistry.register_pool(Dying("first", Probe()))
        AgentRegistry.unregister("first")
        AgentRegistry.register_pool(Dying("second", Probe()))
        AgentRegistry.clear()

    run_threads(use)

    assert farewells == [[], []]


def test_hang_when_the_last_reference_to_an_agent_goes_during_a_call_and_its_finalizer_calls_the_registry() -> None:
    farewells: list[list[str]] = []

    class Dying:
        def __del__(self) -> None:
            farewells.append(use_the_registry())

    def use() -> None:
        AgentRegistry.register(Dying(), "a")
        agent = Dying()
        AgentRegistry.register(agent, "b")
        AgentRegistry.all().clear()
        del agent
        AgentRegistry.names()

    run_threads(use)

    assert farewells == [["a"], ["b"]]  # in its finalizer, an agent is still there: it might come back to life


def test_hang_when_weak_reference_callbacks_call_the_registry(eager_collector: None) -> None:
    called: list[int] = []
    references: list[Any] = []

    def gone(reference: Any) -> None:
        called.append(AgentRegistry.count())

    def use() -> None:
        for index in range(200):
            agent = Farewell(f"farewell {index}")
            references.append(weakref.ref(agent, gone))
            weakref.finalize(agent, AgentRegistry.unregister_if_same, f"farewell {index}", None)
            del agent

    run_threads(use)
    gc.collect()

    assert len(called) == 200
    assert AgentRegistry.names() == []
