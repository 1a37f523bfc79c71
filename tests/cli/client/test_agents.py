"""`agentreg register`, `heartbeat`, `deregister`, `list` and `status`, against a small service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.errors import NoServiceError
from agentreg.cli.client.http import Answer
from agentreg.cli.client.listing import follow, rows_of
from tests.cli.client.conftest import Call
from tests.cli.client.small_service import Refused, SmallService

HOSTILE = "\x1b[31m\u202eevil\u2066\x07\nmore"


def test_register_prints_the_id_and_sends_what_was_said(call: Call, service: SmallService) -> None:
    done = call("register", "--name", "scout", "--cwd", "/some/where", "--pid", 4711, "--meta", '{"task": "x"}')

    row = service.row("scout")
    assert (done.code, done.out, done.err) == (0, f"{row['id']}\n", "")
    assert (row["cwd"], row["pid"], row["meta"]) == ("/some/where", 4711, {"task": "x"})


def test_json_is_what_the_service_answers_and_nothing_else(call: Call, service: SmallService) -> None:
    verbs = ("register", "heartbeat", "deregister")
    registered, beaten, gone = (call(verb, "--id", "mine", "--json") for verb in verbs)

    assert json.loads(registered.out).items() >= {"ok": True, "id": "mine"}.items()
    assert json.loads(beaten.out).items() >= {"ok": True, "status": "active"}.items()
    assert json.loads(gone.out)["ok"] is True
    assert {done.out.count("\n") for done in (registered, beaten, gone)} == {1}


def test_the_working_directory_is_the_present_one_unless_another_is_named(call: Call, service: SmallService) -> None:
    call("register")
    call("register", "--name", "other", "--cwd", "sub")

    assert service.row("agent")["cwd"] == os.getcwd()
    assert service.row("other")["cwd"] == os.path.join(os.getcwd(), "sub")


def test_an_id_of_one_s_own_is_kept(call: Call, service: SmallService) -> None:
    done = call("register", "--id", "mine")

    assert done.out == "mine\n"
    assert [*service.rows] == ["mine"]


def test_a_heartbeat_tells_the_status(call: Call, service: SmallService) -> None:
    call("register", "--id", "mine")
    service.rows["mine"]["status"] = "stale"

    done = call("heartbeat", "--id", "mine")

    assert (done.code, done.out, done.err) == (0, "active\n", "")


def test_a_heartbeat_of_nobody_is_refused(call: Call, service: SmallService) -> None:
    done = call("heartbeat", "--id", "nobody")

    assert (done.code, done.out) == (1, "")
    assert "404" in done.err
    assert "no such agent" in done.err


def test_deregister_says_nothing_also_of_an_unknown_id(call: Call, service: SmallService) -> None:
    call("register", "--id", "mine")

    known, unknown = call("deregister", "--id", "mine"), call("deregister", "--id", "nobody")

    assert (known.code, known.out, known.err) == (unknown.code, unknown.out, unknown.err) == (0, "", "")
    assert service.rows["mine"]["status"] == "stopped"


@pytest.mark.parametrize(
    "arguments",
    [
        ["register", "--pid", "-1"],
        ["register", "--pid", "many"],
        ["register", "--meta", "[]"],
        ["register", "--meta", "{"],
        ["heartbeat"],
        ["deregister"],
        ["list", "--status", "asleep"],
        ["watch", "--interval", "0"],
        ["watch", "--interval", "nan"],
        ["run", "name"],
        ["run", "name", "--"],
        ["run", "name", "--autostart", "--", "true"],
    ],
)
def test_bad_usage_ends_with_two_before_anybody_is_asked(
    arguments: list[str], call: Call, service: SmallService
) -> None:
    done = call(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "error: " in done.err
    assert service.asked == []


@pytest.mark.parametrize(
    "arguments",
    [["register"], ["heartbeat", "--id", "a"], ["deregister", "--id", "a"], ["list"], ["watch"], ["status"]],
)
def test_without_a_service_every_verb_ends_with_two_and_says_what_to_do(
    arguments: list[str], call: Call, workspace: Path
) -> None:
    done = call(*arguments)

    assert (done.code, done.out) == (2, "")
    assert str(workspace) in done.err
    assert "agentreg serve" in done.err


def test_what_the_service_can_t_do_is_refused_in_its_words(call: Call, service: SmallService) -> None:
    def refuse(path: str) -> None:
        if path == "/register":
            raise Refused(503, "the disk is full\x1b[2J")

    service.refusing = refuse

    done = call("register")

    assert (done.code, done.err) == (1, "agentreg register: error: refused (503): the disk is full\\x1b[2J\n")


def test_the_workspace_can_be_named(call: Call, service: SmallService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTREG_WORKSPACE", "/nowhere")

    done = call("register", "--workspace", service.workspace)

    assert done.code == 0


def test_a_token_is_read_from_the_file_that_is_named_and_shown_where_it_is_wanted(call: Call, workspace: Path) -> None:
    with SmallService(workspace, token="s3cret") as service:
        done = call("register", "--name", "scout")

    assert done.code == 0
    assert service.shown == [("/health", None), ("/register", "Bearer s3cret")]


# -- list ---------------------------------------------------------------------


def test_a_list_is_a_table_of_who_runs_where(call: Call, service: SmallService) -> None:
    call("register", "--name", "scout", "--id", "a1", "--pid", 4711, "--cwd", "/some/where")

    head, row = call("list").out.splitlines()

    assert head.split() == ["STATUS", "NAME", "ID", "PID", "HOST", "DIRECTORY", "SINCE", "HEARD"]
    assert row.split()[:6] == ["active", "scout", "a1", "4711", "here", "/some/where"]


def test_as_json_a_list_is_the_very_body_of_the_answer(call: Call, service: SmallService) -> None:
    call("register", "--name", "sc\u00f6ut")
    body = Caller(service.workspace).ask("GET", "/agents").document

    done = call("list", "--json")

    listed = done.document
    assert listed.pop("count") == body.pop("count") == 1
    for agents in (listed["agents"], body["agents"]):
        agents[0].pop("heartbeat_age")
    assert listed == body
    assert not done.out.endswith("\n")


def test_a_list_can_be_of_some_statuses_only(call: Call, service: SmallService) -> None:
    for name, status in (("a", "active"), ("b", "stale"), ("c", "stopped")):
        call("register", "--name", name, "--id", name)
        service.rows[name]["status"] = status

    table = call("list", "--status", "stale", "--status", "stopped").out.splitlines()
    document = call("list", "--status", "stale", "--json").document

    assert sorted(line.split()[1] for line in table[1:]) == ["b", "c"]
    assert ([agent["id"] for agent in document["agents"]], document["count"]) == (["b"], 1)


def test_a_list_of_nobody_says_so_beside_the_result(call: Call, service: SmallService) -> None:
    done = call("list")

    assert (done.code, done.out, done.err) == (0, "", "no agents\n")


def test_no_name_plays_tricks_with_the_terminal(call: Call, service: SmallService) -> None:
    call("register", "--name", HOSTILE, "--cwd", f"/{HOSTILE}")

    done = call("list")

    assert len(done.out.splitlines()) == 2
    assert all(line.isprintable() for line in done.out.splitlines())
    assert "\\x1b[31m\\u202eevil" in done.out


def test_an_agent_of_which_little_is_known_is_listed() -> None:
    agent = {"id": "a", "cwd": None, "pid": None, "started_at": "yesterday", "host": 7}

    rows = rows_of(Answer(b"", {"agents": [agent]}))

    assert rows == [["", "", "a", "", "7", "", "unknown", "unknown"]]


@pytest.mark.parametrize("agents", [None, "all", [7], {}])
def test_what_is_no_list_of_agents_is_told(agents: object) -> None:
    with pytest.raises(NoServiceError, match="lists no agents"):
        rows_of(Answer(b"", {"agents": agents}))


class Steps:
    """What happens at each pause; Ctrl-C at the end."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = iter(steps)

    def __call__(self, seconds: float) -> None:
        for step in self._steps:
            step()
            return
        raise KeyboardInterrupt


