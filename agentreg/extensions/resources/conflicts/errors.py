"""What can go wrong with conflicts, each with the names it concerns and the way out."""

from __future__ import annotations

from collections.abc import Iterable

from agentreg import RegistryError

__all__ = ["AlreadyAnsweredError", "ConflictRefusedError", "ConnectionUnavailableError", "DecisionLogError"]


class ConflictRefusedError(RegistryError, ValueError):
    """A request was refused because of a conflict.

    Attributes:
        kind: ``"name"``, ``"resources"``, ``"tools"`` or ``"mcp"``.
        subject: The name that was asked for.
        reason: Why, in a sentence.
        alternatives: The strategies that would have been another way out.
    """

    def __init__(self, kind: str, subject: str, reason: str, alternatives: Iterable[str] = ()) -> None:
        self.kind = kind
        self.subject = subject
        self.reason = reason
        self.alternatives = tuple(alternatives)
        super().__init__(kind, subject, reason, self.alternatives)

    def __str__(self) -> str:
        way_out = f"; a policy could choose {', '.join(self.alternatives)}" if self.alternatives else ""
        return f"{self.subject!r} was refused for a conflict of {self.kind}: {self.reason}{way_out}"


class AlreadyAnsweredError(RegistryError, ValueError):
    """A pending decision was answered before; the first answer holds.

    Attributes:
        decision_id: Which decision.
        choice: What was chosen first.
        by: Who chose it.
        refused: The choice that came too late.
    """

    def __init__(self, decision_id: str, choice: str, by: str, refused: str) -> None:
        super().__init__(decision_id, choice, by, refused)
        self.decision_id = decision_id
        self.choice = choice
        self.by = by
        self.refused = refused

    def __str__(self) -> str:
        return (
            f"decision {self.decision_id} was answered already: {self.choice!r} by {self.by!r}; "
            f"{self.refused!r} came later and changes nothing"
        )


class ConnectionUnavailableError(RegistryError, ConnectionError):
    """There is no connection to an MCP server to be had, now or later.

    Attributes:
        server: The server's name.
        reason: Why, in a few words.
    """

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(server, reason)
        self.server = server
        self.reason = reason

    def __str__(self) -> str:
        return f"no connection to the MCP server {self.server!r}: {self.reason}"


class DecisionLogError(RegistryError, OSError):
    """A file of decisions can't be opened or read.

    Attributes:
        path: The file.
        reason: Why, in a few words.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
