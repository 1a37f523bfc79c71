"""Agent and its model: messages, callables of every kind, configurations and providers."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentreg import Agent, AgentRegistry, Message, ModelConfig, register_provider
from agentreg.errors import ProviderNotFoundError, RegistryError
from tests.crew import finish, turns

_numbers = itertools.count(1)


@pytest.fixture
def provider() -> str:
    """A provider's name that no other test uses: providers are kept for the whole process."""
    return f"provider-{next(_numbers)}"


def last(messages: list[Message]) -> str:
    """A model that gives back what it was asked."""
    return str(messages[-1].content)


# -- callables --------------------------------------------------------------


async def alast(messages: list[Message]) -> str:
    """The same as `last`, later."""
    await turns(1)
    return last(messages)


class Model:
    """An object that is called."""

    def __call__(self, messages: list[Message]) -> str:
        return last(messages)

    def ask(self, messages: list[Message]) -> str:
        return last(messages)

    async def aask(self, messages: list[Message]) -> str:
        return await alast(messages)


class AsyncModel:
    """An object whose call is awaited."""

    async def __call__(self, messages: list[Message]) -> str:
        return await alast(messages)


class Falsy(Model):
    """Is false, and a model all the same."""

    def __bool__(self) -> bool:
        return False


CALLABLES: list[Any] = [
    pytest.param(last, id="function"),
    pytest.param(alast, id="async function"),
    pytest.param(Model(), id="object"),
    pytest.param(AsyncModel(), id="object with an async call"),
    pytest.param(Model().ask, id="method"),
    pytest.param(Model().aask, id="async method"),
    pytest.param(functools.partial(last), id="partial"),
    pytest.param(functools.partial(alast), id="async partial"),
    pytest.param(lambda messages: last(messages), id="lambda"),
    pytest.param(lambda messages: alast(messages), id="lambda that gives a coroutine"),
    pytest.param(Falsy(), id="object that is false"),
]


@pytest.mark.parametrize("model", CALLABLES)
@pytest.mark.parametrize("argument", ["model", "model_config"])
def test_a_model_is_any_callable_that_takes_messages_and_gives_text(argument: str, model: Any) -> None:
    agent = Agent("agent", **{argument: model})

    assert finish(agent.run("hello")) == "hello"
    assert agent.model is model


def test_a_plain_model_does_not_block_the_event_loop() -> None:
    asked, told = threading.Event(), threading.Event()

    def slow(messages: list[Message]) -> str:
        asked.set()
        assert told.wait(30), "the event loop is blocked"
        return "answer"

    agent = Agent("agent", model=slow)

    async def run() -> Any:
        running = asyncio.create_task(agent.run("?"))
        while not asked.is_set():
            await turns(1)
        told.set()
        return await running

    assert finish(run()) == "answer"


def test_an_async_model_runs_in_the_event_loop() -> None:
    async def model(messages: list[Message]) -> str:
        return threading.current_thread().name

    agent = Agent("agent", model=model)

    assert finish(agent.run("?")) == threading.current_thread().name


@pytest.mark.parametrize(
    "model",
    [alast, AsyncModel(), Model().aask, functools.partial(alast)],
    ids=["function", "object", "method", "partial"],
)
def test_an_async_model_needs_no_thread(model: Any) -> None:
    async def run() -> list[str]:
        await Agent("agent", model=model).run("?")
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("asyncio_")]

    assert finish(run()) == []


def test_what_a_model_raises_comes_out_unchanged() -> None:
    error = LookupError("lost")

    def failing(messages: list[Message]) -> str:
        raise error

    with pytest.raises(LookupError) as caught:
        finish(Agent("agent", model=failing).run("?"))

    assert caught.value is error


def test_a_scripted_model_that_runs_out_of_answers_fails_instead_of_hanging() -> None:
    answers = iter(["the only one"])
    agent = Agent("agent", model=lambda messages: next(answers))

    async def run_twice() -> Any:
        assert await agent.run("?") == "the only one"
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(agent.run("?"), 5)

    finish(run_twice())


def test_a_cancelled_run_cancels_its_model() -> None:
    ended: list[str] = []

    async def endless(messages: list[Message]) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return "never"

    async def run() -> None:
        running = asyncio.create_task(Agent("agent", model=endless).run("?"))
        await turns()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    finish(run())

    assert ended == ["cancelled"]


def test_an_agent_without_a_model_can_be_made_and_says_what_is_missing_when_it_runs() -> None:
    agent = Agent("agent")

    with pytest.raises(RuntimeError, match=r"'agent' has no model; pass model="):
        finish(agent.run("?"))


def test_a_model_given_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="model and model_config"):
        Agent("agent", model=last, model_config=last)

    assert AgentRegistry.names() == []


