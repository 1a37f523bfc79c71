"""``/openapi.json`` and ``/docs``."""

from __future__ import annotations

import functools

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.service.openapi.document import document
from agentreg.extensions.service.openapi.page import STYLE, page

__all__ = ["description_routes", "is_description"]

_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PATHS = ("/openapi.json", "/docs", "/docs/style.css")


def is_description(path: str) -> bool:
    """Whether *path* is one of these, which are the same for every service and want no token.

    >>> is_description("/docs"), is_description("/agents")
    (True, False)
    """
    return path in _PATHS


def description_routes() -> list[Route]:
    """The routes; what they answer is made at the first request."""
    return [
        Route("/openapi.json", _document, methods=["GET"]),
        Route("/docs", _page, methods=["GET"]),
        Route("/docs/style.css", _style, methods=["GET"]),
    ]


@functools.cache
def _encoded() -> bytes:
    return msgspec.json.format(msgspec.json.encode(document()), indent=2)


@functools.cache
def _written() -> str:
    return page(document())


async def _document(request: Request) -> Response:
    return Response(_encoded(), headers={"cache-control": "no-cache"}, media_type="application/json")


async def _page(request: Request) -> Response:
    return Response(_written(), headers=_HEADERS, media_type="text/html")


async def _style(request: Request) -> Response:
    return Response(STYLE, headers=_HEADERS, media_type="text/css")
