"""What is left of tools that were asked for, allowed and denied."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.resources.conflicts import ToolPattern, narrow_tools

# -- narrower and wider -----------------------------------------------------


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("*", "Bash"),
        ("Bash", "Bash(git:*)"),
        ("Bash(*)", "Bash"),
        ("Bash(git:*)", "Bash(git)"),
        ("Bash(git:*)", "Bash(git push origin)"),
        ("Bash(git:*)", "Bash(git push:*)"),
        ("Bash(git *)", "Bash(git:*)"),
        ("Bash(npm run *)", "Bash(npm run test)"),
        ("mcp__github", "mcp__github__get"),
        ("mcp__github__*", "mcp__github"),
        ("mcp__*", "mcp__github__get"),
        ("Read(src/**)", "Read(src/a/b.py)"),
        ("Read(src/**)", "Read(src/*)"),
        ("WebFetch", "WebFetch(domain:example.com)"),
    ],
)
def test_a_permission_covers_a_narrower_one(wide: str, narrow: str) -> None:
    assert ToolPattern.parse(wide).covers(ToolPattern.parse(narrow))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bash(git:*)", "Bash"),
        ("Bash(git:*)", "Bash(gitk)"),
        ("Bash(git:*)", "Bash(git log; rm -r .)"),
        ("Bash(git:*)", "Bash(git log && rm -r .)"),
        ("Bash(git:*)", "Bash(git log $(rm x))"),
        ("Bash(git * *)", "Bash(git *)"),
        ("Bash(git push)", "Bash(git push:*)"),
        ("mcp__github__get", "mcp__github"),
        ("mcp__git", "mcp__github"),
        ("Read(src/*)", "Read(src/**)"),
        ("Read(src/*)", "Read(src/a/b.py)"),
        ("Read", "Write"),
        ("bash", "Bash"),
        ("WebFetch(domain:*)", "WebFetch"),
    ],
)
def test_a_permission_does_not_cover_what_is_wider_or_beside_it(one: str, other: str) -> None:
    assert not ToolPattern.parse(one).covers(ToolPattern.parse(other))


@pytest.mark.parametrize("text", ["", "  ", "Bash(git", "two words", "(git)"])
def test_what_is_no_permission_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a form like Bash, Bash\(git:\*\)"):
        ToolPattern.parse(text)


# -- what is left -----------------------------------------------------------


def test_the_intersection_takes_the_narrower_of_two() -> None:
    grant = narrow_tools(["Bash", "Read(src/**)", "Write"], {"policy": ["Bash(git:*)", "Read"], "parent": None})

    assert grant.granted == ("Bash(git:*)", "Read(src/**)")
    assert grant.taken == {"Write": ("policy",)}
    assert grant.narrowed == {"Bash": ("Bash(git:*)",)}


def test_it_is_told_who_took_what_away() -> None:
    grant = narrow_tools(["Bash", "Write"], {"policy": ["Bash", "Write"], "parent": ["Bash"]}, {"user": ["bash"]})

    assert grant.granted == ()
    assert grant.told() == "Bash was taken away by user; Write was taken away by parent"


def test_who_asks_for_nothing_particular_gets_what_is_allowed() -> None:
    grant = narrow_tools(None, {"policy": ["Read", "Grep"]})

    assert (grant.granted, grant.changed) == (("Read", "Grep"), False)


def test_who_asks_for_nothing_particular_gets_everything_where_nobody_objects() -> None:
    assert narrow_tools(None, {"policy": None}).granted is None


def test_a_denial_within_something_wider_stays_beside_it() -> None:
    grant = narrow_tools(["Bash", "mcp__github"], {}, {"policy": ["bash(rm:*)", "mcp__*__delete", "Write"]})

    assert grant.granted == ("Bash", "mcp__github")
    assert grant.denied == ("Bash(rm:*)", "mcp__*__delete")


def test_a_denied_server_takes_its_tools_along_even_with_underscores_in_its_name() -> None:
    grant = narrow_tools(["mcp__my__files__read"], {}, {"policy": ["mcp__my__files"]})

    assert grant.granted == ()


def test_several_agents_in_one_permission_are_taken_one_by_one() -> None:
    grant = narrow_tools(["Agent(ann, bob)"], {"policy": ["Agent(bob, cid)"]})

    assert grant.granted == ("Agent(bob)",)


def test_patterns_that_only_overlap_leave_nothing_in_doubt() -> None:
    assert narrow_tools(["Bash(git * main)"], {"policy": ["Bash(git push *)"]}).granted == ()


# -- what must always hold --------------------------------------------------

WORDS = ["git", "gi", "push", "main"]
COMMANDS = [" ".join(words) for n in (1, 2, 3) for words in itertools.product(WORDS, repeat=n)]
CALLS = [
    *(("Bash", command) for command in COMMANDS),
    *(("Read", path) for path in ("a", "src/a", "src/b/a", "src", "src/b/c/a")),
    *((f"mcp__{server}__{tool}", "") for server in ("gh", "g") for tool in ("get", "put")),
]
DETAILS = st.one_of(
    st.sampled_from(COMMANDS),
    st.sampled_from(COMMANDS).map(lambda command: f"{command}:*"),
    st.lists(st.sampled_from([*WORDS, "*"]), min_size=1, max_size=3).map(" ".join),
    st.sampled_from(["g*", "*main", "git p*h"]),
)
PERMISSIONS = st.one_of(
    st.just("*"),
    st.just("Bash"),
    st.just("Read"),
    DETAILS.map(lambda detail: f"Bash({detail})"),
    st.sampled_from(["a", "src/*", "src/**", "src/b/*", "src/**/a", "**/a", "*"]).map(lambda path: f"Read({path})"),
    st.sampled_from(["mcp__gh", "mcp__g", "mcp__gh__get", "mcp__g__*", "mcp__gh__*", "mcp__*", "mcp__*__get"]),
)
LISTS = st.lists(PERMISSIONS, max_size=4)


def allows(permission: str, call: tuple[str, str]) -> bool:
    """What a permission means, said as simply as can be, apart from the code under test."""
    name, _, detail = permission.partition("(")
    detail = detail.removesuffix(")")
    if re.fullmatch(re.escape(name).replace(r"\*", ".*") + ("(__.*)?" * name.startswith("mcp__")), call[0]) is None:
        return False
    if detail in ("", "*", "**"):
        return True
    if name == "Read":
        return re.fullmatch(re.escape(detail).replace(r"\*\*", ".*").replace(r"\*", "[^/]*"), call[1]) is not None
    if detail.endswith((":*", " *")) and re.fullmatch(re.escape(detail[:-2]).replace(r"\*", ".*"), call[1]):
        return True
    detail = re.sub(":\\*$", " *", detail)
    return re.fullmatch(re.escape(detail).replace(r"\*", ".*"), call[1]) is not None


def allowed(permissions: list[str], call: tuple[str, str]) -> bool:
    return any(allows(permission, call) for permission in permissions)


@settings(deadline=None)
@given(LISTS, LISTS, LISTS, LISTS)
def test_nothing_is_granted_that_somebody_did_not_ask_for_or_allow_or_that_was_denied(
    asked: list[str], policy: list[str], parent: list[str], denied: list[str]
) -> None:
    grant = narrow_tools(asked, {"policy": policy, "parent": parent}, {"user": denied})

    for call in CALLS:
        if allowed(list(grant.granted or ()), call) and not allowed(list(grant.denied), call):
            assert allowed(asked, call)
            assert allowed(policy, call)
            assert allowed(parent, call)
            assert not allowed(denied, call)


@settings(deadline=None)
@given(PERMISSIONS, PERMISSIONS)
def test_covering_is_never_said_of_what_allows_more(wide: str, narrow: str) -> None:
    if ToolPattern.parse(wide).covers(ToolPattern.parse(narrow)):
        assert [call for call in CALLS if allows(narrow, call) and not allows(wide, call)] == []


@settings(deadline=None)
@given(LISTS)
def test_what_is_asked_for_and_allowed_alike_is_granted(asked: list[str]) -> None:
    grant = narrow_tools(asked, {"policy": asked})

    assert not grant.changed
    for call in CALLS:
        assert allowed(list(grant.granted or ()), call) == allowed(asked, call)


@settings(deadline=None)
@given(LISTS, LISTS)
def test_every_tool_asked_for_is_granted_narrowed_or_told_of(asked: list[str], policy: list[str]) -> None:
    grant = narrow_tools(asked, {"policy": policy})

    for tool in asked:
        covered = any(ToolPattern.parse(each).covers(ToolPattern.parse(tool)) for each in grant.granted or ())
        assert covered or tool in grant.taken or tool in grant.narrowed
