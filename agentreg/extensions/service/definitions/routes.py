"""The routes of ``/registry/definitions``."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.definitions import DefinitionStore, StoredDefinition, VersionConflictError
from agentreg.extensions.service.bodies import decode, read_json
from agentreg.extensions.service.definitions.asking import Question, whole
from agentreg.extensions.service.definitions.comparing import difference
from agentreg.extensions.service.definitions.shapes import (
    Change,
    Diff,
    New,
    Page,
    Removed,
    Return,
    Versions,
    document_of,
    row_of,
    version_of,
)
from agentreg.extensions.service.definitions.table import Table
from agentreg.extensions.service.guarding import Head
from agentreg.extensions.service.limits import Limits
from agentreg.extensions.service.refusals import Refusal

__all__ = ["definition_routes"]

_PATH = "/registry/definitions"
_ONE = f"{_PATH}/{{name:path}}"
_new = msgspec.json.Decoder(New)
_change = msgspec.json.Decoder(Change)
_return = msgspec.json.Decoder(Return)
_encode = msgspec.json.Encoder().encode


def definition_routes(table: Table, limits: Limits) -> list[Route]:
    """The routes. A name may hold slashes; of a path that ends like one of the longer routes, that one is meant."""
    form = _Definitions(table, limits)
    return [
        Route(_PATH, form.list, methods=["GET"]),
        Route(_PATH, form.create, methods=["POST"]),
        Route(f"{_ONE}/versions", form.versions, methods=["GET"]),
        Route(f"{_ONE}/versions/{{version}}", form.version, methods=["GET"]),
        Route(f"{_ONE}/diff", form.diff, methods=["GET"]),
        Route(f"{_ONE}/rollback", form.rollback, methods=["POST"]),
        Route(_ONE, form.get, methods=["GET"]),
        Route(_ONE, form.change, methods=["PUT"]),
        Route(_ONE, form.remove, methods=["DELETE"]),
    ]


class _Definitions:
    def __init__(self, table: Table, limits: Limits) -> None:
        self._table = table
        self._limits = limits

    # -- reading ------------------------------------------------------------

    async def list(self, request: Request) -> Response:
        store, question = self._table.opened, Question.of(request.query_params.multi_items())
        found, total = question.chosen(await self._table.do(store.query))
        end = question.offset + len(found)
        following = _next(request, end) if end < total and found else None
        return _json(Page([row_of(each) for each in found], total, following))

    async def get(self, request: Request) -> Response:
        return await self._shown(_parameters(request, "version").get("version"), request)

    async def version(self, request: Request) -> Response:
        return await self._shown(request.path_params["version"], request)

    async def _shown(self, version: str | None, request: Request) -> Response:
        number = None if version is None else whole("version", version)
        return await self._answer(await self._table.do(self._table.opened.require, _name(request), number))

    async def versions(self, request: Request) -> Response:
        store, name = self._table.opened, _name(request)
        history = await self._table.do(store.history, name)
        latest = await self._table.do(store.get, name)
        if not history:
            await self._table.do(store.require, name)  # which says what there is
        return _json(Versions(name, latest is None, [version_of(each) for each in history]))

    async def diff(self, request: Request) -> Response:
        asked = {name: whole(name, value) for name, value in _parameters(request, "from", "to").items()}
        old, new, text = await self._table.do(_compared, self._table.opened, _name(request), asked)
        return _json(Diff(old.name, from_=old.version, to=new.version, diff=text))

    # -- changing -----------------------------------------------------------

    async def create(self, request: Request) -> Response:
        store, asked = self._table.opened, await self._body(request, _new)
        stored = await self._table.do(store.create, asked.content, asked.status, asked.tags)
        return await self._answer(stored, 201)

    async def change(self, request: Request) -> Response:
        store, asked = self._table.opened, await self._body(request, _change)
        matched = _matched(request)
        if asked.content is None and asked.tags is None and asked.status is None:
            raise Refusal(400, "body: expected content, tags or status, got none of them")
        if asked.content is not None and asked.replaces is None and matched is None:
            detail = "say which version this replaces: as replaces in the body, or as If-Match; GET shows the latest"
            raise Refusal(428, detail, "/replaces")
        try:
            return await self._answer(await self._table.do(_changed, store, _name(request), asked, matched))
        except Refusal as refusal:
            if isinstance(refusal.__cause__, VersionConflictError) and asked.replaces is None:
                refusal.status = 412
            raise

    async def rollback(self, request: Request) -> Response:
        store, asked = self._table.opened, await self._body(request, _return)
        return await self._answer(await self._table.do(store.rollback, _name(request), asked.version))

    async def remove(self, request: Request) -> Response:
        store, name = self._table.opened, _name(request)
        purge = _flag("purge", _parameters(request, "purge").get("purge", "false"))
        await self._table.do(store.purge if purge else store.remove, name)
        return _json(Removed(True, name, purge))

    # -- bodies -------------------------------------------------------------

    async def _body(self, request: Request, decoder: msgspec.json.Decoder[Any]) -> Any:
        return decode(decoder, await read_json(request.receive, Head(request.scope["headers"]), self._limits))

    async def _answer(self, stored: StoredDefinition, status: int = 200) -> Response:
        document = await self._table.do(document_of, stored)  # which parses
        headers = {"etag": f'"{stored.version}"'}
        if status == 201:
            headers["location"] = f"{_PATH}/{quote(stored.name)}"
        return _json(document, status, headers)


# -- in a thread ------------------------------------------------------------


def _changed(store: DefinitionStore, name: str, asked: Change, matched: int | None) -> StoredDefinition:
    if asked.content is not None:
        replaces = _first(asked.replaces, matched)
        replaces = replaces or store.require(name).version  # If-Match: *
        return store.update(name, asked.content, replaces, status=asked.status, tags=asked.tags)
    latest = store.require(name)
    replaces = _first(asked.replaces, matched)
    if replaces and replaces != latest.version:
        raise VersionConflictError(name, replaces, latest.version)
    if asked.tags is not None:
        latest = store.set_tags(name, asked.tags)
    return latest if asked.status is None else store.set_status(name, asked.status)


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _compared(
    store: DefinitionStore, name: str, asked: dict[str, int]
) -> tuple[StoredDefinition, StoredDefinition, str]:
    history = store.history(name)
    latest = history[-1].version if history else store.require(name).version
    to = asked.get("to", latest)
    new = store.require(name, to)
    old = store.require(name, asked.get("from", max(to - 1, 1)))
    return old, new, difference(old, new)


# -- what is asked for ------------------------------------------------------


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _parameters(request: Request, *known: str) -> dict[str, str]:
    found = dict(request.query_params.multi_items())
    for name in found:
        if name not in known:
            raise Refusal(400, f"{name}: no such parameter; there are {', '.join(known)}")
    return found


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise Refusal(400, f"{name}: expected true or false, got {value!r:.80}")
    return value.lower() in ("true", "1")


def _matched(request: Request) -> int | None:
    """The version that ``If-Match`` names; 0 for any."""
    asked = request.headers.get("if-match")
    if asked is None:
        return None
    if asked.strip() == "*":
        return 0
    digits = asked.strip().removeprefix("W/").strip('"')
    if not (digits.isascii() and digits.isdigit() and 0 < len(digits) < 16 and int(digits)):
        raise Refusal(400, f"If-Match: expected a version in quotes, as in the ETag of an answer; got {asked!r:.80}")
    return int(digits)


def _next(request: Request, offset: int) -> str:
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "offset"]
    return f"{request.url.path}?{urlencode([*parameters, ('offset', str(offset))])}"


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(content), status, headers, "application/json")
