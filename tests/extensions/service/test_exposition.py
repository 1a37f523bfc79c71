"""``/metrics``: what Prometheus reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from agentreg.extensions.coordination import DirectoryUnavailableError
from agentreg.extensions.service import create_app, open_directory

from .driving import Client, alive, run, service, until

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def figures(client: Client) -> Samples:
    text = (await client.http.get("/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in plain_text(text)
        for sample in family.samples
    }


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def requests(found: Samples, route: str, method: str, status: int) -> float:
    return found.get(("agentreg_requests_total", labelled(route=route, method=method, status=str(status))), 0)


@run
async def test_requests_are_counted_by_route_method_and_status() -> None:
    async with service() as client:
        await client.register(id="a")
        for _ in range(3):
            await client.post("/heartbeat", {"id": "a"})
        await client.post("/heartbeat", {"id": "nobody"})
        await client.post("/heartbeat")
        await client.http.get("/heartbeat")
        await client.get("/registry/agents/a")
        await client.get("/registry/agents/b")
        await client.http.get("/nowhere/at/all")
        await client.http.request("BREW", "/nowhere")
        found = await figures(client)

    assert requests(found, "/register", "POST", 200) == 1
    assert [requests(found, "/heartbeat", "POST", status) for status in (200, 404, 400)] == [3, 1, 1]
    assert requests(found, "/heartbeat", "other", 405) == 1
    one = "/registry/agents/{agent_id}"
    assert [requests(found, one, "GET", status) for status in (200, 404)] == [1, 1]
    assert requests(found, "(none)", "GET", 404) == 1
    assert requests(found, "(none)", "other", 404) == 1
    assert found["agentreg_request_seconds_count", labelled(route=one, method="GET")] == 2


@run
async def test_names_that_strangers_choose_are_no_labels() -> None:
    async with service() as client:
        for number in range(50):
            await client.http.get(f"/stranger-{number}")
            await client.http.request(f"METHOD{number}", "/agents")
        before = len(await figures(client))
        await client.http.get("/another")
        after = len(await figures(client))

    assert after - before < 20  # the series of /metrics itself


@run
async def test_what_there_is_is_shown_as_it_is() -> None:
    async with service() as client:
        await client.register(id="a")
        await client.register(id="b")
        await client.post("/deregister", {"id": "b"})
        await client.post("/heartbeat", {"id": "a"})
        found = await figures(client)

    assert found["agentreg_agents", labelled(status="active")] == 1
    assert found["agentreg_agents", labelled(status="offline")] == 1
    assert found["agentreg_agents", labelled(status="unhealthy")] == 0
    assert found["agentreg_revision", ()] == 3
    assert found["agentreg_store_up", ()] == 1
    assert found["agentreg_heartbeats_pending", ()] == 1
    assert found["agentreg_event_readers", ()] == 0
    assert found["agentreg_event_readers_overflown_total", ()] == 0
    assert 0 < found["agentreg_uptime_seconds", ()] < 60
    assert found["process_cpu_seconds_total", ()] > 0


@run
async def test_events_and_their_readers_are_counted() -> None:
    directory = open_directory("memory://")
    app = create_app(directory)
    async with alive(app):
        client = Client(app)
        async with client.http, _Streaming(app):

            async def is_read() -> bool:
                return (await figures(client))["agentreg_event_readers", ()] == 1

            await until(is_read)
            await client.register(id="a")

            async def is_told() -> bool:
                return (await figures(client))["agentreg_events_total", ()] == 1

            await until(is_told)


class _Streaming:
    """Somebody who reads the stream of an application, and takes no notice."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __aenter__(self) -> None:
        self._gone = asyncio.Event()
        headers = [(b"host", b"127.0.0.1")]
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/registry/events", "headers": headers}
        scope |= {"query_string": b"", "root_path": "", "http_version": "1.1", "asgi": {"version": "3.0"}}
        self._task = asyncio.create_task(self._app(scope, self._receive, self._send))

    async def __aexit__(self, *exception: object) -> None:
        self._gone.set()
        await self._task

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        pass


@run
async def test_a_store_that_is_away_is_shown_and_the_figures_are_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*batch: object) -> None:
        raise DirectoryUnavailableError("elsewhere", "it is away")

    directory = open_directory("memory://")
    app = create_app(directory)
    async with alive(app):
        client = Client(app)
        async with client.http:
            with monkeypatch.context() as outage:
                outage.setattr(directory.store, "put", away)
                assert (await client.post("/register", {"id": "a"}))[0] == 503
                found = await figures(client)
            await client.register(id="a")
            later = await figures(client)

    assert (found["agentreg_store_up", ()], later["agentreg_store_up", ()]) == (0, 1)
    assert requests(later, "/register", "POST", 503) == 1


@run
async def test_who_asks_for_openmetrics_gets_it() -> None:
    async with service() as client:
        await client.register(id="a")
        text = await client.http.get("/metrics")
        kind = "application/openmetrics-text"
        newer = await client.http.get("/metrics", headers={"accept": f"{kind}; version=1.0.0, text/plain;q=0.5"})

    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert newer.headers["content-type"].startswith(kind)
    assert newer.text.endswith("# EOF\n")
    names = {family.name for family in openmetrics(newer.text)}  # type: ignore[no-untyped-call]
    assert {"agentreg_requests", "agentreg_agents", "agentreg_request_seconds"} <= names


@run
async def test_two_applications_count_apart() -> None:
    async with service() as one, service() as other:
        await one.register(id="a")

        assert requests(await figures(one), "/register", "POST", 200) == 1
        assert requests(await figures(other), "/register", "POST", 200) == 0


@run
async def test_the_figures_want_the_token() -> None:
    async with service(token="secret") as client:
        assert (await client.http.get("/metrics")).status_code == 401
        assert (await client.http.get("/metrics", headers={"authorization": "Bearer secret"})).status_code == 200
