"""Rows of a document store, and definitions written as markdown again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.reading.rendering import to_markdown
from agentreg.extensions.definitions.sources.rows import COLUMNS, columns_of, digest_of, parse_row, to_row
from tests.extensions.definitions.stores import markdown

FILES = sorted((Path(__file__).parent / "corpus").rglob("*.md"))
ROW = {
    "name": "scout",
    "description": "From the row",
    "model": "row-model",
    "tools": "Read, Bash(a, b)",
    "tags": "x, y",
}


def test_the_content_counts_more_than_its_row() -> None:
    content = markdown(description="From the header", model="header-model", tools="Grep", tags="[z]", version="2")

    definition = parse_row(content, {**ROW, "version": "1"})

    assert (definition.description, definition.model, definition.version) == ("From the header", "header-model", "2")
    assert (definition.tools, definition.tags) == (("Grep",), ("z",))


def test_the_row_speaks_where_the_content_is_silent() -> None:
    definition = parse_row("---\ncolor: red\n---\nYou are a scout.", ROW)

    assert (definition.name, definition.description, definition.model) == ("scout", "From the row", "row-model")
    assert (definition.tools, definition.tags) == (("Read", "Bash(a, b)"), ("x", "y"))
    assert (definition.color, definition.body) == ("red", "You are a scout.")


def test_no_tools_in_the_content_stay_no_tools() -> None:
    assert parse_row(markdown(tools="[]"), ROW).tools == ()
    assert parse_row("---\nmodel: x\ntools: []\n---\nBody", ROW).tools == ()


def test_tools_that_the_content_names_are_never_widened_by_the_row() -> None:
    content = "---\nmodel: opus\ntools:\n  - Read\n---\nBody"

    assert parse_row(content, {**ROW, "tools": "Read, Bash"}).tools == ("Read",)


def test_the_rows_name_wins_with_a_warning() -> None:
    definition = parse_row(markdown("header-name"), {"name": "row-name"})

    assert (definition.name, definition.file_path) == ("row-name", "registry://row-name")
    assert [warning.message for warning in definition.warnings] == [
        "the header names it 'header-name', its row 'row-name'"
    ]


def test_a_digest_is_that_of_the_content_as_it_is() -> None:
    content = "---\r\nmodel: x\r\n---\r\nBody"

    assert parse_row(content, ROW).digest == digest_of(content)


def test_a_warning_names_the_line_in_the_content_itself() -> None:
    content = "---\nmodel: one\nmodel: two\n---\nBody"

    (warning,) = parse_row(content, ROW).warnings

    assert warning.line in (2, 3)
    assert warning.path == "registry://scout"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("no header", NotAnAgent),
        ("", NotAnAgent),
        ("---\nname: scout\ndescription: never closed", DefinitionError),
        ("---\ndescription: a\0b\n---\n", DefinitionError),
        ("---\ndescription: half \udc00\n---\n", DefinitionError),
    ],
)
def test_a_row_does_not_mend_what_is_broken(content: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="registry://scout:"):
        parse_row(content, ROW)


def test_a_half_character_is_shown_with_its_place() -> None:
    with pytest.raises(DefinitionError, match=r"<text>:3:4: the character U\+D800 is half of one; write the whole"):
        parse_row("---\nname: x\nabc\ud800\n---\n")


def test_a_row_is_all_text() -> None:
    content = markdown(tools="Read, Bash(git log)", tags="[a, b]", version="1.10")

    row = to_row(parse(content), content)

    assert row == {
        "name": "scout",
        "description": "Looks around",
        "version": "1.10",
        "tags": "a,b",
        "tools": "Read, Bash(git log)",
        "content": content,
        "source": "registry",
    }
    assert list(row) == [column for column in COLUMNS if column != "model"]


def test_what_others_put_into_columns_is_read_as_text() -> None:
    columns = columns_of({"_id": 1, "name": "scout", "version": 2, "tags": ["a", "b"], "model": None, "content": "x"})

    assert columns == {"name": "scout", "version": "2", "tags": "a, b"}


@given(st.text(), st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=20)))
def test_whatever_a_row_holds_it_is_a_definition_or_one_of_two_errors(content: str, columns: dict[str, str]) -> None:
    for text in (content, f"---\n{content}\n---\n", f"---\nname: a\n{content}\n---\nbody"):
        try:
            definition = parse_row(text, columns)
        except (DefinitionError, NotAnAgent):
            continue
        assert definition.source == "registry"
        assert definition.digest == digest_of(text)


# -- markdown again -----------------------------------------------------------

WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t\u0085\u2028"), min_size=1, max_size=12
).filter(lambda text: text == text.strip())
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
LISTS = st.lists(NAMES, max_size=3, unique=True).map(tuple)
OPTIONAL = st.none() | NAMES


@example(AgentDefinition("scout", "next\u0085line", metadata={"team": "line\u2028end\x7f"}))
@given(
    st.builds(
        AgentDefinition,
        name=NAMES,
        description=WORDS,
        tools=st.none() | LISTS,
        disallowed_tools=LISTS,
        model=OPTIONAL,
        color=OPTIONAL,
        version=st.sampled_from([None, "1.10", "2.0.0", "true"]),
        tags=LISTS,
        priority=st.sampled_from([None, 8, "high"]),
        mcp_servers=LISTS,
        resource_limit=OPTIONAL,
        body=st.sampled_from(["", "You are.", "---\nstill the body", "a\n\nb"]),
        metadata=st.dictionaries(st.just("team") | st.just("odd key"), WORDS | st.lists(WORDS, max_size=2), max_size=2),
    )
)
def test_what_is_written_as_markdown_reads_as_the_same_definition(definition: AgentDefinition) -> None:
    again = parse(to_markdown(definition))

    assert said(again) == said(definition)
    assert said(parse(to_markdown(again))) == said(definition)


def said(definition: AgentDefinition) -> dict[str, Any]:
    """Everything but where it was read, and how the settings of servers were spelled."""
    where = {"digest", "file_path", "warnings", "source"}
    plain = {key: value for key, value in definition.to_dict().items() if key not in where}
    return {**plain, "metadata": {key: value for key, value in plain["metadata"].items() if key != "mcpServers"}}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_definition_that_is_written_again_says_the_same(path: Path) -> None:
    try:
        definition = parse(path.read_bytes(), path=str(path))
    except (DefinitionError, NotAnAgent):
        return

    assert said(parse(to_markdown(definition))) == said(definition)


def test_a_list_of_models_that_lies_in_the_metadata_is_written_back() -> None:
    text = "---\nname: scout\ndescription: Looks\nmodel: [a, b]\n---\nBody"
    definition = parse(text)

    again = parse(to_markdown(definition))

    assert again.metadata == definition.metadata
    assert again.model == definition.model
