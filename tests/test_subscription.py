"""The seam: a listing with its revision, then every change from there, in order, one at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from agentreg import (
    AgentRegistered,
    AgentRegistry,
    AgentUnregistered,
    BaseAgent,
    CallFinished,
    PoolRegistered,
    PoolUnregistered,
    RegistryEvent,
    Resync,
    Subscription,
    subscription,
    table,
)
from agentreg.testing import isolated_registry
from tests.mirror import Mirror
from tests.watchdog import elsewhere, run_threads


class Probe:
    """A small agent."""


class Able(BaseAgent):
    """An agent that can declare what it can do."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        if prompt == "fail":
            raise RuntimeError("as asked")
        return prompt


class Pool:
    """A small pool."""

    def __init__(self, base_name: str, *instances: Any) -> None:
        self.base_name = base_name
        self.instances = list(instances)
        self.num_instances = len(instances)

    def get_available_count(self) -> int:
        return self.num_instances


def kinds(events: list[RegistryEvent]) -> list[tuple[type, str]]:
    return [(type(event), event.name) for event in events if not isinstance(event, Resync)]


# -- the listing ------------------------------------------------------------


def test_the_listing_is_what_is_there_at_its_revision() -> None:
    agents = [Probe(), Able("able", capabilities=["translate", "sum up"])]
    AgentRegistry.register(agents[0], "probe")
    AgentRegistry.register_pool(Pool("pool", Probe()))

    now = AgentRegistry.subscribe(print)

    assert isinstance(now, Subscription)
    assert list(now.listing.items()) == [("able", "Able"), ("probe", "Probe"), ("pool_0", "Probe")]
    assert now.pools == {"pool": "Pool"}
    assert now.capabilities == {"able": ("translate", "sum up")}
    assert now.revision == AgentRegistry.revision


def test_the_dead_are_not_in_the_listing() -> None:
    AgentRegistry.register(Probe(), "probe")
    Able("able", capabilities=["translate"])

    now = AgentRegistry.subscribe(print)

    assert now.listing == {}
    assert now.capabilities == {}
    assert now.revision == AgentRegistry.revision


def test_the_listing_stays_as_it_was() -> None:
    now = AgentRegistry.subscribe(lambda event: None)
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert now.listing == {}
    assert now.revision == AgentRegistry.revision - 1


def test_listings_of_two_subscriptions_are_two_copies() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "probe")
    first, second = AgentRegistry.subscribe(print), AgentRegistry.subscribe(print)

    first.listing.clear()

    assert second.listing == {"probe": "Probe"}


# -- what is told -----------------------------------------------------------


def test_every_kind_of_change_has_its_event() -> None:
    heard: list[RegistryEvent] = []
    start = AgentRegistry.subscribe(heard.append).revision
    agent, second = Probe(), Probe()
    pool = Pool("pool", Probe(), Probe())

    AgentRegistry.register(agent, "probe")
    AgentRegistry.register(agent)
    AgentRegistry.unregister("probe")
    AgentRegistry.unregister_if_same("BaseAgent-1", agent)
    AgentRegistry.register(second, "second")
    del second
    AgentRegistry.register_pool(pool)
    AgentRegistry.unregister("pool")
    AgentRegistry.register(agent, "probe")
    AgentRegistry.register_pool(pool)
    AgentRegistry.clear()

    expected: list[Any] = [
        (AgentRegistered, "probe", "Probe", "registered"),
        (AgentRegistered, "BaseAgent-1", "Probe", "registered"),
        (AgentUnregistered, "probe", "Probe", "unregistered"),
        (AgentUnregistered, "BaseAgent-1", "Probe", "unregistered"),
        (AgentRegistered, "second", "Probe", "registered"),
        (AgentUnregistered, "second", "Probe", "collected"),
        (PoolRegistered, "pool", "Pool", "registered"),
        (AgentRegistered, "pool_0", "Probe", "registered"),
        (AgentRegistered, "pool_1", "Probe", "registered"),
        (PoolUnregistered, "pool", "Pool", "unregistered"),
        (AgentUnregistered, "pool_0", "Probe", "unregistered"),
        (AgentUnregistered, "pool_1", "Probe", "unregistered"),
        (AgentRegistered, "probe", "Probe", "registered"),
        (PoolRegistered, "pool", "Pool", "registered"),
        (AgentRegistered, "pool_0", "Probe", "registered"),
        (AgentRegistered, "pool_1", "Probe", "registered"),
        (PoolUnregistered, "pool", "Pool", "cleared"),
        (AgentUnregistered, "probe", "Probe", "cleared"),
        (AgentUnregistered, "pool_0", "Probe", "cleared"),
        (AgentUnregistered, "pool_1", "Probe", "cleared"),
    ]
    assert [(type(e), e.name, e.class_name, e.reason) for e in heard if not isinstance(e, Resync)] == expected
    assert [event.revision for event in heard] == list(range(start + 1, start + 1 + len(expected)))


