"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    DamagedStoreError,
    DirectoryUnavailableError,
)
from agentreg.extensions.coordination.backend import Backend
from agentreg.extensions.definitions import DefinitionStore
from agentreg.extensions.service.bodies import Gone
from agentreg.extensions.service.dashboard import dashboard_routes, is_asset
from agentreg.extensions.service.definitions import Table, definition_routes
from agentreg.extensions.service.docstore import Bearers, docstore_routes, failure, is_ours
from agentreg.extensions.service.events import Hub, event_routes
from agentreg.extensions.service.exposition import Exposition, Traffic
from agentreg.extensions.service.full import Changing, full_routes
from agentreg.extensions.service.guarding import Guard, Head
from agentreg.extensions.service.limits import Limits, Timing
from agentreg.extensions.service.mirror import Mirror, Mirroring
from agentreg.extensions.service.openapi import description_routes, is_description
from agentreg.extensions.service.opening import Opening
from agentreg.extensions.service.operations import Operations, operations_routes
from agentreg.extensions.service.records import record_routes
from agentreg.extensions.service.refusals import Refusal, unavailable
from agentreg.extensions.service.roster import Roster
from agentreg.extensions.service.simple import ASGIApp, SimpleForm

__all__ = ["create_app", "open_directory", "start_directory"]

_log = logging.getLogger(__name__)
_REVISION = b"agentreg-revision"
_REFUSED, _TRY_LATER = 1008, 1013  # why a WebSocket is closed


def open_directory(backend: str | Backend, **options: Any) -> AgentDirectory:
    """A directory as the service wants it: one that leaves it to the service to judge heartbeats."""
    config = AgentDirectoryConfig(enable_heartbeat_monitoring=False, enable_event_broadcasting=False)
    return AgentDirectory(config, backend, **options)


def create_app(
    directory: AgentDirectory,
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    origins: Iterable[str] = (),
    timing: Timing | None = None,
    limits: Limits | None = None,
    instance_id: str | None = None,
    ending: asyncio.Event | None = None,
    definitions: DefinitionStore | None = None,
    opens: Callable[[], Awaitable[None]] | None = None,
    mirrors: Iterable[Mirror] = (),
    operations: Operations | None = None,
) -> ASGIApp:
    """The registry over HTTP, as an ASGI application; its life starts the directory and shuts it down.

    Args:
        directory: From `open_directory`; it need not be started. One that
            judges heartbeats itself is refused (ValueError): its time-outs
            would take away what the service keeps.
        token: What callers have to show as a bearer token; None for nothing,
            which is for the loopback interface only.
        hosts: Further names by which it is called; ``*`` for this machine's
            and every numeric address.
        origins: Pages of other origins that may call it.
        timing: When an agent is stale, and when it is forgotten.
        limits: How much of anything is taken.
        instance_id: Names this start of the service in ``/health``; made up if left out.
        ending: Set by the server when streams of events are to be closed: it
            waits for requests to end before it ends the application.
        definitions: What ``/registry/definitions`` and the routes of a document store show; the
            application closes it at its end. Without one, these routes answer 404.
        opens: Starts the directory in a way of its own; `start_directory`, if left out. While the store
            can't be used it is called again twice a second, and all that needs the store answers 503.
        mirrors: Who else is told who joins, changes and leaves; see `Mirroring`, which feeds them.
        operations: What samples, watches, allocates and decides; without them, their routes answer 404.
    """
    if directory.config.enable_heartbeat_monitoring:
        raise ValueError(
            "directory: expected one with enable_heartbeat_monitoring=False, as open_directory() makes it; "
            "this one would remove agents by its own time-outs"
        )
    origins = tuple(origins)
    limits = limits or Limits()
    roster = Roster(directory, timing or Timing(), limits)
    guard = Guard(hosts, origins, token)
    ending = ending or asyncio.Event()
    hub = Hub(directory, ending, watches_memory=operations is None)
    table = Table(definitions)
    mirroring = Mirroring(directory, mirrors)

    changing = Changing(roster, operations)
    if operations is not None:
        operations.attach(roster, hub, changing)

    def begin() -> None:
        roster.minder.start()
        mirroring.start()
        if operations is not None:
            operations.begin()

    opening = Opening(opens or functools.partial(start_directory, directory), begin)
    exposition = Exposition(roster, hub, opening, operations)
    routes = [
        *full_routes(roster, changing, operations),
        *operations_routes(operations, roster),
        *event_routes(hub),
        *record_routes(roster, ending),
        *definition_routes(table, limits),
        *docstore_routes(table, Bearers(token), limits),
        *dashboard_routes(operates=operations is not None),
        *exposition.routes(),
        *description_routes(),
    ]
    exposition.traffic.know(routes)
    life = functools.partial(_life, roster, hub, table, opening, mirroring, operations)
    rest = Starlette(routes=routes, lifespan=lambda _: life(), exception_handlers=_HANDLERS)
    traffic = exposition.traffic
    guarded = _Guarded(guard, directory, opening, traffic, rest)
    app: ASGIApp = SimpleForm(roster, guard, instance_id or uuid4().hex, guarded, opening, traffic.simple)
    return _with_cors(app, origins) if origins else app