@pytest.mark.parametrize("wrong", ["gpt", 7, {"name": "gpt"}])
@pytest.mark.parametrize("argument", ["model", "model_config"])
def test_what_is_no_model_is_refused_and_quoted(argument: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a callable.*or a ModelConfig, got"):
        Agent("agent", **{argument: wrong})

    assert AgentRegistry.names() == []


# -- messages ---------------------------------------------------------------


def asked(agent: Agent, prompt: Any, **kwargs: Any) -> list[Message]:
    """What the model of *agent* was asked."""
    heard: list[list[Message]] = []
    agent.model = lambda messages: heard.append(messages) or "ok"  # type: ignore[func-returns-value]
    finish(agent.run(prompt, **kwargs))
    return heard[0]


def test_a_prompt_becomes_the_message_of_a_user() -> None:
    assert asked(Agent("agent", model=last), "hello") == [Message("user", "hello")]


def test_what_is_no_text_is_asked_as_text() -> None:
    assert asked(Agent("agent", model=last), {"page": 1}) == [Message("user", "{'page': 1}")]


def test_a_message_is_asked_as_it_is() -> None:
    prompt = Message("assistant", "hello", name="writer")

    assert asked(Agent("agent", model=last), prompt)[0] is prompt


def test_description_goal_and_instruction_come_first() -> None:
    agent = Agent("agent", model=last, description="An editor.", goal="brevity", instruction="Cut.")

    assert asked(agent, "hello") == [
        Message("system", "An editor.\n\nGoal: brevity\n\nCut."),
        Message("user", "hello"),
    ]


def test_what_was_not_given_is_left_out() -> None:
    agent = Agent("agent", model=last, instruction="Cut.")

    assert asked(agent, "hello")[0] == Message("system", "Cut.")


def test_results_of_others_come_before_the_prompt_with_their_names() -> None:
    agent = Agent("agent", model=last, instruction="Cut.")

    assert asked(agent, "hello", context={"scout": "three files", "count": 3}) == [
        Message("system", "Cut."),
        Message("user", "three files", name="scout"),
        Message("user", "3", name="count"),
        Message("user", "hello"),
    ]


def test_keywords_that_an_agent_does_not_know_are_left_to_others() -> None:
    agent = Agent("agent", model=last)

    assert finish(agent.run("ping", timeout=5.0)) == "ping"


def test_a_message_can_not_be_changed() -> None:
    message = Message("user", "hello")

    with pytest.raises(dataclasses.FrozenInstanceError):
        message.content = "bye"  # type: ignore[misc]

    assert message == Message(role="user", content="hello", name=None)


# -- configurations ---------------------------------------------------------


def test_a_configuration_keeps_what_it_is_given_and_everything_else_as_options() -> None:
    config = ModelConfig("local", "ollama", "small", 500, temperature=0.1, top_p=0.9)

    assert (config.type, config.provider, config.name, config.max_tokens) == ("local", "ollama", "small", 500)
    assert config.options == {"temperature": 0.1, "top_p": 0.9}


def test_the_repr_of_a_configuration_hides_the_values_of_options() -> None:
    config = ModelConfig("api", "openrouter", "some/model", api_key="secret")

    assert "secret" not in repr(config)
    assert "api_key" in repr(config)
    assert "some/model" in repr(config)


def test_configurations_are_equal_when_all_of_them_is() -> None:
    config = ModelConfig("api", "openrouter", "some/model", 100, top_p=0.9)

    assert config == ModelConfig("api", "openrouter", "some/model", 100, top_p=0.9)
    assert config != ModelConfig("api", "openrouter", "some/model", 100, top_p=0.8)
    assert config != ModelConfig("api", "openrouter", "other/model", 100, top_p=0.9)
    assert config != "some/model"


@pytest.mark.parametrize("argument", ["model", "model_config"])
def test_the_name_of_the_model_is_kept(argument: str) -> None:
    agent = Agent("agent", **{argument: ModelConfig(provider="nobody", name="some/model")})

    assert agent.model.name == "some/model"


# -- providers --------------------------------------------------------------


def test_a_provider_is_asked_with_the_configuration_at_the_first_run_and_once(provider: str) -> None:
    configs: list[ModelConfig] = []

    def factory(config: ModelConfig) -> Callable[[list[Message]], str]:
        configs.append(config)
        return last

    register_provider(provider, factory)
    config = ModelConfig(provider=provider, name="some/model")
    agent = Agent("agent", model_config=config)
    assert configs == []

    assert finish(agent.run("one")) == "one"
    assert finish(agent.run("two")) == "two"

    assert len(configs) == 1
    assert configs[0] is config


@pytest.mark.parametrize("model", CALLABLES)
def test_a_provider_may_give_any_callable(provider: str, model: Any) -> None:
    register_provider(provider, lambda config: model)
    agent = Agent("agent", model=ModelConfig(provider=provider))

    assert finish(agent.run("hello")) == "hello"


def test_a_provider_may_be_registered_after_the_agent_was_made(provider: str) -> None:
    agent = Agent("agent", model=ModelConfig(provider=provider))

    register_provider(provider, lambda config: last)

    assert finish(agent.run("hello")) == "hello"


def test_an_unknown_provider_is_named_beside_those_that_are_registered(provider: str) -> None:
    register_provider(provider, lambda config: last)
    agent = Agent("agent", model=ModelConfig(provider="unheard-of"))

    with pytest.raises(ProviderNotFoundError) as caught:
        finish(agent.run("hello"))

    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, RegistryError)
    assert caught.value.provider == "unheard-of"
    assert provider in caught.value.registered
    assert "no model provider is named 'unheard-of'" in str(caught.value)
    assert repr(provider) in str(caught.value)
    assert "register_provider('unheard-of', factory)" in str(caught.value)