def test_what_changes_nothing_is_not_told() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "probe")
    pool = Pool("pool", Probe())
    AgentRegistry.register_pool(pool)
    heard: list[RegistryEvent] = []
    AgentRegistry.subscribe(heard.append)

    AgentRegistry.register(agent, "probe")
    AgentRegistry.register_pool(pool)
    AgentRegistry.unregister("nobody")
    AgentRegistry.unregister_if_same("probe", Probe())
    AgentRegistry.unregister_if_same("pool_0", pool.instances[0])

    assert heard == []


def test_a_member_that_was_there_already_is_not_told_again() -> None:
    member = Probe()
    AgentRegistry.register(member, "pool_0")
    heard: list[RegistryEvent] = []
    AgentRegistry.subscribe(heard.append)

    AgentRegistry.register_pool(Pool("pool", member, Probe()))

    assert kinds(heard) == [(PoolRegistered, "pool"), (AgentRegistered, "pool_1")]


def test_only_a_base_agent_declares_capabilities() -> None:
    class Boastful:
        capabilities = ("everything",)

    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)

    agents = [Able("able", capabilities=["translate"]), Boastful()]
    AgentRegistry.register(agents[1], "boastful")
    AgentRegistry.register(agents[0], "alias")

    assert [(event.name, event.capabilities) for event in heard] == [
        ("able", ("translate",)),
        ("boastful", ()),
        ("alias", ()),
    ]


def test_the_successor_of_a_capable_agent_declares_for_itself() -> None:
    able = Able("able", capabilities=["translate"])
    AgentRegistry.unregister_instance(able)
    successor = Probe()
    AgentRegistry.register(successor, "able")

    assert AgentRegistry.subscribe(print).capabilities == {}


@pytest.mark.parametrize("kind", [AgentRegistered, AgentUnregistered, PoolRegistered, PoolUnregistered])
def test_events_are_frozen_values(kind: Callable[[str, str, int], Any]) -> None:
    event = kind("probe", "Probe", 1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        event.name = "other"
    assert event == kind("probe", "Probe", 1)
    assert len({event, kind("probe", "Probe", 1)}) == 1


def test_an_event_that_is_kept_does_not_keep_the_agent() -> None:
    heard: list[RegistryEvent] = []
    AgentRegistry.subscribe(heard.append)
    agent = Probe()
    ghost = weakref.ref(agent)
    AgentRegistry.register(agent, "probe")

    del agent

    assert len(heard) == 1
    assert ghost() is None


def test_an_event_that_waits_for_a_listener_does_not_keep_the_agent() -> None:
    ghosts: list[Any] = []

    def meddle(event: RegistryEvent) -> None:
        if not ghosts:
            agent = Probe()
            AgentRegistry.register(agent, "second")  # told when this call has returned
            ghosts.append(weakref.ref(agent))

    AgentRegistry.subscribe(meddle)
    agent = Probe()

    AgentRegistry.register(agent, "first")

    assert ghosts[0]() is None


READS: list[Callable[[], Any]] = [
    lambda: AgentRegistry.revision,
    lambda: AgentRegistry.all(),
    lambda: AgentRegistry.all_with_pools(),
    lambda: AgentRegistry.names(),
    lambda: AgentRegistry.count(),
    lambda: AgentRegistry.find(bool),
    lambda: AgentRegistry.find_by_type(Probe),
    lambda: AgentRegistry.normalize_agent_name("probe"),
    lambda: AgentRegistry.are_same_agent("probe", "other"),
    lambda: AgentRegistry.is_pool_instance("probe"),
    lambda: AgentRegistry.get_pool_name_for_instance("probe"),
    lambda: AgentRegistry.get_or_acquire("probe"),
]


@pytest.mark.parametrize("read", READS)
def test_whoever_reads_sees_the_listeners_up_to_date(read: Callable[[], Any]) -> None:
    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)
    AgentRegistry.register(Probe(), "probe")

    read()

    assert [event.reason for event in heard] == ["registered", "collected"]


