"""Agents whose process ends."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from .driving import Client, child, run, service, until


async def stopped(client: Client) -> bool:
    return await client.statuses() == {"a": "stopped"}


@run
@pytest.mark.parametrize("host", [None, "", "localhost", "127.0.0.1", platform.node(), "LOCALHOST"])
@pytest.mark.parametrize("reaped", [True, False])
async def test_the_agent_of_a_killed_process_is_stopped_a_zombies_too(host: str | None, reaped: bool) -> None:
    async with service() as client:
        with child() as process:
            await client.register(id="a", pid=process.pid, host=host)
            assert await client.statuses() == {"a": "active"}

            process.kill()
            if reaped:
                process.wait()
            await until(lambda: stopped(client))


@run
async def test_a_process_that_has_ended_before_it_was_registered_is_stopped() -> None:
    with child() as process:
        process.kill()
    async with service() as client:
        await client.register(id="a", pid=process.pid)

        await until(lambda: stopped(client))


@run
async def test_living_foreign_and_unnamed_processes_are_left_alone() -> None:
    with child() as process:
        process.kill()
    async with service() as client:
        await client.register(id="other machine", pid=process.pid, host="elsewhere.example")
        await client.register(id="unnamed", pid=0)
        await client.register(id="living", pid=os.getpid())
        await client.register(id="a", pid=process.pid)

        await until(lambda: seen(client, "a"))

        assert set((await client.statuses()).values()) == {"active", "stopped"}
        assert [agent["id"] for agent in await client.agents() if agent["status"] == "stopped"] == ["a"]


async def seen(client: Client, agent_id: str) -> bool:
    return (await client.statuses())[agent_id] == "stopped"


@run
async def test_a_restart_keeps_the_records_and_notices_who_ended_meanwhile(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agents.db"
    with child() as process:
        async with service(url) as client:
            await client.register(id="a", pid=process.pid)
            await client.register(id="b", name="other", meta={"k": [1]})
            before = {agent["id"]: agent for agent in await client.agents()}
        process.kill()

    async with service(url) as client:
        await until(lambda: seen(client, "a"))
        after = {agent["id"]: agent for agent in await client.agents()}

    for key in ("name", "cwd", "pid", "host", "started_at", "meta"):
        assert before["b"][key] == after["b"][key]
    assert (after["a"]["status"], after["b"]["status"]) == ("stopped", "active")


@run
async def test_a_process_of_the_service_itself_is_kept_over_a_new_listing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agents.db"
    for _ in range(2):
        async with service(url) as client:
            await client.register(id="me", pid=os.getpid(), cwd=os.getcwd())
    async with service(url) as client:
        assert await client.statuses() == {"me": "active"}
