"""What the service says while its store can't be used, and that it recovers by itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .driving import run, service, until


@run
@pytest.mark.parametrize(("path", "body"), [("/register", {"id": "b"}), ("/registry/agents", {"name": "b"})])
async def test_a_store_that_is_held_up_is_503_with_the_reason_and_heals_by_itself(
    tmp_path: Path, path: str, body: dict[str, str]
) -> None:
    file = tmp_path / "agents.db"
    async with service(f"sqlite:///{file}?timeout=0.3") as client:
        await client.register(id="a")
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            answer = await client.http.post(path, json=body)
            health = await client.http.get("/health")
            listed = await client.statuses()
            other.execute("ROLLBACK")

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "gives no answer" in answer.text
        assert (health.status_code, health.json()["ok"]) == (503, False)
        assert listed["a"] == "active"

        async def takes() -> bool:  # whether the first took effect is not known
            return (await client.post(path, body))[0] in (200, 201, 409)

        async def is_well() -> bool:
            return (await client.get("/health"))[0] == 200

        await until(takes, seconds=5)
        await until(is_well, seconds=5)


@run
async def test_a_database_that_is_damaged_while_it_is_in_use_is_set_aside_and_a_new_one_taken(tmp_path: Path) -> None:
    file = tmp_path / "agents.db"
    async with service(f"sqlite:///{file}") as client:
        await client.register(id="before")
        file.write_bytes(b"no database at all" * 1000)

        async def takes() -> bool:
            return (await client.post("/register", {"id": "after"}))[0] == 200

        await until(takes)

        assert "after" in await client.statuses()
        assert len(list(tmp_path.glob("agents.db.damaged-*"))) >= 1
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT agent_id FROM agents").fetchall() == [("after",)]
