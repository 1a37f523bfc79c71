"""What holds for every test: it has a registry of its own, and leaves the interpreter as it found it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from agentreg.table import lock
from agentreg.testing import isolated_registry as isolated

pytest_plugins = ["pytester"]

# Nothing is timed in tests. What lands is judged by the same examples every time; at a desk, they are new ones.
settings.register_profile(
    "agentreg",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("AGENTREG_SAME_EXAMPLES")),
)
settings.load_profile("agentreg")


@pytest.fixture(autouse=True)
def _registry_of_its_own() -> Iterator[None]:
    with isolated():
        yield
        if not lock.acquire(timeout=60):
            pytest.exit("the registry's lock is held for ever: no other test can run", returncode=1)
        lock.release()


@pytest.fixture(autouse=True, scope="session")
def _signals_that_are_not_ignored() -> Iterator[None]:
    """Children of a background job, or of nohup, would ignore what it ignores; of a handler they inherit nothing."""
    known = [getattr(signal, name) for name in ("SIGHUP", "SIGINT") if hasattr(signal, name)]
    ignored = [number for number in known if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def eager_collector() -> Iterator[None]:
    """The garbage collector comes by at every allocation."""
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*before)
    gc.collect()


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
