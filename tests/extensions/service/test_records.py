"""The store's verbs over HTTP, for directories of other processes and machines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    BackendURLError,
    DirectoryUnavailableError,
)
from agentreg.extensions.coordination.http import HTTPBackend, _chunks

from .driving import FakeClock, run, service, until
from .serving import serving

PUT: dict[str, Any] = {"record": {"agent_id": "a", "runtime_id": "r", "token": "t", "registered": 1.0}}


@run
async def test_a_batch_is_carried_out_item_by_item() -> None:
    async with service() as client:
        batch = {"items": [PUT, {"record": {**PUT["record"], "token": "other"}}]}
        status, answer = await client.post("/registry/records:put", batch)
        patch = {"agent_id": "a", "token": "t", "fields": {"version": "2"}}
        _, patched = await client.post("/registry/records:patch", {"items": [patch, {**patch, "token": "x"}]})
        _, listing = await client.post("/registry/records:list")
        _, news = await client.post("/registry/records:changes", {"since": 1, "mark": 0})
        _, gone = await client.post("/registry/records:delete", {"items": [{"agent_id": "a", "token": "t"}]})

    assert (status, answer["revision"], answer["results"][0]) == (200, 1, None)
    assert answer["results"][1]["token"] == "t"
    assert (patched["revision"], patched["results"]) == (2, [True, False])
    assert (listing["revision"], listing["records"][0]["version"]) == (2, "2")
    assert [(change["revision"], change["kind"]) for change in news["changes"]] == [(2, "updated")]
    assert (gone["revision"], gone["results"]) == (3, [True])


@run
@pytest.mark.parametrize(
    ("verb", "body", "named"),
    [
        ("put", [], "body: expected an object"),
        ("put", {}, "items: expected a list"),
        ("put", {"items": [7]}, "items[0]: expected an object"),
        ("put", {"items": [PUT, {}]}, "items[1]: 'record' is missing"),
        ("put", {"items": [{"record": {"agent_id": "a"}}]}, "items[0]: record.runtime_id"),
        ("put", {"items": [{"record": {**PUT["record"], "agent_id": 7}}]}, "items[0]: record.agent_id"),
        ("put", {"items": [{"record": {**PUT["record"], "capabilities": "all"}}]}, "items[0]: record.capabilities"),
        ("put", {"items": [{"record": {**PUT["record"], "status": "odd"}}]}, "items[0]: 'odd' is not"),
        ("patch", {"items": [{"agent_id": "a", "token": "t"}]}, "items[0]: 'fields' is missing"),
        ("patch", {"items": [{"agent_id": "a", "token": "t", "fields": {"status": "odd"}}]}, "items[0]: 'odd'"),
        ("delete", {"items": [{"agent_id": "a", "token": "t", "heard": "now"}]}, "items[0]: heard"),
        ("renew", {"items": [{"agent_id": "a"}]}, "items[0]: 'runtime_id' is missing"),
        ("renew", {"items": [{"runtime_id": "r"}] * 1001}, "items: expected a list of at most 1,000"),
        ("changes", {"since": -1}, "since: expected a number from 0 up"),
        ("changes", {"since": 0, "wait": "long"}, "wait: expected a number"),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused_whole(verb: str, body: Any, named: str) -> None:
    async with service() as client:
        status, problem = await client.post(f"/registry/records:{verb}", body)
        _, listing = await client.post("/registry/records:list")

    assert (status, problem["detail"].startswith(named)) == (400, True), problem
    assert listing["revision"] == 0


@run
async def test_a_directory_over_http_and_the_service_show_each_others_agents(tmp_path: Path) -> None:
    class Worker:
        name = "worker"

    worker = Worker()
    with serving(tmp_path) as there:
        await asyncio.to_thread(there.post, "/register", id="simple", name="claude-code")
        async with AgentDirectory(backend=there.url) as directory:
            await directory.register_agent(worker, "office", "ann", capabilities=["code"])
            shown = await asyncio.to_thread(there.agents)
            found = await directory.list_agents()
            await asyncio.to_thread(there.post, "/register", id="late")
            await until(lambda: directory.get_agent("late"))
        after = await asyncio.to_thread(there.agents)

    assert {name: agent["name"] for name, agent in shown.items()} == {"simple": "claude-code", "ann": "worker"}
    assert {record.agent_id: record.name for record in found} == {"simple": "claude-code", "ann": "worker"}
    assert set(after) == {"simple", "late"}


@run
async def test_a_directory_with_short_time_outs_never_removes_the_services_own_agents(tmp_path: Path) -> None:
    config = AgentDirectoryConfig(heartbeat_timeout=0.4, auto_deregister_timeout=0.4)
    with serving(tmp_path) as there:
        await asyncio.to_thread(there.post, "/register", id="simple")
        async with AgentDirectory(config, backend=there.url) as directory:
            await directory.register_agent(agent := type("Own", (), {})(), "office", "own")
            await until(lambda: is_gone(directory, "own"))
            shown = await asyncio.to_thread(there.agents)
            assert agent is not None

    assert shown["simple"]["status"] == "active"


async def is_gone(directory: AgentDirectory, agent_id: str) -> bool:
    return await directory.get_agent(agent_id) is None


@run
async def test_the_token_stands_in_the_address_and_is_shown_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with serving(tmp_path / "w", token_file=str(file)) as there:
        token = file.read_text(encoding="utf-8").strip()
        backend = HTTPBackend(there.url.replace("//", f"//:{token}@"))
        await backend.open()
        assert (await backend.list()).records == []
        await backend.close()
        with pytest.raises(DirectoryUnavailableError, match="401"):
            await HTTPBackend(there.url).list()

    assert token not in backend.url
    with pytest.raises(DirectoryUnavailableError) as away:
        await backend.list()
    assert token not in str(away.value)


@pytest.mark.parametrize("url", ["http://", "http:///path", "http://host:port", "http://host:99999", "http://h?x=1"])
def test_an_address_that_is_none_is_refused_with_the_forms(url: str) -> None:
    with pytest.raises(BackendURLError, match="http://host:port"):
        AgentDirectory(backend=url)


def test_a_long_batch_goes_in_parts_that_the_service_takes() -> None:
    chunks = _chunks(["x" * 1_000] * 2_000)

    assert [item for chunk in chunks for item in chunk] == ["x" * 1_000] * 2_000
    assert max(len(chunk) for chunk in chunks) == 500
    assert max(sum(map(len, chunk)) for chunk in _chunks(["x" * 400_000] * 5)) <= 900_000
    assert _chunks([]) == [[]]


@run
async def test_a_question_for_news_waits_no_longer_than_the_service(tmp_path: Path) -> None:
    with serving(tmp_path) as there:
        backend = HTTPBackend(there.url)
        await backend.open()
        try:
            asking = asyncio.create_task(backend.changes(0, 0, 25.0))
            await asyncio.to_thread(there.ask, "GET", "/health")
            there.process.terminate()
            with pytest.raises(DirectoryUnavailableError):
                await asking
            assert await asyncio.to_thread(there.process.wait, 5) == 0
        finally:
            await backend.close()


@run
async def test_agents_of_a_directory_that_is_never_heard_of_again_are_stale_then_forgotten() -> None:
    clock = FakeClock()
    async with service(clock=clock) as client:
        await client.post("/registry/records:put", {"items": [PUT]})
        clock.pass_by(60)
        await client.post("/registry/records:renew", {"items": [{"runtime_id": "r"}]})
        clock.pass_by(60)
        assert await client.statuses() == {"a": "active"}
        clock.pass_by(30)
        assert await client.statuses() == {"a": "stale"}
        clock.pass_by(3600)
        assert await client.statuses() == {}
