"""The speaker: a program that knows nothing of agentreg but four routes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.request
from typing import Any

__all__ = ["HTTP", "Speaker"]

HTTP = "HTTP"
INTERVAL = 5.0  # seconds between heartbeats
PATIENCE = 5.0  # seconds for an answer


class Speaker:
    """Registers, beats and deregisters by requests, as programs in any language do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._id: str | None = None

    async def join(self) -> None:
        """Register."""
        about = {"name": "messenger", "cwd": os.getcwd(), "meta": {"kind": HTTP, "does": "registers over HTTP"}}
        self._id = str((await self._ask("/register", about))["id"])

    async def beat(self) -> None:
        """Beat, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._ask("/heartbeat", {"id": self._id})

    async def leave(self) -> None:
        """Deregister; a service that is gone is none of its business."""
        if self._id is None:
            return
        with contextlib.suppress(OSError):
            await self._ask("/deregister", {"id": self._id})

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(_ask, self._url + path, body)


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of a proxy


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with _direct.open(request, timeout=PATIENCE) as answer:
        document: dict[str, Any] = json.load(answer)
    return document
