"""Where a directory's copy stands, and what has changed in it since."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from agentreg.extensions.coordination import AgentDirectory, AgentDirectoryConfig, AgentMetadata
from agentreg.extensions.coordination.backend import Delete, Put
from agentreg.extensions.coordination.sqlite import SQLiteBackend
from agentreg.extensions.coordination.sqlite.schema import Address

QUIET = AgentDirectoryConfig(enable_heartbeat_monitoring=False)


def record(name: str) -> AgentMetadata:
    return AgentMetadata(name, "worker", f"token of {name}")


def test_changes_since_a_position_are_those_that_came_after_it() -> None:
    async def run() -> list[tuple[str, str]]:
        async with AgentDirectory(QUIET) as directory:
            await directory.carry_out([Put(record("a"))])
            position = directory.position
            assert directory.changes_since(position) == []
            await directory.carry_out([Put(record("b"))])
            await directory.carry_out([Delete("a", "token of a")])
            return [(change.kind, change.agent_id) for change in directory.changes_since(position) or ()]

    assert asyncio.run(run()) == [("registered", "b"), ("deregistered", "a")]


def test_a_position_of_long_ago_is_not_known_any_more() -> None:
    async def run() -> object:
        async with AgentDirectory(QUIET) as directory:
            position = directory.position
            await directory.carry_out([Put(record(f"{number}")) for number in range(2_000)])
            return directory.changes_since(position)

    assert asyncio.run(run()) is None


def test_a_position_before_a_new_listing_is_not_known_any_more(tmp_path: Path) -> None:
    async def run() -> object:
        directory = AgentDirectory(QUIET, f"sqlite:///{tmp_path}/agents.db")
        async with directory:
            position = directory.position
        async with directory:
            return directory.changes_since(position)

    assert asyncio.run(run()) is None


def test_the_records_of_the_copy_are_listed_without_waiting() -> None:
    async def run() -> list[str]:
        async with AgentDirectory(QUIET) as directory:
            await directory.carry_out([Put(record("b")), Put(record("a"))])
            return [each.agent_id for each in directory.records()]

    assert asyncio.run(run()) == ["b", "a"]


def test_how_often_others_changes_are_looked_for_can_be_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agents.db?look=0.2"

    async def run() -> list[str]:
        async with (
            AgentDirectory(QUIET, SQLiteBackend(url, time.monotonic)) as reader,
            AgentDirectory(QUIET, f"sqlite:///{tmp_path}/agents.db") as writer,
        ):
            await writer.carry_out([Put(record("a"))])
            while not reader.agents:
                await asyncio.sleep(0.01)
            return list(reader.agents)

    assert Address.of(url).look == 0.2
    assert asyncio.run(run()) == ["a"]
