"""The pytest plugin: a fixture, and an option that isolates every test."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from tests.watchdog import PACKAGE_HOME

# found by itself where the package is installed, else named
INSTALLED = any(entry.value == "agentreg.pytest_plugin" for entry in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "agentreg.pytest_plugin")

LEAKY = """
from agentreg import AgentRegistry

class Probe: ...

KEEP = []

def register():
    KEEP.append(Probe())
    AgentRegistry.register(KEEP[-1], "planner")

def test_first():
    register()

def test_second():
    register()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of its own, that finds the package; run it with ``runpytest_subprocess(*PLUGIN)``."""
    monkeypatch.setenv("PYTHONPATH", PACKAGE_HOME)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def test_without_the_option_tests_share_the_registry(run: pytest.Pytester) -> None:
    run.makepyfile(LEAKY)

    run.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1, failed=1)


def test_the_option_isolates_every_test(run: pytest.Pytester) -> None:
    run.makepyfile(LEAKY)

    run.runpytest_subprocess(*PLUGIN, "--isolate-agent-registry").assert_outcomes(passed=2)


def test_the_ini_value_isolates_every_test(run: pytest.Pytester) -> None:
    run.makepyfile(LEAKY)
    run.makeini("[pytest]\nisolate_agent_registry = true")

    run.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=2)


def test_the_fixture_isolates_the_test_that_asks_for_it(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from agentreg import AgentRegistry

        class Probe: ...

        outside = Probe()
        AgentRegistry.register(outside, "outside")

        def test_inside(isolated_registry):
            assert isolated_registry is AgentRegistry
            assert AgentRegistry.names() == []
            agent = Probe()
            isolated_registry.register(agent, "inside")
            isolated_registry.reserved_names.add("user")
            assert AgentRegistry.get("inside") is agent

        def test_outside():
            assert AgentRegistry.all() == {"outside": outside}
            assert AgentRegistry.reserved_names == set()
        """
    )

    run.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=2)


def test_fixtures_of_the_test_live_in_its_registry_and_those_of_the_module_outside(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import pytest
        from agentreg import AgentRegistry

        class Probe: ...

        @pytest.fixture(scope="module")
        def shared():
            AgentRegistry.register(agent := Probe(), "shared")
            yield agent
            assert AgentRegistry.get("shared") is agent

        @pytest.fixture
        def own():
            AgentRegistry.register(agent := Probe(), "own")
            yield agent
            assert AgentRegistry.get("own") is agent

        def test_one(shared, own):
            assert AgentRegistry.names() == ["own"]

        def test_two(own, shared):
            assert AgentRegistry.names() == ["own"]
        """
    )

    run.runpytest_subprocess(*PLUGIN, "--isolate-agent-registry").assert_outcomes(passed=2)


def test_fixture_and_option_go_together(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import unittest

        def test_fixture(isolated_registry):
            assert isolated_registry.names() == []

        class TestCase(unittest.TestCase):
            def test_case(self):
                from agentreg import AgentRegistry
                assert AgentRegistry.names() == []
        """
    )

    run.runpytest_subprocess(*PLUGIN, "--isolate-agent-registry").assert_outcomes(passed=2)


def test_a_failing_test_leaves_the_registry_as_it_was(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from agentreg import AgentRegistry

        class Probe: ...

        KEEP = [Probe()]

        def test_failing(isolated_registry):
            AgentRegistry.register(KEEP[0], "planner")
            assert False

        def test_next():
            assert AgentRegistry.names() == []
        """
    )

    run.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1, failed=1)


def test_the_option_is_in_the_help(run: pytest.Pytester) -> None:
    result = run.runpytest_subprocess(*PLUGIN, "--help")

    result.stdout.fnmatch_lines(["agentreg:", "*--isolate-agent-registry*"])
    result.stdout.fnmatch_lines(["*isolate_agent_registry (bool):*"])
    assert result.ret == 0
