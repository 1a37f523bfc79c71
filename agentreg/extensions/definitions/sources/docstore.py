"""Definitions on a js-doc-store-server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import httpx

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import ContentError, StoreUnavailableError
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent, Problem
from agentreg.extensions.definitions.sources.rows import COLUMNS, columns_of, parse_row, to_row
from agentreg.extensions.definitions.sources.source import Listing

__all__ = ["BODY_LIMIT", "DocStoreClient", "DocStoreError", "DocStoreSource"]

BODY_LIMIT = 64 << 20  # bytes of an answer
TIMEOUT = 5.0  # seconds
TABLE = "agents"
_REQUIRED = {"name", "content"}
_ROW_REFUSED = {400, 409, 413, 422}  # statuses
_SHOWN = 200  # characters of an answer in an error


class DocStoreError(StoreUnavailableError):
    """The server can't be reached, does not let us in, or answers with something else than it should.

    Attributes:
        status: The HTTP status of its answer, or None without one.
    """

    def __init__(self, source: str, cause: str, advice: str, status: int | None = None) -> None:
        super().__init__(source, cause, advice)
        self.args = (source, cause, advice, status)
        self.status = status


class DocStoreClient:
    """The requests that a js-doc-store-server knows.

    It logs in at the first request, and once more when the server does not
    take the token any longer. Otherwise nothing is tried twice. Redirects
    are not followed: the password would go with them.

    Every method may raise `DocStoreError`. After a time-out it can't be
    known whether the server did what it was asked.

    Thread-safe: yes.

    Attributes:
        url: The server's address.
    """

    def __init__(
        self,
        url: str,
        email: str,
        password: str,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the address and who we are; nothing is sent yet.

        Args:
            url: ``http://localhost:3000``.
            email: Who logs in.
            password: With which password; it is shown nowhere.
            timeout: Seconds for one request, answer included.
            clock: Seconds that only grow.

        Raises:
            ValueError: the address is no HTTP URL.
        """
        address = httpx.URL(url)
        if address.scheme not in {"http", "https"} or not address.host:
            raise ValueError(f"url: expected one such as http://localhost:3000, got {url!r}")
        self.url = str(address.copy_with(username=None, password=None)).rstrip("/")
        self._login = {"email": email, "password": password}
        self._timeout = timeout
        self._clock = clock
        self._http: httpx.Client | None = None
        self._process = 0
        self._token: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> DocStoreClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def create_table(self, table: str, columns: Sequence[Mapping[str, Any]]) -> None:
        """Make *table*; each column is ``{"name": ..., "type": "text", "required": ...}``."""
        self._ask("/admin/create-table", {"tableName": table, "columns": [dict(column) for column in columns]})

    def insert(self, table: str, data: Mapping[str, Any]) -> Any:
        """Add a row and return its id."""
        return self._ask("/admin/insert", {"tableName": table, "data": dict(data)}).get("id")

    def query(
        self,
        table: str,
        filter: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The rows that fit *filter*, in the server's order unless *sort* says another; each has an ``_id``."""
        asked: dict[str, Any] = {"tableName": table, "filter": dict(filter or {})}
        asked |= {} if sort is None else {"sort": dict(sort)}
        asked |= {} if limit is None else {"limit": limit}
        rows = self._ask("/admin/query", asked).get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._strange("/admin/query", "its data is not a list of rows")
        return rows

    def update(self, table: str, filter: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        """Set the columns in *changes* of every row that fits *filter*."""
        self._ask("/admin/update", {"tableName": table, "filter": dict(filter), "update": {"$set": dict(changes)}})

    def remove(self, table: str, filter: Mapping[str, Any]) -> None:
        """Remove every row that fits *filter*."""
        self._ask("/admin/remove", {"tableName": table, "filter": dict(filter)})

    def close(self) -> None:
        """Close the connections. A later request opens new ones."""
        client, self._http = self._http, None
        if client is not None and self._process == os.getpid():
            client.close()

    # -- asking -------------------------------------------------------------

    def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        deadline = self._clock() + self._timeout
        token = self._token
        status, content = self._send(path, body, token or self._renewed(token, deadline), deadline)
        if status == 401 and token is not None:  # it has expired
            status, content = self._send(path, body, self._renewed(token, deadline), deadline)
        return self._answer(path, status, content)

    def _renewed(self, old: str | None, deadline: float) -> str:
        """A new token in the place of *old*, unless another thread has got one."""
        known = self._token
        if known is not None and known != old:
            return known
        status, content = self._send("/auth/login", self._login, None, deadline)
        if status in {400, 401, 403}:
            raise self._refused("/auth/login", status, content, "check the email and the password")
        token = self._answer("/auth/login", status, content).get("token")
        if not isinstance(token, str) or not token:
            raise self._strange("/auth/login", "it gives no token")
        self._token = token
        return token

    def _send(self, path: str, body: Mapping[str, Any], token: str | None, deadline: float) -> tuple[int, bytes]:
        left = deadline - self._clock()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            if left <= 0:
                raise httpx.ReadTimeout("no time is left")
            with self._connected().stream(
                "POST", self.url + path, json=body, headers=headers, timeout=left
            ) as response:
                content = self._content(response, deadline)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            cause = f"{path} failed: {type(error).__name__}: {error or 'no answer in time'}"
            raise DocStoreError(self.url, cause, "see that the server runs and can be reached") from error
        if response.is_redirect:
            cause = f"{path} is redirected to {response.headers.get('location', 'nowhere')}"
            raise DocStoreError(self.url, cause, "give the server's own address", response.status_code)
        if response.is_success and "json" not in response.headers.get("content-type", ""):
            kind = response.headers.get("content-type", "nothing")
            raise self._strange(path, f"it answers with {kind} instead of JSON", response.status_code)
        return response.status_code, content

    def _content(self, response: httpx.Response, deadline: float) -> bytes:
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > BODY_LIMIT:
                raise self._strange(response.url.path, f"its answer is longer than {BODY_LIMIT:,} bytes")
            if self._clock() > deadline:  # the library's own limit is for each part of the answer
                raise httpx.ReadTimeout(f"the answer took longer than {self._timeout:g} s")
        return b"".join(chunks)

    def _connected(self) -> httpx.Client:
        # without a lock, which a forked child could inherit taken: of two threads' clients one is dropped
        client = self._http
        if client is None or self._process != os.getpid():
            self._process = os.getpid()
            # nothing is kept alive: a connection that the server has closed meanwhile would look like an outage
            limits = httpx.Limits(max_keepalive_connections=0)
            client = self._http = httpx.Client(limits=limits, follow_redirects=False)
        return client

    def _answer(self, path: str, status: int, content: bytes) -> dict[str, Any]:
        if not 200 <= status < 300:
            raise self._refused(path, status, content, "see the server's log")
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._strange(path, f"its answer is no JSON ({error})", status) from error
        if not isinstance(answer, dict):
            raise self._strange(path, "its answer is no object", status)
        if not answer.get("success", True):
            raise self._refused(path, status, content, "see the server's log")
        return answer

    def _refused(self, path: str, status: int, content: bytes, advice: str) -> DocStoreError:
        shown = content[:_SHOWN].decode(errors="replace")
        return DocStoreError(self.url, f"{path} was refused with status {status}: {shown}", advice, status)

    def _strange(self, path: str, cause: str, status: int | None = None) -> DocStoreError:
        advice = "see that it is a js-doc-store-server, and not a proxy before it"
        return DocStoreError(self.url, f"{path}: {cause}", advice, status)


class DocStoreSource:
    """The definitions in a table of a js-doc-store-server, as a `Source` for a catalog.

    What can't be had now is a `SourceUnavailableError`; a catalog goes on
    without the server until it answers again.

    Thread-safe: yes.

    Attributes:
        name: What a catalog calls it: the server's address and the table.
        client: The client that it uses.
        table: The table's name.
    """

    remote = True

    def __init__(
        self,
        url: str,
        email: str,
        password: str,
        table: str = TABLE,
        *,
        name: str | None = None,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """As for `DocStoreClient`; nothing is sent yet."""
        self.client = DocStoreClient(url, email, password, timeout=timeout, clock=clock)
        self.table = table
        self.name = name or f"{self.client.url}/{table}"
        self._loaded: tuple[list[dict[str, Any]], Listing] | None = None

    def __repr__(self) -> str:
        return f"<DocStoreSource {self.name!r}>"

    def load(self) -> Listing:
        """As `Source.load`: every row, in the server's order. A row that gives no definition is a problem.

        Raises:
            SourceUnavailableError: anything is wrong with the server or the way there.
        """
        rows = self.client.query(self.table)
        known = self._loaded
        if known is not None and known[0] == rows:
            return known[1]
        results = [_definition(row, index) for index, row in enumerate(rows)]
        listing = Listing(
            tuple(each for each in results if isinstance(each, AgentDefinition)),
            tuple(each for each in results if isinstance(each, Problem)),
        )
        self._loaded = rows, listing
        return listing

    def create_table(self) -> None:
        """Make the table, with the columns that its users expect."""
        columns = [
            {"name": column, "type": "text", **({"required": True} if column in _REQUIRED else {})}
            for column in COLUMNS
        ]
        self.client.create_table(self.table, columns)

    def put(self, content: str, columns: Mapping[str, Any] | None = None) -> Literal["created", "updated", "unchanged"]:
        """See to it that the table's row of a definition says what *content* says, and say what that took.

        The server knows no versions: of two who do this at once, one wins.

        Raises:
            DefinitionError, NotAnAgent: the content is no definition.
            ContentError: the server does not take this row.
            DocStoreError: the server can't be reached, or refuses everything.
        """
        definition = parse_row(content, columns_of(columns or {}))
        row = to_row(definition, content)
        there = self.client.query(self.table, {"name": definition.name}, limit=1)
        if there and all(there[0].get(column) == value for column, value in row.items()):
            return "unchanged"
        with _refusals_of(definition.name):
            if not there:
                self.client.insert(self.table, row)
                return "created"
            self.client.update(self.table, {"name": definition.name}, row)
            return "updated"

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self.client.close()


@contextmanager
def _refusals_of(name: str) -> Iterator[None]:
    """What concerns one row only is told apart from what concerns the server."""
    try:
        yield
    except DocStoreError as error:
        if error.status not in _ROW_REFUSED:
            raise
        raise ContentError(f"the server does not take {name!r}: {error.cause}; change the definition") from error


def _definition(row: Mapping[str, Any], index: int) -> AgentDefinition | Problem:
    name, content = row.get("name"), row.get("content")
    path = f"registry://{name}" if isinstance(name, str) and name.strip() else f"registry://(row {index + 1})"
    for column, value in (("name", name), ("content", content)):
        if not isinstance(value, str) or not value.strip():
            return Problem(path, 1, 1, f"the row has no {column}", f"set its column {column!r}")
    try:
        return parse_row(str(content), columns_of(row), path)
    except (DefinitionError, NotAnAgent) as error:
        return replace(error.problem, severity="error")
