"""What the demo's analysts say of a file, against what was counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentreg.demo.measure import LARGEST, FileFacts, measure


def facts_of(folder: Path, source: str | bytes, name: str = "module.py") -> FileFacts:
    file = folder / name
    file.write_bytes(source if isinstance(source, bytes) else source.encode())
    return measure(file, name)


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: pass", 2),
        ("if a: pass\n elif b: pass\n else: pass", 3),
        ("for x in y: pass", 2),
        ("while a:\n  if b: break", 3),
        ("try: pass\n except A: pass\n except B: pass\n finally: pass", 3),
        ("return a if b else c", 2),
        ("return a and b and c or d", 4),
        ("return [x for x in y if x if z]", 4),
        ("match a:\n  case 1: pass\n  case 2: pass\n  case _: pass", 3),
        ("match a:\n  case _ if b: pass", 2),
        ("with a as b: pass", 1),
        ("return lambda: a or b", 2),
        ("class C:\n  x = 1 if a else 2", 2),
    ],
)
def test_complexity_is_what_one_counts_by_hand(tmp_path: Path, body: str, complexity: int) -> None:
    facts = facts_of(tmp_path, f"def f():\n {body}\n")

    assert facts.problem is None
    assert [function.complexity for function in facts.functions] == [complexity]


def test_a_function_inside_a_function_counts_for_itself(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "def f():\n  if a: pass\n  def g():\n    if b or c: pass\n  return g\n")

    assert [(f.name, f.complexity, f.lines) for f in facts.functions] == [("f", 2, 5), ("f.g", 3, 2)]


def test_a_method_is_named_after_its_class(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "class A:\n  class B:\n    async def m(self):\n      async for x in y: pass\n")

    assert [(f.name, f.line, f.complexity) for f in facts.functions] == [("A.B.m", 3, 2)]
    assert facts.classes == 2


def test_every_imported_module_counts_once(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "import os, sys\nimport os.path\nfrom . import a\nfrom .b import c\nfrom os import x\n")

    assert facts.imports == (".", ".b", "os", "os.path", "sys")


def test_only_public_names_are_asked_for_a_docstring(tmp_path: Path) -> None:
    documented = '"""Doc."""\ndef a():\n  """Doc."""\n  def inner(): pass\n'
    source = documented + "def b(): pass\ndef _c(): pass\nclass _D:\n  def e(self): pass\n"
    facts = facts_of(tmp_path, source)

    assert (facts.public, facts.documented) == (3, 2)


def test_a_private_module_is_not_asked_for_a_docstring_but_a_package_is(tmp_path: Path) -> None:
    assert facts_of(tmp_path, "", "_private.py").public == 0
    assert facts_of(tmp_path, "", "__init__.py").public == 1


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert facts_of(tmp_path, "").lines == 0


def test_a_declared_encoding_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    latin = facts_of(tmp_path, "# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    marked = facts_of(tmp_path, b"\xef\xbb\xbfname = 1\n")

    assert (latin.problem, latin.lines) == (None, 2)
    assert (marked.problem, marked.lines) == (None, 1)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def f(:\n", "line 1: "),
        (b"a = 1\nb = '\xff'\n", "-8"),  # utf-8, or since 3.14 Non-UTF-8
        (b"# coding: klingon\n", "klingon"),
        (b"a = 1\0\n", "null bytes"),
        (b"(" * 5000, ""),
        (b"x = 1\n" * (LARGEST // 6 + 1), "larger than 1,000,000 bytes"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_and_is_not_an_error(tmp_path: Path, source: bytes, reason: str) -> None:
    facts = facts_of(tmp_path, source)

    assert facts.problem is not None
    assert reason in facts.problem
    assert facts.functions == ()


def test_an_expression_that_is_too_deep_for_some_pythons_breaks_nothing(tmp_path: Path) -> None:
    assert facts_of(tmp_path, b"a" + b".b" * 100_000).problem in (None, "nested too deeply")


def test_a_missing_file_is_a_problem_of_that_file(tmp_path: Path) -> None:
    assert measure(tmp_path / "gone.py", "gone.py").problem == "No such file or directory"
