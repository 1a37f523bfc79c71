"""Who can do what: `agentreg.extensions.capabilities`."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading
import types
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentreg import AgentPool, AgentRegistry, BaseAgent
from agentreg.extensions import capabilities
from agentreg.extensions.capabilities import CapabilityIndex, CapabilityMixin, CapabilityRegistry
from agentreg.extensions.capabilities import index as index_module
from agentreg.testing import isolated_registry

FILLERS = [str(number) for number in range(140)]  # so many capabilities that a search builds its index


class Plain:
    """Anything that can be registered."""


class Worker(BaseAgent):
    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


def registered(*names: str) -> list[Plain]:
    agents = [Plain() for _ in names]
    for agent, name in zip(agents, names, strict=True):
        AgentRegistry.register(agent, name)
    return agents


def declare(**capabilities: Iterable[str]) -> None:
    for name, texts in capabilities.items():
        for text in texts:
            CapabilityRegistry.register_capability(name, text)


@pytest.fixture(params=["few capabilities", "many capabilities"])
def vocabulary(request: pytest.FixtureRequest) -> None:
    """Searches without and with an index."""
    if request.param == "many capabilities":
        declare(filler=FILLERS)


# -- declaring and finding ----------------------------------------------------


def test_specialists_are_found_by_what_they_declared() -> None:
    declare(translator_1=["translation", "localization"], writer_1=["content_creation"])

    translators = CapabilityRegistry.find_by_capability("translation")
    best = CapabilityRegistry.find_best_match(["translation", "localization"])

    assert translators == ["translator_1"]
    assert best == "translator_1"


def test_a_capability_is_found_exactly_as_it_was_written() -> None:
    declare(ann=["Translation"])

    assert CapabilityRegistry.find_by_capability("Translation") == ["ann"]
    assert CapabilityRegistry.find_by_capability("translation") == []
    assert CapabilityRegistry.find_by_capability("Trans") == []


def test_names_come_in_the_order_of_registration_not_of_declaration() -> None:
    agents = registered("ann", "bob", "cyd")
    declare(cyd=["translation"], ann=["translation"], bob=["translation"])

    found = CapabilityRegistry.find_by_capability("translation")

    assert found == ["ann", "bob", "cyd"]
    del agents


def test_a_name_that_is_not_registered_counts_from_its_first_declaration() -> None:
    early = registered("early")
    declare(ghost=["proofreading"])
    late = registered("late")
    declare(late=["translation"], ghost=["translation"], early=["translation"])

    found = CapabilityRegistry.find_by_capability("translation")

    assert found == ["early", "ghost", "late"]
    del early, late


def test_a_name_that_is_registered_after_its_declaration_counts_from_its_registration() -> None:
    declare(ghost=["translation"])
    agents = registered("ann")
    declare(ann=["translation"])
    agents += registered("ghost")

    found = CapabilityRegistry.find_by_capability("translation")

    assert found == ["ann", "ghost"]


def test_declaring_twice_is_declaring_once() -> None:
    declare(ann=["translation", "translation"])

    assert CapabilityRegistry.find_by_capability("translation") == ["ann"]
    assert CapabilityRegistry.capabilities_of("ann") == ("translation",)


def test_capabilities_of_a_name_come_in_the_order_of_declaration() -> None:
    declare(ann=["writing", "editing", "a last look"])

    assert CapabilityRegistry.capabilities_of("ann") == ("writing", "editing", "a last look")
    assert CapabilityRegistry.capabilities_of("nobody") == ()


def test_a_capability_is_in_use_as_long_as_somebody_has_it() -> None:
    declare(ann=["writing", "editing"], bob=["editing"])

    CapabilityRegistry.unregister_capability("ann", "writing")
    CapabilityRegistry.unregister_capability("ann", "editing")

    assert CapabilityRegistry.capabilities() == ["editing"]


def test_taking_back_what_was_never_declared_changes_nothing() -> None:
    declare(ann=["writing"])

    CapabilityRegistry.unregister_capability("ann", "editing")
    CapabilityRegistry.unregister_capability("bob", "writing")

    assert CapabilityRegistry.find_by_capability("writing") == ["ann"]


def test_a_base_agent_enters_what_it_was_made_with() -> None:
    before = Worker("before", capabilities=["translation", "writing"])
    CapabilityRegistry.capabilities()
    after = Worker("after", capabilities=["translation"])

    assert CapabilityRegistry.find_by_capability("translation") == ["before", "after"]
    assert CapabilityRegistry.capabilities_of("before") == ("translation", "writing")
    del before, after


def test_a_base_agents_own_capability_can_be_taken_back_and_added_to() -> None:
    worker = Worker("worker", capabilities=["translation", "writing"])

    CapabilityRegistry.unregister_capability("worker", "translation")
    CapabilityRegistry.register_capability("worker", "editing")

    assert CapabilityRegistry.capabilities_of("worker") == ("writing", "editing")
    del worker


def test_an_enumeration_of_texts_serves_as_capabilities() -> None:
    class Skill(str, Enum):
        WRITING = "writing"

    CapabilityRegistry.register_capability("ann", Skill.WRITING)

    assert CapabilityRegistry.find_by_capability(Skill.WRITING) == ["ann"]
    assert [type(text) for text in CapabilityRegistry.capabilities_of("ann")] == [str]


def test_all_of_means_every_one() -> None:
    declare(ann=["French", "German"], bob=["German"], cyd=["German", "Greek", "French"])

    assert CapabilityRegistry.find_all_of(["German", "French"]) == ["ann", "cyd"]
    assert CapabilityRegistry.find_all_of(["German", "Latin"]) == []
    assert CapabilityRegistry.find_all_of([]) == []


def test_any_of_means_at_least_one_and_names_nobody_twice() -> None:
    declare(ann=["French", "German"], bob=["Greek"], cyd=["German"])

    assert CapabilityRegistry.find_any_of(["German", "French", "Latin"]) == ["ann", "cyd"]
    assert CapabilityRegistry.find_any_of([]) == []


def test_the_best_match_has_most_and_among_equals_registered_first() -> None:
    agents = registered("ann", "bob", "cyd")
    declare(cyd=["French", "German"], bob=["German", "French"], ann=["French"])

    assert CapabilityRegistry.find_best_match(["German", "French"]) == "bob"
    assert CapabilityRegistry.find_best_match(["French", "French"]) == "ann"
    assert CapabilityRegistry.find_best_match(["Latin"]) is None
    assert CapabilityRegistry.find_best_match([]) is None
    del agents


# -- leaving ------------------------------------------------------------------


def test_a_name_leaves_every_capability_when_its_agent_is_collected() -> None:
    agents = registered("ann")
    declare(ann=["French", "German"])

    del agents

    assert CapabilityRegistry.find_by_capability("French") == []
    assert CapabilityRegistry.search("german") == []
    assert CapabilityRegistry.capabilities_of("ann") == ()
    assert CapabilityRegistry.capabilities() == []


def test_a_name_leaves_every_capability_when_its_agent_is_unregistered() -> None:
    [agent] = registered("ann")
    declare(ann=["French"])

    AgentRegistry.unregister_if_same("ann", agent)

    assert CapabilityRegistry.find_by_capability("French") == []


def test_a_successor_has_nothing_of_its_predecessor() -> None:
    worker = Worker("ann", capabilities=["French"])
    declare(ann=["German"])

    AgentRegistry.unregister_instance(worker)
    successor = Worker("ann", capabilities=["Greek"])

    assert CapabilityRegistry.capabilities_of("ann") == ("Greek",)
    del successor


def test_what_was_declared_for_a_name_goes_once_the_name_has_had_an_agent() -> None:
    declare(ann=["French"])
    before = CapabilityRegistry.find_by_capability("French")

    agents = registered("ann")
    meanwhile = CapabilityRegistry.find_by_capability("French")
    del agents
    afterwards = CapabilityRegistry.find_by_capability("French")

    assert (before, meanwhile, afterwards) == (["ann"], ["ann"], [])


def test_clear_empties_it_also_of_names_that_were_never_registered() -> None:
    agents = registered("ann")
    declare(ann=["French"], ghost=["French"])

    AgentRegistry.clear()

    assert CapabilityRegistry.find_by_capability("French") == []
    del agents


def test_members_of_a_pool_are_found_and_leave_with_the_pool() -> None:
    pool = AgentPool(Worker, 2, name="crew", capabilities=["French"])
    AgentRegistry.register_pool(pool)
    declare(crew=["French"])
    before = CapabilityRegistry.find_by_capability("French")

    AgentRegistry.unregister("crew")

    assert sorted(before) == ["crew", "crew_0", "crew_1"]
    assert CapabilityRegistry.find_by_capability("French") == []
    del pool


def test_isolation_puts_capabilities_aside_and_back() -> None:
    declare(ann=["French"])

    with isolated_registry():
        inside = CapabilityRegistry.find_by_capability("French")
        declare(bob=["French"])

    assert inside == []
    assert CapabilityRegistry.find_by_capability("French") == ["ann"]


def test_nothing_is_kept_of_a_state_that_was_cleared() -> None:
    gc.collect()
    before = sum(isinstance(one, CapabilityIndex) for one in gc.get_objects())
    declare(ann=["French"])
    meanwhile = sum(isinstance(one, CapabilityIndex) for one in gc.get_objects())

    AgentRegistry.clear()
    gc.collect()

    assert meanwhile == before + 1
    assert sum(isinstance(one, CapabilityIndex) for one in gc.get_objects()) == before


def test_every_class_with_the_mixin_sees_the_same_capabilities() -> None:
    class Mine(CapabilityMixin, AgentRegistry):
        pass

    declare(ann=["French"])

    assert Mine.find_by_capability("French") == ["ann"]


def test_a_call_from_a_listener_sees_the_change_it_is_told_of() -> None:
    found = []
    declare(ann=["French"])

    with AgentRegistry.subscribe(lambda event: found.append(CapabilityRegistry.search("french"))):
        worker = Worker("bob", capabilities=["French"])

    assert found == [["ann", "bob"]]
    del worker


# -- searching ----------------------------------------------------------------


@pytest.mark.usefixtures("vocabulary")
def test_a_search_finds_any_part_of_a_capability_whatever_the_case() -> None:
    declare(ann=["Content_Creation"], bob=["code review"], cyd=["C++"])

    assert CapabilityRegistry.search("TENT_CREA") == ["ann"]
    assert CapabilityRegistry.search("de re") == ["bob"]
    assert CapabilityRegistry.search("++") == ["cyd"]
    assert CapabilityRegistry.search("nothing of the kind") == []


@pytest.mark.usefixtures("vocabulary")
def test_a_search_ranks_by_the_words_in_common_then_by_registration() -> None:
    agents = registered("retranslator", "three", "two", "one", "one_more")
    declare(
        one_more=["translation"],
        one=["Translation"],
        two=["German translation"],
        three=["German legal translation"],
        retranslator=["retranslation"],
    )

    assert CapabilityRegistry.search("translation") == ["one", "one_more", "two", "three", "retranslator"]
    assert CapabilityRegistry.search("German translation") == ["two"]
    assert CapabilityRegistry.search("german") == ["two", "three"]
    del agents


@pytest.mark.usefixtures("vocabulary")
def test_a_name_ranks_by_its_best_capability_that_contains_the_text() -> None:
    agents = registered("ann", "bob")
    declare(ann=["German legal translation", "legal"], bob=["legal translation"])

    assert CapabilityRegistry.search("translation") == ["bob", "ann"]
    assert CapabilityRegistry.search("legal") == ["ann", "bob"]
    del agents


@pytest.mark.usefixtures("vocabulary")
def test_a_limit_gives_the_best_ones_and_a_limit_of_none_all() -> None:
    agents = registered(*[f"agent-{number}" for number in range(30)])
    for number in reversed(range(30)):
        CapabilityRegistry.register_capability(f"agent-{number}", f"part {'of' * (number % 3)} {number}")

    everybody = CapabilityRegistry.search("part")

    assert len(everybody) == 30
    assert everybody[:10] == [f"agent-{number}" for number in range(0, 30, 3)]
    assert [CapabilityRegistry.search("part", limit) for limit in range(31)] == [everybody[:n] for n in range(31)]
    assert CapabilityRegistry.search("part", limit=10**30) == everybody
    del agents


@pytest.mark.usefixtures("vocabulary")
@pytest.mark.parametrize("text", ["a", "é", "ß", "_", "  a", "é ", "a-", "日本", "本"])
def test_a_search_for_very_little_finds_it(text: str) -> None:
    declare(ann=["x" + text + "x"], bob=[text + "-" + text])

    assert set(CapabilityRegistry.search(text)) == {"ann", "bob"}


@pytest.mark.usefixtures("vocabulary")
def test_what_is_declared_and_taken_back_after_a_search_is_found_and_not_found() -> None:
    declare(ann=["French"])
    first = CapabilityRegistry.search("french")

    declare(bob=["Old French"])
    CapabilityRegistry.unregister_capability("ann", "French")

    assert first == ["ann"]
    assert CapabilityRegistry.search("french") == ["bob"]


def test_an_old_agents_late_declaration_comes_first_also_where_many_older_ones_have_left() -> None:
    declare(filler=FILLERS)
    agents = registered(*[f"agent-{number}" for number in range(100)])
    for number in range(100):
        for capability in (f"{number % 50} word", f"{number} alone"):
            CapabilityRegistry.register_capability(f"agent-{number}", capability)
    CapabilityRegistry.search("word", limit=1)

    del agents[:40]
    after_leaving = CapabilityRegistry.search("word", limit=2)
    CapabilityRegistry.register_capability("agent-40", "1 word")

    assert after_leaving == ["agent-40", "agent-41"]
    assert CapabilityRegistry.search("word", limit=3) == ["agent-40", "agent-41", "agent-42"]


# -- what is refused ----------------------------------------------------------


UNTYPED: Any = CapabilityRegistry


@pytest.mark.parametrize(
    ("call", "error", "saying"),
    [
        (lambda: UNTYPED.register_capability("ann", ""), ValueError, "capability: expected some text"),
        (lambda: UNTYPED.register_capability("ann", 7), TypeError, "expected text, got 7 of type int"),
        (lambda: UNTYPED.register_capability("", "French"), ValueError, "agent name: expected some text"),
        (lambda: UNTYPED.unregister_capability(None, "x"), TypeError, "expected text, got None"),
        (lambda: UNTYPED.find_by_capability(["French"]), TypeError, "expected text, got ."),
        (lambda: UNTYPED.find_by_capability(""), ValueError, "expected some text"),
        (lambda: UNTYPED.find_all_of("French"), TypeError, r"several texts, .* write \['French'\]"),
        (lambda: UNTYPED.find_any_of([None]), TypeError, "expected text, got None"),
        (lambda: UNTYPED.find_best_match([""]), ValueError, "expected some text"),
        (lambda: UNTYPED.search(""), ValueError, "text to search for"),
        (lambda: UNTYPED.search(" \t"), ValueError, r"something to look for, got ' \\t'"),
        (lambda: UNTYPED.search(b"French"), TypeError, "expected text, got b'French' of type bytes"),
        (lambda: UNTYPED.search("x", limit=-1), ValueError, "limit: .* got -1"),
        (lambda: UNTYPED.search("x", limit="5"), TypeError, "integer"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_came_and_what_was_expected(
    call: Callable[[], object], error: type[Exception], saying: str
) -> None:
    with pytest.raises(error, match=saying):
        call()


# -- the same as the plain way to do it ---------------------------------------


class Naive:
    """What `search` promises, word by word."""

    def __init__(self) -> None:
        self.held: dict[str, list[str]] = {}
        self.ranks: dict[str, int] = {}
        self.entered: set[str] = set()
        self.last = 0

    def rank(self, name: str) -> None:
        self.last += 1
        self.ranks[name] = self.last

    def enter(self, name: str, capabilities: Iterable[str] = ()) -> None:
        self.rank(name)
        self.entered.add(name)
        for text in capabilities:
            self.declare(name, text)

    def leave(self, name: str) -> None:
        self.held.pop(name, None)
        self.ranks.pop(name, None)
        self.entered.discard(name)

    def declare(self, name: str, text: str) -> None:
        if name not in self.ranks:
            self.rank(name)
        if text not in self.held.setdefault(name, []):
            self.held[name].append(text)

    def withdraw(self, name: str, text: str) -> None:
        if text in self.held.get(name, ()):
            self.held[name].remove(text)
            if not self.held[name]:
                del self.held[name]
                if name not in self.entered:
                    del self.ranks[name]

    def sorted(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self.ranks.__getitem__)

    def find_all_of(self, texts: list[str]) -> list[str]:
        return self.sorted(name for name, held in self.held.items() if texts and all(text in held for text in texts))

    def find_any_of(self, texts: list[str]) -> list[str]:
        return self.sorted(name for name, held in self.held.items() if any(text in held for text in texts))

    def find_best_match(self, texts: list[str]) -> str | None:
        scores = {name: len(set(held).intersection(texts)) for name, held in self.held.items()}
        best = max(scores.values(), default=0)
        return next(iter(self.sorted(name for name in scores if scores[name] == best)), None) if best else None

    def search(self, text: str, limit: int | None) -> list[str]:
        wanted, scores = set(text.lower().split()), {}
        for name, held in self.held.items():
            matching = [set(one.lower().split()) for one in held if text.lower() in one.lower()]
            if matching:
                scores[name] = max(len(wanted & words) / len(wanted | words) for words in matching)
        return sorted(scores, key=lambda name: (-scores[name], self.ranks[name]))[:limit]


NAMES = st.sampled_from(["ann", "bob", "cyd", "dan", "eve", "fay"])
WORDS = st.text(alphabet="abAB_-éß", min_size=1, max_size=4)
TEXTS = st.one_of(
    st.sampled_from(["a", "A", "ab", "ab a", "a b", "b_a", "ab ab_", "aab", " "]),
    st.lists(WORDS, min_size=1, max_size=4).map(" ".join),
    st.text(alphabet="ab -_\u0130\u00a0", min_size=1, max_size=6),
)
STEPS = st.one_of(
    st.tuples(st.just("register"), NAMES, st.lists(TEXTS, max_size=3)),
    st.tuples(st.just("declare"), NAMES, TEXTS),
    st.tuples(st.just("withdraw"), NAMES, TEXTS),
    st.tuples(st.just("drop"), NAMES, st.none()),
    st.tuples(st.just("unregister"), NAMES, st.none()),
    st.tuples(st.just("ask"), NAMES, st.lists(TEXTS, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["ask", "ask", "ask", "clear"]), NAMES, st.lists(TEXTS, min_size=1, max_size=2)),
)


@pytest.mark.parametrize("fillers", [[], FILLERS], ids=["few capabilities", "many capabilities"])
@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=40), limit=st.integers(0, 4))
@example(steps=[("declare", "ann", "ab a"), ("ask", "ann", ["ab"])], limit=1)
def test_it_answers_as_the_plain_way_would(steps: list[tuple[str, str, Any]], limit: int, fillers: list[str]) -> None:
    with isolated_registry():
        model, agents = Naive(), dict[str, Worker]()
        declare(filler=fillers)
        for act, name, detail in steps:
            if act == "register" and name not in agents:
                agents[name] = Worker(name, capabilities=detail)
                model.enter(name, detail)
            elif act == "declare":
                CapabilityRegistry.register_capability(name, detail)
                model.declare(name, detail)
            elif act == "withdraw":
                CapabilityRegistry.unregister_capability(name, detail)
                model.withdraw(name, detail)
            elif act in ("drop", "unregister") and name in agents:
                agent = agents.pop(name)
                if act == "unregister":
                    AgentRegistry.unregister(name)
                del agent
                model.leave(name)
            elif act == "clear":
                AgentRegistry.clear()
                model, agents = Naive(), {}
                declare(filler=fillers)
            elif act == "ask":
                compare(model, detail, limit)
        compare(model, ["a"], limit)


def compare(model: Naive, texts: list[str], limit: int) -> None:
    registry = CapabilityRegistry
    for name in model.held:
        assert registry.capabilities_of(name) == tuple(model.held[name])
    assert registry.find_by_capability(texts[0]) == model.find_any_of(texts[:1])
    assert registry.find_all_of(texts) == model.find_all_of(texts)
    assert registry.find_any_of(texts) == model.find_any_of(texts)
    assert registry.find_best_match(texts) == model.find_best_match(texts)
    for text in texts:
        if not text.isspace():
            assert registry.search(text) == model.search(text, None)
            assert registry.search(text, limit) == model.search(text, limit)


FEW_TEXTS = st.sampled_from([f"c{number} x" for number in range(8)] + ["c1x", "c2x", "x"])


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["enter", "declare", "declare", "withdraw", "leave", "leave the first"]),
            st.integers(0, 30).map("agent-{}".format),
            FEW_TEXTS,
        ),
        min_size=20,
        max_size=150,
    ),
    limit=st.integers(1, 3),
)
def test_a_search_that_stops_early_misses_nobody(steps: list[tuple[str, str, str]], limit: int) -> None:
    model, index = Naive(), CapabilityIndex()
    index.enter("filler", FILLERS)
    for act, name, text in steps:
        if act == "enter" and name not in model.entered:
            index.enter(name)
            model.enter(name)
        elif act == "declare":
            index.declare(name, text)
            model.declare(name, text)
        elif act == "withdraw":
            index.withdraw(name, text)
            model.withdraw(name, text)
        elif act.startswith("leave") and model.entered:
            name = model.sorted(model.entered)[0] if act == "leave the first" else name
            if name in model.entered:
                index.leave(name)
                model.leave(name)
        assert index.search("x", limit) == model.search("x", limit)


# -- growth -------------------------------------------------------------------


def size_of(root: object) -> int:
    """The bytes of everything that *root* holds."""
    seen, waiting, total = set[int](), [root], 0
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, (type, types.ModuleType, types.FunctionType)):
            seen.add(id(one))
            total += sys.getsizeof(one)
            waiting += gc.get_referents(one)
    return total


@pytest.mark.parametrize("searching", [False, True], ids=["never searched", "searched"])
def test_an_index_that_has_seen_many_is_as_small_as_a_fresh_one(searching: bool) -> None:
    fresh, used = CapabilityIndex(), CapabilityIndex()
    for index in (fresh, used):
        index.enter("first", ["translation", *FILLERS])
        index.declare("ghost", "translation")
        if searching:
            assert index.search("translation") == ["first", "ghost"]

    for generation in range(8):
        names = [f"agent-{generation}-{number}" for number in range(2_000)]
        for name in names:
            used.enter(name, ["translation", f"skill of {name}", name])
        for name in names:
            used.leave(name)

    assert used.names() == fresh.names()
    assert used.capabilities() == fresh.capabilities()
    assert used.find("translation") == ["first", "ghost"]
    assert size_of(used) - size_of(fresh) < 20 * 16_000


def test_names_that_come_and_go_one_by_one_leave_no_trace() -> None:
    index = CapabilityIndex()
    index.enter("first", ["translation", *FILLERS])
    index.search("translation")
    before = size_of(index)

    for number in range(20_000):
        index.enter(f"agent-{number}", ["translation", f"skill {number}"])
        if number >= 50:
            index.leave(f"agent-{number - 50}")

    assert len(index.find("translation")) == 51
    assert index.search("skill", limit=2) == ["agent-19950", "agent-19951"]
    assert size_of(index) - before < 20 * 20_000


# -- threads, finalizers, processes -------------------------------------------


def run_together(*works: Callable[[], None]) -> None:
    """Run each in a thread of its own, all beginning at once; an error in one is an error here."""
    barrier, errors = threading.Barrier(len(works)), []

    def begin(work: Callable[[], None]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


@pytest.mark.usefixtures("vocabulary")
def test_after_a_storm_of_threads_it_holds_what_the_survivors_declared() -> None:
    survivors: dict[str, tuple[Worker, list[str]]] = {}

    def work(thread: int) -> None:
        for number in range(150):
            name = f"agent-{thread}-{number}"
            agent = Worker(name, capabilities=["common", f"kind {number % 7}"])
            held = ["common", f"kind {number % 7}", f"late {number % 5} common"]
            CapabilityRegistry.register_capability(name, held[-1])
            if number % 3 == 0:
                CapabilityRegistry.unregister_capability(name, "common")
                held.remove("common")
            assert name in CapabilityRegistry.search("kind")
            assert name in CapabilityRegistry.find_by_capability(held[-1])
            if number % 2:
                survivors[name] = agent, held
            elif number % 4:
                AgentRegistry.unregister_if_same(name, agent)
            del agent
            assert (name in CapabilityRegistry.find_any_of(held)) == (name in survivors)

    run_together(*[lambda thread=thread: work(thread) for thread in range(8)])

    model = Naive()
    for name in AgentRegistry.names():
        model.enter(name, survivors[name][1])
    assert len(model.held) == 8 * 75
    texts = [*{text for _, held in survivors.values() for text in held}]
    compare(model, [*texts, "late", "mm", "k", "common kind", "absent"], limit=20)
    assert set(CapabilityRegistry.capabilities()) - set(FILLERS) == set(texts)


def interrupted(work: Callable[[], object], place: int, interruption: Callable[[], object]) -> bool:
    """Do *work*, with *interruption* before its line number *place* in the extension; whether it came so far."""
    files = {index_module.__file__, capabilities.__file__}
    lines, before = itertools.count(), sys.gettrace()

    def trace(frame: types.FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and next(lines) == place:
            interruption()
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return next(lines) > place


@pytest.mark.parametrize("fillers", [[], FILLERS], ids=["few capabilities", "many capabilities"])
def test_a_call_from_inside_any_line_of_another_one_is_safe(fillers: list[str]) -> None:
    kept: list[object] = []

    def work() -> None:
        kept.append(Worker("worker", capabilities=["common", "its own"]))
        declare(oldest=["common", "late common"], ghost=["its own"])
        assert CapabilityRegistry.find_by_capability("late common") == ["oldest"]
        assert "worker" in CapabilityRegistry.search("common", limit=4)
        CapabilityRegistry.unregister_capability("worker", "its own")
        assert CapabilityRegistry.find_by_capability("common")[0] == "oldest"
        CapabilityRegistry.find_best_match(["common", "its own"])

    def interruption() -> None:
        declare(oldest=["nested common"], handler=["common", "a farewell"])
        CapabilityRegistry.unregister_capability("handler", "a farewell")
        AgentRegistry.unregister("leaver")
        CapabilityRegistry.search("o")
        CapabilityRegistry.search("common", limit=1)
        CapabilityRegistry.find_by_capability("common")

    for place in itertools.count():
        with isolated_registry():
            kept.extend(registered("oldest"))
            declare(filler=fillers, early=["common"])
            kept.append(Worker("leaver", capabilities=["common", "only the leaver"]))
            CapabilityRegistry.search("common", limit=1)
            reached = interrupted(work, place, interruption)
            if not reached:
                break
            names = CapabilityRegistry.find_by_capability("common")
            assert set(names) == {"oldest", "early", "worker", "handler"}
            assert names[:2] == ["oldest", "early"]
            assert CapabilityRegistry.search("common") == names
            assert CapabilityRegistry.search("common", limit=3) == names[:3]
            assert CapabilityRegistry.search("nested common") == ["oldest"]
            assert CapabilityRegistry.capabilities_of("oldest")[-1] in ("nested common", "late common")
            assert set(CapabilityRegistry.capabilities()) - set(fillers) == {
                *("common", "late common", "nested common", "its own"),
            }
        kept.clear()
    assert place > 100


class Knot:
    """An agent in a reference cycle that uses the registry as it is collected."""

    def __init__(self, name: str) -> None:
        self.knot = self
        self.name = name
        AgentRegistry.register(self, name)
        CapabilityRegistry.register_capability(name, "knots")

    def __del__(self) -> None:
        CapabilityRegistry.register_capability("late", f"farewell of {self.name}")
        CapabilityRegistry.unregister_capability(self.name, "knots")
        CapabilityRegistry.find_by_capability("knots")
        CapabilityRegistry.search("farewell", limit=2)
        AgentRegistry.unregister_instance(self)


@pytest.mark.usefixtures("vocabulary")
def test_finalizers_may_use_it_in_the_middle_of_any_operation() -> None:
    def work(thread: int) -> None:
        for number in range(40):
            Knot(f"knot-{thread}-{number}")
            CapabilityRegistry.search("knots")
            CapabilityRegistry.find_by_capability("knots")

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        run_together(*[lambda thread=thread: work(thread) for thread in range(4)])
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()

    farewells = {f"farewell of knot-{thread}-{number}" for thread in range(4) for number in range(40)}
    assert set(CapabilityRegistry.capabilities_of("late")) == farewells
    assert CapabilityRegistry.find_by_capability("knots") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_finds_it_whole_whatever_other_threads_were_doing() -> None:
    agents = registered("ann")
    declare(ann=["French"], filler=FILLERS)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            worker = Worker("bob", capabilities=["French", "Old French"])
            CapabilityRegistry.search("french", limit=1)
            del worker

    thread = threading.Thread(target=work)
    thread.start()
    try:
        codes = [in_child(lambda: "ann" in CapabilityRegistry.search("french", limit=5)) for _ in range(20)]
    finally:
        stop.set()
        thread.join()

    assert codes == [0] * 20
    del agents


def in_child(question: Callable[[], bool]) -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            threading.Timer(30, os._exit, [2]).start()
            declare(child=["of its own"])
            code = 0 if question() and CapabilityRegistry.find_by_capability("of its own") == ["child"] else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
