"""The stage: one run from the first process to the last, told to a view as it goes."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentreg.demo.folder import Listing, list_python_files
from agentreg.demo.printable import counted, printable
from agentreg.demo.processes.agents import MEASURE, REVIEW, finding_from, hired
from agentreg.demo.processes.child import Child, Line
from agentreg.demo.processes.dispatcher import Dispatcher, Task
from agentreg.demo.processes.outcome import Failover, Kill, Member, Outcome
from agentreg.demo.processes.roster import Heard, Roster
from agentreg.demo.processes.shared import open_directory
from agentreg.demo.processes.summary import summary
from agentreg.demo.processes.views import RuntimesView
from agentreg.demo.rules import Finding
from agentreg.demo.stage import DemoFailed
from agentreg.extensions.coordination import RegistryEventType
from agentreg.extensions.coordination.backend import without_password

__all__ = ["Assignment", "perform"]

SLOWNESS = 6.0  # seconds that the work is stretched to, for the eye
PAUSE = 1.0  # seconds between two steps, likewise
HELD = 30.0  # seconds that the task takes in whose middle its agent is killed: it is never through before
PATIENCE = 60.0  # seconds without any news, after which something must be wrong
WORST = 5

#: How a process is ended at once.
SIGNAL = "TerminateProcess" if sys.platform == "win32" else "SIGKILL"


@dataclass(frozen=True)
class Assignment:
    """What the runtimes are to do.

    Attributes:
        folder: Where the Python files are; or one such file.
        processes: How many runtimes, from 2 up.
        analysts: How many analysts each of them has.
        limit: How many files are read at most.
        backend: The directory's address; None: a new SQLite file, which is removed again.
        slowly: Whether to take a few seconds, so that an eye can follow.
    """

    folder: Path
    processes: int = 3
    analysts: int = 2
    limit: int = 2000
    backend: str | None = None
    slowly: bool = False


def perform(assignment: Assignment, view: RuntimesView) -> Outcome:
    """Run the demo.

    Raises:
        BackendURLError: The backend is of no known form, or none for several processes.
        DirectoryUnavailableError: It gives no answer.
        ImportError: It needs an extra; the message says which.
        DemoFailed: A runtime could not do its work.
    """
    with _workspace() as folder:
        stage = _Stage(assignment, view, folder)
        with view:
            return asyncio.run(stage.play())


class _Stage:
    def __init__(self, assignment: Assignment, view: RuntimesView, folder: Path) -> None:
        self.assignment = assignment
        self.view = view
        own = f"sqlite:///{(folder / 'agents.db').as_posix()}"
        self.url = own if assignment.backend is None else assignment.backend
        self.directory = open_directory(self.url)
        names = [f"runtime-{number + 1}" for number in range(assignment.processes)]
        self.children = {name: Child(name, folder) for name in names}
        self.agents = {name: tuple(hired(name, assignment.analysts)) for name in names}
        self.roster = Roster(tuple(names))
        self.dispatcher = Dispatcher(self.directory, self.children, self.roster)
        self.inbox: asyncio.Queue[Heard | tuple[Child, Line | None]] = asyncio.Queue()
        self.victim = names[1]
        self.doomed = 0  # the number of the task that it is killed over
        self.pace = 0.0
        self.kill: Kill | None = None
        self.lost: dict[int, str] = {}
        self.failovers: list[Failover] = []
        self.parting = False
        self.saw: dict[str, frozenset[str]] = {}

    async def play(self) -> Outcome:
        async with self.directory:
            await self._refuse_others()
            self.roster.attach(self.directory, self.inbox.put_nowait)
            try:
                listing = await self._open()
                await self._gather()
                await self._work(listing)
                await self._part()
            finally:
                await asyncio.gather(*(child.end() for child in self.children.values()))
            outcome = await self._outcome(listing)
        self.view.close(summary(outcome))
        return outcome

    # -- the steps ----------------------------------------------------------

    async def _refuse_others(self) -> None:
        """Make sure that nobody has the runtimes' names."""
        taken = {record.runtime_id for record in await self.directory.list_agents()} & self.children.keys()
        if taken:
            raise DemoFailed(
                f"the directory has agents of {', '.join(sorted(taken))} already; does another demo run on it? "
                "Wait for its end, or give another backend"
            )

    async def _open(self) -> Listing:
        assignment = self.assignment
        title = (
            f"agentreg demo: {assignment.processes} runtimes, each a process of its own, share a directory of agents "
            f"and read the Python files of {printable(str(assignment.folder))}"
        )
        if assignment.slowly:
            title += " (slowed down so that you can follow; --fast doesn't wait)"
        self.view.begin(title, self.roster)
        return await asyncio.to_thread(list_python_files, assignment.folder, assignment.limit)

    async def _gather(self) -> None:
        self.view.step(
            "runtimes",
            "Each process enters its agents into the directory. Whoever has the directory open hears of it, "
            "in whatever process.",
        )
        self.view.line(f"the directory: {printable(without_password(self.url))}")
        setup = {"backend": self.url, "analysts": self.assignment.analysts}
        for child in self.children.values():
            await child.start(setup, lambda child, line: self.inbox.put_nowait((child, line)))
            self.view.line(f"started {child.runtime_id}: process {child.pid}")
        everyone = {agent for agents in self.agents.values() for agent in agents}
        await self._until(lambda: all(seen >= everyone for seen in self._views_of_all()))
        others = len(everyone) - len(self.agents[self.victim])
        names = ", ".join(self.children)
        self.saw = {name: frozenset(child.sees) for name, child in self.children.items()}
        self.view.line(f"{names}: each sees {counted(others, 'agent')} of the others", mark=True)
        await self._pause()

    async def _work(self, listing: Listing) -> None:
        self.view.step(
            "work",
            "Every file goes to an agent that is found by what it can do, in whatever process it is; what was measured "
            f"by one is reviewed by another. In the middle of it {self.victim} will be killed.",
        )
        self._take_on(listing)
        while self.dispatcher.left:
            for task in await self.dispatcher.hand_out():
                self._note(task)
            await self._hear()
        await self._until(self._is_over)
        await self._pause()

    def _take_on(self, listing: Listing) -> None:
        workers = self.assignment.processes * self.assignment.analysts
        files = self.roster.found = len(listing.files)
        if not files:
            raise DemoFailed(f"there is no Python file any more in {str(listing.folder)!r}")
        self.pace = min(0.5, SLOWNESS * workers / max(1, files)) if self.assignment.slowly else 0.0
        self.doomed = files // 2 + 1
        for number, file in enumerate(listing.files, 1):
            path = listing.name_of(file)
            task = Task(number, MEASURE, path, {"file": str(file), "path": path}, self.pace)
            if number == self.doomed:
                task.only, task.at_least = self.victim, HELD
            self.dispatcher.add(task)

    async def _part(self) -> None:
        self.view.step("clean-up", "The others have no more work, and leave the directory by themselves.")
        self.parting = True
        for child in self.children.values():
            child.dismiss()
        await self._until(lambda: not self.roster.present and not self._running())

    def _views_of_all(self) -> list[set[str]]:
        """The agents that each process sees, the parent included."""
        return [self.roster.present, *(child.sees for child in self.children.values())]

    def _running(self) -> list[Child]:
        return [child for child in self.children.values() if child.exit_code is None]

    # -- what is heard --------------------------------------------------------

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            await self._hear()

    async def _pause(self) -> None:
        """Give the eye a moment; what comes meanwhile is heard."""
        now = asyncio.get_running_loop().time
        end = now() + (PAUSE if self.assignment.slowly else 0.0)
        while (left := end - now()) > 0:
            await self._hear_within(left)

    async def _hear(self) -> None:
        """The next piece of news."""
        if not await self._hear_within(PATIENCE):
            sees = ", ".join(f"{name} sees {len(child.sees)}" for name, child in self.children.items())
            raise DemoFailed(
                f"nothing has happened for {PATIENCE:g} s, with {counted(self.dispatcher.left, 'task')} left and "
                f"{counted(len(self.roster.present), 'agent')} in the directory ({sees})"
            )

    async def _hear_within(self, seconds: float) -> bool:
        """The same; False if there is none in time."""
        getting = asyncio.ensure_future(self.inbox.get())
        try:
            await asyncio.wait([getting], timeout=seconds)  # wait_for would lose a Ctrl-C that comes with the news
        finally:
            getting.cancel()  # no effect on what has come
        if not getting.done():
            return False
        news = getting.result()
        if isinstance(news, Heard):
            self._hear_of(news)
        elif news[1] is None:
            self._hear_the_end_of(news[0])
        else:
            self._hear_from(news[0], news[1])
        return True

    def _hear_of(self, heard: Heard) -> None:
        """The directory has an event."""
        event = heard.event
        self.roster.enter(heard, self.directory.agents.get(event.agent_id or ""))
        self.view.heard(heard)
        if event.event_type is RegistryEventType.AGENT_DEREGISTERED and event.agent_id is not None:
            self._lose_tasks_of(event.agent_id)
        delay = self.roster.delay(heard)
        if self.kill is not None and delay is not None:
            self.kill.note(event, delay)

    def _hear_the_end_of(self, child: Child) -> None:
        """A process has ended. Once the work has got over one loss, it gets over others, too."""
        if self.kill is None or (self.parting and child.exit_code):
            raise DemoFailed(child.obituary())
        if self.parting:
            return
        if child.runtime_id != self.kill.runtime:
            self.view.line(child.obituary())
        if not any(each.reachable for each in self.children.values()):
            raise DemoFailed(f"no runtime is left to do the work; {child.obituary()}")

    def _hear_from(self, child: Child, line: Line) -> None:
        """A runtime says something."""
        kind, agent_id = line["kind"], line["agent"]
        if kind == "came":
            child.sees.add(agent_id)
        elif kind == "left":
            child.sees.discard(agent_id)
            self._note_departure(child)
        elif kind == "begun" and line["task"] == self.doomed and self.kill is None:
            self._kill(child)
        elif kind == "done":
            self._take_result(line)
        elif kind == "failed":
            task = self.dispatcher.tasks[line["task"]]
            raise DemoFailed(f"the agent {agent_id!r} failed on {printable(task.path)}: {line['error']}")

    # -- what is done about it --------------------------------------------------

    def _kill(self, child: Child) -> None:
        self.view.step(
            "kill",
            f"In the middle of a task the process of {child.runtime_id} is ended with {SIGNAL}: it can't say "
            "good-bye. The others notice that its process is gone, and remove its agents.",
        )
        at = self.roster.note_kill(child.runtime_id)
        self.kill = Kill(child.runtime_id, child.pid, at)
        child.kill()
        self.view.line(
            f"killed {child.runtime_id}, process {child.pid}, in the middle of "
            f"{printable(self.dispatcher.tasks[self.doomed].path)}",
            mark=True,
        )

    def _lose_tasks_of(self, agent_id: str) -> None:
        task = self.dispatcher.lose(agent_id)
        if task is None:
            return
        task.at_least = self.pace
        self.lost[task.number] = agent_id
        if self.kill is not None and agent_id in self.agents[self.kill.runtime]:
            self.kill.tasks.append(task.number)

    def _note(self, task: Task) -> None:
        """A task was handed out; perhaps for the second time."""
        lost_by = self.lost.pop(task.number, None)
        if lost_by is None or self.kill is None:
            return
        delay = (self.roster.now() - self.kill.at) * 1000
        self.failovers.append(Failover(task.number, task.path, lost_by, task.given[-1], delay))
        self.view.line(
            f"{printable(task.path)}: lost with {lost_by}, handed to {task.given[-1]} {delay:.0f} ms after the kill",
            mark=True,
        )

    def _note_departure(self, child: Child) -> None:
        kill = self.kill
        if kill is not None and child.runtime_id not in kill.seen_by and not child.sees & {*self.agents[kill.runtime]}:
            kill.seen_by[child.runtime_id] = (self.roster.now() - kill.at) * 1000

    def _take_result(self, line: Line) -> None:
        task = self.dispatcher.done(line["task"], line["agent"], line["result"])
        if task is None or task.capability != MEASURE:
            return
        self.roster.read += 1
        self.view.advanced()
        if task.result["problem"] is None:
            number = len(self.dispatcher.tasks) + 1
            self.dispatcher.add(Task(number, REVIEW, task.path, {"facts": task.result}))

    def _is_over(self) -> bool:
        """Whether everybody knows that the killed one is gone."""
        assert self.kill is not None
        survivors = [child for child in self.children.values() if child.reachable]
        noticed = all(child.runtime_id in self.kill.seen_by for child in survivors)
        return noticed and self.kill.runtime_left is not None

    # -- the end ----------------------------------------------------------------

    async def _outcome(self, listing: Listing) -> Outcome:
        assert self.kill is not None
        tasks = tuple(self.dispatcher.tasks.values())
        records = await self.directory.list_agents()
        return Outcome(
            folder=listing.folder,
            backend=without_password(self.url),
            members=tuple(map(self._member, self.children.values())),
            kill=self.kill,
            failovers=tuple(self.failovers),
            tasks=tasks,
            again=self.dispatcher.again,
            findings=_worst(tasks),
            cut=listing.cut,
            heard=tuple(self.roster.heard),
            remaining=sum(record.runtime_id in self.children for record in records),
            seconds=self.roster.now(),
        )

    def _member(self, child: Child) -> Member:
        own = self.agents[child.runtime_id]
        saw = tuple(sorted(self.saw[child.runtime_id] - {*own}))
        return Member(child.runtime_id, child.pid, own, saw, child.exit_code)


def _worst(tasks: Iterable[Task]) -> tuple[Finding, ...]:
    findings = [finding_from(plain) for task in tasks if task.capability == REVIEW for plain in task.result]
    return tuple(sorted(findings, key=lambda f: (-f.excess, f.path, f.line))[:WORST])


@contextmanager
def _workspace() -> Iterator[Path]:
    """A new temporary folder, which is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentreg-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
