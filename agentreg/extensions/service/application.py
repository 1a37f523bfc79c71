"""The service as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    DamagedStoreError,
    DirectoryUnavailableError,
)
from agentreg.extensions.coordination.backend import Backend
from agentreg.extensions.service.bodies import Gone
from agentreg.extensions.service.events import Hub, event_routes
from agentreg.extensions.service.full import full_routes
from agentreg.extensions.service.guarding import Guard, Head
from agentreg.extensions.service.limits import Limits, Timing
from agentreg.extensions.service.records import record_routes
from agentreg.extensions.service.refusals import Refusal, unavailable
from agentreg.extensions.service.roster import Roster
from agentreg.extensions.service.simple import ASGIApp, SimpleForm

__all__ = ["create_app", "open_directory", "start_directory"]

_log = logging.getLogger(__name__)
_REVISION = b"agentreg-revision"


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
    hub = Hub(directory, ending)
    routes = [*full_routes(roster), *event_routes(hub), *record_routes(roster, ending)]
    rest = Starlette(routes=routes, lifespan=lambda _: _life(roster, hub), exception_handlers=_HANDLERS)
    app: ASGIApp = SimpleForm(roster, guard, instance_id or uuid4().hex, _Guarded(guard, directory, rest))
    return _with_cors(app, origins) if origins else app


async def start_directory(directory: AgentDirectory) -> None:
    """Start it; if its store is damaged, which sets the file aside, with a new one."""
    try:
        await directory.start()
    except DamagedStoreError as error:
        _log.error("%s", error)
        await directory.start()


@contextlib.asynccontextmanager
async def _life(roster: Roster, hub: Hub) -> AsyncIterator[None]:
    directory = roster.directory
    await start_directory(directory)
    roster.minder.start()
    try:
        yield
    finally:
        await hub.close()
        try:
            await roster.close()
        finally:
            await directory.shutdown()


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    methods, headers = ["GET", "POST", "PUT", "DELETE"], ["Authorization", "Content-Type", "If-Match"]
    return CORSMiddleware(app, origins, methods, headers, expose_headers=["ETag", "Agentreg-Revision"])


class _Guarded:
    """Lets only those requests through that may be answered, and puts the revision into every answer."""

    def __init__(self, guard: Guard, directory: AgentDirectory, app: Any) -> None:
        self._guard = guard
        self._directory = directory
        self._app = app

    async def __call__(self, scope: Any, receive: Any, bare_send: Any) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_REVISION, b"%d" % self._directory.revision)]
            await bare_send(message)

        try:
            if scope["type"] in ("http", "websocket"):
                self._guard.check(Head(scope["headers"]))
        except Refusal as refusal:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail[:120]})
            else:
                await problem(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def problem(refusal: Refusal) -> Response:
    """The answer to a request that is refused."""
    return Response(refusal.as_problem(), refusal.status, refusal.headers, "application/problem+json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return problem(error)


async def _away(request: Request, error: Exception) -> Response:
    return problem(unavailable(error))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    return problem(Refusal(error.status_code, detail, headers=dict(error.headers or {})))


_HANDLERS = {
    Refusal: _refused,
    DirectoryUnavailableError: _away,
    DamagedStoreError: _away,
    HTTPException: _http,
    Gone: _gone,
}
