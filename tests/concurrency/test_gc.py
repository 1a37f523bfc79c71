"""The garbage collector, or a signal, comes by in the middle of an operation, and what it runs uses the registry."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentreg import AgentRegistry, table
from agentreg.testing import isolated_registry
from tests.mirror import Mirror
from tests.watchdog import run_threads

# without the GIL, the collector doesn't come at a moment that one could choose
EXACT = getattr(sys, "_is_gil_enabled", lambda: True)()


class Probe:
    """A small agent."""


class Pool:
    """A small pool of three."""

    num_instances = 3

    def __init__(self, base_name: str) -> None:
        self.base_name = base_name
        self.instances = [Probe() for _ in range(3)]

    def get_available_count(self) -> int:
        return 3


class LastWords:
    """Garbage that says something when it is collected."""

    def __init__(self, speak: Callable[[], object]) -> None:
        self.cycle = self
        self.speak = speak

    def __del__(self) -> None:
        self.speak()


class Scene:
    """A registry with something of everything, and who listens to it.

    With *holes*: enough agents have left it that the next copy is made by way of a smaller table.
    """

    def __init__(self, listening: bool = True, holes: bool = False) -> None:
        self.agents = {f"agent {index}": Probe() for index in range(6)}
        self.mine, self.theirs = Probe(), Probe()
        self.pools = [Pool("pool 0"), Pool("pool 1"), Pool("pool 2")]
        for _ in range(260 if holes else 0):
            AgentRegistry.unregister_if_same(AgentRegistry.register(self.mine), self.mine)
        for name, agent in self.agents.items():
            AgentRegistry.register(agent, name)
        AgentRegistry.register_pool(self.pools[0])
        self.mirrors = [Mirror()] if listening else []
        self.listeners = [AgentRegistry.subscribe(lambda event: None) for _ in range(2 if listening else 0)]
        self.call_listeners = [AgentRegistry.on_call(lambda call: None) for _ in range(2)]
        self.start = AgentRegistry.revision

    # what is under way

    def register(self) -> None:
        AgentRegistry.register(self.mine, "mine")

    def number(self) -> None:
        AgentRegistry.register(self.mine)

    def leave(self) -> None:
        AgentRegistry.unregister_if_same("agent 1", self.agents.get("agent 1"))

    def expel(self) -> None:
        AgentRegistry.unregister("agent 2")

    def pool(self) -> None:
        AgentRegistry.register_pool(self.pools[1])

    def expel_pool(self) -> None:
        AgentRegistry.unregister("pool 0")

    def clear(self) -> None:
        AgentRegistry.clear()

    def read(self) -> None:
        AgentRegistry.all_with_pools()

    def count(self) -> None:
        AgentRegistry.names()
        AgentRegistry.count()

    def listen(self) -> None:
        self.mirrors.append(Mirror())
        AgentRegistry.names()
        self.mirrors[-1].subscription.close()

    def unlisten(self) -> None:
        for listener in self.listeners[:1]:
            listener.close()

    def unlisten_calls(self) -> None:
        self.call_listeners[0].close()

    def isolate(self) -> None:
        with isolated_registry():
            AgentRegistry.register(self.mine, "mine")

    def write(self) -> None:
        AgentRegistry._agents["agent 3"] = self.mine

    # what is said in between

    def say_register(self) -> None:
        AgentRegistry.register(self.theirs, "theirs")

    def say_leave(self) -> None:
        for name, agent in self.agents.items():
            AgentRegistry.unregister_if_same(name, agent)

    def say_pools(self) -> None:
        AgentRegistry.register_pool(self.pools[2])
        AgentRegistry.unregister("pool 0")

    def say_clear(self) -> None:
        AgentRegistry.clear()
        AgentRegistry.register(self.theirs, "theirs")

    def say_unlisten(self) -> None:
        for listener in self.listeners[1:]:
            listener.close()
        self.call_listeners[1].close()

    def say_listen(self) -> None:
        self.mirrors.append(Mirror())
        self.call_listeners.append(AgentRegistry.on_call(lambda call: None))

    def say_drop(self) -> None:
        self.agents.clear()
        AgentRegistry.all()

    # how it ends

    def outcome(self) -> tuple[Any, ...]:
        """Who is there, and how many changes it took."""
        known = {id(agent): name for name, agent in self.agents.items()}
        known |= {id(self.mine): "mine", id(self.theirs): "theirs"}
        known |= {id(member): f"{pool.base_name} {i}" for pool in self.pools for i, member in enumerate(pool.instances)}
        there = sorted(known[id(agent)] for agent in AgentRegistry.all().values())
        members = sum(AgentRegistry.is_pool_instance(name) for name in AgentRegistry.names())
        listeners = len(table.now.table.subscriptions), len(table.now.table.call_listeners)
        return there, sorted(AgentRegistry._pools), members, listeners, AgentRegistry.revision - self.start

    def check(self) -> None:
        """The registry, its listeners and its revision agree, and it goes on working."""
        agent = Probe()
        AgentRegistry.register(agent, "newcomer")
        assert AgentRegistry.get("newcomer") is agent
        assert AgentRegistry.unregister_if_same("newcomer", agent) is True
        for mirror in self.mirrors:
            if mirror.subscription in table.now.table.subscriptions:
                mirror.check()
            assert (mirror.faults, mirror.resyncs) == ([], 0)
        assert all(each.heard == AgentRegistry.revision for each in table.now.table.subscriptions)
        assert all(AgentRegistry.get(name) is agent for name, agent in AgentRegistry.all().items())
        assert len(table.now.table.log) == 0


ACTS = [
    Scene.register,
    Scene.number,
    Scene.leave,
    Scene.expel,
    Scene.pool,
    Scene.expel_pool,
    Scene.clear,
    Scene.read,
    Scene.count,
    Scene.listen,
    Scene.unlisten,
    Scene.unlisten_calls,
    Scene.isolate,
    Scene.write,
]
WORDS = [
    Scene.say_register,
    Scene.say_leave,
    Scene.say_pools,
    Scene.say_clear,
    Scene.say_unlisten,
    Scene.say_listen,
    Scene.say_drop,
]


@pytest.fixture
def _light_collector() -> Iterator[None]:
    # what is there already need not be looked through each time
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def collected_during(act: Callable[[], object], speak: Callable[[], object], allocation: int) -> bool:
    """Do *act*; at its *allocation*-th allocation the collector comes by and runs *speak*. Whether it came in time."""
    inside = False
    in_time: list[bool] = []

    def say() -> None:
        in_time.append(inside)
        speak()

    before = gc.get_threshold()
    gc.collect()
    gc.disable()
    LastWords(say)
    gc.set_threshold(gc.get_count()[0] + allocation, *before[1:])
    gc.enable()
    try:
        inside = True
        act()
        inside = False
    finally:
        gc.set_threshold(*before)
        gc.collect()
    return in_time == [True]


@pytest.mark.skipif(
    sys.gettrace() is not None, reason="a tracer runs between the lines, and so do collections that it sets off"
)
@pytest.mark.usefixtures("_light_collector")
@pytest.mark.parametrize("listening", [False, True], ids=["", "listening"])
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_a_finalizer_that_runs_inside_an_operation_might_as_well_have_run_before_or_after_it(
    act: Callable[[Scene], None], listening: bool
) -> None:
    for speak in WORDS:
        try_every_allocation(act, speak, listening)


def try_every_allocation(act: Callable[[Scene], None], speak: Callable[[Scene], None], listening: bool) -> None:
    expected = []
    for steps in ([act, speak], [speak, act], [act] if act is Scene.isolate else []):
        with isolated_registry():
            scene = Scene(listening, holes=act is Scene.read)
            for step in steps:
                step(scene)
            expected.append(scene.outcome())
    allocation = 0
    reached = True
    while reached:
        allocation += 1
        with isolated_registry():
            scene = Scene(listening, holes=act is Scene.read)
            reached = collected_during(lambda: act(scene), lambda: speak(scene), allocation)
            assert scene.outcome() in expected
            scene.check()
    if EXACT and listening:
        assert allocation > 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system has no signals for threads")
@pytest.mark.parametrize("speak", WORDS, ids=lambda speak: speak.__name__)
def test_a_signal_handler_that_uses_the_registry_does_no_harm(speak: Callable[[Scene], None]) -> None:
    scene = Scene()
    main = threading.main_thread().ident
    assert threading.get_ident() == main
    said = threading.Semaphore(0)
    over = False

    def handle(number: int, frame: object) -> None:
        try:
            speak(scene)
        finally:
            said.release()

    def send() -> None:
        while not over:
            signal.pthread_kill(main, signal.SIGUSR1)
            said.acquire(timeout=10)

    before = signal.signal(signal.SIGUSR1, handle)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        for _ in range(30):
            for name, agent in list(scene.agents.items()):
                if AgentRegistry.get(name) is None:
                    AgentRegistry.register(agent, name)
            for act in ACTS:
                act(scene)
    finally:
        over = True
        sender.join(20)
        signal.signal(signal.SIGUSR1, before)

    scene.check()


def test_with_the_collector_at_every_allocation_everything_goes_on_in_every_thread(eager_collector: None) -> None:
    mirror = Mirror()

    class Restless:
        """In a cycle; its finalizer does a bit of everything."""

        def __init__(self, name: str) -> None:
            self.name = name
            self.cycle = self

        def __del__(self) -> None:
            AgentRegistry.unregister_instance(self)
            helper = Probe()
            AgentRegistry.unregister_if_same(AgentRegistry.register(helper), helper)
            AgentRegistry.all()
            AgentRegistry.subscribe(lambda event: None).close()

    def churn() -> None:
        me = threading.get_ident()
        for index in range(40):
            agent = Restless(f"{me} {index % 5}")
            AgentRegistry.register(agent, agent.name)
            pool = Pool(f"pool {me}")
            AgentRegistry.register_pool(pool)
            AgentRegistry.all_with_pools()
            AgentRegistry.unregister(pool.base_name)
            AgentRegistry.unregister_if_same(agent.name, agent)

    run_threads(*[churn] * 4)
    gc.collect()

    assert AgentRegistry.names() == []
    mirror.check()
    assert mirror.resyncs == 0
