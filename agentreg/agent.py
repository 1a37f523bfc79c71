"""BaseAgent and Agent: objects that register themselves.

`BaseAgent` brings the name, the peers and the loan; `Agent` is the concrete
one that asks a model. Registration is the last act of
``BaseAgent.__init__``, and a subclass constructor that raises afterwards
takes it back.
"""

from __future__ import annotations

import functools
import inspect
import threading
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

from typing_extensions import Self

from agentreg.errors import CallDepthError
from agentreg.lending import Desk, loop_gate, wait_at
from agentreg.model import Message, Model, ModelConfig, ask_model, provide
from agentreg.registry import AgentRegistry, enter, observed, withdraw
from agentreg.table import lock

__all__ = ["Agent", "BaseAgent"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

# who is calling whom, in this task: the names from the first caller on
_chain: ContextVar[tuple[str, ...]] = ContextVar("agentreg_chain", default=())
# the pool member that is being made in this context
member_to_be: ContextVar[MemberToBe | None] = ContextVar("agentreg_member", default=None)


class MemberToBe:
    """A name that a pool keeps for the next agent of a class: the first that is begun, not its helpers."""

    def __init__(self, kind: object, name: str) -> None:
        self.kind = kind
        self.name = name
        self.agent: int | None = None  # its id; it is being made, and so can't be another's

    def begin(self, agent: object) -> None:
        """Take note of *agent*, which is about to be constructed."""
        if self.agent is None and type(agent) is self.kind:
            self.agent = id(agent)


class BaseAgent:
    """An agent that is registered by being made, and leaves when it is dropped.

    Subclass it and write ``async def run(self, prompt, **kwargs)``. Without
    *name* it is called ``ClassName-1``, with the next number whose name is
    free. A subclass may do things before or after ``super().__init__()``;
    the agent is in view from that call on. There is no metaclass and no
    ``__del__``.

    Thread-safe: the registration and the loan are; the rest is the subclass's.

    Args:
        name: The name to be found by.
        description: What it is.
        goal: What it is to reach.
        instruction: How it is to go about it.
        capabilities: What it can do; the capability index enters them.
        tools: What it works with: callables, names, or a mapping of names to callables.
        model: What it thinks with; see `Agent`.
        allowed_peers: The only names that it may invoke; None allows all.

    Raises:
        NameTakenError: another living agent, or a pool, holds *name*.

    Example:
        >>> class Echo(BaseAgent):
        ...     async def run(self, prompt, **kwargs):
        ...         return prompt
        >>> echo = Echo("echo")
        >>> AgentRegistry.get("echo") is echo
        True
    """

    name: str
    max_call_depth = 16

    def __init__(
        self,
        name: str | None = None,
        *,
        description: str = "",
        goal: str = "",
        instruction: str = "",
        capabilities: Iterable[str] = (),
        tools: Any = (),
        model: Any = None,
        allowed_peers: Iterable[str] | None = None,
    ) -> None:
        self.description = description
        self.goal = goal
        self.instruction = instruction
        self.capabilities = _texts(capabilities, "capabilities")
        self.tools = tools if isinstance(tools, Mapping) else tuple(tools)
        self.model = model
        self._allowed_peers = None if allowed_peers is None else frozenset(_texts(allowed_peers, "allowed_peers"))
        self._desk: Desk | None = None
        if name is None:
            name = _name_of_member(self)
        self.name = enter(self, name, type(self).__name__, self.capabilities)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # here rather than when the class is made: @dataclass and others put in their constructor later
        if not _is_ours(cls.__init__):
            cls.__init__ = _taking_back(cls.__init__)  # type: ignore[method-assign]
        new = super().__new__
        agent = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        member = member_to_be.get()
        if member is not None:
            member.begin(agent)
        return agent

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cleanup = cls.cleanup
        if inspect.isfunction(cleanup) and not inspect.iscoroutinefunction(cleanup) and not _is_ours(cleanup):
            cls.cleanup = _awaitable(cleanup)  # type: ignore[method-assign]
        # what ABCMeta does, without a metaclass that would shut out classes with another
        cls.__abstractmethods__ = frozenset({"run"} if getattr(cls.run, "__isabstractmethod__", False) else ())  # type: ignore[attr-defined]

    @abstractmethod
    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        """Do the work and return its result; what it raises comes out unchanged."""

    @classmethod
    async def create_safe(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an agent whose set-up is asynchronous; override it to await what it needs."""
        return cls(*args, **kwargs)

    # -- peers --------------------------------------------------------------

    @property
    def allowed_peers(self) -> frozenset[str] | None:
        """The only names that it may invoke, or None for all; fixed when it is made."""
        return self._allowed_peers

    async def invoke_agent(self, name: str, request: Any, **kwargs: Any) -> Any:
        """Let the agent *name* run *request* and return its result.

        Of a pool, a member is borrowed for the call and given back,
        whatever happens.

        Raises:
            PermissionError: *name* is not among the allowed peers.
            AgentNotFoundError: nobody has the name.
            CallDepthError: agents call one another more than ``max_call_depth`` deep.
            PoolExhaustedError: no member came free within the pool's default time.
        """
        if (
            self._allowed_peers is not None
            and not {name, AgentRegistry.normalize_agent_name(name)} & self._allowed_peers
        ):
            allowed = ", ".join(map(repr, sorted(self._allowed_peers))) or "nobody"
            raise PermissionError(f"agent {self.name!r} may not invoke {name!r}; its allowed peers are: {allowed}")
        chain = (*(_chain.get() or (self.name,)), name)
        if len(chain) > self.max_call_depth + 1:
            raise CallDepthError(chain, self.max_call_depth)
        token = _chain.set(chain)
        try:
            pool = AgentRegistry.get_pool(name)
            if pool is None:
                return await _run(AgentRegistry.require(name), name, request, kwargs)
            async with lent(pool, f"{self.name}:{uuid4().hex}") as member:
                return await _run(member, getattr(member, "name", name), request, kwargs)
        finally:
            _chain.reset(token)

    # -- on loan ------------------------------------------------------------

    def acquire_instance(self, branch_id: str) -> bool:
        """Hold this agent for *branch_id*; whether it is held by it now. Never waits."""
        return self._counter().ask(branch_id).loan is not None

    async def acquire_instance_async(self, branch_id: str, timeout: float | None = 30.0) -> bool:
        """The same, waiting in turn for at most *timeout* seconds (None: for ever)."""
        gate, wake = loop_gate()
        desk = self._counter()
        waiter = desk.ask(branch_id, wake=wake)
        try:
            if waiter.queued:
                await wait_at(gate, timeout)
        except BaseException:
            desk.abandon(waiter)
            raise
        return desk.leave(waiter) is not None

    def release_instance(self, branch_id: str) -> bool:
        """Give the agent back, from any thread; False when *branch_id* does not hold it."""
        desk = self._counter()
        loan = desk.loans.get(branch_id)
        if loan is None or not desk.end(loan):
            return False
        desk.shelve(0)
        return True

    def _counter(self) -> Desk:
        if self._desk is None:
            with lock:
                if self._desk is None:
                    self._desk = Desk([True])  # not the agent itself: a cycle would put off its collection
        return self._desk

    # -- leaving ------------------------------------------------------------

    def cleanup(self) -> Awaitable[None]:
        """Close what the agent opened itself; it stays registered. Calling it again is harmless.

        Override it, as a plain or an ``async`` method; either can be awaited.
        """
        return _Done(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await settled(self.cleanup())
        finally:
            withdraw(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'name', '(not registered yet)')!r}>"


BaseAgent.__abstractmethods__ = frozenset({"run"})  # type: ignore[attr-defined]


class Agent(BaseAgent):
    """An agent that asks a model.

    *model* is any callable, plain or ``async``, that takes the messages (a
    list of `Message`) and gives text, or a `ModelConfig`, whose provider is
    looked up at the first run. A plain callable runs in a worker thread, so
    that it doesn't block the event loop. *model_config* is the same under
    another name; both: ``TypeError``.

    Example:
        >>> import asyncio
        >>> agent = Agent("shouter", model=lambda messages: messages[-1].content.upper())
        >>> asyncio.run(agent.run("hello"))
        'HELLO'
    """

    def __init__(self, name: str | None = None, *, model: Any = None, model_config: Any = None, **kwargs: Any) -> None:
        if model is not None and model_config is not None:
            raise TypeError("model and model_config are two names for one thing; pass one of them")
        model = model if model is not None else model_config
        if model is not None and not callable(model) and not isinstance(model, ModelConfig):
            raise TypeError(f"model: expected a callable that takes messages, or a ModelConfig, got {model!r}")
        self._provided: Model | None = None
        super().__init__(name, model=model, **kwargs)

    async def run(self, prompt: Any, *, context: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Ask the model and return its text.

        The messages are the agent's description, goal and instruction (as
        system), each entry of *context* (the results of those before it),
        and *prompt*.

        Raises:
            ProviderNotFoundError: the model's provider isn't registered.
            RuntimeError: the agent has no model.
        """
        if self.model is None:
            raise RuntimeError(f"agent {self.name!r} has no model; pass model= when making it")
        if self._provided is None:
            self._provided = provide(self.model) if isinstance(self.model, ModelConfig) else self.model
        return await ask_model(self._provided, self.messages(prompt, context))

    def messages(self, prompt: Any, context: Mapping[str, Any] | None = None) -> list[Message]:
        """What the model is asked for *prompt*."""
        parts = (self.description, self.goal and f"Goal: {self.goal}", self.instruction)
        system = "\n\n".join(part for part in parts if part)
        told = [Message("user", str(result), name=name) for name, result in (context or {}).items()]
        return [*([Message("system", system)] if system else []), *told, _as_message(prompt)]

    async def cleanup(self) -> None:
        """Close the model that a provider made for this agent, if it can be closed."""
        provided, self._provided = self._provided, None
        if provided is None or provided is self.model:
            return
        close = getattr(provided, "aclose", None) or getattr(provided, "close", None)
        if callable(close):
            await settled(close())


async def settled(value: Any) -> Any:
    """*value*, awaited if it can be."""
    return await value if inspect.isawaitable(value) else value


def lent(pool: Any, branch_id: str, timeout: float | None = None) -> _Loan:
    """A member of *pool* for a block: waits for one, and gives it back always.

    For any pool with ``acquire_instance_async`` and ``release_instance``.
    """
    return _Loan(pool, branch_id, timeout)


class _Loan:
    def __init__(self, pool: Any, branch_id: str, timeout: float | None) -> None:
        self.pool = pool
        self.branch_id = branch_id
        self.patience = {} if timeout is None else {"timeout": timeout}

    async def __aenter__(self) -> Any:
        member = await self.pool.acquire_instance_async(self.branch_id, **self.patience)
        if member is None:
            # sync and at once: it raises the pool's own error, or finds what came free in this moment
            member = self.pool.acquire_instance(self.branch_id)
        return member

    async def __aexit__(self, *exc: object) -> None:
        self.pool.release_instance(self.branch_id)


async def _run(agent: Any, name: str, request: Any, kwargs: dict[str, Any]) -> Any:
    return await observed(name, settled_call(agent.run, request, **kwargs))


async def settled_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call *function*, plain or ``async``, and return its result."""
    return await settled(function(*args, **kwargs))


def _name_of_member(agent: object) -> str | None:
    member = member_to_be.get()
    return member.name if member is not None and member.agent == id(agent) else None


def _texts(values: Iterable[str], what: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"{what}: expected several texts, got the one text {values!r}; write [{values!r}]")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str) or not text:
            raise TypeError(f"{what}: expected non-empty texts, got {text!r}")
    return texts


def _as_message(prompt: Any) -> Message:
    return (
        prompt if isinstance(prompt, Message) else Message("user", prompt if isinstance(prompt, str) else str(prompt))
    )


class _Making(threading.local):
    """The agents whose constructors this thread is in, by id."""

    def __init__(self) -> None:
        self.agents: set[int] = set()


_making = _Making()


def _taking_back(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if id(self) in _making.agents:  # an inner constructor: its failure may be mended further out
            return init(self, *args, **kwargs)
        _making.agents.add(id(self))
        try:
            init(self, *args, **kwargs)
        except BaseException:
            withdraw(self)
            raise
        finally:
            _making.agents.discard(id(self))

    return _ours(__init__)


class _Done:
    """What a plain ``cleanup`` returned, in a form that may be awaited or not."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        if inspect.isawaitable(self.value):
            return (yield from self.value.__await__())
        return self.value


def _awaitable(cleanup: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(cleanup)
    def plain(self: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return _Done(cleanup(self, *args, **kwargs))

    return _ours(plain)


def _ours(wrapper: FunctionT) -> FunctionT:
    wrapper._agentreg = wrapper  # type: ignore[attr-defined]  # itself: functools.wraps copies it to other functions
    return wrapper


def _is_ours(function: Any) -> bool:
    return getattr(function, "_agentreg", None) is function
