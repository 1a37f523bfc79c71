"""Kills, full disks, folders that may not be written to, damaged files: nothing acknowledged is lost, and it heals.

``AGENTREG_LONG=1`` makes the short forms long ones.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from .serving import Service, serving

LONG = os.environ.get("AGENTREG_LONG") == "1"
KILLS = 200 if LONG else 5
SESSIONS = 100 if LONG else 10
HEALS = 5.0 if LONG else 30.0  #: seconds; the short form says that it heals at all, on a busy machine too

pytestmark = pytest.mark.timeout(3600 if LONG else 180)
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit and mounts of Linux")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount")


def until(condition: Callable[[], object], seconds: float = HEALS) -> None:
    """Wait until *condition* holds; fail after *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.02)


def is_well(service: Service) -> bool:
    return service.ask("GET", "/health")[0] == 200


def says(service: Service, status: int) -> Callable[[], bool]:
    return lambda: service.ask("GET", "/health")[0] == status


class Caller(threading.Thread):
    """Registers and deregisters over one connection until that breaks; knows what was acknowledged."""

    def __init__(self, port: int, prefix: str) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._prefix = prefix
        self.acknowledged: dict[str, str] = {}  # id -> its status, as far as that is certain
        self.odd: list[Any] = []
        self.start()

    def run(self) -> None:
        with suppress(OSError, HTTPException), closing(HTTPConnection("127.0.0.1", self._port, timeout=10)) as wire:
            for number in range(1_000_000):
                name = f"{self._prefix}-{number}"
                if self._ask(wire, "/register", {"id": name, "name": name}):
                    self.acknowledged[name] = "active"
                if number % 3 == 0:
                    self.acknowledged.pop(name, None)  # from here on it may be either
                    if self._ask(wire, "/deregister", {"id": name}):
                        self.acknowledged[name] = "stopped"

    def _ask(self, wire: HTTPConnection, path: str, body: dict[str, str]) -> bool:
        wire.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = wire.getresponse()
        text = answer.read()
        if answer.status != 200:
            self.odd.append((answer.status, text))
        return answer.status == 200


