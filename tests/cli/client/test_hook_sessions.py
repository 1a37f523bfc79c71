"""`agentreg hook session-start` and `session-end`: what Claude Code calls."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.processes import Process
from agentreg.cli.client.sessions import Sessions
from tests.cli.client.small_service import SmallService

PATIENCE = 60.0
HOOK = [sys.executable, "-W", "error", "-m", "agentreg", "hook"]
BEGUN = {
    "session_id": "s-1",
    "transcript_path": "/t.jsonl",
    "cwd": "/some/where",
    "hook_event_name": "SessionStart",
    "source": "startup",
}
# Runs each line that it reads as a shell command, and answers with a line: a coding agent, as far as hooks go.
AGENT = "import subprocess, sys\nfor line in sys.stdin:\n    print(subprocess.call(line, shell=True), flush=True)\n"


class Agent:
    """A program that runs hooks by a shell, as coding agents do."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, verb: str, told: dict[str, Any]) -> None:
        """Call a hook, which has to end well and to say nothing."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        command = " ".join(f"'{word}'" for word in [*HOOK, verb])
        self.process.stdin.write(f"echo '{json.dumps(told)}' | {command}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "0\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def agents(workspace: Path) -> Iterator[Callable[[], Agent]]:
    started: list[Agent] = []

    def start() -> Agent:
        started.append(Agent())
        return started[-1]

    yield start
    for agent in started:
        agent.end()
    for note in notes(workspace):
        with suppress(ProcessLookupError, KeyError):
            os.kill(note["watcher"], signal.SIGKILL)


def notes(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in (workspace / "state" / "sessions").glob("*.json")]


def is_entered(service: SmallService, session: str) -> bool:
    return session in service.rows


def is_stopped(service: SmallService, session: str) -> bool:
    return bool(service.rows[session]["status"] == "stopped")


def test_a_session_is_registered_under_its_id_with_the_agent_s_process(
    service: SmallService, agents: Callable[[], Agent]
) -> None:
    agent = agents()
    agent.run("session-start", BEGUN)

    service.wait_until(lambda: is_entered(service, "s-1"))

    row = service.rows["s-1"]
    assert (row["name"], row["pid"], row["cwd"]) == ("claude-code", agent.process.pid, "/some/where")
    assert row["meta"] == {"session_id": "s-1", "source": "startup", "transcript_path": "/t.jsonl"}


def test_a_session_ends_with_the_agent(service: SmallService, agents: Callable[[], Agent]) -> None:
    agent = agents()
    agent.run("session-start", BEGUN)
    service.wait_until(lambda: is_entered(service, "s-1"))

    agent.end()

    service.wait_until(lambda: is_stopped(service, "s-1"))


def test_a_session_that_is_announced_again_is_watched_once(
    service: SmallService, agents: Callable[[], Agent], workspace: Path
) -> None:
    agent = agents()
    agent.run("session-start", BEGUN)
    before = notes(workspace)

    agent.run("session-start", {**BEGUN, "source": "compact"})

    assert notes(workspace) == before


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_the_end_of_a_session_deregisters_it_and_ends_its_watcher(
    service: SmallService, agents: Callable[[], Agent], workspace: Path
) -> None:
    agent = agents()
    agent.run("session-start", BEGUN)
    service.wait_until(lambda: is_entered(service, "s-1"))
    (note,) = notes(workspace)
    watcher = os.pidfd_open(note["watcher"])

    agent.run("session-end", {"session_id": "s-1", "hook_event_name": "SessionEnd", "reason": "clear"})

    assert is_stopped(service, "s-1")
    assert notes(workspace) == []
    assert select.select([watcher], [], [], PATIENCE)[0] == [watcher]
    os.close(watcher)
    assert is_stopped(service, "s-1")


def test_one_agent_has_one_session_after_another(service: SmallService, agents: Callable[[], Agent]) -> None:
    agent = agents()
    agent.run("session-start", BEGUN)
    service.wait_until(lambda: is_entered(service, "s-1"))
    agent.run("session-end", {"session_id": "s-1"})
    agent.run("session-start", {**BEGUN, "session_id": "s-2", "source": "clear"})
    service.wait_until(lambda: is_entered(service, "s-2"))

    assert is_stopped(service, "s-1")
    assert service.rows["s-2"]["status"] == "active"


def test_a_session_that_goes_on_in_another_process_is_that_one_s(
    service: SmallService, agents: Callable[[], Agent]
) -> None:
    first, second = agents(), agents()
    first.run("session-start", BEGUN)
    service.wait_until(lambda: is_entered(service, "s-1"))

    second.run("session-start", {**BEGUN, "source": "resume"})
    service.wait_until(lambda: service.times("/register") == 2 and service.times("/deregister") == 1)

    assert service.rows["s-1"]["pid"] == second.process.pid
    assert service.rows["s-1"]["status"] == "active"


def test_the_service_is_started_for_a_session(startable: Path, agents: Callable[[], Agent], workspace: Path) -> None:
    agents().run("session-start", BEGUN)

    Caller(workspace).find(autostart=True)  # waits for whoever starts it
    (note,) = notes(workspace)
    assert not Process(note["watcher"], note["watcher_start"]).is_over()
    assert len(startable.read_text().split()) == 1


@pytest.mark.parametrize("verb", ["session-start", "session-end"])
@pytest.mark.parametrize(
    "told", ["", "nonsense", "[]", "{}", '{"session_id": 7}', '{"session_id": ""}', "\x00\xff", "[" * 100_000]
)
def test_whatever_a_hook_is_told_it_is_silent_and_ends_well(verb: str, told: str, service: SmallService) -> None:
    done = subprocess.run(
        [*HOOK, verb], input=told.encode("latin-1"), capture_output=True, timeout=PATIENCE, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert service.rows == {}


@pytest.mark.parametrize("verb", ["session-start", "session-end"])
def test_a_hook_that_is_called_wrongly_is_silent_too(verb: str) -> None:
    done = subprocess.run(
        [*HOOK, verb, "--loud", "now"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("verb", ["session-start", "session-end"])
def test_a_workspace_that_can_t_be_used_is_no_trouble(verb: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = subprocess.run(
        [*HOOK, verb, f"--workspace={tmp_path / 'file'}"],
        input=json.dumps(BEGUN).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_hook_does_not_wait_for_an_input_that_is_never_closed(service: SmallService) -> None:
    with subprocess.Popen([*HOOK, "session-end"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"session_id": "s-1"}).encode())
        process.stdin.flush()

        assert process.wait(PATIENCE) == 0

    assert service.times("/deregister") == 1


# -- which sessions are watched -----------------------------------------------


def test_a_session_whose_watcher_has_gone_is_watched_again(workspace: Path) -> None:
    sessions, agent = Sessions(workspace), Process.of(os.getpid())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    started: list[Path] = []

    def watch(file: Path, pid: int) -> int:
        started.append(file)
        return pid

    sessions.begin("a", agent, lambda file: watch(file, gone.pid))
    sessions.begin("a", agent, lambda file: watch(file, os.getpid()))
    sessions.begin("a", agent, lambda file: watch(file, os.getpid()))

    assert len(started) == 2


def test_what_others_left_in_the_folder_of_sessions_is_swept(workspace: Path) -> None:
    sessions, agent = Sessions(workspace), Process.of(os.getpid())
    folder = workspace / "state" / "sessions"
    folder.mkdir(parents=True)
    for name, text in {"a": "", "b": "[]", "c": '{"watcher": "x", "watcher_start": 1}', "d": "{"}.items():
        (folder / f"{name}.json").write_text(text)

    sessions.begin("s", agent, lambda file: os.getpid())

    (note,) = notes(workspace)
    assert note["session"] == "s"


def test_the_end_of_a_session_that_nobody_watches_is_no_trouble(workspace: Path) -> None:
    Sessions(workspace).end("nobody")

    assert notes(workspace) == []
