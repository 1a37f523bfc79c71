"""The stage: one run of the demo of definitions, told to a view as it goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentreg import AgentRegistry, ExecutionConfig, Orchestra, RegistryError
from agentreg.demo.board import Board
from agentreg.demo.definitions.casting import Part, cast
from agentreg.demo.definitions.editing import changed_lines, rewrite
from agentreg.demo.definitions.folders import own_definitions, sources_of
from agentreg.demo.definitions.outcome import Outcome
from agentreg.demo.definitions.thinking import LocalModel
from agentreg.demo.printable import counted, printable
from agentreg.demo.stage import DemoFailed
from agentreg.demo.views import View
from agentreg.extensions.capabilities import CapabilityRegistry
from agentreg.extensions.definitions import (
    AgentDefinition,
    Catalog,
    DefinitionChange,
    DefinitionDeregistered,
    DefinitionMoved,
    DefinitionUpdated,
    FolderSource,
    Problem,
    ReloadRefused,
    Shadowed,
    SpawnedAgent,
)
from agentreg.testing import isolated_registry

__all__ = ["Assignment", "perform"]

PAUSE = 0.45  # seconds between two steps, for the eye
PATIENCE = 20.0  # seconds that the catalog gets to see an edit of our own; it takes less than one
SHOWN = 10  # lines of each list
EDITED = "reviewer"  # which of the demo's own definitions is edited
BEFORE, AFTER = "complex functions and for long functions. Name the 3", "missing docstrings. Name the 2"


@dataclass(frozen=True)
class Assignment:
    """What is to be done.

    Attributes:
        definitions: The folder of definitions; None for the demo's own.
        folder: Where the Python files are that the agents look at; or one such file.
        limit: How many files are read at most.
        wait: Seconds in which edits of *definitions* are waited for, and shown.
        slowly: Whether to take a few seconds, so that an eye can follow.
    """

    definitions: Path | None
    folder: Path
    limit: int = 2000
    wait: float = 0.0
    slowly: bool = False


def perform(assignment: Assignment, view: View) -> Outcome:
    """Run the demo, in a registry of its own: whoever calls it keeps the agents they have.

    Raises:
        DemoFailed: there are no definitions, or an agent could not do its work.
    """
    with isolated_registry(), _sources(assignment) as sources, view:
        return asyncio.run(_Stage(assignment, view, Catalog(sources)).play())


@contextmanager
def _sources(assignment: Assignment) -> Iterator[list[FolderSource]]:
    if assignment.definitions is not None:
        yield sources_of(assignment.definitions)
        return
    with own_definitions() as sources:
        yield sources


class _Stage:
    def __init__(self, assignment: Assignment, view: View, catalog: Catalog) -> None:
        self.assignment = assignment
        self.view = view
        self.catalog = catalog
        self.board = Board()
        self.model = LocalModel(assignment.folder, assignment.limit)
        self.task = f"Look at the Python files of {assignment.folder}"
        self.agents: dict[str, SpawnedAgent] = {}
        self.results: Mapping[str, str] = {}
        self.again: dict[str, str] = {}
        self.changes: list[DefinitionChange] = []
        self._known: set[Problem] = set()
        self._told: asyncio.Queue[DefinitionChange] = asyncio.Queue()

    async def play(self) -> Outcome:
        started = time.perf_counter()
        with AgentRegistry.subscribe(self.board.hear):
            found, shadowed, refused = await self._load()
            watching = asyncio.create_task(self.catalog.watch(debounce=0.2, every=2.0, pulse=0.5))
            try:
                with self.catalog.subscribe(self._listener()):
                    parts = await self._spawn(found)
                    await self._run(parts)
                    await self._live(watching)
                await self._part()
            finally:
                self.agents.clear()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        outcome = Outcome(
            folder=self.assignment.folder,
            found=found,
            shadowed=shadowed,
            refused=refused,
            parts=parts,
            results=self.results,
            again=self.again,
            changes=self.changes,
            joined=self.board.joined,
            remaining=len(AgentRegistry.all_with_pools()),
            seconds=time.perf_counter() - started,
        )
        self._close(outcome)
        return outcome

    # -- the steps ----------------------------------------------------------

    async def _load(self) -> tuple[list[AgentDefinition], list[Shadowed], list[Problem]]:
        given = self.assignment.definitions
        whose = "the demo's own" if given is None else printable(str(given))
        self.view.open(f"agentreg demo: agents that are defined in files ({whose})", self.board)
        found = await asyncio.to_thread(self.catalog.all)
        shadowed, problems, refused = self.catalog.shadowed(), self.catalog.problems(), self._errors()
        self._known = set(refused)
        self._tell_found(found, shadowed, refused)
        others = {problem.path for problem in problems if problem.severity == "information"}
        if others:
            self.view.line(f"{counted(len(others), 'file')} without a header: no agents")
        if not found:
            where = str(self.assignment.definitions)
            raise DemoFailed(f"there is no agent in {where!r}; agentreg check says what is wrong with the files there")
        await self._pause()
        return found, shadowed, refused

    async def _spawn(self, found: list[AgentDefinition]) -> list[Part]:
        self.view.step(
            "capability",
            "Three of them are chosen by what they say that they can do, and spawned: from a text to an agent that is "
            "registered. They think with a local model that needs no key: it follows the words of their instructions.",
        )
        parts = self._spawned(found)
        for part in parts:
            capability = part.capability
            # the index is asked, not the list: this is how a program would find it
            (agent,) = CapabilityRegistry.find_by_capability(capability)
            claim = "" if part.claimed else ", though it does not say so: nobody else was left"
            self.view.line(f"who can {capability}? {printable(agent)}{claim}", mark=True)
        await self._pause()
        return parts

    def _spawned(self, found: list[AgentDefinition]) -> list[Part]:
        """Spawn whoever is fit for a part, but for those under whose names no agent can be registered."""
        free = list(found)
        while free:
            parts = cast(free)
            for part in parts:
                name, capability = part.definition.name, part.capability
                try:
                    agent = self.catalog.spawn(name, model=self.model, goal=capability, capabilities=[capability])
                except (RegistryError, ValueError) as error:
                    self.view.line(f"left out: {printable(str(error))}")
                    free.remove(part.definition)
                    self.agents.clear()
                    break
                self.agents[name] = agent
            else:
                return parts
        raise DemoFailed("no definition has a name under which an agent can be registered")

    async def _run(self, parts: list[Part]) -> None:
        self.view.step("pipeline", "Each works on the files, and on what those before it have said.")
        names = [part.definition.name for part in parts]
        arrows = [[before, after] for place, after in enumerate(names) for before in names[:place]]
        run = await Orchestra.run(
            self.task, {"nodes": names, "edges": arrows}, execution_config=ExecutionConfig(auto_cleanup_agents=False)
        )
        for node, error in run.errors.items():
            raise DemoFailed(f"the agent {node!r} failed: {error}") from error
        self.results = run.results
        for name in names:
            self._tell_answer(name, run.results[name])
            await self._pause()

    async def _live(self, watching: asyncio.Task[None]) -> None:
        sentence = "The files are watched. An edit is taken over by the agent that lives, or refused if it is broken."
        self.view.step("reload", sentence)
        if self.assignment.definitions is None:
            await self._edit_our_own(watching)
        elif self.assignment.wait:
            await self._wait_for_edits(watching)
        else:
            self.view.line("edits are shown, but not waited for: --wait SECONDS does")
        while not self._told.empty():
            await self._hear(self._told.get_nowait())

    async def _part(self) -> None:
        self.view.step("clean-up", "Nobody holds the agents any more, and the registry forgets them.")
        self.agents.clear()
        self.view.line(f"registered now: {counted(AgentRegistry.count(), 'agent')}", mark=True)
        await self._pause()

    # -- living with change -------------------------------------------------

    async def _edit_our_own(self, watching: asyncio.Task[None]) -> None:
        path = self.catalog.require(EDITED).file_path
        self.view.line(f"the file of {EDITED!r} is edited: {path}")
        before = await asyncio.to_thread(rewrite, path, BEFORE, AFTER)
        await self._hear(await self._next(watching, PATIENCE))
        await self._pause()
        self.view.line("now it is broken: the description goes")
        await asyncio.to_thread(rewrite, path, "description:", "descr:")
        await self._hear(await self._next(watching, PATIENCE))
        await asyncio.to_thread(Path(path).write_text, before, encoding="utf-8")
        await self._pause()

    async def _wait_for_edits(self, watching: asyncio.Task[None]) -> None:
        wait = self.assignment.wait
        where = printable(str(self.assignment.definitions))
        self.view.line(f"edit a file in {where} and see; this waits for {wait:g} seconds (--wait), or until Ctrl-C")
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            change = await self._next(watching, min(left, 1.0))
            if change is not None:
                await self._hear(change)
            else:
                self._tell_new_problems()

    def _tell_new_problems(self) -> None:
        """What is wrong with files that have no definition in force, of which the catalog tells no listener."""
        errors = self._errors()
        told = self._known | {change.problem for change in self.changes if isinstance(change, ReloadRefused)}
        for problem in errors:
            if problem not in told:
                self.view.line(f"refused {printable(str(problem))}", mark=True)
        self._known = set(errors)

    def _errors(self) -> list[Problem]:
        return [problem for problem in self.catalog.problems() if problem.severity == "error"]

    async def _next(self, watching: asyncio.Task[None], seconds: float) -> DefinitionChange | None:
        """The next change, or None after so many seconds."""
        change = asyncio.ensure_future(self._told.get())
        try:
            await asyncio.wait({change, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            return change.result() if change.done() else None
        finally:
            change.cancel()

    async def _hear(self, change: DefinitionChange | None) -> None:
        if change is None:
            raise DemoFailed(f"the edit was not seen within {PATIENCE:g} seconds")
        self.changes.append(change)
        name = printable(change.name)
        if isinstance(change, ReloadRefused):
            self.view.line(f"{name} was refused: {printable(str(change.problem))}; the last good one stays", mark=True)
        elif isinstance(change, DefinitionDeregistered):
            self.view.line(f"{name} is gone: {printable(change.previous.file_path)}", mark=True)
        elif isinstance(change, DefinitionMoved):
            self.view.line(f"{name} has moved to {printable(change.definition.file_path)}", mark=True)
        elif isinstance(change, DefinitionUpdated):
            await self._hear_update(change)
        else:
            self.view.line(f"{name} is new: {printable(change.definition.file_path)}", mark=True)

    async def _hear_update(self, change: DefinitionUpdated) -> None:
        self.view.line(f"{printable(change.name)} was updated:", mark=True)
        for line in changed_lines(change.previous, change.definition):
            self.view.line(line)
        agent = self.agents.get(change.name)
        if agent is not None:
            before = {name: self.results[name] for name in self.results if name != change.name}
            self.again[change.name] = await agent.run(self.task, context=before)
            self._tell_answer(change.name, self.again[change.name], "the same agent now")

    # -- telling ------------------------------------------------------------

    def _tell_found(self, found: list[AgentDefinition], shadowed: list[Shadowed], refused: list[Problem]) -> None:
        self.view.step(
            "definitions", "An agent can be defined in a file: a header that says what it is for, and a text."
        )
        self._tell_some([f"found {printable(each.name)} ({each.source}): {_brief(each.description)}" for each in found])
        self._tell_some(
            [
                f"shadowed {printable(each.name)} of {printable(each.loser.file_path)}: {printable(each.reason)}"
                for each in shadowed
            ]
        )
        self._tell_some([f"refused {printable(str(problem))}" for problem in refused])
        counts = f"{counted(len(found), 'definition')}, {len(shadowed):,} shadowed, {len(refused):,} refused"
        self.view.line(counts, mark=True)

    def _tell_some(self, lines: list[str]) -> None:
        for line in lines[:SHOWN]:
            self.view.line(line)
        if len(lines) > SHOWN:
            self.view.line(f"... and {len(lines) - SHOWN:,} more")

    def _tell_answer(self, name: str, answer: str, who: str = "") -> None:
        first, *others = [line for line in answer.split("\n") if line.strip()] or ["(nothing)"]
        self.view.line(f"{printable(name)}{f' ({who})' if who else ''}: {printable(first)}", mark=bool(who))
        self._tell_some([f"  {printable(line)}" for line in others])

    def _close(self, outcome: Outcome) -> None:
        self.view.close(
            [
                ("read", f"{counted(len(self.model.facts()), 'file')} of {printable(str(outcome.folder))}"),
                (
                    "found",
                    f"{counted(len(outcome.found), 'definition')}, {counted(len(outcome.parts), 'agent')} spawned",
                ),
                ("changes", counted(len(outcome.changes), "change") + " while it ran"),
                ("registry", f"{counted(outcome.joined, 'arrival')}, {counted(outcome.remaining, 'agent')} left"),
                ("time", f"{outcome.seconds:.1f} s"),
            ]
        )

    def _listener(self) -> Callable[[DefinitionChange], None]:
        loop = asyncio.get_running_loop()

        def listen(change: DefinitionChange) -> None:
            loop.call_soon_threadsafe(self._told.put_nowait, change)

        return listen

    async def _pause(self) -> None:
        if self.assignment.slowly:
            await asyncio.sleep(PAUSE)


def _brief(text: str) -> str:
    line = printable(" ".join(text[:400].split()))
    return line if len(line) <= 90 else f"{line[:87]}..."
