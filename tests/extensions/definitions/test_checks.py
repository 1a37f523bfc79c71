"""The five checks before a definition comes into force."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentreg.extensions.definitions import (
    AgentDefinition,
    Catalog,
    Checks,
    FolderSource,
    Reload,
    mcp_servers_reachable,
    resources_available,
    tools_permitted,
)
from agentreg.extensions.definitions.catalog.checks import Check
from tests.extensions.definitions.texts import write
from tests.watchdog import run_python


def catalog_of(root: Path, checks: Checks | None = None) -> Catalog:
    return Catalog([FolderSource(root)], checks=checks)


def reload_from(root: Path, checks: Checks, **fields: str) -> Catalog:
    """A catalog in which the agent ``a`` was edited so that it has *fields*."""
    write(root / "a.md", "a", "Before.")
    catalog = catalog_of(root, checks)
    catalog.all()
    write(root / "a.md", "a", "After.", **fields)
    catalog.refresh()
    return catalog


def refusing(word: str) -> Check:
    return lambda definition, reload: word if "After" in definition.body else None


@pytest.mark.parametrize("name", ["syntax", "resources", "mcp_servers", "tools", "conflict"])
def test_each_check_can_be_replaced_and_keeps_the_last_good_one(tmp_path: Path, name: str) -> None:
    catalog = reload_from(tmp_path, Checks(**{name: refusing("not today")}))

    assert catalog.require("a").body == "Before."
    (problem,) = catalog.problems()
    assert str(problem) == (
        f"{tmp_path / 'a.md'}:1:1: not today (the check of {name.replace('_', ' ')}); "
        "change the definition, or what is checked"
    )


def test_what_passes_all_five_comes_into_force(tmp_path: Path) -> None:
    catalog = reload_from(tmp_path, Checks(), tools="Read", resource_limit="512mb", mcp_servers="github")

    assert catalog.require("a").body == "After."
    assert catalog.problems() == []


def test_a_check_that_raises_counts_as_failed(tmp_path: Path) -> None:
    def fail(definition: AgentDefinition, reload: Reload) -> str | None:
        if reload.previous is None:
            return None
        raise RuntimeError("no policy")

    catalog = reload_from(tmp_path, Checks(tools=fail))

    assert catalog.require("a").body == "Before."
    assert "the check itself failed: RuntimeError: no policy" in catalog.problems()[0].message


def test_a_refusal_is_tried_again_at_the_next_refresh(tmp_path: Path) -> None:
    allowed: list[bool] = []
    catalog = reload_from(tmp_path, Checks(tools=lambda definition, reload: None if allowed else "no"))
    assert catalog.get("a") is None

    allowed.append(True)
    catalog.refresh()

    assert catalog.require("a").body == "After."
    assert catalog.problems() == []


def test_a_new_definition_that_does_not_pass_does_not_come_into_force(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "a", tools="Bash")

    catalog = catalog_of(tmp_path, Checks(tools=tools_permitted({"Read"})))

    assert catalog.all() == []
    assert "the tool 'Bash' is not permitted" in catalog.problems()[0].message


@pytest.mark.parametrize(
    ("tools", "passes"),
    [
        (("Read",), True),
        (("Bash(git push *)", "Grep(x)"), True),
        (("Bash(rm *)",), False),
        ((), True),
        (None, False),
    ],
)
def test_tools_are_permitted_by_name_or_as_written(tools: tuple[str, ...] | None, passes: bool) -> None:
    check = tools_permitted({"Read", "Grep", "Bash(git push *)"})

    assert (check(AgentDefinition("a", "b", tools=tools), Reload()) is None) is passes


def test_tools_may_be_permitted_by_a_function() -> None:
    check = tools_permitted(lambda tool: tool.startswith("mcp__"))

    assert check(AgentDefinition("a", "b", tools=("mcp__x",)), Reload()) is None
    assert check(AgentDefinition("a", "b", tools=("Read",)), Reload()) == "the tool 'Read' is not permitted"


@pytest.mark.parametrize("limit", ["1024", "1kb", "1 KiB", "0.5mb", "1MB"])
def test_a_resource_limit_is_an_amount(limit: str) -> None:
    assert resources_available(lambda: 2**20)(AgentDefinition("a", "b", resource_limit=limit), Reload()) is None


@pytest.mark.parametrize(("limit", "why"), [("much", "is no amount"), ("1.1mb", "is more than"), ("9tb", "is more")])
def test_a_resource_limit_must_be_available(limit: str, why: str) -> None:
    found = resources_available(lambda: 2**20)(AgentDefinition("a", "b", resource_limit=limit), Reload())

    assert found is not None
    assert why in found


def test_an_agent_can_not_take_the_name_of_another_file(tmp_path: Path) -> None:
    write(tmp_path / "b.md", "b")
    write(tmp_path / "c.md", "c")
    catalog = catalog_of(tmp_path)
    catalog.all()

    write(tmp_path / "b.md", "c", "A thief.")
    catalog.refresh()

    assert [each.name for each in catalog.all()] == ["b", "c"]
    assert catalog.require("c").body == "Do it."
    assert any("(the check of conflict)" in problem.message for problem in catalog.problems())

    (tmp_path / "c.md").unlink()
    catalog.refresh()
    assert [(each.name, each.body) for each in catalog.all()] == [("c", "A thief.")]


# -- MCP servers ------------------------------------------------------------

SERVER = """
from mcp.server.{module} import {name}
{name}("probe").run()
"""


@pytest.fixture
def server(tmp_path: Path) -> dict[str, object]:
    """The configuration of a server that answers, of whichever generation the library is."""
    pytest.importorskip("mcp", reason="needs the extra mcp")
    new = find_spec("mcp.server.mcpserver") is not None  # since mcp 2
    module, name = ("mcpserver", "MCPServer") if new else ("fastmcp", "FastMCP")
    path = tmp_path / "server.py"
    path.write_text(SERVER.format(module=module, name=name), encoding="utf-8")
    return {"command": sys.executable, "args": [str(path)]}


def asked(servers: dict[str, dict[str, object]], *names: str, timeout: float = 60.0) -> str | None:
    check = mcp_servers_reachable(servers, timeout=timeout)
    wanted = AgentDefinition("a", "b", mcp_servers=names)
    return check(wanted, Reload(previous=AgentDefinition("a", "b")))


def test_a_server_that_answers_passes(server: dict[str, object]) -> None:
    assert asked({"probe": server}, "probe") is None


def test_a_server_can_be_asked_from_inside_a_loop(server: dict[str, object]) -> None:
    async def inside() -> str | None:
        return asked({"probe": server}, "probe")

    assert asyncio.run(inside()) is None


def test_a_server_that_ends_at_once_does_not_pass() -> None:
    pytest.importorskip("mcp", reason="needs the extra mcp")

    dead: dict[str, object] = {"command": sys.executable, "args": ["-c", "pass"]}

    found = asked({"dead": dead}, "dead")

    assert found is not None
    assert found.startswith("the MCP server 'dead' does not answer: ")


def test_a_server_that_says_nothing_does_not_pass() -> None:
    pytest.importorskip("mcp", reason="needs the extra mcp")
    silent: dict[str, object] = {"command": sys.executable, "args": ["-c", "import sys; sys.stdin.read()"]}

    assert asked({"silent": silent}, "silent", timeout=0.5) == (
        "the MCP server 'silent' does not answer: nothing within 0.5 seconds"
    )


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_server_that_nobody_runs_does_not_pass(kind: str) -> None:
    pytest.importorskip("mcp", reason="needs the extra mcp")

    found = asked({"far": {"url": "http://127.0.0.1:9/mcp", "type": kind}}, "far")

    assert found is not None
    assert "the MCP server 'far' does not answer" in found


def test_a_server_that_is_not_configured_does_not_pass_and_is_never_started() -> None:
    pytest.importorskip("mcp", reason="needs the extra mcp")

    assert asked({}, "github") == "the MCP server 'github' is not configured"


def test_the_first_load_asks_no_server() -> None:
    pytest.importorskip("mcp", reason="needs the extra mcp")

    assert mcp_servers_reachable({})(AgentDefinition("a", "b", mcp_servers=("github",)), Reload()) is None


def test_without_the_library_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["mcp"] = None
from agentreg.extensions.definitions import mcp_servers_reachable
try:
    mcp_servers_reachable({})
except ModuleNotFoundError as error:
    print(error)
"""
    outcome = run_python(code)

    assert 'pip install "agentreg[mcp]"' in outcome.stdout, outcome.stderr
