"""What imports what: each module alone, the core the standard library only, and the arrows of the architecture."""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import agentreg
from tests.watchdog import run_python

PACKAGE = Path(agentreg.__file__).parent
MODULES = ["agentreg", *(module.name for module in pkgutil.walk_packages([str(PACKAGE)], "agentreg."))]

# from the bottom to the top: a module imports what stands below it, or beside it
LAYERS = [
    {"errors", "events"},
    {"table"},
    {"subscription"},
    {"registry"},
    {"agent", "lending", "model", "pool", "topology"},
    {"orchestra"},
    {"", "testing", "pytest_plugin"},
]
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
TOPS = {"cli", "demo", "__main__"}  # where parts are put together: they may import anything, nobody imports them
MAY_IMPORT = {"coordination": {"capabilities"}}  # of extensions, other extensions; service may import all


# -- each alone -------------------------------------------------------------


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_a_module_can_be_imported_alone_in_a_fresh_interpreter(module: str) -> None:
    outcome = run_python(f"import {module}")

    missing = re.search(r"ModuleNotFoundError: No module named '(\w+)'\n$", outcome.stderr)
    if missing and missing[1] not in sys.stdlib_module_names and module.count(".") > 1:
        assert find_spec(missing[1]) is None  # an extra that isn't installed here; the core has none
    else:
        assert (outcome.returncode, outcome.stderr) == (0, "")


def test_importing_the_package_loads_nothing_but_the_standard_library_and_typing_extensions() -> None:
    code = """
import sys
before = set(sys.modules)
import agentreg
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - {"typing_extensions"}))
beside = ("agentreg.extensions.", "agentreg.cli", "agentreg.demo")
print(*sorted(name for name in sys.modules if name.startswith(beside)))
"""
    outcome = run_python(code)

    assert outcome.stderr == ""
    assert outcome.stdout.splitlines() == ["agentreg", ""]


def test_the_core_does_without_any_installed_package_but_typing_extensions() -> None:
    found = find_spec("typing_extensions")
    assert found is not None
    assert found.origin is not None
    code = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("typing_extensions", {found.origin!r})
sys.modules["typing_extensions"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
sys.path.append({str(PACKAGE.parent)!r}) if "site-packages" not in {str(PACKAGE.parent)!r} else None
import agentreg.testing
agentreg.AgentRegistry.register(agent := type("Probe", (), {{}})(), "probe")
assert agentreg.AgentRegistry.get("probe") is agent
"""
    if "site-packages" in str(PACKAGE):  # installed: the folder beside which others lie can't be left out
        code = code.replace('if "site-packages" not in path', "if True")
    outcome = run_python(code, "-S")

    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_importing_says_nothing() -> None:
    outcome = run_python("import agentreg, logging; logging.basicConfig(level=0); import agentreg.testing", "-v")

    assert outcome.returncode == 0
    assert outcome.stdout == ""


def test_everything_in_all_is_there() -> None:
    assert len(set(agentreg.__all__)) == len(agentreg.__all__)
    assert [name for name in agentreg.__all__ if not hasattr(agentreg, name)] == []


def test_the_package_logs_to_nobody_unless_asked() -> None:
    outcome = run_python("from agentreg import AgentRegistry; AgentRegistry.unregister('nobody')")

    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


# -- the arrows -------------------------------------------------------------


def imported(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Every module, and every name in one, that *source* imports from the package, late imports and all."""
    here = module.split(".")
    base = here if is_package else here[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = base[: len(base) - node.level + 1] if node.level else []
            origin = ".".join([*stem, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def against_the_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """The imports in *source* that the architecture forbids for *module*."""
    parts = module.split(".")
    names = [name.split(".") for name in imported(source, module, is_package)]
    if parts[1:2] and parts[1] in TOPS:
        return []
    if parts[1:2] == ["extensions"]:
        return [".".join(name) for name in names if refused_to_extension(name, parts[2] if len(parts) > 2 else "")]
    return [".".join(name) for name in names if refused_to_core(name, parts[1] if len(parts) > 1 else "")]


def refused_to_core(name: list[str], own: str) -> bool:
    if name[0] != "agentreg":
        return name[0] not in {*sys.stdlib_module_names, "typing_extensions", *(["pytest"] * (own == "pytest_plugin"))}
    target = name[1] if len(name) > 1 and name[1] in {*RANKS, *TOPS, "extensions"} else ""
    return target in {*TOPS, "extensions"} or RANKS[target] > RANKS[own]


def refused_to_extension(name: list[str], own: str) -> bool:
    if name[0] != "agentreg" or len(name) == 1:
        return False
    if name[1] == "extensions":
        other = name[2] if len(name) > 2 else own
        return other != own and own != "service" and other not in MAY_IMPORT.get(own, set())
    return name[1] in TOPS or any(part.startswith("_") and not part.startswith("__") for part in name[1:])


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_nothing_against_the_arrows(module: str) -> None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    is_package = path.is_dir()
    source = (path / "__init__.py" if is_package else path.with_suffix(".py")).read_text(encoding="utf-8")

    assert against_the_arrows(source, module, is_package) == []


def test_every_module_of_the_core_has_its_place_in_the_layers() -> None:
    core = {name.split(".")[1] for name in MODULES if name.count(".") >= 1} - {"extensions", *TOPS}

    assert core == set(RANKS) - {""}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("agentreg.table", "from agentreg.registry import AgentRegistry"),
        ("agentreg.table", "from agentreg import AgentRegistry"),
        ("agentreg.registry", "import agentreg.agent"),
        ("agentreg.registry", "def late():\n    from agentreg import pool"),
        ("agentreg.registry", "from . import pool"),
        ("agentreg.registry", "from .pool import AgentPool"),
        ("agentreg.agent", "from agentreg.orchestra import Orchestra"),
        ("agentreg.agent", "import requests"),
        ("agentreg", "from agentreg.extensions import health"),
        ("agentreg.registry", "from agentreg import cli"),
        ("agentreg.extensions.health", "from agentreg.extensions.capabilities import CapabilityMixin"),
        ("agentreg.extensions.health", "from .capabilities import CapabilityMixin"),
        ("agentreg.extensions.health", "from agentreg.registry import _nearest"),
        ("agentreg.extensions.health", "from agentreg import demo"),
        ("agentreg.extensions.definitions.catalog", "from ..health import HealthMixin"),
    ],
)
def test_an_import_against_the_arrows_is_noticed(module: str, source: str) -> None:
    assert len(against_the_arrows(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "agentreg.subscription",
            "from agentreg.table import Table\nimport threading\nfrom typing_extensions import Self",
        ),
        ("agentreg.pool", "from agentreg.agent import BaseAgent\nfrom agentreg import lending"),
        ("agentreg.testing", "from agentreg import AgentRegistry"),
        ("agentreg.cli.run", "from agentreg.extensions import health\nimport rich"),
        ("agentreg.extensions.health", "from agentreg import AgentRegistry\nimport httpx"),
        ("agentreg.extensions.coordination.redis", "from agentreg.extensions.capabilities import CapabilityMixin"),
        ("agentreg.extensions.coordination.redis", "from .memory import Memory"),
        ("agentreg.extensions.service.app", "from agentreg.extensions import health"),
    ],
)
def test_an_import_along_the_arrows_is_fine(module: str, source: str) -> None:
    assert against_the_arrows(source, module) == []
