"""``/registry/events``: the stream over WebSocket, and as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from agentreg.extensions.service.events.frames import TYPES, encoded
from agentreg.extensions.service.events.hub import Filter, Hub, Packet, Reader
from agentreg.extensions.service.events.wire import EXTENSION, FramesProtocol
from agentreg.extensions.service.guarding import subprotocol
from agentreg.extensions.service.refusals import Refusal

__all__ = ["event_routes"]

_PATH = "/registry/events"
_PATIENCE = 2.0  # seconds for a reader that is too slow to take its leave
_SILENCE = 15.0  # seconds after which an idle stream of server-sent events shows that it is alive
_GOING_AWAY, _REFUSED, _TOO_SLOW = 1001, 1008, 1013
_THE_END = "the service ends"
_ADVICE = "you read more slowly than events come; connect anew for a fresh listing"


def event_routes(hub: Hub) -> list[BaseRoute]:
    """The stream's routes."""
    streams = _Streams(hub)
    return [WebSocketRoute(_PATH, _Endpoint(streams.socket)), Route(_PATH, streams.events, methods=["GET"])]


class _Endpoint:
    """An ASGI application: a plain function would be given Starlette's own request."""

    def __init__(self, answer: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._answer(scope, receive, send)


class _Streams:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    # -- WebSocket ----------------------------------------------------------

    async def socket(self, scope: Any, receive: Any, send: Any) -> None:
        """One reader's connection."""
        socket = WebSocket(scope, receive, send)
        await socket.accept(subprotocol(scope.get("subprotocols", ())))
        try:
            since, wanted = _asked(socket.query_params, None)
        except Refusal as refusal:
            await socket.close(_REFUSED, refusal.detail[:120])
            return
        wire: FramesProtocol | None = scope.get("extensions", {}).get(EXTENSION)
        async with self._hub.reading(since, wanted) as reader:
            if wire is None:
                await _attend(socket, reader)
            else:
                reader.flow_to(wire, partial(_leave, wire, reader))
                await _until_it_leaves(receive)

    # -- server-sent events -------------------------------------------------

    async def events(self, request: Request) -> Response:
        since, wanted = _asked(request.query_params, request.headers.get("last-event-id"))
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._lines(since, wanted), media_type="text/event-stream", headers=headers)

    async def _lines(self, since: int | None, wanted: Filter) -> AsyncIterator[bytes]:
        async with self._hub.reading(since, wanted) as reader:
            while True:
                try:
                    packet = await reader.next(_SILENCE)
                except (TimeoutError, asyncio.TimeoutError):
                    yield b": still here\n\n"
                    continue
                if packet is None:
                    break
                yield b"".join(map(_event, packet.frames))
            if reader.overflown:
                yield _event(_farewell(reader))


def _event(frame: bytes) -> bytes:
    revision = frame.partition(b'"revision":')[2].partition(b",")[0]
    kind = frame.partition(b'"type":"')[2].partition(b'"')[0]
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (revision, kind, frame)


def _leave(wire: FramesProtocol, reader: Reader) -> None:
    if reader.overflown:
        wire.write_frame(Packet([_farewell(reader)]).wire)
        wire.leave(_TOO_SLOW, _ADVICE)
    else:
        wire.leave(_GOING_AWAY, _THE_END)


async def _attend(socket: WebSocket, reader: Reader) -> None:
    """Send by the common way, that of every ASGI server."""
    sending = asyncio.create_task(_send_all(socket, reader))
    leaving = asyncio.create_task(_until_it_leaves(socket.receive))
    slow = asyncio.create_task(reader.until_overflown())
    try:
        await asyncio.wait((sending, leaving, slow), return_when=asyncio.FIRST_COMPLETED)
        if slow.done():  # perhaps it reads on, and hears why it is closed
            await asyncio.wait((sending, leaving), timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving, slow):
            task.cancel()
        await asyncio.gather(sending, leaving, slow, return_exceptions=True)


async def _send_all(socket: WebSocket, reader: Reader) -> None:
    while True:
        packet = await reader.next()
        if packet is None:
            break
        await socket.send_text(packet.text)
    await _take_leave(socket, reader)


async def _take_leave(socket: WebSocket, reader: Reader) -> None:
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        if reader.overflown:
            await asyncio.wait_for(socket.send_text(_farewell(reader).decode()), _PATIENCE)
            await asyncio.wait_for(socket.close(_TOO_SLOW, _ADVICE), _PATIENCE)
        else:
            await asyncio.wait_for(socket.close(_GOING_AWAY, _THE_END), _PATIENCE)


def _farewell(reader: Reader) -> bytes:
    return encoded("resync", reader.position, {"reason": _ADVICE})


async def _until_it_leaves(receive: Callable[[], Awaitable[Any]]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (await receive())["type"] != "websocket.disconnect":
            pass  # what it says is of no interest


# -- what is asked for ----------------------------------------------------------


def _asked(parameters: QueryParams, last: str | None) -> tuple[int | None, Filter]:
    several: dict[str, Any] = {"type": None, "agent": None, "capability": None}
    since = last
    for name, value in parameters.multi_items():
        if name == "since":
            since = last or value
        elif name in several:
            several[name] = (several[name] or frozenset()) | {each for each in value.split(",") if each}
        else:
            raise Refusal(400, f"{name}: no such parameter; there are since, {', '.join(several)}")
    _check_types(several["type"] or ())
    capabilities = several["capability"] and frozenset(map(str.lower, several["capability"]))
    return _revision(since), Filter(several["type"], several["agent"], capabilities)


def _check_types(types: Iterable[str]) -> None:
    for each in types:
        if each not in TYPES:
            raise Refusal(400, f"type: expected {', '.join(TYPES)}, several with commas; got {each!r:.80}")


def _revision(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refusal(400, f"since: expected a revision, a whole number from 0 up, got {text!r:.80}")
    return int(text)
