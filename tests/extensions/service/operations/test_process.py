"""``agentreg serve`` with operations, as a process: over HTTP, over a WebSocket, over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from agentreg.cli import main

from ..driving import run, until
from ..serving import Service
from ..test_cli_serve import serve

FULL = {"memory_used": "95mb", "memory_allocated": "100mb"}
FINE = {"memory_used": "10mb", "memory_allocated": "100mb"}
RULES = ("--alert", "full=memory_usage > 90%", "--sample-every", "1")


@contextmanager
def serving(workspace: Path, *options: str) -> Iterator[Service]:
    """The command, running; it has to end well."""
    with serve("--port", "0", "--workspace", str(workspace), *options) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("agentreg serves at ")
        here = Service(workspace, process, url)
        try:
            yield here
            assert here.end() == 0
        finally:
            process.kill()


def alerts(here: Service, state: str = "active") -> list[tuple[str, str]]:
    answer = here.ask("GET", f"/registry/alerts?state={state}")[1]
    return [(each["rule"], each["state"]) for each in answer["alerts"]]


async def eventually(ask: Callable[[], Any], expected: Any) -> None:
    async def holds() -> bool:
        return bool(await asyncio.to_thread(ask) == expected)

    await until(holds)


@asynccontextmanager
async def hearing(here: Service) -> AsyncIterator[Callable[[], Any]]:
    """What the WebSocket says of alerts."""
    async with connect(here.url.replace("http", "ws") + "/registry/events?type=resource_alert") as socket:
        json.loads(await socket.recv())

        async def heard() -> Any:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 10))
            data = frame["data"]
            return data["alert"], data["state"], data["affected_agents"]

        yield heard


@run
async def test_an_alert_fires_over_http_and_websocket_and_outlives_the_process(tmp_path: Path) -> None:
    with serving(tmp_path, *RULES) as here:
        here.post("/registry/agents", agent_id="a", name="ann")
        async with hearing(here) as heard:
            here.ask("PUT", "/registry/agents/a", {"resources": FULL})
            assert await heard() == ("full", "firing", ["a"])
            here.ask("PUT", "/registry/agents/a", {"resources": FINE})
            assert await heard() == ("full", "resolved", ["a"])
            here.ask("PUT", "/registry/agents/a", {"resources": FULL})
            assert await heard() == ("full", "firing", ["a"])
        before = here.ask("GET", "/registry/alerts")[1]["alerts"]
    with serving(tmp_path, *RULES) as here:
        async with hearing(here) as heard:
            await eventually(lambda: ("full", "firing") in alerts(here), True)
            after = here.ask("GET", "/registry/alerts")[1]["alerts"]
            here.ask("PUT", "/registry/agents/a", {"resources": FINE})
            first = await heard()
        past = alerts(here, "history")

    ids = [next(each["id"] for each in some if each["rule"] == "full") for some in (before, after)]
    assert ids[0] == ids[1]
    assert first == ("full", "resolved", ["a"])
    assert past == [("full", "resolved"), ("full", "resolved")]


def test_what_was_sampled_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path, *RULES) as here:
        here.post("/registry/agents", agent_id="a", name="ann", resources=FULL)
        latest = "/registry/metrics/latest?metric=memory_usage"
        asyncio.run(eventually(lambda: here.ask("GET", latest)[1]["values"], {"a": 0.95}))
    with serving(tmp_path, *RULES) as here:
        series = here.ask("GET", "/registry/metrics?metric=memory_usage&agent=a&since=1h&step=60")[1]

    assert {point["max"] for point in series["points"]} == {0.95}
    kept = {each.name for each in (tmp_path / "data").iterdir()}
    assert {"agent-registry.db", "operations.db", "decisions.db"} <= kept


def test_the_budget_is_that_of_the_command_line(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory", "4GB", "--reserved", "1GB", "--cpu", "4") as here:
        status, record = here.post("/registry/agents", name="a", config={"resource_limit": "2GB"})
        budget = here.ask("GET", "/registry/resources")[1]["budget"]

    assert (status, record["resources"]["allocation"]["state"]) == (201, "granted")
    assert budget == {"memory": 4 << 30, "reserved": 1 << 30, "cpu": 4}


def test_operations_can_be_off(tmp_path: Path) -> None:
    with serving(tmp_path, "--no-operations") as here:
        status, problem = here.ask("GET", "/registry/alerts")

    assert (status, "--no-operations" in problem["detail"]) == (404, True)
    assert not (tmp_path / "data" / "operations.db").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "much"], "--memory"),
        (["--memory", "4GB", "--reserved", "5GB"], "--reserved"),
        (["--reserved", "5GB"], "--memory"),
        (["--cpu", "-1"], "--cpu"),
        (["--alert", "busy"], "NAME='EXPRESSION'"),
        (["--alert", "busy=task_queue > 5"], "^"),
        (["--sample-every", "7"], "--sample-every"),
        (["--alert-webhook", "ftp://example.org"], "--alert-webhook"),
        (["--no-operations", "--memory", "4GB"], "--no-operations"),
        (["--unique-names", "always"], "--unique-names"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *options]) == 2
    assert said in capsys.readouterr().err
