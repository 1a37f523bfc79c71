"""``/registry/records:...``: the store itself, for directories of other processes and machines.

JSON is read and written by the standard library here: a record may hold any
text that Python has, half a pair of surrogates included.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.coordination.backend import Answer, Delete, Patch
from agentreg.extensions.coordination.plain import READERS, from_answer, from_changes, from_snapshot, to_item
from agentreg.extensions.service.bodies import read_json
from agentreg.extensions.service.guarding import Head
from agentreg.extensions.service.minding import RUNTIME
from agentreg.extensions.service.refusals import Refusal
from agentreg.extensions.service.roster import Roster
from agentreg.extensions.service.wire import check

__all__ = ["record_routes"]

_MOST = 1_000  # items in one request
_LONGEST = 30.0  # seconds that a question for news waits
_encode = json.JSONEncoder(separators=(",", ":")).encode


def record_routes(roster: Roster, ending: asyncio.Event) -> list[Route]:
    """The routes, one for each of the store's verbs."""
    records = _Records(roster, ending)
    return [
        *(Route(f"/registry/records:{verb}", records.writer(verb), methods=["POST"]) for verb in READERS),
        Route("/registry/records:list", records.list, methods=["POST"]),
        Route("/registry/records:changes", records.changes, methods=["POST"]),
    ]


class _Records:
    def __init__(self, roster: Roster, ending: asyncio.Event) -> None:
        self._roster = roster
        self._directory = roster.directory
        self._ending = ending

    def writer(self, verb: str) -> Any:
        """The endpoint that carries out batches of *verb*."""

        async def carry_out(request: Request) -> Response:
            return _json(from_answer(await self._carry_out(verb, await self._asked(request))))

        return carry_out

    async def _carry_out(self, verb: str, asked: Mapping[str, Any]) -> Answer:
        items = asked.get("items")
        if not isinstance(items, list) or len(items) > _MOST:
            raise Refusal(400, f"items: expected a list of at most {_MOST:,}", "/items")
        batch: list[Any] = [_read(verb, number, plain) for number, plain in enumerate(items)]
        if any(isinstance(each, (Patch, Delete)) and each.heard is not None for each in batch):
            await self._roster.beats.flush()
        if verb == "renew":
            return await self._directory.store.renew(batch)
        if any(map(self._is_presumption, batch)):
            return await self._leave_out(batch)
        return await self._directory.carry_out(batch)

    def _is_presumption(self, item: Any) -> bool:
        """Whether a directory judges by its own time-outs what is the service's to judge."""
        if isinstance(item, Patch):
            judges = item.fields.get("lapsed_from") is not None
        else:
            judges = isinstance(item, Delete) and item.reason in ("expired", "died")
        record = self._roster.find(item.agent_id) if judges else None
        return record is not None and record.runtime_id == RUNTIME

    async def _leave_out(self, batch: list[Any]) -> Answer:
        """Carry out the rest."""
        fine = [not self._is_presumption(item) for item in batch]
        answer = await self._directory.carry_out([item for item, is_fine in zip(batch, fine, strict=True) if is_fine])
        results = iter(answer.results)
        return Answer(answer.revision, [is_fine and next(results) for is_fine in fine])

    async def list(self, request: Request) -> Response:
        """Everything in the store."""
        await self._asked(request)
        await self._roster.beats.flush()
        return _json(from_snapshot(await self._directory.store.list()))

    async def changes(self, request: Request) -> Response:
        """What is new since a revision and a mark."""
        asked = await self._asked(request)
        since, mark = (_number(asked, name, int) for name in ("since", "mark"))
        wait = min(_number(asked, "wait", (int, float)), _LONGEST)
        found = await self._news(int(since), int(mark), wait)
        return _json(None if found is None else from_changes(found))

    async def _news(self, since: int, mark: int, wait: float) -> Any:
        """Wait for the store, but not longer than the service is there."""
        asking = asyncio.ensure_future(self._directory.store.changes(since, mark, wait))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait((asking, ending), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise Refusal(503, "the service ends", headers={"retry-after": "1"})
            return asking.result()
        finally:
            for task in (asking, ending):
                task.cancel()

    async def _asked(self, request: Request) -> Mapping[str, Any]:
        body = await read_json(request.receive, Head(request.scope["headers"]), self._roster.limits)
        try:
            asked = json.loads(body)
        except RecursionError:
            raise Refusal(400, "the body is nested too deep for anything that could be meant") from None
        except ValueError as error:
            raise Refusal(400, f"the body is no JSON: {error}") from None
        if not isinstance(asked, dict):
            raise Refusal(400, f"body: expected an object, got {type(asked).__name__}")
        return asked


def _read(verb: str, number: int, plain: Any) -> Any:
    try:
        item = to_item(verb, plain)
        check(verb, plain)
        return item
    except (TypeError, ValueError) as error:
        raise Refusal(400, f"items[{number}]: {error}", f"/items/{number}") from None


def _number(asked: Mapping[str, Any], name: str, kinds: Any) -> Any:
    value = asked.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < 2**63:
        raise Refusal(400, f"{name}: expected a number from 0 up, got {value!r:.80}", f"/{name}")
    return value


def _json(content: Any) -> Response:
    return Response(_encode(content), 200, None, "application/json")
