"""The service: speed beside a bare application and a threading server, readers, what idling costs, starts."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import service_load as load
import service_stand as stand
from figures import Figures, Point, Row, at_least, at_most
from service_load import get, post
from service_stand import Server
from timing import Comparison, Effort

__all__ = ["measure"]

AGENTS = 4_462
PERIOD = 30.0  #: seconds between two beats of an agent
CONNECTIONS = 16
SLICE = 1.0  #: seconds of one storm
READERS = 1_000
CHANGES = 200.0  #: a second
MANY = 10_000
Ask = Callable[..., Any]


def measure(effort: Effort) -> Figures:
    """All of it."""
    figures = Figures()
    with load.generator() as ask:
        for part in (_beats, _registrations, _listings, _records, _readers, _crowd, _starts):
            figures.add(part(ask, effort))
    figures.add(_verbs(effort))
    return figures


def _rounds(effort: Effort) -> int:
    return max(effort.rounds // 3, 3)


# -- single routes ------------------------------------------------------------


def _beats(ask: Ask, effort: Effort) -> Figures:
    with ExitStack() as stack:
        place = stack.enter_context(stand.folder())
        ids = stand.filled(place, AGENTS)
        servers = {
            "service": stack.enter_context(stand.service(place)),
            "bare": stack.enter_context(stand.bare()),
            "threading": stack.enter_context(stand.threading(place / "beats.db", ids)),
        }
        requests = [post("/heartbeat", id=each) for each in ids]
        costs, speeds = _stormed(ask, servers, dict.fromkeys(servers, requests), _rounds(effort))
    work = f"POST /heartbeat, {AGENTS:,} ids"
    return Figures(
        [
            Row.of(costs, f"{work}, answers for a second of processor", "service", "bare", at_least(0.6), "1/s"),
            Row.of(speeds, f"{work}, answers a second", "service", "threading", at_least(20), "1/s"),
        ]
    )


def _stormed(
    ask: Ask, servers: dict[str, Server], requests: dict[str, list[bytes]], rounds: int, connections: int = CONNECTIONS
) -> tuple[Comparison, Comparison]:
    """Answers for a second of the server's processor, and answers a second; servers in turn."""
    costs: dict[str, list[float]] = {name: [] for name in servers}
    speeds: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(rounds + 1):
        for name in list(servers)[:: 1 if number % 2 else -1]:
            before = servers[name].spent()
            answers = ask(load.storm, servers[name].port, requests[name], connections, SLICE if number else 0.2)
            assert not answers.refused, f"{name} refused {answers.refused} requests"
            if number:
                costs[name].append(len(answers.delays) / (servers[name].spent() - before))
                speeds[name].append(answers.rate)
    return Comparison(costs), Comparison(speeds)


def _registrations(ask: Ask, effort: Effort) -> Figures:
    figures = Figures()
    request = [post("/register", name="planner", cwd="/home/somebody/project")]
    for connections, least in ((16, 2.5), (64, 4.0)):
        with ExitStack() as stack:
            place = stack.enter_context(stand.folder())
            servers = {
                "service": stack.enter_context(stand.service(place)),
                "one by one": stack.enter_context(stand.committing(place / "one.db")),
            }
            _, speeds = _stormed(ask, servers, dict.fromkeys(servers, request), _rounds(effort), connections)
        work = f"POST /register, {connections} connections"
        row = Row.of(speeds, work, "service", "one by one", at_least(least), "1/s")
        figures.rows.append(row.beside("a commit for each"))
    return figures


def _listings(ask: Ask, effort: Effort) -> Figures:
    """What an answer costs the server while others beat and come and go; the encoding is done by this process."""
    seconds, rate = 3.0, 10.0
    costs: list[float] = []
    encodings: list[float] = []
    with stand.folder() as place:
        ids = stand.filled(place, AGENTS)
        with stand.service(place) as server:
            listed = server.ask("/agents")
            traffic, asking = _traffic(ids), [get("/agents")]
            with load.generator() as beside:
                for _ in range(_rounds(effort)):
                    costs.append(_cost_of_listing(ask, beside, server, traffic, asking, seconds, rate))
                    encodings.append(_seconds_to_encode(listed))
    compared = Comparison({"service": costs, "encode": encodings})
    work = f"GET /agents, {AGENTS:,} agents, 149 beats and 10 changes a second, processor for an answer"
    row = Row.of(compared, work, "service", "encode", at_most(1.5))
    return Figures([row.beside("msgspec encodes the list")])


