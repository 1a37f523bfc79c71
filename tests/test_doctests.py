"""The examples in the docstrings run, each with a registry of its own."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import agentreg
from agentreg.testing import isolated_registry


def _modules() -> Iterator[ModuleType]:
    yield agentreg
    for module in pkgutil.walk_packages(agentreg.__path__, "agentreg."):
        if module.name.endswith("__main__"):
            continue
        try:
            yield importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # an extra that isn't installed here
            if (error.name or "").partition(".")[0] in {"agentreg", *sys.stdlib_module_names}:
                raise


# the finder asks each object for its module: a definition is found once, where it stands
EXAMPLES = [
    example
    for module in _modules()
    for example in sorted(doctest.DocTestFinder(recurse=True).find(module, module.__name__), key=lambda e: e.name)
    if example.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_in_a_docstring_runs(example: doctest.DocTest) -> None:
    said: list[str] = []

    with isolated_registry():
        failed, tried = doctest.DocTestRunner(verbose=False).run(example, out=said.append)

    assert tried
    assert not failed, "".join(said)


def test_the_examples_are_found() -> None:
    names = {example.name for example in EXAMPLES}

    assert {"agentreg", "agentreg.registry.AgentRegistry", "agentreg.registry.AgentRegistry.subscribe"} <= names
