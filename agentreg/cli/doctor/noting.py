"""What an area looks at and what it finds there, noted down on the way."""

from __future__ import annotations

from agentreg.cli.doctor.findings import Cell, Examination, Finding, Table

__all__ = ["Notes"]

HEAD = ("what", "where", "state")


class Notes:
    """An examination that grows.

    Args:
        serve: The command that starts the service of this workspace, for fixes.

    >>> notes = Notes()
    >>> notes.row("workspace", "/office", "writable")
    >>> notes.warning("it is empty", "agentreg serve")
    >>> notes.examination().ok
    True
    """

    def __init__(self, serve: str = "agentreg serve") -> None:
        self.serve = serve
        self._rows: list[tuple[Cell, ...]] = []
        self._findings: list[Finding] = []

    def row(self, what: str, where: object, state: str) -> None:
        """Say what was looked at, and how it is, in a word or two."""
        self._rows.append((what, str(where), state))

    def error(self, what: str, fix: str) -> None:
        """Say what is wrong, and what to do."""
        self._findings.append(Finding("error", what, fix))

    def warning(self, what: str, fix: str) -> None:
        """Say what may be wrong, and what to do."""
        self._findings.append(Finding("warning", what, fix))

    def note(self, what: str, fix: str = "") -> None:
        """Say what is good to know."""
        self._findings.append(Finding("note", what, fix))

    def examination(self) -> Examination:
        """All of it, in the order in which it was noted."""
        return Examination(Table(HEAD, self._rows), self._findings)
