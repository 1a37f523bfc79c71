"""Takes the pictures docs/images/dashboard*.png of the real page: ``python docs/scripts/dashboard_png.py``.

It starts the service in a temporary workspace, with agents like those of the
demos in it and a month of samples, and opens the page in headless Chromium.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page, expect, sync_playwright

from agentreg.demo.company import REVIEWERS, TOPOLOGY
from agentreg.demo.processes.agents import hired
from agentreg.extensions.monitoring import MetricsStore
from agentreg.extensions.service import Workspace

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "images"
CHOSEN = "runtime-2-analyst-1"  # whose detail is shown
HOSTS = ("atlas", "borealis", "corvus")
HOUR, DAY = 3600.0, 86400.0
FOLDERS = ("registry", "website", "billing", "search", "notes")

SERVE = """
import sys
from agentreg.extensions.service import Settings, serve
from agentreg.extensions.service.operations import OperationsConfig
hosts = {"atlas": "32GB", "borealis": "16GB"}
rules = {"crowded": "memory_usage > 90%"}
operations = OperationsConfig(hosts=hosts, rules=rules, unique_names="ask")
serve(Settings(port=0, workspace=sys.argv[1], operations=operations))
"""

chance = random.Random(11)


@contextmanager
def serving(folder: str) -> Iterator[str]:
    """A service with an empty workspace; its address."""
    command = [sys.executable, "-c", SERVE, folder]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as service:
        try:
            while (found := Workspace(folder).read()) is None:
                assert service.poll() is None, "the service could not be started"
                time.sleep(0.05)
            yield found.url
        finally:
            service.terminate()


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    """The answer of the service."""
    request = Request(url + path, None if body is None else json.dumps(body).encode(), method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as refusal:
        raise SystemExit(f"{method} {path}: {json.load(refusal)['detail']}") from refusal


def send(url: str, verb: str, items: list[dict[str, Any]]) -> None:
    """Have the service enter or change records, as a directory elsewhere would."""
    body = json.dumps({"items": items}).encode()
    with urlopen(Request(f"{url}/registry/records:{verb}", body, {"Content-Type": "application/json"})) as answer:
        json.load(answer)


# -- who is there -------------------------------------------------------------


def records(now: float) -> list[dict[str, Any]]:
    """The crew of ``agentreg demo``, three runtimes of its processes, and some that have registered over HTTP."""
    crew = [*TOPOLOGY.nodes, *REVIEWERS, *(f"analyst_{number}" for number in range(6))]
    runtimes = {f"runtime-{number}": list(hired(f"runtime-{number}", 4)) for number in (1, 2, 3)}
    sessions = ["librarian", "reviewer", "surveyor", "writer", "librarian", "writer"]
    groups = {"demo": crew, **runtimes, "service": sessions}
    found: list[dict[str, Any]] = []
    for runtime, names in groups.items():
        base = now - chance.uniform(900, 3300)
        for name in names:
            late = chance.uniform(0, 0.5 if chance.random() < 0.6 else 60) * 60
            began = min(base + late, now - chance.uniform(20, 400))
            found.append(record(name, runtime, began, now, len(found)))
    return found


def record(name: str, runtime: str, began: float, now: float, number: int) -> dict[str, Any]:
    """One agent, as stores keep it."""
    status = {13: "unhealthy", 27: "offline", 31: "offline"}.get(number, "active")
    idle = number % 5 == 3
    tasks = 0 if idle or status == "offline" else min(8, max(1, int(chance.gauss(4, 2))))
    worked = chance.uniform(60, 900) if status == "offline" else chance.uniform(1, 40)
    return {
        "agent_id": name if runtime != "service" else f"{name}-{number}",
        "name": name,
        "runtime_id": runtime,
        "token": f"token-{number}",
        "host": HOSTS[sum(map(ord, runtime)) % 3],
        "cwd": f"/home/ada/{FOLDERS[number % 5 if runtime == 'service' else sum(map(ord, runtime)) % 5]}",
        "status": status,
        "lapsed_from": "active" if status == "unhealthy" else None,
        "work_state": {8: "maintenance", 19: "error"}.get(number, "idle" if idle else "active"),
        "registered": began,
        "worked": now - (900 if name == CHOSEN else worked),
        "version": "1.2.0",
        "capabilities": ["measure Python files"] if "analyst" in name else ["review measurements"],
        "config": {"description": "Measures a Python file.", "tools": ["Read", "Glob", "Grep"], "priority": 5},
        "resources": {
            "memory_allocated": "512mb",
            "memory_used": f"{chance.randint(60, 300)}mb",
            "active_tasks": tasks,
            "max_concurrent_tasks": 8,
        },
        "metadata": {"task": "measure agentreg/table.py"},
    }


def reports(token: str, now: float) -> Iterator[dict[str, Any]]:
    """What the chosen one, whose registration has this *token*, has reported in the last minutes."""
    memory = 180.0
    for ago in range(600, 0, -15):
        memory = min(440, max(120, memory + chance.gauss(4, 18)))
        seconds = 0.9 + 0.5 * chance.random() + (1.6 if 200 < ago < 290 else 0)
        resources = {"memory_allocated": "512mb", "memory_used": f"{memory:.0f}mb", "max_concurrent_tasks": 8}
        fields = {
            "worked": now - ago,
            "resources": {**resources, "active_tasks": chance.choice([2, 3, 3, 4, 5, 6])},
            "performance": {"avg_response_time": f"{seconds:.2f}s", "task_success_rate": "98.6%", "total_tasks": 412},
        }
        yield {"agent_id": CHOSEN, "token": token, "fields": fields}


# -- what was recorded before ---------------------------------------------------


def record_a_month(folder: str, names: list[str], now: float) -> None:
    """Fill the metrics of a workspace: a clock that runs fast takes samples of all, ever closer to each other."""
    place = Workspace(folder)
    place.make()
    moments = [*steps(now - 30 * DAY, now - DAY, HOUR), *steps(now - DAY, now - HOUR, 300), *steps(now - HOUR, now, 10)]
    clock = [moments[0]]
    with MetricsStore(place.database, clock=lambda: clock[0]) as store:
        for moment in moments:
            clock[0] = moment
            if not 11.2 * DAY < now - moment < 13 * DAY:  # it was switched off
                for metric, values in samples(names, moment).items():
                    store.record_many(metric, values)


def steps(since: float, until: float, step: float) -> Iterator[float]:
    """Moments, *step* apart."""
    for number in range(int((until - since) / step)):
        yield since + number * step


def samples(names: list[str], moment: float) -> dict[str, dict[str, float]]:
    """What all of them use at a moment: more by day, less at weekends, and each in its own way."""
    day = 0.5 + 0.5 * math.sin((moment % DAY / DAY - 0.3) * math.tau)
    rhythm = day * (0.45 if int(moment // DAY) % 7 in (2, 3) else 1) + 0.1 * math.sin(moment / 5000)
    metrics = "memory_usage", "cpu_utilization", "response_time", "error_rate"
    found: dict[str, dict[str, float]] = {metric: {} for metric in metrics}
    for number, name in enumerate(names):
        own = 0.8 * rhythm + number % 7 / 14 + chance.gauss(0, 0.02)
        found["memory_usage"][name] = within(0.24 + 0.42 * own)
        found["cpu_utilization"][name] = within(0.1 + 0.55 * own + chance.gauss(0, 0.04))
        found["response_time"][name] = max(0.2, 0.5 + 1.3 * own + chance.expovariate(6))
        found["error_rate"][name] = within(0.006 + 0.012 * own + max(0.0, chance.gauss(-0.02, 0.012)))
    return found


def within(value: float) -> float:
    """A part of 1."""
    return min(1.0, max(0.0, value))


def hire(url: str) -> None:
    """Have agents ask for shares of the memory: more than there is."""
    wishes = [(10, 4), (9, 3), (8, 5), (7, 3), (7, 2), (5, 6), (5, 4), (5, 3), (4, 2), (4, 2), (2, 3), (2, 2), (1, 1)]
    for number, (priority, size) in enumerate(wishes):
        register(url, f"{['planner', 'indexer', 'critic', 'reader'][number % 4]}-{number}", priority, f"{size}gb")
    for number in range(24):
        register(url, f"helper-{number}", 3, "96mb")
    register(url, "cartographer", 6, "15gb")


def register(url: str, name: str, priority: int, limit: str) -> None:
    """Enter one over HTTP, who asks for memory."""
    config = {"description": "Reads along.", "priority": priority, "resource_limit": limit}
    ask(url, "POST", "/registry/agents", {"agent_id": name, "name": name, "config": config})


def alarm(url: str) -> None:
    """Let some use too much, and somebody see to it."""
    for number, percent in [(1, 97), (4, 94), (6, 93)]:
        name = f"analyst_{number}" if number < 6 else "runtime-1-analyst-1"
        resources = {"memory_used": f"{5.12 * percent:.0f}mb", "memory_allocated": "512mb", "active_tasks": 7}
        ask(url, "PUT", f"/registry/agents/{name}", {"resources": resources})
    ask(url, "PUT", "/registry/agents/analyst_1", {"performance": {"avg_response_time": "6.4s"}})
    ask(url, "POST", "/registry/alerts/rules", {"name": "failing", "expression": "error_rate > 5% for 5m"})
    firing: list[Any] = []
    while len(firing) < 3:
        time.sleep(0.2)
        alerts = ask(url, "GET", "/registry/alerts")["alerts"]
        firing = [each for each in alerts if each["state"] == "firing" and each["rule"] == "crowded"]
    note = {"by": "ada", "note": "it gets a larger share after this run"}
    ask(url, "POST", f"/registry/alerts/{firing[-1]['id']}/acknowledge", note)
    silence = {"rule": "slow_response", "agent": "analyst_1", "for": "4h", "by": "ada", "reason": "a large repository"}
    ask(url, "POST", "/registry/alerts/silences", silence)


# -- pictures -----------------------------------------------------------------


def opened(browser: Browser, url: str, width: int, height: int, scheme: Any = "light", scale: float = 1) -> Page:
    """The page, up to date."""
    size: Any = {"width": width, "height": height}
    page = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=scale, reduced_motion="reduce")
    page.goto(url)
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("tr.row").first).to_be_visible()
    return page


def take(page: Page, name: str) -> None:
    """One picture."""
    page.mouse.move(0, 0)
    page.screenshot(path=TARGET / name)
    page.close()


def main() -> None:
    """Take all pictures."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    now = time.time()
    everyone = records(now)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        record_a_month(folder, [each["agent_id"] for each in everyone if each["status"] == "active"], now)
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        with serving(folder) as url:
            take_all(browser, url, everyone, now)
        browser.close()


