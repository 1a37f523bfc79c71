"""The interpreter shuts down with live agents whose finalizers use the registry: nobody hears of it."""

from __future__ import annotations

import pytest

from tests.watchdog import run_python

AGENT = '''
import atexit, builtins, gc, logging, os, sys, threading, weakref
from agentreg import AgentPool, AgentRegistry, BaseAgent, Orchestra
from agentreg.testing import isolated_registry

class Farewell:
    def __init__(self, name, cyclic=False):
        self.name = name
        self.cycle = self if cyclic else None
        AgentRegistry.register(self, name)

    def __del__(self, registry=AgentRegistry, write=os.write):
        registry.unregister_instance(self)
        registry.unregister_if_same("other", self)
        registry.get("other")
        registry.all()
        registry.names()
        registry.count()
        registry.revision
        registry.register(self, self.name + " again")
        registry.unregister_if_same(self.name + " again", self)
        write(1, b"farewell ")

class Leaving:
    """Says no more than what every finalizer may say, however late."""

    def __init__(self, name, cyclic=False):
        self.name = name
        self.cycle = self if cyclic else None
        AgentRegistry.register(self, name)

    def __del__(self, registry=AgentRegistry):
        registry.unregister_if_same(self.name, self)
        registry.unregister_instance(self)
        registry.get(self.name)
'''

ENDINGS = {
    "in a module": "agent = Farewell('a')",
    "in a cycle": "Farewell('a', cyclic=True)",
    "in a cycle of a module": "agent = Farewell('a', cyclic=True)",
    "in builtins": "builtins.agent = Farewell('a')",
    "in a cycle of builtins": "builtins.agent = Farewell('a', cyclic=True)",
    "in another module": "logging.agent = Leaving('a')",
    "in a cycle of another module": "logging.agent = Leaving('a', cyclic=True)",
    "in a function's default": "def keep(agent=Farewell('a')): ...",
    "in a thread's own store": "local = threading.local(); local.agent = Farewell('a')",
    "at exit": "agent = Farewell('a'); atexit.register(lambda: AgentRegistry.register(agent, 'b'))",
    "with a listener": "agent = Farewell('a'); AgentRegistry.subscribe(lambda event: AgentRegistry.names())",
    "with a listener that fails": "agent = Farewell('a'); AgentRegistry.subscribe(lambda event: event.nothing)",
    "with a callback": "agent = Farewell('a'); weakref.finalize(agent, AgentRegistry.names)",
    "after an exception": "agent = Farewell('a', cyclic=True); os.dup2(os.open(os.devnull, 1), 2); raise SystemExit(0)",
    "in an isolated registry": "keep = isolated_registry(); keep.__enter__(); agent = Farewell('a', cyclic=True)",
    "in a pool": """
class Worker(BaseAgent):
    async def run(self, prompt, **kwargs): ...
    def __del__(self):
        AgentRegistry.unregister_instance(self)
        os.write(1, b"farewell ")
AgentRegistry.register_pool(AgentPool(Worker, 2, name="pool"))
""",
    "of a subclass with state": """
class MyRegistry(AgentRegistry):
    agents = []
MyRegistry.agents.append(Farewell("a"))
MyRegistry.extension_state("state", list).append(Farewell("b", cyclic=True))
""",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_nothing_is_written_at_shutdown_when_an_agent_is_left(ending: str) -> None:
    outcome = run_python(AGENT + ending)

    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("ending", ["in a module", "in a cycle", "in builtins", "in an isolated registry", "at exit"])
def test_the_finalizers_that_run_at_shutdown_come_through(ending: str) -> None:
    outcome = run_python(AGENT + ENDINGS[ending])

    assert outcome.stdout == "farewell "


def test_nothing_is_written_at_shutdown_when_an_agent_dies_even_later_than_the_registry() -> None:
    outcome = run_python(AGENT + "sys.agent = Farewell('a'); sys.more = Farewell('b', cyclic=True)")

    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_nothing_is_written_when_a_thread_is_inside_the_registry_at_shutdown() -> None:
    code = """
started = threading.Event()
def storm():
    class Probe: ...
    while True:
        agent = Probe()
        AgentRegistry.unregister_if_same(AgentRegistry.register(agent), agent)
        AgentRegistry.all()
        started.set()
agents = [Leaving(f"agent {n}", cyclic=n % 2) for n in range(50)]
AgentRegistry.subscribe(lambda event: None)
for _ in range(3):
    threading.Thread(target=storm, daemon=True).start()
started.wait()
"""
    for _ in range(3):
        outcome = run_python(AGENT + code)

        assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("where", ["atexit.register(late)", "agent = Late()", "builtins.agent = Late()"])
def test_the_registry_may_be_imported_and_used_first_at_shutdown(where: str) -> None:
    code = f"""
import atexit, builtins, os, sys
def late():
    from agentreg import AgentRegistry
    class Probe: ...
    probe = Probe()
    AgentRegistry.register(probe, "late")
    assert AgentRegistry.get("late") is probe
class Late:
    def __del__(self, late=late, write=os.write):
        try:
            late()
        except (ImportError, TypeError, NameError):
            pass  # too late for importing anything at all
        write(1, b"late")
{where}
"""
    outcome = run_python(code)

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert where.startswith("atexit") or outcome.stdout == "late"


def test_a_log_handler_of_the_users_hears_nothing_at_shutdown() -> None:
    code = """
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
agents = [Farewell(f"agent {n}", cyclic=n % 2) for n in range(10)]
"""
    outcome = run_python(AGENT + code)

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.count("farewell") == 10
