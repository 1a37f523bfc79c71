"""The service as a process: its port, its files, its end."""

from __future__ import annotations

import signal
import socket
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.coordination.processes import find_process
from agentreg.extensions.service import ServiceError, Settings, Workspace, serve
from agentreg.extensions.service.server import _is_loopback, _listening

from .driving import child
from .serving import refused, serving, start


def test_a_client_that_knows_the_discovery_file_and_five_routes_needs_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        status, answer = service.post("/register", name="claude-code", cwd="/srv", pid=0, host="h", meta={"a": 1})
        assert (status, answer["ok"]) == (200, True)
        assert service.post("/heartbeat", id=answer["id"]) == (200, {"ok": True, "status": "active"})
        agent = service.agents()[answer["id"]]
        assert (agent["name"], agent["cwd"], agent["pid"], agent["host"]) == ("claude-code", "/srv", 0, "h")
        assert (agent["status"], agent["meta"]) == ("active", {"a": 1})
        assert service.post("/deregister", id=answer["id"]) == (200, {"ok": True})
        assert service.agents()[answer["id"]]["status"] == "stopped"
        assert service.ask("GET", "/health")[1]["count"] == 1
        assert service.post("/heartbeat")[0] == 400


def test_the_discovery_file_says_where_the_service_is_to_this_user_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        found = service.discovery()
        health = service.ask("GET", "/health")[1]

    assert found["url"] == service.url == f"http://127.0.0.1:{found['port']}"
    assert (found["host"], found["pid"], found["token_file"]) == ("127.0.0.1", service.process.pid, None)
    assert health["instance_id"] == found["instance_id"]
    assert found["started_at"] > 1.7e9
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_the_discovery_file_is_for_its_user_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        assert stat.S_IMODE(service.file.stat().st_mode) == 0o600
        assert [path.name for path in service.file.parent.iterdir() if path.suffix not in (".json", ".lock")] == []
        found = service.discovery()
        assert find_process(found["pid"]).start == found["process_start"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_to_end_removes_its_discovery_file_and_exits_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path) as service:
        service.post("/register", id="a")
        service.process.send_signal(number)

        assert service.process.wait(5) == 0
        assert not service.file.exists()


