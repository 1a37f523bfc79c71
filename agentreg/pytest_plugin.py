"""The pytest plugin: the ``isolated_registry`` fixture, and an option that isolates every test.

It imports agentreg only inside its hooks, so that a suite that doesn't use
it pays nothing, and coverage sees the package's import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agentreg import AgentRegistry

_OPTION = "isolate_agent_registry"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--isolate-agent-registry``, and the ini value of the same name."""
    help_text = "give every test an empty agent registry of its own"
    parser.getgroup("agentreg").addoption("--isolate-agent-registry", action="store_true", dest=_OPTION, help=help_text)
    parser.addini(_OPTION, help_text, type="bool", default=False)


@pytest.fixture
def isolated_registry() -> Iterator[type[AgentRegistry]]:
    """An empty registry for this test; it is given as ``AgentRegistry``."""
    from agentreg import AgentRegistry
    from agentreg.testing import isolated_registry as isolated

    with isolated():
        yield AgentRegistry


@pytest.fixture(autouse=True)
def _isolated_on_request(request: Any) -> Iterator[None]:
    if not (request.config.getoption(_OPTION) or request.config.getini(_OPTION)):
        yield
        return
    from agentreg.testing import isolated_registry as isolated

    with isolated():
        yield