def _traffic(ids: Sequence[str]) -> list[bytes]:
    """149 beats and 10 changes, mixed; over and over."""
    beats = [post("/heartbeat", id=each) for each in ids[:149]]
    for number in range(10):
        name = f"passer {number % 5}"
        change = post("/register", id=name, name=name) if number < 5 else post("/deregister", id=name)
        beats.insert(number * 15, change)
    return beats


def _cost_of_listing(
    ask: Ask, beside: Ask, server: Server, traffic: list[bytes], asking: list[bytes], seconds: float, rate: float
) -> float:
    """Seconds of the server for one answer: with the listings, less those without."""
    before = server.spent()
    ask(load.pace, server.port, traffic, 4, seconds, 159.0)
    without = server.spent() - before
    both = _at_once(
        lambda: ask(load.pace, server.port, traffic, 4, seconds, 159.0),
        lambda: beside(load.pace, server.port, asking, 1, seconds, rate),
    )
    before = server.spent()
    answers = both()[1]
    return float(server.spent() - before - without) / len(answers.delays)


def _at_once(*works: Callable[[], Any]) -> Callable[[], list[Any]]:
    def run() -> list[Any]:
        with ThreadPoolExecutor(len(works)) as pool:
            return [each.result() for each in [pool.submit(work) for work in works]]

    return run


def _seconds_to_encode(listed: Any) -> float:
    encode = msgspec.json.Encoder().encode
    taken = []
    for _ in range(15):
        started = time.thread_time()
        encode(listed)
        taken.append(time.thread_time() - started)
    return statistics.median(taken)


def _records(ask: Ask, effort: Effort) -> Figures:
    with ExitStack() as stack:
        place = stack.enter_context(stand.folder())
        ids = stand.filled(place, AGENTS)
        servers = {"service": stack.enter_context(stand.service(place)), "bare": stack.enter_context(stand.bare())}
        requests = [get(f"/registry/agents/{each}") for each in ids]
        costs, _ = _stormed(ask, servers, dict.fromkeys(servers, requests), _rounds(effort))
    work = "GET /registry/agents/{id}, answers for a second of processor"
    return Figures([Row.of(costs, work, "service", "bare", at_least(0.4), "1/s")])


# -- readers ------------------------------------------------------------------


def _readers(ask: Ask, effort: Effort) -> Figures:
    seconds = 15.0 if effort.rounds > 5 else 8.0
    ids = [stand.named(number) for number in range(200)]
    with stand.folder("/dev/shm") as place:  # the disk's speed is measured with the registrations
        stand.filled(place, len(ids))
        with stand.service(place) as server:
            changes = [_change(each, number) for number in range(2) for each in ids]
            ask(load.listen, server.port, 1, changes, 1.0, CHANGES)  # warm
            resident, before = server.resident(), server.spent()
            heard = ask(load.listen, server.port, READERS, changes, seconds, CHANGES)
            spent, each = server.spent() - before, (server.resident() - resident) / READERS
    work = f"WebSocket, {READERS:,} readers, {heard.changes / heard.seconds:.0f} changes a second"
    figures = Figures(
        [
            Row(f"{work}, missed", heard.missed, target=at_most(0, of="ours"), unit="x"),
            Row(f"{work}, median delay", heard.quantile(0.5)),
            Row(f"{work}, p99 of delays", heard.quantile(0.99), target=at_most(0.150, of="ours")),
            Row(f"{work}, part of a core", spent / (heard.seconds + 1.0), target=at_most(0.5, of="ours"), unit="x"),
            Row(f"{work}, memory of a reader", each, target=at_most(50_000, of="ours"), unit="B"),
        ]
    )
    return figures


