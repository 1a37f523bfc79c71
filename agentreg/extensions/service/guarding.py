"""Who may speak to the service: hosts, origins, the token.

A page that somebody visits can make the browser send requests to this
machine, also under a name of its own that it lets point here. Such requests
carry that name as their host, or the page as their origin; both are refused.

A page can set no header of a WebSocket but its subprotocols. There the token
may come as one of these: offer ``agentreg`` and ``agentreg.bearer.<token>``
(percent-encoded, where it has characters that a subprotocol can't have), and
``agentreg`` is what the service answers.
"""

from __future__ import annotations

import hmac
import ipaddress
import platform
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from agentreg.extensions.service.refusals import Refusal

__all__ = ["SUBPROTOCOL", "Guard", "Head", "subprotocol"]

SUBPROTOCOL = "agentreg"  #: what a WebSocket of the service speaks, if it is asked

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_REMEMBERED = 1_000


class Head:
    """What the service wants to know of a request's headers."""

    __slots__ = ("authorization", "content_type", "host", "length", "origin", "protocols")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.host = self.origin = self.content_type = self.authorization = self.length = None
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in _WANTED:
                if name == b"host" and name in found:
                    value = b""  # two of them: nobody's
                found[name] = value
        self.host = found.get(b"host")
        self.origin = found.get(b"origin")
        self.content_type = found.get(b"content-type")
        self.authorization = found.get(b"authorization")
        self.length = found.get(b"content-length")
        self.protocols = found.get(_PROTOCOLS)

    host: bytes | None
    origin: bytes | None
    content_type: bytes | None
    authorization: bytes | None
    length: bytes | None
    protocols: bytes | None


_PROTOCOLS = b"sec-websocket-protocol"
_WANTED = frozenset((b"host", b"origin", b"content-type", b"authorization", b"content-length", _PROTOCOLS))
_BEARER = f"{SUBPROTOCOL}.bearer.".encode()


def subprotocol(offered: Iterable[str]) -> str | None:
    """What is answered to the subprotocols that a WebSocket offers.

    >>> subprotocol(["agentreg", "agentreg.bearer.secret"]), subprotocol([])
    ('agentreg', None)
    """
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


class Guard:
    """Checks hosts, origins and the token.

    Args:
        hosts: Names by which the service is called, besides those of the
            loopback interface; ``*`` for this machine's name and every
            numeric address, which no foreign page can have for a name.
        origins: Pages of other origins that may call it, as ``scheme://host:port``.
        token: What callers have to show, except for ``/health``; None for nothing.
    """

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = (), token: str | None = None) -> None:
        if token is not None and (not isinstance(token, str) or not token.strip()):
            raise ValueError(f"token: expected None or some text, got {'empty text' if token == '' else type(token)}")
        names = {*LOOPBACK, *hosts}
        self._numeric = "*" in names
        self._names = {name.lower() for name in names} | ({platform.node().lower()} if self._numeric else set())
        self._origins = {origin.lower().rstrip("/").encode() for origin in origins}
        self._token = None if token is None else token.encode()
        self._fine: set[bytes] = set()

    def check(self, head: Head, open_to_all: bool = False) -> None:
        """Raise a Refusal for a request that is not to be answered."""
        if head.host not in self._fine:
            self._check_host(head.host)
        if head.origin is not None:
            self._check_origin(head)
        if self._token is not None and not open_to_all:
            self._check_token(head)

    def _check_host(self, host: bytes | None) -> None:
        text = (host or b"").decode("latin-1").lower()
        name = text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() else text
        if not (name in self._names or (self._numeric and _is_numeric(name))):
            raise Refusal(
                403,
                f"host {text!r} is not this service: it answers to {', '.join(sorted(self._names))} "
                "(others have to be allowed when it is started)",
            )
        if host is not None and len(self._fine) < _REMEMBERED:
            self._fine.add(host)

    def _check_origin(self, head: Head) -> None:
        origin = (head.origin or b"").lower()
        if origin.partition(b"://")[2] == (head.host or b"").lower() or origin in self._origins:
            return
        shown = origin.decode("latin-1")
        raise Refusal(403, f"origin {shown!r} may not call this service; allow it when the service is started")

    def _check_token(self, head: Head) -> None:
        shown = _shown(head)
        if not any(hmac.compare_digest(each, self._token or b"") for each in shown):
            came = "another token came" if shown else "no token came"
            challenge = {"www-authenticate": 'Bearer realm="agentreg"'}
            raise Refusal(401, f"this service wants its token, as Authorization: Bearer ...; {came}", None, challenge)


def _shown(head: Head) -> list[bytes]:
    """The tokens that came: in the header that is meant for it, else among the subprotocols."""
    if head.authorization is not None:
        scheme, _, token = head.authorization.partition(b" ")
        return [token.strip() if scheme.lower() == b"bearer" else b""]
    offered = map(bytes.strip, (head.protocols or b"").split(b","))
    tokens = [each[len(_BEARER) :] for each in offered if each.startswith(_BEARER)]
    return [form for token in tokens for form in (token, unquote_to_bytes(token))]


def _is_numeric(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return False
