"""What is left of an agent whose constructor fails: nothing, at whatever level it failed."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from agentreg import Agent, AgentRegistered, AgentRegistry, AgentUnregistered, BaseAgent, NameTakenError
from tests.crew import Echo, Hearing, Running
from tests.watchdog import run_threads

T = TypeVar("T")


class SetUpFailed(Exception):
    """The constructors here raise it."""


class Failing(Echo):
    """Fails after it was registered."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        raise SetUpFailed


class BelowFailing(Failing):
    """Its own constructor is never reached again."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.reached = True


class WithoutConstructor(Failing):
    """Inherits the failing constructor."""


class FarBelow(Echo):
    """Fails three levels above the base."""

    class _Middle(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)

    class _Upper(_Middle):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            raise SetUpFailed

    def __new__(cls, name: str) -> Any:
        return cls._Upper(name)


class Interrupted(Echo):
    """Is not stopped by an `Exception`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        raise KeyboardInterrupt


class ModelFirst(Agent):
    """Fails below the concrete agent."""

    def __init__(self, name: str) -> None:
        super().__init__(name, model=str)
        raise SetUpFailed


class CallsTheBaseByName(Echo):
    """Does without ``super()``."""

    def __init__(self, name: str) -> None:
        BaseAgent.__init__(self, name)
        raise SetUpFailed


class Theirs:
    """Another library's base, first in line, that fails once it has called the next."""

    def __init__(self, name: str) -> None:
        super().__init__(name)  # type: ignore[call-arg]
        raise SetUpFailed


class BehindTheirs(Theirs, Echo):
    """Has no constructor of its own."""


@dataclasses.dataclass
class Fields(Echo):
    """Registers in ``__post_init__``, and fails there."""

    title: str

    def __post_init__(self) -> None:
        super().__init__(self.title)
        raise SetUpFailed


@dataclasses.dataclass(eq=False)
class PlainFields(Echo):
    """The same without a comparison of its own."""

    title: str

    def __post_init__(self) -> None:
        super().__init__(self.title)
        raise SetUpFailed


class Meta(type):
    """Another library's metaclass: it takes part in making instances."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class WithMeta(Echo, metaclass=Meta):
    """Has a metaclass."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        raise SetUpFailed


class WithABC(Echo, abc.ABC):
    """Has the standard library's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        raise SetUpFailed


class OfSomething(Echo, Generic[T]):
    """Is generic."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        raise SetUpFailed


class WithSlots(Echo):
    """Has slots."""

    __slots__ = ("extra",)

    def __init__(self, name: str) -> None:
        self.extra = 1
        super().__init__(name)
        raise SetUpFailed


class WithNew(Echo):
    """Takes part in making the object."""

    def __new__(cls, name: str) -> Any:
        return super().__new__(cls)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        raise SetUpFailed


def failure_of(make: Callable[..., Any], *arguments: Any) -> BaseException:
    """What *make* raises, with its traceback: that keeps the frames, and so the half-made agent, alive."""
    try:
        make(*arguments)
    except (Exception, KeyboardInterrupt) as error:
        return error
    pytest.fail("it did not fail")


CLASSES: list[Callable[[str], Any]] = [
    Failing,
    BelowFailing,
    WithoutConstructor,
    FarBelow,
    Interrupted,
    ModelFirst,
    CallsTheBaseByName,
    BehindTheirs,
    Fields,
    PlainFields,
    WithMeta,
    WithABC,
    OfSomething,
    OfSomething[int],
    WithSlots,
    WithNew,
]


@pytest.mark.parametrize("make", CLASSES, ids=str)
def test_an_agent_whose_constructor_failed_is_gone_even_while_the_exception_is_kept(make: Callable[[str], Any]) -> None:
    with Hearing() as heard:
        kept = failure_of(make, "agent")

    assert AgentRegistry.get("agent") is None
    assert AgentRegistry.names() == []
    assert [type(event) for event in heard] == [AgentRegistered, AgentUnregistered]
    assert isinstance(kept, SetUpFailed | KeyboardInterrupt)


@pytest.mark.parametrize("make", CLASSES, ids=str)
def test_the_name_of_a_failed_agent_is_free_at_once(make: Callable[[str], Any]) -> None:
    kept = [failure_of(make, "agent") for _ in range(3)]

    agent = Echo("agent")

    assert {type(error) for error in kept} <= {SetUpFailed, KeyboardInterrupt}
    assert AgentRegistry.get("agent") is agent


