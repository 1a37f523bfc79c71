"""Forking in the middle of what other threads do: the child's registry works."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agentreg import AgentRegistry, BaseAgent, subscription
from agentreg.testing import isolated_registry
from tests.mirror import Mirror
from tests.watchdog import run_in_fork, run_python, run_threads

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system can't fork"),
    # that is what is tried here
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
]


# forking with threads under way is what is tried here
QUIET = ("-W", "ignore:This process:DeprecationWarning")


class Probe:
    """A small agent."""


class Worker(BaseAgent):
    """An agent of ours."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class Pool:
    """A small pool."""

    num_instances = 2

    def __init__(self, base_name: str) -> None:
        self.base_name = base_name
        self.instances = [Probe(), Probe()]

    def get_available_count(self) -> int:
        return 2


def use_everything() -> None:
    """What a child does with its registry: everything, with a listener that misses nothing."""
    mirror = Mirror()
    agent, pool = Probe(), Pool("child's pool")
    AgentRegistry.register(agent, "child's agent")
    AgentRegistry.register_pool(pool)
    assert AgentRegistry.get("child's agent") is agent
    assert AgentRegistry.all()["child's pool_1"] is pool.instances[1]
    mirror.check()
    AgentRegistry.unregister("child's pool")
    assert AgentRegistry.unregister_if_same("child's agent", agent)
    with isolated_registry():
        AgentRegistry.register(agent)
        assert AgentRegistry.names() == ["BaseAgent-1"]
    AgentRegistry.extension_state("child's state", list)
    mirror.check()
    AgentRegistry.clear()
    mirror.check()
    assert AgentRegistry.names() == []
    worker = Worker("worker")
    assert worker.acquire_instance("branch")
    assert worker.release_instance("branch")


@contextmanager
def storm(work: Callable[[], object], threads: int = 4) -> Iterator[None]:
    """Other threads repeat *work* while the block lasts."""
    over = threading.Event()
    under_way = threading.Barrier(threads + 1)

    def repeat() -> None:
        work()
        under_way.wait(30)
        while not over.is_set():
            work()

    running = [threading.Thread(target=repeat, daemon=True) for _ in range(threads)]
    tracer = threading.gettrace()
    threading.settrace(None)  # what measures coverage has a lock that a child would find taken
    for thread in running:
        thread.start()
    threading.settrace(tracer)
    try:
        under_way.wait(30)
        yield
    finally:
        over.set()
        for thread in running:
            thread.join(30)
    assert not any(thread.is_alive() for thread in running)


def test_a_child_has_the_registry_of_its_parent() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "parent's agent")
    mirror = Mirror()

    def child() -> None:
        assert AgentRegistry.get("parent's agent") is agent
        assert AgentRegistry.names() == ["parent's agent"]
        mirror.check()
        use_everything()

    run_in_fork(child)

    assert AgentRegistry.all() == {"parent's agent": agent}
    mirror.check()


def test_a_get_taken_before_the_fork_stays_right_in_the_child() -> None:
    get = AgentRegistry.get
    agent = Probe()
    AgentRegistry.register(agent, "agent")

    def child() -> None:
        assert get("agent") is agent
        AgentRegistry.clear()
        assert get("agent") is None
        AgentRegistry.register(agent, "again")
        assert get("again") is agent

    run_in_fork(child)

    assert get("agent") is agent


def churn() -> None:
    agent, pool = Probe(), Pool(f"pool {threading.get_ident()}")
    AgentRegistry.unregister_if_same(AgentRegistry.register(agent), agent)
    AgentRegistry.register(Probe())
    AgentRegistry.register_pool(pool)
    AgentRegistry.all()
    AgentRegistry.unregister_pool(pool)
    AgentRegistry.extension_state(object(), list)


def test_a_child_forked_in_the_middle_of_what_other_threads_do_works(restless_threads: None) -> None:
    heard: list[Any] = []
    AgentRegistry.subscribe(heard.append)

    def child() -> None:
        use_everything()
        revision = AgentRegistry.revision
        assert heard[-1].revision == revision

    with storm(churn):
        for _ in range(15):
            run_in_fork(child)

    assert [event.revision for event in heard] == list(range(1, AgentRegistry.revision + 1))


def test_a_child_forked_while_other_threads_subscribe_isolate_and_lend_works(restless_threads: None) -> None:
    worker = Worker("lent")

    def work() -> None:
        AgentRegistry.subscribe(lambda event: None).close()
        branch = f"branch {threading.get_ident()}"
        worker.acquire_instance(branch)
        worker.release_instance(branch)
        with isolated_registry():
            AgentRegistry.register(worker)

    with storm(work):
        for _ in range(15):
            run_in_fork(use_everything)


def test_a_child_forked_while_another_thread_is_inside_a_listener_tells_that_listener() -> None:
    inside, go_on = threading.Event(), threading.Event()
    heard: list[str] = []

    def slow(event: Any) -> None:
        heard.append(event.name)
        if event.name == "parent's":
            inside.set()
            go_on.wait(30)

    AgentRegistry.subscribe(slow)
    agents = [Probe(), Probe()]

    def child() -> None:
        go_on.set()
        AgentRegistry.register(agents[1], "child's")
        assert heard[-1] == "child's"
        use_everything()

    def fork() -> None:
        inside.wait(30)
        try:
            run_in_fork(child)
        finally:
            go_on.set()

    run_threads(lambda: AgentRegistry.register(agents[0], "parent's"), fork)

    assert heard == ["parent's"]


