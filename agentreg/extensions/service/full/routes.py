"""The routes of the full form."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.service.bodies import decode, read_json
from agentreg.extensions.service.encoding import encode
from agentreg.extensions.service.full.changing import Changing, Overseer
from agentreg.extensions.service.full.figures import statistics
from agentreg.extensions.service.full.filters import Question, chosen
from agentreg.extensions.service.full.shape import Draft, full
from agentreg.extensions.service.guarding import Head
from agentreg.extensions.service.refusals import Refusal
from agentreg.extensions.service.roster import Roster

__all__ = ["full_routes"]

_draft = msgspec.json.Decoder(Draft)
_patch = msgspec.json.Decoder(dict[str, Any])
_MOST = 5_000  # bodies that are kept
_MERGE = (b"application/merge-patch+json",)


def full_routes(roster: Roster, changing: Changing, overseer: Overseer | None = None) -> list[Route]:
    """The routes below ``/registry`` for records; *overseer* says what the statistics are."""
    form = _FullForm(roster, changing, overseer)
    return [
        Route("/registry/agents", form.list, methods=["GET"]),
        Route("/registry/agents", form.register, methods=["POST"]),
        Route("/registry/agents/{agent_id:path}", form.get, methods=["GET"]),
        Route("/registry/agents/{agent_id:path}", form.change, methods=["PUT", "PATCH"]),
        Route("/registry/agents/{agent_id:path}", form.remove, methods=["DELETE"]),
        Route("/registry/stats", form.stats, methods=["GET"]),
    ]


class _FullForm:
    def __init__(self, roster: Roster, changing: Changing, overseer: Overseer | None) -> None:
        self._roster = roster
        self._changing = changing
        self._overseer = overseer
        self._kept = _Kept()

    async def _records(self) -> list[AgentMetadata]:
        await self._roster.minder.judge_if_due()
        return await self._roster.directory.list_agents()

    async def list(self, request: Request) -> Response:
        question = Question.of(request.query_params.multi_items())
        found, total = chosen(question, await self._records())
        end = question.offset + len(found)
        page = {
            "agents": [full(record) for record in found],
            "total": total,
            "next": _next(request, end) if end < total and found else None,
            "revision": self._roster.directory.revision,
        }
        return _json(page)

    async def get(self, request: Request) -> Response:
        await self._roster.minder.judge_if_due()
        record = self._changing.find(request.path_params["agent_id"])
        return _as_json(self._kept.of(record), 200, _tag(record))

    async def register(self, request: Request) -> Response:
        body = await read_json(request.receive, Head(request.scope["headers"]), self._roster.limits)
        record = await self._changing.register(decode(_draft, body))
        return _shown(record, 201)

    async def change(self, request: Request) -> Response:
        body = await read_json(request.receive, Head(request.scope["headers"]), self._roster.limits, _MERGE)
        patch, revision = decode(_patch, body), _revision(request)
        return _shown(await self._changing.change(request.path_params["agent_id"], patch, revision))

    async def remove(self, request: Request) -> Response:
        agent_id = request.path_params["agent_id"]
        heir = await self._changing.remove(agent_id, _flag(request, "force"), _flag(request, "migrate_tasks"))
        revision = self._roster.directory.revision
        return _json({"ok": True, "agent_id": agent_id, "tasks_migrated_to": heir, "revision": revision})

    async def stats(self, request: Request) -> Response:
        records, revision = await self._records(), self._roster.directory.revision
        if self._overseer is None:
            return _json(statistics(records, revision))
        return _json({**await self._overseer.statistics(records), "revision": revision})


class _Kept:
    """Records as they were shown last, for those who look at the same ones again and again."""

    def __init__(self) -> None:
        self._bodies: dict[str, tuple[int, float, bytes]] = {}

    def of(self, record: AgentMetadata) -> bytes:
        """The body that shows *record*."""
        known = self._bodies.get(record.token)
        if known is not None and known[0] == record.revision and known[1] == record.heard:
            return known[2]
        if len(self._bodies) >= _MOST:
            self._bodies.clear()
        body = encode(full(record))
        self._bodies[record.token] = record.revision, record.heard, body
        return body


def _shown(record: AgentMetadata, status: int = 200) -> Response:
    headers = _tag(record)
    if status == 201:
        headers["location"] = f"/registry/agents/{quote(record.agent_id, errors='surrogatepass')}"
    return _json(full(record), status, headers)


def _tag(record: AgentMetadata) -> dict[str, str]:
    return {"etag": f'"{record.revision}"'}


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return _as_json(encode(content), status, headers)


def _as_json(body: bytes, status: int, headers: dict[str, str] | None) -> Response:
    return Response(body, status, headers, "application/json")


def _next(request: Request, offset: int) -> str:
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "offset"]
    return f"{request.url.path}?{urlencode([*parameters, ('offset', str(offset))])}"


def _revision(request: Request) -> int | None:
    """What ``If-Match`` asks for."""
    asked = request.headers.get("if-match")
    if asked is None or asked.strip() == "*":
        return None
    digits = asked.strip().removeprefix("W/").strip('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise Refusal(400, f"If-Match: expected a revision in quotes, as in the ETag of an answer; got {asked!r:.80}")
    return int(digits)


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise Refusal(400, f"{name}: expected true or false, got {value!r:.80}")
    return value in ("true", "1", "")
