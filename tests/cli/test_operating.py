"""What the pages on operating the service say, done as they say it: nginx, systemd, backups."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from tests.extensions.service.serving import Service, serving

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to"
HOST = "agents.example.org"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {' and no '.join(missing)}")


PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


# -- nginx ------------------------------------------------------------------------


class Proxy:
    """nginx with the configuration of the page, before a service."""

    def __init__(self, service: Service, token: str, port: int, certificate: Path) -> None:
        self.service = service
        self.token = token
        self.port = port
        self.tls = ssl.create_default_context(cafile=str(certificate))
        self.authorization = {"Authorization": f"Bearer {token}"}

    def connect(self) -> ssl.SSLSocket:
        """A connection to it under the name of its certificate."""
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        return self.tls.wrap_socket(plain, server_hostname=HOST)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = HOST
    ) -> tuple[int, bytes]:
        lines = {
            "Host": f"{host}:{self.port}",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with self.connect() as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


@contextmanager
def proxied(folder: Path) -> Iterator[Proxy]:
    openssl = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={HOST} -addext subjectAltName=DNS:{HOST} "
        "-keyout key.pem -out fullchain.pem"
    )
    subprocess.run(openssl.split(), cwd=folder, check=True, capture_output=True)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    token_file = folder / "token"
    with serving(folder / "workspace", token_file=str(token_file), hosts=[HOST]) as service:
        upstream = service.discovery()["port"]
        (server,) = blocks("behind-nginx", "nginx")
        for said, meant in (
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("/etc/ssl/agentreg", str(folder)),
            ("127.0.0.1:7847", f"127.0.0.1:{upstream}"),
        ):
            assert said in server
            server = server.replace(said, meant)
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{paths}{server}}}\n"
        )
        nginx = [str(shutil.which("nginx", path=PATH)), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
        subprocess.run([*nginx, "-t"], check=True, capture_output=True)
        with subprocess.Popen(nginx, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            proxy = Proxy(service, token_file.read_text().strip(), port, folder / "fullchain.pem")
            try:
                for _ in range(1000):
                    try:
                        proxy.connect().close()
                        break
                    except ConnectionRefusedError:
                        assert process.poll() is None, (folder / "error.log").read_text()
                yield proxy
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxied(tmp_path_factory.mktemp("proxy")) as running:
        yield running


with_nginx = needs("nginx", "openssl")


@with_nginx
def test_behind_nginx_callers_show_the_token_and_use_the_name_that_is_allowed(proxy: Proxy) -> None:
    body = json.dumps({"name": "scout"}).encode()
    registered = proxy.ask("POST", "/register", {**proxy.authorization, "Content-Type": "application/json"}, body)
    listed = proxy.ask("GET", "/agents", {**proxy.authorization, "Origin": f"https://{HOST}:{proxy.port}"})

    assert registered[0] == listed[0] == 200
    assert json.loads(listed[1])["agents"][0]["name"] == "scout"
    assert proxy.ask("GET", "/health")[0] == 200
    assert proxy.ask("GET", "/agents")[0] == 401
    assert proxy.ask("GET", "/agents", proxy.authorization, host="evil.example")[0] == 403
    assert proxy.ask("GET", "/agents", {**proxy.authorization, "Origin": "https://evil.example"})[0] == 403


@with_nginx
def test_behind_nginx_a_body_that_is_too_long_is_refused(proxy: Proxy) -> None:
    body = b'{"name": "' + b"x" * 1_100_000 + b'"}'

    assert proxy.ask("POST", "/register", proxy.authorization, body)[0] == 413


@with_nginx
def test_behind_nginx_a_websocket_hears_of_a_registration(proxy: Proxy) -> None:
    websockets = pytest.importorskip("websockets.sync.client")
    with websockets.connect(
        f"wss://{HOST}:{proxy.port}/registry/events",
        sock=_plain(proxy),
        ssl=proxy.tls,
        additional_headers=proxy.authorization,
    ) as socket_:
        assert json.loads(socket_.recv(20))["type"] == "listing"
        _register(proxy, "over-websocket")

        assert "over-websocket" in socket_.recv(20)


def _plain(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 20)


def _register(proxy: Proxy, name: str) -> None:
    headers = {**proxy.authorization, "Content-Type": "application/json"}
    assert proxy.ask("POST", "/register", headers, json.dumps({"name": name}).encode())[0] == 200


@with_nginx
def test_behind_nginx_server_sent_events_come_as_they_happen(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        head = (
            f"GET /registry/events HTTP/1.1\r\nHost: {HOST}:{proxy.port}\r\nAuthorization: Bearer {proxy.token}\r\n\r\n"
        )
        connection.sendall(head.encode())
        heard = b""
        while b"event: listing" not in heard:
            heard += connection.recv(65_536)
        _register(proxy, "over-events")
        while b"over-events" not in heard:
            heard += connection.recv(65_536)

    assert b"text/event-stream" in heard


# -- systemd ----------------------------------------------------------------------


@needs("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    (unit,) = blocks("systemd", "ini")
    program = tmp_path / "agentreg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "agentreg.service"
    file.write_text(unit.replace("%h/.local/bin/agentreg", str(program)))

    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "SYSTEMD_LOG_LEVEL": "warning"}
    argv = ["systemd-analyze", "--user", "--man=no", "verify", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)

    assert [line for line in done.stderr.splitlines() if "agentreg.service" in line] == []
    assert done.returncode == 0


# -- backups ----------------------------------------------------------------------


def backed_up(service: Service, number: int) -> Path:
    """A backup, made as one of the page's first two blocks says."""
    command = blocks("backup", "sh")[number]
    environment = {**os.environ, "AGENTREG_WORKSPACE": str(service.workspace)}
    subprocess.run(["sh", "-ec", command], cwd=service.workspace, env=environment, check=True, capture_output=True)
    return service.workspace / "backup.db"


def names(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM agents ORDER BY name")]


@needs("sqlite3", "sh")
@pytest.mark.parametrize("number", [0, 1])
def test_a_backup_of_a_running_service_is_restored_as_the_page_says(tmp_path: Path, number: int) -> None:
    workspace = tmp_path / "work space"
    with serving(workspace) as service:
        _, scout = service.post("/register", name="scout")
        backup = backed_up(service, number)
        service.post("/register", name="late")  # it goes on meanwhile
        assert names(backup) == ["scout"]

        *_, restore = blocks("backup", "sh")
        script = restore.replace("python3 -c", f"'{sys.executable}' -c").replace("agentreg serve\n", "")
        environment = {**os.environ, "AGENTREG_WORKSPACE": str(workspace)}
        subprocess.run(["sh", "-ec", script], cwd=workspace, env=environment, check=True, timeout=60)
        assert service.process.wait(20) == 0

    with serving(workspace) as service:
        assert [agent["name"] for agent in service.agents().values()] == ["scout"]
        assert service.post("/heartbeat", id=scout["id"]) == (200, {"ok": True, "status": "active"})
