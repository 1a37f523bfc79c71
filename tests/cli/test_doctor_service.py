"""`agentreg doctor service`: why is the local service not there, or not as it should be?"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentreg import __version__
from agentreg.cli.doctor import database, running
from agentreg.cli.doctor.noting import Notes
from tests.cli.client.small_service import Refused, SmallService
from tests.cli.conftest import Desk, Output

Findings = list[tuple[str, str, str]]
POSIX = pytest.mark.skipif(os.name != "posix", reason="files have no modes here")


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port that nobody has, looked at in place of the usual one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    monkeypatch.setattr(running, "PORT", port)
    return port


@pytest.fixture
def service(desk: Desk) -> Iterator[SmallService]:
    """A service that answers, with a discovery file and a database as they should be."""
    with SmallService(desk.workspace) as small:
        announce(small)
        yield small


def announce(small: SmallService, **changes: object) -> None:
    small.announce(**changes)
    small.file.chmod(0o600)


def doctor(desk: Desk, *arguments: object) -> Output:
    return desk.run("doctor", "service", "--project", desk.project, "--home", desk.home, *arguments)


def findings(desk: Desk, *arguments: object) -> Findings:
    told = doctor(desk, "--json", *arguments).document["service"]["findings"]
    return [(each["level"], each["what"], each["fix"]) for each in told]


def finding(desk: Desk, part: str, *arguments: object) -> tuple[str, str, str]:
    """The one finding that has *part* in it."""
    told = findings(desk, *arguments)
    (found,) = [each for each in told if part in each[1]] or [("none", str(told), "")]
    return found


def state(desk: Desk, what: str) -> str:
    rows = doctor(desk, "--json").document["service"]["looked_at"]
    (found,) = [row["state"] for row in rows if row["what"] == what]
    return str(found)


def write(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def over(desk: Desk) -> int:
    """The pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def need_the_service() -> None:
    for package in ("msgspec", "starlette", "uvicorn", "platformdirs", "prometheus_client", "httpx"):
        pytest.importorskip(package)


# -- all of it ----------------------------------------------------------------------


def test_with_a_real_service_and_hooks_nothing_is_wrong(desk: Desk) -> None:
    need_the_service()
    desk.run("hook", "install", "--settings", desk.home / ".claude" / "settings.json")
    command = [sys.executable, "-m", "agentreg", "serve", "--port", "0", "--workspace", str(desk.workspace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            done = doctor(desk)
            told = findings(desk)
        finally:
            process.terminate()
            process.wait(20)

    assert (done.code, done.err) == (0, "")
    assert [each for each in told if each[0] != "note"] == []
    assert done.out.splitlines()[-1] == "nothing is wrong"
    assert f"{url}  " in done.out
    assert f"answers (version {__version__}, process {process.pid})" in done.out
    assert "sound (" in done.out
    assert "SessionStart, SessionEnd" in done.out


def test_without_an_area_the_service_is_looked_at_with_the_definitions(desk: Desk) -> None:
    done = desk.run("doctor", "--project", desk.project, "--home", desk.home, "--json")

    assert [*done.document] == ["definitions", "service"]


def test_a_name_is_asked_of_the_definitions_alone(desk: Desk) -> None:
    desk.agent("scout")
    places = ("--project", desk.project, "--home", desk.home)

    assert [*desk.run("doctor", *places, "--name", "scout", "--json").document] == ["definitions"]
    refused = doctor(desk, "--name", "scout")
    assert (refused.code, refused.out) == (2, "")
    assert "--name: asks for a definition" in refused.err


def test_nothing_is_made_by_looking(desk: Desk) -> None:
    doctor(desk)

    assert not desk.workspace.exists()
    assert [*desk.home.iterdir()] == []


# -- the workspace ------------------------------------------------------------------


def test_where_the_workspace_was_chosen_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state(desk, "workspace") == "not there yet (from AGENTREG_WORKSPACE)"
    desk.workspace.mkdir()
    (row, *_) = doctor(desk, "--workspace", desk.workspace, "--json").document["service"]["looked_at"]
    assert row == {"what": "workspace", "where": str(desk.workspace), "state": "writable (from --workspace)"}
    monkeypatch.delenv("AGENTREG_WORKSPACE")
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.folder))
    monkeypatch.setenv("LOCALAPPDATA", str(desk.folder))
    monkeypatch.setenv("HOME", str(desk.folder))
    assert state(desk, "workspace") == "not there yet (from default)"


