"""What is asked for in a query: moments, spans, numbers."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from starlette.requests import Request

from agentreg.extensions.service.refusals import Refusal

__all__ = ["iso", "limit_of", "moment", "only", "span"]

_SPAN = re.compile(r"(\d{1,9})\s*([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NUMBER = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII)
_LATEST = 1e11
MOST = 1_000


def iso(seconds: float) -> str:
    """Seconds since 1970 in ISO 8601, in UTC.

    >>> iso(0.0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def span(text: str) -> float | None:
    """The seconds that a span as ``90s`` or ``1h`` has; None for anything else.

    >>> span("2h"), span("soon")
    (7200, None)
    """
    found = _SPAN.fullmatch(text.strip())
    return int(found[1]) * _SECONDS[found[2]] if found else None


def moment(field: str, text: str | None, now: float) -> float | None:
    """The seconds since 1970 that *text* says: ISO 8601, those seconds, or a span back from *now*. A Refusal (400)."""
    if text is None or text == "":
        return None
    back = span(text)
    found = max(now - back, 0.0) if back is not None else _written(text.strip())
    if found is None or not 0 <= found < _LATEST:
        expected = "ISO 8601 (2024-08-14T15:30:45Z), seconds since 1970, or a span back from now (1h, 30d)"
        raise Refusal(400, f"{field}: expected {expected}, got {text[:80]!r}")
    return found


def _written(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    text = text.replace(" ", "+") if "T" in text else text  # in a query, a + is a space
    text = f"{text[:-1]}+00:00" if text[-1:] in ("Z", "z") else text
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (OverflowError, ValueError):
        return None


def limit_of(request: Request, usual: int = 100) -> int:
    """How many are asked for by ``limit``. A Refusal (400)."""
    text = request.query_params.get("limit")
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= MOST):
        raise Refusal(400, f"limit: expected a whole number from 1 to {MOST}, got {text[:80]!r}")
    return int(text)


def only(request: Request, *names: str) -> None:
    """Refuse parameters of other names, which are mistakes. A Refusal (400)."""
    for name in request.query_params:
        if name not in names:
            there = f"there are {', '.join(names)}" if names else "there are none here"
            raise Refusal(400, f"{name[:80]}: no such parameter; {there}")
