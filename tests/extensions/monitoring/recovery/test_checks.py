"""Health checks: who answers, who has enough, who can work."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from agentreg.extensions.monitoring.recovery import Finding, HealthChecks, ResourceLimits, Usage, file_permissions
from tests.extensions.monitoring.alerts.clocks import Clock


def found(checks: HealthChecks) -> list[str]:
    return [f"{each.agent} {each.condition}: {each.detail}" for each in asyncio.run(checks.check())]


def test_three_pings_in_a_row_must_fail() -> None:
    answers = iter([OSError("no line"), OSError("no line"), None, *[OSError("no line")] * 4, None])
    wall = Clock(1000)

    async def ping(agent: str) -> None:
        wall.tick(30)
        answer = next(answers)
        if answer is not None:
            raise answer

    checks = HealthChecks(lambda: ["ann"], ping=ping, wall=wall)

    assert [len(found(checks)) for _ in range(5)] == [0] * 5
    assert found(checks) == ["ann unresponsive: OSError: no line, 3 times in a row"]
    assert found(checks) == ["ann unresponsive: OSError: no line, 3 times in a row"]
    (finding,) = checks.findings()
    assert finding.since == 1000 + 6 * 30
    assert checks.holds(finding)
    assert found(checks) == []
    assert not checks.holds(finding)


def test_a_ping_that_returns_false_or_takes_too_long_fails() -> None:
    async def ping(agent: str) -> bool | None:
        if agent == "bob":
            await asyncio.Event().wait()
        return agent != "ann"

    checks = HealthChecks(lambda: ["ann", "bob", "eve"], ping=ping, failures=1, timeout=0.01)

    assert found(checks) == [
        "ann unresponsive: its ping returned False, 1 times in a row",
        "bob unresponsive: not through within 0.01 s, 1 times in a row",
    ]


def test_one_that_hangs_is_not_asked_again_before_it_has_come_back() -> None:
    go_on, asked = threading.Event(), []

    def ping(agent: str) -> None:
        asked.append(agent)
        go_on.wait()

    checks = HealthChecks(lambda: ["ann"], ping=ping, timeout=0.01)
    try:
        for _ in range(4):
            found(checks)
    finally:
        go_on.set()

    assert asked == ["ann"]
    assert [finding.condition for finding in checks.findings()] == ["unresponsive"]


def test_one_that_has_just_failed_is_not_taken_for_one_that_hangs(restless_threads: None) -> None:
    def ping(agent: str) -> None:
        raise ConnectionError("no line")

    details = set()
    for _ in range(100):
        checks = HealthChecks(lambda: ["ann"], ping=ping, failures=2, timeout=60)
        found(checks)
        details.update(found(checks))

    assert details == {"ann unresponsive: ConnectionError: no line, 2 times in a row"}


def test_memory_and_queue_are_judged_at_once_and_the_cpu_when_it_lasts() -> None:
    clock = Clock()
    usage = Usage(memory=0.9, cpu=0.85, queue=100)
    checks = HealthChecks(lambda: ["ann"], usage=lambda agent: usage, clock=clock)

    assert found(checks) == ["ann resources_exhausted: memory at 90% of its share, 100 tasks wait"]
    usage = Usage(cpu=0.85)
    clock.tick(60)
    assert found(checks) == []
    clock.tick(60)
    assert found(checks) == ["ann resources_exhausted: CPU at 85% for 120 s or more"]
    usage = Usage(cpu=0.5)
    clock.tick(30)
    assert found(checks) == []
    usage = Usage(cpu=0.85)
    clock.tick(30)
    assert found(checks) == []


def test_what_nobody_knows_is_not_the_agents_fault() -> None:
    def usage(agent: str) -> Usage | None:
        if agent == "ann":
            raise OSError("no such process")
        return None

    assert found(HealthChecks(lambda: ["ann", "bob"], usage=usage)) == []


def test_what_an_agent_needs_to_work_is_checked_by_functions_of_yours(tmp_path: Path) -> None:
    def mcp(agent: str) -> str | None:
        return "files does not answer" if agent == "ann" else None

    async def tools(agent: str) -> None:
        raise LookupError("no tool named grep")

    checks = HealthChecks(lambda: ["ann", "bob"], functions={"connection_failures": mcp, "tools_unusable": tools})

    assert found(checks) == [
        "ann connection_failures: files does not answer",
        "ann tools_unusable: LookupError: no tool named grep",
        "bob tools_unusable: LookupError: no tool named grep",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything with every file")
def test_file_permissions_are_those_of_the_user(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0o400)

    assert file_permissions(lambda agent: {str(secret): "rw"})("ann") == f"{secret} can't be written"


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "here").touch(mode=0o600)
    check = file_permissions(
        lambda agent: {str(tmp_path / "here"): "rw", str(tmp_path): "rx", str(tmp_path / agent): ""}
    )

    assert check("ann") == f"{tmp_path / 'ann'} is missing"
    with pytest.raises(ValueError, match="expected some of r, w and x"):
        file_permissions(lambda agent: {str(tmp_path): "q"})("ann")


def test_what_is_known_of_an_agent_that_left_goes() -> None:
    agents = ["ann"]

    def ping(agent: str) -> bool:
        return False

    checks = HealthChecks(lambda: agents, ping=ping, failures=2)
    found(checks)
    found(checks)
    assert len(checks.findings()) == 1

    agents.clear()
    assert found(checks) == []
    agents.append("ann")
    assert found(checks) == []
    checks.forget("ann")
    assert found(checks) == []


def test_it_watches_every_thirty_seconds_whatever_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    slept: list[float] = []
    rounds: list[list[Finding]] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.tick(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    async def handle(findings: list[Finding]) -> None:
        rounds.append(findings)
        clock.tick(10)
        if len(rounds) == 1:
            raise RuntimeError("no paper")

    checks = HealthChecks(lambda: ["ann"], ping=lambda agent: False, failures=1, clock=clock)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(checks.watch(handle, sleep=sleep))

    assert slept == [20, 20, 20]
    assert [len(findings) for findings in rounds] == [1, 1, 1]
    assert "no paper" in caplog.text


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="interval: expected seconds above 0"):
        HealthChecks(list, interval=0)
    with pytest.raises(ValueError, match="expected 1 or more"):
        HealthChecks(list, failures=0)
    assert ResourceLimits(memory=0.5).excess(Usage(memory=0.5)) == 1