def _change(agent_id: str, number: int) -> bytes:
    states = ("idle", "active")
    request = post(f"/registry/agents/{agent_id}", status=states[number])
    return request.replace(b"POST", b"PUT", 1)


# -- a crowd that beats -------------------------------------------------------


def _crowd(ask: Ask, effort: Effort) -> Figures:
    seconds = 20.0 if effort.rounds > 5 else 8.0
    figures = Figures()
    with stand.folder() as place:
        requests = [post("/heartbeat", id=each) for each in stand.filled(place, AGENTS)]
        with stand.service(place) as server, stand.bare() as beside:
            server.ask("/agents")
            idle = _part_of_core(server, lambda: time.sleep(seconds / 2))
            work = f"{AGENTS:,} agents"
            figures.rows.append(Row(f"{work} that are silent, part of a core", idle, unit="x"))
            for connections in (1, 149):
                parts = _beating(ask, {"service": server, "bare": beside}, requests, connections, seconds)
                how = f"beating every {PERIOD:g} s over {connections} connection{'s' * (connections > 1)}"
                target = at_most(0.05, of="ours")
                row = Row.of(parts, f"{work} {how}, part of a core", "service", "bare", target, "x")
                figures.rows.append(row)
            size = server.resident()
    figures.rows.append(Row(f"{work}, resident memory", size, target=at_most(120e6, of="ours"), unit="B"))
    return figures


def _beating(
    ask: Ask, servers: dict[str, Server], requests: list[bytes], connections: int, seconds: float
) -> Comparison:
    """Parts of a core, in three rounds."""
    parts: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(3):
        for name, server in servers.items():
            work = partial(ask, load.pace, server.port, requests, connections, seconds / 3, AGENTS / PERIOD)
            parts[name].append(_part_of_core(server, work))
    return Comparison(parts)


def _part_of_core(server: Server, work: Callable[[], object]) -> float:
    time.sleep(1.0)
    began, before = time.perf_counter(), server.spent()
    work()
    return (server.spent() - before) / (time.perf_counter() - began)


# -- starts -------------------------------------------------------------------


def _starts(ask: Ask, effort: Effort) -> Figures:
    figures = Figures()
    for count in (0, AGENTS, MANY):
        with stand.folder() as place:
            stand.filled(place, count)
            taken = [_start(place) for _ in range(_rounds(effort))]
        target = at_most(1.0, of="ours") if count == MANY else None
        figures.rows.append(Row(f"start until /health, {count:,} records", statistics.median(taken), target=target))
        if count:
            figures.points.append(Point("start until /health", "service", count, statistics.median(taken)))
    return figures


def _start(place: Path) -> float:
    started = time.perf_counter()
    with stand.service(place) as server:
        assert server.ask("/health")["ok"]
        return time.perf_counter() - started


def _verbs(effort: Effort) -> Figures:
    figures = Figures()
    with stand.folder() as place:
        works = {verb: [sys.executable, "-m", "agentreg", verb] for verb in ("heartbeat", "list")}
        commands = {
            "pass": [sys.executable, "-c", "pass"],
            "heartbeat": [*works["heartbeat"], "--id", "x", "--workspace", str(place)],
            "list": [*works["list"], "--workspace", str(place)],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(effort.rounds):
            for name, command in commands.items():
                taken[name].append(_run(command))
    for verb in ("heartbeat", "list"):
        more = statistics.median(ours - bare for ours, bare in zip(taken[verb], taken["pass"], strict=True))
        work = f"agentreg {verb} without a service, more than python -c pass"
        figures.rows.append(Row(work, more, target=at_most(0.120, of="ours")))
    return figures


def _run(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


if __name__ == "__main__":
    import readme

    effort = Effort.quick() if "--quick" in sys.argv else Effort()
    parts = [globals()[f"_{name}"] for name in sys.argv[1:] if not name.startswith("-")]
    if not parts:
        print(readme.plain_table(measure(effort).rows))
    for part in parts:
        with load.generator() as ask:
            print(readme.plain_table((part(effort) if part is _verbs else part(ask, effort)).rows))
