"""What the spawned agents think with: a local model without a key, that follows the words of an instruction.

It is no language model. It measures Python files, and reads in the system
message, which is made of an agent's definition, what to do with the
figures: so that who edits a definition sees its agent do another thing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path

from agentreg import Message
from agentreg.demo.definitions.casting import REPORT, REVIEW, SURVEY
from agentreg.demo.folder import list_python_files
from agentreg.demo.measure import FileFacts, measure
from agentreg.demo.printable import counted, printable
from agentreg.demo.rules import RULES, worst_places

__all__ = ["LocalModel", "places_wanted", "rules_named"]

_RULE_WORDS = {
    "complex functions": r"complex|simpl|readab",
    "long functions": r"\blong\b|length",
    "large files": r"\blarge|\bhuge|\bbig\b",
    "many imports": r"\bimports?\b|dependenc|coupling",
    "missing docstrings": r"docstring|documentation|\bdocs?\b",
}
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
PLACES = 3  # named where the instruction says nothing


class LocalModel:
    """Answers messages about the Python files of one folder, or one file. Thread-safe: yes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._lock = threading.Lock()
        self._facts: list[FileFacts] | None = None

    def __call__(self, messages: Sequence[Message]) -> str:
        """The answer to the last message, as the system message wants it; those between are what others have found."""
        system = messages[0].content if messages[0].role == "system" else ""
        told = [message for message in messages[:-1] if message.role != "system"]
        goal = re.search(r"^Goal: (\w+)", system, re.MULTILINE)
        skills = {SURVEY: self._survey, REVIEW: self._review, REPORT: self._report}
        return skills[goal[1] if goal else REVIEW](system, told)

    def facts(self) -> list[FileFacts]:
        """What the files are like; measured once."""
        with self._lock:
            if self._facts is None:
                listing = list_python_files(self.folder, self.limit)
                self._facts = [measure(file, listing.name_of(file)) for file in listing.files]
            return self._facts

    # -- the skills ---------------------------------------------------------

    def _survey(self, system: str, told: Sequence[Message]) -> str:
        good = [each for each in self.facts() if each.problem is None]
        lines = [
            f"{counted(len(good), 'Python file')}, {counted(sum(f.lines for f in good), 'line')}, "
            f"{counted(sum(len(f.functions) for f in good), 'function')}, "
            f"{len(self.facts()) - len(good)} that can't be read"
        ]
        largest = sorted(good, key=lambda each: (-each.lines, each.path))[: places_wanted(system)]
        return "\n".join([*lines, *(f"large: {printable(f.path)}, {counted(f.lines, 'line')}" for f in largest)])

    def _review(self, system: str, told: Sequence[Message]) -> str:
        wanted = rules_named(system)
        findings = worst_places(self.facts(), wanted, places_wanted(system))
        lines = [f"{printable(each.place)}: {'; '.join(each.reasons)}" for each in findings]
        return "\n".join([f"looked for {', '.join(wanted)}", *lines])

    def _report(self, system: str, told: Sequence[Message]) -> str:
        title = f"# The Python files of {printable(self.folder.name)}"
        parts = [f"## {message.name}\n\n{message.content}" for message in told]
        return "\n\n".join([title, *(parts or [self._survey(system, told)])])


def rules_named(text: str) -> tuple[str, ...]:
    """The rules that *text* speaks of; all of them, if it speaks of none.

    >>> rules_named("Look for complex functions.")
    ('complex functions',)
    """
    named = tuple(rule for rule in RULES if re.search(_RULE_WORDS[rule], text, re.IGNORECASE))
    return named or tuple(RULES)


def places_wanted(text: str) -> int:
    """How many places *text* asks for, 1 to 9; three, if it doesn't say.

    >>> places_wanted("Name the 2 worst places."), places_wanted("Name five places.")
    (2, 5)
    """
    found = re.search(
        rf"\b([1-9]|{'|'.join(_NUMBERS)})\s+(?:\w+\s+)?(?:places?|findings?|files?)\b", text, re.IGNORECASE
    )
    if found is None:
        return PLACES
    return _NUMBERS.get(found[1].lower()) or int(found[1])