def test_collecting_calls_no_listener_by_itself() -> None:
    heard: list[RegistryEvent] = []
    AgentRegistry.subscribe(heard.append)
    AgentRegistry.register(Probe(), "probe")

    assert AgentRegistry.get("probe") is None
    assert len(heard) == 1


def test_the_end_of_a_collected_agent_is_told_before_its_successor() -> None:
    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)
    AgentRegistry.register(Probe(), "probe")
    successor = Probe()

    AgentRegistry.register(successor, "probe")

    assert [event.reason for event in heard] == ["registered", "collected", "registered"]


# -- revision ---------------------------------------------------------------


def test_each_change_of_a_name_adds_one_to_the_revision() -> None:
    agents = [Probe() for _ in range(4)]
    pool = Pool("pool", Probe(), Probe())

    def steps(act: Callable[[], Any]) -> int:
        before = AgentRegistry.revision
        act()
        return AgentRegistry.revision - before

    assert steps(lambda: AgentRegistry.register(agents[0], "a")) == 1
    assert steps(lambda: AgentRegistry.register(agents[0], "a")) == 0
    assert steps(lambda: AgentRegistry.register(agents[0])) == 1
    assert steps(lambda: AgentRegistry.register(agents[1])) == 1
    assert steps(lambda: AgentRegistry.register_pool(pool)) == 3
    assert steps(lambda: AgentRegistry.register_pool(pool)) == 0
    assert steps(lambda: AgentRegistry.unregister("a")) == 1
    assert steps(lambda: AgentRegistry.unregister("a")) == 0
    assert steps(lambda: AgentRegistry.unregister("pool")) == 3
    assert steps(lambda: AgentRegistry.register_pool(pool)) == 3
    assert steps(agents.clear) == 2
    assert steps(AgentRegistry.clear) == 3
    assert steps(AgentRegistry.clear) == 0


@pytest.mark.parametrize("listening", [False, True])
def test_the_revision_counts_with_and_without_listeners(listening: bool) -> None:
    start = AgentRegistry.revision
    if listening:
        AgentRegistry.subscribe(lambda event: None)
    agents = [Probe() for _ in range(5)]
    for index, agent in enumerate(agents):
        AgentRegistry.register(agent, f"probe-{index}")
    AgentRegistry.unregister_if_same("probe-0", agents[0])
    del agent
    agents.clear()

    assert AgentRegistry.revision == start + 10


def test_a_refusal_is_no_revision() -> None:
    AgentRegistry.reserved_names.add("user")
    agent = Probe()
    AgentRegistry.register(agent, "probe")
    before = AgentRegistry.revision

    for name in ("user", "probe", ""):
        with pytest.raises(ValueError, match="name"):
            AgentRegistry.register(Probe(), name)

    assert AgentRegistry.revision == before


# -- closing ----------------------------------------------------------------


def test_a_closed_subscription_hears_nothing_more() -> None:
    heard: list[RegistryEvent] = []
    subscribed = AgentRegistry.subscribe(heard.append)
    agent = Probe()

    subscribed.close()
    subscribed.close()
    AgentRegistry.register(agent, "probe")

    assert heard == []
    assert subscribed.closed


def test_leaving_the_block_closes() -> None:
    heard: list[RegistryEvent] = []
    agent = Probe()
    with AgentRegistry.subscribe(heard.append) as subscribed:
        AgentRegistry.register(agent, "inside")

    AgentRegistry.register(agent, "outside")

    assert kinds(heard) == [(AgentRegistered, "inside")]
    assert subscribed.closed


