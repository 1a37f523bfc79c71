"""The crew: what each agent does, and the run of one hand to the next.

scout -> dispatcher -> editor -> reporter, and beside the dispatcher the
archivist. The dispatcher borrows an analyst from a pool for each file; the
editor finds a reviewer by what it can do.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentreg import AgentRegistry, BaseAgent, CallFinished
from agentreg.demo.board import Board
from agentreg.demo.folder import Listing, list_python_files
from agentreg.demo.measure import FileFacts, measure
from agentreg.demo.papers import Job, Reading, Review, Snapshot
from agentreg.demo.report import write_report
from agentreg.demo.rules import Finding, needed_capabilities, worst_places
from agentreg.extensions.capabilities import CapabilityRegistry
from agentreg.extensions.load_balancing import LoadBalancedRegistry
from agentreg.extensions.persistence import PersistentRegistry

__all__ = [
    "POOL",
    "Analyst",
    "Archivist",
    "CrewMember",
    "Dispatcher",
    "Editor",
    "Reporter",
    "Reviewer",
    "Scout",
]

POOL = "analyst"  # the pool that the dispatcher borrows from


class CrewMember(BaseAgent):
    """An agent whose work is counted, and whose last result can be looked at.

    Attributes:
        task: What it does, in words.
        result: What its last work came to.
    """

    task = ""
    result: Any = None

    async def run(self, prompt: Any, *, context: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Work on *prompt*, and be listed as busy meanwhile."""
        with LoadBalancedRegistry.track(self.name):
            self.result = await self.work(prompt, context or {})
            return self.result

    @abstractmethod
    async def work(self, task: Any, context: Mapping[str, Any]) -> Any:
        """Do it; *context* has the results of those before."""

    async def ping(self) -> bool:
        """Answer a health check."""
        return True


class Scout(CrewMember):
    """Lists the Python files of a folder."""

    task = "lists the files"

    def __init__(self, name: str, limit: int) -> None:
        self.limit = limit
        super().__init__(name, description="Lists the Python files of a folder.", capabilities=["list files"])

    async def work(self, task: Path, context: Mapping[str, Any]) -> Listing:
        """The Python files of the folder *task*."""
        return await asyncio.to_thread(list_python_files, task, self.limit)


class Analyst(CrewMember):
    """Reads one file at a time. There are several, in a pool."""

    task = "reads a file"

    def __init__(self, name: str, board: Board) -> None:
        self.board = board
        super().__init__(name, description="Measures a Python file.", capabilities=["measure files"])

    async def work(self, task: Job, context: Mapping[str, Any]) -> FileFacts:
        """The facts about the file of *task*."""
        self.board.files[self.name] = task.path
        try:
            # in a thread, so that the other agents go on meanwhile
            facts, _ = await asyncio.gather(
                asyncio.to_thread(measure, task.file, task.path), asyncio.sleep(task.at_least)
            )
            return facts
        finally:
            self.board.files.pop(self.name, None)


class Dispatcher(CrewMember):
    """Borrows an analyst from the pool for every file, and gives it back.

    Args:
        at_least: Seconds that reading everything is stretched to.
    """

    task = "hands out the files"

    def __init__(self, name: str, at_least: float = 0.0) -> None:
        self.at_least = at_least
        super().__init__(name, description="Has every file read.", capabilities=["hand out work"])

    async def work(self, task: Any, context: Mapping[str, Any]) -> Reading:
        """The facts about every file that the scout has found."""
        listing: Listing = context["scout"]
        analysts = AgentRegistry.get_instance_count(POOL)
        pace = min(0.4, self.at_least * analysts / max(1, len(listing.files)))
        facts: dict[Path, FileFacts] = {}
        files = iter(listing.files)

        async def keep_borrowing() -> None:
            for file in files:
                facts[file] = await self.invoke_agent(POOL, Job(file, listing.name_of(file), pace))

        # twice as many as there are analysts: somebody always waits in the pool's line, and never for long
        await asyncio.gather(*(keep_borrowing() for _ in range(2 * analysts)))
        return Reading(listing, tuple(facts[file] for file in listing.files))


class Archivist(CrewMember):
    """Half way saves the registry, lets one reviewer go, and rebuilds it from the file.

    Args:
        file: Where to save to.
        reviewers: Who holds the reviewers; the registry itself holds nobody.
        lost: Which of them to let go.
    """

    task = "waits for half time"

    def __init__(self, name: str, file: Path, reviewers: dict[str, BaseAgent], lost: str) -> None:
        self.file = file
        self.reviewers = reviewers
        self.lost = lost
        super().__init__(name, description="Saves and restores the registry.", capabilities=["save the registry"])

    async def work(self, task: Any, context: Mapping[str, Any]) -> Snapshot:
        """The registry as it was saved half way, and whom it restored."""
        await self._half_time((len(context["scout"].files) + 1) // 2)
        saved = AgentRegistry.count()
        await asyncio.to_thread(PersistentRegistry.save_state, self.file)

        del self.reviewers[self.lost]
        forgotten = AgentRegistry.get(self.lost) is None

        state = PersistentRegistry.load_state(self.file)
        report = await PersistentRegistry.restore_agents(state, {}, factories={"Reviewer": Reviewer})
        self.reviewers.update(report.restored)
        return Snapshot(self.file, saved, self.lost, forgotten, tuple(report.restored), tuple(report.skipped))

    async def _half_time(self, files: int) -> None:
        if not files:
            return
        left = files
        reached = asyncio.Event()

        def count(call: CallFinished) -> None:
            nonlocal left
            left -= AgentRegistry.get_pool_name_for_instance(call.name) == POOL
            if left <= 0:
                reached.set()

        with AgentRegistry.on_call(count):
            await reached.wait()


class Reviewer(CrewMember):
    """Picks the worst places by the rules that its capabilities name."""

    task = "picks the worst places"

    async def work(self, task: Sequence[FileFacts], context: Mapping[str, Any]) -> tuple[Finding, ...]:
        """The worst places of the files in *task*."""
        return worst_places(task, self.capabilities)


class Editor(CrewMember):
    """Asks the registry who can do what the files need, and lets that one review them."""

    task = "finds a reviewer"

    def __init__(self, name: str) -> None:
        super().__init__(name, description="Finds a reviewer.", capabilities=["choose a reviewer"])

    async def work(self, task: Any, context: Mapping[str, Any]) -> Review:
        """What the reviewer that it picked has found."""
        reading: Reading = context["dispatcher"]
        needed = needed_capabilities(reading.files)
        candidates = {
            name: tuple(capability for capability in needed if capability in CapabilityRegistry.capabilities_of(name))
            for name in CapabilityRegistry.find_any_of(needed)
        }
        picked = CapabilityRegistry.find_best_match(needed)
        if picked is None:
            raise LookupError(f"nobody can find {' or '.join(needed)}")
        findings = await self.invoke_agent(picked, reading.files)
        return Review(reading, needed, candidates, picked, findings)


class Reporter(CrewMember):
    """Writes what was found into a Markdown file."""

    task = "writes the report"

    def __init__(self, name: str, file: Path) -> None:
        self.file = file
        super().__init__(name, description="Writes the report.", capabilities=["write Markdown"])

    async def work(self, task: Any, context: Mapping[str, Any]) -> Path:
        """The file that it has written."""
        review: Review = context["editor"]
        shares = LoadBalancedRegistry.get_statistics()["invocation_counts"]
        await asyncio.to_thread(write_report, self.file, review, shares)
        return self.file
