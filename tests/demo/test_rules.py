"""How the demo's reviewers pick the worst places."""

from __future__ import annotations

from agentreg.demo.measure import FileFacts, FunctionFacts
from agentreg.demo.rules import RULES, needed_capabilities, worst_places


def a_file(path: str, *functions: FunctionFacts, lines: int = 10) -> FileFacts:
    return FileFacts(path, lines=lines, functions=functions, public=1, documented=1)


def test_what_exceeds_its_limit_most_is_needed_first() -> None:
    files = [a_file("a.py", FunctionFacts("f", 1, 60, 30), lines=1100)]

    assert needed_capabilities(files) == ("complex functions", "large files", "long functions")


def test_something_is_needed_even_if_all_is_well() -> None:
    assert needed_capabilities([a_file("a.py", FunctionFacts("f", 1, 10, 9))]) == ("complex functions",)


def test_of_no_readable_file_at_all_something_is_needed_and_nothing_is_found() -> None:
    broken = [FileFacts("a.py", "line 1: invalid syntax")]

    assert len(needed_capabilities(broken)) == 1
    assert worst_places(broken, RULES) == ()


def test_a_place_that_breaks_two_rules_is_listed_once_with_both_reasons() -> None:
    files = [a_file("a.py", FunctionFacts("f", 3, 100, 15))]

    (worst,) = worst_places(files, ["complex functions", "long functions"])

    assert worst.place == "a.py:3 f"
    assert worst.reasons == ("complexity 15 (usual: up to 10)", "100 lines long (usual: up to 50)")
    assert worst.excess == 2


def test_the_worst_comes_first_and_the_list_is_short() -> None:
    files = [a_file(f"{number}.py", FunctionFacts("f", 1, 1, number)) for number in range(1, 9)]

    worst = worst_places(files, ["complex functions"], limit=3)

    assert [finding.path for finding in worst] == ["8.py", "7.py", "6.py"]


def test_an_unknown_capability_finds_nothing() -> None:
    assert worst_places([a_file("a.py")], ["telepathy"]) == ()
