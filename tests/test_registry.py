"""AgentRegistry and its agents: entering, being found, leaving."""

from __future__ import annotations

import copy
import logging
import pickle
import weakref
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from agentreg import AgentNotFoundError, AgentRegistry, NameTakenError, RegistryError


class Probe:
    """A small agent."""


class Scout(Probe):
    """A small agent of a subclass."""


class Named(Probe):
    """A small agent that knows its name."""

    def __init__(self, name: Any) -> None:
        self.name = name


class Unequal(Probe):
    """An agent without a hash, that says it equals everything."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


# -- register ---------------------------------------------------------------


def test_a_registered_agent_is_found_by_its_name() -> None:
    agent = Probe()

    name = AgentRegistry.register(agent, "planner")

    assert name == "planner"
    assert AgentRegistry.get("planner") is agent


def test_the_same_agent_may_register_the_same_name_again() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    revision = AgentRegistry.revision

    name = AgentRegistry.register(agent, "planner")

    assert name == "planner"
    assert AgentRegistry.revision == revision
    assert AgentRegistry.names() == ["planner"]


def test_a_second_name_is_an_alias() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    AgentRegistry.register(agent, "chief")

    assert AgentRegistry.all() == {"planner": agent, "chief": agent}


def test_an_alias_leaves_alone() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    AgentRegistry.register(agent, "chief")

    AgentRegistry.unregister_if_same("planner", agent)

    assert AgentRegistry.get("planner") is None
    assert AgentRegistry.get("chief") is agent


def test_every_alias_goes_with_its_agent() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    AgentRegistry.register(agent, "chief")

    del agent

    assert AgentRegistry.names() == []
    assert AgentRegistry.all() == {}


def test_a_name_held_by_a_living_agent_is_refused_with_the_holder_and_the_way_out() -> None:
    class Planner:
        def __repr__(self) -> str:
            return "<Planner of the week>"

    holder = Planner()
    AgentRegistry.register(holder, "planner")

    with pytest.raises(NameTakenError) as refusal:
        AgentRegistry.register(Probe(), "planner")

    assert str(refusal.value) == (
        "the name 'planner' is held by <Planner of the week>; pass another name, or unregister the holder first "
        "(if you have dropped it, something still holds it)"
    )
    assert (refusal.value.name, refusal.value.holder) == ("planner", "<Planner of the week>")
    assert AgentRegistry.get("planner") is holder


def test_a_name_that_is_taken_is_a_registry_error_and_a_value_error() -> None:
    assert issubclass(NameTakenError, RegistryError)
    assert issubclass(NameTakenError, ValueError)


def test_a_refusal_survives_copying_and_pickling() -> None:
    refusal = NameTakenError("planner", "<Planner>")

    for twin in (copy.copy(refusal), pickle.loads(pickle.dumps(refusal))):
        assert str(twin) == str(refusal)


def test_a_holder_whose_repr_fails_is_named_by_its_class() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no repr today")

    holder = Broken()
    AgentRegistry.register(holder, "broken")

    with pytest.raises(NameTakenError, match=r"Broken object at 0x"):
        AgentRegistry.register(Probe(), "broken")


def test_a_holder_with_an_endless_repr_is_shortened() -> None:
    class Talkative:
        def __repr__(self) -> str:
            return "word " * 10_000

    holder = Talkative()
    AgentRegistry.register(holder, "talkative")

    with pytest.raises(NameTakenError) as refusal:
        AgentRegistry.register(Probe(), "talkative")

    assert len(str(refusal.value)) < 400
    assert refusal.value.holder.endswith("...")


def test_a_refused_agent_leaves_no_trace() -> None:
    holder = Probe()
    AgentRegistry.register(holder, "planner")
    revision = AgentRegistry.revision

    with pytest.raises(NameTakenError):
        AgentRegistry.register(Probe(), "planner")

    assert AgentRegistry.revision == revision
    assert AgentRegistry.all() == {"planner": holder}


def test_a_refusal_that_is_kept_does_not_keep_the_holder() -> None:
    holder = Probe()
    AgentRegistry.register(holder, "planner")
    with pytest.raises(NameTakenError) as refusal:
        AgentRegistry.register(Probe(), "planner")

    del holder

    assert AgentRegistry.get("planner") is None
    assert refusal.value.holder.startswith("<")


def test_an_object_that_cannot_be_weakly_referenced_is_refused_with_the_way_out() -> None:
    class Rigid:
        __slots__ = ()

    for rigid in (5, "text", (), None, Rigid()):
        with pytest.raises(TypeError, match=r"can't be weakly referenced.*put it into a holder") as refusal:
            AgentRegistry.register(rigid, "rigid")
        assert type(rigid).__name__ in str(refusal.value)

    assert AgentRegistry.names() == []


def test_agents_are_told_apart_by_identity_not_by_equality() -> None:
    holder, other = Unequal(), Unequal()
    AgentRegistry.register(holder, "planner")

    assert AgentRegistry.unregister_if_same("planner", other) is False
    with pytest.raises(NameTakenError):
        AgentRegistry.register(other, "planner")
    assert AgentRegistry.get("planner") is holder


def test_functions_methods_classes_and_mocks_may_be_agents() -> None:
    agents = {"function": test_an_alias_leaves_alone, "class": Probe, "mock": Mock(), "magic": MagicMock()}

    for name, agent in agents.items():
        AgentRegistry.register(agent, name)

    assert AgentRegistry.all() == agents


def test_an_agent_is_asked_for_no_attribute() -> None:
    class Private:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

        def __setattr__(self, name: str, value: object) -> None:
            raise AssertionError(f"given {name}")

    agent = Private()

    AgentRegistry.register(agent, "private")
    AgentRegistry.register(agent)
    everybody = AgentRegistry.all()
    removed = AgentRegistry.unregister_if_same("private", agent)

    assert removed is True
    assert list(everybody) == ["private", "BaseAgent-1"]


def test_registering_keeps_no_agent_alive() -> None:
    agent = Probe()
    ghost = weakref.ref(agent)
    AgentRegistry.register(agent, "planner")

    del agent

    assert ghost() is None


# -- get, require -----------------------------------------------------------


def test_an_unknown_name_gives_none() -> None:
    assert AgentRegistry.get("nobody") is None


@pytest.mark.parametrize(
    "name", [None, 5, 2.5, (), ("a", 1), b"planner", frozenset({"a"}), Probe, "", "\n", "x" * 9999]
)
def test_get_never_raises_for_anything_hashable(name: Any) -> None:
    assert AgentRegistry.get(name) is None


def test_a_dropped_agent_is_not_found() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    del agent

    assert AgentRegistry.get("planner") is None


def test_require_gives_the_agent() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.require("planner") is agent


def test_require_names_the_nearest_names_first_the_nearest() -> None:
    agents = {name: Probe() for name in ("writer", "reviewer", "planner", "planer-2", "zebra")}
    for name, agent in agents.items():
        AgentRegistry.register(agent, name)

    with pytest.raises(AgentNotFoundError) as refusal:
        AgentRegistry.require("planer")

    assert refusal.value.name == "planer"
    assert refusal.value.nearest[:2] == ("planner", "planer-2")
    assert str(refusal.value).startswith("no agent is named 'planer'; the nearest names are 'planner', 'planer-2'")
    assert "zebra" not in str(refusal.value)


def test_require_says_where_to_look_when_nothing_is_near() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    with pytest.raises(
        AgentNotFoundError, match=r"no agent is named 'xyz', nor anything like it; AgentRegistry\.names"
    ):
        AgentRegistry.require("xyz")


@pytest.mark.parametrize("name", [None, 5, ()])
def test_require_of_what_is_no_name_is_not_found(name: Any) -> None:
    with pytest.raises(LookupError, match="no agent is named"):
        AgentRegistry.require(name)


def test_an_agent_that_is_not_found_is_a_registry_error_and_a_lookup_error() -> None:
    error = AgentNotFoundError("planner", ["planer"])

    assert isinstance(error, RegistryError)
    assert isinstance(error, LookupError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("names", "asked", "nearest"),
    [
        (["planner-1", "planner-2", "planner-3", "planner-4"], "planner", 3),  # no more than three
        (["abcdef"], "abxyzf", 1),  # half alike is alike
        (["abcdef"], "uvwxyf", 0),
        (["planner"], "planner-10", 1),  # three characters longer
        (["planner"], "planner-100", 0),
    ],
)
def test_near_is_at_least_half_alike_and_of_nearly_the_same_length(names: list[str], asked: str, nearest: int) -> None:
    agents = [Probe() for _ in names]
    for agent, name in zip(agents, names, strict=True):
        AgentRegistry.register(agent, name)

    with pytest.raises(AgentNotFoundError) as refusal:
        AgentRegistry.require(asked)

    assert len(refusal.value.nearest) == nearest


@pytest.mark.parametrize(("length", "shown"), [(200, "x" * 200), (201, "x" * 197 + "...")])
def test_an_error_shows_at_most_200_characters_of_a_holder(length: int, shown: str) -> None:
    class Wordy(Probe):
        def __repr__(self) -> str:
            return "x" * length

    holder = Wordy()
    AgentRegistry.register(holder, "planner")

    with pytest.raises(NameTakenError) as refusal:
        AgentRegistry.register(Probe(), "planner")

    assert refusal.value.holder == shown


def test_the_dead_are_not_among_the_nearest() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    del agent

    with pytest.raises(AgentNotFoundError) as refusal:
        AgentRegistry.require("planer")

    assert refusal.value.nearest == ()


# -- all, names, count, find ------------------------------------------------


def test_all_names_and_count_agree_in_order_of_registration() -> None:
    agents = {name: Probe() for name in "cab"}
    for name, agent in agents.items():
        AgentRegistry.register(agent, name)

    assert list(AgentRegistry.all().items()) == list(agents.items())
    assert AgentRegistry.names() == ["c", "a", "b"]
    assert AgentRegistry.count() == 3


def test_all_is_a_copy() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    AgentRegistry.all().clear()
    AgentRegistry.names().clear()
    AgentRegistry.all_with_pools().clear()

    assert AgentRegistry.all() == {"planner": agent}


def test_all_is_a_plain_dict_that_holds_the_agents() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    everybody = AgentRegistry.all()
    del agent

    assert type(everybody) is dict
    assert type(everybody["planner"]) is Probe
    assert AgentRegistry.count() == 1


def test_the_dead_are_in_no_listing() -> None:
    agents = {name: Probe() for name in "abc"}
    for name, agent in agents.items():
        AgentRegistry.register(agent, name)

    del agents["b"]

    assert list(AgentRegistry.all()) == ["a", "c"]
    assert AgentRegistry.names() == ["a", "c"]
    assert AgentRegistry.count() == 2
    assert list(AgentRegistry.all_with_pools()) == ["a", "c"]


def test_find_by_type_includes_subclasses() -> None:
    probe, scout, other = Probe(), Scout(), Mock()
    for name, agent in {"probe": probe, "scout": scout, "other": other}.items():
        AgentRegistry.register(agent, name)

    assert AgentRegistry.find_by_type(Probe) == {"probe": probe, "scout": scout}
    assert AgentRegistry.find_by_type(Scout) == {"scout": scout}
    assert AgentRegistry.find_by_type((Scout, Mock)) == {"scout": scout, "other": other}
    assert AgentRegistry.find_by_type(int) == {}


def test_find_takes_a_predicate() -> None:
    busy, idle = Named("busy"), Named("idle")
    for agent in (busy, idle):
        AgentRegistry.register(agent, agent.name)

    assert AgentRegistry.find(lambda agent: agent.name == "idle") == {"idle": idle}


# -- leaving ----------------------------------------------------------------


def test_unregister_removes_the_agent_and_frees_its_name() -> None:
    agent, successor = Probe(), Probe()
    AgentRegistry.register(agent, "planner")

    AgentRegistry.unregister("planner")

    assert AgentRegistry.get("planner") is None
    assert AgentRegistry.register(successor, "planner") == "planner"


def test_unregistering_an_unknown_name_is_a_warning_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    AgentRegistry.unregister("nobody")

    [record] = caplog.records
    assert (record.name, record.levelno) == ("agentreg", logging.WARNING)
    assert record.getMessage() == "cannot unregister 'nobody': no agent or pool has that name"


def test_unregistering_a_collected_agent_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    del agent

    AgentRegistry.unregister("planner")

    assert "cannot unregister 'planner'" in caplog.text


def test_unregistering_an_agent_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    AgentRegistry.unregister("planner")

    assert caplog.records == []


def test_unregister_if_same_removes_this_very_instance() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.unregister_if_same("planner", agent) is True
    assert AgentRegistry.unregister_if_same("planner", agent) is False
    assert AgentRegistry.get("planner") is None


def test_a_late_farewell_does_not_remove_the_successor() -> None:
    old, new = Probe(), Probe()
    AgentRegistry.register(old, "planner")
    AgentRegistry.unregister("planner")
    AgentRegistry.register(new, "planner")

    assert AgentRegistry.unregister_if_same("planner", old) is False
    assert AgentRegistry.get("planner") is new


def test_unregister_if_same_of_an_unknown_name_does_nothing() -> None:
    revision = AgentRegistry.revision

    assert AgentRegistry.unregister_if_same("nobody", Probe()) is False
    assert AgentRegistry.unregister_if_same("nobody", None) is False
    assert AgentRegistry.revision == revision


def test_nobody_is_not_the_same_as_a_collected_agent() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    del agent

    assert AgentRegistry.unregister_if_same("planner", None) is False


def test_unregister_instance_goes_by_the_name_of_the_instance() -> None:
    agent = Named("planner")
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.unregister_instance(agent) is True
    assert AgentRegistry.names() == []


@pytest.mark.parametrize("name", [None, "", 5, ("planner",), "somebody else"])
def test_unregister_instance_without_a_name_of_its_own_does_nothing(name: Any) -> None:
    agent = Named(name)
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.unregister_instance(agent) is False
    assert AgentRegistry.get("planner") is agent


def test_unregister_instance_of_a_mock_or_a_nameless_agent_does_nothing() -> None:
    for agent in (Mock(), Probe()):
        AgentRegistry.register(agent, "planner")

        assert AgentRegistry.unregister_instance(agent) is False
        assert AgentRegistry.get("planner") is agent
        AgentRegistry.clear()


def test_a_name_is_free_again_once_its_agent_is_collected() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    del agent
    successor = Probe()

    AgentRegistry.register(successor, "planner")

    assert AgentRegistry.get("planner") is successor


def test_a_successor_outlives_the_sweeping_of_its_predecessor() -> None:
    AgentRegistry.register(Probe(), "planner")  # dies here, and is not swept yet
    successor = Probe()
    AgentRegistry.register(successor, "planner")

    assert AgentRegistry.names() == ["planner"]
    assert AgentRegistry.all() == {"planner": successor}


def test_an_agent_that_left_may_die_after_its_successor_came() -> None:
    agent, successor = Probe(), Probe()
    AgentRegistry.register(agent, "planner")
    AgentRegistry.unregister_if_same("planner", agent)
    AgentRegistry.register(successor, "planner")

    del agent

    assert AgentRegistry.all() == {"planner": successor}


def test_an_agent_may_come_back() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    AgentRegistry.unregister_if_same("planner", agent)

    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.get("planner") is agent
    assert AgentRegistry.count() == 1


# -- clear ------------------------------------------------------------------


def test_clear_empties_agents_and_leaves_them_alone() -> None:
    agent = Named("planner")
    AgentRegistry.register(agent, "planner")

    AgentRegistry.clear()

    assert AgentRegistry.get("planner") is None
    assert AgentRegistry.all() == {}
    assert (AgentRegistry.names(), AgentRegistry.count()) == ([], 0)
    assert vars(agent) == {"name": "planner"}


def test_the_counter_starts_at_one_again_after_clear() -> None:
    agent = Probe()
    AgentRegistry.register(agent)

    AgentRegistry.clear()

    assert AgentRegistry.register(agent) == "BaseAgent-1"


def test_a_cleared_agent_may_be_registered_again_and_is_still_held_weakly() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")
    AgentRegistry.clear()
    AgentRegistry.register(agent, "planner")
    assert AgentRegistry.get("planner") is agent

    del agent

    assert AgentRegistry.names() == []


def test_a_cleared_agent_that_dies_takes_no_successor_along() -> None:
    agent, successor = Probe(), Probe()
    AgentRegistry.register(agent, "planner")
    AgentRegistry.clear()
    AgentRegistry.register(successor, "planner")

    del agent

    assert AgentRegistry.all() == {"planner": successor}


# -- the class --------------------------------------------------------------


def test_calling_the_class_gives_the_class() -> None:
    class MyRegistry(AgentRegistry):
        pass

    assert AgentRegistry() is AgentRegistry
    assert MyRegistry() is MyRegistry


def test_a_subclass_shares_the_one_table() -> None:
    class MyRegistry(AgentRegistry):
        pass

    agent, other = Probe(), Probe()
    MyRegistry.register(agent, "planner")
    AgentRegistry.register(other, "writer")

    assert MyRegistry.get("planner") is AgentRegistry.get("planner") is agent
    assert MyRegistry.all() == AgentRegistry.all() == {"planner": agent, "writer": other}
    assert MyRegistry.revision == AgentRegistry.revision
    MyRegistry.reserved_names.add("user")
    assert AgentRegistry.reserved_names == {"user"}


def test_attributes_can_be_hung_on_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Probe()

    monkeypatch.setattr(AgentRegistry, "_test_agents", [agent], raising=False)

    assert AgentRegistry._test_agents == [agent]  # type: ignore[attr-defined]


def test_every_documented_member_is_there_and_documented() -> None:
    members = [
        "register",
        "get",
        "require",
        "all",
        "all_with_pools",
        "names",
        "count",
        "unregister",
        "unregister_if_same",
        "unregister_instance",
        "register_pool",
        "get_pool",
        "is_pool",
        "is_pool_instance",
        "get_pool_name_for_instance",
        "normalize_agent_name",
        "are_same_agent",
        "get_or_acquire",
        "get_from_pool",
        "release_to_pool",
        "get_pool_instance",
        "get_instance_count",
        "get_available_count",
        "find_by_type",
        "find",
        "subscribe",
        "on_call",
        "extension_state",
        "clear",
    ]

    assert [name for name in members if not (getattr(AgentRegistry, name).__doc__ or "").strip()] == []
    assert isinstance(AgentRegistry._agents, weakref.WeakValueDictionary)
    assert isinstance(AgentRegistry._pools, dict)
    assert isinstance(AgentRegistry.reserved_names, set)


# -- extension_state --------------------------------------------------------


class State:
    """What an extension keeps."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_an_extension_has_one_state_per_key() -> None:
    first = AgentRegistry.extension_state("index", State)

    assert AgentRegistry.extension_state("index", State) is first
    assert AgentRegistry.extension_state(("index", 2), State) is not first


