"""`agentreg demo --serve`: a real service with agents of five kinds, of which nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agentreg
from agentreg.cli import main

pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
MAIN = "import sys; from agentreg.cli import main; sys.exit(main())"
ENOUGH = 60.0  # seconds for a busy machine
KINDS = {"live object", "pool member", "wrapped command", "HTTP"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for number in range(4):
        (folder / f"module_{number}.py").write_text(f"def f{number}(a):\n    return a\n")
    return folder


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the command keeps what it removes again."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def demo(temporary: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(agentreg.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "TMPDIR": str(temporary),
        "DISPLAY": ":99",  # nobody looks at a pipe: no browser is opened
        "BROWSER": str(temporary / "no-such-browser"),
    }
    argv = [sys.executable, "-c", MAIN, "demo", "--serve", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=ENOUGH)
            process.kill()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def asked(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return dict(json.load(answer))


NAMES = {"scout", "reporter", "analyst_0", "messenger", "line-counter", "page-counter"} | {
    f"runtime-{number}-{agent}" for number in (1, 2, 3) for agent in ("analyst-1", "analyst-2", "reviewer")
}


def until_all_have_been_there(url: str) -> dict[str, dict[str, Any]]:
    """Every agent that comes, by name, once all that are expected have come and some have done something."""
    seen: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + ENOUGH
    while not (seen.keys() >= NAMES and any(agent["performance"].get("total_tasks") for agent in seen.values())):
        seen |= {agent["name"]: agent for agent in asked(f"{url}registry/agents?limit=500")["agents"]}
        assert time.monotonic() < deadline, sorted(NAMES - seen.keys())
        time.sleep(0.05)
    return seen


def processes_below(pid: int) -> set[int]:
    """The processes that it started, and those that these did."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, waiting = set(), [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no process table to read")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_agents_of_five_kinds_are_there_and_a_signal_leaves_nothing_behind(
    temporary: Path, project: Path, number: int
) -> None:
    with demo(temporary, project, "--for", 120) as process:
        url = address(process)
        agents = until_all_have_been_there(url)
        started = processes_below(process.pid)
        process.send_signal(number)
        process.send_signal(number)  # the impatient press twice
        out, err = process.communicate(timeout=ENOUGH)

    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/")
    assert {agent["metadata"].get("kind") for agent in agents.values()} == {*KINDS, None}
    assert (process.returncode, err) == (0, "")
    assert "wrapped command" in out.splitlines()[-3]
    assert len(started) >= 1 + 3 + 4
    assert [pid for pid in started if is_running(pid)] == []
    assert list(temporary.iterdir()) == []
    with pytest.raises(OSError, match="refused"):
        asked(f"{url}health")


def test_it_ends_by_itself(temporary: Path, project: Path) -> None:
    with demo(temporary, project, "--for", 2) as process:
        out, err = process.communicate(timeout=ENOUGH)

    assert (process.returncode, err) == (0, "")
    assert out.startswith("http://127.0.0.1:")
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no process table to read")
def test_who_kills_the_demo_leaves_no_process_behind(temporary: Path, project: Path) -> None:
    with demo(temporary, project, "--for", 120) as process:
        url = address(process)
        until_all_have_been_there(url)
        started = processes_below(process.pid)
        process.kill()
        process.wait()

        deadline = time.monotonic() + ENOUGH
        while running := [pid for pid in started if is_running(pid)]:
            assert time.monotonic() < deadline, running
            time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no process table to read")
def test_a_service_that_ends_in_the_middle_ends_the_demo_with_the_reason(temporary: Path, project: Path) -> None:
    with demo(temporary, project, "--for", 120) as process:
        url = address(process)
        pid = json.loads(next(temporary.glob("*/workspace/state/agent-registry.json")).read_text())["pid"]
        assert asked(f"{url}health")["ok"]
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=ENOUGH)

    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("agentreg demo: error: ")
    assert "Traceback" not in err
    assert list(temporary.iterdir()) == []


def test_a_service_that_can_not_be_started_is_an_error(
    temporary: Path, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agentreg.demo.serving import stage

    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(stage, "serving", lambda *_: [sys.executable, "-c", "import sys; sys.exit('no room')"])
    monkeypatch.setattr("tempfile.tempdir", None)

    assert main(["demo", "--serve", "--for", "1", str(project)]) == 1

    assert "error: service (process " in (told := capsys.readouterr().err)
    assert told.endswith("has ended: no room\n")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--serve", "--json"],
        ["--serve", "--processes", "3"],
        ["--serve", "--for", "0"],
        ["--serve", "--for", "nan"],
        ["--for", "3"],
        ["--no-open"],
        ["--serve", "/no/such/folder"],
    ],
)
def test_bad_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *arguments]) == 2
    assert "error: " in capsys.readouterr().err
