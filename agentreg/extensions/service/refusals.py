"""What is answered when a request can't be done."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

__all__ = ["Refusal", "unavailable"]


class Refusal(Exception):
    """A request is refused; either form of the interface puts it in its own words.

    Attributes:
        status: The HTTP status.
        detail: What came, what was expected, what to do.
        at: Where in the body, as a JSON pointer; None for none.
        headers: Further headers of the answer.
        more: Further members of the answer.
    """

    def __init__(
        self, status: int, detail: str, at: str | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.at = at
        self.headers = headers or {}
        self.more = more

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"

    def as_problem(self) -> bytes:
        """The problem document (RFC 9457)."""
        title = HTTPStatus(self.status).phrase
        problem = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.more}
        if self.at is not None:
            problem["pointer"] = self.at
        return msgspec.json.encode(problem)

    def as_simple(self) -> bytes:
        """The same for clients of the simple form."""
        return msgspec.json.encode({"ok": False, "error": self.detail, **self.more})


def unavailable(error: BaseException) -> Refusal:
    """The store can't be used at the moment."""
    return Refusal(503, str(error), headers={"retry-after": "1"})