def test_a_child_forked_while_a_listener_is_overdue_has_patience_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.01)
    inside, go_on = threading.Event(), threading.Event()
    heard: list[str] = []

    def slow(event: Any) -> None:
        heard.append(event.name)
        if event.name == "parent's":
            inside.set()
            go_on.wait(30)

    AgentRegistry.subscribe(slow)
    agents = [Probe() for _ in range(3)]

    def child() -> None:
        go_on.set()
        AgentRegistry.register(agents[2], "child's")
        assert heard[-2:] == ["overdue", "child's"]

    def fork() -> None:
        inside.wait(30)
        try:
            AgentRegistry.register(agents[1], "overdue")
            assert heard == ["parent's"]
            run_in_fork(child)
        finally:
            go_on.set()

    run_threads(lambda: AgentRegistry.register(agents[0], "parent's"), fork)

    assert heard == ["parent's", "overdue"]


def test_a_child_forked_inside_a_listener_goes_on_there() -> None:
    heard: list[str] = []
    agents = [Probe(), Probe()]

    def child() -> None:
        AgentRegistry.register(agents[1], "child's")
        assert AgentRegistry.names() == ["parent's", "child's"]

    def forking(event: Any) -> None:
        heard.append(event.name)
        if event.name == "parent's":
            run_in_fork(child)

    AgentRegistry.subscribe(forking)

    AgentRegistry.register(agents[0], "parent's")

    assert heard == ["parent's"]


def test_a_child_forked_while_another_thread_makes_the_state_of_an_extension_works() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def make() -> list[str]:
        inside.set()
        go_on.wait(30)
        return ["parent's"]

    def child() -> None:
        assert AgentRegistry.extension_state("other", lambda: ["child's"]) == ["child's"]
        assert AgentRegistry.extension_state("state", lambda: ["child's"]) == ["child's"]

    def fork() -> None:
        inside.wait(30)
        try:
            run_in_fork(child)
        finally:
            go_on.set()

    made, _ = run_threads(lambda: AgentRegistry.extension_state("state", make), fork)

    assert made == ["parent's"]


PREPARATION = """
import faulthandler, gc, os, sys, threading
faulthandler.dump_traceback_later(40, exit=True)
threading.settrace(None)
from agentreg import AgentPool, AgentRegistry, BaseAgent

class Probe: ...

class Worker(BaseAgent):
    async def run(self, prompt, **kwargs): ...

def fork():
    child = os.fork()
    if child == 0:
        AgentRegistry.register(probe := Probe(), "child's")
        with pool.borrow("child's"):
            os._exit(AgentRegistry.get("child's") is not probe)
    assert os.waitpid(child, 0)[1] == 0

pool = AgentPool(Worker, 8, name="pool")
AgentRegistry.register_pool(pool)
"""


def test_forking_while_finalizers_use_pool_and_registry_inside_either_does_not_hang() -> None:
    # the finalizer runs wherever the collector comes by: inside the one as well as inside the other
    code = """
class Farewell:
    def __init__(self):
        self.cycle = self
    def __del__(self):
        AgentRegistry.unregister_if_same(AgentRegistry.register(probe := Probe()), probe)
        if pool.get_available_count() > 4:
            with pool.borrow(f"finalizer {id(self)}"):
                pass

def work():
    branch = f"branch {threading.get_ident()}"
    while not over:
        Farewell()
        pool.acquire_instance(branch)
        pool.release_instance(branch)
        AgentRegistry.unregister_if_same(AgentRegistry.register(probe := Probe()), probe)

over = False
gc.set_threshold(1)
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(40):
    fork()
over = True
for thread in threads:
    thread.join()
"""
    outcome = run_python(PREPARATION + code, *QUIET)

    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_forking_while_a_finalizer_inside_a_pool_unregisters_does_not_hang() -> None:
    # the finalizer waits until whoever forks has the registry's lock, if that is another one than the pool's
    code = """
from agentreg import lending, table

class Farewell:
    def __init__(self):
        self.cycle = self
    def __del__(self):
        if lending.lock._is_owned():
            inside.set()
            for _ in range(300_000):
                if not table.lock.acquire(blocking=False):
                    break
                table.lock.release()
            AgentRegistry.unregister_if_same("probe", probe)

def borrow():
    for allocation in range(1, 80):
        gc.disable()
        gc.collect()
        Farewell()
        gc.set_threshold(gc.get_count()[0] + allocation, 10, 10)
        gc.enable()
        with pool.borrow("branch"):
            gc.set_threshold(700, 10, 10)
        if inside.is_set():
            break
    inside.set()

inside = threading.Event()
AgentRegistry.register(probe := Probe(), "probe")
thread = threading.Thread(target=borrow, daemon=True)
thread.start()
inside.wait()
fork()
thread.join()
"""
    outcome = run_python(PREPARATION + code, *QUIET)

    assert (outcome.returncode, outcome.stderr) == (0, "")
