"""Two directories over one store against a plain model, for any sequence of calls and any passage of time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from agentreg.extensions.coordination import AgentDirectory, AgentStatus

from .stores import STORES, make_store

T = TypeVar("T")

IDS = st.sampled_from(["a", "b", "c", "d"])
RUNTIMES = st.sampled_from(["r1", "r2"])
CAPABILITIES = st.lists(st.sampled_from(["Python code", "python", "data", "code review"]), max_size=3)
_numbers = itertools.count()
WHICH = st.integers(0, 1)


class Agent:
    pass


class Known:
    """What the model knows of an agent."""

    def __init__(self, agent: Agent, runtime: str, capabilities: list[str], now: float) -> None:
        self.agent = agent
        self.runtime = runtime
        self.capabilities = list(dict.fromkeys(capabilities))
        self.status = "active"
        self.lapsed_from: str | None = None
        self.heard = now


class DirectoryMachine(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.loop = asyncio.new_event_loop()
        url = f"{self.url}-{next(_numbers)}" if self.url.startswith("memory") else self.url
        self.directories = [AgentDirectory(backend=url, clock=lambda: self.now) for _ in range(2)]
        self.model: dict[str, Known] = {}
        self.kept: list[Agent] = []  # those that must not be collected before they expire
        self.changes = self.do(self.directories[0].get_metrics())["revision"]
        for record in self.do(self.directories[0].list_agents()):
            self.do(self.directories[0].deregister_agent(record.agent_id, record.runtime_id))
            self.changes += 1
        self.do(self.directories[1].list_agents())

    def do(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def set(self, known: Known, status: str, lapsed_from: str | None) -> None:
        if (known.status, known.lapsed_from) != (status, lapsed_from):
            known.status, known.lapsed_from = status, lapsed_from
            self.changes += 1

    def remove(self, agent_id: str) -> None:
        del self.model[agent_id]
        self.changes += 1

    @rule(which=WHICH, agent_id=IDS, runtime=RUNTIMES, capabilities=CAPABILITIES)
    def register(self, which: int, agent_id: str, runtime: str, capabilities: list[str]) -> None:
        agent = Agent()
        call = self.directories[which].register_agent(agent, runtime, agent_id, capabilities=capabilities)
        if agent_id in self.model:
            with pytest.raises(ValueError, match="already registered"):
                self.do(call)
        else:
            assert self.do(call) == agent_id
            self.model[agent_id] = Known(agent, runtime, capabilities, self.now)
            self.changes += 1

    @rule(which=WHICH, agent_id=IDS, runtime=RUNTIMES)
    def deregister(self, which: int, agent_id: str, runtime: str) -> None:
        known = self.model.get(agent_id)
        gone = self.do(self.directories[which].deregister_agent(agent_id, runtime))
        assert gone is (known is not None and known.runtime == runtime)
        if gone:
            self.remove(agent_id)

    @rule(which=WHICH, agent_id=IDS, status=st.sampled_from(list(AgentStatus)))
    def set_status(self, which: int, agent_id: str, status: AgentStatus) -> None:
        known = self.model.get(agent_id)
        assert self.do(self.directories[which].update_agent_status(agent_id, status)) is (known is not None)
        if known is not None:
            unwell = known.status in ("unhealthy", "offline")
            if (status is AgentStatus.ACTIVE and known.status != "active") or (
                status is AgentStatus.DEGRADED and unwell
            ):
                known.heard = self.now
            self.set(known, status.value, None)

    @rule(which=WHICH, agent_id=IDS)
    def beat(self, which: int, agent_id: str) -> None:
        known = self.model.get(agent_id)
        assert self.do(self.directories[which].update_agent_heartbeat(agent_id)) is (known is not None)
        if known is not None:
            self.heard(known)

    @rule(which=WHICH, runtime=RUNTIMES)
    def beat_runtime(self, which: int, runtime: str) -> None:
        mine = [known for known in self.model.values() if known.runtime == runtime]
        assert self.do(self.directories[which].heartbeat_runtime(runtime)) == len(mine)
        for known in mine:
            self.heard(known)

    def heard(self, known: Known) -> None:
        known.heard = self.now
        if known.lapsed_from is not None:
            self.set(known, known.lapsed_from, None)

    @precondition(lambda self: self.model)
    @rule(which=WHICH, data=st.data())
    def collect(self, which: int, data: st.DataObject) -> None:
        agent_id = data.draw(st.sampled_from(sorted(self.model)))
        self.model[agent_id].agent = Agent()  # the last reference to the old one
        self.remove(agent_id)
        for directory in self.directories:
            self.do(directory.get_agent(agent_id))

    @rule(seconds=st.sampled_from([1.0, 10.0, 29.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for agent_id, known in list(self.model.items()):
            silent = self.now - known.heard
            if silent >= 30 and known.status in ("active", "degraded"):
                self.set(known, "unhealthy", known.status)
            if silent >= 60:
                self.kept.append(known.agent)
                self.remove(agent_id)

    @invariant()
    def both_directories_equal_the_model(self) -> None:
        expected = [(agent_id, known.runtime, known.status) for agent_id, known in self.model.items()]
        for directory in self.directories:
            there = self.do(directory.list_agents())
            assert [(each.agent_id, each.runtime_id, each.status.value) for each in there] == expected
            assert [each.agent for each in there] == [known.agent for known in self.model.values()]
            assert [list(each.capabilities) for each in there] == [known.capabilities for known in self.model.values()]
            assert int(directory.revision) == self.changes

    @invariant()
    def searches_and_indices_equal_the_model(self) -> None:
        for directory in self.directories:
            for text in ("python", "code", "data"):
                found = self.do(directory.find_agents_by_capability(text))
                assert [each.agent_id for each in found] == self.best(text)
            runtimes = {known.runtime for known in self.model.values()}
            assert {key: set(value) for key, value in directory.runtime_agents.items()} == {
                runtime: {agent_id for agent_id, known in self.model.items() if known.runtime == runtime}
                for runtime in runtimes
            }
            texts = {text.lower() for known in self.model.values() for text in known.capabilities}
            assert set(directory.capability_index) == texts

    def best(self, text: str) -> list[str]:
        scores = {}
        for agent_id, known in self.model.items():
            fits = [each.lower() for each in known.capabilities if text in each.lower()]
            if fits and known.status == "active":
                scores[agent_id] = max(_overlap(text, each) for each in fits)
        return sorted(scores, key=lambda agent_id: -scores[agent_id])

    def teardown(self) -> None:
        for directory in self.directories:
            self.do(directory.shutdown())
        assert self.do(self.directories[0].list_agents()) == []
        self.do(self.directories[0].shutdown())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def _overlap(text: str, capability: str) -> float:
    ours, theirs = set(text.split()), set(capability.split())
    return len(ours & theirs) / len(ours | theirs)


EXAMPLES = {"memory": (60, 40), "sqlite": (12, 25), "redis": (12, 25), "http": (3, 20)}


@pytest.mark.parametrize("kind", STORES)
def test_any_sequence_of_calls_gives_the_models_answers(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = make_store(kind, tmp_path, request)
    examples, steps = EXAMPLES[kind]

    class Machine(DirectoryMachine):
        url = store.url

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
