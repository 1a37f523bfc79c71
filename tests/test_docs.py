"""The documentation is true: its code runs, its links lead somewhere, its facts are those of the package.

What a page's Python blocks mean: they run in order and share their names; a test that one defines is called. A
``text`` block right behind one is what it prints. ``<!-- skip: reason -->`` before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import re
import runpy
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import agentreg
import agentreg.extensions
import agentreg.testing
from agentreg import AgentRegistry
from agentreg.cli import main
from agentreg.testing import isolated_registry

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
SHELLS = {"sh", "bash", "console"}
SKIPPED_AT_MOST = 4
# Parts of which the whole has an example, and what tests replace.
BENEATH = {"CapabilityIndex", "clock"}

FENCE = re.compile(r"^ *```(?P<language>[\w.+-]*)")
SKIP = re.compile(r"^ *<!-- skip: (?P<reason>.+) -->$")
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)|(?:src|href)=\"(?P<html>[^\"]+)\"")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?)(?: +\{#(?P<id>[\w-]+)\})?$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: where its first line is, and what stands in it."""

    page: Path
    line: int
    language: str
    text: str
    skip: str | None
    after: bool  # whether it stands right behind the block before

    def __str__(self) -> str:
        return f"{_id(self.page)}:{self.line}"


def _id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _blocks(page: Path) -> Iterator[Block]:
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    skip, after = None, False
    for number, line in lines:
        fence = FENCE.match(line)
        if fence is not None:
            indent = line.index("`")
            body = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner[indent:])
            yield Block(page, number + 1, fence["language"], "\n".join(body) + "\n", skip, after)
            skip, after = None, True
        elif line.strip():
            comment = SKIP.match(line)
            skip, after = (comment["reason"] if comment else None), False


BLOCKS = {page: list(_blocks(page)) for page in PAGES}
CODE = [block for blocks in BLOCKS.values() for block in blocks if block.language == "python"]
SKIPPED = [block for block in CODE if block.skip]
WITH_CODE = [page for page in PAGES if any(block.page == page for block in CODE)]


def _prose(page: Path) -> str:
    """The page without its fenced blocks."""
    kept, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


# -- code -------------------------------------------------------------------


@pytest.mark.parametrize("page", WITH_CODE, ids=_id)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    printed, origin = "", ""

    with isolated_registry():
        for block in BLOCKS[page]:
            if block.language == "python" and not block.skip:
                # the line numbers of a traceback are then those of the page
                code = compile("\n" * (block.line - 1) + block.text, _id(page), "exec")
                known = set(names)
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(code, names)
                    for test in [
                        value for name, value in names.items() if name.startswith("test_") and name not in known
                    ]:
                        _call_test(test)
                printed, origin = out.getvalue(), str(block)
            elif block.language == "text" and block.after:
                assert printed == block.text, f"what {origin} prints"
        names.clear()


def _call_test(test: Any) -> None:
    """Call a test that a page shows, with the one fixture that pages speak of."""
    with isolated_registry():
        test(
            **(
                {"isolated_registry": AgentRegistry}
                if "isolated_registry" in inspect.signature(test).parameters
                else {}
            )
        )


def test_few_blocks_are_left_out_and_each_for_a_reason() -> None:
    assert len(SKIPPED) <= SKIPPED_AT_MOST, [str(block) for block in SKIPPED]
    assert all(block.skip and len(block.skip.split()) >= 3 for block in SKIPPED)


def test_a_page_is_read_as_blocks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n<!-- skip: it needs a network -->\n```python\n1\n```\n\n```text\n2\n```\nb\n```sh\n3\n```\n"
    )

    blocks = [(b.line, b.language, b.text, b.skip, b.after) for b in _blocks(page)]

    assert blocks == [
        (5, "python", "1\n", "it needs a network", False),
        (9, "text", "2\n", None, True),
        (13, "sh", "3\n", None, False),
    ]


# -- commands ---------------------------------------------------------------


def _commands() -> Iterator[tuple[str, list[str]]]:
    for page, blocks in BLOCKS.items():
        for block in blocks:
            if block.language in SHELLS:
                for line in block.text.splitlines():
                    words = shlex.split(line.removeprefix("$ "), comments=True)
                    yield str(block), words
        for span in re.findall(r"`((?:make|agentreg) [^`]+)`", _prose(page)):
            yield _id(page), shlex.split(span)


def _options(words: list[str]) -> list[str]:
    return [word.split("=")[0] for word in words if word.startswith("--")]


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    named = {(where, words[1]) for where, words in _commands() if words[:1] == ["make"]}

    assert {target for _, target in named} >= {"demo", "test"}
    assert not {(where, target) for where, target in named if target not in targets}


