"""A store that can't be used at first: the service answers 503 and says why, and has it once it can."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentreg.extensions.coordination import AgentDirectory, DirectoryUnavailableError
from agentreg.extensions.service import create_app, open_directory

from .driving import Client, alive, run, service, until
from .serving import serving, start


async def is_well(client: Client) -> bool:
    return (await client.get("/health"))[0] == 200


@run
async def test_a_service_whose_store_cant_be_opened_says_so_everywhere_and_has_it_once_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.write_text("in the way", encoding="utf-8")
    async with service(f"sqlite:///{folder}/agents.db") as client:
        answers = {
            path: await client.http.get(path) for path in ("/health", "/agents", "/registry/agents", "/registry/stats")
        }
        beat = await client.http.post("/heartbeat", json={"id": "a"})
        folder.unlink()
        await until(lambda: is_well(client), seconds=5)

        for path, answer in answers.items():
            assert (path, answer.status_code, answer.headers["retry-after"]) == (path, 503, "1")
            assert "File exists" in answer.text or "Not a directory" in answer.text
        assert answers["/health"].json()["ok"] is False
        assert answers["/registry/agents"].headers["content-type"] == "application/problem+json"
        assert beat.status_code == 503
        assert await client.register(id="a") == "a"
        assert (await client.post("/heartbeat", {"id": "a"}))[0] == 200
        assert (await client.get("/registry/agents/a"))[0] == 200


@run
async def test_a_service_that_ends_while_it_waits_for_its_store_ends_well(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    async with service(f"sqlite:///{tmp_path}/data/agents.db") as client:
        assert (await client.get("/health"))[0] == 503


@run
async def test_a_store_that_never_answers_does_not_keep_the_service_from_answering() -> None:
    directory, gate = open_directory("memory://"), asyncio.Event()

    async def opens() -> None:
        await gate.wait()
        await directory.start()

    app = create_app(directory, opens=opens)
    async with alive(app):
        client = Client(app)
        async with client.http:
            status, answer = await client.get("/health")
            gate.set()
            await until(lambda: is_well(client))

    assert (status, "still being opened" in answer["error"]) == (503, True)


@run
async def test_an_error_that_time_does_not_heal_keeps_the_application_from_starting(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "songs.db")) as connection:
        connection.execute("CREATE TABLE songs (title)")

    with pytest.raises(AssertionError, match=r"startup\.failed"):
        async with service(f"sqlite:///{tmp_path}/songs.db"):
            pass


def test_a_served_workspace_whose_data_cant_be_used_is_up_and_recovers(tmp_path: Path) -> None:
    for folder in ("data", "state", "logs"):
        (tmp_path / folder).mkdir()
    database = tmp_path / "data" / "agent-registry.db"
    database.mkdir()  # nothing that a file can be opened as
    with serving(tmp_path) as running:
        status, answer = running.ask("GET", "/health")
        database.rmdir()

        async def is_up() -> bool:
            return running.ask("GET", "/health")[0] == 200

        asyncio.run(until(is_up, seconds=5))
        assert (status, answer["ok"]) == (503, False)
        assert running.post("/register", id="a")[0] == 200


def test_a_discovery_file_that_cant_be_written_at_first_is_written_later(tmp_path: Path) -> None:
    for folder in ("data", "state", "logs"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "state" / "agent-registry.json"
    file.mkdir()
    with start(tmp_path) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            file.rmdir()

            async def is_there() -> bool:
                return file.is_file()

            asyncio.run(until(is_there, seconds=5))
            assert json.loads(file.read_text(encoding="utf-8"))["url"] == url
        finally:
            process.terminate()
            process.communicate(timeout=10)


# -- heartbeats -----------------------------------------------------------------


@run
async def test_heartbeats_are_refused_once_they_could_not_be_written_for_a_second(tmp_path: Path) -> None:
    file = tmp_path / "agents.db"
    async with service(f"sqlite:///{file}?timeout=0.3") as client:
        await client.register(id="a")

        async def beats() -> int:
            return (await client.post("/heartbeat", {"id": "a"}))[0]

        async def refused() -> bool:
            return await beats() == 503

        async def taken() -> bool:
            return await beats() == 200

        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert await beats() == 200
            await until(refused, seconds=5)
            health = await client.get("/health")
            other.execute("ROLLBACK")
        await until(taken, seconds=5)

        assert health[0] == 503
        assert await is_well(client)


@run
async def test_heartbeats_that_a_remote_store_does_not_take_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*batch: object) -> None:
        raise DirectoryUnavailableError("elsewhere", "it is away")

    directory: AgentDirectory = open_directory("memory://")
    app = create_app(directory)
    async with alive(app):
        client = Client(app)
        async with client.http:
            await client.register(id="a")
            with monkeypatch.context() as outage:
                outage.setattr(directory.store, "renew", away)

                async def refused() -> bool:
                    return (await client.post("/heartbeat", {"id": "a"}))[0] == 503

                await until(refused, seconds=5)

            async def taken() -> bool:
                return (await client.post("/heartbeat", {"id": "a"}))[0] == 200

            await until(taken, seconds=5)


# -- what was changed, and when ---------------------------------------------------


def test_when_a_record_was_modified_is_not_when_it_was_active_and_outlives_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.post("/registry/agents", agent_id="a", name="a")
        first = running.ask("GET", "/registry/agents/a")[1]
        changed = running.ask("PUT", "/registry/agents/a", {"config": {"priority": 3}})[1]
        running.post("/deregister", id="a")
        stopped = running.ask("GET", "/registry/agents/a")[1]
        running.end()
    with serving(tmp_path) as running:
        later = running.ask("GET", "/registry/agents/a")[1]

    assert first["last_modified"] < changed["last_modified"] == stopped["last_modified"] == later["last_modified"]
    assert stopped["last_activity"] > stopped["last_modified"]
