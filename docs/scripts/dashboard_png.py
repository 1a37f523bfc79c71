"""Takes the pictures docs/images/dashboard*.png of the real page: ``python docs/scripts/dashboard_png.py``.

It starts the service in a temporary workspace, with agents like those of the
demos in it, and opens the page in headless Chromium.
"""

from __future__ import annotations

import json
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
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page, expect, sync_playwright

from agentreg.demo.company import REVIEWERS, TOPOLOGY
from agentreg.demo.processes.agents import hired
from agentreg.extensions.service import Workspace

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "images"
CHOSEN = "runtime-2-analyst-1"  # whose detail is shown
HOSTS = ("atlas", "borealis", "corvus")
FOLDERS = ("registry", "website", "billing", "search", "notes")

chance = random.Random(11)


@contextmanager
def serving(folder: str) -> Iterator[str]:
    """A service with an empty workspace; its address."""
    command = [sys.executable, "-m", "agentreg", "serve", "--workspace", folder, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as service:
        try:
            while (found := Workspace(folder).read()) is None:
                assert service.poll() is None, "the service could not be started"
                time.sleep(0.05)
            yield found.url
        finally:
            service.terminate()


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
    found = []
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
    token = next(each["token"] for each in everyone if each["agent_id"] == CHOSEN)
    with tempfile.TemporaryDirectory() as folder, serving(folder) as url, sync_playwright() as playwright:
        send(url, "put", [{"record": each} for each in everyone])
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        take(opened(browser, url, 1280, 800), "dashboard.png")
        take(opened(browser, url, 390, 760, scale=1.5), "dashboard-phone.png")
        page = opened(browser, url, 1280, 800, "dark")
        page.locator("#search").fill("analyst")
        page.get_by_role("link", name=CHOSEN, exact=True).click()
        for report in reports(token, now):
            send(url, "patch", [report])
        expect(page.locator(".events li")).to_have_count(80)
        expect(page.locator(".plot canvas")).to_have_count(3)
        take(page, "dashboard-dark.png")
        browser.close()


if __name__ == "__main__":
    main()
