"""One file: from bytes to a definition, by each of the rules."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentreg import RegistryError
from agentreg.extensions.definitions import AgentDefinition, DefinitionError, NotAnAgent, Problem, parse
from tests.extensions.definitions.texts import definition

needs_libyaml = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML alone needs a minute for a megabyte")
SHAPE = re.compile(r"^agent\.md:\d+:\d+: .+; .+$", re.DOTALL)


def header(*lines: str, body: str = "Do it.") -> str:
    return "\n".join(["---", *lines, "---", body])


def read(*lines: str, body: str = "Do it.") -> AgentDefinition:
    return parse(header("name: scout", "description: Looks around", *lines, body=body), path="agent.md")


def refused(data: bytes | str, path: str = "agent.md", family: str = "claude") -> Problem:
    with pytest.raises(DefinitionError) as caught:
        parse(data, path=path, family=family)
    assert str(caught.value) == str(caught.value.problem)
    assert caught.value.problem.severity == "error"
    return caught.value.problem


def no_agent(data: bytes | str, path: str = "agent.md") -> Problem:
    with pytest.raises(NotAnAgent) as caught:
        parse(data, path=path)
    return caught.value.problem


def only_warning(made: AgentDefinition) -> Problem:
    (warning,) = made.warnings
    assert warning.severity == "warning"
    assert SHAPE.match(str(warning))
    return warning


# -- the whole --------------------------------------------------------------


def test_every_field_has_its_place() -> None:
    made = parse(
        header(
            "name: api-specialist",
            "description: Integrates APIs",
            "tools: [Read, Write]",
            "disallowedTools: Bash, Task",
            "model: opus",
            "color: blue",
            "version: 1.10",
            "tags: api, http",
            "priority: 8",
            "mcp_servers: [context7, github]",
            "resource_limit: 1024mb",
            "conflict_resolution: merge",
            "specialization: api_integration",
            "permissionMode: plan",
            "deadline: 2024-08-14",
            body="\nYou are a specialist.\n\n",
        ),
        path="agent.md",
        source="project",
    )

    assert made.to_dict() == {
        "name": "api-specialist",
        "description": "Integrates APIs",
        "tools": ["Read", "Write"],
        "disallowed_tools": ["Bash", "Task"],
        "model": "opus",
        "color": "blue",
        "version": "1.10",
        "tags": ["api", "http"],
        "priority": 8,
        "mcp_servers": ["context7", "github"],
        "resource_limit": "1024mb",
        "conflict_resolution": "merge",
        "specialization": "api_integration",
        "body": "You are a specialist.",
        "metadata": {"permissionMode": "plan", "deadline": "2024-08-14"},
        "source": "project",
        "file_path": "agent.md",
        "digest": made.digest,
        "warnings": [],
        "family": "claude",
        "kind": "agent",
    }


def test_what_is_not_said_is_none_or_empty() -> None:
    made = read()

    assert made.tools is None
    assert made.model is made.color is made.version is made.priority is None
    assert made.disallowed_tools == made.tags == made.mcp_servers == ()
    assert made.metadata == {}


def test_the_digest_is_that_of_the_bytes() -> None:
    data = definition("scout").replace("\n", "\r\n").encode()

    assert parse(data).digest == hashlib.sha256(data).hexdigest()


def test_text_and_its_bytes_give_the_same() -> None:
    text = definition("späher")

    assert parse(text) == parse(text.encode())


def test_a_definition_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        read().name = "other"  # type: ignore[misc]


def test_equal_definitions_have_one_hash() -> None:
    assert len({read("tools: Read"), read("tools: Read")}) == 1


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no family 'cloude'; the families are .*'claude'"):
        parse(definition("scout"), family="cloude")


@pytest.mark.parametrize("kind", [DefinitionError, NotAnAgent])
def test_errors_are_registry_errors_and_value_errors(kind: type[Exception]) -> None:
    assert issubclass(kind, RegistryError)
    assert issubclass(kind, ValueError)


# -- 1: bytes ---------------------------------------------------------------


def test_a_byte_order_mark_is_dropped_with_a_warning() -> None:
    made = parse(b"\xef\xbb\xbf" + definition("scout").encode(), path="agent.md")

    assert made.name == "scout"
    assert "byte-order mark" in only_warning(made).message


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_are_fine(end: str) -> None:
    text = header("name: scout", "description: >", "  Looks", "  around", "tools: Read", body="One.\n\nTwo.")

    made = parse(text.replace("\n", end).encode(), path="agent.md")

    assert (made.name, made.description, made.tools) == ("scout", "Looks around", ("Read",))
    assert (made.body, made.warnings) == ("One.\n\nTwo.", ())


def test_a_byte_that_is_no_utf8_is_an_error_in_its_place() -> None:
    problem = refused("---\r\nname: scout\r\ndescription: grün".encode("latin-1") + b"\r\n---\r\n")

    assert (problem.line, problem.column) == (3, 16)
    assert "0xfc" in problem.message


def test_columns_count_characters_and_not_bytes() -> None:
    problem = refused("---\nname: späher ☀ ".encode() + b"\xff")

    assert (problem.line, problem.column) == (2, 16)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wider_encodings_are_an_error_that_names_them(encoding: str) -> None:
    problem = refused(definition("scout").encode(encoding))

    assert "UTF-16" in f"{problem.message} {problem.remedy}"
    assert problem.line == 1


def test_a_nul_is_an_error_in_its_place() -> None:
    problem = refused("---\nname: sc\0ut\ndescription: x\n---\n")

    assert (problem.line, problem.column, problem.message) == (2, 9, "the file has a NUL character")


def test_half_of_a_surrogate_pair_is_an_error_in_its_place() -> None:
    problem = refused("---\nname: x\ud800\ndescription: x\n---\n")

    assert (problem.line, problem.column) == (2, 8)


# -- 2: the header's two lines ----------------------------------------------


@pytest.mark.parametrize("closing", ["---", "...", "---  ", "...\t"])
@pytest.mark.parametrize("opening", ["---", "---   "])
def test_spaces_behind_the_dashes_are_allowed_and_dots_close(opening: str, closing: str) -> None:
    made = parse(f"{opening}\nname: scout\ndescription: Looks\n{closing}\nGo.")

    assert (made.name, made.body) == ("scout", "Go.")


def test_the_next_dashes_close_and_later_ones_are_the_bodys() -> None:
    assert parse(definition("scout", "One\n\n---\n\nTwo\n...")).body == "One\n\n---\n\nTwo\n..."


def test_a_header_may_end_the_file() -> None:
    assert parse("---\nname: scout\ndescription: Looks\n---").body == ""


def test_a_header_that_is_not_closed_is_an_error_at_its_beginning() -> None:
    problem = refused("---\nname: scout\ndescription: Looks\n\nBody")

    assert str(problem) == (
        "agent.md:1:1: the header that begins here is not closed; put a line --- below the last field"
    )


@pytest.mark.parametrize("row", ["----", "------------------  "])
def test_a_longer_row_of_dashes_is_hinted_at(row: str) -> None:
    problem = refused(f"---\nname: scout\ndescription: Looks\n{row}\nBody")

    assert problem.remedy == "line 4 is a longer row of dashes: shorten it to ---"


@pytest.mark.parametrize("text", ["", "\n", "# Read me\n", "----\nname: scout\n----\n", "--- yes\n", "name: scout\n"])
def test_a_file_without_a_header_is_no_agent(text: str) -> None:
    problem = no_agent(text)

    assert (problem.severity, problem.line, problem.column) == ("information", 1, 1)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("\n\n---\nname: scout\n---\n", 3, 1),
        ("  ---\n  name: scout\n  ---\n", 1, 3),
        ("# Scout\n\n---\nname: scout\ndescription: x\n---\n", 3, 1),
        ("<!-- by hand -->\n---\n\ndescription: x\n---\n", 2, 1),
    ],
)
def test_a_header_that_starts_later_or_indented_is_no_agent_with_a_warning(text: str, line: int, column: int) -> None:
    problem = no_agent(text)

    assert (problem.severity, problem.line, problem.column) == ("warning", line, column)


def test_an_example_in_a_code_block_is_no_late_header() -> None:
    assert no_agent("# How to\n\n```markdown\n---\nname: scout\n---\n```\n").severity == "information"


@pytest.mark.parametrize("inside", ["just text", "- a\n- b", "[a, b]", "|\n  x"])
def test_a_header_that_is_no_mapping_is_no_agent_with_a_warning(inside: str) -> None:
    assert no_agent(f"---\n{inside}\n---\nBody").severity == "warning"


def test_an_empty_header_is_no_agent() -> None:
    assert no_agent("---\n---\nBody").severity == "information"


def test_the_bodys_first_line_keeps_its_indentation() -> None:
    assert parse("---\nname: a\ndescription: b\n---\n\n \n    code\n\ntext\n\n").body == "    code\n\ntext"


# -- 3: strict YAML ---------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["on", "no", "yes", "True", "null", "1.10", "0x1F", "1_000", "12:30:45", "2024-08-14", "1e3", "007", ".inf", "="],
)
def test_scalars_stay_as_they_are_written(written: str) -> None:
    made = parse(
        header(
            f"name: {written}", f"description: {written}", f"version: {written}", f"color: {written}", f"x: {written}"
        )
    )

    assert (made.name, made.description, made.version, made.color) == (written,) * 4
    assert made.metadata == {"x": written}


def test_nested_values_stay_as_they_are_written() -> None:
    made = read("hooks:", "  pre: [on, 1.10]", "  2: {a: ~}")

    assert made.metadata == {"hooks": {"pre": ["on", "1.10"], "2": {"a": "~"}}}


@pytest.mark.parametrize(
    ("written", "priority"), [("8", 8), ("-1", -1), ("high", "high"), ("08", "08"), ("1.5", "1.5")]
)
def test_a_priority_is_a_whole_number_or_text(written: str, priority: int | str) -> None:
    assert read(f"priority: {written}").priority == priority


def test_a_duplicate_key_warns_with_both_lines_and_the_last_wins() -> None:
    made = read("tools: Read", "model: opus", "tools: Grep")

    warning = only_warning(made)
    assert made.tools == ("Grep",)
    assert (warning.line, warning.column) == (6, 1)
    assert "line 4 and in line 6" in warning.message


def test_a_duplicate_key_deep_inside_warns_too() -> None:
    made = read("hooks:", "  pre: a", "  pre: b")

    assert made.metadata == {"hooks": {"pre": "b"}}
    assert (only_warning(made).line, only_warning(made).column) == (6, 3)


def test_two_spellings_of_one_field_warn_and_the_last_wins() -> None:
    made = read("disallowedTools: Bash", "disallowed_tools: Read")

    assert made.disallowed_tools == ("Read",)
    assert "mean the same" in only_warning(made).message


def test_an_alias_is_its_value() -> None:
    assert read("tools: &t [Read, Grep]", "disallowedTools: *t").disallowed_tools == ("Read", "Grep")


def bomb(levels: int) -> list[str]:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return lines + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]


@pytest.mark.parametrize("levels", [6, 20])
def test_aliases_that_expand_without_bound_are_refused(levels: int) -> None:
    problem = refused(header("name: scout", "description: x", *bomb(levels)))

    assert "makes the aliases longer than 100,000 characters" in problem.message
    assert problem.line > 4


def test_a_few_aliases_are_no_bomb() -> None:
    assert parse(header("name: scout", "description: x", *bomb(3))).name == "scout"


def test_an_alias_to_itself_is_refused() -> None:
    assert "contains itself" in refused(header("name: scout", "description: x", "a: &a [*a]")).message


@needs_libyaml
@pytest.mark.parametrize("opening", ["[", "{a: ", "[{a: "])
def test_deep_nesting_is_refused(opening: str) -> None:
    problem = refused(header("name: scout", "description: x", f"a: {opening * 100_000}"))

    assert "more than 50 deep" in problem.message


def test_a_merge_key_is_refused_since_it_may_hold_rights() -> None:
    problem = refused(header("name: scout", "description: x", "base: &b {tools: Read}", "<<: *b"))

    assert "merge key" in problem.message


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!mine", "!!binary"])
def test_no_tag_makes_an_object(tag: str) -> None:
    made = read(f"hooks: {tag} [echo]")

    assert "could not determine a constructor" in only_warning(made).message
    assert made.metadata == {"hooks": f"{tag} [echo]"}


def test_a_template_that_is_no_valid_key_stays_text() -> None:
    assert parse(header("name: scout", "description: {{ what }}")).description == "{{ what }}"


@pytest.mark.parametrize(
    ("key", "known"), [("Tools", "tools"), ("disallowed tools", "disallowed-tools"), ("NAME", "name")]
)
def test_a_key_that_looks_like_a_known_one_is_kept_with_a_warning(key: str, known: str) -> None:
    made = read(f"{key}: Read")

    assert made.metadata == {key: "Read"}
    assert made.tools is None
    assert "kept as it is" in only_warning(made).message
    assert known.replace("-", "") in only_warning(made).remedy.replace("-", "").replace("_", "")


# -- 4: line by line --------------------------------------------------------


def test_prose_with_colons_is_read_line_by_line_with_yamls_own_words() -> None:
    made = parse(header("name: scout", "description: Use it: often", "tools: Read"), path="agent.md")

    warning = only_warning(made)
    assert (made.description, made.tools) == ("Use it: often", ("Read",))
    assert (warning.line, warning.column) == (3, 20)
    assert "(mapping values are not allowed " in warning.message


def test_lines_of_a_conversation_are_prose() -> None:
    made = parse(
        header(
            "name: scout",
            "description: Use it. Examples:",
            "Context: The user is lost.",
            'user: "Where am I?"',
            "assistant: I'll ask the scout: now.",
            "<commentary>",
            "  Indented.",
            "</commentary>",
            "model: opus",
            "color: red",
        )
    )

    assert made.description == (
        'Use it. Examples:\nContext: The user is lost.\nuser: "Where am I?"\nassistant: I\'ll ask the scout: now.\n'
        "<commentary>\n  Indented.\n</commentary>"
    )
    assert (made.model, made.color) == ("opus", "red")


@pytest.mark.parametrize(("style", "text"), [("|", "One: two\nThree: four"), (">", "One: two Three: four")])
def test_block_scalars_are_honoured_line_by_line(style: str, text: str) -> None:
    made = parse(header("name: scout", f"description: {style}", "  One: two", "  Three: four", "color: a: b"))

    assert (made.description, made.color) == (text, "a: b")


def test_a_key_inside_a_block_scalar_is_prose() -> None:
    made = parse(header("name: scout", "description: |", "  tools: Read", "  name: other", "color: a: b"))

    assert (made.name, made.description, made.tools) == ("scout", "tools: Read\nname: other", None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"Quoted: yes"', "Quoted: yes"),
        ("'Quoted: yes'", "Quoted: yes"),
        ('"He said "hi": once"', 'He said "hi": once'),
        ('"Quoted": then not', '"Quoted": then not'),
        ('not: "quoted"', 'not: "quoted"'),
        ('"', '"'),
        ("'a\"", "'a\""),
    ],
)
def test_a_value_is_unquoted_only_when_quoted_at_both_ends(written: str, meant: str) -> None:
    made = parse(header("name: scout", f"description: {written}", "color: a: b"))

    assert made.description == meant


def test_a_name_repeated_in_prose_does_not_count() -> None:
    made = parse(
        header("name: scout", "description: Use it: often", "name: other", "description: another", "tools: Read"),
        path="agent.md",
    )

    assert (made.name, made.tools) == ("scout", ("Read",))
    assert made.description == "Use it: often\nname: other\ndescription: another"
    assert [warning.line for warning in made.warnings] == [3, 4, 5]
    assert "the first one counts" in made.warnings[1].message


def test_a_description_repeated_below_tools_does_not_become_a_tool() -> None:
    made = parse(
        header("name: scout", "description: a: b", "tools: Read", "description: and so on", "more", "model: m")
    )

    assert (made.tools, made.description, made.model) == (("Read",), "a: b", "m")


def test_lists_and_mappings_are_still_read_as_such() -> None:
    made = parse(
        header("name: scout", "description: a: b", "tools:", "  - Read", "  - 'Bash(git *)'", "hooks:", "  pre: [x, y]")
    )

    assert made.tools == ("Read", "Bash(git *)")
    assert made.metadata == {"hooks": {"pre": ["x", "y"]}}


def test_unknown_keys_behind_other_fields_are_kept() -> None:
    made = parse(header("title: The Scout", "name: scout", "description: a: b", "model: opus", "role: helper"))

    assert made.model == "opus"
    assert made.metadata == {"title": "The Scout", "role": "helper"}


def test_a_tab_is_no_yaml_and_is_read_line_by_line() -> None:
    made = parse("---\nname:\tscout\ndescription:\tLooks\ntools:\n\t- Read\n\t- Grep\n---\nGo.", path="agent.md")

    assert (made.name, made.description, made.tools) == ("scout", "Looks", ("Read", "Grep"))
    assert "no valid YAML" in only_warning(made).message


def test_a_control_character_is_named() -> None:
    made = parse(header("name: scout", "description: a\x07b"), path="agent.md")

    warning = only_warning(made)
    assert (warning.line, warning.column) == (3, 15)
    assert "U+0007" in warning.message


def test_a_header_without_any_known_key_is_no_agent() -> None:
    assert no_agent("---\nDear: all: of you\n---\n").severity == "information"


# -- 5: fail closed ---------------------------------------------------------


@pytest.mark.parametrize("key", ["tools", "disallowedTools", "permissionMode", "disallowed_tools", "'tools'"])
@pytest.mark.parametrize("indent", [" ", "    ", "\t", "  - ", "\u00a0"])
def test_an_indented_key_that_takes_rights_away_is_never_swallowed(key: str, indent: str) -> None:
    problem = refused(header("name: scout", "description: Use it: often", f"{indent}{key}: Read"))

    assert problem.line == 4
    assert "would be lost in the text of 'description'" in problem.message


def test_it_is_refused_below_any_other_field_and_before_the_first() -> None:
    assert "'color'" in refused(header("name: a", "description: b: c", "color: red", "  tools: Read")).message
    assert "before the first" in refused(header("x: y: z", "  tools: Read", "name: a", "description: b")).message


def test_it_is_refused_where_a_block_scalar_has_ended() -> None:
    problem = refused(header("name: scout", "description: |", "    Looks", "  tools: Read"))

    assert problem.line == 5


def test_a_key_without_a_space_behind_the_colon_is_not_swallowed() -> None:
    made = parse(header("name: scout", "description: Looks", "tools:Read"))

    assert made.tools == ("Read",)


@pytest.mark.parametrize("key", ["tools", "permissionMode"])
def test_of_two_that_take_rights_away_none_is_guessed(key: str) -> None:
    problem = refused(header("name: scout", "description: Use it: often", f"{key}: a", f"{key}: b"))

    assert problem.line == 5
    assert "line 4 and again in line 5" in problem.message


def test_another_key_that_comes_twice_warns_and_the_last_wins_line_by_line_too() -> None:
    made = parse(header("name: scout", "description: Use it: often", "model: a", "color: red", "model: b"))

    assert (made.model, made.color) == ("b", "red")
    assert "line 4 and again in line 6; the last one counts" in made.warnings[1].message


def test_of_very_many_warnings_the_first_are_kept() -> None:
    made = read("hooks:", *["  pre: a"] * 1000)

    assert len(made.warnings) == 101
    assert made.warnings[-1].message == "there are more than 100 warnings"


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_what_yaml_takes_for_the_end_of_a_line_hides_no_key(end: str) -> None:
    made = parse(header("name: scout", f"description: a: b{end}tools: Read"))

    assert (made.description, made.tools) == ("a: b", ("Read",))
    assert "would be lost" in refused(header("name: scout", f"description: a: b{end} tools: Read")).message


def test_lines_below_tools_that_are_no_list_are_refused() -> None:
    problem = refused(header("name: scout", "description: a: b", "tools: Read", "and so on"))

    assert "neither a list nor one line" in problem.message


def test_items_that_are_no_yaml_are_still_items() -> None:
    made = parse(header("name: scout", "description: x", "tools:", "  - Read", "  - *", "  -\t'mcp__*'"))

    assert made.tools == ("Read", "*", "mcp__*")


def test_an_item_of_many_spaces_takes_no_time() -> None:
    made = parse(header("name: scout", "description: x", "tools:", "  - *", f"  - a{' ' * 1_000_000}b"))

    assert made.tools is not None
    assert len(made.tools[1]) == 1_000_002


@pytest.mark.parametrize("written", ["tools:", "tools: []", "tools: ''", "tools: ~", "tools: null", "tools: ' , '"])
def test_empty_tools_are_none_at_all_with_a_warning(written: str) -> None:
    made = read(written)

    assert made.tools == ()
    assert "may use no tool" in only_warning(made).message
    assert not made.allows("Read")


@pytest.mark.parametrize(
    "written", ["tools: {Read: true}", "tools: [{a: b}]", "tools: [[a]]", "disallowedTools: {a: b}"]
)
def test_tools_of_another_form_are_refused(written: str) -> None:
    problem = refused(header("name: scout", "description: x", written))

    assert (problem.line, problem.column) == (4, 1)


# -- 6: lists of tools ------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "tools"),
    [
        ("Read, Grep", ("Read", "Grep")),
        ("Read,Grep,", ("Read", "Grep")),
        ("Agent(a, b), Bash(git push *)", ("Agent(a, b)", "Bash(git push *)")),
        ("Bash(echo (a, b), c), Read", ("Bash(echo (a, b), c)", "Read")),
        ("mcp__x[a, b], Read", ("mcp__x[a, b]", "Read")),
        ("'\"Read, all\", Grep'", ("Read, all", "Grep")),
        ("Bash(don't, do), Read", ("Bash(don't, do)", "Read")),
        ('\'["Read", "Grep"]\'', ("Read", "Grep")),
        ("\"['Read', 'Bash(a, b)']\"", ("Read", "Bash(a, b)")),
        ("'[]'", ()),
        ("'*'", ("*",)),
        ("Bash(git, Read", ("Bash(git, Read",)),
        ("[Read, 'Agent(a, b)']", ("Read", "Agent(a, b)")),
        ("[Read, '']", ("Read",)),
        ("mcp__a__b, serena/*", ("mcp__a__b", "serena/*")),
    ],
)
def test_tools_are_split_where_they_end(written: str, tools: tuple[str, ...]) -> None:
    assert read(f"tools: {written}").tools == tools


@given(st.lists(st.from_regex(r"[A-Za-z_]{1,8}(\([a-z *]{1,5}(, [a-z*]{1,4})*\))?", fullmatch=True), min_size=1))
def test_tools_that_are_joined_are_split_again(tools: list[str]) -> None:
    tools = [tool.strip() for tool in tools]

    assert read(f"tools: {', '.join(tools)}").tools == tuple(tools)
    assert read(f"tools: {json.dumps(tools)}").tools == tuple(tools)
    assert read(f"tools: '{json.dumps(tools)}'").tools == tuple(tools)


def test_a_list_of_models_stays_as_written() -> None:
    made = read("model: [gpt-4.1, 'Claude Sonnet 4']")

    assert made.model is None
    assert made.metadata == {"model": ["gpt-4.1", "Claude Sonnet 4"]}
    assert made.warnings == ()


def test_servers_are_named_and_their_settings_kept() -> None:
    made = read("mcpServers:", "  - github", "  - local: {command: run}")

    assert made.mcp_servers == ("github", "local")
    assert made.metadata == {"mcpServers": ["github", {"local": {"command": "run"}}]}


@pytest.mark.parametrize("key", ["color", "version", "tags", "priority"])
def test_a_value_of_another_form_is_kept_with_a_warning(key: str) -> None:
    made = read(f"{key}: {{a: b}}")

    assert made.metadata == {key: {"a": "b"}}
    assert "is a mapping" in only_warning(made).message


# -- 7: name, description, body ---------------------------------------------


@pytest.mark.parametrize(("path", "name"), [("a/scout.agent.md", "scout"), ("plan.v2.chatmode.md", "plan.v2")])
def test_some_files_give_the_name_themselves(path: str, name: str) -> None:
    made = parse("---\ndescription: Looks around\n---\nGo.", path=path)

    assert made.name == name
    assert "the name is missing" in made.warnings[0].message


def test_a_file_whose_name_is_nothing_but_the_ending_gives_no_name() -> None:
    assert "no name" in no_agent("---\ndescription: Looks around\n---\nGo.", ".agent.md").message


def test_a_description_alone_is_no_agent() -> None:
    assert no_agent("---\ndescription: A page\ntitle: Page\n---\n").severity == "information"


@pytest.mark.parametrize("fields", [["name: scout"], ["name: scout", "description:"], ["name: a", "description: ' '"]])
def test_a_missing_description_is_an_error(fields: list[str]) -> None:
    assert "description" in refused(header(*fields)).message


@pytest.mark.parametrize("written", ["[a]", "{a: b}", "''"])
def test_a_name_that_is_no_text_is_an_error(written: str) -> None:
    assert "'name'" in refused(header(f"name: {written}", "description: x")).message


@pytest.mark.parametrize("name", ["a/b", "a\\b", "C:x", '"a\\tb"', '"a\\nb"', '"a\\0"', "../../etc/passwd"])
def test_a_name_that_no_file_may_have_loads_with_a_warning(name: str) -> None:
    made = parse(header(f"name: {name}", "description: x"), path="agent.md")

    assert "which no file's name may" in only_warning(made).message
    assert made.file_path == "agent.md"


def test_an_empty_body_is_a_warning_below_the_header() -> None:
    warning = only_warning(parse(header("name: scout", "description: x", body=" \n\n"), path="agent.md"))

    assert (warning.line, "the body is empty" in warning.message) == (5, True)


# -- TOML -------------------------------------------------------------------

TOML = 'name = "reviewer"\ndescription = "Reviews"\ndeveloper_instructions = """\nLook twice.\n"""\n'


def test_codex_agents_are_toml() -> None:
    made = parse(
        TOML
        + 'model = "gpt-5"\nsandbox_mode = "read-only"\nseen = 2024-08-14\nodd = [inf, nan]\n[mcp_servers.docs]\nurl = "http://x"\n',
        family="codex",
        path="r.toml",
    )

    assert (made.name, made.description, made.body, made.model) == ("reviewer", "Reviews", "Look twice.", "gpt-5")
    assert made.mcp_servers == ("docs",)
    assert made.metadata == {
        "sandbox_mode": "read-only",
        "seen": "2024-08-14",
        "odd": ["inf", "nan"],
        "mcp_servers": {"docs": {"url": "http://x"}},
    }
    assert json.loads(json.dumps(made.to_dict()))["family"] == "codex"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('name = "a"\nb = = 1\n', 2, "the file is no TOML"),
        ('name = "a', 1, "the file is no TOML"),
        ('name = "a"\ndescription = "b"\n', 1, "'developer_instructions' is missing"),
        ('name = "a"\ndescription = "b"\ndeveloper_instructions = 1\n', 3, "'developer_instructions' is no text"),
        ('description = "b"\ndeveloper_instructions = "c"\n', 1, "the name is missing"),
        ('name = "a"\ndeveloper_instructions = "c"\n', 1, "the description is missing"),
        ("a = " + "[" * 5000, 1, "the file is no TOML"),
        ("a" + ".a" * 100 + " = 1", 1, "more than 50 dots"),
        ("a = " + "9" * 10_000, 1, "the file is no TOML"),
    ],
)
def test_broken_toml_is_an_error_in_its_place(text: str, line: int, message: str) -> None:
    problem = refused(text, "r.toml", "codex")

    assert problem.line == line
    assert message in problem.message


def test_dots_inside_texts_are_no_long_key() -> None:
    prose = "see a.py, " * 100

    made = parse(f"name = 'a'\ndescription = \"{prose}\"\ndeveloper_instructions = '''{prose}'''\n", family="codex")

    assert made.description == prose.strip()


# -- whatever comes ---------------------------------------------------------

LINES = st.sampled_from(
    [
        *(
            "---",
            "...",
            "name: a",
            "description: b",
            "description: a: b",
            "tools:",
            "  - Read",
            "- x",
            "tools: [a",
            "|",
        ),
        *(
            "  tools: x",
            "model: &m opus",
            "x: *m",
            "user: hi",
            "? a",
            "{",
            "}",
            "[",
            "'",
            '"',
            "\t",
            "",
            "#",
            ": :",
            "!!x y",
        ),
        *("description: |", "  block", "name: 'x", "\u2028", "\x85", "\x07", "%YAML 1.1", "<<: *m", "\\", "----"),
    ]
)


def survives(data: bytes | str, path: str = "agent.md", family: str = "claude") -> None:
    """It gives a definition, or one of the two errors, and says everything in the right form."""
    try:
        made = parse(data, path=path, family=family)
    except (DefinitionError, NotAnAgent) as error:
        well_said(error.problem, str(error), path)
        return
    assert made.name
    assert made.description
    json.dumps(made.to_dict(), allow_nan=False).encode()
    for warning in made.warnings:
        well_said(warning, str(warning), path)


def well_said(problem: Problem, text: str, path: str) -> None:
    assert text.startswith(f"{path}:{problem.line}:{problem.column}: ")
    assert min(problem.line, problem.column) >= 1
    assert problem.message
    assert problem.remedy


@given(st.lists(LINES, max_size=12).map("\n".join))
@settings(max_examples=300, deadline=None)
@example("name: a\ndescription: b: c\n? x")
def test_any_lines_in_a_header_give_a_definition_or_an_error_of_ours(lines: str) -> None:
    survives(f"---\n{lines}\n---\nBody")


@given(st.binary(max_size=200), st.sampled_from(["claude", "codex", "opencode", "copilot"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_definition_or_an_error_of_ours(data: bytes, family: str) -> None:
    survives(data, family=family)
    survives(b"---\nname: a\n" + data + b"\n---\n", family=family)


@given(st.text(max_size=100))
@settings(max_examples=200, deadline=None)
def test_any_text_as_a_description_gives_a_definition_or_an_error_of_ours(text: str) -> None:
    survives(f"---\nname: a\ndescription: {text}\n---\n")


FLOODS = [
    *("[", "{", "- ", "a: b\n", "x\n", "'", '"', "&a ", "*a ", "? ", "a: [", "tools: x\n", " ", "\n", "#", "---\n"),
    *(
        "```\n---\n",
        "a.",
        '"""\\',
        "(",
        "a, ",
        "!a ",
        "\t",
        "description: |\n ",
        "\u2028",
        "%",
        "|",
        "name: a: b\n",
        "é",
    ),
]


@needs_libyaml
@pytest.mark.parametrize("family", ["claude", "codex"])
@pytest.mark.parametrize("unit", FLOODS)
def test_a_megabyte_of_anything_gives_a_definition_or_an_error_of_ours(unit: str, family: str) -> None:
    flood = unit * (1_000_000 // len(unit))

    survives(f"---\nname: a\ndescription: b\nx: {flood}\n---\n", family=family)
    survives(f"---\nname: a\ndescription: b: {flood}\n---\n", family=family)
    survives(f"---\n{flood}", family=family)
    survives(flood, family=family)
