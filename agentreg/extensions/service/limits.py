"""How much of anything the service takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

__all__ = ["Limits", "Timing"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused when there is more of it; every refusal names its limit.

    Attributes:
        body: Bytes of one request's body.
        drained: Bytes of a longer body that are read and dropped, so that
            the refusal arrives; of one that is longer still, the connection ends.
        name: Characters of a name or an id.
        text: Characters of any other text.
        metadata: Bytes of each JSON object in a record.
        depth: Levels of nesting in a body.
        ids: Ids in one request.
    """

    body: int = 1_000_000
    drained: int = 16_777_216
    name: int = 256
    text: int = 4_096
    metadata: int = 65_536
    depth: int = 32
    ids: int = 10_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{field.name}: expected a whole number from 1 up, got {value!r}")


@dataclass(frozen=True, slots=True)
class Timing:
    """When a silent agent is stale, and when one that is stale or stopped is forgotten.

    Attributes:
        stale_after: Seconds without a heartbeat.
        prune_after: Seconds as stale or stopped.
    """

    stale_after: float = 90.0
    prune_after: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("stale_after", "prune_after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number of seconds above 0, got {value!r}")