def test_commands_that_are_named_exist_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    named = [(where, words[1:]) for where, words in _commands() if words[:1] == ["agentreg"]]
    assert "demo" in {words[0] for _, words in named}

    for where, words in named:
        verb = [] if words[0].startswith("-") else words[:1]
        code = main([*verb, "--help"])
        text = capsys.readouterr().out
        assert code == 0, f"{where}: agentreg {words[0]}"
        for option in _options(words):
            assert option in text, f"{where}: agentreg {words[0]} {option}"


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    commands = re.findall(r"^ {4}([a-z][a-z-]*) ", capsys.readouterr().out, re.MULTILINE)

    readme, reference = (ROOT / "README.md").read_text(encoding="utf-8"), _prose(DOCS / "reference" / "cli.md")

    assert commands
    for command in commands:
        assert f"agentreg {command}" in readme
        assert f"agentreg {command}" in reference


# -- links ------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    found = set()
    for line in _prose(page).splitlines():
        heading = HEADING.match(line)
        if heading is not None:
            words = re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading["text"])).strip().lower()
            found.add(heading["id"] or re.sub(r"\s", "-", words))
    return found


def _exists(dotted: str) -> bool:
    try:
        return pkgutil.resolve_name(dotted) is not None
    except (ImportError, AttributeError):
        return False


def _shown(page: Path) -> list[str]:
    """The modules whose docstrings a page of the reference shows."""
    return re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(_prose(page)):
        target = match["target"] or match["html"]
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.is_file(), target
        if anchor.startswith("agentreg."):
            module = max((m for m in _shown(goal) if anchor.startswith(m)), key=len, default=None)
            assert module is not None, f"{target}: the page shows no such module"
            assert _exists(anchor), target
        elif anchor:
            assert anchor in _anchors(goal), target


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))

    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


# -- the reference ----------------------------------------------------------


def test_every_public_name_is_in_the_reference() -> None:
    contents = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")

    missing = [name for name in agentreg.__all__ if f"`{name}`" not in contents]

    assert not missing


def test_every_module_has_a_page_in_the_reference() -> None:
    pages = list((DOCS / "reference").glob("*.md"))
    shown = {module for page in pages for module in _shown(page)}

    modules = {module.name for module in pkgutil.iter_modules(agentreg.__path__, "agentreg.") if not module.ispkg}
    extensions = {module.name for module in pkgutil.iter_modules(agentreg.extensions.__path__, "agentreg.extensions.")}

    assert (modules | extensions) - {"agentreg.__main__"} == shown


def test_every_public_function_is_used_in_an_example_that_runs() -> None:
    code = [block.text for block in CODE if not block.skip]
    code += [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")]
    code += [example.source for module in _user_modules() for example in _doctests(module)]
    used = set(re.findall(r"\b(\w+)\(", "\n".join(code)))

    unused = [name for module in _user_modules() for name in _functions(module) if name.split(".")[-1] not in used]

    assert not unused


def _user_modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(agentreg.extensions.__path__, "agentreg.extensions.")]
    return [agentreg, agentreg.testing, *map(importlib.import_module, names)]


def _doctests(module: ModuleType) -> Iterator[doctest.Example]:
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            for test in doctest.DocTestFinder().find(value, name):
                yield from test.examples


def _functions(module: ModuleType) -> Iterator[str]:
    """The functions of a module that users call, and the methods of its classes."""
    for name in set(module.__all__) - BENEATH:
        value = getattr(module, name)
        if inspect.isfunction(value):
            yield f"{module.__name__}.{name}"
        elif inspect.isclass(value):
            for member in inspect.classify_class_attrs(value):
                if (
                    member.kind.endswith("method")
                    and not isinstance(member.object, functools.cached_property)
                    and member.defining_class is value
                    and member.name not in BENEATH
                    and member.name[0] != "_"
                ):
                    yield f"{module.__name__}.{name}.{member.name}"


# -- the README -------------------------------------------------------------


def test_the_first_example_of_the_readme_has_ten_lines() -> None:
    first = next(block for block in CODE if block.page.name == "README.md")

    assert len([line for line in first.text.splitlines() if line]) <= 10


def test_the_picture_shows_the_imports_as_they_are() -> None:
    draw = runpy.run_path(str(DOCS / "scripts" / "architecture_svg.py"))["draw"]
    picture = DOCS / "images" / "architecture.svg"

    drawn = draw(Path(agentreg.__file__).parent)

    assert "docs/images/architecture.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert picture.read_text(encoding="utf-8") == drawn, "run: python docs/scripts/architecture_svg.py"


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    figures = runpy.run_path(str(DOCS / "scripts" / "readme_figures.py"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    written = figures["with_figures"](readme, figures["read_benchmarks"]())

    assert readme == written, "run: python docs/scripts/readme_figures.py"


def test_figures_are_copied_from_the_benchmarks() -> None:
    figures = runpy.run_path(str(DOCS / "scripts" / "readme_figures.py"))
    table = "\n".join(f"| {work} | 1 us | {peer} 2 us | 0.50 (0.4 to 0.6) | | |" for work, peer in figures["ROWS"])
    empty = "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n"

    written = figures["with_figures"](empty, table)

    assert "| look up a name | 1 us | dict 2 us | 0.50 |\n" in written
    assert "old" not in written
    assert figures["with_figures"](written, None) == "a\n<!-- figures -->\n<!-- /figures -->\nb\n"
