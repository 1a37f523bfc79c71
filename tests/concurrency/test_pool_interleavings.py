"""What one thread does with a pool is cut in by another at every line; a finalizer, at every allocation."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import agentreg
from agentreg import AgentPool, PoolExhaustedError, table
from agentreg.testing import isolated_registry
from tests.crew import Closing, turns
from tests.watchdog import run_threads

CORE = os.path.join(os.path.dirname(agentreg.__file__), "")
EXACT = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


class Scene:
    """A pool of two on loan, somebody who waits for it, and two who do things with it."""

    def __init__(self) -> None:
        self.pool = AgentPool(Closing, 2, name="pool")
        self.members = self.pool.get_all_instances()
        self.loops = {who: asyncio.new_event_loop() for who in ("one", "two", "patient")}
        self.closed = False
        self.pool.acquire_instance("one")
        self.pool.acquire_instance("shared")
        self.waiting = self.loops["patient"].create_task(self.pool.acquire_instance_async("patient", timeout=None))
        self.loops["patient"].run_until_complete(turns(1))

    @classmethod
    @contextlib.contextmanager
    def set(cls) -> Iterator[Scene]:
        """A scene with a registry of its own, and its loops closed at the end."""
        with isolated_registry():
            scene = cls()
            try:
                yield scene
            finally:
                scene.waiting.cancel()
                scene.loops["patient"].run_until_complete(turns())
                for loop in scene.loops.values():
                    loop.close()

    # -- what they do -------------------------------------------------------

    def ask(self, who: str) -> None:
        with contextlib.suppress(PoolExhaustedError):
            self.pool.acquire_instance(f"{who} asks")

    def ask_shared(self, who: str) -> None:
        with contextlib.suppress(PoolExhaustedError):
            self.pool.acquire_instance("shared")

    def ask_patiently(self, who: str) -> None:
        with contextlib.suppress(PoolExhaustedError):
            self.pool.acquire_instance(f"{who} asks", timeout=0.001)

    def give_back(self, who: str) -> None:
        self.pool.release_instance("one")

    def give_back_shared(self, who: str) -> None:
        self.pool.release_instance("shared")

    def wait_and_give_up(self, who: str) -> None:
        async def give_up() -> None:
            task = asyncio.ensure_future(self.pool.acquire_instance_async(f"{who} waits", timeout=None))
            await turns(2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.loops[who].run_until_complete(give_up())

    def wait_with_the_patient(self, who: str) -> None:
        async def give_up() -> None:
            task = asyncio.ensure_future(self.pool.acquire_instance_async("patient", timeout=None))
            await turns(2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.loops[who].run_until_complete(give_up())

    def look(self, who: str) -> None:
        statistics = self.pool.get_statistics()
        assert statistics["allocated_instances"] == len(statistics["current_allocations"])
        assert statistics["available_instances"] + statistics["allocated_instances"] <= 2

    def clean(self, who: str) -> None:
        self.closed = True
        self.loops[who].run_until_complete(self.pool.cleanup())

    # -- what must be true afterwards ---------------------------------------

    def check(self) -> None:
        loans = self.pool.allocated_instances
        assert self.pool.instance_to_branch == {loan.instance_id: branch for branch, loan in loans.items()}
        assert not self.pool.available_instances & set(self.pool.instance_to_branch)
        if self.closed:
            assert loans == {}
        else:
            assert self.pool.available_instances | set(self.pool.instance_to_branch) == {0, 1}
            assert not self.pool.available_instances or "patient" in loans
        for branch in [branch for branch in list(loans) if branch != "patient"]:
            assert self.pool.release_instance(branch)
        member = self.loops["patient"].run_until_complete(asyncio.wait_for(self.waiting, 20))
        assert self.pool.get_instance_for_branch("patient") is member
        assert (member is None) == self.closed
        self.pool.release_instance("patient")
        assert self.pool.available_instances == (set() if self.closed else {0, 1})
        statistics = self.pool.get_statistics()
        assert statistics["total_allocations"] == statistics["total_releases"]
        assert all(agent.acquire_instance("anybody") for agent in self.members)


Act = Callable[[Scene, str], None]

ACTS: list[Act] = [
    Scene.ask,
    Scene.ask_shared,
    Scene.ask_patiently,
    Scene.give_back,
    Scene.give_back_shared,
    Scene.wait_and_give_up,
    Scene.wait_with_the_patient,
    Scene.look,
    Scene.clean,
]
INTRUSIONS: list[Act] = [
    Scene.ask,
    Scene.ask_shared,
    Scene.give_back,
    Scene.give_back_shared,
    Scene.wait_and_give_up,
    Scene.wait_with_the_patient,
    Scene.clean,
]


def cut_in(act: Callable[[], object], intrude: Callable[[], object], line: int) -> bool:
    """Do *act*, and *intrude* in another thread before the *line*-th line outside the lock; whether it has so many."""
    left = line

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(CORE) else None

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        if event == "line" and not table.lock._is_owned():  # type: ignore[attr-defined]
            left -= 1
            if left == 0:
                run_threads(intrude, timeout=20)
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        act()
    finally:
        sys.settrace(before)
    return left <= 0


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("intrude", INTRUSIONS, ids=lambda act: act.__name__)
def test_whatever_another_thread_does_in_between_nobody_is_forgotten_and_nothing_is_lost(
    act: Act, intrude: Act
) -> None:
    line = 0
    reached = True
    while reached:
        line += 1
        with Scene.set() as scene:
            reached = cut_in(lambda scene=scene: act(scene, "one"), lambda scene=scene: intrude(scene, "two"), line)  # type: ignore[misc]
            scene.check()
    assert line > 1


class LastWords:
    """Garbage in a cycle that says something when the collector finds it."""

    def __init__(self, say: Callable[[], object]) -> None:
        self.say = say
        self.cycle = self

    def __del__(self) -> None:
        self.say()


@pytest.fixture
def light_collector() -> Iterator[None]:
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


WORDS: list[Act] = [Scene.ask, Scene.ask_shared, Scene.give_back, Scene.give_back_shared, Scene.look]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.usefixtures("light_collector")
@pytest.mark.parametrize("speak", WORDS, ids=lambda act: act.__name__)
def test_a_finalizer_that_runs_in_between_may_use_the_pool_too(act: Act, speak: Act) -> None:
    allocation = 0
    reached = True
    while reached:
        allocation += 1
        with Scene.set() as scene:
            reached = collected_during(
                lambda scene=scene: act(scene, "one"),  # type: ignore[misc]
                lambda scene=scene: speak(scene, "one"),  # type: ignore[misc]
                allocation,
            )
            scene.check()
    assert allocation > 1 or not EXACT


@pytest.mark.usefixtures("light_collector", "eager_collector")
def test_with_the_collector_at_every_allocation_finalizers_give_back_in_every_thread() -> None:
    pool = AgentPool(Closing, 3, name="pool")
    rounds = 100 if EXACT else 5  # without the lock of the interpreter, a collection stops every thread

    class Forgetful:
        """Holds a member, and gives it back only when it is collected."""

        def __init__(self, branch: str) -> None:
            self.branch = branch
            self.cycle = self
            self.member = None
            while self.member is None:
                with contextlib.suppress(PoolExhaustedError):
                    self.member = pool.acquire_instance(branch, timeout=0.01)
                gc.collect()  # it does nothing while another thread is at it

        def __del__(self) -> None:
            pool.release_instance(self.branch)
            pool.get_statistics()
            with contextlib.suppress(PoolExhaustedError), pool.borrow(f"{self.branch} again"):
                pass

    def forget(thread: int) -> None:
        for number in range(rounds):
            Forgetful(f"{thread}.{number}")
            gc.collect()

    run_threads(*(lambda thread=thread: forget(thread) for thread in range(4)))
    gc.collect()

    statistics = pool.get_statistics()
    assert pool.available_instances == {0, 1, 2}
    assert statistics["total_allocations"] == statistics["total_releases"] >= 4 * rounds
