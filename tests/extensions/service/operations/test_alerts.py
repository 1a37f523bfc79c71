"""Alerts over HTTP: they fire, are seen, silenced, resolved, and outlive the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.service.operations import OperationsConfig

from ..driving import run
from .hands import Office, clock, eventually, files_in, office, told

FULL = {"memory_used": "95mb", "memory_allocated": "100mb"}
FINE = {"memory_used": "10mb", "memory_allocated": "100mb"}


async def fire(here: Office, agent_id: str = "a") -> dict[str, Any]:
    """Have an agent use too much memory for long enough."""
    await here.enter(agent_id, resources=FULL)
    await here.sample(13)
    return (await here.alerts())[0]


@run
async def test_an_alert_is_pending_then_fires_and_resolves() -> None:
    async with office() as here:
        await here.enter("a", name="ann", resources=FULL)
        await here.sample()
        early = await here.alerts()
        await here.sample(12)
        (alert,) = await here.alerts()
        await here.put("a", resources=FINE)
        await here.sample()
        late, past = await here.alerts(), await here.alerts("history")

    assert [each["state"] for each in early] == ["pending"]
    assert (alert["state"], alert["rule"], alert["agent"], alert["agent_name"]) == ("firing", "high_memory", "a", "ann")
    assert (alert["value"], alert["value_text"], alert["threshold"]) == (0.95, "95%", 0.9)
    assert alert["expression"] == "memory_usage > 90% for 2m"
    assert (alert["fired_at"], alert["resolved_at"], alert["acknowledged"]) == ("2023-11-14T22:15:20Z", None, None)
    assert late == []
    assert [(each["id"], each["state"], each["reason"]) for each in past] == [(alert["id"], "resolved", "recovered")]
    assert past[0]["fired_at"] == alert["fired_at"]


@run
async def test_all_alerts_are_those_that_fire_and_those_that_are_over() -> None:
    async with office() as here:
        await fire(here, "a")
        await here.put("a", resources=FINE)
        await fire(here, "b")

        assert await here.states("all") == [("high_memory", "b", "firing"), ("high_memory", "a", "resolved")]
        status, answer = await here.get("/registry/alerts?state=all&limit=1")

    assert (status, len(answer["alerts"]), answer["count"]) == (200, 1, 2)


@run
async def test_an_alert_that_fires_again_has_an_id_of_its_own() -> None:
    async with office() as here:
        first = await fire(here)
        await here.put("a", resources=FINE)
        await here.sample()
        await here.put("a", resources=FULL)
        await here.sample(13)
        (second,) = await here.alerts()

    assert second["state"] == "firing"
    assert second["id"] != first["id"]


@run
async def test_what_a_change_says_counts_at_once_and_not_only_at_the_next_sample() -> None:
    rules = {"full": "memory_usage > 90%", "flaky": "connection_failures > 5 in 1m"}
    async with office(OperationsConfig(rules=rules)) as here:
        await here.enter("a", performance={"connection_failures": 3})
        await here.put("a", resources=FULL, performance={"connection_failures": 10})

        await eventually(
            here.states,
            [
                ("high_memory", "a", "pending"),
                ("connection_failures", "a", "firing"),
                ("full", "a", "firing"),
                ("flaky", "a", "firing"),
            ],
        )


@run
async def test_connection_failures_are_counted_from_what_they_were() -> None:
    async with office() as here:
        await here.enter("a", performance={"connection_failures": 100})
        await here.sample()
        await here.put("a", performance={"connection_failures": 105})
        await here.sample()
        few = await here.states()
        await here.put("a", performance={"connection_failures": 1})  # it began anew
        await here.sample()
        many = await here.states()

    assert few == []
    assert many == [("connection_failures", "a", "firing")]


@run
async def test_the_alerts_of_one_that_leaves_are_over() -> None:
    async with office() as here:
        await fire(here)
        await here.post("/deregister", {"id": "a"})
        await eventually(here.alerts, [])
        past = await here.alerts("history")

    assert [each["reason"] for each in past] == ["departed"]


@run
async def test_an_alert_is_acknowledged_by_its_id() -> None:
    async with office() as here:
        alert = await fire(here)
        status, seen = await here.post(f"/registry/alerts/{alert['id']}/acknowledge", {"by": "ann", "note": "on it"})
        (shown,) = await here.alerts()
        unknown, problem = await here.post("/registry/alerts/nothing/acknowledge", {"by": "ann"})

    assert (status, seen["acknowledged"]["by"], seen["acknowledged"]["note"]) == (200, "ann", "on it")
    assert shown["acknowledged"] == seen["acknowledged"]
    assert (unknown, alert["id"] in problem["detail"]) == (404, True)


@run
async def test_a_silence_keeps_an_alert_from_the_stream_but_not_from_the_list() -> None:
    async with office() as here, told(here) as events:
        status, silence = await here.post("/registry/alerts/silences", {"agent": "a", "for": "1h", "by": "ann"})
        alert = await fire(here)
        await here.enter("b", resources=FULL)
        await here.sample(13)
        frame = await events.next("resource_alert")
        ended, _ = await here.delete(f"/registry/alerts/silences/{silence['id']}")
        await here.sample()
        late = await events.next("resource_alert")
        gone, _ = await here.delete(f"/registry/alerts/silences/{silence['id']}")

    assert (status, silence["rule"], silence["agent"], silence["by"]) == (201, None, "a", "ann")
    assert alert["silenced"]
    assert frame["data"]["affected_agents"] == ["b"]
    assert (ended, late["data"]["affected_agents"], late["data"]["id"]) == (200, ["a"], alert["id"])
    assert gone == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"for": "soon"},
        {"for": "0s"},
        {"for": "1h", "until": "2030-01-01T00:00:00Z"},
        {"until": "2001-01-01T00:00:00Z"},
        {"until": "tomorrow"},
        {"for": "1h", "by": "x" * 2000},
        {"for": 3600},
    ],
)
@run
async def test_a_silence_that_makes_no_sense_is_refused(body: dict[str, Any]) -> None:
    async with office() as here:
        status, problem = await here.post("/registry/alerts/silences", body)
        _, answer = await here.get("/registry/alerts")

    assert (status, problem["status"], answer["silences"]) == (400, 400, [])


@run
async def test_the_stream_tells_what_fires_and_what_is_over_with_the_same_id() -> None:
    async with office() as here, told(here) as events:
        alert = await fire(here)
        fired = await events.next("resource_alert")
        await here.put("a", resources=FINE)
        await here.sample()
        over = await events.next("resource_alert")

    assert fired["data"] | {"details": ""} == {
        "alert": "high_memory",
        "id": alert["id"],
        "state": "firing",
        "severity": "warning",
        "details": "",
        "value": 0.95,
        "affected_agents": ["a"],
    }
    assert "95%" in fired["data"]["details"]
    assert (over["data"]["state"], over["data"]["id"]) == ("resolved", alert["id"])


@run
async def test_a_reader_who_comes_back_hears_of_alerts_that_it_has_missed() -> None:
    async with office() as here:
        async with told(here) as events:
            position = (await events.next("listing"))["revision"]
        await fire(here)
        async with told(here, position) as events:
            missed = await events.next("resource_alert")

    assert missed["data"]["affected_agents"] == ["a"]


@run
async def test_each_sample_tells_what_all_agents_have_together() -> None:
    async with office() as here, told(here) as events:
        await here.enter("a", resources={"active_tasks": 2}, performance={"avg_response_time": "1s"})
        await here.enter("b", resources={"active_tasks": 3}, performance={"avg_response_time": "3s"})
        await here.sample()
        while (frame := await events.next("performance_update"))["data"]["agent_id"] is not None:
            pass

    assert frame["data"] == {"agent_id": None, "metrics": {"task_queue_length": 5.0, "response_time": 2.0}}


# -- rules --------------------------------------------------------------------


@run
async def test_a_rule_is_added_and_removed_and_both_are_remembered(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    async with office(files=files) as here:
        added, rule = await here.post("/registry/alerts/rules", {"name": "busy", "expression": "task_queue_length>=5"})
        twice, problem = await here.post("/registry/alerts/rules", {"name": "busy", "expression": "error_rate > 1%"})
        removed, _ = await here.delete("/registry/alerts/rules/slow_response")
        again, _ = await here.delete("/registry/alerts/rules/slow_response")
    async with office(files=files) as here:
        _, answer = await here.get("/registry/alerts")

    assert (added, rule["expression"], rule["metric"]) == (201, "task_queue_length >= 5", "task_queue_length")
    assert (twice, problem["pointer"], removed, again) == (409, "/name", 200, 404)
    names = [each["name"] for each in answer["rules"]]
    assert names == ["high_memory", "high_error_rate", "connection_failures", "busy"]


@run
async def test_a_rule_of_the_command_line_counts_more_than_one_that_was_added(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    async with office(files=files) as here:
        await here.post("/registry/alerts/rules", {"name": "busy", "expression": "task_queue_length > 5"})
    async with office(OperationsConfig(rules={"busy": "task_queue_length > 50"}), files) as here:
        _, answer = await here.get("/registry/alerts")

    assert [each["expression"] for each in answer["rules"] if each["name"] == "busy"] == ["task_queue_length > 50"]


@run
async def test_a_bad_rule_is_refused_with_a_caret_under_the_place() -> None:
    async with office() as here:
        status, problem = await here.post("/registry/alerts/rules", {"name": "x", "expression": "memory_usge > 90%"})

    assert (status, problem["pointer"]) == (400, "/expression")
    assert "    memory_usge > 90%\n    ^" in problem["detail"]
    assert "memory_usage" in problem["detail"]


# -- over restarts --------------------------------------------------------------


@run
async def test_a_firing_alert_outlives_a_restart_and_is_not_told_of_twice(tmp_path: Path) -> None:
    files, wall = files_in(tmp_path), clock()
    async with office(files=files, wall=wall) as here:
        before = await fire(here)
        await here.post(f"/registry/alerts/{before['id']}/acknowledge", {"by": "ann"})
    async with office(files=files, wall=wall) as here, told(here) as events:
        await here.enter("a", resources=FULL)
        await here.sample(3)
        (after,) = await here.alerts()
        await here.put("a", resources=FINE)
        await here.sample()
        first = await events.next("resource_alert")

    assert (after["id"], after["state"], after["acknowledged"]["by"]) == (before["id"], "firing", "ann")
    assert (first["data"]["state"], first["data"]["id"]) == ("resolved", before["id"])


@run
async def test_a_damaged_file_of_alerts_is_set_aside(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    (tmp_path / "operations.db").write_bytes(b"no database at all" * 500)
    (tmp_path / "decisions.db").write_bytes(b"no database at all" * 500)
    async with office(files=files) as here:
        await fire(here)
        status, decisions = await here.get("/registry/decisions")

    assert (status, decisions["count"]) == (200, 1)
    assert len(list(tmp_path.glob("operations.db.damaged-*"))) == 1
    assert len(list(tmp_path.glob("decisions.db.damaged-*"))) == 1