def test_leaving_the_block_with_an_error_closes_and_lets_it_out() -> None:
    heard: list[RegistryEvent] = []
    agent = Probe()

    with pytest.raises(RuntimeError, match="mine"), AgentRegistry.subscribe(heard.append):
        raise RuntimeError("mine")

    AgentRegistry.register(agent, "probe")
    assert heard == []


def test_a_listener_may_close_itself_at_its_first_event() -> None:
    heard: list[RegistryEvent] = []

    def once(event: RegistryEvent) -> None:
        heard.append(event)
        subscribed.close()

    subscribed = AgentRegistry.subscribe(once)
    AgentRegistry.register_pool(Pool("pool", Probe(), Probe()))

    assert kinds(heard) == [(PoolRegistered, "pool")]


def test_a_listener_may_close_another_one() -> None:
    heard: list[RegistryEvent] = []
    first = AgentRegistry.subscribe(lambda event: second.close())
    second = AgentRegistry.subscribe(heard.append)
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert heard == []
    assert not first.closed


def test_closing_lets_the_listener_go() -> None:
    class Ear:
        def __call__(self, event: RegistryEvent) -> None: ...

    ear = Ear()
    ghost = weakref.ref(ear)
    subscribed = AgentRegistry.subscribe(ear)
    subscribed.close()

    del ear, subscribed

    assert ghost() is None


def test_a_listener_stays_without_anybody_holding_its_subscription() -> None:
    heard: list[RegistryEvent] = []
    AgentRegistry.subscribe(heard.append)
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert len(heard) == 1


def test_listeners_stay_over_clear() -> None:
    heard: list[RegistryEvent] = []
    AgentRegistry.subscribe(heard.append)
    AgentRegistry.clear()
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert kinds(heard) == [(AgentRegistered, "probe")]


def test_no_change_is_kept_once_everybody_has_heard_it() -> None:
    AgentRegistry.subscribe(lambda event: None)
    AgentRegistry.subscribe(lambda event: None)
    agents = [Probe() for _ in range(50)]
    for agent in agents:
        AgentRegistry.register(agent)

    assert len(table.now.table.log) == 0


def test_no_change_is_kept_while_nobody_listens() -> None:
    agents = [Probe() for _ in range(50)]
    AgentRegistry.subscribe(lambda event: None).close()
    for agent in agents:
        AgentRegistry.register(agent)
    AgentRegistry.clear()

    assert len(table.now.table.log) == 0


# -- several listeners ------------------------------------------------------


def test_each_listener_hears_everything_from_its_own_listing_on() -> None:
    agents = [Probe() for _ in range(3)]
    early: list[Any] = []
    late: list[Any] = []
    AgentRegistry.subscribe(early.append)
    AgentRegistry.register(agents[0], "a")
    AgentRegistry.subscribe(late.append)
    AgentRegistry.register(agents[1], "b")

    assert [event.name for event in early] == ["a", "b"]
    assert [event.name for event in late] == ["b"]


def test_one_callable_may_listen_twice() -> None:
    heard: list[RegistryEvent] = []
    first = AgentRegistry.subscribe(heard.append)
    AgentRegistry.subscribe(heard.append)
    agents = [Probe(), Probe()]

    AgentRegistry.register(agents[0], "a")
    first.close()
    AgentRegistry.register(agents[1], "b")

    assert [name for _, name in kinds(heard)] == ["a", "a", "b"]


def test_a_failing_listener_is_logged_with_its_traceback_and_the_others_still_hear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: RegistryEvent) -> None:
        raise RuntimeError("deaf today")

    before: list[RegistryEvent] = []
    after: list[RegistryEvent] = []
    AgentRegistry.subscribe(before.append)
    AgentRegistry.subscribe(fail)
    AgentRegistry.subscribe(after.append)
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert len(before) == len(after) == 1
    [record] = caplog.records
    assert (record.name, record.levelno) == ("agentreg", logging.ERROR)
    assert "fail" in record.getMessage()
    assert "AgentRegistered(name='probe'" in record.getMessage()
    assert record.exc_info is not None
    assert "deaf today" in caplog.text
    assert ", in fail" in caplog.text


