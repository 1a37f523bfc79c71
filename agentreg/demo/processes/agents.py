"""The agents of a runtime: plain classes with a ``run``, and what they hand to one another as plain JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from agentreg.demo.measure import FileFacts, FunctionFacts, measure
from agentreg.demo.rules import RULES, Finding, worst_places

__all__ = ["MEASURE", "REVIEW", "Agent", "Analyst", "Reviewer", "facts_from", "finding_from", "hired"]

MEASURE = "measure Python files"
REVIEW = "review measurements"


class Agent(Protocol):
    """Anything with capabilities and a ``run``."""

    capabilities: tuple[str, ...]

    async def run(self, task: Mapping[str, Any]) -> Any:
        """Do it; the result is plain JSON."""


class Analyst:
    """Measures one Python file at a time."""

    capabilities: tuple[str, ...] = (MEASURE,)

    async def run(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The facts about ``file``, which is called ``path`` in them."""
        # in a thread, so that this process hears of the directory meanwhile
        facts = await asyncio.to_thread(measure, Path(task["file"]), task["path"])
        return asdict(facts)


class Reviewer:
    """Picks the worst places of a file by its measurements."""

    capabilities: tuple[str, ...] = (REVIEW,)

    async def run(self, task: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The places that stand out, the worst first."""
        findings = worst_places([facts_from(task["facts"])], RULES)
        return [asdict(finding) for finding in findings if finding.excess > 1]


def hired(runtime_id: str, analysts: int) -> dict[str, Agent]:
    """A runtime's agents, by id.

    >>> list(hired("runtime-1", 2))
    ['runtime-1-analyst-1', 'runtime-1-analyst-2', 'runtime-1-reviewer']
    """
    agents: dict[str, Agent] = {f"{runtime_id}-analyst-{number + 1}": Analyst() for number in range(analysts)}
    return {**agents, f"{runtime_id}-reviewer": Reviewer()}


def facts_from(plain: Mapping[str, Any]) -> FileFacts:
    """What ``asdict`` and JSON made of a file's facts, as it was."""
    functions = tuple(FunctionFacts(**function) for function in plain["functions"])
    return FileFacts(**{**plain, "functions": functions, "imports": tuple(plain["imports"])})


def finding_from(plain: Mapping[str, Any]) -> Finding:
    """The same for a finding."""
    return Finding(**{**plain, "reasons": tuple(plain["reasons"])})
