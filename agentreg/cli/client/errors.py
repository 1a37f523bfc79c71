"""How speaking to the service fails."""

from __future__ import annotations

from agentreg.cli.errors import REFUSED, USAGE, CommandError

__all__ = ["NoServiceError", "RefusedError"]


class NoServiceError(CommandError):
    """No service answers, or what answers is none."""

    code = USAGE


class RefusedError(CommandError):
    """The service answered, and refused.

    Attributes:
        status: The HTTP status.
    """

    code = REFUSED

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