def take_all(browser: Browser, url: str, everyone: list[dict[str, Any]], now: float) -> None:
    """Take all pictures of one service."""
    send(url, "put", [{"record": each} for each in everyone])
    take(opened(browser, url, 1280, 800), "dashboard.png")
    take(opened(browser, url, 390, 760, scale=1.5), "dashboard-phone.png")
    take_the_detail(browser, url, next(each["token"] for each in everyone if each["agent_id"] == CHOSEN), now)
    alarm(url)
    take_the_metrics(browser, url)
    page = opened(browser, url, 1280, 1000)
    page.get_by_role("link", name="Alerts").click()
    expect(page.locator("#alerts .alert").filter(has_text="acknowledged")).to_be_visible()
    take(page, "dashboard-alerts.png")
    hire(url)
    page = opened(browser, url, 1280, 800)
    page.get_by_role("link", name="Resources").click()
    expect(page.locator(".host")).to_have_count(2)
    take(page, "dashboard-resources.png")


def take_the_detail(browser: Browser, url: str, token: str, now: float) -> None:
    """An agent's detail, in dark colours."""
    page = opened(browser, url, 1280, 800, "dark")
    page.locator("#search").fill("analyst")
    page.get_by_role("link", name=CHOSEN, exact=True).click()
    for report in reports(token, now):
        send(url, "patch", [report])
    expect(page.locator(".events li")).to_have_count(80)
    expect(page.locator(".plot canvas")).to_have_count(3)
    take(page, "dashboard-dark.png")


def take_the_metrics(browser: Browser, url: str) -> None:
    """A month on a large screen, and a day on a phone."""
    for name, span, size in [("metrics", "30 days", (1280, 800, 1.0)), ("metrics-phone", "1 day", (390, 760, 1.5))]:
        page = opened(browser, url, size[0], size[1], scale=size[2])
        page.get_by_role("link", name="Metrics").click()
        page.get_by_role("radio", name=span).check()
        expect(page.locator("#metrics .band-plot canvas").nth(3)).to_be_visible()
        expect(page.locator("#metrics .band-plots")).not_to_have_attribute("aria-busy", "true")
        take(page, f"dashboard-{name}.png")


if __name__ == "__main__":
    main()
