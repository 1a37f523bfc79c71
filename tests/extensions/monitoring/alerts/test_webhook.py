"""Alerts over HTTP, to a real server."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentreg.extensions.monitoring.alerts import AlertEvent, Alerts, CallbackHandler, LogHandler

stamina = pytest.importorskip("stamina")
pytest.importorskip("httpx")

from agentreg.extensions.monitoring.alerts import WebhookHandler  # noqa: E402 - needs both


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses it was given, then with 204, and keeps what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.statuses: list[int] = []
        self.bodies: list[dict[str, list[dict[str, str]]]] = []
        self.tokens: list[str | None] = []
        self.got = threading.Semaphore(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?secret=xyzzy"


class Answering(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        if status == 204:
            self.server.bodies.append(json.loads(body))
        self.server.tokens.append(self.headers["Authorization"])
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.got.release()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def fire(*handlers: object, times: int = 1) -> None:
    alerts = Alerts(["full: memory_usage > 90%"], handlers=handlers)  # type: ignore[arg-type]
    for number in range(times):
        alerts.observe("memory_usage", f"agent-{number}", 0.95)
    alerts.evaluate()
    assert alerts.wait_for_handlers(timeout=60)


def test_an_event_is_posted_as_json(receiver: Receiver) -> None:
    with WebhookHandler(receiver.url, headers={"Authorization": "Bearer t"}) as hook:
        fire(hook)
        assert receiver.got.acquire(timeout=60)

    (body,) = receiver.bodies
    assert [(event["rule"], event["agent"], event["kind"]) for event in body["events"]] == [
        ("full", "agent-0", "firing")
    ]
    assert receiver.tokens == ["Bearer t"]
    assert hook.counts == {"sent": 1, "failed": 0, "dropped": 0}


def test_what_comes_before_the_start_waits_and_close_sends_it_all(receiver: Receiver) -> None:
    hook = WebhookHandler(receiver.url)
    fire(hook, times=250)

    hook.start()

    assert hook.close(timeout=60)
    assert [len(body["events"]) for body in receiver.bodies] == [100, 100, 50]


def test_a_server_that_is_not_ready_is_asked_again(receiver: Receiver) -> None:
    receiver.statuses = [503, 429]

    with WebhookHandler(receiver.url) as hook:
        fire(hook)
        assert all(receiver.got.acquire(timeout=60) for _ in range(3))

    assert hook.counts["sent"] == 1


@pytest.mark.parametrize("status", [400, 302])
def test_a_refusal_is_not_repeated_and_the_address_is_kept_out_of_the_log(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    receiver.statuses = [status]

    with WebhookHandler(receiver.url) as hook:
        fire(hook)
        assert receiver.got.acquire(timeout=60)

    assert hook.counts == {"sent": 0, "failed": 1, "dropped": 0}
    assert f"status {status}" in caplog.text
    assert "xyzzy" not in "".join(each.getMessage() for each in caplog.records if each.name == "agentreg")


def test_the_queue_is_bounded() -> None:
    hook = WebhookHandler("http://127.0.0.1:9/", limit=10)

    fire(hook, times=25)

    assert hook.counts["dropped"] == 15
    assert not hook.close()


@pytest.mark.parametrize("url", ["ftp://example.org", "example.org", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url: expected one with http"):
        WebhookHandler(url)


# -- into the log, and into functions ---------------------------------------


def test_alerts_are_logged_with_their_severity(caplog: pytest.LogCaptureFixture) -> None:
    alerts = Alerts(["memory_usage > 90% as critical"], handlers=[LogHandler()], patience=60)
    alerts.observe("memory_usage", "ann", 0.95)
    with caplog.at_level(logging.INFO):
        alerts.evaluate()
        alerts.forget("ann")

    assert [(each.levelname, each.name) for each in caplog.records] == [
        ("CRITICAL", "agentreg.alerts"),
        ("INFO", "agentreg.alerts"),
    ]


def test_a_callback_gets_what_it_asked_for() -> None:
    told: list[AlertEvent] = []
    rules = ["a: memory_usage > 90% as critical", "b: memory_usage > 80%", "c: memory_usage > 70% as critical"]
    handler = CallbackHandler(told.append, rules="[ab]", agents="a*", severity="critical")
    alerts = Alerts(rules, handlers=[handler], patience=60)

    alerts.observe_many("memory_usage", {"ann": 0.95, "bob": 0.95})
    alerts.evaluate()

    assert [(event.rule, event.agent) for event in told] == [("a", "ann")]
    with pytest.raises(ValueError, match="severity: expected one of"):
        CallbackHandler(print, severity="bad")  # type: ignore[arg-type]
