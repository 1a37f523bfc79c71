"""Files that people have really written: each loads, warns or is rejected as the rules say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentreg.extensions.definitions import AgentDefinition, DefinitionError, FolderSource, NotAnAgent, parse
from agentreg.extensions.definitions.families import family_of
from tests.extensions.definitions import expected

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*.md") if path.name != "ATTRIBUTION.md")
PLAIN = [path for path in FILES if path not in expected.NOT_AN_AGENT | expected.REJECTED | expected.WARNS]


def parsed(path: str) -> AgentDefinition:
    return parse((CORPUS / path).read_bytes(), path=path, family=family_of(path))


def test_every_file_of_the_table_is_there() -> None:
    named = {*expected.NOT_AN_AGENT, *expected.REJECTED, *expected.WARNS, *expected.FIELDS}

    assert named - set(FILES) == set()
    assert len(FILES) > 100


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_file_loads_without_a_warning(path: str) -> None:
    definition = parsed(path)

    assert definition.warnings == ()
    written = (CORPUS / path).read_text(encoding="utf-8")
    assert re.search(rf"^name: *['\"]?{re.escape(definition.name)}['\"]?$", written, re.MULTILINE)
    assert definition.body.splitlines()[-1] in written
    assert definition.description


@pytest.mark.parametrize("path", expected.WARNS)
def test_a_file_with_a_flaw_loads_with_a_warning_in_its_place(path: str) -> None:
    what, line, column = expected.WARNS[path]

    (warning,) = parsed(path).warnings

    assert what in f"{warning.message}; {warning.remedy}"
    assert (warning.path, warning.line, warning.column, warning.severity) == (path, line, column, "warning")


@pytest.mark.parametrize("path", expected.REJECTED)
def test_a_broken_file_is_rejected_in_its_place(path: str) -> None:
    what, line, column = expected.REJECTED[path]

    with pytest.raises(DefinitionError) as caught:
        parsed(path)

    problem = caught.value.problem
    assert what in problem.message
    assert str(problem).startswith(f"{path}:{line}:{column}: ")


@pytest.mark.parametrize("path", expected.NOT_AN_AGENT)
def test_a_file_that_is_no_agent_is_an_information(path: str) -> None:
    with pytest.raises(NotAnAgent) as caught:
        parsed(path)

    assert caught.value.problem.severity == "information"
    assert expected.NOT_AN_AGENT[path] in caught.value.problem.message


@pytest.mark.parametrize("path", expected.FIELDS)
def test_the_fields_are_those_that_a_reader_sees(path: str) -> None:
    wanted = expected.FIELDS[path]

    definition = parsed(path)

    found = {key: getattr(definition, key) for key in wanted}
    metadata = wanted.get("metadata")
    if isinstance(metadata, dict):
        found["metadata"] = {key: definition.metadata.get(key) for key in metadata}
    assert found == wanted


def test_a_conversation_inside_a_description_stays_in_it() -> None:
    definition = parsed(f"{expected.DIET}/plan-reviewer.md")

    assert definition.description.startswith("Use this agent when you have a development plan")
    assert "user: \"I've created a plan to integrate Auth0" in definition.description
    assert definition.description.endswith("</commentary></example>")


def test_a_row_of_dashes_is_pointed_out_where_a_header_is_not_closed() -> None:
    with pytest.raises(DefinitionError, match=r"; line 6 is a longer row of dashes: shorten it to ---$"):
        parsed(f"{expected.VIJAY}/universal/frontend-developer.md")


def test_one_scan_takes_them_all() -> None:
    listing = FolderSource(CORPUS).load()

    assert len(listing.definitions) + len(listing.problems) >= len(PLAIN)
    assert {problem.severity for problem in listing.problems} == {"error", "information"}
    assert len({definition.digest for definition in listing.definitions}) == len(listing.definitions)
