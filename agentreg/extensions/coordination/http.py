"""The store behind a service: for processes that reach it over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from agentreg.extensions.coordination.backend import (
    FORMS,
    Answer,
    Changes,
    Delete,
    Patch,
    Put,
    Renew,
    Snapshot,
    without_password,
)
from agentreg.extensions.coordination.errors import BackendURLError, DirectoryUnavailableError
from agentreg.extensions.coordination.plain import from_item, to_changes, to_result, to_snapshot

__all__ = ["HTTPBackend"]

TIMEOUT = 5.0  #: seconds without an answer
CHUNK = 500  #: items in one request,
SIZE = 900_000  #: and characters; the service takes a million bytes

Batch = Sequence[Put] | Sequence[Patch] | Sequence[Delete] | Sequence[Renew]


class HTTPBackend:
    """Records in the store of a service.

    Heartbeats are judged by the directories that use it and, with longer
    time-outs, by the service itself. Between `open` and `close`, connections
    are kept; before, each call makes its own.

    Args:
        url: ``http://host:port`` or ``https://...``; the service's token, if
            it wants one, as a password: ``http://:TOKEN@host:port``. Raises BackendURLError.
    """

    def __init__(self, url: str) -> None:
        parts = _parts(url)
        self.url = without_password(url)
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/registry/records:"
        token = unquote(parts.password or "")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client: httpx.AsyncClient | None = None
        self._pid = 0

    async def open(self) -> None:
        """Keep connections until `close`. Raises DirectoryUnavailableError if nobody answers."""
        await self.renew(())
        if self._client is None or self._pid != os.getpid():
            self._client, self._pid = self._connect(), os.getpid()

    async def close(self) -> None:
        """Release the connections. Twice is once."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            await client.aclose()

    async def put(self, batch: Sequence[Put]) -> Answer:
        """Enter records."""
        return await self._carry_out("put", batch)

    async def patch(self, batch: Sequence[Patch]) -> Answer:
        """Change records."""
        return await self._carry_out("patch", batch)

    async def delete(self, batch: Sequence[Delete]) -> Answer:
        """Remove records, and their beats with them."""
        return await self._carry_out("delete", batch)

    async def renew(self, batch: Sequence[Renew]) -> Answer:
        """Note beats."""
        return await self._carry_out("renew", batch)

    async def list(self) -> Snapshot:
        """Everything."""
        return to_snapshot(await self._ask("list", {}))

    async def changes(self, since: int, mark: int, wait: float = 0.0) -> Changes | None:
        """What is new, after *wait* seconds at most."""
        plain = await self._ask("changes", {"since": since, "mark": mark, "wait": wait}, wait)
        return None if plain is None else to_changes(plain)

    async def _carry_out(self, verb: str, batch: Batch) -> Answer:
        results: list[Any] = []
        revision = 0
        for chunk in _chunks([_encode(from_item(item)) for item in batch]):
            answer = await self._ask(verb, f'{{"items":[{",".join(chunk)}]}}')
            results += [to_result(each) for each in answer["results"]]
            revision = answer["revision"]
        return Answer(revision, results)

    # -- the connection -----------------------------------------------------

    def _connect(self) -> httpx.AsyncClient:
        tls = self._base.startswith("https:")  # without it, its certificates need not be read: that takes 20 ms
        return httpx.AsyncClient(headers=self._headers, timeout=TIMEOUT, trust_env=False, verify=tls)

    async def _ask(self, verb: str, body: Any, more: float = 0.0) -> Any:
        content = body if isinstance(body, str) else _encode(body)
        client = self._client if self._pid == os.getpid() else None
        try:
            if client is not None:
                return _said(self.url, await self._post(client, verb, content, more))
            async with self._connect() as once:
                return _said(self.url, await self._post(once, verb, content, more))
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            if isinstance(error, DirectoryUnavailableError):
                raise
            raise DirectoryUnavailableError(self.url, str(error) or type(error).__name__) from error

    async def _post(self, client: httpx.AsyncClient, verb: str, content: str, more: float) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return await client.post(self._base + verb, content=content, headers=headers, timeout=TIMEOUT + more)


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BackendURLError(without_password(url), str(error), FORMS) from None
    if not parts.hostname or parts.query or parts.fragment or port == 0:
        raise BackendURLError(without_password(url), "expected http://host:port, and no more", FORMS)
    return parts


def _chunks(items: Sequence[str]) -> list[list[str]]:
    """The items in parts that one request can carry; one part at least."""
    chunks: list[list[str]] = [[]]
    size = 0
    for item in items:
        if chunks[-1] and (len(chunks[-1]) >= CHUNK or size + len(item) > SIZE):
            chunks.append([])
            size = 0
        chunks[-1].append(item)
        size += len(item) + 1
    return chunks


def _said(url: str, response: httpx.Response) -> Any:
    if response.status_code == 200:
        return json.loads(response.content)
    try:
        detail = json.loads(response.content)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = "nothing that a registry would say"
    if response.status_code in (400, 413):
        raise ValueError(f"{url}: {detail}")
    raise DirectoryUnavailableError(url, f"it says {response.status_code}: {detail}")
