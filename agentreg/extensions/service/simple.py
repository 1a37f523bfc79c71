"""The simple form: five routes, answered ahead of the router, since they carry nearly all of the traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from agentreg import __version__
from agentreg.extensions.coordination import AgentMetadata, AgentStatus, DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.service.bodies import Gone, Receive, decode, read_json
from agentreg.extensions.service.guarding import Guard, Head
from agentreg.extensions.service.opening import Opening
from agentreg.extensions.service.refusals import Refusal, unavailable
from agentreg.extensions.service.roster import Registration, Roster
from agentreg.extensions.service.rows import shown_status

__all__ = ["ASGIApp", "Send", "SimpleForm"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Receive, Send], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Heartbeat(msgspec.Struct):
    """The body of ``POST /heartbeat``."""

    id: str | None = None
    ids: list[str] | None = None
    token: str | None = None


class Farewell(msgspec.Struct):
    """The body of ``POST /deregister``."""

    id: str | None = None
    token: str | None = None


_registration = msgspec.json.Decoder(Registration)
_heartbeat = msgspec.json.Decoder(Heartbeat)
_farewell = msgspec.json.Decoder(Farewell)

_ALIVE = b'{"ok":true,"status":"active"}'
_STOPPED = b'{"ok":true}'


class SimpleForm:
    """An ASGI application of five routes; what is for none of them goes to *rest*.

    Args:
        roster: Carries them out.
        guard: Checks who asks.
        instance_id: Names this start of the service.
        rest: Everything else.
        opening: Whether the store is open.
        counts: How many requests were answered, by path, method and status; counted here.
    """

    def __init__(
        self,
        roster: Roster,
        guard: Guard,
        instance_id: str,
        rest: ASGIApp,
        opening: Opening,
        counts: Counter[tuple[str, str, int]],
    ) -> None:
        self._roster = roster
        self._guard = guard
        self._limits = roster.limits
        self._rest = rest
        self._opening = opening
        self._counts = counts
        self._instance_id = instance_id
        self._began = time.monotonic()
        self._routes: dict[str, tuple[str, Callable[[bytes], Awaitable[bytes]]]] = {
            "/heartbeat": ("POST", self._beat),
            "/register": ("POST", self._register),
            "/deregister": ("POST", self._deregister),
            "/agents": ("GET", self._agents),
            "/health": ("GET", self._health),
        }

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._rest(scope, receive, send)
            return
        method, answer = route
        bare = scope["method"] == "HEAD"
        try:
            body = await self._asked(scope, receive, method)
            content = await answer(body)
            self._counts[scope["path"], method, 200] += 1
            await _answer(send, 200, content, {}, bare)
        except Refusal as refusal:
            await self._refuse(scope, send, refusal)
        except (DirectoryUnavailableError, DamagedStoreError) as error:
            await self._refuse(scope, send, unavailable(error))
        except Gone:
            return

    async def _refuse(self, scope: Any, send: Send, refusal: Refusal) -> None:
        method = "other" if refusal.status == 405 else self._routes[scope["path"]][0]
        self._counts[scope["path"], method, refusal.status] += 1
        await _answer(send, refusal.status, refusal.as_simple(), refusal.headers, scope["method"] == "HEAD")

    async def _asked(self, scope: Any, receive: Receive, method: str) -> bytes:
        """The body of a request that may be answered."""
        head = Head(scope["headers"])
        self._guard.check(head, open_to_all=scope["path"] == "/health")
        if self._opening.trouble is not None and scope["path"] != "/health":
            raise unavailable(self._opening.trouble)
        if scope["method"] == method == "POST":
            return await read_json(receive, head, self._limits)
        if method == "GET" and scope["method"] in ("GET", "HEAD"):
            return b""
        allowed = "GET, HEAD" if method == "GET" else method
        raise Refusal(405, f"{scope['path']} is for {allowed}, got {scope['method']}", headers={"allow": allowed})

    # -- the routes ---------------------------------------------------------

    async def _register(self, body: bytes) -> bytes:
        record = await self._roster.register(decode(_registration, body))
        return _encode({"ok": True, "id": record.agent_id, "token": record.token})

    async def _beat(self, body: bytes) -> bytes:
        asked = decode(_heartbeat, body)
        if asked.ids is not None:
            return await self._beat_all(asked.ids)
        if not asked.id:
            raise Refusal(400, "id: expected the id that /register gave, got none", "/id")
        record = self._roster.find(asked.id, asked.token)
        if record is None or record.status is AgentStatus.OFFLINE:
            raise _unknown(asked.id, record)
        await self._hear(record)
        return _ALIVE

    async def _hear(self, record: AgentMetadata) -> None:
        self._roster.beat(record)
        if record.status is AgentStatus.UNHEALTHY:
            await self._roster.revive(record)

    async def _beat_all(self, ids: list[str]) -> bytes:
        most = self._limits.ids
        if not 0 < len(ids) <= most:
            raise Refusal(400, f"ids: expected 1 to {most:,} of them, got {len(ids):,}", "/ids")
        found = {agent_id: self._roster.find(agent_id) for agent_id in ids}
        there = [each for each in found.values() if each is not None and each.status is not AgentStatus.OFFLINE]
        unknown = sorted(found.keys() - {record.agent_id for record in there})
        if not there:
            raise Refusal(404, "ids: none of these agents is there; register them again", "/ids", unknown=unknown)
        for record in there:
            await self._hear(record)
        return _encode({"ok": True, "status": "active", "count": len(there), "unknown": unknown})

    async def _deregister(self, body: bytes) -> bytes:
        asked = decode(_farewell, body)
        if not asked.id:
            raise Refusal(400, "id: expected the id that /register gave, got none", "/id")
        record = self._roster.find(asked.id, asked.token)
        if record is not None and record.status is not AgentStatus.OFFLINE:
            await self._roster.stop(record)
        return _STOPPED

    async def _agents(self, body: bytes) -> bytes:
        await self._roster.minder.judge_if_due()
        return self._roster.rows.encoded()

    async def _health(self, body: bytes) -> bytes:
        trouble = self._opening.trouble or self._roster.trouble
        about = {
            "count": len(self._roster.agents),
            "uptime": time.monotonic() - self._began,
            "instance_id": self._instance_id,
            "version": __version__,
        }
        if trouble is not None:
            raise Refusal(503, str(trouble), None, {"retry-after": "1"}, **about)
        return _encode({"ok": True, **about})


def _unknown(agent_id: str, record: AgentMetadata | None) -> Refusal:
    what = "there is no such agent" if record is None else f"the agent is {shown_status(record)}"
    return Refusal(404, f"id {agent_id[:80]!r}: {what}; register it again", "/id")


async def _answer(send: Send, status: int, content: bytes, more: dict[str, str], bare: bool) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(content))]
    if more:
        headers += [(name.encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bare else content})