@pytest.mark.parametrize("path", ["workspace", "workspace/data", "workspace/state"])
def test_a_file_where_a_folder_is_expected_is_an_error(path: str, desk: Desk) -> None:
    file = write(desk.folder / path, "")

    level, what, fix = finding(desk, "can't be used")

    assert level == "error"
    assert what.endswith(f"{file} is no folder")
    assert "--workspace or AGENTREG_WORKSPACE" in fix
    assert doctor(desk).code == 1


@pytest.mark.skipif(os.name != "posix" or not os.geteuid(), reason="nothing keeps this user from writing")
def test_a_workspace_that_may_not_be_written_to_is_an_error(desk: Desk) -> None:
    desk.workspace.mkdir(mode=0o500)

    assert finding(desk, "may not be written to")[0] == "error"


# -- the discovery file and the service ---------------------------------------------


def test_without_a_service_it_says_how_to_start_one_and_that_is_no_error(desk: Desk) -> None:
    need_the_service()
    file = desk.workspace / "state" / "agent-registry.json"

    assert finding(desk, "no service runs") == (
        "warning",
        f"no service runs in this workspace: there is no {file}",
        "agentreg serve",
    )
    assert doctor(desk).code == 0


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"url": "http://127.0.0.1:1"}', '{"url": 1, "instance_id": "a"}', b"\xff"]
)
def test_a_discovery_file_that_makes_no_sense_is_an_error(text: str | bytes, desk: Desk) -> None:
    file = write(desk.workspace / "state" / "agent-registry.json", text)

    level, what, fix = finding(desk, "is no discovery file")

    assert (level, fix) == ("error", "delete it, then: agentreg serve")
    assert what.startswith(str(file))


@POSIX
def test_a_discovery_file_that_others_may_read_is_a_warning(desk: Desk, service: SmallService) -> None:
    service.file.chmod(0o644)

    assert finding(desk, "has the mode 0644") == (
        "warning",
        f"{service.file} has the mode 0644; expected 0600",
        f"chmod 600 {service.file}",
    )
    assert stat.S_IMODE(service.file.stat().st_mode) == 0o644


def test_a_file_of_a_process_that_is_over_was_left_behind(desk: Desk, service: SmallService, free_port: int) -> None:
    pid = over(desk)
    announce(service, pid=pid, url=f"http://127.0.0.1:{free_port}")

    level, what, fix = finding(desk, "was left behind")

    assert (level, fix) == ("warning", "agentreg serve (writes the file anew)")
    assert f"process {pid}, which wrote it, is over" in what


@pytest.mark.skipif(sys.platform != "linux", reason="needs the time at which a process has started")
def test_a_pid_that_is_another_process_s_by_now_fools_nobody(desk: Desk, service: SmallService, free_port: int) -> None:
    announce(service, process_start=1, url=f"http://127.0.0.1:{free_port}")

    assert finding(desk, "was left behind")[0] == "warning"


def test_a_process_that_lives_and_does_not_answer_is_an_error(
    desk: Desk, service: SmallService, free_port: int
) -> None:
    announce(service, url=f"http://127.0.0.1:{free_port}")

    level, what, _ = finding(desk, f"process {os.getpid()} runs, but ")

    assert level == "error"
    assert "does not answer" in what


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "http://127.0.0.1:port", "nowhere"])
def test_an_address_that_is_none_is_told(url: str, desk: Desk, service: SmallService) -> None:
    announce(service, url=url)

    assert "is no address of a service" in finding(desk, url)[1]


def test_a_stranger_at_the_address_is_told_from_the_service(desk: Desk, service: SmallService) -> None:
    announce(service, instance_id="somebody-else")

    level, what, fix = finding(desk, "a stranger answers")

    assert (level, fix) == ("warning", "agentreg serve (writes the file anew)")
    assert service.url in what


def test_another_version_than_this_one_is_a_warning(desk: Desk, service: SmallService) -> None:
    level, what, fix = finding(desk, "is version 1,")

    assert level == "warning"
    assert what.endswith(f"this agentreg is {__version__}")
    assert fix.endswith("agentreg serve")


