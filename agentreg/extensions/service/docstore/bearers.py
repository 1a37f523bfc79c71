"""Who has logged in: tokens that expire."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

__all__ = ["Bearers"]

LIFETIME = 3600.0  # seconds
MOST = 1_000


class Bearers:
    """Gives a bearer token to who knows the service's token, and knows it again until it expires.

    They are kept in memory, by their digests: a restart forgets them, and
    clients log in again. Of very many the oldest go first. Not thread-safe:
    for one event loop.

    Attributes:
        lifetime: Seconds until one expires.

    Args:
        token: The service's own, which every password has to be; None if any will do.
        lifetime: Seconds until one expires.
        most: How many are live at once.
        clock: Seconds that only grow.

    >>> bearers = Bearers("secret")
    >>> bearers.log_in("guessed") is None
    True
    >>> bearers.is_live(bearers.log_in("secret"))
    True
    """

    def __init__(
        self,
        token: str | None,
        lifetime: float = LIFETIME,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = None if token is None else token.encode()
        self.lifetime = lifetime
        self._most = most
        self._clock = clock
        self._ends: dict[bytes, float] = {}  # the next to expire first

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._ends)

    def log_in(self, password: str) -> str | None:
        """A new bearer token; None for a wrong password."""
        if self._token is not None and not hmac.compare_digest(password.encode(), self._token):
            return None
        self._forget_the_old()
        bearer = secrets.token_urlsafe(32)
        self._ends[_digest(bearer)] = self._clock() + self.lifetime
        return bearer

    def is_live(self, shown: str) -> bool:
        """Whether *shown* is the service's own token, or one that was given and has not expired."""
        if self._token is not None and hmac.compare_digest(shown.encode(), self._token):
            return True
        return self._clock() < self._ends.get(_digest(shown), float("-inf"))

    def _forget_the_old(self) -> None:
        now = self._clock()
        while self._ends:
            oldest = next(iter(self._ends))
            if len(self._ends) < self._most and now < self._ends[oldest]:
                break
            del self._ends[oldest]


def _digest(bearer: str) -> bytes:
    return hashlib.sha256(bearer.encode()).digest()