def test_clear_drops_the_state_of_extensions_and_closes_it() -> None:
    state = AgentRegistry.extension_state("index", State)
    AgentRegistry.extension_state("plain", list)

    AgentRegistry.clear()

    assert state.closed == 1
    assert AgentRegistry.extension_state("index", State) is not state


def test_a_state_that_fails_to_close_does_not_keep_the_others_open(caplog: pytest.LogCaptureFixture) -> None:
    class Sticky(State):
        def close(self) -> None:
            raise RuntimeError("it sticks")

    AgentRegistry.extension_state("sticky", Sticky)
    state = AgentRegistry.extension_state("index", State)
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    AgentRegistry.clear()

    assert state.closed == 1
    assert AgentRegistry.names() == []
    assert "it sticks" in caplog.text


def test_a_factory_that_fails_is_called_again_the_next_time() -> None:
    def fail() -> State:
        raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        AgentRegistry.extension_state("index", fail)

    assert isinstance(AgentRegistry.extension_state("index", State), State)


def test_a_factory_may_use_the_registry() -> None:
    agent = Probe()

    def make() -> list[str]:
        AgentRegistry.register(agent, "planner")
        return AgentRegistry.extension_state("other", AgentRegistry.names)

    assert AgentRegistry.extension_state("index", make) == ["planner"]
