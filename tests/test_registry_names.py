"""The names that agents and pools may have: checked, numbered, reserved."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from agentreg import AgentRegistry, NameTakenError, RegistryError, ReservedNameError


class Probe:
    """A small agent."""


class Pool:
    """A small pool."""

    def __init__(self, base_name: Any, size: int = 1) -> None:
        self.base_name = base_name
        self.instances = [Probe() for _ in range(size)]
        self.num_instances = size

    def get_available_count(self) -> int:
        return self.num_instances


# -- what a name is ---------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a", "x" * 255, "two words", "über-Plänner", "企画", "a.b/c:d_0", "🦊", "None", "0", "BaseAgent-1"]
)
def test_one_to_255_printable_characters_are_a_name(name: str) -> None:
    agent = Probe()

    assert AgentRegistry.register(agent, name) == name
    assert AgentRegistry.get(name) is agent
    assert AgentRegistry.names() == [name]


@pytest.mark.parametrize("name", ["", "x" * 256, "two\nlines", "\t", "nul\0", "\u200b", "\x7f", "\ud800"])
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="agent name: expected 1 to 255 printable characters, got"):
        AgentRegistry.register(Probe(), name)

    assert AgentRegistry.names() == []


def test_a_refused_name_is_shown_shortened_with_its_length() -> None:
    with pytest.raises(ValueError, match=r"got 'x{60}\.\.\.' \(300 characters\)"):
        AgentRegistry.register(Probe(), "x" * 300)


@pytest.mark.parametrize("name", [5, 0, False, b"planner", ["planner"], ("a",), 2.5, Probe])
def test_a_name_that_is_no_text_is_a_type_error(name: Any) -> None:
    with pytest.raises(TypeError, match="agent name: expected text, got") as refusal:
        AgentRegistry.register(Probe(), name)

    assert type(name).__name__ in str(refusal.value)
    assert AgentRegistry.names() == []


def test_a_name_of_a_subclass_of_str_is_entered_as_plain_text() -> None:
    class Title(str):
        def __str__(self) -> str:
            return "something else"

        def __hash__(self) -> int:
            return 7

    agent = Probe()

    name = AgentRegistry.register(agent, Title("planner"))

    assert type(name) is str
    assert name == "planner"
    assert AgentRegistry.get("planner") is agent


def test_names_are_told_apart_by_case() -> None:
    lower, upper = Probe(), Probe()
    AgentRegistry.register(lower, "planner")
    AgentRegistry.register(upper, "Planner")

    assert AgentRegistry.get("planner") is lower
    assert AgentRegistry.get("Planner") is upper


@pytest.mark.parametrize("name", ["", "x" * 256, "two\nlines"])
def test_a_pool_is_refused_a_bad_name(name: str) -> None:
    with pytest.raises(ValueError, match="pool name: expected 1 to 255 printable characters"):
        AgentRegistry.register_pool(Pool(name))

    assert AgentRegistry.all_with_pools() == {}


def test_a_pool_whose_members_names_become_too_long_is_refused_whole() -> None:
    pool = Pool("x" * 254, size=2)

    with pytest.raises(ValueError, match=r"member name: .*\(256 characters\)"):
        AgentRegistry.register_pool(pool)

    assert AgentRegistry.all_with_pools() == {}


def test_a_pool_name_that_is_no_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="pool name: expected text, got None of type NoneType"):
        AgentRegistry.register_pool(Pool(None))


# -- automatic names --------------------------------------------------------


def test_automatic_names_are_numbered_from_one_by_one_counter() -> None:
    agents = [Probe() for _ in range(3)]

    names = [
        AgentRegistry.register(agents[0]),
        AgentRegistry.register(agents[1], prefix="Scout"),
        AgentRegistry.register(agents[2], None, "BaseAgent"),
    ]

    assert names == ["BaseAgent-1", "Scout-2", "BaseAgent-3"]
    assert AgentRegistry.names() == names


def test_an_automatic_name_skips_the_names_in_use() -> None:
    agents = [Probe() for _ in range(3)]
    AgentRegistry.register(agents[0], "Scout-1")
    AgentRegistry.register(agents[1], "Scout-2")

    assert AgentRegistry.register(agents[2], prefix="Scout") == "Scout-3"


def test_an_automatic_name_skips_pools_and_their_members() -> None:
    pools = [Pool("Scout-1"), Pool("Scout-2")]
    for pool in pools:
        AgentRegistry.register_pool(pool)
    agent = Probe()

    assert AgentRegistry.register(agent, prefix="Scout") == "Scout-3"


def test_an_automatic_name_skips_the_reserved_ones() -> None:
    AgentRegistry.reserved_names.add("SCOUT-1")
    agent = Probe()

    assert AgentRegistry.register(agent, prefix="Scout") == "Scout-2"


def test_an_automatic_name_may_be_that_of_a_collected_agent_only_when_its_number_comes() -> None:
    AgentRegistry.register(Probe(), prefix="Scout")
    agent = Probe()

    assert AgentRegistry.register(agent, prefix="Scout") == "Scout-2"


def test_explicit_names_do_not_count() -> None:
    named, numbered = Probe(), Probe()
    AgentRegistry.register(named, "planner")

    assert AgentRegistry.register(numbered) == "BaseAgent-1"


def test_an_agent_without_a_name_that_is_there_already_gets_an_alias() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "planner")

    assert AgentRegistry.register(agent) == "BaseAgent-1"
    assert AgentRegistry.all() == {"planner": agent, "BaseAgent-1": agent}


@pytest.mark.parametrize("prefix", ["two\nlines", "x" * 254])
def test_a_prefix_that_makes_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="automatic name: expected 1 to 255 printable characters"):
        AgentRegistry.register(Probe(), prefix=prefix)

    assert AgentRegistry.names() == []


def test_a_number_that_grows_does_not_make_the_name_too_long() -> None:
    agents = [Probe() for _ in range(10)]
    for agent in agents[:9]:
        assert len(AgentRegistry.register(agent, prefix="x" * 253)) == 255

    with pytest.raises(ValueError, match="automatic name: expected 1 to 255 printable characters"):
        AgentRegistry.register(agents[9], prefix="x" * 253)


# -- reserved names ---------------------------------------------------------


def test_nothing_is_reserved_at_first() -> None:
    assert AgentRegistry.reserved_names == set()


@pytest.mark.parametrize("reserved", ["user", "User", "USER"])
@pytest.mark.parametrize("name", ["user", "User", "uSER"])
def test_a_reserved_name_is_refused_whatever_its_case(reserved: str, name: str) -> None:
    AgentRegistry.reserved_names.update({reserved, "system"})

    with pytest.raises(ReservedNameError) as refusal:
        AgentRegistry.register(Probe(), name)

    assert refusal.value.name == name
    assert refusal.value.reserved == tuple(sorted({reserved, "system"}))
    assert str(refusal.value) == (
        f"the name {name!r} is reserved (reserved, whatever the case: "
        f"{', '.join(map(repr, refusal.value.reserved))}); pass another name"
    )
    assert AgentRegistry.names() == []


def test_a_name_that_is_reserved_in_another_alphabet_is_refused_whatever_its_case() -> None:
    AgentRegistry.reserved_names.add("STRASSE")

    with pytest.raises(ReservedNameError):
        AgentRegistry.register(Probe(), "straße")


def test_a_reserved_name_is_a_registry_error_and_a_value_error() -> None:
    error = ReservedNameError("user", ["user", "system"])

    assert isinstance(error, RegistryError)
    assert isinstance(error, ValueError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_pool_is_refused_a_reserved_name() -> None:
    AgentRegistry.reserved_names.add("user")

    with pytest.raises(ReservedNameError):
        AgentRegistry.register_pool(Pool("User"))

    assert AgentRegistry.all_with_pools() == {}


def test_a_pool_with_a_reserved_member_name_is_refused_whole() -> None:
    AgentRegistry.reserved_names.add("BROWSER_1")
    pool = Pool("browser", size=3)

    with pytest.raises(ReservedNameError):
        AgentRegistry.register_pool(pool)

    assert AgentRegistry.all_with_pools() == {}


def test_a_name_may_be_given_free_again() -> None:
    agent = Probe()
    AgentRegistry.reserved_names.add("user")
    AgentRegistry.reserved_names.discard("user")

    assert AgentRegistry.register(agent, "user") == "user"


def test_reserving_a_name_leaves_its_holder_in_place() -> None:
    agent = Probe()
    AgentRegistry.register(agent, "user")

    AgentRegistry.reserved_names.add("user")

    assert AgentRegistry.get("user") is agent


def test_reserved_names_outlive_clear() -> None:
    AgentRegistry.reserved_names.add("user")

    AgentRegistry.clear()

    assert AgentRegistry.reserved_names == {"user"}
    with pytest.raises(ReservedNameError):
        AgentRegistry.register(Probe(), "user")


def test_the_set_of_reserved_names_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentRegistry, "reserved_names", {"user"})

    with pytest.raises(ReservedNameError):
        AgentRegistry.register(Probe(), "user")


# -- agents against pools ---------------------------------------------------


@pytest.mark.parametrize("name", ["browser", "browser_0", "browser_1"])
def test_an_agent_is_refused_the_name_of_a_pool_or_a_member(name: str) -> None:
    pool = Pool("browser", size=2)
    AgentRegistry.register_pool(pool)

    with pytest.raises(NameTakenError, match=f"the name '{name}' is held by <"):
        AgentRegistry.register(Probe(), name)

    assert AgentRegistry.all_with_pools() == {
        "browser_0": pool.instances[0],
        "browser_1": pool.instances[1],
        "browser": pool,
    }


def test_a_name_that_is_refused_changes_nothing() -> None:
    heard: list[object] = []
    before = AgentRegistry.revision
    AgentRegistry.subscribe(heard.append)

    with pytest.raises(ValueError, match="expected 1 to 255"):
        AgentRegistry.register(Probe(), "")

    assert AgentRegistry.revision == before
    assert heard == []