def test_a_failed_agent_without_a_name_is_gone_too() -> None:
    kept = failure_of(Failing)

    assert AgentRegistry.names() == []
    assert isinstance(kept, SetUpFailed)


def test_an_agent_that_failed_before_it_was_registered_was_never_in_view() -> None:
    class Early(Echo):
        def __init__(self, name: str) -> None:
            if name:
                raise SetUpFailed
            super().__init__(name)

    with Hearing() as heard, pytest.raises(SetUpFailed):
        Early("early")

    assert heard == []


def test_wrong_arguments_leave_nothing_behind() -> None:
    with Hearing() as heard, pytest.raises(TypeError, match="volume"):
        Echo("echo", volume=11)  # type: ignore[call-arg]

    assert heard == []


def test_an_inner_failure_that_is_mended_outside_does_not_take_the_agent_away() -> None:
    class Mended(Failing):
        def __init__(self, name: str) -> None:
            try:
                super().__init__(name)
            except SetUpFailed:
                self.mended = True

    agent = Mended("agent")

    assert agent.mended
    assert AgentRegistry.get("agent") is agent


def test_a_mended_failure_may_be_followed_by_one_that_is_not() -> None:
    class Mended(Failing):
        def __init__(self, name: str) -> None:
            try:
                super().__init__(name)
            except SetUpFailed:
                raise LookupError("mended in vain") from None

    kept = failure_of(Mended, "agent")

    assert isinstance(kept, LookupError)
    assert AgentRegistry.get("agent") is None


def test_a_class_may_be_mended_after_agents_of_the_broken_one_were_made() -> None:
    kept = failure_of(Failing, "agent")

    class Mended(Failing):
        def __init__(self, name: str) -> None:
            with contextlib.suppress(SetUpFailed):
                super().__init__(name)

    agent = Mended("agent")

    assert AgentRegistry.get("agent") is agent
    assert isinstance(kept, SetUpFailed)


