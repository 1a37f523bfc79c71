"""The routes of the page and its files."""

from __future__ import annotations

import functools

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from agentreg import __version__
from agentreg.extensions.service.dashboard.assets import PAGE, Asset, assets
from agentreg.extensions.service.refusals import Refusal

__all__ = ["dashboard_routes", "is_asset"]

_FOLDER = "/dashboard/"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-cache",  # kept, but asked for again: a newer service may have newer files
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
#: Parts of the service that the page has a view of, and where they are.
_PARTS = {
    "alerts": "/registry/alerts",
    "decisions": "/registry/decisions",
    "definitions": "/registry/definitions",
    "metrics": "/registry/metrics",
    "resources": "/registry/resources",
}
#: Those that can be switched off: their routes are there all the same, and answer 404.
_OPERATIONS = frozenset(("alerts", "decisions", "metrics", "resources"))


def dashboard_routes(*, operates: bool = True) -> list[Route]:
    """The page at ``/``, and its files below ``/dashboard/``; for GET and HEAD.

    Without *operates*, the page asks for no metrics, alerts, resources and decisions.
    """
    parts = functools.partial(_parts, frozenset() if operates else _OPERATIONS)
    return [
        Route("/", _page, methods=["GET"]),
        Route("/dashboard", _redirect, methods=["GET"]),
        Route(_FOLDER, _redirect_up, methods=["GET"]),
        Route(f"{_FOLDER}parts.json", parts, methods=["GET"]),
        Route(f"{_FOLDER}{{path:path}}", _file, methods=["GET"]),
    ]


def is_asset(path: str) -> bool:
    """Whether *path* is one of the page's, which hold no data and need no token.

    >>> is_asset("/"), is_asset("/dashboard/app.js"), is_asset("/registry/agents")
    (True, True, False)
    """
    return path in ("/", "/dashboard") or path.startswith(_FOLDER)


async def _page(request: Request) -> Response:
    return _served(request, assets()[PAGE])


async def _file(request: Request) -> Response:
    path = request.path_params["path"]
    asset = assets().get(path)
    if asset is None:
        raise Refusal(404, f"{request.url.path!r:.120}: the dashboard has no such file; it is at /")
    return _served(request, asset)


def _served(request: Request, asset: Asset) -> Response:
    headers = {**_HEADERS, "etag": asset.etag}
    if _is_known(request.headers.get("if-none-match"), asset.etag):
        return Response(None, 304, headers)
    return Response(asset.content, 200, headers, asset.kind)


def _is_known(said: str | None, etag: str) -> bool:
    tags = [each.strip().removeprefix("W/") for each in (said or "").split(",")]
    return etag in tags or "*" in tags


async def _redirect(request: Request) -> Response:
    return Response(None, 307, {**_HEADERS, "location": "./"})  # relative: a proxy may have put it below a path


async def _redirect_up(request: Request) -> Response:
    return Response(None, 307, {**_HEADERS, "location": "../"})


async def _parts(off: frozenset[str], request: Request) -> Response:
    """Which parts this service has, so that the page asks for none that it has not."""
    parts = {name: name not in off and _has(request, path) for name, path in _PARTS.items()}
    return JSONResponse({"version": __version__, "parts": parts}, 200, {**_HEADERS, "cache-control": "no-store"})


def _has(request: Request, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
