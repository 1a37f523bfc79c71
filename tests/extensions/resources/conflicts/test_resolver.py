"""What is done about conflicts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg import AgentRegistry
from agentreg.extensions.resources import ResourceManager
from agentreg.extensions.resources.conflicts import (
    CONFLICTS,
    MANUAL_STRATEGIES,
    AgentRequest,
    AlreadyAnsweredError,
    Conflict,
    ConflictContext,
    ConflictPolicies,
    ConflictRefusedError,
    ConflictResolver,
    PendingDecision,
    Resolution,
    ResourceOffice,
    WayOut,
)

NOON = 1_767_355_200.0  # 2026-01-02 12:00:00 UTC


class Agent:
    """Something that can be registered."""


@dataclass
class Share:
    """A share that is granted at once."""

    granted: bool = True

    async def ready(self) -> None: ...

    def cancel(self) -> None: ...


@dataclass
class Office:
    """So many bytes are free."""

    free: int = 0
    asked: list[Any] = field(default_factory=list)

    def allocate(self, agent: str, *, memory: Any, priority: Any, tasks: int) -> Share:
        return Share()

    def release(self, agent: str) -> None: ...

    def available(self, memory: Any) -> bool:
        self.asked.append(memory)
        return (int(memory.removesuffix("mb")) << 20 if isinstance(memory, str) else memory) <= self.free


@dataclass
class Room:
    """Servers that are full."""

    full: tuple[str, ...]

    def room(self, server: str) -> int:
        return 0 if server in self.full else 3


def resolver(**policies: Any) -> ConflictResolver:
    return ConflictResolver(ConflictPolicies(**policies), wall_clock=lambda: NOON)


def taken(*names: str) -> ConflictContext:
    return ConflictContext(taken=names.__contains__)


def test_a_request_without_a_conflict_is_accepted_as_it_is() -> None:
    asker = resolver()

    resolution = asker.resolve(AgentRequest("scout", tools=["Read"], memory="1gb", mcp_servers=["gh"]))

    assert (resolution.status, resolution.changed, resolution.decisions) == ("accepted", False, ())
    assert resolution.accepted() is resolution.request


# -- names ------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_by_default() -> None:
    resolution = resolver().resolve(AgentRequest("scout"), taken("scout"))

    assert (resolution.status, resolution.reason) == ("refused", "the name 'scout' is taken")
    with pytest.raises(ConflictRefusedError, match=r"refused for a conflict of name.*could choose name_suffix"):
        resolution.accepted()


@pytest.mark.parametrize("strategy", ["name_suffix", "append_timestamp_suffix", "name_suffix_addition"])
def test_a_name_that_is_taken_gets_the_time_as_a_suffix(strategy: str) -> None:
    resolution = resolver(name=strategy).resolve(AgentRequest("scout"), taken("scout", "scout-20260102-120000"))

    assert resolution.accepted().name == "scout-20260102-120000-2"


def test_live_agents_and_pools_hold_their_names() -> None:
    agent = Agent()
    AgentRegistry.register(agent, "scout")

    assert resolver().resolve(AgentRequest("scout")).status == "refused"
    assert resolver().resolve(AgentRequest("other")).status == "accepted"


def test_a_reload_under_its_own_name_is_no_conflict() -> None:
    asker = resolver()

    assert asker.resolve(AgentRequest("scout", replaces="scout"), taken("scout")).status == "accepted"
    assert asker.resolve(AgentRequest("other", replaces="scout"), taken("scout", "other")).status == "refused"


# -- resources --------------------------------------------------------------


def short(free: int = 0, **more: Any) -> ConflictContext:
    return ConflictContext(taken=lambda name: False, resources=Office(free << 20), **more)


def test_who_finds_too_little_memory_waits_in_the_queue_by_default() -> None:
    resolution = resolver().resolve(AgentRequest("scout", memory="100mb"), short())

    assert resolution.accepted().memory == "100mb"
    assert "waits in the queue with priority normal" in resolution.decisions[0].reason


def test_degradation_takes_as_much_memory_as_there_is() -> None:
    request = AgentRequest("scout", memory="100mb", minimum_memory="10mb")

    resolution = resolver(resources="graceful_degradation").resolve(request, short(42))

    assert resolution.accepted().memory == 42 << 20


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 200))
def test_degradation_never_takes_more_than_there_is_nor_less_than_it_can_do_with(
    free: int, most: int, least: int
) -> None:
    request = AgentRequest("scout", memory=most << 20, minimum_memory=least << 20)

    resolution = resolver(resources="graceful_degradation").resolve(request, short(free))

    if free >= most:
        assert not resolution.changed
    elif least <= min(free, most):
        assert resolution.accepted().memory == free << 20
    else:
        assert resolution.status == "refused"


def test_a_priority_is_raised_by_one_up_to_a_ceiling() -> None:
    asker = resolver(resources=("priority_adjustment", "priority_queue"), highest_priority="important")

    raised = [
        asker.resolve(AgentRequest("scout", memory="1mb", priority=priority), short()).accepted().priority
        for priority in ("low", "normal", "important", "critical")
    ]

    assert raised == ["normal", "important", "important", "critical"]


def test_reallocation_makes_room_or_is_no_way_out() -> None:
    asker = resolver(resources="resource_reallocation")
    office = Office()
    request = AgentRequest("scout", memory="1mb")

    def make_room(request: AgentRequest) -> None:
        office.free += 1 << 20

    context = ConflictContext(lambda name: False, office, reallocate=make_room)
    assert asker.resolve(request, context).status == "accepted"
    assert asker.resolve(request, short(reallocate=lambda request: None)).status == "refused"
    assert asker.resolve(request, short()).status == "refused"


def test_the_first_strategy_that_is_a_way_out_is_taken() -> None:
    asker = resolver(resources=["resource_reallocation", "graceful_degradation", "priority_queue"])

    resolution = asker.resolve(AgentRequest("scout", memory="1mb"), short())

    assert resolution.decisions[0].strategy == "priority_queue"


def test_a_real_resource_manager_is_an_office() -> None:
    office: ResourceOffice = ResourceManager(total_memory="2GB", reserved="1GB")
    context = ConflictContext(lambda name: False, office)
    asker = resolver(resources="graceful_degradation")

    resolution = asker.resolve(AgentRequest("scout", memory="3gb", minimum_memory="100mb"), context)

    assert resolution.accepted().memory == 1 << 30


# -- tools ------------------------------------------------------------------


def test_the_tools_are_what_everybody_agrees_on() -> None:
    context = ConflictContext(allowed_tools={"parent": ["Read", "Bash(git:*)"]}, denied_tools={"user": ["Write"]})
    asker = resolver(allowed_tools=["Read", "Bash", "Write"])

    resolution = asker.resolve(AgentRequest("scout", tools=["Read", "Bash", "Write", "Grep"]), context)

    assert resolution.accepted().tools == ("Read", "Bash(git:*)")
    assert "Write was taken away by parent; Grep was taken away by policy" in resolution.decisions[0].reason
    assert "Bash was narrowed to Bash(git:*)" in resolution.decisions[0].reason


def test_a_context_that_calls_its_permissions_policy_does_not_replace_those_of_the_policies() -> None:
    context = ConflictContext(allowed_tools={"policy": ["Read", "Bash"]}, denied_tools={"itself": []})
    asker = resolver(allowed_tools=["Read"])

    resolution = asker.resolve(AgentRequest("scout", tools=["Read", "Bash"], denied_tools=["Read(.env)"]), context)

    assert resolution.accepted().tools == ("Read",)
    assert resolution.accepted().denied_tools == ("Read(.env)",)


@pytest.mark.parametrize("tools", [["Read", "Bash"], None])
def test_when_nothing_is_left_of_what_is_required_it_is_refused(tools: list[str] | None) -> None:
    request = AgentRequest("scout", tools=tools, required_tools=["Bash"])

    resolution = resolver(allowed_tools=["Read"]).resolve(request)

    assert resolution.status == "refused"
    assert "nothing is left of Bash, which it requires" in resolution.reason


def test_when_no_tool_is_left_it_is_refused() -> None:
    resolution = resolver(denied_tools=["Bash"]).resolve(AgentRequest("scout", tools=["Bash(git:*)"]))

    assert resolution.reason == "nothing is left of its tools: Bash(git:*) was taken away by policy"


def test_who_asks_for_no_particular_tool_gets_those_that_are_allowed() -> None:
    resolution = resolver(allowed_tools=["Read"], denied_tools=["Read(.env)"]).resolve(AgentRequest("scout"))

    assert (resolution.accepted().tools, resolution.accepted().denied_tools) == (("Read",), ("Read(.env)",))
    assert resolution.decisions == ()


def test_degradation_gives_up_every_tool_that_is_not_granted_whole() -> None:
    asker = resolver(tools="graceful_degradation", allowed_tools=["Read", "Bash(git:*)"])

    assert asker.resolve(AgentRequest("scout", tools=["Read", "Bash"])).accepted().tools == ("Read",)
    assert asker.resolve(AgentRequest("scout", tools=["Read", "Bash"], required_tools=["Bash"])).status == "refused"


# -- MCP servers ------------------------------------------------------------


def test_a_full_server_is_waited_for_by_default() -> None:
    request = AgentRequest("scout", mcp_servers=["a", "b"])

    resolution = resolver().resolve(request, ConflictContext(connections=Room(("b",))))

    assert resolution.accepted() == request
    assert resolution.decisions[0].strategy == "connection_pooling"


def test_degradation_does_without_optional_servers_that_are_full() -> None:
    context = ConflictContext(connections=Room(("a",)))
    asker = resolver(mcp="graceful_degradation")

    optional = asker.resolve(AgentRequest("scout", mcp_servers=["b"], optional_mcp_servers=["a"]), context)
    needed = asker.resolve(AgentRequest("scout", mcp_servers=["a", "b"]), context)

    assert optional.accepted().mcp_servers == ("b",)
    assert needed.status == "refused"


# -- asking somebody --------------------------------------------------------


@pytest.mark.parametrize("kind", MANUAL_STRATEGIES[:3])
def test_somebody_is_asked_and_the_rest_goes_on_from_the_answer(kind: str) -> None:
    asker = resolver(name=kind, allowed_tools=["Read"])

    async def main() -> Resolution:
        asked = asker.resolve(AgentRequest("scout", tools=["Read", "Bash"]), taken("scout"))
        assert asked.status == "pending"
        waiting = [asyncio.ensure_future(asked.settled()) for _ in range(2)]
        await asyncio.sleep(0)
        (question,) = asker.pending()
        assert (question.kind, question.conflict, question.subject) == (kind, "name", "scout")
        asker.answer(question.id, "name_suffix", by="ann", reason="both are needed")
        one, other = await asyncio.gather(*waiting)
        assert one is other
        return one

    resolution = asyncio.run(main())

    assert resolution.accepted().name == "scout-20260102-120000"
    assert resolution.accepted().tools == ("Read",)
    assert [each.choice for each in resolution.decisions] == ["pending", "name_suffix", "least_privilege"]
    assert [each.by for each in resolution.decisions] == ["policy", "ann", "policy"]
    assert resolution.decisions[1].reason.startswith("both are needed; ")
    assert asker.pending() == []


def test_a_pending_request_can_not_be_gone_on_with() -> None:
    asked = resolver(name="user_intervention").resolve(AgentRequest("scout"), taken("scout"))

    with pytest.raises(RuntimeError, match=r"await resolution\.settled"):
        asked.accepted()


def test_one_question_may_follow_another() -> None:
    asker = resolver(name="user_intervention", tools="configuration_review", allowed_tools=["Read"])

    async def main() -> Resolution:
        asked = asker.resolve(AgentRequest("scout", tools=["Bash"]), taken("scout"))
        waiting = asyncio.ensure_future(asked.settled())
        for choice in ("name_suffix", "accept"):
            await asyncio.sleep(0)
            asker.pending()[0].answer(choice, "ann")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await waiting

    assert asyncio.run(main()).accepted().tools == ("Bash",)


def test_when_nobody_answers_the_default_of_the_kind_is_taken() -> None:
    asker = resolver(tools="user_intervention", allowed_tools=["Read"], timeout=0, default={"tools": "least_privilege"})

    resolution = asyncio.run(asker.resolve(AgentRequest("scout", tools=["Read", "Bash"])).settled())

    assert resolution.accepted().tools == ("Read",)
    assert resolution.decisions[-1].by == "timeout"


def test_custom_logic_decides() -> None:
    async def think(question: PendingDecision) -> str:
        return "name_suffix" if question.conflict == "name" else "refuse"

    asker = resolver(name="custom_logic", custom_logic=think)

    resolution = asyncio.run(asker.resolve(AgentRequest("scout"), taken("scout")).settled())

    assert resolution.accepted().name == "scout-20260102-120000"
    assert (resolution.decisions[-1].strategy, resolution.decisions[-1].by) == ("custom_logic", "custom_logic")


def test_an_answer_that_is_no_way_out_after_all_refuses() -> None:
    asker = resolver(resources="resource_upgrade")
    asked = asker.resolve(AgentRequest("scout", memory="1mb"), short())
    asker.pending()[0].answer("resource_reallocation", "ann")

    assert asyncio.run(asked.settled()).status == "refused"


def test_a_question_is_answered_once_also_through_the_resolver() -> None:
    asker = resolver(name="user_intervention")
    asked = asker.resolve(AgentRequest("scout"), taken("scout"))
    assert asked.pending is not None
    asker.answer(asked.pending.id, "refuse", "ann")

    with pytest.raises(AlreadyAnsweredError):
        asker.answer(asked.pending.id, "name_suffix", "bob")
    with pytest.raises(LookupError, match=r"no pending decision has the id 'x' \(pending: none\)"):
        asker.answer("x", "refuse", "ann")


def test_too_many_open_questions_take_their_default_at_once() -> None:
    asker = ConflictResolver(ConflictPolicies(name="user_intervention"), pending_limit=2)

    asked = [asker.resolve(AgentRequest(f"a{number}"), ConflictContext(lambda name: True)) for number in range(9)]

    assert len(asker.pending()) == 2
    assert asked[2].pending is not None
    assert asked[2].pending.outcome is not None
    assert asked[2].pending.outcome.by == "pending_limit"


# -- strategies of one's own, and mistakes ----------------------------------


def test_a_strategy_of_ones_own_can_be_named_in_the_policies() -> None:
    def reversed_name(request: AgentRequest, conflict: Conflict, context: ConflictContext) -> WayOut:
        return WayOut(request.changed(name=request.name[::-1]), "it was turned round")

    asker = ConflictResolver(ConflictPolicies(name="turn"), strategies={"name": {"turn": reversed_name}})

    assert asker.resolve(AgentRequest("scout"), taken("scout")).accepted().name == "tuocs"


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ({"name": "guess"}, r"policies\.name: expected one of .*name_suffix.*, got 'guess'"),
        ({"tools": "priority_queue"}, r"policies\.tools: expected one of"),
        ({"default": "guess"}, r"policies\.default: for name, expected one of name_suffix, refuse, got 'guess'"),
        ({"name": "custom_logic"}, "needs custom_logic="),
        ({"highest_priority": "top"}, "highest_priority: expected one of low"),
        ({"allowed_tools": ["Bash("]}, "expected a form like Bash"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_at_the_door(policies: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolver(**policies)


def test_an_unknown_kind_of_conflict_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of name, resources, tools, mcp, got 'colour'"):
        resolver().resolve(AgentRequest("scout"), kinds=["colour"])  # type: ignore[list-item]


@settings(deadline=None)
@given(st.lists(st.sampled_from(CONFLICTS), unique=True))
def test_every_conflict_leaves_a_decision_with_a_reason(kinds: list[str]) -> None:
    asker = resolver(name="name_suffix", allowed_tools=["Read"] if "tools" in kinds else None)
    context = ConflictContext(
        taken=lambda name: "name" in kinds and name == "scout",
        resources=Office(0 if "resources" in kinds else 1 << 40),
        connections=Room(("gh",) if "mcp" in kinds else ()),
    )

    asker.resolve(AgentRequest("scout", tools=["Read", "Bash"], memory="1mb", mcp_servers=["gh"]), context)

    recorded = asker.log.decisions("scout")
    assert [each.kind for each in recorded] == [kind for kind in CONFLICTS if kind in kinds]
    assert all(each.reason and each.choice and each.strategy for each in recorded)
