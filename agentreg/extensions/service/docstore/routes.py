"""The routes of a js-doc-store-server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.definitions.sources.rows import COLUMNS
from agentreg.extensions.service.bodies import decode, read_json
from agentreg.extensions.service.definitions import Table
from agentreg.extensions.service.docstore import shapes
from agentreg.extensions.service.docstore.agents import Agents
from agentreg.extensions.service.docstore.bearers import Bearers
from agentreg.extensions.service.guarding import Head
from agentreg.extensions.service.limits import Limits
from agentreg.extensions.service.refusals import Refusal

__all__ = ["docstore_routes", "failure", "is_ours"]

T = TypeVar("T")

TABLE = "agents"
_encode = msgspec.json.Encoder().encode
_LOG_IN = "/auth/login"
_ADMIN = "/admin/"


def is_ours(path: str) -> bool:
    """Whether *path* is one of these routes, which have an authentication and a form of errors of their own.

    >>> is_ours("/auth/login"), is_ours("/admin/query"), is_ours("/registry/agents")
    (True, True, False)
    """
    return path == _LOG_IN or path.startswith(_ADMIN)


def docstore_routes(table: Table, bearers: Bearers, limits: Limits) -> list[Route]:
    """The routes: one to log in, and one for each verb."""
    store = _DocStore(table, bearers, limits)
    verbs = {
        "create-table": store.create_table,
        "insert": store.insert,
        "query": store.query,
        "update": store.update,
        "remove": store.remove,
    }
    return [
        Route(_LOG_IN, _in_their_words(store.log_in), methods=["POST"]),
        *(Route(_ADMIN + verb, _in_their_words(endpoint), methods=["POST"]) for verb, endpoint in verbs.items()),
    ]


class _DocStore:
    def __init__(self, table: Table, bearers: Bearers, limits: Limits) -> None:
        self._table = table
        self._bearers = bearers
        self._limits = limits

    async def log_in(self, request: Request) -> Any:
        asked = await self._body(request, shapes.LogIn)
        bearer = self._bearers.log_in(asked.password)
        if bearer is None:
            detail = "the password is not this service's token; the email may be any"
            raise Refusal(401, detail, headers={"www-authenticate": 'Bearer realm="agentreg"'})
        return shapes.LoggedIn(True, bearer, self._bearers.lifetime)

    async def create_table(self, request: Request) -> Any:
        asked = await self._asked(request, shapes.TableDraft)
        if asked.tableName != TABLE:
            raise Refusal(400, f"tableName: this service keeps the table {TABLE!r} only, got {asked.tableName!r:.80}")
        for column in asked.columns:
            if column.name not in (*COLUMNS, "_id"):
                raise Refusal(400, f"columns: {TABLE!r} has {', '.join(COLUMNS)}, got {column.name!r:.80}")
        return shapes.Done(True)

    async def insert(self, request: Request) -> Any:
        asked = await self._in_table(request, shapes.Insert)
        return shapes.Inserted(True, await self._table.do(self._agents.insert, msgspec.to_builtins(asked.data)))

    async def query(self, request: Request) -> Any:
        asked = await self._in_table(request, shapes.Query)
        rows = await self._table.do(self._agents.query, asked.filter, asked.sort, asked.limit)
        return shapes.Found(True, rows)

    async def update(self, request: Request) -> Any:
        asked = await self._in_table(request, shapes.Update)
        changes = msgspec.to_builtins(asked.update.set)
        return shapes.Changed(True, await self._table.do(self._agents.update, asked.filter, changes))

    async def remove(self, request: Request) -> Any:
        asked = await self._in_table(request, shapes.Remove)
        return shapes.Changed(True, await self._table.do(self._agents.remove, asked.filter))

    # -- what is asked, and by whom -------------------------------------------

    @property
    def _agents(self) -> Agents:
        return Agents(self._table.opened)

    async def _body(self, request: Request, kind: type[T]) -> T:
        body = await read_json(request.receive, Head(request.scope["headers"]), self._limits)
        return decode(msgspec.json.Decoder(kind), body)

    async def _asked(self, request: Request, kind: type[T]) -> T:
        """The body of somebody who has logged in."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._bearers.is_live(shown.strip()):
            came = "it has expired, or is none of ours" if shown else "none came"
            detail = f"log in first, and show the token of POST {_LOG_IN} as Authorization: Bearer ...; {came}"
            raise Refusal(401, detail, headers={"www-authenticate": 'Bearer realm="agentreg"'})
        return await self._body(request, kind)

    async def _in_table(self, request: Request, kind: type[T]) -> T:
        asked = await self._asked(request, kind)
        name: str = getattr(asked, "tableName")  # noqa: B009 - every kind has it
        if name != TABLE:
            raise Refusal(404, f"tableName: there is no table {name!r:.80}; this service keeps {TABLE!r} only")
        return asked


def _in_their_words(endpoint: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return Response(_encode(await endpoint(request)), media_type="application/json")
        except Refusal as refusal:
            return failure(refusal)

    return answer


def failure(refusal: Refusal) -> Response:
    """A refusal as these clients expect it."""
    content = _encode({"success": False, "error": refusal.detail, **refusal.more})
    return Response(content, refusal.status, refusal.headers, "application/json")
