"""Who is least busy: `agentreg.extensions.load_balancing`."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg import AgentPool, AgentRegistry, BaseAgent
from agentreg.extensions import capabilities, load_balancing
from agentreg.extensions.capabilities import CapabilityMixin
from agentreg.extensions.load_balancing import (
    BestMatch,
    LeastLoaded,
    LoadBalancedRegistry,
    LoadBalancingMixin,
    Picker,
    PowerOfTwo,
    Random,
    RoundRobin,
    Snapshot,
)
from agentreg.subscription import BACKLOG
from agentreg.testing import isolated_registry


class Plain:
    """Anything that can be registered."""


class Special(Plain):
    pass


class Worker(BaseAgent):
    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class MyRegistry(CapabilityMixin, LoadBalancingMixin, AgentRegistry):
    pass


def registered(*names: str, kind: type[Plain] = Plain) -> list[Plain]:
    agents = [kind() for _ in names]
    for agent, name in zip(agents, names, strict=True):
        AgentRegistry.register(agent, name)
    return agents


def start(*names: str) -> None:
    for name in names:
        LoadBalancedRegistry.start_task(name)


def active() -> dict[str, int]:
    tasks: dict[str, int] = LoadBalancedRegistry.get_statistics()["active_tasks"]
    return tasks


# -- counting -----------------------------------------------------------------


def test_statistics_of_nothing() -> None:
    expected = {"total_invocations": 0, "active_tasks": {}, "invocation_counts": {}}
    assert LoadBalancedRegistry.get_statistics() == expected


def test_tasks_are_counted_by_name_from_start_to_end() -> None:
    agents = registered("ann", "bob", "cyd")
    start("ann", "ann", "bob")

    LoadBalancedRegistry.end_task("ann")

    assert LoadBalancedRegistry.get_statistics() == {
        "total_invocations": 3,
        "active_tasks": {"ann": 1, "bob": 1},
        "invocation_counts": {"ann": 2, "bob": 1},
    }
    del agents


def test_more_ends_than_starts_leave_no_tasks_and_count_nothing() -> None:
    start("ann")

    for _ in range(3):
        LoadBalancedRegistry.end_task("ann")
        LoadBalancedRegistry.end_task("nobody")
    start("ann")

    assert active() == {"ann": 1}


def test_a_tracked_task_ends_with_its_block_also_by_an_error() -> None:
    during = []

    def fail() -> None:
        with LoadBalancedRegistry.track("ann"):
            during.append(active())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert during == [{"ann": 1}]
    assert active() == {"ann": 0}


def test_a_successor_starts_with_no_tasks() -> None:
    agents = registered("ann")
    start("ann", "ann")

    del agents
    successor = registered("ann")

    assert active() == {}
    start("ann")
    assert LoadBalancedRegistry.get_statistics()["invocation_counts"] == {"ann": 1}
    del successor


def test_the_end_of_a_tracked_task_is_not_counted_for_a_successor() -> None:
    [agent] = registered("ann")
    task = LoadBalancedRegistry.track("ann")
    task.__enter__()
    AgentRegistry.unregister_if_same("ann", agent)
    successor = registered("ann")
    start("ann")

    task.__exit__(None, None, None)

    assert active() == {"ann": 1}
    del successor


def test_the_total_never_falls_when_agents_leave() -> None:
    agents = registered("ann", "bob")
    start("ann", "ann", "bob")

    del agents

    expected = {"total_invocations": 3, "active_tasks": {}, "invocation_counts": {}}
    assert LoadBalancedRegistry.get_statistics() == expected


def test_an_unknown_name_is_listed_until_it_has_come_and_gone() -> None:
    start("ghost")
    before = active()

    agents = registered("ghost")
    meanwhile = active()
    del agents

    assert (before, meanwhile, active()) == ({"ghost": 1}, {"ghost": 1}, {})


def test_members_of_a_pool_are_counted_and_leave_with_the_pool() -> None:
    pool = AgentPool(Worker, 2, name="crew")
    AgentRegistry.register_pool(pool)
    start("crew", "crew_0")
    least = LoadBalancedRegistry.get_least_loaded("crew")

    AgentRegistry.unregister("crew")

    assert least == "crew_1"
    assert active() == {}
    del pool


def test_clear_begins_again_at_zero_and_isolation_puts_the_counts_aside() -> None:
    start("ann")
    with isolated_registry():
        inside = active()
    outside = active()

    AgentRegistry.clear()

    assert (inside, outside) == ({}, {"ann": 1})
    assert LoadBalancedRegistry.get_statistics()["total_invocations"] == 0


UNTYPED: Any = LoadBalancedRegistry
ANY_MATCH: Any = BestMatch


@pytest.mark.parametrize(
    ("call", "error", "saying"),
    [
        (lambda: UNTYPED.start_task(""), ValueError, "expected some text, got an empty one"),
        (lambda: UNTYPED.end_task(None), TypeError, "expected text, got None of type NoneType"),
        (lambda: UNTYPED.track(7).__enter__(), TypeError, "expected text, got 7 of type int"),
        (lambda: UNTYPED.get_least_loaded(7), TypeError, "the beginning of a name, or a class, got 7"),
        (lambda: ANY_MATCH(None), TypeError, "expected text, got None"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_came_and_what_was_expected(
    call: Callable[[], object], error: type[Exception], saying: str
) -> None:
    with pytest.raises(error, match=saying):
        call()


NAMES = st.sampled_from(["ann", "bob", "cyd", "dan"])
ACTS = st.sampled_from(["register", "start", "start", "end", "leave", "track"])


@settings(deadline=None)
@given(st.lists(st.tuples(ACTS, NAMES), max_size=50))
def test_it_counts_as_the_plain_way_would(steps: list[tuple[str, str]]) -> None:
    with isolated_registry():
        agents, tasks, calls, total = dict[str, Plain](), Counter[str](), Counter[str](), 0
        for act, name in steps:
            if act == "register" and name not in agents:
                agents[name] = registered(name)[0]
            elif act == "start":
                start(name)
                tasks[name] += 1
                calls[name] += 1
                total += 1
            elif act == "end":
                LoadBalancedRegistry.end_task(name)
                tasks[name] = max(0, tasks[name] - 1)
            elif act == "track":
                with LoadBalancedRegistry.track(name):
                    assert active()[name] == tasks[name] + 1
                calls[name] += 1
                total += 1
            elif act == "leave" and name in agents:
                del agents[name]
                tasks.pop(name, None)
                calls.pop(name, None)

        assert LoadBalancedRegistry.get_statistics() == {
            "total_invocations": total,
            "active_tasks": {name: tasks[name] for name in calls},
            "invocation_counts": dict(calls),
        }
        least = min(agents, key=lambda name: tasks[name], default=None)
        assert LoadBalancedRegistry.get_least_loaded() == least


# -- the least loaded ---------------------------------------------------------


def test_the_least_loaded_is_nobody_where_there_is_nobody() -> None:
    start("ghost")

    assert LoadBalancedRegistry.get_least_loaded() is None
    assert LoadBalancedRegistry.get_least_loaded("ghost") is None
    assert LoadBalancedRegistry.get_least_loaded(Plain) is None


def test_the_least_loaded_has_fewest_tasks_and_among_equals_registered_first() -> None:
    agents = registered("ann", "bob", "cyd")
    chosen = []

    for _ in range(7):
        name = LoadBalancedRegistry.get_least_loaded()
        assert name
        chosen.append(name)
        start(name)

    assert chosen == ["ann", "bob", "cyd", "ann", "bob", "cyd", "ann"]
    del agents


def test_the_least_loaded_can_be_asked_for_by_the_beginning_of_a_name() -> None:
    agents = registered("writer_1", "reader_1", "writer_2")
    start("writer_1")

    assert LoadBalancedRegistry.get_least_loaded("writer") == "writer_2"
    assert LoadBalancedRegistry.get_least_loaded("painter") is None
    assert LoadBalancedRegistry.get_least_loaded("") == "reader_1"
    del agents


def test_the_least_loaded_can_be_asked_for_by_class_subclasses_included() -> None:
    agents = registered("plain") + registered("special_1", "special_2", kind=Special)
    start("plain", "special_1")

    assert LoadBalancedRegistry.get_least_loaded(Special) == "special_2"
    assert LoadBalancedRegistry.get_least_loaded(Plain) == "special_2"
    assert LoadBalancedRegistry.get_least_loaded(Worker) is None
    del agents


def test_the_dead_are_never_the_least_loaded() -> None:
    agents = registered("ann", "bob")
    start("bob")

    del agents[0]

    assert LoadBalancedRegistry.get_least_loaded() == "bob"


# -- pickers ------------------------------------------------------------------


def picks(picker: Picker, *names: str, times: int = 1, **tables: Any) -> list[str | None]:
    return [picker.pick(Snapshot(names, **tables)) for _ in range(times)]


def test_round_robin_goes_round() -> None:
    assert picks(RoundRobin(), "ann", "bob", "cyd", times=5) == ["ann", "bob", "cyd", "ann", "bob"]


def test_round_robin_goes_on_behind_the_last_one_whoever_comes_and_goes() -> None:
    turns = RoundRobin()
    picks(turns, "ann", "bob", "cyd", "dan", times=2)

    without_the_first = picks(turns, "bob", "cyd", "dan")
    without_the_last_picked = picks(turns, "bob", "dan", "eve")
    with_another = picks(turns, "bob", "dan", "eve", "fay", times=3)
    alone = picks(turns, "zoe", times=2)

    assert without_the_first + without_the_last_picked == ["cyd", "dan"]
    assert with_another == ["eve", "fay", "bob"]
    assert alone == ["zoe", "zoe"]


@pytest.mark.parametrize("kind", [Random, PowerOfTwo])
def test_the_same_seed_gives_the_same_choices(kind: type[Random | PowerOfTwo]) -> None:
    names = ["ann", "bob", "cyd", "dan"]

    first, second = (picks(kind(seed=7), *names, times=50) for _ in range(2))

    assert first == second
    assert set(first) == set(names)


def test_the_less_busy_of_two_is_never_the_busiest() -> None:
    names = ["ann", "bob", "cyd"]

    chosen = picks(PowerOfTwo(seed=1), *names, times=100, active={"ann": 9, "bob": 1})

    assert set(chosen) == {"bob", "cyd"}
    assert picks(PowerOfTwo(), "ann", active={"ann": 9}) == ["ann"]


def test_the_best_match_has_most_words_in_common_with_the_text() -> None:
    tables: dict[str, Any] = {
        "capabilities": {"ann": ("content_creation",), "bob": ("Code review", "cooking"), "cyd": ("code",)}
    }

    assert picks(BestMatch("please, review this code."), "ann", "bob", "cyd", **tables) == ["bob"]
    assert picks(BestMatch("content creation"), "bob", "ann", **tables) == ["ann"]
    assert picks(BestMatch("Code"), "ann", "bob", "cyd", **tables) == ["cyd"]


def test_equal_matches_go_to_the_less_busy_then_to_the_first_registered() -> None:
    same = {"ann": ("code",), "bob": ("code",), "cyd": ("code",)}

    assert picks(BestMatch("code"), "ann", "bob", "cyd", capabilities=same, active={"ann": 1}) == ["bob"]
    assert picks(BestMatch("code"), "ann", "bob", capabilities=same) == ["ann"]
    assert picks(BestMatch("cooking"), "ann", "bob", capabilities=same, active={"ann": 1}) == ["bob"]


def test_a_picker_is_given_live_agents_with_their_tasks_and_capabilities() -> None:
    ann, bob = Worker("ann", capabilities=["code"]), Worker("bob", capabilities=["cooking"])
    cyd = Worker("cyd", capabilities=["code review"])
    given: list[Snapshot] = []

    class Watching:
        def pick(self, snapshot: Snapshot) -> str | None:
            given.append(snapshot)
            return None

    start("bob", "bob", "ann")
    LoadBalancedRegistry.end_task("ann")
    del cyd
    chosen = LoadBalancedRegistry.pick(Watching())

    assert chosen is None
    assert given[0].names == ("ann", "bob")
    assert dict(given[0].active) == {"bob": 2}
    assert dict(given[0].invocations) == {"ann": 1, "bob": 2}
    assert dict(given[0].capabilities) == {"ann": ("code",), "bob": ("cooking",)}
    del ann, bob


def test_a_snapshot_stays_as_it_was() -> None:
    agents = registered("ann")
    given: list[Snapshot] = []

    class Watching:
        def pick(self, snapshot: Snapshot) -> str | None:
            given.append(snapshot)
            assert len(snapshot.invocations) == 0
            return "ann"

    LoadBalancedRegistry.pick(Watching())
    start("ann")
    agents += registered("bob")

    assert given[0].names == ("ann",)
    assert given[0].load("ann") == 0
    assert dict(given[0].invocations) == {}
    with pytest.raises(TypeError):
        given[0].active["ann"] = 1  # type: ignore[index]


def test_pickers_choose_among_agents_of_one_kind() -> None:
    agents = registered("plain", "more") + registered("special", kind=Special)

    assert LoadBalancedRegistry.pick(RoundRobin(), "m") == "more"
    assert LoadBalancedRegistry.pick(Random(), Special) == "special"
    assert LoadBalancedRegistry.pick(LeastLoaded(), "nobody") is None
    del agents


def test_the_best_match_goes_by_declared_capabilities_where_the_class_knows_any() -> None:
    agents = [*registered("ann", "bob"), Worker("cyd", capabilities=["cooking"])]
    MyRegistry.register_capability("bob", "code review")
    MyRegistry.unregister_capability("cyd", "cooking")
    start("ann")

    assert MyRegistry.pick(BestMatch("code")) == "bob"
    assert LoadBalancedRegistry.pick(BestMatch("code")) == "bob"
    assert MyRegistry.pick(BestMatch("cooking")) == "bob"
    assert LoadBalancedRegistry.pick(BestMatch("cooking")) == "cyd"
    del agents


def test_every_class_with_the_mixin_sees_the_same_counts() -> None:
    agents = registered("ann", "bob")

    MyRegistry.start_task("ann")

    assert LoadBalancedRegistry.get_least_loaded() == "bob"
    assert MyRegistry.find_by_capability("anything") == []
    del agents


def test_an_agent_that_dies_in_the_pickers_hands_is_not_given_out() -> None:
    agents = {"ann": registered("ann")[0], "bob": registered("bob")[0]}

    class Deadly:
        def pick(self, snapshot: Snapshot) -> str | None:
            agents.pop("ann", None)
            return snapshot.names[0]

    assert LoadBalancedRegistry.pick(Deadly()) == "bob"


def test_a_picker_that_makes_up_a_name_is_told_so() -> None:
    agents = registered("ann")

    class Inventive:
        def pick(self, snapshot: Snapshot) -> str | None:
            return "somebody else"

    with pytest.raises(LookupError, match="picked 'somebody else'"):
        LoadBalancedRegistry.pick(Inventive())
    del agents


def test_a_picker_may_use_the_registry() -> None:
    agents = registered("ann", "bob")

    class Counting:
        def pick(self, snapshot: Snapshot) -> str | None:
            start("ann")
            return LoadBalancedRegistry.get_least_loaded()

    assert LoadBalancedRegistry.pick(Counting()) == "bob"
    del agents


# -- threads, finalizers, processes, growth -----------------------------------


def run_together(*works: Callable[[], None]) -> None:
    """Run each in a thread of its own, all beginning at once; an error in one is an error here."""
    barrier, errors = threading.Barrier(len(works)), []

    def begin(work: Callable[[], None]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_after_a_storm_of_threads_every_task_has_been_counted_once() -> None:
    agents = registered("ann", "bob", "cyd")
    turns, chosen = RoundRobin(), Counter[str]()

    def work(thread: int) -> None:
        mine = Counter[str]()
        for number in range(300):
            name = LoadBalancedRegistry.pick(turns, Plain)
            assert name
            mine[name] += 1
            start(name)
            with LoadBalancedRegistry.track("ann"):
                guest = Worker(f"guest-{thread}-{number}")
                start(guest.name)
                del guest
            if number % 3:
                LoadBalancedRegistry.end_task(name)
        every.append(mine)

    every: list[Counter[str]] = []
    run_together(*[lambda thread=thread: work(thread) for thread in range(8)])

    for mine in every:
        chosen += mine
    statistics = LoadBalancedRegistry.get_statistics()
    assert chosen == {"ann": 800, "bob": 800, "cyd": 800}
    assert statistics["total_invocations"] == 8 * 900
    assert statistics["invocation_counts"] == {"ann": 3200, "bob": 800, "cyd": 800}
    assert sum(statistics["active_tasks"].values()) == 8 * 100
    del agents


class Knot:
    """An agent in a reference cycle that counts as it is collected."""

    def __init__(self, name: str) -> None:
        self.knot = self
        self.name = name
        AgentRegistry.register(self, name)
        start(name)

    def __del__(self) -> None:
        start("late")
        LoadBalancedRegistry.end_task(self.name)
        LoadBalancedRegistry.get_least_loaded()
        LoadBalancedRegistry.get_statistics()
        AgentRegistry.unregister_instance(self)


def test_finalizers_may_use_it_in_the_middle_of_any_operation() -> None:
    def work(thread: int) -> None:
        for number in range(50):
            Knot(f"knot-{thread}-{number}")
            LoadBalancedRegistry.get_least_loaded()
            LoadBalancedRegistry.get_statistics()

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        run_together(*[lambda thread=thread: work(thread) for thread in range(4)])
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()

    expected = {"total_invocations": 400, "active_tasks": {"late": 200}, "invocation_counts": {"late": 200}}
    assert LoadBalancedRegistry.get_statistics() == expected


def test_agents_that_came_and_went_leave_no_trace() -> None:
    agents = [Worker("ann", capabilities=["code"])]
    start("ann")
    MyRegistry.pick(LeastLoaded())
    gc.collect()
    before = len(gc.get_objects())

    for number in range(3_000):
        guest = Worker(f"guest-{number}", capabilities=["code"])
        start(guest.name)
        LoadBalancedRegistry.get_least_loaded()
        del guest
    statistics = LoadBalancedRegistry.get_statistics()
    gc.collect()

    assert statistics == {"total_invocations": 3_001, "active_tasks": {"ann": 1}, "invocation_counts": {"ann": 1}}
    assert len(gc.get_objects()) - before < 300
    del agents


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.skipif(sys.gettrace() is not None, reason="a child can't wait for the lock of a tracer's other thread")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_goes_on_counting_whatever_other_threads_were_doing() -> None:
    agents = registered("ann", "bob")
    start("ann")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with LoadBalancedRegistry.track("ann"):
                LoadBalancedRegistry.get_least_loaded()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        codes = [in_child() for _ in range(20)]
    finally:
        stop.set()
        thread.join()

    assert codes == [0] * 20
    assert active() == {"ann": 1}
    del agents


def in_child() -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            threading.Timer(30, os._exit, [2]).start()
            start("bob", "child")
            code = 0 if active()["bob"] == 1 and LoadBalancedRegistry.get_least_loaded() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("module", [capabilities, load_balancing], ids=["capabilities", "load balancing"])
def test_who_fell_too_far_behind_starts_again_from_the_listing(module: ModuleType) -> None:
    """A listener that stands still, while another one hears of so much that the first is given up."""
    agents = {name: Worker(name, capabilities=["code"]) for name in ("stays", "goes")}
    MyRegistry.register_capability("ghost", "code")
    MyRegistry.start_task("stays")
    MyRegistry.start_task("goes")
    standing, go_on = threading.Event(), threading.Event()

    def stand_still(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename == module.__file__ and frame.f_code.co_name == "_hear":
            sys.settrace(None)
            standing.set()
            assert go_on.wait(60)

    def fall_behind() -> None:
        sys.settrace(stand_still)
        agents["latest"] = Worker("latest", capabilities=["code"])

    thread = threading.Thread(target=fall_behind)
    with AgentRegistry.subscribe(lambda event: None):
        thread.start()
        assert standing.wait(60)
        del agents["goes"]
        for _ in range(BACKLOG // 2 + 1):
            registered("flickering")
        go_on.set()
        thread.join(60)

    assert sorted(MyRegistry.find_by_capability("code")) == ["ghost", "latest", "stays"]
    assert active() == {"stays": 1}
    assert LoadBalancedRegistry.pick(BestMatch("code")) == "latest"
    assert LoadBalancedRegistry.get_statistics()["total_invocations"] == 2