async def start_directory(directory: AgentDirectory) -> None:
    """Start it; if its store is damaged, which sets the file aside, with a new one."""
    try:
        await directory.start()
    except DamagedStoreError as error:
        _log.error("%s", error)
        await directory.start()


@contextlib.asynccontextmanager
async def _life(
    roster: Roster, hub: Hub, table: Table, opening: Opening, mirroring: Mirroring, operations: Operations | None
) -> AsyncIterator[None]:
    directory = roster.directory
    await opening.begin()
    try:
        yield
    finally:
        await opening.close()
        await hub.close()
        await mirroring.close()
        if operations is not None:
            await operations.close()
        try:
            await roster.close()
        finally:
            await table.close()
            await directory.shutdown()


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    methods, headers = ["GET", "POST", "PUT", "DELETE"], ["Authorization", "Content-Type", "If-Match"]
    return CORSMiddleware(app, origins, methods, headers, expose_headers=["ETag", "Agentreg-Revision"])


class _Guarded:
    """Lets only those requests through that may be answered, and puts the revision into every answer."""

    def __init__(self, guard: Guard, directory: AgentDirectory, opening: Opening, traffic: Traffic, app: Any) -> None:
        self._guard = guard
        self._traffic = traffic
        self._opening = opening
        self._directory = directory
        self._app = app

    async def __call__(self, scope: Any, receive: Any, bare_send: Any) -> None:
        began = time.perf_counter()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                self._traffic.answered(scope.get("endpoint"), scope["method"], message["status"], seconds)
                message["headers"] = [*message["headers"], (_REVISION, b"%d" % self._directory.revision)]
            await bare_send(message)

        try:
            if scope["type"] in ("http", "websocket"):
                self._guard.check(Head(scope["headers"]), open_to_all=_is_open(scope["path"]))
                if self._opening.trouble is not None and _needs_the_store(scope["path"]):
                    raise unavailable(self._opening.trouble)
        except Refusal as refusal:
            if scope["type"] == "websocket":
                await receive()
                if "websocket.http.response" in scope.get("extensions", ()):
                    await _answer_to(refusal, scope["path"])(scope, receive, send)
                    return
                code = _TRY_LATER if refusal.status == 503 else _REFUSED
                await send({"type": "websocket.close", "code": code, "reason": refusal.detail[:120]})
            else:
                await _answer_to(refusal, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)


def problem(refusal: Refusal) -> Response:
    """The answer to a request that is refused."""
    return Response(refusal.as_problem(), refusal.status, refusal.headers, "application/problem+json")


def _is_open(path: str) -> bool:
    """Whether it wants no token, or has an authentication of its own."""
    return is_ours(path) or is_asset(path) or is_description(path)


def _needs_the_store(path: str) -> bool:
    return path.startswith("/registry/") and not path.startswith("/registry/definitions")


def _answer_to(refusal: Refusal, path: str) -> Response:
    return failure(refusal) if is_ours(path) else problem(refusal)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _answer_to(error, request.url.path)


async def _away(request: Request, error: Exception) -> Response:
    return _answer_to(unavailable(error), request.url.path)


async def _broken(request: Request, error: Exception) -> Response:
    detail = f"{request.method} {request.url.path}: this is an error of the service's own; its log has more"
    return _answer_to(Refusal(500, detail), request.url.path)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    headers = {"allow": _allowed(request)} if error.status_code == 405 else dict(error.headers or {})
    return _answer_to(Refusal(error.status_code, detail, headers=headers), request.url.path)


def _allowed(request: Request) -> str:
    """The methods of a path. Several routes may have it, of which the router names those of the first."""
    fitting = (each for each in request.app.routes if each.matches(request.scope)[0] is Match.PARTIAL)
    return ", ".join(sorted({method for route in fitting for method in route.methods}))


_HANDLERS = {
    Refusal: _refused,
    DirectoryUnavailableError: _away,
    DamagedStoreError: _away,
    HTTPException: _http,
    Gone: _gone,
    Exception: _broken,  # it is logged by the server
}
