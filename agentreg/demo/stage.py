"""The stage: one run of the demo from the first agent to the last, told to a view as it goes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentreg import AgentRegistry, CallFinished, Orchestra, OrchestraResult
from agentreg.demo.board import Board
from agentreg.demo.company import FLOWS, TOPOLOGY, Company
from agentreg.demo.crew import POOL
from agentreg.demo.folder import Listing
from agentreg.demo.outcome import Outcome
from agentreg.demo.papers import Review, Snapshot
from agentreg.demo.printable import counted, printable
from agentreg.demo.views import View
from agentreg.extensions.health import HealthMonitor
from agentreg.testing import isolated_registry

__all__ = ["Assignment", "DemoFailed", "perform"]

SLOWNESS = 2.2  # seconds that the reading is stretched to, for the eye
PAUSE = 0.45  # seconds between two steps, likewise


@dataclass(frozen=True)
class Assignment:
    """What the crew is to do.

    Attributes:
        folder: Where the Python files are; or one such file.
        report: Where to write the report; None: into a new temporary folder.
        analysts: How many read side by side.
        limit: How many files are read at most.
        slowly: Whether to take a few seconds, so that an eye can follow.
    """

    folder: Path
    report: Path | None = None
    analysts: int = 4
    limit: int = 2000
    slowly: bool = False


class DemoFailed(Exception):
    """An agent of the crew could not do its work."""


def perform(assignment: Assignment, view: View) -> Outcome:
    """Run the demo, in a registry of its own: whoever calls it keeps the agents they have.

    Raises:
        DemoFailed: an agent could not do its work.
    """
    with isolated_registry(), _quiet_parser(), _workspace() as folder, view:
        return asyncio.run(_Stage(assignment, view, folder).play())


class _Stage:
    def __init__(self, assignment: Assignment, view: View, folder: Path) -> None:
        self.assignment = assignment
        self.view = view
        self.folder = folder
        self.board = Board()
        self.report = assignment.report or folder / "report.md"

    async def play(self) -> Outcome:
        started = time.perf_counter()
        with AgentRegistry.subscribe(self.board.hear):
            self._open()
            company = self._hire()
            try:
                await self._pause()
                healthy = await self._check()
                result = await self._work(company)
                pool = company.pool.get_statistics()
                await self._pause()
                await self._part(company)
            finally:
                await company.close()
        outcome = Outcome(
            report=self.report,
            review=result.results["editor"],
            snapshot=result.results["archivist"],
            healthy=healthy,
            jobs=self.board.jobs,
            pool=pool,
            joined=self.board.joined,
            left=self.board.left,
            remaining=len(AgentRegistry.all_with_pools()),
            seconds=time.perf_counter() - started,
        )
        self._close(outcome)
        return outcome

    # -- the steps ----------------------------------------------------------

    def _open(self) -> None:
        title = f"agentreg demo: a crew of agents reads the Python files of {printable(str(self.assignment.folder))}"
        if self.assignment.slowly:
            title += " (slowed down so that you can follow; --fast doesn't wait)"
        self.view.open(title, self.board)

    def _hire(self) -> Company:
        self.view.step(
            "registry",
            "An agent is an object that does one kind of work. Making it registers it: from then on everybody in this "
            "process finds it by its name.",
        )
        company = Company(
            self.folder,
            self.report,
            self.assignment.analysts,
            self.assignment.limit,
            SLOWNESS if self.assignment.slowly else 0.0,
            self.board,
        )
        members = [member.name for member in company.pool.instances]
        single = [name for name in AgentRegistry.names() if name not in members]
        self.view.line(f"registered: {counted(len(single), 'agent')}: {', '.join(single)}")
        self.view.step("pool", "A pool has several agents that are alike, and lends them out, one job at a time.")
        self.view.line(f"registered: pool {POOL!r} with {counted(len(members), 'agent')}: {_span(members)}")
        return company

    async def _check(self) -> dict[str, bool]:
        self.view.step("health", "Before the work begins, every agent is asked whether it answers.")
        healthy = dict(await HealthMonitor.check_all_agents())
        silent = ", ".join(name for name, answers in healthy.items() if not answers)
        answered = f"{sum(healthy.values())} of {counted(len(healthy), 'agent')} answered"
        self.view.line(f"{answered}; silent: {silent}" if silent else answered)
        await self._pause()
        return healthy

    async def _work(self, company: Company) -> OrchestraResult:
        self.view.step(
            "orchestra",
            "It runs agents in the order of the arrows, side by side where it can, and hands results on.",
        )
        self.view.line(", and ".join(FLOWS))
        calls: asyncio.Queue[tuple[CallFinished, dict[str, str]] | None] = asyncio.Queue()
        with AgentRegistry.on_call(lambda call: calls.put_nowait((call, self.board.files.copy()))):
            run = asyncio.ensure_future(Orchestra.run(self.assignment.folder, TOPOLOGY))
            run.add_done_callback(lambda _: calls.put_nowait(None))
            try:
                while (call := await calls.get()) is not None:
                    self._tell(*call, company)
            finally:
                run.cancel()  # no effect on a run that is done
                await asyncio.wait([run])
        result = run.result()
        for node, error in result.errors.items():
            raise DemoFailed(f"the agent {node!r} failed: {error}") from error
        return result

    async def _part(self, company: Company) -> None:
        self.view.step("clean-up", "Whoever is done leaves the registry, in one of three ways; nobody stays behind.")
        done = self._gone(TOPOLOGY.nodes)
        self.view.line(f"the orchestra has cleaned up and unregistered the agents that it ran: {', '.join(done)}")
        await self._pause()

        analysts = [member.name for member in company.pool.instances]
        await company.pool.cleanup()
        self.view.line(f"the pool was closed, and left together with its agents: {_span(self._gone(analysts))}")
        await self._pause()

        reviewers = list(company.reviewers)
        company.reviewers.clear()
        dropped = ", ".join(self._gone(reviewers))
        self.view.line(f"the rest was simply dropped: the registry forgets whom nobody holds any more: {dropped}")
        agents, pools = AgentRegistry.count(), len(self.board.pools)
        self.view.line(f"registered now: {counted(agents, 'agent')}, {counted(pools, 'pool')}", mark=True)
        await self._pause()

    def _gone(self, names: Iterable[str]) -> list[str]:
        present = set(AgentRegistry.names())
        return [name for name in names if name not in present]

    # -- what is told while the orchestra runs --------------------------------

    def _tell(self, call: CallFinished, busy: dict[str, str], company: Company) -> None:
        self.board.jobs[call.name] = self.board.jobs.get(call.name, 0) + 1
        if AgentRegistry.get_pool_name_for_instance(call.name) == POOL:
            self.board.read += 1
            self.view.progress(busy)
        elif call.ok and call.name in company.nodes:
            result = company.nodes[call.name].result
            if isinstance(result, Listing):
                self._tell_listing(result)
            elif isinstance(result, Snapshot):
                self._tell_snapshot(result)
            elif isinstance(result, Review):
                self._tell_review(result)

    def _tell_listing(self, listing: Listing) -> None:
        self.board.found = len(listing.files)
        cut = f" ({listing.cut})" if listing.cut else ""
        self.view.line(
            f"scout: {counted(len(listing.files), 'Python file')}{cut}; each goes to an analyst from the pool"
        )

    def _tell_snapshot(self, snapshot: Snapshot) -> None:
        self.view.step("snapshot", "Half way, with the work going on, the registry is saved as JSON and read back.")
        self.view.line(f"{counted(snapshot.saved, 'agent')} saved in {snapshot.file}")
        forgotten = "the registry forgot it at once" if snapshot.forgotten else "it is still held somewhere"
        self.view.line(f"{snapshot.lost} was dropped to try it out: {forgotten}")
        restored = ", ".join(snapshot.restored) or "nobody"
        self.view.line(f"restored from the file: {restored}; the others are alive and were left alone", mark=True)

    def _tell_review(self, review: Review) -> None:
        self.view.step("capability", "Agents say what they can do. The editor asks who can find what these files need.")
        self.view.line(f"needed: {', '.join(review.needed)}")
        for name, has in review.candidates.items():
            can = f"{name} can find {len(has)} of {len(review.needed)}: {', '.join(has)}"
            picked = name == review.picked
            self.view.line(f"{can}; picked: the best match" if picked else can, mark=picked)
        for place, finding in enumerate(review.findings[:3], 1):
            self.view.line(f"worst place {place}: {printable(finding.place)}: {'; '.join(finding.reasons)}")

    def _close(self, outcome: Outcome) -> None:
        totals, pool, reading = outcome.totals(), outcome.pool, outcome.review.reading
        spent = sum(file.seconds for file in reading.files)
        problems = [f"{printable(path)} ({printable(why)})" for path, why in reading.problems]
        rows = [
            ("read", f"{counted(totals['files'], 'file')}, {counted(totals['lines'], 'line')}, "
                     f"{counted(totals['functions'], 'function')}"),
            ("time", f"{outcome.seconds:.1f} s, of which {spent:.2f} s were spent reading"),
            ("registry", f"{counted(outcome.joined, 'arrival')}, "
                         f"{counted(sum(map(len, outcome.left.values())), 'departure')}, "
                         f"{counted(outcome.remaining, 'agent')} left"),
            ("pool", f"{counted(pool['total_allocations'], 'loan')}, at most {pool['peak_concurrent_usage']} at once, "
                     f"average wait {1000 * pool['average_wait_time']:.0f} ms"),
            ("report", str(outcome.report)),
        ]  # fmt: skip
        if problems:
            more = f" and {len(problems) - 3:,} more" if len(problems) > 3 else ""
            rows.insert(1, ("not read", ", ".join(problems[:3]) + more))
        self.view.close(rows)

    async def _pause(self) -> None:
        if self.assignment.slowly:
            await asyncio.sleep(PAUSE)


def _span(names: Iterable[str]) -> str:
    """
    >>> _span(["a_0", "a_1", "a_2", "a_3"])
    'a_0 to a_3'
    """
    names = list(names)
    return f"{names[0]} to {names[-1]}" if len(names) > 2 else ", ".join(names)


@contextmanager
def _workspace() -> Iterator[Path]:
    """A new temporary folder, which stays if all goes well."""
    folder = Path(tempfile.mkdtemp(prefix="agentreg-demo-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _quiet_parser() -> Iterator[None]:
    # the parser warns of the code that it reads, which is not ours; the filters belong to the whole process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.filterwarnings("ignore", "invalid .*(escape sequence|literal)", DeprecationWarning)
        yield
