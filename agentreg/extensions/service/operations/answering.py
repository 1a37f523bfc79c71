"""What the routes of the operations have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agentreg.extensions.service.bodies import decode, read_json
from agentreg.extensions.service.encoding import encode
from agentreg.extensions.service.guarding import Head
from agentreg.extensions.service.limits import Limits
from agentreg.extensions.service.operations.operations import Operations
from agentreg.extensions.service.refusals import Refusal

__all__ = ["Desk", "answer", "in_thread"]

T = TypeVar("T")


class Desk:
    """A group of routes over the operations, if there are any.

    Args:
        operations: What they are about; None: every route answers 404.
        limits: How much is taken.
        revision: Gives the last change that answers show.
    """

    def __init__(self, operations: Operations | None, limits: Limits, revision: Callable[[], int]) -> None:
        self._operations = operations
        self._limits = limits
        self.revision = revision

    @property
    def operations(self) -> Operations:
        """The operations. A Refusal (404) if they are off."""
        if self._operations is None:
            raise _off()
        return self._operations

    async def body(self, request: Request, decoder: msgspec.json.Decoder[T]) -> T:
        """What the request's body says. A Refusal."""
        if self._operations is None:
            raise _off()
        return decode(decoder, await read_json(request.receive, Head(request.scope["headers"]), self._limits))


def _off() -> Refusal:
    return Refusal(404, "operations are off: start the service without --no-operations")


def answer(content: Any, status: int = 200) -> Response:
    """JSON."""
    return Response(encode(content), status, media_type="application/json")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """What *work* returns, which may block: a look into a file."""
    return await asyncio.to_thread(work, *arguments)