def test_a_listener_that_failed_hears_the_next_event() -> None:
    heard: list[str] = []

    def fail_first(event: Any) -> None:
        heard.append(event.name)
        if event.name == "a":
            raise RuntimeError("deaf today")

    AgentRegistry.subscribe(fail_first)
    agents = [Probe(), Probe()]
    AgentRegistry.register(agents[0], "a")
    AgentRegistry.register(agents[1], "b")

    assert heard == ["a", "b"]


def test_an_interrupt_in_a_listener_comes_out_and_nothing_is_lost_or_told_twice() -> None:
    heard: list[str] = []

    def interrupted(event: Any) -> None:
        heard.append(event.name)
        if event.name == "a":
            raise KeyboardInterrupt

    AgentRegistry.subscribe(interrupted)
    other = Mirror()
    agents = [Probe(), Probe()]

    with pytest.raises(KeyboardInterrupt):
        AgentRegistry.register(agents[0], "a")

    AgentRegistry.register(agents[1], "b")
    assert heard == ["a", "b"]
    other.check()


# -- a listener that uses the registry --------------------------------------


def test_a_listener_may_read_and_sees_what_it_is_told_of() -> None:
    seen: list[Any] = []

    def look(event: Any) -> None:
        seen.append((AgentRegistry.get(event.name), AgentRegistry.names(), AgentRegistry.count()))

    AgentRegistry.subscribe(look)
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert seen == [(agent, ["probe"], 1)]


def test_a_listener_may_register_and_unregister_and_is_told_afterwards_in_order() -> None:
    helpers = {"first helper": Probe(), "second helper": Probe()}
    told: list[tuple[str, str]] = []
    inside = 0

    def assist(event: Any) -> None:
        nonlocal inside
        assert inside == 0
        inside += 1
        told.append((event.name, event.reason))
        if event.name == "first" and event.reason == "registered":
            for name, helper in helpers.items():
                AgentRegistry.register(helper, name)
            AgentRegistry.unregister("first helper")
        inside -= 1

    AgentRegistry.subscribe(assist)
    mirror = Mirror()
    agent = Probe()

    AgentRegistry.register(agent, "first")

    assert told == [
        ("first", "registered"),
        ("first helper", "registered"),
        ("second helper", "registered"),
        ("first helper", "unregistered"),
    ]
    mirror.check()


def test_a_listener_may_answer_each_event_with_another_for_a_while() -> None:
    agents = [Probe() for _ in range(500)]

    def chain(event: Any) -> None:
        following = int(event.name) + 1
        if following < len(agents):
            AgentRegistry.register(agents[following], str(following))

    AgentRegistry.subscribe(chain)
    mirror = Mirror()

    AgentRegistry.register(agents[0], "0")

    assert AgentRegistry.count() == 500
    mirror.check()


def test_a_listener_may_clear() -> None:
    def wipe(event: Any) -> None:
        if event.reason == "registered":
            AgentRegistry.clear()

    AgentRegistry.subscribe(wipe)
    mirror = Mirror()
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert AgentRegistry.names() == []
    mirror.check()


def test_a_listener_may_subscribe_another_one() -> None:
    mirrors: list[Mirror] = []

    def multiply(event: RegistryEvent) -> None:
        if not mirrors:
            mirrors.append(Mirror())

    AgentRegistry.subscribe(multiply)
    agents = [Probe(), Probe()]

    AgentRegistry.register(agents[0], "a")
    AgentRegistry.register(agents[1], "b")

    assert mirrors[0].agents == {"a": "Probe", "b": "Probe"}
    mirrors[0].check()


def test_no_lock_is_held_around_a_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.01)
    helper = Probe()
    seen: list[list[str]] = []

    def from_elsewhere(event: Any) -> None:
        if event.name == "probe":
            elsewhere(lambda: AgentRegistry.register(helper, "helper"))
            elsewhere(lambda: AgentRegistry.subscribe(lambda event: None).close())
            seen.append(elsewhere(AgentRegistry.names))

    AgentRegistry.subscribe(from_elsewhere)
    mirror = Mirror()
    agent = Probe()

    AgentRegistry.register(agent, "probe")

    assert seen == [["probe", "helper"]]
    mirror.check()