def test_aliases_of_a_failed_agent_are_taken_back_with_it() -> None:
    class Aliased(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            AgentRegistry.register(self, "alias")
            raise SetUpFailed

    kept = failure_of(Aliased, "agent")

    assert AgentRegistry.names() == []
    assert isinstance(kept, SetUpFailed)


def test_an_agent_that_failed_over_a_taken_name_leaves_the_holder_alone() -> None:
    holder = Echo("agent")

    with pytest.raises(NameTakenError) as kept:
        Echo("agent")

    assert AgentRegistry.get("agent") is holder
    assert kept.value.holder == "<Echo 'agent'>"


def test_an_agent_that_failed_leaves_the_successor_alone_that_took_its_name_meanwhile() -> None:
    successors = []

    class Replaced(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            AgentRegistry.unregister(name)
            successors.append(Echo(name))
            raise SetUpFailed

    kept = failure_of(Replaced, "agent")

    assert AgentRegistry.get("agent") is successors[0]
    assert isinstance(kept, SetUpFailed)


def test_a_helper_made_by_a_failed_constructor_stays_if_somebody_holds_it() -> None:
    helpers = []

    class Helped(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            helpers.append(Echo("helper"))
            raise SetUpFailed

    kept = failure_of(Helped, "agent")

    assert AgentRegistry.all() == {"helper": helpers[0]}
    assert isinstance(kept, SetUpFailed)


def test_agents_of_one_class_that_make_each_other_are_told_apart() -> None:
    class Parent(Echo):
        def __init__(self, name: str, child: str | None = None) -> None:
            super().__init__(name)
            self.child: Parent | None = None
            if child:
                try:
                    self.child = Parent(child, child="")
                finally:
                    self.made = True
            elif child == "":
                raise SetUpFailed

    kept = failure_of(Parent, "parent", "child")

    assert AgentRegistry.names() == []
    assert isinstance(kept, SetUpFailed)


def test_a_dataclass_that_does_not_fail_is_registered() -> None:
    @dataclasses.dataclass(eq=False)
    class Titled(Echo):
        title: str

        def __post_init__(self) -> None:
            super().__init__(self.title)

    agent = Titled("agent")

    assert AgentRegistry.get("agent") is agent


def test_a_dataclass_with_slots_that_fails_is_gone_too() -> None:
    @dataclasses.dataclass(slots=True)
    class Slotted(Echo):
        title: str

        def __post_init__(self) -> None:
            BaseAgent.__init__(self, self.title)
            raise SetUpFailed

        def cleanup(self) -> Any:
            return None

    kept = failure_of(Slotted, "agent")

    assert AgentRegistry.names() == []
    assert isinstance(kept, SetUpFailed)


def test_a_constructor_that_a_decorator_puts_in_later_is_watched_too() -> None:
    def with_constructor(cls: type[Echo]) -> type[Echo]:
        def __init__(self: Echo, name: str) -> None:
            Echo.__init__(self, name)
            raise SetUpFailed

        cls.__init__ = __init__  # type: ignore[assignment]
        return cls

    @with_constructor
    class Decorated(Echo):
        pass

    kept = failure_of(Decorated, "agent")

    assert AgentRegistry.names() == []
    assert isinstance(kept, SetUpFailed)


def test_a_constructor_that_is_replaced_after_the_first_agent_is_watched_too() -> None:
    class Replaced(Echo):
        pass

    def __init__(self: Echo, name: str) -> None:
        Echo.__init__(self, name)
        raise SetUpFailed

    first = Replaced("first")
    Replaced.__init__ = __init__  # type: ignore[assignment]

    kept = failure_of(Replaced, "second")

    assert AgentRegistry.all() == {"first": first}
    assert isinstance(kept, SetUpFailed)


def test_however_many_agents_of_a_class_are_made_its_constructor_is_wrapped_once() -> None:
    class Frequent(Echo):
        def __init__(self, name: str | None = None) -> None:
            super().__init__(name)

    Frequent()
    constructor = Frequent.__init__

    for _ in range(2000):
        Frequent()

    assert Frequent.__init__ is constructor


def test_a_constructor_that_wears_its_parents_signature_is_watched_too() -> None:
    class Parent(Echo):
        def __init__(self, name: str) -> None:
            super().__init__(name)

    parent = Parent("parent")

    class Child(Parent):
        @functools.wraps(Parent.__init__)  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            raise SetUpFailed

    kept = failure_of(Child, "child")

    assert AgentRegistry.all() == {"parent": parent}
    assert isinstance(kept, SetUpFailed)


class FirstTwoAtOnce(type):
    """Lets two threads prepare a class at the same moment: the later one when the earlier is in the constructor."""

    both = threading.Barrier(2)
    constructing = threading.Event()
    prepared_again = threading.Event()

    def __setattr__(cls, name: str, value: object) -> None:
        if name != "__init__" or FirstTwoAtOnce.prepared_again.is_set() or FirstTwoAtOnce.both.wait(10) == 0:
            super().__setattr__(name, value)
        else:
            FirstTwoAtOnce.constructing.wait(10)
            super().__setattr__(name, value)
            FirstTwoAtOnce.prepared_again.set()


def test_of_the_first_two_agents_of_a_class_made_in_two_threads_the_failing_one_is_gone() -> None:
    class Raced(Echo, metaclass=FirstTwoAtOnce):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            if not FirstTwoAtOnce.constructing.is_set():
                FirstTwoAtOnce.constructing.set()
                FirstTwoAtOnce.prepared_again.wait(10)
                raise SetUpFailed

    def make(name: str) -> Raced | SetUpFailed:
        try:
            return Raced(name)
        except SetUpFailed as error:
            return error

    threads = [Running(lambda: make("one")), Running(lambda: make("two"))]
    outcomes = [thread.result() for thread in threads]

    (made,) = [outcome for outcome in outcomes if isinstance(outcome, Raced)]
    assert AgentRegistry.all() == {made.name: made}


def test_two_hundred_failures_in_eight_threads_leave_nothing_behind() -> None:
    class Fresh(Failing):
        pass

    def fail() -> list[SetUpFailed]:
        kept = []
        for number in range(25):
            try:
                Fresh(f"agent {threading.get_ident()} {number}")
            except SetUpFailed as error:
                kept.append(error)
        return kept

    kept = run_threads(*[fail] * 8)

    assert [len(errors) for errors in kept] == [25] * 8
    assert AgentRegistry.names() == []
