"""A browser for the tests of the page: headless Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..serving import Service, serving
from .watching import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NEEDED = ("httpx", "msgspec", "platformdirs", "starlette", "uvicorn", "websockets")

if any(find_spec(name) is None for name in _NEEDED):
    collect_ignore_glob = ["test_*.py"]

_CALLED = ("chromium", "chromium-browser", "google-chrome")
_MISSING = "the tests of the page need Chromium and Playwright: apt-get install chromium; pip install playwright"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a module: Playwright occupies the thread's event loop as long as it is there."""
    executable = next(filter(None, map(shutil.which, _CALLED)), None)
    if executable is None or find_spec("playwright") is None:
        pytest.skip(_MISSING)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page that is watched; at the end it must have complained of nothing that was not expected."""
    with Watched(browser) as page:
        yield page
        page.check()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own."""
    with serving(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("shared")) as found:
        yield found


@pytest.fixture
def service(_shared: Service) -> Iterator[Service]:
    """A service without agents, which the tests of a module share."""
    yield _shared
    for agent_id in _shared.agents():
        assert _shared.ask("DELETE", f"/registry/agents/{agent_id}?force=true")[0] == 200