def test_nothing_that_was_acknowledged_is_lost_by_kills_under_load(tmp_path: Path) -> None:
    known: dict[str, str] = {}
    chance = random.Random(1)
    for kill in range(KILLS):
        with serving(tmp_path) as service:
            there = {agent_id: agent["status"] for agent_id, agent in service.agents().items()}
            assert {agent_id: there.get(agent_id) for agent_id in known} == known
            callers = [Caller(service.discovery()["port"], f"{kill}-{number}") for number in range(4)]
            until(lambda them=callers: all(caller.acknowledged for caller in them), 30)  # type: ignore[misc]
            time.sleep(chance.random() * 0.1)  # another moment each time
            service.process.kill()
            service.process.wait()
        for caller in callers:
            caller.join(20)
            assert not caller.odd
            known |= caller.acknowledged

    with serving(tmp_path) as service:
        there = {agent_id: agent["status"] for agent_id, agent in service.agents().items()}
    assert {agent_id: there.get(agent_id) for agent_id in known} == known
    with closing(sqlite3.connect(tmp_path / "data" / "agent-registry.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_is_in_flight_at_the_end_is_answered_and_kept(tmp_path: Path) -> None:
    wires = []
    with serving(tmp_path) as service:
        port = service.discovery()["port"]
        with closing(sqlite3.connect(tmp_path / "data" / "agent-registry.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # so that they are in flight
            for number in range(20):
                wire = HTTPConnection("127.0.0.1", port, timeout=20)
                wire.request("POST", "/register", json.dumps({"id": f"{number}"}), {"content-type": "application/json"})
                wires.append(wire)
            time.sleep(0.3)
            service.process.send_signal(signal.SIGTERM)
            until(lambda: not service.file.exists())
            other.execute("ROLLBACK")
        answers = [wire.getresponse() for wire in wires]
        assert [answer.status for answer in answers] == [200] * 20
        assert service.process.wait(5) == 0
    for wire in wires:
        wire.close()

    with serving(tmp_path) as service:
        assert set(service.agents()) == {f"{number}" for number in range(20)}


# -- a full disk ------------------------------------------------------------------


@linux
def test_a_limit_of_the_files_size_is_503_with_the_reason_and_heals_when_it_is_lifted(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        assert service.post("/register", id="before")[0] == 200
        pid = service.process.pid
        limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, limit[1]))

        status, refusal = service.post("/register", id="during")
        health = service.ask("GET", "/health")
        listed = service.agents()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

        assert (status, refusal["ok"]) == (503, False)
        assert "agent-registry.db" in refusal["error"]
        assert (health[0], health[1]["ok"]) == (503, False)
        assert set(listed) == {"before"}
        until(lambda: service.post("/register", id="after")[0] == 200)
        until(lambda: is_well(service))
        assert set(service.agents()) >= {"before", "after"}


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Something mounted at *folder*; skips where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)


@linux
@root
def test_a_full_disk_is_503_with_the_reason_and_heals_when_there_is_room_again(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=2m", "tmpfs"), serving(tmp_path) as service:
        assert service.post("/register", id="before")[0] == 200
        filler = tmp_path / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

        answers = [service.post("/register", id=f"{number}", meta={"filler": "x" * 8000}) for number in range(20)]
        health = service.ask("GET", "/health")
        filler.unlink()

        assert {status for status, _ in answers} <= {200, 503}
        status, refusal = answers[-1]
        assert (status, refusal["ok"]) == (503, False)
        assert "full" in refusal["error"]
        assert (health[0], health[1]["ok"]) == (503, False)
        until(lambda: service.post("/register", id="after")[0] == 200)
        until(lambda: is_well(service))
        kept = {f"{number}" for number, (status, _) in enumerate(answers) if status == 200}
        assert set(service.agents()) >= {"before", "after", *kept}


@linux
@root
def test_a_folder_that_may_not_be_written_to_is_503_and_heals_when_it_may(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    with serving(workspace) as service:
        service.post("/register", id="before")
        assert service.end() == 0
    data = workspace / "data"

    with mounted(data, "--bind", str(data)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(data)], check=True)
        with serving(workspace) as service:
            until(says(service, 503))
            status, refusal = service.post("/register", id="during")
            subprocess.run(["mount", "-o", "remount,rw,bind", str(data)], check=True)

            assert (status, refusal["ok"]) == (503, False)
            until(lambda: is_well(service))
            assert service.post("/register", id="after")[0] == 200
            assert set(service.agents()) == {"before", "after"}


# -- damage -----------------------------------------------------------------------


def damaged(workspace: Path) -> list[Path]:
    return [each for each in (workspace / "data").iterdir() if "damaged" in each.name]


@pytest.mark.parametrize("what", ["rubbish", "half of it", "a page of it"])
def test_a_file_that_is_damaged_at_the_start_is_set_aside_before_health_says_ok(tmp_path: Path, what: str) -> None:
    with serving(tmp_path) as service:
        for number in range(50):
            service.post("/register", id=f"{number}", meta={"filler": "x" * 500})
        assert service.end() == 0
    spoil(tmp_path / "data" / "agent-registry.db", what)

    with serving(tmp_path) as service:
        until(lambda: is_well(service))
        aside, empty = damaged(tmp_path), service.agents()
        assert service.post("/register", id="after")[0] == 200
        assert set(service.agents()) == {"after"}

    assert empty == {}
    assert len(aside) >= 1


def spoil(file: Path, what: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        )  # where there is a write-ahead log, all is in the file now
    content = file.read_bytes()
    assert len(content) > 40_960
    if what == "rubbish":
        file.write_bytes(b"no database at all" * 1000)
    elif what == "half of it":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.write_bytes(content[:8192] + bytes(range(256)) * 64 + content[8192 + 256 * 64 :])


@pytest.mark.parametrize("what", ["rubbish", "a page of it"])
def test_a_file_that_is_damaged_while_in_use_is_set_aside_and_a_new_one_taken(tmp_path: Path, what: str) -> None:
    with serving(tmp_path) as service:
        for number in range(50):
            service.post("/register", id=f"{number}", meta={"filler": "x" * 500})
        spoil(tmp_path / "data" / "agent-registry.db", what)

        statuses = set()

        def is_noticed() -> bool:  # until then, what is acknowledged goes into the damaged file
            statuses.add(service.post("/register", id="meanwhile")[0])
            return bool(damaged(tmp_path))

        until(is_noticed)
        until(lambda: is_well(service))
        until(lambda: service.post("/register", id="after")[0] == 200)

        assert statuses <= {200, 503}
        assert "after" in service.agents()
        assert service.end() == 0
    with closing(sqlite3.connect(tmp_path / "data" / "agent-registry.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ("after",) in connection.execute("SELECT agent_id FROM agents").fetchall()


# -- watched sessions -------------------------------------------------------------


def test_watched_sessions_that_are_killed_are_gone_and_so_are_those_whose_watcher_is_killed_too(tmp_path: Path) -> None:
    with serving(tmp_path) as service, sessions(SESSIONS) as crowd, watched(crowd, tmp_path) as watchers:
        until(lambda: len(active(service)) == SESSIONS, 120)

        for watcher in watchers[::2]:
            watcher.kill()
        for session in crowd:
            session.kill()

        until(lambda: not active(service), 2.0 if LONG else 20.0)


def active(service: Service) -> list[str]:
    return [agent_id for agent_id, agent in service.agents().items() if agent["status"] == "active"]


@contextmanager
def sessions(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    crowd = [subprocess.Popen(["sleep", "600"]) for _ in range(count)]
    try:
        yield crowd
    finally:
        end(crowd)


@contextmanager
def watched(crowd: list[subprocess.Popen[bytes]], workspace: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "agentreg", "watch", "--name", "session", "--workspace", str(workspace), "--pid"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    watchers = [
        subprocess.Popen([*command, str(session.pid)], stdout=subprocess.DEVNULL, env=environment) for session in crowd
    ]
    try:
        yield watchers
    finally:
        end(watchers)


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def test_a_service_that_does_not_answer_any_more_is_no_service(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.process.kill()
        service.process.wait()
        with pytest.raises(urllib.error.URLError):
            service.ask("GET", "/health")
        with serving(tmp_path) as successor:
            assert is_well(successor)
