"""Casting: what a definition says that its agent can do, and who is fit for which part of the pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentreg.extensions.definitions import AgentDefinition

__all__ = ["CAPABILITIES", "REPORT", "REVIEW", "SURVEY", "Part", "capabilities_of", "cast"]

SURVEY, REVIEW, REPORT = "survey", "review", "report"

# capability -> the beginnings of words by which a definition claims it; in the order of the pipeline
CAPABILITIES: Mapping[str, re.Pattern[str]] = {
    capability: re.compile(rf"\b(?:{beginnings})", re.IGNORECASE)
    for capability, beginnings in (
        (SURVEY, "survey|explor|scout|research|analy|search|investigat|inventor|locat|map|find|architect"),
        (REVIEW, "review|critic|audit|quality|lint|refactor|simplif|inspect|debug|secur|verif|test"),
        (REPORT, "report|writ|document|docs|summar|explain|communicat|present|plan"),
    )
}


@dataclass(frozen=True)
class Part:
    """One part of the pipeline.

    Attributes:
        capability: What it takes.
        definition: Who plays it.
        claimed: Whether that one says it can; if not, nobody else was left.
    """

    capability: str
    definition: AgentDefinition
    claimed: bool


def capabilities_of(definition: AgentDefinition) -> tuple[str, ...]:
    """The capabilities that a definition's words claim, in the order of the pipeline.

    >>> capabilities_of(AgentDefinition("code-reviewer", "Reviews changes and writes them up"))
    ('review', 'report')
    """
    return tuple(capability for capability in CAPABILITIES if _claim(definition, capability))


def cast(definitions: Iterable[AgentDefinition]) -> list[Part]:
    """Who plays which part, in the order of the pipeline: for each capability the one that claims it most.

    Nobody plays two parts. With fewer than three definitions, the parts that fit them least are left out.
    """
    free = {definition.name: definition for definition in definitions}
    wanted = list(CAPABILITIES)
    parts = []
    while wanted and free:
        claims = ((_claim(each, capability), capability, each) for capability in wanted for each in free.values())
        claim, capability, best = max(claims, key=lambda found: (found[0], -wanted.index(found[1])))
        parts.append(Part(capability, best, claim > 0))
        wanted.remove(capability)
        del free[best.name]
    order = list(CAPABILITIES)
    return sorted(parts, key=lambda part: order.index(part.capability))


def _claim(definition: AgentDefinition, capability: str) -> int:
    """How strongly a definition claims a capability: its name and its tags weigh more than its prose."""
    pattern = CAPABILITIES[capability]
    labels = (definition.name.replace("_", " "), definition.specialization or "", *definition.tags)
    said = sum(len(pattern.findall(label)) for label in labels)
    return 5 * said + min(4, len(pattern.findall(definition.description[:2000])))
