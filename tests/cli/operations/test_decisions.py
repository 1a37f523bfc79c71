"""`agentreg why` and `agentreg decisions`."""

from __future__ import annotations

import getpass
from pathlib import Path

from agentreg.cli.operations.why import decisions_file
from agentreg.extensions.resources import Decision, DecisionLog, StepReport
from tests.cli.operations.conftest import Call
from tests.cli.operations.small_operations import SmallOperations

TAKEN = Decision("name", "scout", "name_suffix", "scout-2", "the name is taken", alternatives=("refuse",))
STEPS = (StepReport("validate the name", 0.25, "done"), StepReport("allocate", 0.5, "failed", "no memory"))
FAILED = Decision("registration", "scout", "pipeline", "undone", "a step failed", steps=STEPS)
OTHER = Decision("tools", "planner", "least_privilege", "read", "requirements contradict each other")


def test_why_tells_the_decisions_the_oldest_first_with_their_steps(call: Call, service: SmallOperations) -> None:
    for each in (TAKEN, OTHER, FAILED):
        service.log.record(each)

    done = call("why", "scout")

    lines = done.out.splitlines()
    assert (done.code, done.err, len(lines)) == (0, "", 5)
    assert lines[0][20:] == " name conflict of 'scout': scout-2, by policy (name_suffix): the name is taken"
    assert lines[1] == "  instead of: refuse"
    assert lines[2].endswith("Z registration of 'scout': undone, by policy (pipeline): a step failed")
    assert lines[3:] == ["  validate the name: done in 0.250 s", "  allocate: failed in 0.500 s (no memory)"]


def test_why_of_somebody_about_whom_nothing_was_decided_says_so(call: Call, service: SmallOperations) -> None:
    done = call("why", "nobody")

    assert (done.code, done.out) == (0, "nothing was decided about 'nobody'\n")


def test_why_as_json_has_the_decisions_only_of_that_name(call: Call, service: SmallOperations) -> None:
    for each in (TAKEN, OTHER):
        service.log.record(each)

    document = call("why", "scout", "--json").document

    assert (document["count"], document["decisions"][0]["choice"]) == (1, "scout-2")


def test_without_a_service_why_reads_the_file_and_writes_nothing(call: Call, workspace: Path) -> None:
    file = decisions_file(workspace)
    file.parent.mkdir(parents=True)
    with DecisionLog(file) as log:
        for each in (TAKEN, OTHER, FAILED):
            log.record(each)
    before = file.read_bytes()

    done = call("why", "scout")
    latest = call("why", "scout", "--limit", "1", "--json").document

    assert (done.code, done.err) == (0, f"no service; from {file}\n")
    assert len(done.out.splitlines()) == 5
    assert [each["kind"] for each in latest["decisions"]] == ["registration"]
    assert latest["decisions"][0]["time"].endswith("Z")
    assert file.read_bytes() == before


def test_a_damaged_file_is_told_by_its_name(call: Call, workspace: Path) -> None:
    file = decisions_file(workspace)
    file.parent.mkdir(parents=True)
    file.write_text("not a database, however long it is read" * 100)

    done = call("why", "scout")

    assert (done.code, done.out) == (1, "")
    assert str(file) in done.err


def pend(service: SmallOperations) -> None:
    service.pending["d-1"] = {
        "id": "d-1",
        "kind": "user_intervention",
        "subject": "scout",
        "question": "who is to have the name?",
        "choices": ["old", "new"],
        "default": "old",
        "deadline": "2999-01-01T00:00:00Z",
    }


def test_what_waits_for_a_decision_is_listed_with_its_choices(call: Call, service: SmallOperations) -> None:
    nothing = call("decisions")
    pend(service)
    row = call("decisions").out.splitlines()[1]

    assert (nothing.code, nothing.out, nothing.err) == (0, "", "nothing waits for a decision\n")
    assert row.split()[:3] == ["d-1", "user_intervention", "scout"]
    assert "old, new" in row
    assert call("decisions", "--json").document["pending"][0]["default"] == "old"


def test_an_answer_is_given_in_the_user_s_name(call: Call, service: SmallOperations) -> None:
    pend(service)

    done = call("decisions", "answer", "d-1", "new", "--reason", "it is newer")

    assert (done.code, done.out, service.pending) == (0, "d-1: new\n", {})
    body = {"choice": "new", "by": getpass.getuser(), "reason": "it is newer"}
    assert service.asked[-1] == ("/registry/decisions/d-1/answer", body)


def test_an_answer_that_is_no_choice_is_refused_and_changes_nothing(call: Call, service: SmallOperations) -> None:
    pend(service)

    bad, nobody = call("decisions", "answer", "d-1", "both"), call("decisions", "answer", "d-2", "new")

    assert (bad.code, nobody.code, list(service.pending)) == (1, 1, ["d-1"])
    assert "expected old or new, got 'both'" in bad.err
    assert "there is no decision 'd-2' that waits" in nobody.err
