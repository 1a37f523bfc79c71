"""Finding the service: what is believed and what isn't."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.discovery import find
from agentreg.cli.client.errors import NoServiceError, RefusedError
from agentreg.cli.client.http import Service, ask
from tests.cli.client.small_service import SmallService
from tests.watchdog import run_python


def test_the_service_that_wrote_the_file_is_found(service: SmallService) -> None:
    found = find(service.workspace)

    assert (found.url, found.token, found.instance) == (service.url, None, service.instance)


def test_a_slash_at_the_end_of_the_url_does_no_harm(service: SmallService) -> None:
    service.announce(url=f"{service.url}/")

    assert find(service.workspace).url == service.url


def test_a_file_that_a_service_left_behind_is_not_believed(workspace: Path) -> None:
    with SmallService(workspace) as service:
        pass

    with pytest.raises(NoServiceError, match="does not answer"):
        find(workspace)

    assert service.asked == []


def test_another_service_on_the_port_is_not_believed_nor_shown_the_token(workspace: Path, tmp_path: Path) -> None:
    with SmallService(tmp_path / "another") as stranger:
        with SmallService(workspace, token="s3cret") as service:
            service.announce(url=stranger.url)

        with pytest.raises(NoServiceError, match="another service answers"):
            find(workspace)

    assert stranger.shown == [("/health", None)]


@contextmanager
def speaker(said: bytes, closes: bool = True) -> Iterator[str]:
    """Somebody on a port who says always the same; its address."""
    held: list[socket.socket] = []

    def talk() -> None:
        with suppress(OSError):  # the end
            while True:
                connection = listener.accept()[0]
                held.append(connection)
                connection.sendall(said)
                if closes:
                    connection.recv(65_536)
                    connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_stranger_on_the_port_is_no_service(said: bytes, service: SmallService) -> None:
    with speaker(said) as url:
        service.announce(url=url)

        with pytest.raises(NoServiceError):
            find(service.workspace)


def test_a_stranger_who_never_finishes_is_given_up(service: SmallService) -> None:
    with speaker(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", closes=False) as url:
        service.announce(url=url)

        with pytest.raises(NoServiceError, match=r"not through after 0\.2 s|it says nothing"):
            find(service.workspace, timeout=0.2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"url": "http://127.0.0.1:1"}',
        '{"url": 7, "instance_id": "a"}',
        "\x00" * 100,
        "[" * 9999,
    ],
)
def test_a_file_that_is_none_of_a_service_is_not_believed(text: str, workspace: Path) -> None:
    (workspace / "state").mkdir(parents=True)
    (workspace / "state" / "agent-registry.json").write_text(text)

    with pytest.raises(NoServiceError, match="is no discovery file"):
        find(workspace)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:none", "http://[::1", "nonsense"])
def test_an_address_that_is_none_is_told(url: str, service: SmallService) -> None:
    service.announce(url=url)

    with pytest.raises(NoServiceError, match="no address of a service"):
        find(service.workspace)


def test_a_token_that_is_not_there_is_told(service: SmallService) -> None:
    service.announce(token_file="/nowhere/token")

    with pytest.raises(NoServiceError, match="token can't be read from /nowhere/token"):
        find(service.workspace)


@pytest.mark.parametrize("content", [b"", b"a\nb", "t\u00f6ken".encode()])
def test_a_file_without_a_token_is_told(content: bytes, service: SmallService) -> None:
    file = service.workspace / "token"
    file.write_bytes(content)
    service.announce(token_file=str(file))

    with pytest.raises(NoServiceError, match="holds no token"):
        find(service.workspace)


def test_no_proxy_comes_between(service: SmallService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    assert find(service.workspace).url == service.url


def test_a_refusal_carries_its_status(service: SmallService) -> None:
    with pytest.raises(RefusedError) as refused:
        ask(Service(service.url), "GET", "/nothing")

    assert refused.value.status == 404


def test_a_caller_follows_a_service_that_has_moved(workspace: Path) -> None:
    caller = Caller(workspace)
    with SmallService(workspace):
        caller.ask("GET", "/agents")
    with SmallService(workspace) as second:
        answer = caller.ask("GET", "/agents")

    assert answer.document["count"] == 0
    assert second.times("/agents") == 1


# -- what it costs ------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["register"], ["heartbeat", "--id", "a"], ["deregister", "--id", "a"], ["list"], ["list", "--json"], ["status"]],
)
def test_the_verbs_import_the_standard_library_and_the_core_only(arguments: list[str], service: SmallService) -> None:
    service.answer("POST", "/register", {"id": "a"}, None)
    outcome = run_python(
        "import sys\n"
        "before = set(sys.modules)\n"
        "from agentreg.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "print('\\nloaded:', *sorted(loaded))\n"
        "print('parts:', *sorted(name for name in sys.modules if name.startswith('agentreg.extensions.')))\n"
    )

    assert outcome.stderr == ""
    assert outcome.stdout.splitlines()[-2:] == ["loaded: agentreg typing_extensions", "parts:"]


# -- starting it --------------------------------------------------------------


def test_a_service_is_started_when_it_is_asked_for(startable: Path, workspace: Path) -> None:
    service = Caller(workspace).find(autostart=True)

    (pid,) = startable.read_text().split()
    assert find(workspace) == service
    assert os.getsid(int(pid)) == int(pid)
    assert (workspace / "logs" / "agent-registry.log").read_text() == "serving\n"


def test_none_is_started_beside_one_that_runs(startable: Path, service: SmallService) -> None:
    found = Caller(service.workspace).find(autostart=True)

    assert found.url == service.url
    assert not startable.exists()


def test_fifty_that_start_it_at_once_start_exactly_one(startable: Path, workspace: Path) -> None:
    outcome = run_python(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from agentreg.cli.client.calling import Caller\n"
        "reader, writer = os.pipe()\n"
        "children = []\n"
        "for _ in range(50):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os.close(writer)\n"
        "        os.read(reader, 1)\n"  # all at once: when the last one has the other end no more
        f"        Caller(Path({str(workspace)!r}), 20.0).find(autostart=True)\n"
        "        os._exit(0)\n"
        "    children.append(child)\n"
        "os.close(writer)\n"
        "print([os.waitpid(child, 0)[1] for child in children].count(0))\n"
    )

    assert (outcome.stdout, outcome.stderr) == ("50\n", "")
    assert len(startable.read_text().split()) == 1


def test_a_service_that_ends_at_once_is_told_with_its_last_words(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTREG_SERVE_COMMAND", "sh -c 'echo the port is taken; exit 3'")

    with pytest.raises(
        NoServiceError, match=r"ended at once \(3\): the port is taken; its log is .*agent-registry.log"
    ):
        Caller(workspace).find(autostart=True)


def test_a_command_that_isn_t_there_is_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTREG_SERVE_COMMAND", "no-such-command")

    with pytest.raises(NoServiceError, match=r"can't be started.*no-such-command"):
        Caller(workspace).find(autostart=True)


def test_a_command_that_starts_the_service_comes_back_and_holds_no_stream(startable: Path, workspace: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "agentreg", "register", "--autostart"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert find(workspace)
