"""`agentreg alerts` and its verbs."""

from __future__ import annotations

import getpass
import threading

import pytest

from agentreg.cli.client.calling import Caller
from agentreg.cli.operations.alerts.listing import follow
from agentreg.cli.operations.asking import place
from tests.cli.client.small_service import Refused
from tests.cli.operations.conftest import Call
from tests.cli.operations.small_operations import SmallOperations
from tests.cli.streaming import Streaming


def test_without_alerts_the_table_is_empty_and_a_note_says_so(call: Call, service: SmallOperations) -> None:
    done = call("alerts")

    assert (done.code, done.out, done.err) == (0, "", "no alerts\n")


def test_an_alert_that_fires_is_a_row_with_all_that_is_asked_first(call: Call, service: SmallOperations) -> None:
    service.burden("planner", 0.95)

    head, row = call("alerts").out.splitlines()

    assert head.split() == ["STATE", "SEVERITY", "RULE", "AGENT", "VALUE", "LIMIT", "FOR", "SEEN", "BY", "ID"]
    assert row.split()[:6] == ["firing", "warning", "high_memory", "planner", "95%", "0.9"]
    assert row.endswith("high_memory/planner")


def test_those_that_fire_come_before_those_that_may(call: Call, service: SmallOperations) -> None:
    service.alerts.observe("error_rate", "early", 0.5)
    service.alerts.evaluate()
    service.burden("planner", 0.95)
    service.alerts.observe("error_rate", "late", 0.5)
    service.alerts.evaluate()

    states = [line.split()[0] for line in call("alerts").out.splitlines()[1:]]

    assert states == sorted(states)
    assert set(states) == {"firing", "pending"}


def test_all_and_history_show_what_is_over_and_why(call: Call, service: SmallOperations) -> None:
    service.burden("planner", 0.95)
    service.burden("scout", 0.97)
    service.burden("planner", 0.2)

    everything = [line.split()[0] for line in call("alerts", "--all").out.splitlines()[1:]]
    over = call("alerts", "--history").out.splitlines()[1:]

    assert everything == ["firing", "resolved:"]
    assert len(over) == 1
    assert over[0].startswith("resolved: recovered")


def test_as_json_it_is_what_the_service_answers(call: Call, service: SmallOperations) -> None:
    service.burden("planner", 0.95)

    (alert,) = call("alerts", "--json").document["alerts"]

    assert (alert["rule"], alert["agent"], alert["state"]) == ("high_memory", "planner", "firing")


def test_check_ends_with_one_while_something_fires_that_is_not_silenced(call: Call, service: SmallOperations) -> None:
    codes = [call("alerts", "--check").code]
    service.burden("planner", 0.95)
    codes.append(call("alerts", "--check", "--json").code)
    call("alerts", "silence", "--agent", "planner", "--for", "1h")
    codes.append(call("alerts", "--check").code)

    assert codes == [0, 1, 0]


def test_somebody_has_seen_it(call: Call, service: SmallOperations) -> None:
    service.burden("planner", 0.95)

    done = call("alerts", "ack", "high_memory/planner", "--note", "looking at it")
    row = call("alerts").out.splitlines()[1]

    assert (done.code, done.out) == (
        0,
        f"high_memory/planner: high_memory of planner was seen by {getpass.getuser()}\n",
    )
    assert f"{getpass.getuser()}: looking at it" in row


def test_an_alert_that_is_not_there_is_refused_by_its_name(call: Call, service: SmallOperations) -> None:
    done = call("alerts", "ack", "high_memory/nobody")

    assert (done.code, done.out) == (1, "")
    assert "there is no alert of 'high_memory' that fires for 'nobody'" in done.err


def test_a_silence_is_made_listed_and_ended(call: Call, service: SmallOperations) -> None:
    made = call(
        "alerts",
        "silence",
        "--rule",
        "high_memory",
        "--agent",
        "plan*",
        "--for",
        "1h",
        "--reason",
        "move",
        "--by",
        "ann",
    )
    head, row = call("alerts", "silences").out.splitlines()
    ended = call("alerts", "unsilence", made.out.strip())

    assert (made.code, made.err, head.split()[0]) == (0, "", "ID")
    assert row.split()[:3] == [made.out.strip(), "high_memory", "plan*"]
    assert row.split()[-2:] == ["ann", "move"]
    assert (ended.code, ended.out, ended.err, service.alerts.silences()) == (0, "", "", [])


