"""What is wrong with a definition, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agentreg import RegistryError

__all__ = [
    "WARNING_LIMIT",
    "DefinitionError",
    "DefinitionNotFoundError",
    "NotAnAgent",
    "Problem",
    "Reporter",
    "Severity",
]

WARNING_LIMIT = 100  # about one text

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to say about one place in a file.

    Attributes:
        path: The file, or what else the text came from.
        line: Counted from 1.
        column: In characters, counted from 1.
        message: What is wrong.
        remedy: What to do.
        severity: ``"error"`` when the file gives no definition, ``"warning"`` when what it gives may not be what was
            meant, ``"information"`` for a file that is no agent and does not look like one.

    Example:
        >>> print(Problem("scout.md", 1, 1, "the header is not closed", "close it with a line ---"))
        scout.md:1:1: the header is not closed; close it with a line ---
    """

    path: str
    line: int
    column: int
    message: str
    remedy: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}; {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON."""
        return asdict(self)


class DefinitionError(RegistryError, ValueError):
    """A text gives no definition, because something in it is wrong.

    Attributes:
        problem: What, where, and what to do.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


class NotAnAgent(RegistryError, ValueError):
    """A text is no definition and need not be one: a README among the agents, for example.

    Attributes:
        problem: How that was seen; a warning where it looks like a definition gone wrong, else an information.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


class DefinitionNotFoundError(RegistryError, LookupError):
    """No definition has this name now.

    Attributes:
        name: The name that was asked for.
        nearest: Names that look like it, the nearest first.
    """

    def __init__(self, name: str, nearest: Iterable[str] = ()) -> None:
        self.name = name
        self.nearest = tuple(nearest)
        super().__init__(name, self.nearest)

    def __str__(self) -> str:
        if not self.nearest:
            return f"no definition is named {self.name!r}, nor anything like it; Catalog.problems() says what is wrong"
        return f"no definition is named {self.name!r}; the nearest names are {', '.join(map(repr, self.nearest))}"


class Reporter:
    """Collects the warnings about one text, and makes its errors. Not thread-safe: one is made for each parse."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.warnings: list[Problem] = []

    @property
    def has_room(self) -> bool:
        """Whether a further warning would be kept."""
        return len(self.warnings) <= WARNING_LIMIT

    def warn(self, line: int, column: int, message: str, remedy: str) -> None:
        """Keep a warning; of very many, the first."""
        if len(self.warnings) == WARNING_LIMIT:
            message, remedy = f"there are more than {WARNING_LIMIT} warnings", "mend those above first"
        if self.has_room:
            self.warnings.append(Problem(self.path, line, column, message, remedy, "warning"))

    def error(self, line: int, column: int, message: str, remedy: str) -> DefinitionError:
        """An error to raise."""
        return DefinitionError(Problem(self.path, line, column, message, remedy))

    def no_agent(self, line: int, column: int, message: str, remedy: str, severity: Severity) -> NotAnAgent:
        """That the text is no agent, to raise."""
        return NotAnAgent(Problem(self.path, line, column, message, remedy, severity))