# -- several threads --------------------------------------------------------


def test_a_caller_waits_for_a_listener_that_another_thread_is_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 30.0)
    inside, go_on = threading.Event(), threading.Event()
    heard: list[str] = []

    def slow(event: Any) -> None:
        if event.name == "first":
            inside.set()
            go_on.wait(30)
        heard.append(event.name)

    AgentRegistry.subscribe(slow)
    agents = [Probe(), Probe()]

    def second() -> list[str]:
        inside.wait(30)
        release = threading.Timer(0.05, go_on.set)
        release.start()
        AgentRegistry.register(agents[1], "second")
        return heard.copy()

    _, heard_by_then = run_threads(lambda: AgentRegistry.register(agents[0], "first"), second)

    assert heard_by_then == ["first", "second"]


def test_a_listener_that_waits_for_a_lock_of_the_caller_makes_no_deadlock(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.05)
    mine = threading.Lock()
    about_to_wait = threading.Event()
    heard: list[str] = []

    def locking(event: Any) -> None:
        about_to_wait.set()
        with mine:
            heard.append(event.name)

    AgentRegistry.subscribe(locking)
    agents = [Probe() for _ in range(3)]

    def holder() -> None:
        with mine:
            other.start()
            about_to_wait.wait(30)
            AgentRegistry.register(agents[1], "second")
            AgentRegistry.register(agents[2], "third")
            assert heard == []

    other = threading.Thread(target=lambda: AgentRegistry.register(agents[0], "first"), daemon=True)
    run_threads(holder)
    other.join(30)

    assert heard == ["first", "second", "third"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "has not returned for 0.05 s; going on without it" in caplog.text


def test_two_listeners_that_call_the_registry_from_two_threads_make_no_deadlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 30.0)
    both_inside = threading.Barrier(2)
    agents = {name: Probe() for name in ("a", "b", "from a", "from b")}

    def answer(event: Any, own: str) -> None:
        if event.name == own:
            both_inside.wait(30)
            AgentRegistry.register(agents[f"from {own}"], f"from {own}")
            AgentRegistry.names()

    # the thread that registers "a" is told first by the first listener, the other by the second
    AgentRegistry.subscribe(lambda event: answer(event, "a"))
    run_threads(lambda: AgentRegistry.register(agents["a"], "a"), lambda: tell_b(agents, answer))

    assert sorted(AgentRegistry.names()) == ["a", "b", "from a", "from b"]


def tell_b(agents: dict[str, Probe], answer: Callable[[Any, str], None]) -> None:
    AgentRegistry.subscribe(lambda event: answer(event, "b"))
    AgentRegistry.register(agents["b"], "b")


@pytest.mark.parametrize("patience", [0.0002, 0.00005, 0.00001])
def test_a_listener_hears_on_after_callers_gave_up_waiting_at_every_moment(
    patience: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, restless_threads: None
) -> None:
    caplog.set_level(logging.CRITICAL, "agentreg")

    def busy(event: RegistryEvent) -> None:
        for _ in range(int(patience * 1e7)):
            pass

    def churn() -> None:
        agent = Probe()
        for _ in range(300):
            AgentRegistry.unregister_if_same(AgentRegistry.register(agent), agent)

    for _ in range(5):
        with isolated_registry():
            slow = AgentRegistry.subscribe(busy)
            mirror = Mirror()
            monkeypatch.setattr(subscription, "PATIENCE", patience)
            run_threads(*[churn] * 8)
            monkeypatch.setattr(subscription, "PATIENCE", 30.0)

            assert AgentRegistry.revision == slow.heard
            assert mirror.resyncs == 0
            mirror.check()


def test_subscribing_while_others_register_gives_a_listing_without_a_hole_behind_it(restless_threads: None) -> None:
    stop = threading.Event()

    def churn() -> None:
        agent = Probe()
        while not stop.is_set():
            AgentRegistry.unregister_if_same(AgentRegistry.register(agent), agent)

    def come_and_go() -> None:
        try:
            for _ in range(400):
                mirror = Mirror()
                AgentRegistry.names()
                mirror.subscription.close()
                assert mirror.faults == []
                assert mirror.resyncs == 0
        finally:
            stop.set()

    run_threads(come_and_go, *[churn] * 3)

    assert len(table.now.table.log) == 0