@pytest.mark.parametrize("options", [[], ["--for", "1h", "--until", "2030-01-01T00:00:00Z"]])
def test_a_silence_needs_one_end(call: Call, service: SmallOperations, options: list[str]) -> None:
    assert call("alerts", "silence", *options).code == 2


def test_a_rule_is_added_and_removed(call: Call, service: SmallOperations) -> None:
    added = call("alerts", "add", "busy", "task_queue_length >= 100")
    names = [line.split()[0] for line in call("alerts", "rules").out.splitlines()[1:]]
    removed = call("alerts", "remove", "busy")
    listed = call("alerts", "rules", "--json").document

    assert (added.code, added.out, names[-1]) == (0, "busy: task_queue_length >= 100\n", "busy")
    assert (removed.code, removed.out, listed["count"], listed["rules"][0]["name"]) == (0, "", 4, "high_memory")


def test_the_caret_of_a_bad_rule_stands_below_its_place(call: Call, service: SmallOperations) -> None:
    done = call("alerts", "add", "busy", "memory_usage >> 90%")

    assert (done.code, done.out) == (1, "")
    written = next(line for line in done.err.splitlines() if line.strip() == "memory_usage >> 90%")
    caret = next(line for line in done.err.splitlines() if line.strip() == "^")
    assert written[caret.index("^")] == ">"


def test_the_workspace_may_stand_before_the_verb(call: Call, service: SmallOperations, tmp_path: object) -> None:
    before = call("alerts", "--workspace", f"{tmp_path}/elsewhere", "rules")
    after = call("alerts", "rules", "--workspace", service.workspace)

    assert before.code == 2
    assert "elsewhere" in before.err
    assert after.code == 0


# -- as it goes on --------------------------------------------------------------------


def followed(service: SmallOperations, *moments: object) -> None:
    """Follow the alerts while *moments* happen, one after each look; then Ctrl-C."""
    left = list(moments)

    def wait(seconds: float) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()  # type: ignore[operator]

    with pytest.raises(KeyboardInterrupt):
        follow(Caller(service.workspace), place("alerts", state="active"), as_json=False, wait=wait)


def test_watch_prints_each_change_once(service: SmallOperations, capsys: pytest.CaptureFixture[str]) -> None:
    def begin() -> None:
        service.alerts.observe("memory_usage", "planner", 0.95)
        service.alerts.evaluate()

    followed(
        service,
        begin,
        lambda: service.burden("planner", 0.95),
        lambda: None,
        lambda: service.alerts.acknowledge("high_memory", "planner", by="ann"),
        lambda: service.burden("planner", 0.1),
    )

    lines = [line.split(None, 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "pending  high_memory  planner: 95% (id high_memory/planner?)",
        "firing  high_memory  planner: 95% (id high_memory/planner)",
        "firing  high_memory  planner: 95%, seen by ann (id high_memory/planner)",
        "resolved  high_memory  planner: 95%, seen by ann (id high_memory/planner)",
    ]


def test_watch_waits_for_a_service_that_has_gone(service: SmallOperations, capsys: pytest.CaptureFixture[str]) -> None:
    def hide() -> None:
        service.file.rename(service.file.with_name("hidden"))

        def refuse(path: str) -> None:
            raise Refused(302, "gone")  # which no service says

        service.refusing = refuse

    def come_back() -> None:
        service.refusing = lambda path: None
        service.announce()

    followed(service, hide, lambda: None, come_back, lambda: service.burden("planner", 0.95))

    output = capsys.readouterr()
    assert output.err == "no service; waiting for one\n"
    assert output.out.count("firing") == 1


def test_the_command_itself_goes_on_until_ctrl_c(service: SmallOperations) -> None:
    with Streaming("alerts", "--watch", AGENTREG_WORKSPACE=str(service.workspace)) as watching:
        threading.Thread(target=service.burden, args=("planner", 0.95)).start()
        watching.until("firing  high_memory  planner: 95%")

        assert watching.interrupt() == 130
