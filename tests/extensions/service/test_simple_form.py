"""The five routes of the simple form, row by row."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import pytest

from agentreg import __version__
from agentreg.extensions.coordination import AgentDirectory
from agentreg.extensions.service import Timing, create_app, open_directory

from .driving import Client, FakeClock, alive, run, service, until


@run
async def test_registering_without_anything_gives_the_defaults() -> None:
    async with service() as client:
        agent_id = await client.register()

        (agent,) = await client.agents()

    times = {key: agent.pop(key) for key in ("started_at", "last_heartbeat", "heartbeat_age")}
    assert agent == {
        "id": agent_id,
        "name": "agent",
        "cwd": None,
        "pid": 0,
        "host": platform.node(),
        "status": "active",
        "meta": {},
    }
    assert abs(times["started_at"] - time.time()) < 60
    assert abs(times["last_heartbeat"] - time.time()) < 60
    assert 0 <= times["heartbeat_age"] < 60


@run
async def test_what_is_registered_is_shown_as_it_was_sent() -> None:
    meta = {"branch": "main", "nested": {"list": [1, 2.5, None, True, "ü"]}}
    sent = {"id": "session-1", "name": "claude-code", "cwd": "/srv/app", "pid": 17, "host": "elsewhere", "meta": meta}
    async with service() as client:
        assert await client.register(**sent) == "session-1"

        (agent,) = await client.agents()

    assert {key: agent[key] for key in sent} == sent


@run
async def test_null_counts_as_left_out() -> None:
    async with service() as client:
        await client.register(id=None, name=None, cwd=None, pid=None, host=None, meta=None, token=None)

        (agent,) = await client.agents()

    assert (agent["name"], agent["cwd"], agent["pid"], agent["host"]) == ("agent", None, 0, platform.node())


@run
async def test_registering_again_replaces_everything_but_the_start() -> None:
    async with service() as client:
        await client.register(id="a", name="first", cwd="/one", pid=7, host="there", meta={"old": 1})
        (before,) = await client.agents()
        await client.post("/deregister", {"id": "a"})

        await client.register(id="a", meta={"new": 2})
        (after,) = await client.agents()

    assert (after["name"], after["cwd"], after["pid"], after["host"]) == ("agent", None, 0, platform.node())
    assert (after["meta"], after["status"], after["started_at"]) == ({"new": 2}, "active", before["started_at"])


@run
async def test_a_heartbeat_says_that_the_agent_is_active() -> None:
    clock = FakeClock()
    async with service(clock=clock) as client:
        await client.register(id="a")
        clock.pass_by(20)
        (before,) = await client.agents()

        assert await client.post("/heartbeat", {"id": "a"}) == (200, {"ok": True, "status": "active"})
        clock.pass_by(1)
        (after,) = await client.agents()

    assert (before["heartbeat_age"], after["heartbeat_age"]) == (20, 1)
    assert after["last_heartbeat"] - before["last_heartbeat"] == pytest.approx(20)


@run
async def test_heartbeats_of_many_come_in_one_request() -> None:
    async with service() as client:
        await client.register(id="a")
        await client.register(id="b")

        status, answer = await client.post("/heartbeat", {"ids": ["b", "a", "nobody"]})

    assert (status, answer) == (200, {"ok": True, "status": "active", "count": 2, "unknown": ["nobody"]})


@run
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 400),
        ({"id": ""}, 400),
        ({"id": None}, 400),
        ({"id": 7}, 400),
        ({"id": "nobody"}, 404),
        ({"ids": []}, 400),
        ({"ids": ["nobody"]}, 404),
        ({"ids": "nobody"}, 400),
        ({"ids": ["x"] * 10_001}, 400),
    ],
)
async def test_a_heartbeat_of_nobody_is_refused(body: Any, expected: int) -> None:
    async with service() as client:
        status, answer = await client.post("/heartbeat", body)

    assert (status, answer["ok"]) == (expected, False)
    assert "id" in answer["error"]


@run
async def test_one_that_was_deregistered_is_stopped_and_beats_no_more() -> None:
    async with service() as client:
        await client.register(id="a")

        assert await client.post("/deregister", {"id": "a"}) == (200, {"ok": True})
        assert await client.statuses() == {"a": "stopped"}
        assert (await client.post("/heartbeat", {"id": "a"}))[0] == 404
        assert await client.post("/deregister", {"id": "a"}) == (200, {"ok": True})


@run
async def test_an_unknown_one_is_deregistered_without_complaint_but_not_without_an_id() -> None:
    async with service() as client:
        assert await client.post("/deregister", {"id": "nobody"}) == (200, {"ok": True})
        assert (await client.post("/deregister", {}))[0] == 400
        assert await client.agents() == []


@run
@pytest.mark.parametrize(("path", "fine"), [("/register", 200), ("/heartbeat", 200), ("/deregister", 200)])
async def test_a_wrong_token_is_a_conflict_and_changes_nothing(path: str, fine: int) -> None:
    async with service() as client:
        _, answer = await client.post("/register", {"id": "a", "name": "holder"})

        status, refusal = await client.post(path, {"id": "a", "name": "thief", "token": "wrong"})
        (agent,) = await client.agents()

        assert (status, refusal["ok"]) == (409, False)
        assert (agent["name"], agent["status"]) == ("holder", "active")
        assert (await client.post(path, {"id": "a", "token": answer["token"]}))[0] == fine


@run
async def test_a_late_farewell_with_a_token_never_stops_the_successor() -> None:
    async with service() as client:
        _, old = await client.post("/register", {"id": "a"})
        await client.post("/register", {"id": "a"})

        assert (await client.post("/deregister", {"id": "a", "token": old["token"]}))[0] == 409
        assert await client.statuses() == {"a": "active"}


@run
async def test_the_newest_comes_first() -> None:
    async with service() as client:
        for name in "abc":
            await client.register(id=name)
        await client.register(id="a")

        assert [agent["id"] for agent in await client.agents()] == ["c", "b", "a"]


@run
async def test_health_counts_every_row_and_names_this_start() -> None:
    async with service(instance_id="this one") as client:
        await client.register(id="a")
        await client.register(id="b")
        await client.post("/deregister", {"id": "a"})

        status, health = await client.get("/health")

    assert (status, health.pop("uptime") >= 0) == (200, True)
    assert health == {"ok": True, "count": 2, "instance_id": "this one", "version": __version__}


@run
async def test_a_listing_says_when_it_was_true_and_shows_each_change_at_once() -> None:
    clock = FakeClock()
    async with service(clock=clock) as client:
        _, empty = await client.get("/agents")
        await client.register(id="a")
        _, full = await client.get("/agents")
        clock.pass_by(1)
        _, later = await client.get("/agents")

    assert (empty["count"], full["count"]) == (0, 1)
    assert later["as_of"] - full["as_of"] == pytest.approx(1)
    assert later["agents"][0]["last_heartbeat"] == pytest.approx(later["as_of"] - later["agents"][0]["heartbeat_age"])


@run
async def test_heartbeats_are_no_revisions_and_a_change_of_status_is() -> None:
    directory = open_directory("memory://")
    app = create_app(directory)
    async with alive(app):
        client = Client(app)
        await client.register(id="a")
        before = directory.revision
        await client.post("/heartbeat", {"id": "a"})
        between = directory.revision
        await client.post("/deregister", {"id": "a"})

        assert (before, between, directory.revision) == (1, 1, 2)


@run
@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_silence_makes_stale_a_heartbeat_revives_and_time_forgets(backend: str, tmp_path: Path) -> None:
    clock = FakeClock()
    url = "memory://" if backend == "memory" else f"sqlite:///{tmp_path}/agents.db"
    async with service(url, clock) as client:
        await client.register(id="a")
        clock.pass_by(89.9)
        assert await client.statuses() == {"a": "active"}
        clock.pass_by(0.1)
        assert await client.statuses() == {"a": "stale"}
        assert await client.post("/heartbeat", {"id": "a"}) == (200, {"ok": True, "status": "active"})
        assert await client.statuses() == {"a": "active"}
        clock.pass_by(90)
        assert await client.statuses() == {"a": "stale"}
        clock.pass_by(3599)
        assert await client.statuses() == {"a": "stale"}
        clock.pass_by(1)
        assert await client.statuses() == {}


@run
async def test_the_stopped_are_forgotten_after_an_hour() -> None:
    clock = FakeClock()
    async with service(clock=clock) as client:
        await client.register(id="a")
        await client.post("/deregister", {"id": "a"})
        await client.statuses()
        clock.pass_by(3599)
        assert await client.statuses() == {"a": "stopped"}
        clock.pass_by(2)
        assert await client.statuses() == {}


@run
async def test_both_times_can_be_set() -> None:
    clock = FakeClock()
    async with service(clock=clock, timing=Timing(stale_after=5, prune_after=10)) as client:
        await client.register(id="a")
        clock.pass_by(5)
        assert await client.statuses() == {"a": "stale"}
        clock.pass_by(10)
        assert await client.statuses() == {}


def test_a_directory_that_judges_heartbeats_itself_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"enable_heartbeat_monitoring=False, as open_directory\(\)"):
        create_app(AgentDirectory())


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "90"])
def test_a_time_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="stale_after: expected a number of seconds above 0"):
        Timing(stale_after=seconds)


@run
async def test_a_heartbeat_is_kept_as_of_when_it_came_not_of_when_it_was_written(tmp_path: Path) -> None:
    clock = FakeClock()
    directory = open_directory(f"sqlite:///{tmp_path}/agents.db", clock=clock)
    app = create_app(directory)

    async def ages() -> list[float]:
        beats = (await directory.store.list()).beats
        return [beat.age for beat in beats if beat.agent_id == "a" and beat.age < 10]

    async with alive(app), (client := Client(app)).http:
        await client.register(id="a")
        clock.pass_by(20)
        await client.post("/heartbeat", {"id": "a"})
        clock.pass_by(5)
        await until(ages)
        kept = await ages()
        (agent,) = await client.agents()

    assert (kept, agent["heartbeat_age"]) == ([5], 5)