# -- falling behind ---------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1])
def test_a_listener_that_falls_too_far_behind_is_resynchronised(monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.01)
    monkeypatch.setattr(subscription, "BACKLOG", 20)
    inside, go_on = threading.Event(), threading.Event()
    heard: list[RegistryEvent] = []

    def stuck(event: RegistryEvent) -> None:
        heard.append(event)
        if len(heard) == 1:
            inside.set()
            go_on.wait(30)

    agents = [Probe() for _ in range(100)]
    able = Able("able", capabilities=["translate"])
    behind = AgentRegistry.subscribe(stuck)
    mirrors = [Mirror() for _ in range(others)]
    log: list[int] = []

    def overtake() -> None:
        inside.wait(30)
        for agent in agents:
            AgentRegistry.register(agent)
            log.append(len(table.now.table.log))
        AgentRegistry.register_pool(Pool("pool", Probe()))
        go_on.set()

    run_threads(lambda: AgentRegistry.register(able, "alias"), overtake)
    AgentRegistry.names()
    AgentRegistry.register(able, "afterwards")

    first, resync, *rest = heard
    assert isinstance(first, AgentRegistered)
    assert isinstance(resync, Resync)
    assert max(log) <= 22
    assert set(resync.listing) == {"able", "alias", "pool_0", *(f"BaseAgent-{n}" for n in range(1, 101))}
    assert resync.capabilities == {"able": ("translate",)}
    assert resync.pools == {"pool": "Pool"}
    assert [event.revision for event in rest] == [resync.revision + 1]
    assert behind.heard == AgentRegistry.revision
    for mirror in mirrors:
        assert mirror.resyncs == 0
        mirror.check()


def test_a_listener_within_the_backlog_hears_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.01)
    monkeypatch.setattr(subscription, "BACKLOG", 200)
    inside, go_on = threading.Event(), threading.Event()
    heard: list[RegistryEvent] = []

    def stuck(event: RegistryEvent) -> None:
        heard.append(event)
        inside.set()
        go_on.wait(30)

    agents = [Probe() for _ in range(100)]
    start = AgentRegistry.subscribe(stuck).revision
    Mirror()

    def overtake() -> None:
        inside.wait(30)
        for agent in agents:
            AgentRegistry.register(agent)
        go_on.set()

    first = Probe()
    run_threads(lambda: AgentRegistry.register(first, "first"), overtake)
    AgentRegistry.names()

    assert [event.revision for event in heard] == list(range(start + 1, start + 102))


# -- on_call ----------------------------------------------------------------


def test_a_finished_call_is_reported_with_its_name_and_outcome() -> None:
    calls: list[CallFinished] = []
    AgentRegistry.on_call(calls.append)
    caller, callee = Able("caller"), Able("callee")

    answer = asyncio.run(caller.invoke_agent("callee", "hello"))
    with pytest.raises(RuntimeError, match="as asked"):
        asyncio.run(caller.invoke_agent(callee.name, "fail"))

    assert answer == "hello"
    assert [(call.name, call.ok) for call in calls] == [("callee", True), ("callee", False)]
    assert all(0 <= call.seconds < 30 for call in calls)


def test_a_closed_call_listener_hears_nothing_more() -> None:
    calls: list[CallFinished] = []
    agents = [Able("caller"), Able("callee")]
    first = AgentRegistry.on_call(calls.append)
    with AgentRegistry.on_call(calls.append):
        asyncio.run(agents[0].invoke_agent("callee", "both"))

    first.close()
    first.close()
    asyncio.run(agents[0].invoke_agent("callee", "nobody"))

    assert len(calls) == 2


def test_a_failing_call_listener_is_logged_and_the_others_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: CallFinished) -> None:
        raise RuntimeError("deaf today")

    calls: list[CallFinished] = []
    AgentRegistry.on_call(fail)
    AgentRegistry.on_call(calls.append)
    agents = [Able("caller"), Able("callee")]

    assert asyncio.run(agents[0].invoke_agent("callee", "hello")) == "hello"

    assert len(calls) == 1
    assert "deaf today" in caplog.text
