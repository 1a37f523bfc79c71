"""Registries as people extend them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from agentreg import Agent, AgentRegistry, ModelConfig
from agentreg.extensions.capabilities import CapabilityRegistry
from agentreg.extensions.health import HealthMonitor
from agentreg.extensions.load_balancing import LoadBalancedRegistry
from agentreg.extensions.persistence import PersistentRegistry
from tests.crew import JumpingLoop, answering, finish, jump, passing


@pytest.fixture
def config() -> ModelConfig:
    return answering("some/model")


def make(name: str, config: ModelConfig, kind: type[Agent] = Agent) -> Agent:
    """An agent as the examples make them."""
    return kind(name=name, model_config=config, goal="Work.", instruction="Give brief answers.")


def test_agents_are_found_by_what_they_can_do() -> None:
    CapabilityRegistry.register_capability("interpreter_1", "translation")
    CapabilityRegistry.register_capability("interpreter_1", "localization")
    CapabilityRegistry.register_capability("author_1", "content_creation")

    assert CapabilityRegistry.find_by_capability("translation") == ["interpreter_1"]
    assert CapabilityRegistry.find_best_match(["translation", "localization"]) == "interpreter_1"
    assert CapabilityRegistry.find_best_match(["cooking"]) is None


def test_the_least_loaded_agent_is_found_and_tasks_are_counted(config: ModelConfig) -> None:
    agents = [make(name, config) for name in ("worker_1", "worker_2", "boss")]

    LoadBalancedRegistry.start_task("worker_1")
    LoadBalancedRegistry.start_task("boss")
    LoadBalancedRegistry.end_task("boss")
    LoadBalancedRegistry.end_task("boss")

    assert LoadBalancedRegistry.get_least_loaded("worker") == "worker_2"
    assert LoadBalancedRegistry.get_least_loaded("nobody") is None
    statistics = LoadBalancedRegistry.get_statistics()
    assert statistics["total_invocations"] == 2
    assert statistics["active_tasks"]["worker_1"] == 1
    assert statistics["active_tasks"]["boss"] == 0
    assert statistics["invocation_counts"]["worker_1"] == 1
    assert len(agents) == 3


def test_agents_are_asked_how_they_are(config: ModelConfig) -> None:
    class Ailing(Agent):
        async def run(self, prompt: Any, **kwargs: Any) -> Any:
            raise ConnectionError("no connection")

    agents = [make("sound", config), make("ailing", config, Ailing)]

    async def check() -> tuple[bool, bool, bool, dict[str, bool]]:
        return (
            await HealthMonitor.check_agent_health("sound"),
            await HealthMonitor.check_agent_health("ailing"),
            await HealthMonitor.check_agent_health("nobody"),
            await HealthMonitor.check_all_agents(),
        )

    assert finish(check()) == (True, False, False, {"sound": True, "ailing": False})
    assert "sound" in HealthMonitor.get_healthy_agents()
    assert len(agents) == 2


def test_the_registry_is_saved_and_agents_are_restored(config: ModelConfig, tmp_path: Path) -> None:
    class Browser(Agent):
        started = False

        @classmethod
        async def create_safe(cls, *args: Any, **kwargs: Any) -> Any:
            browser = await super().create_safe(*args, **kwargs)
            browser.started = True
            return browser

    agents = [make("author", config), make("browser", config, Browser)]
    path = tmp_path / "state.json"
    PersistentRegistry.save_state(path)
    for agent in agents:
        AgentRegistry.unregister_instance(agent)
    assert AgentRegistry.all() == {}

    state = PersistentRegistry.load_state(path)
    report = finish(PersistentRegistry.restore_agents(state, {"some/model": config}))

    assert state["agents"]["author"]["type"] == "Agent"
    assert state["agents"]["author"]["model"] == "some/model"
    assert {name: type(agent) for name, agent in report.restored.items()} == {"author": Agent, "browser": Browser}
    assert AgentRegistry.all() == report.restored
    assert report.restored["browser"].started
    assert report.restored["author"].goal == "Work."


def test_the_registry_is_watched_once_a_minute(config: ModelConfig, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("watch")

    async def watch() -> None:
        while True:
            names = list(AgentRegistry.all())
            log.info("%s agents", len(names))
            if len(names) > 100:
                log.warning("there are many agents: is one leaked?")
            for name in names[:10]:
                if not await HealthMonitor.check_agent_health(name):
                    log.error("%s does not answer", name)
            await passing(60)

    async def three_minutes(loop: JumpingLoop) -> None:
        watching = asyncio.create_task(watch())
        await passing(125)
        watching.cancel()

    agents = [make(f"agent {number}", config) for number in range(120)]
    with caplog.at_level(logging.INFO, "watch"):
        jump(three_minutes)

    messages = [record.getMessage() for record in caplog.records if record.name == "watch"]
    assert messages == ["120 agents", "there are many agents: is one leaked?"] * 3
    assert len(agents) == 120
