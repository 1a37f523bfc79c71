"""The token of a WebSocket, which a page can only show as a subprotocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from agentreg.extensions.service.guarding import Guard, Head
from agentreg.extensions.service.refusals import Refusal

from ..serving import Service, serving

TOKEN = "a/b c%41"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Service]:
    file = tmp_path / "token"
    file.write_text(TOKEN, encoding="utf-8")
    file.chmod(0o600)
    with serving(tmp_path / "office", token_file=str(file)) as service:
        yield service


def stream(service: Service, *offered: str, origin: str | None = None) -> ClientConnection:
    url = service.url.replace("http", "ws") + "/registry/events"
    page = Origin(origin) if origin else None
    return connect(url, subprotocols=[Subprotocol(each) for each in offered] or None, origin=page)


def test_the_token_may_come_as_a_subprotocol_and_is_not_said_back(guarded: Service) -> None:
    with stream(guarded, "agentreg", f"agentreg.bearer.{quote(TOKEN, safe='')}", origin=guarded.url) as connection:
        assert connection.subprotocol == "agentreg"
        assert '"listing"' in str(connection.recv(10))


@pytest.mark.parametrize("offered", [(), ("agentreg",), ("agentreg", "agentreg.bearer."), ("agentreg.bearer.wrong",)])
def test_without_the_token_there_is_no_stream(guarded: Service, offered: tuple[str, ...]) -> None:
    with pytest.raises(InvalidStatus) as refused, stream(guarded, *offered):
        pass

    assert refused.value.response.status_code == 401


def test_the_token_does_not_open_the_stream_to_another_page(guarded: Service) -> None:
    offered = ("agentreg", f"agentreg.bearer.{quote(TOKEN, safe='')}")

    with pytest.raises(InvalidStatus), stream(guarded, *offered, origin="http://evil.example"):
        pass


def test_a_stream_that_offers_nothing_is_answered_with_no_subprotocol(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        with stream(service) as connection:
            assert connection.subprotocol is None
        with stream(service, "agentreg") as connection:
            assert connection.subprotocol == "agentreg"


def head(**headers: bytes) -> Head:
    return Head([(b"host", b"localhost"), *((name.replace("_", "-").encode(), each) for name, each in headers.items())])


@pytest.mark.parametrize(
    "protocols", [b"agentreg.bearer.secret", b"agentreg, agentreg.bearer.secret", b"x,agentreg.bearer.%73ecret ,y"]
)
def test_the_guard_finds_the_token_among_the_subprotocols(protocols: bytes) -> None:
    Guard(token="secret").check(head(sec_websocket_protocol=protocols))


@pytest.mark.parametrize(
    "protocols", [b"", b"secret", b"agentreg.bearer", b"agentreg.bearer.", b"agentreg.bearer.secret2", b"\xff, ,"]
)
def test_the_guard_takes_nothing_else_for_the_token(protocols: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        Guard(token="secret").check(head(sec_websocket_protocol=protocols))

    assert refused.value.status == 401


def test_a_wrong_header_is_not_made_good_by_a_subprotocol() -> None:
    with pytest.raises(Refusal, match="another token came"):
        Guard(token="secret").check(
            head(authorization=b"Bearer other", sec_websocket_protocol=b"agentreg.bearer.secret")
        )
