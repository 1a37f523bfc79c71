"""Patterns find what `re` finds, and never take long over it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.definitions.storing.patterns import PATTERN_LIMIT, STATE_LIMIT, Pattern, PatternError
from tests.watchdog import run_threads

LONG = "ab" * 20_000

ATOMS = [
    "a",
    "b",
    "A",
    ".",
    "[ab]",
    "[^a]",
    r"\w",
    r"\W",
    r"\d",
    r"\s",
    r"\n",
    "\n",
    r"\x61",
    r"\.",
    "{",
    "}",
    "\u00df",
]
ANCHORS = ["^", "$", r"\A", r"\Z", r"\b", r"\B"]
QUANTIFIERS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,2}", "{,2}", "{1,}", "{2,3}?"]

quantified = st.builds("{}{}".format, st.sampled_from(ATOMS), st.sampled_from(["", *QUANTIFIERS]))
patterns = st.recursive(
    st.one_of(quantified, st.sampled_from(ANCHORS)),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{}|{}".format, inner, inner),
        st.builds("{}{}){}".format, st.sampled_from(["(", "(?:"]), inner, st.sampled_from(["", *QUANTIFIERS])),
        st.just("()"),
    ),
    max_leaves=6,
)
flags = st.sampled_from(["", "", "(?i)", "(?s)", "(?m)", "(?ims)", "(?a)"])
subjects = st.text("abA1 \n.{\u00df", max_size=8)


@settings(max_examples=600)
@given(flags, patterns, st.lists(subjects, min_size=1, max_size=4))
def test_a_pattern_is_found_exactly_where_re_finds_it(flag: str, text: str, places: list[str]) -> None:
    expected = re.compile(flag + text)
    pattern = Pattern(flag + text)

    for place in places:
        assert pattern.search(place) is (expected.search(place) is not None), (flag + text, place)


@settings(max_examples=300)
@given(st.text("ab(|)[]{}?*+^$\\.:P<>=!,019i-", max_size=12))
def test_what_re_refuses_is_refused_and_nothing_else_goes_wrong(text: str) -> None:
    try:
        pattern = Pattern(text)
    except PatternError:
        return
    assert pattern.search("ab") is (re.search(text, "ab") is not None)


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+c",
        "(a|a)*c",
        "(a|ab|b)*c",
        "(.*)*c",
        ".*.*.*.*.*.*c",
        "(a?){60}a{60}c",
        "(a|b)*a(a|b){100}c",
        r"(\w+\s?)+c",
        "^(([a-z])+.)+c$",
        r"(a|b|ab)*\bc",
        "(x+x+)+y|(ab)*c",
    ],
)
def test_no_pattern_takes_for_ever(text: str) -> None:
    assert Pattern(text).search(LONG) is False


@pytest.mark.parametrize(
    "text",
    [
        "a{501}",
        "(a{30}){30}",
        "((a{9}){9}){9}",
        "(a|b){400}",
        "a{4294967294}",
        "a" * (PATTERN_LIMIT + 1),
        "(" * 240 + "a" + ")" * 240,
    ],
)
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(PatternError, match=r"more than 500 places|at most 500|too deep or repeats too often"):
        Pattern(text)


@pytest.mark.parametrize("text", ["(?:){4000000000}", "((?:){65000}){65000}", "((((){999}){999}){999}){999}"])
def test_nothing_however_often_is_nothing(text: str) -> None:
    assert Pattern(text).search("a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(a", r"missing \), unterminated subpattern at character 1"),
        ("a)", "unbalanced parenthesis at character 2"),
        ("[a", "unterminated character set at character 1"),
        ("x[]--]--", "in a character set at character 2"),
        ("x[]a", "unterminated character set at character 2"),
        ("*a", "nothing to repeat at character 1"),
        ("a**", "multiple repeat at character 3"),
        ("a\\", r"bad escape \(end of pattern\) at character 2"),
        (r"(a)\1", r"back references are not supported \(at character 4"),
        ("(?P<x>a)(?P=x)", r"only \(\?:\.\.\.\), \(\?P<name>\.\.\.\), and flags at the very start"),
        ("[[a]", r"\[\[, --, &&, ~~ or \|\| in a character set at character 1; put a backslash before each"),
        ("x[a--b]", "in a character set at character 2"),
        ("a(?i)b", "flags at the very start"),
        ("a(?=b)", r"of the forms that begin with \(\? only"),
        ("a(?!b)", r"of the forms that begin with \(\? only"),
        ("(?<=a)b", r"of the forms that begin with \(\? only"),
        ("(?x) a", "of the forms"),
        ("(?i:a)", "of the forms"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        Pattern(text)


def test_a_possessive_quantifier_is_refused_by_every_python() -> None:
    with pytest.raises(PatternError, match=r"possessive quantifiers are not supported|multiple repeat"):
        Pattern("a++")


def test_a_large_pattern_within_the_limit_works() -> None:
    count = STATE_LIMIT - 10

    assert Pattern(f"^a{{{count}}}$").search("a" * count)
    assert not Pattern(f"^a{{{count}}}$").search("a" * (count - 1))


def test_a_named_group_is_a_group() -> None:
    assert Pattern("(?P<what>ab)+c").search("ababc")


def test_many_different_characters_do_not_fill_the_memory() -> None:
    subject = "".join(map(chr, range(32, 0xD800)))

    assert Pattern(".*\ud7ff$").search(subject)
    assert not Pattern("[a-z]\ud7ff$").search(subject)


def test_threads_may_share_a_pattern() -> None:
    pattern = Pattern("(ab|cd)+e")

    assert run_threads(*[lambda: pattern.search("abcd" * 500 + "e")] * 4) == [True] * 4
