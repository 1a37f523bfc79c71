"""4,462 agents from real definitions in one service: registered, beating, reporting, watched, and shown on its page.

``python benchmarks/operations_service.py`` prints the figures; ``--page`` writes them into
docs/how-to/four-thousand-agents.md, and the page's picture beside it. It takes about six minutes; Linux only. The
definitions are those of the tests' corpus, over and over under other names.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import readme
import service_load as load
import service_stand as stand
from crowd import USUAL
from figures import Row, at_most
from machine import Machine
from service_load import post
from service_stand import Server

from agentreg.extensions.definitions import AgentDefinition, DefinitionError, FolderSource, NotAnAgent, parse

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "tests" / "extensions" / "definitions" / "corpus"
PAGE = ROOT / "docs" / "how-to" / "four-thousand-agents.md"
PICTURE = ROOT / "docs" / "images" / "four-thousand.png"
CONNECTIONS = 8
INTERVAL = 10  # seconds between samples
BEAT, REPORT = 30.0, 60.0  # seconds between two of an agent
CROWDED = 97  # one agent of so many has no memory left
RULES = 100
SHARE = 64  # MB of an agent whose definition does not say

_SERVICE = """
import json, sys
from agentreg.extensions.service import Settings, Timing, serve
from agentreg.extensions.service.operations import OperationsConfig
said = json.loads(sys.argv[1])
operations = None if said["operations"] is None else OperationsConfig(**said["operations"])
timing = Timing(900.0, 3600.0)  # they are silent for a while, to see what that costs
settings = Settings(port=0, workspace=said["workspace"], timing=timing, operations=operations)
serve(settings, lambda found: print(found.port, flush=True))
"""


def main() -> int:
    """Measure, print, and write what was asked for."""
    asked = _arguments()
    random.seed(1)
    machine = Machine.here()
    with stand.folder() as place, load.generator() as ask:
        run = _Run(place, ask, asked.seconds, asked.picture or asked.page)
        rows = run.all()
    print(readme.plain_table(rows))
    if asked.page:
        _write(rows, machine)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they beat and report (default: 60)")
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.relative_to(ROOT)}")
    parser.add_argument(
        "--page", action="store_true", help=f"write the figures into {PAGE.relative_to(ROOT)}; and that"
    )
    return parser.parse_args()


class _Run:
    """One service, from its definitions to its page."""

    def __init__(self, place: Path, ask: Callable[..., Any], seconds: float, picture: bool) -> None:
        self.place = place
        self.ask = ask
        self.seconds = seconds
        self.picture = picture
        self.rows: list[Row] = []

    def all(self) -> list[Row]:
        """Every part, in order."""
        definitions = self.definitions()
        requests = [post("/registry/agents", **_body(each, number)) for number, each in enumerate(definitions)]
        quiet = self.without_operations(requests)
        operations = {"memory": "1TB", "interval": INTERVAL}
        with _service(self.place / "workspace", operations) as server:
            self.register(server, requests)
            ids = [each["id"] for each in server.ask("/agents")["agents"]]
            assert len(ids) == USUAL, len(ids)
            self.report(server, ids)
            self.silent(server, quiet)
            self.at_work(server, ids)
            self.questions(server)
            self.page(server)
            self.size(server)
        return self.rows

    def add(self, work: str, value: float, unit: Any = "s", most: float | None = None) -> None:
        """One more figure, printed as it comes."""
        row = Row(work, value, target=None if most is None else at_most(most, of="ours"), unit=unit)
        self.rows.append(row)
        print("  ".join(filter(None, row.cells())), file=sys.stderr, flush=True)

    # -- the parts ----------------------------------------------------------

    def definitions(self) -> list[AgentDefinition]:
        """4,462 files from the corpus, read back."""
        folder = self.place / "agents"
        kinds = _write_definitions(folder)
        started = time.perf_counter()
        found = FolderSource(folder).load().definitions
        self.add(f"read {len(found):,} definitions of {kinds} kinds from files", time.perf_counter() - started)
        assert len(found) == USUAL, len(found)
        return random.sample(found, len(found))

    def without_operations(self, requests: Sequence[bytes]) -> float:
        """Part of a core, when all are silent, of a service that samples, watches and allocates nothing."""
        with _service(self.place / "plain", None) as server:
            taken = self.send(server, requests)
            self.add("register all without operations, a second", len(requests) / taken, "1/s")
            return _part_of_core(server, 3 * INTERVAL)

    def register(self, server: Server, requests: Sequence[bytes]) -> None:
        """All, each through the whole pipeline of steps."""
        before = server.spent()
        taken = self.send(server, requests)
        self.add(f"register all over {CONNECTIONS} connections, a second", len(requests) / taken, "1/s")
        self.add("register one, processor of the service", (server.spent() - before) / len(requests))

    def report(self, server: Server, ids: Sequence[str]) -> None:
        """What each says of itself for the first time: from then on there is something to sample."""
        taken = self.send(server, [_report(each, number) for number, each in enumerate(ids)])
        self.add("the first report of each, a second", len(ids) / taken, "1/s")

    def silent(self, server: Server, quiet: float) -> None:
        """What sampling and rules cost: with four rules, and with a hundred."""
        few = _part_of_core(server, 6 * INTERVAL)
        self.add("all are silent: part of a core", few, "x")
        self.add("a round of sampling, processor (every 10 s)", max(0.0, few - quiet) * INTERVAL, most=0.03 * INTERVAL)
        for number in range(RULES - 5):
            _post(server, "/registry/alerts/rules", {"name": f"rule {number}", "expression": _rule(number)})
        many = _part_of_core(server, 6 * INTERVAL)
        self.add(f"a round with {RULES} rules, processor", max(0.0, many - quiet) * INTERVAL)
        _post(server, "/registry/alerts/rules", {"name": "crowded", "expression": "memory_usage > 90% for 20s"})

    def at_work(self, server: Server, ids: Sequence[str]) -> None:
        """Beats and reports, as many as that many agents send."""
        requests = _traffic(ids)
        rate = USUAL / BEAT + USUAL / REPORT
        before, began = server.spent(), time.perf_counter()
        answers = self.ask(load.pace, server.port, requests, CONNECTIONS, self.seconds, rate)
        part = (server.spent() - before) / (time.perf_counter() - began)
        assert not answers.refused, f"{answers.refused} were refused"
        self.add(f"{rate:.0f} beats and reports a second: part of a core", part, "x")
        delays = sorted(answers.delays)
        self.add("an answer to a beat or report, median", delays[len(delays) // 2])
        self.add("an answer to a beat or report, 99th of 100", delays[len(delays) * 99 // 100])
        firing = _wait_for_alerts(server)
        self.add("agents that break a rule then", firing, "x")

    def questions(self, server: Server) -> None:
        """What is asked by the page and the command line."""
        for what, path in (
            ("GET /registry/alerts", "/registry/alerts?limit=1000"),
            ("GET /registry/metrics/latest, all agents", "/registry/metrics/latest?metric=memory_usage"),
            ("GET /registry/metrics, all together", "/registry/metrics?metric=memory_usage&since=1h"),
            ("GET /registry/resources", "/registry/resources"),
            ("GET /registry/stats", "/registry/stats"),
        ):
            self.add(what, statistics.median(_timed(server, path) for _ in range(5)))
        workspace = str(self.place / "workspace")
        command = [sys.executable, "-m", "agentreg", "top", "--once", "--rows", "20", "--workspace", workspace]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self.add("agentreg top --once", time.perf_counter() - started)

    def page(self, server: Server) -> None:
        """From the address to the first rows in a browser that starts with nothing; and the picture."""
        executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        try:
            from playwright.sync_api import sync_playwright
        except ImportError:
            executable = None
        if executable is None:
            print("no Chromium or Playwright: the page is left out", file=sys.stderr)
            return
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            taken = []
            for _ in range(3):
                page = browser.new_page(viewport={"width": 1400, "height": 900})  # with nothing in its cache
                started = time.perf_counter()
                page.goto(f"http://127.0.0.1:{server.port}/")
                page.wait_for_selector("#row-0 td[data-column=name] a")
                taken.append(time.perf_counter() - started)
            self.add("the page shows its first rows", statistics.median(taken))
            page.wait_for_timeout(3 * 1000)  # what else it draws
            if self.picture:
                PICTURE.parent.mkdir(exist_ok=True)
                page.screenshot(path=str(PICTURE))
            browser.close()

    def size(self, server: Server) -> None:
        """Memory and disk at the end."""
        self.add("memory of the service", server.resident(), "B")
        files = [file for file in (self.place / "workspace").rglob("*") if file.is_file()]
        self.add("its files on disk", sum(file.stat().st_size for file in files), "B")

    def send(self, server: Server, requests: Sequence[bytes]) -> float:
        """Send each once, as fast as they are answered; the seconds that it took."""
        rate = 1e9
        answers = self.ask(load.pace, server.port, requests, CONNECTIONS, len(requests) / rate, rate)
        assert not answers.refused, f"{answers.refused} were refused"
        return float(answers.seconds)


# -- the service ----------------------------------------------------------------


@contextmanager
def _service(workspace: Path, operations: dict[str, Any] | None) -> Iterator[Server]:
    said = json.dumps({"workspace": str(workspace), "operations": operations})
    process = subprocess.Popen([sys.executable, "-c", _SERVICE, said], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(process.pid, int(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate()


def _part_of_core(server: Server, seconds: float) -> float:
    time.sleep(2.0)
    began, before = time.perf_counter(), server.spent()
    time.sleep(seconds)
    return (server.spent() - before) / (time.perf_counter() - began)


def _timed(server: Server, path: str) -> float:
    started = time.perf_counter()
    server.ask(path)
    return time.perf_counter() - started


def _post(server: Server, path: str, body: dict[str, Any]) -> None:
    import urllib.request

    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request):
        pass


def _wait_for_alerts(server: Server) -> int:
    """How many fire once the rule of 20 s has had its time."""
    for _ in range(60):
        alerts = server.ask("/registry/alerts?limit=1000")["alerts"]
        firing = sum(each["state"] == "firing" for each in alerts)
        if firing:
            return firing
        time.sleep(1.0)
    return 0


# -- what is sent ---------------------------------------------------------------


def _write_definitions(folder: Path) -> int:
    """Write 4,462 files, and say of how many kinds."""
    kinds = list(filter(None, map(_good, sorted(CORPUS.rglob("*.md")))))
    folder.mkdir()
    for number in range(USUAL):
        name, text = kinds[number % len(kinds)]
        new = f"{name}-{number // len(kinds) + 1:02}-{number % len(kinds):03}"  # two may have one name in the corpus
        (folder / f"{new}.md").write_text(_NAME.sub(f"name: {new}", text, count=1), encoding="utf-8")
    return len(kinds)


def _good(file: Path) -> tuple[str, str] | None:
    """The name and the text of a definition that can be read; None for the corpus's bad ones."""
    try:
        text = file.read_text(encoding="utf-8")
        name = re.sub(r"[^a-z0-9]+", "-", parse(text).name.lower()).strip("-")
        parse(_NAME.sub("name: other", text, count=1))
    except (UnicodeDecodeError, DefinitionError, NotAnAgent):
        return None
    return (name, text) if name and _NAME.search(text) else None


