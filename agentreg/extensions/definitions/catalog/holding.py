"""Held: what a catalog holds of one source, and how that follows the source's listings."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from agentreg.extensions.definitions.catalog.checks import Checks, Reload
from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import SourceUnavailableError
from agentreg.extensions.definitions.problems import Problem
from agentreg.extensions.definitions.sources.source import Listing, Source

__all__ = ["Content", "Held", "SourceStatus"]

_log = logging.getLogger("agentreg")


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is doing.

    Attributes:
        name: The source's name.
        reachable: Whether it could be read when it was last asked.
        since: Since when that is so, in seconds since 1970.
        count: How many of its definitions are held now.
        cause: Why it can't be reached, or "".
    """

    name: str
    reachable: bool
    since: float
    count: int
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What is held of a source at one moment: replaced as a whole.

    Attributes:
        status: How the source is doing.
        definitions: What is in force, by path.
        problems: What gave no definition, and what was refused.
        refused: The path of each definition that stays though its file has changed -> why.
    """

    status: SourceStatus
    definitions: tuple[AgentDefinition, ...]
    problems: tuple[Problem, ...]
    refused: dict[str, Problem]


class Held:
    """One source of a catalog. `refresh` is called by one thread at a time; `content` is read by any."""

    def __init__(self, source: Source, checks: Checks, clock: Callable[[], float]) -> None:
        self.source = source
        self.lock = threading.RLock()
        self._checks = checks
        self._clock = clock
        self._listing: Listing | None = None
        self._reachable = True
        self.content = Content(SourceStatus(source.name, True, clock(), 0), (), (), {})

    def refresh(self) -> None:
        """Ask the source, and take over what passes."""
        try:
            listing = self.source.load()
        except SourceUnavailableError as error:
            self._lose(error.cause)
        except Exception as error:  # somebody else's source: as if it were down
            self._lose(f"{type(error).__name__}: {error}")
        else:
            self._take(listing)

    def _lose(self, cause: str) -> None:
        if self._reachable:
            _log.warning("the source %r can't be read: %s", self.source.name, cause)
        if self.source.remote:
            self._listing = None
            self._put(False, (), (), {}, cause)
        else:
            self._put(False, self.content.definitions, self.content.problems, self.content.refused, cause)

    def _take(self, listing: Listing) -> None:
        if not self._reachable:
            _log.info("the source %r can be read again", self.source.name)
        if listing is self._listing and self._reachable and not self.content.refused:
            return
        accepted, refused = self._accepted(listing)
        self._listing = listing
        problems = dict.fromkeys((*listing.problems, *refused.values()))
        self._put(True, tuple(accepted), tuple(problems), refused)

    def _put(
        self,
        reachable: bool,
        definitions: tuple[AgentDefinition, ...],
        problems: tuple[Problem, ...],
        refused: dict[str, Problem],
        cause: str = "",
    ) -> None:
        same = self._reachable == reachable
        since = self.content.status.since if same else self._clock()
        self._reachable = reachable
        status = SourceStatus(self.source.name, reachable, since, len(definitions), cause)
        self.content = Content(status, definitions, problems, refused)

    # -- what passes --------------------------------------------------------

    def _accepted(self, listing: Listing) -> tuple[list[AgentDefinition], dict[str, Problem]]:
        before = {definition.file_path: definition for definition in self.content.definitions}
        namesakes = _by_name(listing)
        accepted: list[AgentDefinition] = []
        refused: dict[str, Problem] = {}
        for definition in listing.definitions:
            previous = before.get(definition.file_path)
            problem = None
            if previous is not definition and previous != definition:
                same = namesakes[definition.kind, definition.name]
                others = tuple(each for each in same if each is not definition) if len(same) > 1 else ()
                problem = self._checks.problem_of(definition, Reload(previous, others))
            if problem is None:
                accepted.append(definition)
                continue
            refused[definition.file_path] = problem
            if previous is not None:
                accepted.append(previous)
        kept = self._kept(listing, before)
        refused.update(kept)
        accepted += [before[path] for path in kept]
        return sorted(accepted, key=_path) if kept else accepted, refused

    @staticmethod
    def _kept(listing: Listing, before: dict[str, AgentDefinition]) -> dict[str, Problem]:
        """The definitions whose file is there but gives none now, because it is broken -> why."""
        there = {definition.file_path for definition in listing.definitions}
        return {
            problem.path: problem
            for problem in listing.problems
            if problem.severity == "error" and problem.path in before and problem.path not in there
        }


def _path(definition: AgentDefinition) -> str:
    return definition.file_path


def _by_name(listing: Listing) -> dict[tuple[str, str], list[AgentDefinition]]:
    found: dict[tuple[str, str], list[AgentDefinition]] = defaultdict(list)
    for definition in listing.definitions:
        found[definition.kind, definition.name].append(definition)
    return found