def test_a_service_in_trouble_is_an_error_with_its_reason(desk: Desk, service: SmallService) -> None:
    def refuse(path: str) -> None:
        raise Refused(503, "the disk is full")

    service.refusing = refuse

    level, what, _ = finding(desk, "can't work")

    assert level == "error"
    assert "the disk is full" in what
    assert state(desk, "service") == "in trouble (503)"


def test_a_program_that_knows_no_health_is_a_stranger(desk: Desk, service: SmallService) -> None:
    def refuse(path: str) -> None:
        raise Refused(404, "there is no such page")

    service.refusing = refuse

    assert finding(desk, "a stranger answers")[0] == "warning"


# -- the token ----------------------------------------------------------------------


@pytest.mark.parametrize(("text", "said"), [(None, "is missing"), ("", "holds no token"), (b"\xff", "holds no token")])
def test_a_token_file_without_a_token_is_an_error(
    text: str | bytes | None, said: str, desk: Desk, service: SmallService
) -> None:
    file = desk.folder / "token"
    if text is not None:
        write(file, text)
    announce(service, token_file=str(file))

    level, _, fix = finding(desk, f"token file {file} {said}")

    assert level == "error"
    assert f"--token-file {file}" in fix


@POSIX
def test_a_token_that_others_may_read_is_an_error_and_is_never_printed(desk: Desk, service: SmallService) -> None:
    file = write(desk.folder / "token", "secret-word\n")
    announce(service, token_file=str(file))
    file.chmod(0o640)

    assert finding(desk, "may be read by others (mode 0640)")[::2] == ("error", f"chmod 600 {file}")
    assert "secret-word" not in doctor(desk).out
    file.chmod(0o600)
    assert [each for each in findings(desk) if "token file" in each[1]] == []
    assert {shown for _, shown in service.shown} == {None}


# -- the port -----------------------------------------------------------------------


def port_state(url: str | None, port: int) -> tuple[str, Findings]:
    notes = Notes()
    running.look_at_port(url, notes, port)
    examination = notes.examination()
    assert examination.looked_at is not None
    return str(examination.looked_at.rows[0][2]), [(each.level, each.what, each.fix) for each in examination.findings]


def test_a_stranger_on_the_usual_port_is_noted(desk: Desk) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(20)
        port = server.getsockname()[1]

        def hang_up() -> None:
            for _ in range(2):  # who looks connects twice: to see whether anybody is there, and to ask who
                server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        said, ((level, what, _),) = port_state(None, port)
        thread.join()

    assert (said, level) == ("taken", "note")
    assert "a program that is no agentreg service" in what


def test_another_workspace_s_service_on_the_usual_port_is_noted(desk: Desk, service: SmallService) -> None:
    said, ((level, what, _),) = port_state(None, service.port)

    assert (said, level) == ("taken", "note")
    assert "the service of another workspace" in what


def test_the_service_s_own_port_and_a_free_one_are_fine(desk: Desk, service: SmallService, free_port: int) -> None:
    assert port_state(service.url, service.port) == ("this service's", [])
    assert port_state(None, free_port) == ("free", [])


# -- the database -------------------------------------------------------------------


def database_file(desk: Desk, *statements: str) -> Path:
    file = write(desk.workspace / "data" / "agent-registry.db", b"")
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return file


OURS = "PRAGMA application_id = 0x41475247"


def test_a_database_that_is_missing_while_the_service_runs_is_a_warning(desk: Desk, service: SmallService) -> None:
    level, what, fix = finding(desk, "the service runs, but there is no")

    assert level == "warning"
    assert what.split("there is no ")[1].startswith(str(desk.workspace / "data" / "agent-registry.db"))
    assert "--backend" in fix


def test_a_file_that_is_no_database_is_an_error_and_stays_as_it_is(desk: Desk) -> None:
    file = write(desk.workspace / "data" / "agent-registry.db", "this is a letter, no database at all. " * 100)
    before = file.read_bytes()

    assert finding(desk, "not a database: it is damaged")[0] == "error"
    assert file.read_bytes() == before


