"""Two threads, one preemption: where one holds no lock, another cuts in."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest

import agentreg
from agentreg import AgentRegistry, NameTakenError, subscription, table
from agentreg.testing import isolated_registry
from tests.mirror import Mirror
from tests.watchdog import run_threads

CORE = os.path.join(os.path.dirname(agentreg.__file__), "")


class Probe:
    """A small agent."""


class Pool:
    """A pool of one."""

    num_instances = 1

    def __init__(self, base_name: str) -> None:
        self.base_name = base_name
        self.instances = [Probe()]

    def get_available_count(self) -> int:
        return 1


class Scene:
    """A registry with something of everything; each actor has things of its own, and both share some."""

    def __init__(self, listeners: int, closing: int) -> None:
        self.mirrors = [Mirror() for _ in range(listeners)]
        self.closing = [Mirror() for _ in range(closing)]
        self.closed: list[Mirror] = []
        self.agents = {f"{actor} {what}": Probe() for actor in ("one", "two") for what in ("new", "old", "dying")}
        self.pools = {
            f"{actor} {what}": Pool(f"{actor} {what} pool") for actor in ("one", "two") for what in ("new", "old")
        }
        self.shared = Probe()
        AgentRegistry.register(self.shared, "shared")
        for actor in ("one", "two"):
            AgentRegistry.register(self.agents[f"{actor} old"], f"{actor} old")
            AgentRegistry.register(self.agents[f"{actor} dying"], f"{actor} dying")
            AgentRegistry.register_pool(self.pools[f"{actor} old"])

    def register(self, actor: str) -> None:
        AgentRegistry.register(self.agents[f"{actor} new"], f"{actor} new")

    def number(self, actor: str) -> None:
        AgentRegistry.register(self.agents[f"{actor} new"])

    def contend(self, actor: str) -> None:
        with contextlib.suppress(NameTakenError):
            AgentRegistry.register(self.agents[f"{actor} new"], "contended")

    def leave(self, actor: str) -> None:
        AgentRegistry.unregister_if_same(f"{actor} old", self.agents[f"{actor} old"])

    def expel(self, actor: str) -> None:
        AgentRegistry.unregister("shared")

    def pop(self, actor: str) -> None:
        AgentRegistry._agents.pop("shared", None)

    def die(self, actor: str) -> None:
        del self.agents[f"{actor} dying"]
        AgentRegistry.names()

    def pool(self, actor: str) -> None:
        AgentRegistry.register_pool(self.pools[f"{actor} new"])

    def expel_pool(self, actor: str) -> None:
        AgentRegistry.unregister(f"{actor} old pool")

    def clear(self, actor: str) -> None:
        AgentRegistry.clear()

    def listen(self, actor: str) -> None:
        self.mirrors.append(Mirror())

    def listen_shortly(self, actor: str) -> None:
        mirror = Mirror()
        AgentRegistry.names()
        mirror.subscription.close()
        self.closed.append(mirror)

    def unlisten(self, actor: str) -> None:
        if self.closing:
            mirror = self.closing.pop()
            mirror.subscription.close()
            self.closed.append(mirror)

    def read(self, actor: str) -> None:
        assert len(AgentRegistry.all()) <= AgentRegistry.revision

    def check(self) -> None:
        for mirror in self.mirrors:
            mirror.check()
        for mirror in (*self.mirrors, *self.closing, *self.closed):
            assert mirror.faults == []
            assert mirror.resyncs == 0
            mirror.subscription.close()
        assert len(table.now.table.log) == 0
        agents = AgentRegistry.all()
        AgentRegistry.clear()
        for name, agent in agents.items():
            assert AgentRegistry.register(agent, name) == name
        assert AgentRegistry.all() == agents


ACTS = [
    Scene.register,
    Scene.number,
    Scene.contend,
    Scene.leave,
    Scene.expel,
    Scene.pop,
    Scene.die,
    Scene.pool,
    Scene.expel_pool,
    Scene.clear,
    Scene.listen,
    Scene.listen_shortly,
    Scene.unlisten,
    Scene.read,
]
INTRUSIONS = [act for act in ACTS if act not in (Scene.number, Scene.pop, Scene.expel_pool, Scene.read)]


def cut_in(act: Callable[[], object], intrude: Callable[[], object], place: int) -> bool:
    """Do *act*, and *intrude* in another thread at its *place*-th place; whether it has so many.

    A place is a line of the core where no lock is held; what is gone through often counts twice.
    """
    left = place
    passed: Counter[tuple[CodeType, int]] = Counter()

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(CORE) else None

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        if event == "line" and not table.lock._is_owned():  # type: ignore[attr-defined]
            where = (frame.f_code, frame.f_lineno)
            passed[where] += 1
            if passed[where] <= 2:
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


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    # who cuts in can't wait for a listener that the other one is telling
    monkeypatch.setattr(subscription, "PATIENCE", 0.0)
    caplog.set_level(logging.CRITICAL, "agentreg")


@pytest.mark.parametrize(("listeners", "closing"), [(0, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_what_another_thread_does_in_between_is_seen_whole_or_not_at_all(
    act: Callable[[Scene, str], None], listeners: int, closing: int
) -> None:
    # with one listener that may close, what is new is that the last one closes
    for intrude in [Scene.unlisten] if closing > listeners else INTRUSIONS:
        place = 0
        reached = True
        while reached:
            place += 1
            with isolated_registry():
                scene = Scene(listeners, closing)
                reached = cut_in(lambda: act(scene, "one"), lambda: intrude(scene, "two"), place)
                scene.check()
        assert place > 1 or (act is Scene.unlisten and not closing)


@pytest.mark.parametrize("intrude", [Scene.register, Scene.leave, Scene.die, Scene.clear], ids=lambda act: act.__name__)
def test_isolating_in_between_loses_nothing(intrude: Callable[[Scene, str], None]) -> None:
    place = 0
    reached = True
    while reached:
        place += 1
        with isolated_registry():
            scene = Scene(1, 1)

            def act() -> None:
                with isolated_registry():
                    AgentRegistry.register(scene.agents["one new"], "one new")
                AgentRegistry.register(scene.agents["one new"], "one new")

            reached = cut_in(act, lambda: intrude(scene, "two"), place)
            scene.check()


def test_a_farewell_into_which_a_successor_cuts_does_not_remove_it() -> None:
    place = 0
    reached = True
    while reached:
        place += 1
        with isolated_registry():
            old, new = Probe(), Probe()
            AgentRegistry.register(old, "throne")
            reached = cut_in(
                lambda: AgentRegistry.unregister_if_same("throne", old),
                lambda: AgentRegistry._agents.__setitem__("throne", new),
                place,
            )
            assert not reached or AgentRegistry.get("throne") is new


def test_an_agent_that_dies_in_between_is_never_returned_dead() -> None:
    place = 0
    reached = True
    while reached:
        place += 1
        with isolated_registry():
            agents = {"probe": Probe()}
            ghost = weakref.ref(agents["probe"])
            AgentRegistry.register(agents["probe"], "probe")
            found: list[Any] = []
            reached = cut_in(
                lambda: found.extend([AgentRegistry.get("probe"), AgentRegistry.all()]), agents.clear, place
            )
            assert found[0] in (None, ghost())
            assert None not in found[1].values()
