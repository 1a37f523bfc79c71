"""``/registry/decisions``: what was decided and why, and what waits for an answer."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.resources import AlreadyAnsweredError, DecisionLogError
from agentreg.extensions.service.operations.answering import Desk, answer
from agentreg.extensions.service.operations.asking import limit_of, only
from agentreg.extensions.service.refusals import Refusal, unavailable

__all__ = ["DecisionRoutes", "NewAnswer"]

_SOMEBODY = "somebody"


class NewAnswer(msgspec.Struct):
    """The body that answers a question."""

    choice: str
    by: str | None = None
    reason: str | None = None


_answer = msgspec.json.Decoder(NewAnswer)


class DecisionRoutes:
    """The routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """They."""
        return [
            Route("/registry/decisions", self.list, methods=["GET"]),
            Route("/registry/decisions/pending", self.pending, methods=["GET"]),
            Route("/registry/decisions/{decision_id}/answer", self.answer, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        only(request, "name", "limit")
        operations = self._desk.operations
        name, limit = request.query_params.get("name") or None, limit_of(request)
        try:
            found = await operations.do(operations.decisions.latest, name, limit)
        except DecisionLogError as error:
            raise unavailable(error) from None
        return answer({"decisions": found, "count": len(found), "revision": self._desk.revision()})

    async def pending(self, request: Request) -> Response:
        only(request)
        return answer({"pending": self._desk.operations.decisions.pending(), "revision": self._desk.revision()})

    async def answer(self, request: Request) -> Response:
        said = await self._desk.body(request, _answer)
        decision_id = request.path_params["decision_id"]
        try:
            made = self._desk.operations.decisions.answer(
                decision_id, said.choice, said.by or _SOMEBODY, said.reason or ""
            )
        except LookupError as error:
            raise Refusal(404, str(error.args[0])) from None
        except AlreadyAnsweredError as error:
            raise Refusal(409, str(error)) from None
        except ValueError as error:
            raise Refusal(400, str(error), "/choice") from None
        return answer({"ok": True, "id": decision_id, "choice": made.choice, "by": made.by, "reason": made.reason})
