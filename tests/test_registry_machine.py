"""The registry against a plain model of it, under any sequence of operations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentreg import AgentRegistered, AgentRegistry, AgentUnregistered, NameTakenError, ReservedNameError, table
from agentreg.testing import isolated_registry
from tests.mirror import Mirror

NAMES = st.sampled_from(["a", "b", "p", "p_0", "p_1", "q", "q_0", "Probe-1", "Probe-3", "USER", "user"])
BASES = st.sampled_from(["a", "p", "q", "User", "p_0"])


class Probe:
    """A small agent."""


class Pool:
    """A small pool."""

    def __init__(self, base_name: str, members: list[Probe]) -> None:
        self.base_name = base_name
        self.instances = members
        self.num_instances = len(members)

    def get_available_count(self) -> int:
        return self.num_instances


class Model:
    """What the registry holds, in the plainest way."""

    def __init__(self) -> None:
        self.agents: dict[str, Probe] = {}
        self.pools: dict[str, Pool] = {}
        self.members: dict[str, str] = {}
        self.reserved: set[str] = set()
        self.counter = 0
        self.revision = 0

    def refuses(self, name: str) -> type[ValueError] | None:
        if name.casefold() in {reserved.casefold() for reserved in self.reserved}:
            return ReservedNameError
        return NameTakenError if name in self.agents or name in self.pools else None

    def enter(self, name: str, agent: Probe) -> None:
        self.agents[name] = agent
        self.revision += 1

    def remove(self, name: str) -> None:
        del self.agents[name]
        self.members.pop(name, None)
        self.revision += 1

    def remove_pool(self, name: str) -> None:
        del self.pools[name]
        self.revision += 1
        for member in [member for member, pool in self.members.items() if pool == name]:
            self.remove(member)


class RegistryMachine(RuleBasedStateMachine):
    """Does to the registry and to the model the same, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.isolations: list[tuple[Any, Model, Mirror, list[Any]]] = []
        self.isolate()

    def teardown(self) -> None:
        while self.isolations:
            self.come_back()

    @property
    def model(self) -> Model:
        return self.isolations[-1][1]

    def isolate(self) -> None:
        block = isolated_registry()
        block.__enter__()
        heard: list[Any] = []
        AgentRegistry.subscribe(heard.append)
        self.isolations.append((block, Model(), Mirror(), heard))

    def come_back(self) -> None:
        block, model, mirror, _ = self.isolations.pop()
        mirror.check()
        mirror.subscription.close()
        model.agents.clear()
        block.__exit__(None, None, None)

    # -- entering -----------------------------------------------------------

    @rule(name=NAMES)
    def register(self, name: str) -> None:
        agent = Probe()
        refusal = self.model.refuses(name)
        if refusal is not None:
            with pytest.raises(refusal):
                AgentRegistry.register(agent, name)
        else:
            assert AgentRegistry.register(agent, name) == name
            self.model.enter(name, agent)

    @rule(name=NAMES)
    def register_again(self, name: str) -> None:
        agent = self.model.agents.get(name)
        if agent is None or self.model.refuses(name) is ReservedNameError:
            return
        assert AgentRegistry.register(agent, name) == name

    @rule(data=st.data(), name=NAMES)
    def register_alias(self, data: st.DataObject, name: str) -> None:
        if not self.model.agents:
            return
        agent = self.model.agents[data.draw(st.sampled_from(sorted(self.model.agents)))]
        refusal = self.model.refuses(name)
        if refusal is None:
            assert AgentRegistry.register(agent, name) == name
            self.model.enter(name, agent)
        elif refusal is ReservedNameError or self.model.agents.get(name) is not agent:
            with pytest.raises(refusal):
                AgentRegistry.register(agent, name)

    @rule()
    def register_numbered(self) -> None:
        agent = Probe()
        self.model.counter += 1
        while self.model.refuses(f"Probe-{self.model.counter}"):
            self.model.counter += 1
        name = f"Probe-{self.model.counter}"
        assert AgentRegistry.register(agent, prefix="Probe") == name
        self.model.enter(name, agent)

    @rule(data=st.data(), base=BASES, size=st.integers(0, 3), adopt=st.booleans())
    def register_pool(self, data: st.DataObject, base: str, size: int, adopt: bool) -> None:
        members = [Probe() for _ in range(size)]
        if adopt:  # members that are registered under their names already
            members = [self.model.agents.get(f"{base}_{index}", member) for index, member in enumerate(members)]
        pool = Pool(base, members)
        names = [f"{base}_{index}" for index in range(size)]
        refusals = [self.model.refuses(base)]
        for name, member in zip(names, members, strict=True):
            own = self.model.agents.get(name) is member and name not in self.model.members
            refusal = self.model.refuses(name)
            refusals.append(None if own and refusal is NameTakenError else refusal)
        if any(refusals):
            with pytest.raises((NameTakenError, ReservedNameError)) as refused:
                AgentRegistry.register_pool(pool)
            assert type(refused.value) is (ReservedNameError if ReservedNameError in refusals else NameTakenError)
            del refused  # its traceback would keep the members of this call
            return
        AgentRegistry.register_pool(pool)
        self.model.pools[base] = pool
        self.model.revision += 1
        for name, member in zip(names, members, strict=True):
            if name not in self.model.agents:
                self.model.enter(name, member)
            self.model.members[name] = base

    @rule(name=NAMES)
    def write(self, name: str) -> None:
        agent = Probe()
        self.vacate(name)
        AgentRegistry._agents[name] = agent
        self.model.enter(name, agent)

    # -- leaving ------------------------------------------------------------

    def vacate(self, name: str) -> None:
        if name in self.model.pools:
            self.model.remove_pool(name)
        elif name in self.model.agents:
            self.model.remove(name)

    @rule(name=NAMES)
    def unregister(self, name: str) -> None:
        if name in self.model.members:
            with pytest.raises(ValueError, match=f"Use unregister\\('{self.model.members[name]}'\\)"):
                AgentRegistry.unregister(name)
            return
        AgentRegistry.unregister(name)
        self.vacate(name)

    @rule(name=NAMES)
    def unregister_if_same(self, name: str) -> None:
        agent = self.model.agents.get(name)
        leaves = agent is not None and name not in self.model.members
        assert AgentRegistry.unregister_if_same(name, Probe()) is False
        assert AgentRegistry.unregister_if_same(name, agent) is leaves
        if leaves:
            self.model.remove(name)

    @rule(name=NAMES)
    def pop(self, name: str) -> None:
        assert AgentRegistry._agents.pop(name, None) is self.model.agents.get(name)
        if name in self.model.agents:
            self.model.remove(name)

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        agent = self.model.agents.get(name)
        if agent is None:
            return
        for pool in self.model.pools.values():  # a pool may let a member go
            pool.instances[:] = [member for member in pool.instances if member is not agent]
        for alias in [alias for alias, other in self.model.agents.items() if other is agent]:
            self.model.remove(alias)
        del agent
        assert AgentRegistry.get(name) is None

    @rule(base=BASES)
    def unregister_pool(self, base: str) -> None:
        assert AgentRegistry.unregister_pool(Pool(base, [])) is False
        pool = self.model.pools.get(base)
        if pool is not None:
            assert AgentRegistry.unregister_pool(pool) is True
            self.model.remove_pool(base)

    @rule()
    def clear(self) -> None:
        AgentRegistry.clear()
        self.model.revision += len(self.model.agents) + len(self.model.pools)
        self.model.agents.clear()
        self.model.pools.clear()
        self.model.members.clear()
        self.model.counter = 0

    @rule(name=st.sampled_from(["user", "Probe-2", "P_1"]), reserve=st.booleans())
    def reserve(self, name: str, reserve: bool) -> None:
        for names in (AgentRegistry.reserved_names, self.model.reserved):
            (names.add if reserve else names.discard)(name)

    # -- isolation ----------------------------------------------------------

    @precondition(lambda self: len(self.isolations) < 3)
    @rule()
    def enter_isolation(self) -> None:
        self.isolate()

    @precondition(lambda self: len(self.isolations) > 1)
    @rule()
    def leave_isolation(self) -> None:
        self.come_back()

    # -- what holds after each step -----------------------------------------

    @invariant()
    def everybody_is_there_in_order(self) -> None:
        model = self.model
        assert AgentRegistry.names() == list(model.agents)
        everybody = AgentRegistry.all()
        assert list(everybody) == list(model.agents)
        assert all(everybody[name] is agent for name, agent in model.agents.items())
        assert all(AgentRegistry.get(name) is agent for name, agent in model.agents.items())
        assert AgentRegistry.count() == len(model.agents)
        assert list(AgentRegistry.all_with_pools()) == [*model.agents, *model.pools]
        assert dict(AgentRegistry._agents) == model.agents
        assert AgentRegistry._pools == model.pools
        assert AgentRegistry.reserved_names == model.reserved

    @invariant()
    def members_are_known(self) -> None:
        model = self.model
        for name in [*model.agents, *model.pools, "p_0", "p_1", "q_0", "nobody"]:
            assert AgentRegistry.is_pool(name) is (name in model.pools)
            assert AgentRegistry.is_pool_instance(name) is (name in model.members)
            assert AgentRegistry.normalize_agent_name(name) == model.members.get(name, name)

    @invariant()
    def listeners_are_up_to_date(self) -> None:
        _, model, mirror, heard = self.isolations[-1]
        assert AgentRegistry.revision == model.revision
        assert [event.revision for event in heard] == list(range(1, model.revision + 1))
        mirror.check()
        assert mirror.resyncs == 0
        assert len(table.now.table.log) == 0
        entered = sum(isinstance(event, AgentRegistered) for event in heard)
        left = sum(isinstance(event, AgentUnregistered) for event in heard)
        assert entered - left == len(model.agents)


RegistryMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRegistry = RegistryMachine.TestCase
