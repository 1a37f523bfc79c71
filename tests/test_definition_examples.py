"""Definitions as they are described: the programs in examples/definitions/, and the tables of the documentation."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="definitions need PyYAML: pip install 'agentreg[definitions]'")

from agentreg.extensions import definitions
from agentreg.extensions.definitions import FAMILIES, AgentDefinition, DefinitionError, Family, parse

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted((ROOT / "examples" / "definitions").glob("*.py"))
REFERENCE = ROOT / "docs" / "reference"
LIMIT = 60  # seconds; alone on a machine each takes one


def _rows(page: Path, first: str) -> list[list[str]]:
    """The rows of the table on *page* whose head begins with *first*."""
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            table = itertools.takewhile(lambda row: row.startswith("|"), lines)
            return [[cell.strip() for cell in row[1:-1].split("|")] for row in table]
    raise AssertionError(f"no table begins with {first}")


# -- the programs -------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_an_example_runs_and_prints_what_it_says(program: Path, tmp_path: Path) -> None:
    if program.stem == "3_hot_reload":
        pytest.importorskip("watchfiles")
    docstring = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    head, _, promised = docstring.partition("It prints:\n")
    command = [sys.executable, "-X", "utf8", "-W", "error", str(program)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT)

    assert (done.returncode, done.stderr) == (0, "")
    assert head.strip()
    assert done.stdout.splitlines() == textwrap.dedent(promised.strip("\n")).splitlines()
    assert list(tmp_path.iterdir()) == []


def test_there_is_an_example_for_each_task() -> None:
    assert [program.stem[2:] for program in PROGRAMS] == ["load_agents", "keep_versions", "hot_reload"]


# -- the formats --------------------------------------------------------------


def _row(family: Family) -> list[str]:
    project = f"`{family.project}`" + (" of the nearest ancestor" if family.ancestors else "")
    user = f"`~/{family.user}`" if family.user else ""
    files = f"`*{family.suffix}`" + "".join(f", but `{each}*`" for each in family.ignored if each != ".")
    return [f"`{family.name}`", project, user, files, "yes" if family.recursive else "no"]


def test_the_table_of_formats_shows_the_families_as_they_are() -> None:
    rows = _rows(REFERENCE / "definition-formats.md", "family")

    assert [row[:-1] for row in rows] == [_row(family) for family in FAMILIES.values()]
    for row, family in zip(rows, FAMILIES.values(), strict=True):
        assert ("TOML" in row[-1]) == (family.form == "toml")
        assert ("templates" in row[-1]) == (family.kind == "template")
        assert ("file's name" in row[-1]) == family.named_by_file


FIELDS = {row[0]: row[1] for row in _rows(REFERENCE / "definition-formats.md", "field of `AgentDefinition`")}
KEYS = [
    (fields.strip("`"), key)
    for fields, keys in FIELDS.items()
    for key in re.findall(r"`([\w-]+)`", keys)
    if fields.count("`") == 2
]


def test_the_table_of_fields_names_them_all() -> None:
    named = [field for fields in FIELDS for field in re.findall(r"`(\w+)`", fields)]

    assert sorted(named) == sorted(AgentDefinition.__dataclass_fields__)


@pytest.mark.parametrize(("field", "key"), KEYS)
def test_a_key_in_the_table_of_fields_means_that_field(field: str, key: str) -> None:
    header = {"name": "scout", "description": "Looks", key: "found"}
    lines = "\n".join(f"{each}: {value}" for each, value in header.items())

    value = getattr(parse(f"---\n{lines}\n---\nLook."), field)

    assert value in ("found", ("found",))


# -- the rules ----------------------------------------------------------------

BEFORE_AND_AFTER = _rows(ROOT / "docs" / "explanation" / "definitions.md", "before")


def _with(cell: str) -> str:
    """A definition in which the line of *cell* stands, in the place of the one with the same key."""
    line = next(iter(re.findall(r"`([^`]+)`", cell)), "")
    key = line.partition(":")[0].lower()
    if line and not line.strip("-"):
        return f"---\nname: scout\ndescription: Looks\n{line}\nLook."
    header = [each for each in ("name: scout", "description: Looks") if each.partition(":")[0] != key]
    return "\n".join(["---", *header, *([line] if line else []), "---", "Look."])


@pytest.mark.parametrize(("before", "after"), BEFORE_AND_AFTER, ids=[row[0] for row in BEFORE_AND_AFTER])
def test_a_common_mistake_is_noticed_and_its_remedy_is_not(before: str, after: str) -> None:
    try:
        noticed = bool(parse(_with(before)).warnings)
    except DefinitionError:
        noticed = True

    assert noticed
    assert not parse(_with(after)).warnings


# -- the architecture ---------------------------------------------------------


def test_every_module_of_the_catalog_has_its_place_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    house = re.split(r"\n##+ ", text.partition("### The catalog\n")[2])[0]
    package = Path(definitions.__file__).parent

    modules = {path.name for path in package.rglob("*.py")} - {"__init__.py"}
    floors = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}

    assert {name for name in modules | floors if f"`{name}`" in house} == modules | floors
    assert set(re.findall(r"`(\w+\.py|\w+/)`", house)) == modules | floors


def test_every_public_name_of_definitions_is_in_the_reference() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in REFERENCE.glob("defin*.md"))

    assert [name for name in definitions.__all__ if not re.search(rf"\b{name}\b", pages)] == []