_NAME = re.compile(r"^name:.*$", re.MULTILINE)


def _body(definition: AgentDefinition, number: int) -> dict[str, Any]:
    """The registration of an agent from its definition."""
    config = {
        "description": definition.description[:500],
        "tools": list(definition.tools or ()),
        "mcp_servers": list(definition.mcp_servers),
        "resource_limit": definition.resource_limit or f"{SHARE}mb",
        "priority": definition.priority if isinstance(definition.priority, int) else 1 + number % 10,
        "specialization": definition.specialization,
    }
    words = re.findall(r"[a-z]{4,}", definition.name)
    return {
        "name": definition.name,
        "version": definition.version or "1",
        "file_path": definition.file_path,
        "cwd": f"/home/ada/projects/{number % 40}",
        "host": f"host-{number % 12}",
        "capabilities": [*definition.tags, *words][:12],
        "config": {key: value for key, value in config.items() if value not in (None, [])},
        "metadata": {"model": definition.model} if definition.model else {},
    }


def _traffic(ids: Sequence[str]) -> list[bytes]:
    """Two beats of each agent for one report, mixed; over and over."""
    beats = [post("/heartbeat", id=each) for each in ids]
    reports = [_report(each, number) for number, each in enumerate(ids)]
    first = [request for pair in zip(beats[::2], beats[1::2], reports[::2], strict=False) for request in pair]
    second = [request for pair in zip(beats[::2], beats[1::2], reports[1::2], strict=False) for request in pair]
    return first + second