def test_a_restart_keeps_every_record_and_every_heartbeat(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.post("/register", id="a", name="one", cwd="/x", meta={"k": [1, {"n": None}]})
        service.post("/register", id="b")
        service.post("/deregister", id="b")
        before = service.agents()
        assert service.end() == 0

    with serving(tmp_path) as service:
        after = service.agents()
        assert service.post("/heartbeat", id="a")[0] == 200
        assert service.post("/heartbeat", id="b")[0] == 404

    for agents in (before, after):
        for agent in agents.values():
            del agent["heartbeat_age"]
            agent["last_heartbeat"] = round(agent["last_heartbeat"], 1)
    assert before == after


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        for number in range(20):
            assert service.post("/register", id=f"agent-{number}")[0] == 200
        service.process.kill()
        service.process.wait()
        stale = service.discovery()

    with serving(tmp_path) as service:
        assert set(service.agents()) == {f"agent-{number}" for number in range(20)}
        assert service.discovery()["instance_id"] != stale["instance_id"]


def test_a_request_in_flight_is_answered_before_the_end(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        with closing(socket.create_connection(("127.0.0.1", service.discovery()["port"]))) as client:
            body = b'{"id": "late"}'
            head = "POST /register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
            service.ask("GET", "/health")  # by now the server has read what was sent before
            service.process.terminate()
            while service.file.exists():
                pass
            client.sendall(body[5:])
            answer = client.recv(4096)

        assert answer.startswith(b"HTTP/1.1 200")
        assert service.process.wait(5) == 0
    with serving(tmp_path) as service:
        assert set(service.agents()) == {"late"}


def test_a_killed_process_shows_as_stopped_within_a_second(tmp_path: Path) -> None:
    with serving(tmp_path) as service, child() as process:
        service.post("/register", id="a", pid=process.pid)
        assert service.agents()["a"]["status"] == "active"
        process.kill()

        told = threading.Event()
        timer = threading.Timer(5.0, told.set)  # far more than promised: the machine may be busy
        timer.start()
        while service.agents()["a"]["status"] == "active" and not told.is_set():
            pass
        timer.cancel()

        assert service.agents()["a"]["status"] == "stopped"


# -- where it listens ---------------------------------------------------------


def test_the_first_free_port_of_twenty_is_taken() -> None:
    with _listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with _listening("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] < port + 20


def test_no_free_port_says_which_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with _listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("agentreg.extensions.service.server.TRIES", 1)
        with pytest.raises(ServiceError, match=f"nothing is free at 127.0.0.1, port {port} .* --port"):
            _listening("127.0.0.1", port)


def test_a_workspace_has_one_service(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        said = refused(tmp_path)

        assert f"already, at {service.url} (process {service.process.pid})" in said
        assert service.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.4", "registry.example")),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert _is_loopback(host) == expected


def test_other_machines_are_let_in_with_a_token_only(tmp_path: Path) -> None:
    said = refused(tmp_path, host="0.0.0.0")

    assert "--token-file" in said
    assert "TLS" in said
    assert not (tmp_path / "state" / "agent-registry.json").exists()


def test_a_token_file_is_made_and_its_token_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with serving(tmp_path / "w", host="0.0.0.0", token_file=str(file)) as service:
        found = service.discovery()
        assert (found["token_file"], found["url"]) == (str(file), f"http://127.0.0.1:{found['port']}")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert service.ask("GET", "/agents")[0] == 401
        token = file.read_text(encoding="utf-8").strip()
        assert service.ask("GET", "/agents", Authorization=f"Bearer {token}")[0] == 200
        assert service.ask("GET", "/agents", Authorization=f"Bearer {token}", Host="evil.example")[0] == 403


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret", encoding="utf-8")
    file.chmod(0o644)

    with pytest.raises(ServiceError, match=f"chmod 600 {file}"):
        serve(Settings(token_file=file, workspace=tmp_path))


def test_an_empty_token_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(0o600)

    with pytest.raises(ServiceError, match="is empty"):
        serve(Settings(token_file=file, workspace=tmp_path))


# -- the workspace ------------------------------------------------------------


def test_the_workspace_is_what_was_named_else_the_environments_else_among_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTREG_WORKSPACE", str(tmp_path / "environment"))
    assert Workspace(tmp_path / "named").folder == tmp_path / "named"
    assert Workspace().folder == tmp_path / "environment"
    monkeypatch.delenv("AGENTREG_WORKSPACE")
    assert Workspace().folder.name == "agentreg"
    assert Workspace().database == Workspace().folder / "data" / "agent-registry.db"


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ServiceError, match="choose another with --workspace"):
        serve(Settings(workspace=tmp_path / "file"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"host": 1}', "\x00"])
def test_a_discovery_file_that_makes_no_sense_is_none(tmp_path: Path, content: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.make()
    workspace.discovery.write_text(content, encoding="utf-8")

    assert workspace.read() is None


def test_a_late_end_never_removes_the_successors_discovery_file(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        workspace = Workspace(tmp_path)
        workspace.retract("an earlier instance")

        assert service.file.exists()


# -- the database -------------------------------------------------------------


def test_a_damaged_database_is_set_aside_and_a_new_one_is_in_use(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "agent-registry.db").write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)

    with serving(tmp_path) as service:
        assert service.post("/register", id="a")[0] == 200
        assert len(list(data.glob("agent-registry.db.damaged-*"))) == 1


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "agent-registry.db")) as connection:
        connection.execute("CREATE TABLE songs (title)")

    assert "some other program's database" in refused(tmp_path)


def test_a_service_that_is_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 0


def original(path: Path, rows: list[tuple[Any, ...]]) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE agents (id TEXT PRIMARY KEY, name TEXT, cwd TEXT, pid INTEGER, host TEXT,"
            " started_at REAL, last_heartbeat REAL, status TEXT, meta TEXT)"
        )
        connection.executemany("INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def test_the_original_services_database_is_migrated_and_kept(tmp_path: Path) -> None:
    now = time.time()
    path = tmp_path / "data" / "agent-registry.db"
    rows = [
        ("one", "claude-code", "/srv", 0, "elsewhere", now - 500, now - 20, "active", '{"branch": "main"}'),
        ("two", "kimi", None, None, None, now - 400, now - 300, "stale", "not json"),
        ("three", "pi", "", 0, "", now - 300, now - 100, "stopped", None),
    ]
    original(path, rows)

    with serving(tmp_path) as service:
        agents = service.agents()
        assert service.post("/heartbeat", id="two") == (200, {"ok": True, "status": "active"})

    assert [agents[name]["status"] for name in ("one", "two", "three")] == ["active", "stale", "stopped"]
    one = agents["one"]
    assert (one["name"], one["cwd"], one["host"], one["meta"]) == (
        "claude-code",
        "/srv",
        "elsewhere",
        {"branch": "main"},
    )
    assert one["started_at"] == pytest.approx(now - 500)
    assert one["last_heartbeat"] == pytest.approx(now - 20, abs=5)
    assert agents["two"]["meta"] == {"meta": "not json"}
    kept = path.with_name("agent-registry.db.original")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT * FROM agents ORDER BY started_at").fetchall() == rows
    assert not list(path.parent.glob("*.new*"))


def test_a_migrated_database_is_not_migrated_again(tmp_path: Path) -> None:
    path = tmp_path / "data" / "agent-registry.db"
    original(path, [("one", "a", "", 0, "h", 1.0, 2.0, "stopped", "{}")])

    for _ in range(2):
        with serving(tmp_path) as service:
            service.post("/register", id="new")
            assert service.end() == 0

    assert len(list(path.parent.glob("*.original*"))) == 1
