"""What a reviewer looks for: one rule for each capability, and the places that stand out most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agentreg.demo.measure import FileFacts

__all__ = ["RULES", "Finding", "Rule", "needed_capabilities", "worst_places"]

Place = tuple[int, str, int]  # line, name ("" for the file as a whole), value


@dataclass(frozen=True)
class Rule:
    """What is measured, and from where on it stands out.

    Attributes:
        capability: What a reviewer that follows the rule can find.
        limit: The highest value that is usual.
        wording: What to say of a value.
        places: Every place of a file with its value.
    """

    capability: str
    limit: int
    wording: str
    places: Callable[[FileFacts], Iterable[Place]]

    def describe(self, value: int) -> str:
        """A value in words, beside what is usual."""
        return f"{self.wording.format(f'{value:,}')} (usual: up to {self.limit})"


@dataclass(frozen=True)
class Finding:
    """A place that stands out.

    Attributes:
        path, line, name: Where; *name* is empty for a file as a whole.
        reasons: What stands out, in words.
        excess: The highest value over its limit; above 1, it is over the limit.
    """

    path: str
    line: int
    name: str
    reasons: tuple[str, ...]
    excess: float

    @property
    def place(self) -> str:
        """Where, in a form that editors understand."""
        return f"{self.path}:{self.line}" + (f" {self.name}" if self.name else "")


RULES = {
    rule.capability: rule
    for rule in (
        Rule("complex functions", 10, "complexity {}", lambda f: [(x.line, x.name, x.complexity) for x in f.functions]),
        Rule("long functions", 50, "{} lines long", lambda f: [(x.line, x.name, x.lines) for x in f.functions]),
        Rule("large files", 500, "{} lines", lambda f: [(1, "", f.lines)]),
        Rule("many imports", 20, "imports {} modules", lambda f: [(1, "", len(f.imports))]),
        Rule("missing docstrings", 5, "{} without a docstring", lambda f: [(1, "", f.public - f.documented)]),
    )
}


def needed_capabilities(files: Sequence[FileFacts]) -> tuple[str, ...]:
    """The capabilities whose limit is exceeded somewhere, the most exceeded first; never none."""
    excess = {name: max((p.excess for p in _findings(rule, files)), default=0.0) for name, rule in RULES.items()}
    ranked = sorted(excess, key=lambda name: -excess[name])
    return tuple(name for name in ranked if excess[name] > 1) or tuple(ranked[:1])


def worst_places(files: Sequence[FileFacts], capabilities: Iterable[str], limit: int = 5) -> tuple[Finding, ...]:
    """The places that stand out most by the rules of *capabilities*, the worst first; each once.

    Only those over a limit, unless there is none: then the nearest to it.
    """
    rules = [RULES[capability] for capability in capabilities if capability in RULES]
    findings = [finding for rule in rules for finding in _findings(rule, files)]
    places: dict[tuple[str, int, str], Finding] = {}
    for new in [finding for finding in findings if finding.excess > 1] or findings:
        key = (new.path, new.line, new.name)
        old = places.get(key)
        places[key] = new if old is None else _joined(old, new)
    ranked = sorted(places.values(), key=lambda f: (-f.excess, f.path, f.line))
    return tuple(ranked[:limit])


def _findings(rule: Rule, files: Sequence[FileFacts]) -> list[Finding]:
    return [
        Finding(file.path, line, name, (rule.describe(value),), value / rule.limit)
        for file in files
        if file.problem is None
        for line, name, value in rule.places(file)
        if value
    ]


def _joined(old: Finding, new: Finding) -> Finding:
    excess = max(old.excess, new.excess)
    return Finding(old.path, old.line, old.name, (*old.reasons, *new.reasons), excess)