def test_without_any_provider_the_error_says_none() -> None:
    assert "(registered: none)" in str(ProviderNotFoundError("openrouter", []))


def test_an_agent_whose_provider_was_missing_works_once_it_is_there(provider: str) -> None:
    agent = Agent("agent", model=ModelConfig(provider=provider))
    with pytest.raises(ProviderNotFoundError):
        finish(agent.run("hello"))

    register_provider(provider, lambda config: last)

    assert finish(agent.run("hello")) == "hello"


def test_a_later_registration_replaces_the_earlier_for_agents_to_come(provider: str) -> None:
    register_provider(provider, lambda config: lambda messages: "old")
    earlier, later = (Agent(model=ModelConfig(provider=provider)) for _ in range(2))
    assert finish(earlier.run("?")) == "old"

    register_provider(provider, lambda config: lambda messages: "new")

    assert finish(later.run("?")) == "new"
    assert finish(earlier.run("?")) == "old"


@pytest.mark.parametrize("wrong", ["", None, 7])
def test_a_provider_needs_a_name(wrong: Any) -> None:
    with pytest.raises(TypeError, match="provider name: expected non-empty text, got"):
        register_provider(wrong, lambda config: last)


def test_a_provider_needs_a_factory(provider: str) -> None:
    with pytest.raises(TypeError, match=f"provider factory of '{provider}': expected a callable"):
        register_provider(provider, "https://example.org")  # type: ignore[arg-type]


# -- closing ----------------------------------------------------------------


class Closable(Model):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> Awaitable[None] | None:
        self.closed += 1
        return None


class AsyncClosable(Closable):
    """Prefers to be closed asynchronously."""

    async def aclose(self) -> None:
        self.closed += 10


@pytest.mark.parametrize(("kind", "closings"), [(Closable, 1), (AsyncClosable, 10)])
def test_cleaning_up_closes_the_model_that_the_provider_made(
    provider: str, kind: type[Closable], closings: int
) -> None:
    made: list[Closable] = []

    def factory(config: ModelConfig) -> Closable:
        made.append(kind())
        return made[-1]

    register_provider(provider, factory)
    agent = Agent("agent", model=ModelConfig(provider=provider))

    async def use() -> None:
        await agent.run("hello")
        await agent.cleanup()
        await agent.cleanup()

    finish(use())

    assert [model.closed for model in made] == [closings]


def test_an_agent_that_runs_again_after_cleaning_up_gets_a_fresh_model(provider: str) -> None:
    made: list[Closable] = []

    def factory(config: ModelConfig) -> Closable:
        made.append(Closable())
        return made[-1]

    register_provider(provider, factory)
    agent = Agent("agent", model=ModelConfig(provider=provider))

    async def use() -> Any:
        await agent.run("hello")
        await agent.cleanup()
        return await agent.run("again")

    assert finish(use()) == "again"
    assert [model.closed for model in made] == [1, 0]


def test_a_model_that_was_passed_in_is_its_owners_to_close() -> None:
    model = Closable()
    agent = Agent("agent", model=model)

    async def use() -> None:
        await agent.run("hello")
        await agent.cleanup()

    finish(use())

    assert model.closed == 0


def test_a_model_that_can_not_be_closed_is_left_alone(provider: str) -> None:
    register_provider(provider, lambda config: last)
    agent = Agent("agent", model=ModelConfig(provider=provider))

    async def use() -> None:
        await agent.run("hello")
        await agent.cleanup()

    finish(use())


def test_an_agent_that_never_ran_has_nothing_to_close(provider: str) -> None:
    def factory(config: ModelConfig) -> Model:
        raise AssertionError("it was asked for nothing")

    register_provider(provider, factory)

    finish(Agent("agent", model=ModelConfig(provider=provider)).cleanup())