def _report(agent_id: str, number: int) -> bytes:
    """What an agent says of itself: one of many has no memory left."""
    used = 0.96 if number % CROWDED == 0 else random.betavariate(4, 6)
    resources = {
        "memory_used": f"{used * SHARE:.1f}mb",
        "memory_allocated": f"{SHARE}mb",
        "cpu_used": f"{100 * random.betavariate(1.5, 6):.1f}%",
        "active_tasks": random.choice((0, 0, 0, 1, 1, 2, 5)),
        "max_concurrent_tasks": 10,
    }
    performance = {
        "avg_response_time": f"{random.lognormvariate(-0.5, 0.6):.2f}s",
        "task_success_rate": f"{100 - random.expovariate(1.0):.1f}%",
    }
    request = post(f"/registry/agents/{quote(agent_id, safe='')}", resources=resources, performance=performance)
    return request.replace(b"POST", b"PUT", 1)


def _rule(number: int) -> str:
    """One of many kinds, that nobody breaks."""
    return (
        f"memory_usage > {98 + number / 100:.2f}% for {1 + number % 5}m",
        f"cpu_utilization > {98 + number / 100:.2f}% for {1 + number % 5}m",
        f"response_time > {60 + number}s avg for {1 + number % 5}m",
        f"error_rate > {60 + number / 10:.1f}% for {1 + number % 5}m",
    )[number % 4]


# -- the page of the documentation ------------------------------------------------


def _write(rows: Sequence[Row], machine: Machine) -> None:
    """Put the figures between the marks."""
    lines = ["| what | figure | at most |", "| --- | ---: | ---: |"]
    for row in rows:
        work, value, _, _, limit, _ = row.cells()
        lines.append(f"| {work} | {value} | {limit.removeprefix('≤ ')} |")
    where = f"Measured on {machine.date} with {machine.python} on {machine.cores} cores ({machine.processor})"
    lines += ["", f"{where}, on which {machine.load}", "other processes wanted to run at the start."]
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    PAGE.write_text(text[:begin] + "\n\n" + "\n".join(lines) + "\n\n" + text[end:], encoding="utf-8")


_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


if __name__ == "__main__":
    sys.exit(main())