def test_a_folder_in_the_place_of_the_database_is_an_error(desk: Desk) -> None:
    (desk.workspace / "data" / "agent-registry.db").mkdir(parents=True)

    assert finding(desk, "is no file")[0] == "error"


def test_what_a_killed_writer_left_half_done_is_left_to_the_service(desk: Desk) -> None:
    file = database_file(desk, OURS, "CREATE TABLE t (text)")
    program = f"""
import os, sqlite3
connection = sqlite3.connect({str(file)!r}, isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
for number in range(999):
    connection.execute("INSERT INTO t VALUES (hex(zeroblob(999)))")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    journal = file.with_name(f"{file.name}-journal")
    before = journal.read_bytes()

    level, _, fix = finding(desk, "can't be read")

    assert (level, fix) == ("warning", "agentreg serve, then look again")
    assert journal.read_bytes() == before


def test_some_other_program_s_database_is_an_error(desk: Desk) -> None:
    file = database_file(desk, "PRAGMA application_id = 7", "CREATE TABLE notes (text)")

    level, what, _ = finding(desk, "some other program's database")

    assert level == "error"
    assert what == f"{file} is some other program's database (application_id 0x7, expected 0x41475247)"


def test_the_original_service_s_database_is_told_as_not_taken_over(desk: Desk) -> None:
    database_file(
        desk,
        "CREATE TABLE agents (id, name, cwd, pid, host, started_at, last_heartbeat, status, meta)",
    )

    level, _, fix = finding(desk, "the original service's database")

    assert level == "warning"
    assert fix.startswith("agentreg serve takes its agents over")


def test_a_database_with_a_broken_page_is_an_error(desk: Desk) -> None:
    numbers = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
    file = database_file(desk, OURS, "CREATE TABLE t (text)", f"INSERT INTO t {numbers} SELECT hex(i) FROM n")
    assert state(desk, "database").startswith("sound")
    content = bytearray(file.read_bytes())
    content[8192:12288] = b"\xab" * 4096
    file.write_bytes(content)

    assert finding(desk, " damaged")[0] == "error"
    assert state(desk, "database").startswith("damaged")


def test_rows_that_break_the_rules_of_their_table_are_an_error(desk: Desk) -> None:
    file = database_file(
        desk,
        OURS,
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES (NULL)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (x NOT NULL)'",
    )

    level, what, _ = finding(desk, "is damaged: ")

    assert (level, what) == ("error", f"{file} is damaged: NULL value in t.x")


def test_a_large_database_is_not_checked_and_that_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHECKED", 100)
    database_file(desk, OURS, "CREATE TABLE t (text)")

    assert finding(desk, "was not checked page by page")[0] == "note"


def test_files_that_were_set_aside_are_listed_with_their_time(desk: Desk) -> None:
    names = ("damaged-20260102T030405Z", "damaged-20260102T030405Z-2", "damaged-20260102T030405Z-wal", "original")
    for name in names:
        write(desk.workspace / "data" / f"agent-registry.db.{name}", "")

    told = [each for each in findings(desk) if "set aside" in each[1]]

    assert [what.rpartition(".db.")[2] for _, what, _ in told] == [*names[:2]]
    assert {level for level, _, _ in told} == {"warning"}
    assert all("set aside at 2026-01-02T03:04:05Z: " in what for _, what, _ in told)


# -- packages -----------------------------------------------------------------------


@pytest.mark.parametrize("runs", [True, False])
def test_a_missing_package_is_graver_when_no_service_runs(
    runs: bool, desk: Desk, service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    if not runs:
        service.file.unlink()

    level, what, fix = finding(desk, "can't be started with this installation")

    assert level == ("warning" if runs else "error")
    assert "starlette" in what
    assert fix == 'pip install "agentreg[service]"'


def test_who_never_had_a_service_may_lack_its_packages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    desk.agent("scout")

    assert desk.run("doctor", "--project", desk.project, "--home", desk.home).code == 0
    (desk.workspace / "state").mkdir(parents=True)
    assert desk.run("doctor", "--project", desk.project, "--home", desk.home).code == 1


# -- hooks --------------------------------------------------------------------------


@pytest.fixture
def settings(desk: Desk) -> Path:
    """The user's settings, with the hooks in them."""
    file = desk.home / ".claude" / "settings.json"
    assert desk.run("hook", "install", "--settings", file).code == 0
    return file


