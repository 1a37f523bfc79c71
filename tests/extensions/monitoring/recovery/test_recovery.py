"""Plans: step by step, one at a time for each agent, and not for ever."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentreg import AgentRegistry, BaseAgent
from agentreg.extensions.monitoring.recovery import (
    Case,
    FallBack,
    Finding,
    GracefulRestart,
    HealthChecks,
    MemoryTaskQueue,
    Recovery,
    RecoveryEvent,
    RecoveryPlan,
    RestartLimit,
    Step,
    StepFailed,
    Usage,
    connection_plan,
    resources_plan,
    unresponsive_plan,
)
from tests.extensions.monitoring.alerts.clocks import Clock

LOST = Finding("unresponsive", "ann", 0.0, "no answer")


class Log:
    """What happened, in words."""

    def __init__(self) -> None:
        self.events: list[RecoveryEvent] = []

    def __call__(self, event: RecoveryEvent) -> None:
        self.events.append(event)

    @property
    def words(self) -> list[str]:
        return [" ".join([type(each).__name__, getattr(each, "step", "")]).strip() for each in self.events]


def plan(*steps: Step) -> RecoveryPlan:
    return RecoveryPlan("unresponsive", steps)


def test_every_step_is_an_event() -> None:
    log, wall = Log(), Clock(1000)
    steps = Step("look", lambda case: None), Step("mend", lambda case: True), Step("kill", lambda case: None)
    recovery = Recovery([plan(*steps)], listeners=[log], wall=wall)

    outcome = asyncio.run(recovery.recover(LOST))

    assert outcome.state == "recovered"
    assert log.words == [
        "PlanStarted",
        "StepStarted look",
        "StepFinished look",
        "StepStarted mend",
        "StepFinished mend",
        "StepSkipped kill",
        "PlanFinished",
    ]
    assert {(event.agent, event.condition, event.at) for event in log.events} == {("ann", "unresponsive", 1000)}


def test_a_step_that_raises_is_an_event_and_the_next_goes_on() -> None:
    def broken(case: Case) -> None:
        raise OSError("no such agent")

    log = Log()
    recovery = Recovery([plan(Step("break", broken), Step("mend", lambda case: True))], listeners=[log])

    outcome = asyncio.run(recovery.recover(LOST))

    assert (outcome.state, outcome.failed) == ("recovered", ("break",))
    (failure,) = [event for event in log.events if isinstance(event, StepFailed)]
    assert failure.reason == "OSError: no such agent"


def test_a_step_over_its_time_is_cut_off_and_the_next_goes_on() -> None:
    cut_off: list[str] = []
    go_on = threading.Event()

    async def endless(case: Case) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.append("endless")

    steps = (
        Step("wait", endless, limit=0.01),
        Step("hang", lambda case: go_on.wait() and None, limit=0.01),
        Step("mend", lambda case: True),
    )
    recovery = Recovery([plan(*steps)])
    try:
        outcome = asyncio.run(recovery.recover(LOST))
    finally:
        go_on.set()

    assert (outcome.state, outcome.failed) == ("recovered", ("wait", "hang"))
    assert cut_off == ["endless"]


def test_findings_on_one_agent_run_one_plan_at_a_time() -> None:
    running: list[str] = []
    most: list[int] = []

    async def work(case: Case) -> bool:
        running.append(case.agent)
        most.append(running.count(case.agent))
        for _ in range(5):
            await asyncio.sleep(0)
        running.remove(case.agent)
        return True

    conditions = ("unresponsive", "resources_exhausted", "connection_failures")
    recovery = Recovery([RecoveryPlan(condition, (Step("work", work),)) for condition in conditions])
    findings = [Finding(condition, agent, 0.0) for condition in conditions for agent in ("ann", "bob")]

    outcomes = asyncio.run(recovery.recover_all(findings * 3))

    assert [outcome.state for outcome in outcomes] == ["recovered"] * 18
    assert most == [1] * 6  # and the same finding only once


def test_a_finding_that_is_over_when_its_turn_comes_is_left_alone() -> None:
    recovery = Recovery([plan(Step("mend", lambda case: True))], still=lambda finding: False)

    assert asyncio.run(recovery.recover(LOST)).state == "over"
    assert asyncio.run(recovery.recover(Finding("strange", "ann", 0.0))).state == "no plan"


def test_a_crash_loop_stops_after_so_many_restarts_in_the_window() -> None:
    clock, log = Clock(), Log()
    restarts: list[float] = []
    notified: list[str] = []

    def restart(case: Case) -> bool:
        restarts.append(clock())
        return True

    steps = (
        Step("restart", restart, restarts=True),
        Step("notify", lambda case: notified.append(case.agent), only_if_needed=False),
    )
    limit = RestartLimit(restarts=3, period=60)
    recovery = Recovery([plan(*steps)], listeners=[log], limit=limit, clock=clock)

    def crash() -> str:
        clock.tick(10)
        return asyncio.run(recovery.recover(LOST)).state

    assert [crash() for _ in range(6)] == ["recovered"] * 3 + ["given up"] * 3
    assert restarts == [10, 20, 30]
    assert notified == ["ann"] * 4  # the plan in which it gave up told of it, too
    assert log.words.count("GaveUp") == 1
    assert recovery.has_given_up("ann")
    recovery.reset("ann")
    assert crash() == "recovered"


def test_restarts_that_are_far_apart_are_no_crash_loop() -> None:
    clock = Clock()
    recovery = Recovery(
        [plan(Step("restart", lambda case: True, restarts=True))], limit=RestartLimit(3, 60), clock=clock
    )

    for _ in range(20):
        clock.tick(25)
        assert asyncio.run(recovery.recover(LOST)).state == "recovered"


def test_closing_cancels_what_is_under_way() -> None:
    async def endless(case: Case) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        recovery = Recovery([plan(Step("wait", endless))])
        task = asyncio.ensure_future(recovery.recover(LOST))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await recovery.close()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_listener_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: RecoveryEvent) -> None:
        raise RuntimeError("no paper")

    log = Log()
    recovery = Recovery([plan(Step("mend", lambda case: True))], listeners=[broken, log])

    assert asyncio.run(recovery.recover(LOST)).state == "recovered"
    assert len(log.events) == 4
    assert "no paper" in caplog.text


# -- a new agent under the same name ----------------------------------------


class Worker(BaseAgent):
    cleaned = False

    async def run(self, prompt: Any, **kwargs: Any) -> str:
        return "done"

    async def cleanup(self) -> None:
        self.cleaned = True


def test_an_unresponsive_agent_is_replaced_under_its_name() -> None:
    old = Worker("ann")
    restart = GracefulRestart(Worker)

    outcome = asyncio.run(Recovery([unresponsive_plan(restart=restart)]).recover(LOST))

    assert outcome.state == "recovered"
    assert old.cleaned
    assert AgentRegistry.get("ann") is restart.agents["ann"] is not old
    restart.forget("ann")
    assert AgentRegistry.get("ann") is None


def test_a_clean_up_that_hangs_does_not_keep_the_new_agent_from_coming() -> None:
    go_on = threading.Event()

    class Hung(Worker):
        def cleanup(self) -> None:  # type: ignore[override]
            go_on.wait()

    old = Hung("ann")
    restart = GracefulRestart(Worker, patience=0.01)
    try:
        outcome = asyncio.run(Recovery([unresponsive_plan(restart=restart)]).recover(LOST))
    finally:
        go_on.set()

    assert outcome.state == "recovered"
    assert AgentRegistry.get("ann") is not old


def test_a_successor_that_came_meanwhile_is_left_alone() -> None:
    successors = []

    class Leaving(Worker):
        async def cleanup(self) -> None:
            AgentRegistry.unregister_if_same("ann", self)
            successors.append(Worker("ann"))

    old = Leaving("ann")

    outcome = asyncio.run(Recovery([unresponsive_plan(restart=GracefulRestart(Worker))]).recover(LOST))

    assert (outcome.state, outcome.failed) == ("done", ("restart gracefully",))
    assert AgentRegistry.get("ann") is successors[0] is not old


def test_an_agent_gets_its_name_back_when_no_other_can_be_made() -> None:
    def make(name: str) -> Worker:
        raise OSError("no room")

    old = Worker("ann")

    outcome = asyncio.run(Recovery([unresponsive_plan(restart=GracefulRestart(make))]).recover(LOST))

    assert outcome.failed == ("restart gracefully",)
    assert AgentRegistry.get("ann") is old


# -- the three plans --------------------------------------------------------


def test_the_tasks_of_a_lost_agent_are_given_to_others() -> None:
    queue = MemoryTaskQueue()
    for number in range(5):
        queue.put("ann", f"task {number}")
    queue.take("ann")
    told: list[str] = []
    lost = unresponsive_plan(
        queue=queue, others=lambda agent: ["bob", "eve"], notify=lambda case: told.append(case.agent)
    )

    outcome = asyncio.run(Recovery([lost]).recover(LOST))

    assert outcome.state == "done"
    assert (len(queue.tasks("bob")), len(queue.tasks("eve")), queue.tasks("ann")) == (3, 2, [])
    assert told == ["ann"]


def test_an_agent_that_is_back_keeps_its_tasks() -> None:
    queue = MemoryTaskQueue()
    queue.put("ann", "a")
    back = unresponsive_plan(restart=lambda case: True, queue=queue, others=lambda agent: ["bob"])

    asyncio.run(Recovery([back]).recover(LOST))

    assert queue.take("ann") == "a"


@pytest.fixture
def process() -> Iterator[Any]:
    pytest.importorskip("psutil")
    from agentreg.extensions.monitoring.recovery import Children

    with Children() as children:
        yield children


def test_a_process_that_was_started_here_is_ended_and_started_again(process: Any) -> None:
    before = process.start("ann", [sys.executable, "-c", "input()"])

    outcome = asyncio.run(Recovery([unresponsive_plan(children=process)]).recover(LOST))

    assert outcome.state == "recovered"
    assert process.is_running("ann")
    assert process.get("ann").pid != before.pid


def test_a_process_in_a_crash_loop_is_ended_but_not_started_again(process: Any) -> None:
    process.start("ann", [sys.executable, "-c", "input()"])
    recovery = Recovery([unresponsive_plan(children=process)], limit=RestartLimit(restarts=0, period=60))

    outcome = asyncio.run(recovery.recover(LOST))

    assert outcome.state == "given up"
    assert not process.is_running("ann")


def test_an_agent_without_a_process_of_ours_is_left_to_the_other_steps(process: Any) -> None:
    told: list[str] = []
    lost = unresponsive_plan(children=process, notify=lambda case: told.append(case.agent))

    assert asyncio.run(Recovery([lost]).recover(LOST)).state == "done"
    assert told == ["ann"]


def test_the_hogs_are_found_and_handed_on_until_something_helps() -> None:
    usage = {"ann": Usage(memory=0.95), "bob": Usage(memory=0.2), "eve": Usage(queue=300)}
    asked: list[tuple[str, list[str]]] = []

    def ask(what: str, helps: bool) -> Callable[[list[str]], bool]:
        def answer(hogs: list[str]) -> bool:
            asked.append((what, hogs))
            return helps

        return answer

    exhausted = resources_plan(
        usage=lambda: usage, limit=ask("limit", False), redistribute=ask("move", True), scale_up=ask("more", True)
    )

    outcome = asyncio.run(Recovery([exhausted]).recover(Finding("resources_exhausted", "ann", 0.0)))

    assert outcome.state == "recovered"
    assert asked == [("limit", ["eve", "ann"]), ("move", ["eve", "ann"])]


def test_a_connection_is_tried_again_then_another_server_and_dependents_hear_of_it() -> None:
    stamina = pytest.importorskip("stamina")
    from agentreg.extensions.monitoring.recovery import Reconnect

    tries: list[str] = []
    told: list[str] = []

    async def connect(agent: str) -> None:
        tries.append(agent)
        raise ConnectionError("refused")

    def to_server(agent: str, server: str) -> None:
        tries.append(server)
        if server == "first":
            raise ConnectionError("refused")

    broken = connection_plan(
        reconnect=Reconnect(connect, attempts=3),
        fall_back=FallBack(lambda agent: ["first", "second", "third"], to_server),
        tell_dependents=lambda case: told.append(case.notes["server"]),
        update_routes=lambda case: told.append("routes"),
    )
    with stamina.set_testing(True, attempts=3):
        outcome = asyncio.run(Recovery([broken]).recover(Finding("connection_failures", "ann", 0.0)))

    assert (outcome.state, outcome.failed) == ("recovered", ("connect again",))
    assert tries == ["ann", "ann", "ann", "first", "second"]
    assert told == ["second", "routes"]


def test_where_no_server_answers_each_says_why() -> None:
    def refuse(agent: str, server: str) -> None:
        raise ConnectionError(f"{server} is closed")

    log = Log()
    broken = connection_plan(fall_back=FallBack(lambda agent: ["one", "two"], refuse))

    outcome = asyncio.run(Recovery([broken], listeners=[log]).recover(Finding("connection_failures", "ann", 0.0)))

    assert outcome.state == "done"
    (failure,) = [event for event in log.events if isinstance(event, StepFailed)]
    assert failure.reason == "ConnectionError: no server answers (one: one is closed; two: two is closed)"


def test_plans_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="expected steps with different names"):
        unresponsive_plan()
    with pytest.raises(ValueError, match="there are two for 'unresponsive'"):
        Recovery([plan(Step("a", lambda case: None))] * 2)
    with pytest.raises(ValueError, match="expected seconds above 0"):
        Step("a", lambda case: None, limit=0)
    with pytest.raises(ValueError, match="expected 0 or more restarts"):
        RestartLimit(-1)


# -- checks and recovery together -------------------------------------------


def test_what_the_checks_find_is_mended_and_found_no_more() -> None:
    healthy: set[str] = set()

    def ping(agent: str) -> None:
        if agent not in healthy:
            raise ConnectionError("no line")

    def mend(case: Case) -> bool:
        healthy.add(case.agent)
        return True

    checks = HealthChecks(lambda: ["ann"], ping=ping, failures=2)
    recovery = Recovery([plan(Step("mend", mend))], still=checks.holds)

    async def main() -> list[list[str]]:
        rounds: list[list[str]] = []
        for _ in range(3):
            outcomes = await recovery.recover_all(await checks.check())
            rounds.append([outcome.state for outcome in outcomes])
        return rounds

    assert asyncio.run(main()) == [[], ["recovered"], []]
