"""Metrics over HTTP: samples of what records say, over time and as they are now."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.coordination.record import from_wire
from agentreg.extensions.service.operations import Operations, OperationsConfig
from agentreg.extensions.service.operations.readings import reading_of

from ..driving import run, service
from .hands import clock, eventually, files_in, never, office

FULL: dict[str, Any] = {
    "resources": {"memory_used": "512mb", "memory_allocated": "1gb", "active_tasks": 4, "cpu_used": 0.25},
    "performance": {"avg_response_time": "500ms", "task_success_rate": "98%", "mcp_connection_health": {"a": True}},
}
VALUES = {
    "memory_usage": 0.5,
    "cpu_utilization": 0.25,
    "task_queue_length": 4.0,
    "response_time": 0.5,
    "error_rate": 0.02,
    "mcp_connection_health": 1.0,
}


@run
async def test_everything_that_a_record_says_is_sampled() -> None:
    async with office() as here:
        await here.enter("a", **FULL)
        await here.enter("silent")
        await here.sample()
        found = {}
        for metric in VALUES:
            _, answer = await here.get(f"/registry/metrics/latest?metric={metric}")
            found[metric] = {agent: round(value, 6) for agent, value in answer["values"].items()}
        _, overview = await here.get("/registry/metrics")

    assert found == {metric: {"a": value} for metric, value in VALUES.items()}
    assert (overview["steps"], overview["interval"]) == ([10, 60, 300, 3600, 86400], 10)
    assert {each["name"]: each["unit"] for each in overview["metrics"]} == {
        "memory_usage": "fraction",
        "cpu_utilization": "fraction",
        "task_queue_length": "count",
        "response_time": "s",
        "error_rate": "fraction",
        "mcp_connection_health": "fraction",
    }
    assert {each["agents"] for each in overview["metrics"]} == {1}


@run
async def test_those_who_have_stopped_are_sampled_no_more() -> None:
    async with office() as here:
        await here.enter("a", **FULL)
        await here.sample()
        await here.post("/deregister", {"id": "a"})
        here.pass_by(60)
        sampled = await here.operations.sample()

    assert not any(sampled.columns.values())


@run
async def test_what_is_not_said_is_measured() -> None:
    pytest.importorskip("psutil")
    async with office() as here:
        await here.enter("a", pid=os.getpid(), resources={"memory_allocated": "64gb"})
        await here.sample()
        await here.sample()
        _, memory = await here.get("/registry/metrics/latest?metric=memory_usage")
        _, cores = await here.get("/registry/metrics/latest?metric=cpu_utilization")

    assert 0 < memory["values"]["a"] < 1
    assert cores["values"]["a"] >= 0


@run
async def test_a_month_is_kept_in_steps_that_grow_with_its_age() -> None:
    """Thirty days, each sample two hours after the one before, and some in the last hour."""
    async with office(OperationsConfig(interval=60)) as here:
        await here.enter("a", resources={"active_tasks": 6})
        await here.enter("b", resources={"active_tasks": 2})
        await here.sample(30 * 12, every=7200.0)
        await here.sample(3, every=60.0)
        _, month = await here.get("/registry/metrics?metric=task_queue_length&agent=a&since=30d")
        _, days = await here.get("/registry/metrics?metric=task_queue_length&since=30d&step=1d")
        _, hour = await here.get("/registry/metrics?metric=task_queue_length&agent=a&since=1h&step=60")

    assert (month["step"], month["unit"], month["agent"]) == (3600, "count", "a")
    assert 350 <= len(month["points"]) <= 361
    point = month["points"][100]
    assert (point["min"], point["max"], point["mean"], point["count"], round(point["p95"], 1)) == (6, 6, 6, 1, 6)
    assert 29 <= len(days["points"]) <= 31
    assert (days["points"][5]["mean"], days["points"][5]["count"]) == (4, 24)
    assert [each["count"] for each in hour["points"]] == [1, 1, 1]
    assert "p50" not in hour["points"][0]


@run
async def test_a_series_says_which_span_it_covers() -> None:
    async with office(wall=clock(1_700_000_000.0)) as here:
        await here.enter("a", **FULL)
        await here.sample(6)
        _, back = await here.get("/registry/metrics?metric=response_time&agent=a&since=1m&step=10")
        _, exact = await here.get(
            "/registry/metrics?metric=response_time&since=2023-11-14T22:13:20Z&until=1700000030&step=10s"
        )
        _, nobody = await here.get("/registry/metrics?metric=response_time&agent=nobody")

    assert (back["since"], back["until"], len(back["points"])) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z", 6)
    assert (exact["since"], exact["until"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:13:50Z")
    assert exact["points"][0] == {"time": "2023-11-14T22:13:20Z", "min": 0.5, "max": 0.5, "mean": 0.5, "count": 2}
    assert nobody["points"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("metric=nothing", 404),
        ("metric=memory_usage&step=7", 400),
        ("metric=memory_usage&step=1y", 400),
        ("metric=memory_usage&since=yesterday", 400),
        ("metric=memory_usage&until=99999999999999", 400),
        ("metric=memory_usage&form=png", 400),
    ],
)
@run
async def test_a_question_that_makes_no_sense_is_refused(query: str, status: int) -> None:
    async with office() as here:
        found, problem = await here.get(f"/registry/metrics?{query}")

    assert (found, problem["status"]) == (status, status)


@run
async def test_the_statistics_have_what_was_measured() -> None:
    async with office() as here:
        await here.enter("a", **FULL)
        await here.sample()
        _, stats = await here.get("/registry/stats")

    assert stats["agent_counts"]["total"] == 1
    assert stats["resource_utilization"] == {
        "memory": "50% (0.5GB / 1GB)",
        "cpu": "25% average",
        "task_queue": "4 pending",
    }
    assert stats["performance_metrics"]["success_rate"] == "98.0%"


@run
async def test_prometheus_is_shown_the_totals_and_how_many_alerts_fire() -> None:
    async with office(OperationsConfig(rules={"busy": "task_queue_length > 3 as critical"})) as here:
        await here.enter("a", **FULL)
        await here.sample()
        text = (await here.client.http.get("/metrics")).text

    assert 'agentreg_agents_metric{metric="task_queue_length"} 4.0' in text
    assert 'agentreg_alerts_firing{rule="busy",severity="critical"} 1.0' in text
    assert 'agentreg_alerts_firing{rule="high_memory",severity="warning"} 0.0' in text


@run
async def test_without_operations_their_routes_say_so() -> None:
    async with service() as client:
        answers = [
            await client.get(path)
            for path in ("/registry/metrics", "/registry/alerts", "/registry/resources", "/registry/decisions")
        ]
        answers.append(await client.post("/registry/alerts/rules", {"name": "a", "expression": "b"}))
        answers.append(await client.post("/registry/alerts/silences", None))

    assert {(status, problem["detail"].partition(":")[0]) for status, problem in answers} == {
        (404, "operations are off")
    }


@run
async def test_a_database_that_is_damaged_takes_the_records_but_not_the_samples_to_come(tmp_path: Path) -> None:
    files, path = files_in(tmp_path, shared=True), tmp_path / "agent-registry.db"
    async with office(files=files, backend=f"sqlite:///{path}?look=0.1") as here:
        await here.enter("a", **FULL)
        await here.sample()
        await here.operations.do((await here.operations.monitor()).flush)
        path.write_bytes(b"nothing that SQLite knows" * 4000)
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"agent-registry.db{suffix}").unlink(missing_ok=True)

        async def enters() -> int:
            answer = await here.client.http.post("/registry/agents", json={"agent_id": "b", "name": "b", **FULL})
            return answer.status_code

        await eventually(enters, 201)
        await here.sample()
        await here.operations.do((await here.operations.monitor()).flush)
        _, latest = await here.get("/registry/metrics/latest?metric=memory_usage")

    assert latest["values"]["b"] == 0.5
    assert len(list(tmp_path.glob("agent-registry.db.damaged-*[0-9Z]"))) == 1
    assert b"metrics_series" in path.read_bytes()


@run
async def test_nothing_runs_on_when_the_service_has_ended(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    operations = Operations(files=files_in(tmp_path), sleep=never)
    async with service(operations=operations) as client:
        await client.register(id="a")
        await operations.sample()
        names = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("agentreg-operations")}

    assert names == {f"agentreg-operations-{each}" for each in ("sampling", "following", "feeding", "settling")}
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("resources", "performance", "expected"),
    [
        ({"memory_used": "2gb", "memory_allocated": "1gb"}, {}, {"memory_usage": 2.0}),
        ({"memory_used": "1gb", "memory_allocated": "0gb"}, {}, {}),
        ({"memory_used": "1gb"}, {}, {}),
        ({"cpu_used": "45%"}, {}, {"cpu_utilization": 0.45}),
        ({}, {"cpu": 1.5}, {"cpu_utilization": 1.5}),
        ({"active_tasks": 3, "queued_tasks": 7}, {}, {"task_queue_length": 7.0}),
        ({"active_tasks": True}, {}, {}),
        ({"active_tasks": 1e300}, {}, {}),
        ({"active_tasks": -1}, {}, {}),
        ({}, {"task_success_rate": 0.75}, {"error_rate": 0.25}),
        ({}, {"task_success_rate": "98.5%"}, {"error_rate": 0.015}),
        ({}, {"error_rate": "5%", "task_success_rate": "50%"}, {"error_rate": 0.05}),
        ({}, {"total_tasks": 10, "error_count": 1}, {"error_rate": 0.1}),
        ({}, {"total_tasks": 0, "error_count": 0}, {}),
        ({}, {"avg_response_time": "2m"}, {"response_time": 120.0}),
        ({}, {"avg_response_time": "quick"}, {}),
        ({}, {"mcp_connection_health": {"a": "ok", "b": "down"}}, {"mcp_connection_health": 0.5}),
        ({}, {"mcp_connection_health": []}, {}),
    ],
)
def test_a_reading_is_of_what_makes_sense(
    resources: dict[str, Any], performance: dict[str, Any], expected: dict[str, float]
) -> None:
    wire = {"agent_id": "a", "runtime_id": "w", "token": "t", "resources": resources, "performance": performance}
    record = from_wire({**wire, "registered": 0.0})

    found = reading_of(record).values

    assert {metric: round(value, 9) for metric, value in found.items()} == expected