def enter_late(service: SmallService) -> None:
    service.answer("POST", "/register", {"name": "late"}, None)


def test_a_watched_list_is_printed_again_when_something_has_changed(
    service: SmallService, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = Steps(lambda: None, lambda: enter_late(service))

    with pytest.raises(KeyboardInterrupt):
        follow(Caller(service.workspace), None, False, wait)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["--", "--", "STATUS", "active"]


def test_a_watched_list_waits_for_a_service_that_has_gone(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        follow(Caller(workspace), None, False, Steps())

    assert "no service; waiting for one" in capsys.readouterr().out


def test_a_watched_list_as_json_has_a_line_for_each_state(
    service: SmallService, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = Steps(lambda: enter_late(service), lambda: None)

    with pytest.raises(KeyboardInterrupt):
        follow(Caller(service.workspace), None, True, wait)

    counts = [json.loads(line)["count"] for line in capsys.readouterr().out.splitlines()]
    assert counts == [0, 1]


def test_with_rich_a_terminal_shows_the_rows_and_that_they_wait(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    from agentreg.cli.client.live import draw

    draw([None])
    waiting = capsys.readouterr().out
    draw([[["active", "[red]scout", "a", "1", "here", "/x", "1 s", "1 s"]]])
    shown = capsys.readouterr().out

    assert "no service" in waiting
    assert "[red]scout" in shown


# -- status -------------------------------------------------------------------


def test_the_status_says_where_the_service_is(call: Call, service: SmallService) -> None:
    told, document = call("status"), call("status", "--json").document

    assert told.out.splitlines()[0] == f"running at {service.url}"
    assert "1 min" in told.out
    assert (document["url"], document["workspace"]) == (service.url, str(service.workspace))
    assert (document["ok"], document["instance_id"]) == (True, service.instance)


def test_the_status_names_the_process_that_one_would_signal(call: Call, service: SmallService) -> None:
    told, document = call("status"), call("status", "--json").document

    assert f"  process   {os.getpid()}\n" in told.out
    assert document["pid"] == os.getpid()


@pytest.mark.parametrize("pid", [None, 0, -1, True, "7"])
def test_a_process_that_the_file_does_not_say_is_unknown(call: Call, service: SmallService, pid: object) -> None:
    file = service.workspace / "state" / "agent-registry.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pid": pid}))

    assert "  process   unknown\n" in call("status").out
