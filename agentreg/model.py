"""What an agent thinks with: messages, model settings, providers.

No network client ships here. A program registers a factory for each
provider that it uses, and the factory is called at the first run.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agentreg.errors import ProviderNotFoundError

__all__ = ["Message", "Model", "ModelConfig", "register_provider"]


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: ``"system"``, ``"user"``, ``"assistant"``, ``"error"``, or whatever the model knows.
        content: The text.
        name: Who says it, where that matters.
    """

    role: str
    content: Any
    name: str | None = None


Model = Callable[[list[Message]], str | Awaitable[str]]


class ModelConfig:
    """Which model to ask, and how; the provider makes the callable from it.

    Args:
        type: The kind of model, for example ``"api"`` or ``"local"``.
        provider: The name that a factory is registered under.
        name: The model's name; kept by persistence.
        max_tokens: The longest answer, in tokens.
        options: Anything else that the provider understands, as keywords.

    Example:
        >>> config = ModelConfig(type="api", provider="openrouter", name="some/model", max_tokens=12000, top_p=0.9)
        >>> config.name, config.options
        ('some/model', {'top_p': 0.9})
    """

    def __init__(
        self, type: str = "api", provider: str = "", name: str = "", max_tokens: int | None = None, **options: Any
    ) -> None:
        self.type = type
        self.provider = provider
        self.name = name
        self.max_tokens = max_tokens
        self.options = options

    def __repr__(self) -> str:
        # options may hold a key: their names only
        return f"ModelConfig({self.type!r}, {self.provider!r}, {self.name!r}, options={sorted(self.options)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelConfig) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


_factories: dict[str, Callable[[ModelConfig], Model]] = {}


def register_provider(name: str, factory: Callable[[ModelConfig], Model]) -> None:
    """Let ``ModelConfig(provider=name)`` mean the callable that ``factory(config)`` gives.

    Called at an agent's first run, not when the agent is made. A later
    registration under the same name replaces the earlier one. Process-wide.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"provider name: expected non-empty text, got {name!r}")
    if not callable(factory):
        raise TypeError(f"provider factory of {name!r}: expected a callable that takes a ModelConfig, got {factory!r}")
    _factories[name] = factory


def provide(config: ModelConfig) -> Model:
    """The callable for *config*.

    Raises:
        ProviderNotFoundError: nobody registered its provider.
    """
    factory = _factories.get(config.provider)
    if factory is None:
        raise ProviderNotFoundError(config.provider, _factories)
    return factory(config)


async def ask_model(model: Model, messages: list[Message]) -> Any:
    """The model's answer; a plain callable is called in a worker thread."""
    if inspect.iscoroutinefunction(model) or inspect.iscoroutinefunction(type(model).__call__):
        answer = model(messages)
    else:
        answer = await asyncio.to_thread(_asked, model, messages)
    return await answer if inspect.isawaitable(answer) else answer


def _asked(model: Model, messages: list[Message]) -> Any:
    try:
        return model(messages)
    except StopIteration as error:  # no future can carry it
        raise RuntimeError(f"the model {model!r} raised StopIteration: it has no more answers") from error
