"""Many threads at once: who wins a name, who is removed, and what a listener knows afterwards."""

from __future__ import annotations

import gc
import itertools
import random
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from agentreg import AgentRegistry, NameTakenError, subscription, table
from agentreg.testing import isolated_registry
from tests.mirror import Mirror
from tests.watchdog import run_threads

THREADS = 8


class Probe:
    """A small agent."""


class Cyclic:
    """An agent that only the garbage collector can collect, and that unregisters itself then."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cycle = self

    def __del__(self) -> None:
        AgentRegistry.unregister_instance(self)


class Pool:
    """A small pool of two."""

    num_instances = 2

    def __init__(self, base_name: str) -> None:
        self.base_name = base_name
        self.instances = [Probe(), Probe()]

    def get_available_count(self) -> int:
        return 2


# -- one name ---------------------------------------------------------------


def test_exactly_one_of_many_threads_that_register_one_name_wins(restless_threads: None) -> None:
    for _ in range(100):
        agents = [Probe() for _ in range(THREADS)]

        def register(agent: Probe) -> bool:
            try:
                AgentRegistry.register(agent, "wanted")
            except NameTakenError:
                return False
            return True

        won = run_threads(*(partial(register, agent) for agent in agents))

        assert won.count(True) == 1
        assert AgentRegistry.get("wanted") is agents[won.index(True)]
        AgentRegistry.clear()


def test_exactly_one_of_many_threads_that_register_clashing_pools_wins_whole(restless_threads: None) -> None:
    for _ in range(50):
        pools = [Pool("wanted") for _ in range(THREADS)]

        def register(pool: Pool) -> bool:
            try:
                AgentRegistry.register_pool(pool)
            except NameTakenError:
                return False
            return True

        won = run_threads(*(partial(register, pool) for pool in pools))

        assert won.count(True) == 1
        winner = pools[won.index(True)]
        assert AgentRegistry.get_pool("wanted") is winner
        assert list(AgentRegistry.all().values()) == winner.instances
        AgentRegistry.clear()


def test_exactly_one_of_many_threads_removes_an_agent(restless_threads: None) -> None:
    for _ in range(100):
        agent = Probe()
        AgentRegistry.register(agent, "leaving")

        removed = run_threads(*[partial(AgentRegistry.unregister_if_same, "leaving", agent)] * THREADS)

        assert removed.count(True) == 1
        assert AgentRegistry.names() == []


def test_automatic_names_are_given_once(restless_threads: None) -> None:
    agents = [[Probe() for _ in range(200)] for _ in range(THREADS)]

    given: list[list[str]] = run_threads(*(partial(list, map(AgentRegistry.register, mine)) for mine in agents))

    names = set(itertools.chain.from_iterable(given))
    assert names == {f"BaseAgent-{number}" for number in range(1, 200 * THREADS + 1)}
    assert set(AgentRegistry.names()) == names


def test_the_state_of_an_extension_is_made_once(restless_threads: None) -> None:
    for key in range(50):
        made: list[object] = []

        def make() -> Probe:
            made.append(state := Probe())
            return state

        states = run_threads(*[partial(AgentRegistry.extension_state, key, make)] * THREADS)

        assert len(made) == 1
        assert set(map(id, states)) == {id(made[0])}


class Heir:
    """An agent for the one name; its finalizer says farewell once more."""

    name = "throne"

    def __del__(self) -> None:
        AgentRegistry.unregister_instance(self)


def test_ten_thousand_late_farewells_on_one_name_remove_no_successor(restless_threads: None) -> None:
    wrong: list[str] = []
    reigns = itertools.count()

    def reign(seed: int) -> None:
        chance = random.Random(seed)
        former = Heir()
        for _ in range(10_000 // THREADS):
            heir = Heir()
            try:
                AgentRegistry.register(heir, "throne")
            except NameTakenError:
                # the late farewell of somebody who has left; who reigns now must not fall
                if AgentRegistry.unregister_if_same("throne", former):
                    wrong.append("a former heir removed another one")
                continue
            next(reigns)
            if AgentRegistry.get("throne") is not heir:
                wrong.append("an heir lost the throne")
            if AgentRegistry.unregister_if_same("throne", former):
                wrong.append("a former heir removed its successor")
            if AgentRegistry.get("throne") is not heir:
                wrong.append("an heir lost the throne to a farewell")
            if chance.random() < 0.7 and not AgentRegistry.unregister_instance(heir):
                wrong.append("an heir could not leave")
            former = heir  # the one before is dropped here, and its finalizer says farewell once more
            del heir
            if AgentRegistry.get("throne") is former:
                AgentRegistry.unregister_if_same("throne", former)

    run_threads(*(partial(reign, seed) for seed in range(THREADS)), timeout=90)

    assert wrong == []
    assert next(reigns) > 1000
    assert AgentRegistry.names() == []


def test_ten_thousand_finalizers_in_cycles_on_one_name_remove_no_successor(restless_threads: None) -> None:
    wrong: list[str] = []

    def reign() -> None:
        for _ in range(10_000 // THREADS):
            heir = Cyclic("throne")
            try:
                AgentRegistry.register(heir, "throne")
            except NameTakenError:
                continue
            if AgentRegistry.get("throne") is not heir:
                wrong.append("an heir lost the throne")
            AgentRegistry.unregister_if_same("throne", heir)

    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        run_threads(*[reign] * THREADS, timeout=90)
    finally:
        gc.set_threshold(*before)
    gc.collect()

    assert wrong == []
    assert AgentRegistry.names() == []


# -- the seam ---------------------------------------------------------------


class Actor:
    """One thread of the storm: what it does with names of its own, and with those that all share."""

    def __init__(self, number: int, mirror: Mirror, storm: str) -> None:
        self.number = number
        self.mirror = mirror
        self.storm = storm
        self.chance = random.Random(f"{storm} {number}")
        self.kept: dict[str, Any] = {}
        self.pool: Pool | None = None
        # without clearing and isolation, nobody else touches one's own names: then they are checked after each step
        self.undisturbed = "clear" not in storm and "isolate" not in storm

    def act(self) -> None:
        name = f"{self.number}-{self.chance.randrange(6)}"
        step = self.chance.choice(
            [self.enter, self.enter, self.leave, self.drop, self.share, self.change_pool, self.read, self.listen]
        )
        step(name)
        if "clear" in self.storm and self.chance.random() < 0.02:
            AgentRegistry.clear()
        if "isolate" in self.storm and self.chance.random() < 0.05:
            self.isolate()

    def enter(self, name: str) -> None:
        agent = self.kept.setdefault(name, Probe())
        AgentRegistry.register(agent, name)
        if self.undisturbed:
            assert AgentRegistry.get(name) is agent
            assert name in AgentRegistry.names()
            assert self.mirror.agents.get(name) == "Probe"

    def leave(self, name: str) -> None:
        agent = self.kept.pop(name, None)
        removed = AgentRegistry.unregister_if_same(name, agent)
        if self.undisturbed:
            assert removed is (agent is not None)
            assert AgentRegistry.get(name) is None
            assert name not in self.mirror.agents

    def drop(self, name: str) -> None:
        agent = Probe()
        ghost = weakref.ref(agent)
        name = AgentRegistry.register(agent, prefix=f"dropped by {self.number}")
        assert not self.undisturbed or name in self.mirror.agents
        del agent
        if ghost() is None:  # else another thread is just looking at it
            AgentRegistry.revision  # noqa: B018
            assert AgentRegistry.get(name) is None
            assert not self.undisturbed or name not in self.mirror.agents

    def share(self, name: str) -> None:
        shared = f"shared-{self.chance.randrange(3)}"
        agent: Any = Cyclic(shared) if self.chance.random() < 0.5 else Probe()
        try:
            AgentRegistry.register(agent, shared)
        except NameTakenError:
            return
        if self.chance.random() < 0.5:
            self.kept[f"share of {self.number}"] = agent

    def change_pool(self, name: str) -> None:
        member = f"pool {self.number}_1"
        if self.pool is None:
            self.pool = Pool(f"pool {self.number}")
            try:
                AgentRegistry.register_pool(self.pool)
            except NameTakenError:  # an earlier one is back, after an isolation
                assert "isolate" in self.storm
            assert not self.undisturbed or self.mirror.agents[member] == "Probe"
        else:
            AgentRegistry.unregister_pool(self.pool)
            self.pool = None
            assert not self.undisturbed or member not in self.mirror.agents

    def read(self, name: str) -> None:
        everything = AgentRegistry.all_with_pools()
        assert None not in everything.values()
        if self.undisturbed:
            told = self.mirror.agents.copy()
            mine = {f"{self.number}-{index}" for index in range(6)}
            assert mine & everything.keys() == mine & told.keys() == mine & self.kept.keys()

    def listen(self, name: str) -> None:
        with AgentRegistry.subscribe(lambda event: None) as now:
            assert now.revision <= AgentRegistry.revision or "isolate" in self.storm

    def isolate(self) -> None:
        with isolated_registry():
            agent = Probe()
            AgentRegistry.register(agent)
            AgentRegistry.names()


@pytest.mark.parametrize("storm", ["calm", "clear", "isolate", "clear and isolate"])
def test_a_dict_kept_by_a_listener_equals_all_after_the_next_read_whatever_eight_threads_do(
    storm: str, restless_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 60.0)  # what is slow here is the machine, not a listener
    mirror, second = Mirror(), Mirror()
    actors = [Actor(number, mirror, storm) for number in range(THREADS)]
    quiet = threading.Barrier(THREADS)

    def blow(actor: Actor) -> None:
        try:
            for _ in range(8):
                for _ in range(40):
                    actor.act()
                quiet.wait(60)
                if actor.number == 0:
                    gc.collect()
                    mirror.check()
                    second.check()
                quiet.wait(60)
        except BaseException:
            quiet.abort()
            raise

    run_threads(*(partial(blow, actor) for actor in actors))

    assert mirror.resyncs == second.resyncs == 0
    mirror.check()
    second.check()
    assert len(table.now.table.log) == 0
    del actors
    gc.collect()
    AgentRegistry.clear()
    mirror.check()
    assert mirror.agents == {}


def test_each_of_many_listeners_is_told_everything_in_order_and_by_one_thread_at_a_time(
    restless_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 60.0)
    told: list[list[Any]] = [[] for _ in range(4)]
    busy = [threading.Lock() for _ in range(4)]
    faults: list[str] = []
    start = AgentRegistry.revision

    def hear(ear: int, event: Any) -> None:
        if not busy[ear].acquire(blocking=False):
            faults.append(f"two threads inside listener {ear}")
            return
        told[ear].append(event)
        busy[ear].release()

    for ear in range(4):
        AgentRegistry.subscribe(partial(hear, ear))

    def churn() -> None:
        agent = Probe()
        for _ in range(100):
            AgentRegistry.unregister_if_same(AgentRegistry.register(agent), agent)

    run_threads(*[churn] * THREADS)

    assert faults == []
    revisions = list(range(start + 1, start + 1 + 200 * THREADS))
    assert [[event.revision for event in events] for events in told] == [revisions] * 4
    assert told[0] == told[1] == told[2] == told[3]


def test_listeners_that_register_from_many_threads_get_through(
    restless_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 60.0)
    helpers: list[Probe] = []

    def answer(prefix: str, event: Any) -> None:
        if event.reason == "registered" and event.name.startswith("call"):
            helpers.append(Probe())
            AgentRegistry.register(helpers[-1], prefix=prefix)

    AgentRegistry.subscribe(partial(answer, "first answer"))
    AgentRegistry.subscribe(partial(answer, "second answer"))
    mirror = Mirror()
    agents = [[Probe() for _ in range(40)] for _ in range(THREADS)]

    def call(mine: list[Probe]) -> None:
        for agent in mine:
            AgentRegistry.register(agent, prefix="call")

    run_threads(*(partial(call, mine) for mine in agents))

    assert AgentRegistry.count() == 3 * 40 * THREADS
    mirror.check()


def test_a_listing_and_what_follows_it_add_up_in_every_thread(restless_threads: None) -> None:
    stop = threading.Event()

    def churn() -> None:
        pool = Pool(f"pool {threading.get_ident()}")
        agent = Probe()
        while not stop.is_set():
            AgentRegistry.unregister_if_same(AgentRegistry.register(agent), agent)
            AgentRegistry.register_pool(pool)
            AgentRegistry.unregister(pool.base_name)

    def follow() -> None:
        mirrors = []
        for _ in range(25):
            mirrors.append(Mirror())
            AgentRegistry.names()
        stop.set()
        for mirror in mirrors:
            assert (mirror.faults, mirror.resyncs) == ([], 0)
            mirror.subscription.close()

    def followed() -> None:
        try:
            follow()
        finally:
            stop.set()

    run_threads(*[followed] * 2, *[churn] * 3)


def test_isolation_that_overlaps_in_many_threads_ends_at_the_first_registry(restless_threads: None) -> None:
    agent = Probe()
    AgentRegistry.register(agent, "outside")
    AgentRegistry.reserved_names.add("user")
    mirror = Mirror()

    def isolate() -> None:
        for _ in range(100):
            with isolated_registry():
                inner = Probe()
                AgentRegistry.register(inner)
                AgentRegistry.reserved_names.add("inner")
                with isolated_registry():
                    AgentRegistry.register(inner)
                    AgentRegistry.clear()

    run_threads(*[isolate] * THREADS)

    assert AgentRegistry.all() == {"outside": agent}
    assert AgentRegistry.reserved_names == {"user"}
    mirror.check()


@pytest.mark.parametrize(
    "write",
    [
        lambda agents, name, agent: agents.__setitem__(name, agent),
        lambda agents, name, agent: agents.setdefault(name, agent),
        lambda agents, name, agent: agents.update({name: agent}),
    ],
)
def test_writing_to_agents_from_many_threads_keeps_listeners_right(
    write: Callable[[Any, str, Probe], object], restless_threads: None
) -> None:
    mirror = Mirror()

    def churn() -> None:
        agent = Probe()
        for index in range(100):
            write(AgentRegistry._agents, f"shared-{index % 3}", agent)
            if index % 2:
                AgentRegistry._agents.pop(f"shared-{index % 3}", None)

    run_threads(*[churn] * THREADS)

    mirror.check()
