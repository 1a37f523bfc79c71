"""Health: who answers, for how long it counts, and what a question may cost."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta, timezone
from typing import Any, TypeVar
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest

from agentreg import Agent, AgentPool, AgentRegistry, BaseAgent, RegistryEvent, Resync, Subscription
from agentreg.extensions.health import HealthMixin, HealthMonitor, HealthStatus
from agentreg.testing import isolated_registry

T = TypeVar("T")

HANGS = 60.0  # seconds after which whatever is waited for counts as hanging
SOON = 0.01  # seconds for who never answers


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    with isolated_registry():
        yield


def finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of *work* in a fresh event loop; hanging is a failure."""

    async def guarded() -> T:
        return await asyncio.wait_for(work, HANGS)

    return asyncio.run(guarded())


def check(name: str, **options: Any) -> bool:
    return finish(HealthMonitor.check_agent_health(name, **options))


def status_of(name: str) -> HealthStatus:
    status = HealthMonitor.get_status(name)
    assert status is not None
    return status


class Running(BaseAgent):
    """Has no ping; remembers what it was asked."""

    asked: tuple[Any, ...] = ()

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        self.asked += ((prompt, kwargs),)
        return False


class Pinged(Running):
    """Answers what `answer` gives, or raises it."""

    answer: Any = None

    async def ping(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Silent(BaseAgent):
    """Answers once its gate is open; the gate belongs to the loop that it is asked in."""

    gate: asyncio.Event
    started = 0
    cancelled = 0

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        self.started += 1
        self.gate = asyncio.Event()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Stubborn(Silent):
    """Does not let itself be cancelled."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        self.started += 1
        self.gate = asyncio.Event()
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1


class Blocking:
    """A plain ping that blocks its thread until the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = 0
        self.threads: list[threading.Thread] = []

    def ping(self) -> None:
        self.started += 1
        self.threads.append(threading.current_thread())
        assert self.gate.wait(HANGS)

    def release(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join(HANGS)


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    agent = Blocking()
    AgentRegistry.register(agent, "blocking")
    yield agent
    agent.release()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# -- asking -----------------------------------------------------------------


def test_an_agent_without_a_ping_is_asked_to_run_ping() -> None:
    agent = Running("runner")

    assert check("runner") is True

    assert agent.asked == (("ping", {}),)


def test_an_agent_with_a_ping_is_not_asked_to_run() -> None:
    agent = Pinged("pinged")

    assert check("pinged") is True

    assert agent.asked == ()


def test_a_ping_that_is_no_method_is_not_called() -> None:
    agent = Running("runner")
    agent.ping = "192.0.2.1"  # type: ignore[attr-defined]

    assert check("runner") is True

    assert agent.asked


@pytest.mark.parametrize("answer", [None, 0, "", "pong", True])
def test_whatever_a_ping_returns_is_an_answer(answer: Any) -> None:
    agent = Pinged("pinged")
    agent.answer = answer

    assert check("pinged") is True


def test_a_ping_that_returns_false_is_a_failure() -> None:
    agent = Pinged("pinged")
    agent.answer = False

    assert check("pinged") is False

    assert status_of("pinged").error == "ping() returned False"


def test_a_plain_ping_that_returns_false_is_a_failure() -> None:
    class Plain:
        def ping(self) -> bool:
            return False

    agent = Plain()
    AgentRegistry.register(agent, "plain")

    assert check("plain") is False


def test_a_run_may_return_false_plain_or_not() -> None:
    class Plain:
        def run(self, prompt: str) -> bool:
            return False

    agents = Plain(), Running("runner")
    AgentRegistry.register(agents[0], "plain")

    assert check("plain") is True
    assert check("runner") is True


def test_a_plain_function_that_gives_something_to_await_is_awaited() -> None:
    class Mixed:
        def ping(self) -> Coroutine[Any, Any, bool]:
            return self._later()

        async def _later(self) -> bool:
            return False

    agent = Mixed()
    AgentRegistry.register(agent, "mixed")

    assert check("mixed") is False


def test_a_callable_object_with_an_async_call_is_awaited_in_the_loop() -> None:
    class Ping:
        async def __call__(self) -> bool:
            return threading.current_thread() is not threading.main_thread()

    class Odd:
        ping = Ping()

    agent = Odd()
    AgentRegistry.register(agent, "odd")

    assert check("odd") is False


@pytest.mark.parametrize("kind", [Mock, MagicMock, AsyncMock])
def test_a_mock_can_be_checked(kind: type[Any]) -> None:
    agent = kind()
    AgentRegistry.register(agent, "mock")

    assert check("mock") is True

    agent.ping.assert_called_once_with()


def test_nobody_is_unhealthy_and_leaves_no_status() -> None:
    assert check("nobody") is False

    assert HealthMonitor.get_status("nobody") is None


def test_a_pool_is_asked_by_its_members_names() -> None:
    pool = AgentPool(Running, 2, name="crew")
    AgentRegistry.register_pool(pool)

    assert check("crew") is False
    assert check("crew_1") is True


def test_what_an_agent_raises_is_kept_as_text() -> None:
    agent = Pinged("pinged")
    agent.answer = OSError("the line is dead")

    assert check("pinged") is False

    assert status_of("pinged").error == "the line is dead"


def test_an_error_without_text_is_called_by_its_name() -> None:
    agent = Pinged("pinged")
    agent.answer = ConnectionResetError()

    check("pinged")

    assert status_of("pinged").error == "ConnectionResetError"


def test_an_error_whose_text_can_not_be_had_is_called_by_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    agent = Pinged("pinged")
    agent.answer = Mute()

    check("pinged")

    assert status_of("pinged").error == "Mute"


def test_a_long_error_is_shortened() -> None:
    agent = Pinged("pinged")
    agent.answer = ValueError("x" * 100_000)

    check("pinged")

    assert len(status_of("pinged").error or "") == 500


@pytest.mark.parametrize("error", [StopIteration("s"), SystemExit("s"), asyncio.CancelledError("s"), ValueError("s")])
def test_whatever_a_plain_ping_raises_is_a_failure(error: BaseException) -> None:
    class Plain:
        def ping(self) -> None:
            raise error

    agent = Plain()
    AgentRegistry.register(agent, "plain")

    assert check("plain") is False

    assert status_of("plain").error == "s"


def test_an_agent_without_anything_to_call_is_unhealthy() -> None:
    class Stone: ...

    stone = Stone()
    AgentRegistry.register(stone, "stone")

    assert check("stone") is False

    assert "run" in (status_of("stone").error or "")


def test_a_ping_that_cancels_itself_is_a_failure_and_not_a_cancellation() -> None:
    agent = Pinged("pinged")
    agent.answer = asyncio.CancelledError()

    assert check("pinged") is False


def test_keyboard_interrupt_in_a_ping_comes_out() -> None:
    agent = Pinged("pinged")
    agent.answer = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(HealthMonitor.check_agent_health("pinged"))


def test_a_plain_ping_sees_the_context_of_the_check() -> None:
    from contextvars import ContextVar

    request: ContextVar[str] = ContextVar("request", default="none")

    class Plain:
        def ping(self) -> bool:
            return request.get() == "seven"

    agent = Plain()
    AgentRegistry.register(agent, "plain")

    async def main() -> bool:
        request.set("seven")
        return await HealthMonitor.check_agent_health("plain")

    assert finish(main()) is True


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_time_out_below_zero_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout: expected None or seconds from 0 up"):
        check("nobody", timeout=timeout)


# -- time -------------------------------------------------------------------


def test_an_agent_that_does_not_answer_in_time_is_unhealthy() -> None:
    agent = Silent("silent")

    assert check("silent", timeout=SOON) is False

    assert status_of("silent").error == "no answer within 0.01 s"
    assert agent.cancelled == 1


def test_without_a_time_out_an_answer_is_waited_for() -> None:
    agent = Silent("silent")

    async def main() -> bool:
        asking = asyncio.ensure_future(HealthMonitor.check_agent_health("silent", timeout=None))
        while not agent.started:
            await asyncio.sleep(0)
        agent.gate.set()
        return await asking

    assert finish(main()) is True


def test_an_agent_that_ignores_being_cancelled_does_not_outlast_the_time_out() -> None:
    agent = Stubborn("stubborn")

    async def main() -> None:
        assert await HealthMonitor.check_agent_health("stubborn", timeout=SOON) is False
        assert not agent.gate.is_set()
        agent.gate.set()

    finish(main())

    assert agent.cancelled == 1


def test_an_agent_that_ignores_being_cancelled_is_not_asked_again_before_it_is_through() -> None:
    agent = Stubborn("stubborn")

    async def main() -> None:
        for _ in range(3):
            assert await HealthMonitor.check_agent_health("stubborn", timeout=SOON) is False
        assert agent.started == 1
        agent.gate.set()
        await HealthMonitor.check_agent_health("stubborn", timeout=SOON)
        assert agent.started == 2
        agent.gate.set()

    finish(main())

    assert "earlier" not in (status_of("stubborn").error or "")


def test_an_agent_that_is_slow_to_stop_is_cancelled_only_once() -> None:
    closed = []

    class Tidy(Silent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            try:
                await super().run(prompt)
            finally:
                for _ in range(20):
                    await asyncio.sleep(0)
                closed.append("tidily")

    agent = Tidy("tidy")

    async def main() -> None:
        await HealthMonitor.check_agent_health("tidy", timeout=SOON)
        await HealthMonitor.check_agent_health("tidy", timeout=SOON)
        while len(closed) < 2:
            await asyncio.sleep(0)

    finish(main())

    assert closed == ["tidily", "tidily"]
    assert agent.started == 2


def test_a_blocking_ping_does_not_block_the_event_loop(blocking: Blocking) -> None:
    async def main() -> bool:
        asking = asyncio.ensure_future(HealthMonitor.check_agent_health("blocking", timeout=None))
        while not blocking.started:
            await asyncio.sleep(0)
        blocking.gate.set()
        return await asking

    assert finish(main()) is True


def test_a_blocking_ping_is_given_up_in_time_and_does_not_keep_the_loop_from_ending(blocking: Blocking) -> None:
    assert check("blocking", timeout=SOON) is False

    assert not blocking.gate.is_set()


def test_a_ping_that_hangs_costs_one_thread_however_often_it_is_checked(blocking: Blocking) -> None:
    for _ in range(5):
        assert check("blocking", timeout=SOON) is False

    assert blocking.started == 1
    assert status_of("blocking").consecutive_failures == 5
    assert status_of("blocking").error == "no answer within 0.01 s: an earlier question is still unanswered"


def test_an_agent_is_asked_again_once_its_late_ping_has_returned(blocking: Blocking) -> None:
    check("blocking", timeout=SOON)
    threading.Timer(SOON, blocking.gate.set).start()

    assert check("blocking", timeout=HANGS) is True

    assert blocking.started == 2


def test_a_late_answer_to_be_awaited_is_dropped_without_a_complaint(blocking: Blocking) -> None:
    class Mixed:
        def ping(self) -> Coroutine[Any, Any, None]:
            blocking.ping()
            return self._later()

        async def _later(self) -> None: ...

    agent = Mixed()
    AgentRegistry.register(agent, "mixed")

    check("mixed", timeout=SOON)  # the loop is closed then
    blocking.release()
    gc.collect()

    async def main() -> None:
        blocking.gate.clear()
        assert await HealthMonitor.check_agent_health("mixed", timeout=SOON) is False
        blocking.release()  # the loop is open
        await asyncio.sleep(0)

    finish(main())
    gc.collect()


def test_threads_for_plain_pings_are_daemons_with_a_name(blocking: Blocking) -> None:
    check("blocking", timeout=SOON)

    assert blocking.threads[0].daemon
    assert blocking.threads[0].name == "agentreg-ping"


def test_cancelling_a_check_cancels_the_question_and_counts_nothing() -> None:
    agent = Silent("silent")

    async def main() -> None:
        asking = asyncio.ensure_future(HealthMonitor.check_agent_health("silent"))
        while not agent.started:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    finish(main())

    assert agent.cancelled == 1
    assert HealthMonitor.get_status("silent") is None


# -- what is kept -----------------------------------------------------------


def test_a_status_tells_what_the_last_check_showed() -> None:
    agent = Pinged("pinged")

    class Timed(HealthMonitor):
        clock = Clock()

    async def slow() -> None:
        Timed.clock.now += 0.25

    agent.ping = slow  # type: ignore[method-assign]
    finish(Timed.check_agent_health("pinged"))

    status = status_of("pinged")
    assert (status.healthy, status.latency, status.error, status.consecutive_failures) == (True, 0.25, None, 0)
    assert status.last_check.tzinfo is timezone.utc
    assert status.last_check.utcoffset() == timedelta(0)


def test_a_failure_has_a_latency_too() -> None:
    class Timed(HealthMonitor):
        clock = Clock()

    class Broken:
        async def ping(self) -> None:
            Timed.clock.now += 3
            raise OSError("broken")

    agent = Broken()
    AgentRegistry.register(agent, "broken")
    finish(Timed.check_agent_health("broken"))

    assert status_of("broken").latency == 3


def test_a_status_can_not_be_changed() -> None:
    agent = Pinged("pinged")
    check(agent.name)

    with pytest.raises(AttributeError):
        status_of("pinged").healthy = False  # type: ignore[misc]


def test_an_agent_that_was_never_checked_has_no_status_and_is_not_offered_as_healthy() -> None:
    agent = Pinged("pinged")

    assert HealthMonitor.get_status(agent.name) is None
    assert HealthMonitor.get_healthy_agents() == []


def test_an_agent_that_never_passed_is_unhealthy_from_its_first_failure() -> None:
    agent = Pinged("pinged")
    agent.answer = ValueError()

    assert check("pinged") is False

    assert not status_of("pinged").healthy
    assert HealthMonitor.get_healthy_agents() == []


def test_a_healthy_agent_stays_so_below_the_threshold_and_not_at_it() -> None:
    agent = Pinged("pinged")
    check("pinged")
    agent.answer = ValueError()
    healthy = []

    for _ in range(HealthMonitor.failure_threshold):
        assert check("pinged") is False  # the check itself tells what it saw
        healthy.append(status_of("pinged").healthy)

    assert healthy == [True, True, False]
    assert status_of("pinged").consecutive_failures == 3
    assert HealthMonitor.get_healthy_agents() == []


def test_one_passed_check_makes_an_agent_healthy_again() -> None:
    agent = Pinged("pinged")
    agent.answer = ValueError()
    for _ in range(5):
        check("pinged")
    agent.answer = None

    check("pinged")

    assert status_of("pinged").healthy
    assert status_of("pinged").consecutive_failures == 0
    assert HealthMonitor.get_healthy_agents() == ["pinged"]


@pytest.mark.parametrize("threshold", [1, 0, -5])
def test_with_a_threshold_of_one_or_less_the_first_failure_makes_unhealthy(threshold: int) -> None:
    class Strict(HealthMonitor):
        failure_threshold = threshold

    agent = Pinged("pinged")
    check("pinged")
    assert Strict.get_healthy_agents() == ["pinged"]
    agent.answer = ValueError()

    check("pinged")

    assert Strict.get_healthy_agents() == []
    strict = Strict.get_status("pinged")
    assert strict is not None
    assert not strict.healthy
    assert HealthMonitor.get_healthy_agents() == ["pinged"]  # the same checks, seen with more patience


def test_healthy_agents_come_in_registration_order() -> None:
    agents = [Pinged(name) for name in ("c", "a", "b")]
    for agent in reversed(agents):
        check(agent.name)

    assert HealthMonitor.get_healthy_agents() == ["c", "a", "b"]


# -- leaving ----------------------------------------------------------------


def test_a_successor_of_the_same_name_starts_afresh() -> None:
    first = Pinged("pinged")
    first.answer = ValueError()
    check("pinged")
    AgentRegistry.unregister_if_same("pinged", first)

    second = Pinged("pinged")

    assert HealthMonitor.get_status(second.name) is None


def test_an_agent_that_was_collected_leaves_no_status() -> None:
    agent = Pinged("pinged")
    check("pinged")

    del agent

    assert HealthMonitor.get_status("pinged") is None
    assert HealthMonitor.get_healthy_agents() == []


@pytest.mark.parametrize(
    "leave", [lambda agent: AgentRegistry.unregister("pinged"), lambda agent: AgentRegistry.clear()]
)
def test_an_agent_that_leaves_leaves_no_status(leave: Callable[[Any], None]) -> None:
    agent = Pinged("pinged")
    check("pinged")

    leave(agent)
    AgentRegistry.register(agent, "pinged")

    assert HealthMonitor.get_status("pinged") is None


def test_an_answer_of_an_agent_that_was_replaced_meanwhile_is_not_counted() -> None:
    first = Silent("twin")

    async def main() -> bool:
        asking = asyncio.ensure_future(HealthMonitor.check_agent_health("twin"))
        while not first.started:
            await asyncio.sleep(0)
        AgentRegistry.unregister_if_same("twin", first)
        AgentRegistry.register(second, "twin")
        first.gate.set()
        return await asking

    second = Silent()

    assert finish(main()) is False
    assert HealthMonitor.get_status("twin") is None


def test_an_answer_that_comes_after_the_successor_was_checked_does_not_touch_its_status() -> None:
    first, second = Stubborn("twin"), Pinged()

    async def main() -> None:
        asking = asyncio.ensure_future(HealthMonitor.check_agent_health("twin", timeout=None))
        while not first.started:
            await asyncio.sleep(0)
        AgentRegistry.unregister("twin")
        AgentRegistry.register(second, "twin")
        assert await HealthMonitor.check_agent_health("twin") is True
        first.gate.set()
        assert await asking is False

    finish(main())

    assert status_of("twin").consecutive_failures == 0


def test_a_hanging_ping_of_the_predecessor_does_not_hold_up_the_successor(blocking: Blocking) -> None:
    check("blocking", timeout=SOON)
    AgentRegistry.unregister("blocking")
    successor = Pinged("blocking")

    assert check(successor.name) is True


def test_an_answer_that_arrives_after_the_agent_left_counts_nothing() -> None:
    agent = Silent("silent")

    async def main() -> bool:
        asking = asyncio.ensure_future(HealthMonitor.check_agent_health("silent"))
        while not agent.started:
            await asyncio.sleep(0)
        AgentRegistry.clear()
        agent.gate.set()
        return await asking

    assert finish(main()) is False
    assert HealthMonitor.get_status("silent") is None


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_checked_agent_is_collected_as_soon_as_it_is_dropped(plain: bool, fails: bool) -> None:
    class Odd:
        def ping(self) -> Any:
            if fails:
                raise ValueError(self)
            return self

    class Even:
        async def ping(self) -> Any:
            if fails:
                raise ValueError(self)
            return self

    agent = Odd() if plain else Even()
    AgentRegistry.register(agent, "agent")
    gc.disable()
    try:
        check("agent")
        seen = weakref.ref(agent)
        del agent
        assert seen() is None
    finally:
        gc.enable()


def test_a_late_ping_does_not_keep_the_agent_once_it_has_returned(blocking: Blocking) -> None:
    class Late:
        def ping(self) -> Any:
            blocking.ping()
            return self

    agent = Late()
    AgentRegistry.register(agent, "late")
    check("late", timeout=SOON)

    blocking.release()
    del agent

    assert AgentRegistry.get("late") is None


def test_names_that_are_checked_in_vain_and_agents_that_left_take_no_memory() -> None:
    import tracemalloc

    async def rounds(count: int) -> None:
        for number in range(count):
            agent = Pinged(f"agent {number}")
            await HealthMonitor.check_agent_health(agent.name)
            await HealthMonitor.check_agent_health(f"nobody {number}")

    finish(rounds(100))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        finish(rounds(3000))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 50_000


def test_a_listener_that_was_left_behind_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners: list[Callable[[RegistryEvent], object]] = []
    subscribe = AgentRegistry.subscribe

    def note(listener: Callable[[RegistryEvent], object]) -> Subscription:
        listeners.append(listener)
        return subscribe(listener)

    monkeypatch.setattr(AgentRegistry, "subscribe", note)
    agent = Pinged("pinged")
    check("pinged")

    listeners[0](Resync(AgentRegistry.revision, {agent.name: "Pinged"}, {}, {}))

    assert HealthMonitor.get_status("pinged") is None  # it may be a successor


def test_many_checked_agents_that_left_take_no_memory_and_leave_the_others_theirs() -> None:
    import tracemalloc

    class Light:
        async def ping(self) -> None: ...

    def crowd(count: int) -> list[Light]:
        agents = [Light() for _ in range(count)]
        for number, agent in enumerate(agents):
            AgentRegistry.register(agent, f"light {number}")
        return agents

    keeper = Pinged("keeper")
    check("keeper")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        agents = crowd(5000)
        finish(HealthMonitor.check_all_agents())
        assert len(HealthMonitor.get_healthy_agents()) == 5001
        agents.clear()
        assert HealthMonitor.get_healthy_agents() == [keeper.name]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 100_000


def test_an_isolated_registry_has_its_own_health() -> None:
    agent = Pinged("pinged")
    check("pinged")

    with isolated_registry():
        assert HealthMonitor.get_status("pinged") is None
        assert HealthMonitor.get_healthy_agents() == []

    assert HealthMonitor.get_healthy_agents() == [agent.name]


def test_clearing_the_registry_ends_the_listening() -> None:
    agent = Pinged("pinged")
    check("pinged")

    for _ in range(3):
        AgentRegistry.clear()
        AgentRegistry.register(agent, "pinged")
        check("pinged")

    assert HealthMonitor.get_healthy_agents() == ["pinged"]


# -- all of them ------------------------------------------------------------


def test_all_agents_are_checked_pool_members_included_in_registration_order() -> None:
    agents = [Running("b"), Pinged("a")]
    pool = AgentPool(Running, 2, name="crew")
    AgentRegistry.register_pool(pool)

    results = finish(HealthMonitor.check_all_agents())

    assert list(results.items()) == [("b", True), ("a", True), ("crew_0", True), ("crew_1", True)]
    assert HealthMonitor.get_healthy_agents() == list(results)
    assert len(agents) == 2


def test_an_empty_registry_has_nobody_to_check() -> None:
    assert finish(HealthMonitor.check_all_agents()) == {}


def test_one_that_fails_or_hangs_does_not_stop_the_others(blocking: Blocking) -> None:
    agents = [Stubborn("stubborn"), Pinged("broken"), Running("fine"), Silent("silent")]
    agents[1].answer = RuntimeError("broken")  # type: ignore[attr-defined]

    async def main() -> dict[str, bool]:
        results = await HealthMonitor.check_all_agents(timeout=SOON, max_concurrency=2)
        agents[0].gate.set()  # type: ignore[attr-defined]
        return results

    results = finish(main())

    assert results == {"blocking": False, "stubborn": False, "broken": False, "fine": True, "silent": False}
    assert HealthMonitor.get_healthy_agents() == ["fine"]


def test_at_most_so_many_are_asked_at_a_time() -> None:
    at_once: list[int] = []
    now = 0

    class Counted(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            nonlocal now
            now += 1
            at_once.append(now)
            for _ in range(3):
                await asyncio.sleep(0)
            now -= 1

    agents = [Counted() for _ in range(20)]

    results = finish(HealthMonitor.check_all_agents(max_concurrency=4))

    assert max(at_once) == 4
    assert len(results) == len(agents)
    assert all(results.values())


def test_agents_that_leave_during_a_round_are_false() -> None:
    others: list[Running] = []

    class Last(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            others.clear()

    last = Last("last")
    others.append(Running("gone"))

    assert finish(HealthMonitor.check_all_agents(max_concurrency=1)) == {"last": True, "gone": False}
    assert last.name == "last"


def test_an_overriding_check_that_raises_is_logged_and_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Moody(HealthMonitor):
        @classmethod
        async def check_agent_health(cls, name: str, timeout: float | None = 5.0) -> bool:
            if name == "a":
                raise RuntimeError("not you")
            return await super().check_agent_health(name, timeout)

    agents = Running("a"), Running("b")

    assert finish(Moody.check_all_agents()) == {"a": False, "b": True}
    assert "the health check of 'a' failed" in caplog.text
    assert len(agents) == 2


def test_cancelling_a_round_cancels_every_question() -> None:
    agents = [Silent() for _ in range(5)]

    async def main() -> None:
        checking = asyncio.ensure_future(HealthMonitor.check_all_agents())
        while not all(agent.started for agent in agents):
            await asyncio.sleep(0)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking

    finish(main())

    assert [agent.cancelled for agent in agents] == [1] * 5


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="max_concurrency: expected 1 or more"):
        finish(HealthMonitor.check_all_agents(max_concurrency=limit))


# -- watching ---------------------------------------------------------------


class Waits:
    """Stands in for sleeping: notes each wait, moves the clock, and ends the watch after so many."""

    def __init__(self, clock: Clock, rounds: int) -> None:
        self.clock = clock
        self.rounds = rounds
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock.now += seconds
        if len(self.waited) == self.rounds:
            raise asyncio.CancelledError


def watched(kind: type[HealthMixin], clock: Clock, rounds: int, interval: float = 30) -> list[float]:
    waits = Waits(clock, rounds)
    with pytest.raises(asyncio.CancelledError):
        finish(kind.watch(interval, sleep=waits))
    return waits.waited


def test_a_watch_checks_everyone_in_every_round() -> None:
    agent = Running("runner")

    watched(HealthMonitor, Clock(), rounds=3)

    assert len(agent.asked) == 3


def test_rounds_start_every_interval_and_a_late_one_at_once() -> None:
    now = Clock()
    takes = iter([10.0, 45.0, 0.0])

    class Timed(HealthMonitor):
        clock = now

    class Slow(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            now.now += next(takes)

    agent = Slow("slow")

    assert watched(Timed, now, rounds=3) == [20.0, 0.0, 30.0]
    assert agent.name == "slow"


def test_a_bad_round_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    rounds = []

    class Bad(HealthMonitor):
        @classmethod
        async def check_all_agents(cls, max_concurrency: int = 32, timeout: float | None = 5.0) -> dict[str, bool]:
            rounds.append((max_concurrency, timeout))
            raise RuntimeError("a bad round")

    watched(Bad, Clock(), rounds=3)

    assert rounds == [(32, 5.0)] * 3
    assert caplog.text.count("a round of health checks failed") == 3


def test_a_watch_ends_when_its_task_is_cancelled() -> None:
    agent = Silent("silent")

    async def main() -> None:
        watch = asyncio.ensure_future(HealthMonitor.watch())
        while not agent.started:
            await asyncio.sleep(0)
        watch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch

    finish(main())

    assert agent.cancelled == 1


def test_a_watch_waits_by_itself() -> None:
    agent = Running("runner")

    async def main() -> None:
        watch = asyncio.ensure_future(HealthMonitor.watch(interval=SOON))
        while len(agent.asked) < 3:
            await asyncio.sleep(0)
        watch.cancel()
        await asyncio.wait({watch})

    finish(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_a_watch_that_can_not_work_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}: expected"):
        finish(HealthMonitor.watch(**options))


# -- threads, loops, processes ----------------------------------------------


def test_several_loops_check_at_the_same_time() -> None:
    agents = [Running(f"agent {number}") for number in range(20)]
    results: list[dict[str, bool]] = []
    start = threading.Barrier(4)

    def loop() -> None:
        start.wait(HANGS)
        results.append(finish(HealthMonitor.check_all_agents()))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS)

    assert results == [{agent.name: True for agent in agents}] * 4
    assert len(HealthMonitor.get_healthy_agents()) == 20


def test_statuses_stay_right_while_agents_come_and_go_in_another_thread() -> None:
    keeper = Pinged("keeper")
    done = threading.Event()

    class Broken(BaseAgent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            raise ValueError

    def churn() -> None:
        while not done.is_set():
            agent = Broken("short")
            AgentRegistry.unregister_instance(agent)

    thread = threading.Thread(target=churn)
    thread.start()
    try:

        async def main() -> None:
            for _ in range(300):
                await HealthMonitor.check_all_agents()
                assert HealthMonitor.get_healthy_agents() == ["keeper"]

        finish(main())
    finally:
        done.set()
        thread.join(HANGS)

    assert HealthMonitor.get_status("short") is None
    assert status_of(keeper.name).healthy


def test_a_listener_that_reads_health_hears_of_the_departure_without_a_deadlock() -> None:
    seen: list[HealthStatus | None] = []
    agent = Pinged("pinged")
    check("pinged")
    subscription = AgentRegistry.subscribe(lambda event: seen.append(HealthMonitor.get_status("pinged")))

    AgentRegistry.unregister_instance(agent)
    subscription.close()

    assert seen == [None]


def test_an_agent_whose_finalizer_reads_health_is_no_deadlock() -> None:
    class Curious(Pinged):
        def __del__(self) -> None:
            HealthMonitor.get_status(self.name)
            AgentRegistry.unregister_if_same(self.name, self)

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:

        async def main() -> None:
            for number in range(50):
                agent: Any = Curious(f"agent {number}")
                agent.me = agent
                await HealthMonitor.check_agent_health(agent.name)

        finish(main())
    finally:
        gc.set_threshold(*threshold)
    gc.collect()

    assert HealthMonitor.get_healthy_agents() == []


FORKS = """
import asyncio, os, signal, threading, warnings
from agentreg import AgentRegistry
from agentreg.extensions.health import HealthMonitor
warnings.simplefilter("ignore")  # threads and fork: that is what this is about

class Plain:
    def ping(self): ...

class Hanging:
    def ping(self):
        if os.getpid() == parent:
            started.set()
            threading.Event().wait()

parent, started, agents = os.getpid(), threading.Event(), [Plain(), Hanging()]
AgentRegistry.register(agents[0], "plain")
AgentRegistry.register(agents[1], "hanging")
asyncio.run(HealthMonitor.check_agent_health("hanging", timeout=0.01))
assert started.wait(30)

def busy():
    while True:
        asyncio.run(HealthMonitor.check_agent_health("plain"))

for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
for _ in range(20):
    child = os.fork()
    if not child:
        signal.alarm(20)
        healthy = asyncio.run(HealthMonitor.check_all_agents(timeout=15))
        os._exit(0 if healthy == {"plain": True, "hanging": True} else 1)
    assert os.waitpid(child, 0)[1] == 0
print("well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_checks_although_other_threads_were_in_the_middle_of_it() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    command = [sys.executable, "-c", FORKS]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=100, check=False)

    assert (done.returncode, done.stdout) == (0, "well\n")


# -- as it is used ----------------------------------------------------------


def test_the_monitoring_of_the_handbook_works() -> None:
    async def answer(messages: Any) -> str:
        return "pong"

    agents = [Agent("assistant", model=answer), Agent("writer")]  # the second has no model

    async def monitor_registry() -> list[str]:
        unhealthy = []
        for name in list(AgentRegistry.all().keys())[:10]:
            healthy = await HealthMonitor.check_agent_health(name)
            if not healthy:
                unhealthy.append(name)
        return unhealthy

    assert finish(monitor_registry()) == ["writer"]
    assert HealthMonitor.get_healthy_agents() == ["assistant"]
    assert "no model" in (status_of("writer").error or "")
    assert len(agents) == 2


def test_a_registry_of_ones_own_takes_the_mixin() -> None:
    class MyRegistry(HealthMixin, AgentRegistry):
        failure_threshold = 2

    agent = Running("runner")

    assert MyRegistry.get("runner") is agent
    assert finish(MyRegistry.check_agent_health("runner")) is True
    assert MyRegistry.get_healthy_agents() == HealthMonitor.get_healthy_agents() == ["runner"]
