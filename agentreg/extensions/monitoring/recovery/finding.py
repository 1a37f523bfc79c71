"""What a check has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

__all__ = ["CONNECTION_FAILURES", "RESOURCES_EXHAUSTED", "UNRESPONSIVE", "Finding"]

UNRESPONSIVE = "unresponsive"
RESOURCES_EXHAUSTED = "resources_exhausted"
CONNECTION_FAILURES = "connection_failures"


@dataclass(frozen=True)
class Finding:
    """Something is wrong with an agent.

    Attributes:
        condition: What: ``"unresponsive"``, ``"resources_exhausted"``, ``"connection_failures"``, or the name of a
            check of your own.
        agent: With whom.
        since: Since when it has been known, in seconds since 1970.
        detail: What was seen.

    Example:
        >>> print(Finding("unresponsive", "planner", 0.0, "no answer within 5 s, 3 times in a row"))
        planner: unresponsive (no answer within 5 s, 3 times in a row)
    """

    condition: str
    agent: str
    since: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.agent}: {self.condition} ({self.detail})" if self.detail else f"{self.agent}: {self.condition}"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON, with the time in ISO 8601."""
        return {**asdict(self), "since": datetime.fromtimestamp(self.since, timezone.utc).isoformat()}