def change(file: Path, edit: Callable[[dict[str, object]], object]) -> None:
    value = json.loads(file.read_text())
    edit(value)
    file.write_text(json.dumps(value))


def test_without_hooks_it_says_how_to_have_them(desk: Desk) -> None:
    assert finding(desk, "are not registered by themselves")[::2] == ("note", "agentreg hook install")


def test_hooks_that_were_installed_are_found_in_either_place(desk: Desk, settings: Path) -> None:
    need_the_service()
    assert state(desk, "hooks (user)") == "SessionStart, SessionEnd"
    settings.rename(desk.project / ".claude" / "settings.json")
    assert state(desk, "hooks (project)") == "SessionStart, SessionEnd"
    assert [fix for level, _, fix in findings(desk) if level != "note"] == ["agentreg serve"]


def test_settings_that_are_no_json_are_an_error_with_the_line(desk: Desk) -> None:
    file = write(desk.project / ".claude" / "settings.json", '{"hooks": {},\n nonsense}')

    level, what, fix = finding(desk, "are no JSON")

    assert (level, fix) == ("error", "mend it, then: agentreg hook install")
    assert what.startswith(f"{file}:2:2: the project settings")


@pytest.mark.parametrize("text", ["[]", '{"hooks": []}', '{"hooks": 3}'])
def test_settings_of_another_shape_are_an_error(text: str, desk: Desk) -> None:
    write(desk.home / ".claude" / "settings.json", text)

    assert finding(desk, "are no object")[0] == "error"


@pytest.mark.parametrize(
    "hooks",
    [{"SessionStart": 1}, {"SessionStart": [1]}, {"SessionStart": [{"hooks": 1}]}, {"SessionEnd": [{"hooks": [1]}]},
     {"SessionEnd": [{"hooks": [{"command": ["agentreg hook session-end"]}]}]},
     {"SessionEnd": [{"hooks": [{"command": "echo 'agentreg hook session-end"}]}]},
     {"SessionEnd": [{"hooks": [{"command": "my-agentreg hook session-end"}]}]}],
)  # fmt: skip
def test_hooks_of_others_in_any_shape_are_not_taken_for_ours(hooks: object, desk: Desk) -> None:
    write(desk.home / ".claude" / "settings.json", json.dumps({"hooks": hooks}))

    assert state(desk, "hooks (user)") == "none of ours"


@pytest.mark.parametrize("prefix", ["", "AGENTREG_WORKSPACE=office "])
def test_a_hook_that_calls_a_program_which_is_gone_is_an_error(prefix: str, desk: Desk, settings: Path) -> None:
    gone = desk.folder / "gone" / "agentreg"
    call = {"type": "command", "command": f"{prefix}'{gone}' hook session-start --name me"}
    change(settings, lambda value: value.update(hooks={"SessionStart": [{"hooks": [call]}]}))

    level, what, fix = finding(desk, "no program that can be run")

    assert level == "error"
    assert what.startswith(f"{settings}: the hook SessionStart calls {gone},")
    assert fix.startswith("agentreg hook install")
    assert finding(desk, "SessionEnd is missing")[0] == "warning"


def test_hooks_that_are_all_disabled_are_a_warning(desk: Desk, settings: Path) -> None:
    change(settings, lambda value: value.update(disableAllHooks=True))

    assert finding(desk, "disableAllHooks")[0] == "warning"


# -- the log ------------------------------------------------------------------------


def test_the_last_errors_of_the_log_are_told_harmlessly(desk: Desk, service: SmallService) -> None:
    lines = [f"2026-01-01 00:00:00,000 ERROR agentreg: number {number}\x1b[31m" for number in range(5)]
    log = write(desk.workspace / "logs" / "agent-registry.log", "\n".join(["WARNING x", *lines, "INFO all is well"]))

    told = [each for each in findings(desk) if "has logged" in each[1]]
    assert [what.split("number ")[1][0] for _, what, _ in told] == ["2", "3", "4"]
    assert {level for level, _, _ in told} == {"note"}
    assert doctor(desk).out.replace("\n", "").isprintable()

    service.file.unlink()
    assert {each[::2] for each in findings(desk) if "has logged" in each[1]} == {("warning", f"read {log}")}
