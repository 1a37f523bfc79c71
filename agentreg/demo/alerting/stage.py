"""The stage: one run from the first task to the last, told to a view as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentreg import AgentNotFoundError, AgentRegistry
from agentreg.demo.alerting.readers import LEAKY, PAGE, Dispatcher, NotebookFull, Reader, pages_of
from agentreg.demo.alerting.scene import Lane, Scene
from agentreg.demo.alerting.views import AlertingView
from agentreg.demo.alerting.watching import Watch
from agentreg.demo.board import Board
from agentreg.demo.folder import list_python_files
from agentreg.demo.printable import counted, printable
from agentreg.demo.stage import DemoFailed
from agentreg.extensions.monitoring import (
    AlertEvent,
    Case,
    Finding,
    GracefulRestart,
    PlanFinished,
    Recovery,
    RecoveryEvent,
    RecoveryPlan,
    Step,
    StepFailed,
    StepFinished,
)
from agentreg.testing import isolated_registry

__all__ = ["Assignment", "perform"]

READERS = ("reader-1", LEAKY, "reader-3")
CONDITION = "bad alert"
PATIENCE = 60.0  # seconds until the alert has fired, and as long until it is over; each takes two or three


@dataclass(frozen=True)
class Assignment:
    """What is to be shown.

    Attributes:
        folder: Where the Python files are that the agents read; or one such file.
        limit: How many files are read at most.
        slowly: Whether to take the time of an eye: rules of two seconds instead of one, and pauses.
    """

    folder: Path
    limit: int = 2000
    slowly: bool = False

    @property
    def rules(self) -> list[str]:
        """What must not be."""
        window = "2s" if self.slowly else "1s"
        return [
            f"slow: response_time > 25ms avg for {window}",
            f"failing: error_rate > 20% avg for {window} as critical",
        ]


def perform(assignment: Assignment, view: AlertingView) -> Scene:
    """Run the demo, in a registry of its own: whoever calls it keeps the agents they have.

    Raises:
        DemoFailed: there is nothing to read, or the alert did not fire, or not end.
    """
    with isolated_registry(), view:
        return asyncio.run(_Stage(assignment, view).play())


class _Stage:
    def __init__(self, assignment: Assignment, view: AlertingView) -> None:
        self.assignment = assignment
        self.view = view
        self.board = Board()
        self.scene = Scene(lanes={name: Lane() for name in READERS})
        self.pages = self._pages()
        self.watch = Watch(assignment.rules, self.scene, self._alert)
        self.restart = GracefulRestart(self._make)
        self.recovery = Recovery([self._plan()], listeners=[self._recovering])
        self.recovering: set[asyncio.Task[Any]] = set()
        self.fired, self.over = asyncio.Event(), asyncio.Event()

    async def play(self) -> Scene:
        self._page()  # raises now if there is nothing to read
        with AgentRegistry.subscribe(self.board.hear), self.watch.open():
            self._hire()
            await self._pause()
            self._tell_rules()
            works = [self._work(name) for name in READERS]
            await self._while_at_work([*works, self.watch.go_on()], self._story())
            self._tell_metrics()
            await self.dispatcher.cleanup()
        self._close()
        return self.scene

    # -- the steps ----------------------------------------------------------

    def _hire(self) -> None:
        folder = printable(str(self.assignment.folder))
        self.view.open(f"agentreg demo: agents read {folder}, and one of them gets slower and slower", self.board)
        self.view.watch(self.scene)
        self.view.step(
            "agents", f"Three agents are handed pages of {PAGE} lines by a fourth, and look for lines again."
        )
        self.dispatcher = Dispatcher(name="dispatcher")
        self.restart.agents.update({name: Reader(name, leaky=name == LEAKY) for name in READERS})
        self.view.line(f"registered: {', '.join(AgentRegistry.names())}")
        self.view.line(f"{LEAKY} has a fault: it compares each line with all that it ever read, more and more")

    def _tell_rules(self) -> None:
        self.view.step("metrics and rules", "What every call takes is counted, and rules say what must not be.")
        for rule in self.watch.alerts.rules():
            self.view.line(str(rule))

    async def _story(self) -> None:
        self.view.step("alert", "The agents work. Nobody looks, but for the rules.")
        await self._expect(self.fired, "no alert has fired")
        await self._expect(self.over, "the alert does not end")
        await self._pause()

    async def _expect(self, event: asyncio.Event, otherwise: str) -> None:
        try:
            await asyncio.wait_for(event.wait(), PATIENCE)
        except (TimeoutError, asyncio.TimeoutError):
            raise DemoFailed(f"{otherwise} after {PATIENCE:g} s") from None

    def _tell_metrics(self) -> None:
        self.view.step("metrics again", "What was counted is kept, and can be asked for later.")
        for name, lane in self.scene.lanes.items():
            failed = f", {lane.failures:,} failed" if lane.failures else ""
            self.view.line(
                f"{name}: {counted(lane.tasks, 'task')}{failed}; slowest {1000 * lane.slowest:.0f} ms on average"
            )

        points = self.watch.metrics.query("response_time", LEAKY, step=1).points
        trend = ", ".join(f"{1000 * point.mean:.0f}" for point in points)
        self.view.line(f"response time of {LEAKY}, second by second: {trend} ms")

    def _close(self) -> None:
        self.view.close([*self.scene.rows(), ("at last", "a restart gains time; the fault is still to be mended")])

    # -- the work -----------------------------------------------------------

    async def _while_at_work(self, works: list[Coroutine[Any, Any, None]], story: Coroutine[Any, Any, None]) -> None:
        """Tell the *story* while the *works* go on; the first that fails ends all."""
        tasks = [asyncio.create_task(each) for each in (story, *works)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *self.recovering):
                task.cancel()
            await asyncio.gather(*tasks, *self.recovering, return_exceptions=True)
            await self.recovery.close()

    async def _work(self, name: str) -> None:
        """Hand page after page to one reader; while it is being replaced, nobody has its name."""
        while True:
            with suppress(AgentNotFoundError, NotebookFull):
                await self.dispatcher.run(name, context={"page": self._page()})
            await asyncio.sleep(0.05 if self.assignment.slowly else 0.02)

    def _page(self) -> list[str]:
        page = next(self.pages, None)
        if page is None:  # another reader was told why
            raise DemoFailed(f"{self.assignment.folder} can't be read any more")
        return page

    def _pages(self) -> Iterator[list[str]]:
        files = list_python_files(self.assignment.folder, self.assignment.limit).files
        try:
            yield from pages_of(files)
        except (OSError, ValueError) as error:
            raise DemoFailed(f"{self.assignment.folder}: {error}") from error

    # -- alerts and recovery ------------------------------------------------

    def _alert(self, event: AlertEvent) -> None:
        lane = self.scene.lanes.get(event.agent)
        if lane is None:
            return
        if event.kind == "resolved":
            self._resolved(event, lane)
        else:
            self._fired(event, lane)

    def _fired(self, event: AlertEvent, lane: Lane) -> None:
        lane.alert = event.rule
        why = f"its {event.metric} was {event.shown} ({event.condition}); {self._notebook(event.agent)}"
        self.scene.note(f"{event.rule} fires for", event.agent, why)
        self.view.line(event.message, mark=True)
        if not self.fired.is_set():
            self.view.step("recovery", "For an alert there is a plan: steps that are taken until the agent is well.")
        self.fired.set()
        finding = Finding(CONDITION, event.agent, event.at, event.message)
        task = asyncio.ensure_future(self.recovery.recover(finding))
        self.recovering.add(task)
        task.add_done_callback(self.recovering.discard)

    def _resolved(self, event: AlertEvent, lane: Lane) -> None:
        lane.alert = ""
        self.scene.note(
            f"{event.rule} is over for", event.agent, f"{event.reason}: its {event.metric} is {event.shown}"
        )
        self.view.line(event.message, mark=True)
        if not self.watch.alerts.active():
            self.over.set()

    def _notebook(self, name: str) -> str:
        agent = AgentRegistry.get(name)
        return f"it had {len(agent.notebook):,} lines in its notebook" if isinstance(agent, Reader) else "it has left"

    def _plan(self) -> RecoveryPlan:
        steps = (
            Step("look at its notebook", self._look, limit=5),
            Step("restart it by its factory", self.restart, limit=10, restarts=True),
        )
        return RecoveryPlan(CONDITION, steps)

    async def _look(self, case: Case) -> bool:
        """A step that finds out why; it mends nothing."""
        case.notes["seen"] = self._notebook(case.agent)
        self.view.line(f"{case.agent}: {case.notes['seen']}; there should be {PAGE}")
        return False

    async def _make(self, name: str) -> Reader:
        """The factory of the readers: a new one with an empty notebook, and with the same fault."""
        return Reader(name, leaky=name == LEAKY)

    def _recovering(self, event: RecoveryEvent) -> None:
        if isinstance(event, StepFailed):
            self.view.line(f"step {event.step!r} failed: {event.reason}")
        elif isinstance(event, StepFinished):
            self.view.line(f"step {event.step!r} took {1000 * event.seconds:.0f} ms")
        elif isinstance(event, PlanFinished):
            self._recovered(event)

    def _recovered(self, event: PlanFinished) -> None:
        outcome = "a new one has its name, with an empty notebook" if event.recovered else "nothing helped"
        self.scene.note("recovery of", event.agent, outcome)
        self.view.line(f"{event.agent}: {outcome}; the alert ends when the average is low again", mark=True)

    async def _pause(self) -> None:
        if self.assignment.slowly:
            await asyncio.sleep(_PAUSE)


_PAUSE = 0.6  # seconds between two steps, for the eye
