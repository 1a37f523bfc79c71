"""What the tests of agents, pools and orchestras share: small agents, watchdogs, and a clock that jumps."""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Generic, TypeVar

from typing_extensions import Self

from agentreg import AgentRegistry, BaseAgent, Message, ModelConfig, register_provider

T = TypeVar("T")

WATCHDOG = 30.0  # seconds after which whatever is waited for counts as hanging


class Echo(BaseAgent):
    """Gives back what it is asked."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


class Closing(Echo):
    """Counts how often it was cleaned up."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        self.closed = 0
        super().__init__(name, **kwargs)

    async def cleanup(self) -> None:
        self.closed += 1


class Plain:
    """No agent of ours: it has nothing but what pools and orchestras call."""

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        return prompt


def answering(model: str) -> ModelConfig:
    """A configuration whose provider answers on the spot: with the model's name and the last message."""

    def factory(config: ModelConfig) -> Callable[[list[Message]], Awaitable[str]]:
        async def answer(messages: list[Message]) -> str:
            return f"{config.name}: {messages[-1].content}"

        return answer

    register_provider("openrouter", factory)
    return ModelConfig(type="api", provider="openrouter", name=model, max_tokens=12000)


class Hearing:
    """Every event of the registry while the block lasts."""

    def __enter__(self) -> list[Any]:
        heard: list[Any] = []
        self._subscription = AgentRegistry.subscribe(heard.append)
        return heard

    def __exit__(self, *exc: object) -> None:
        self._subscription.close()


class Owners:
    """Notes who owns what, and whether anything was ever owned twice."""

    def __init__(self) -> None:
        self.owned: dict[int, str] = {}
        self.twice: list[str] = []

    @contextmanager
    def owning(self, member: object, branch: str) -> Iterator[None]:
        if self.owned.setdefault(id(member), branch) != branch:
            self.twice.append(branch)
        try:
            yield
        finally:
            if self.owned.pop(id(member), None) != branch:
                self.twice.append(branch)


# -- event loops ------------------------------------------------------------


def finish(work: Coroutine[Any, Any, T], within: float = WATCHDOG) -> T:
    """The result of *work* in a fresh event loop; hanging is a failure."""

    async def guarded() -> T:
        return await asyncio.wait_for(work, within)

    return asyncio.run(guarded())


async def turns(count: int = 10) -> None:
    """Let every other task go on until it really waits."""
    for _ in range(count):
        await asyncio.sleep(0)


class Meeting:
    """Everybody who calls it waits there until the last one has arrived."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.arrived = 0
        self.complete = asyncio.Event()

    async def __call__(self) -> int:
        self.arrived += 1
        if self.arrived == self.size:
            self.complete.set()
        await self.complete.wait()
        return self.arrived


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it.

    ``rounds`` counts how often the loop came round. Not for work in other threads.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.rounds = 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(None if timeout is None else 0)
        self._loop.rounds += 1
        if not ready and timeout:
            self._loop.now += timeout
        return ready


async def passing(seconds: float, result: Any = None) -> Any:
    """*result*, when so many seconds have passed on the clock of a jumping loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    future = loop.create_future()
    timer = loop.call_later(seconds, future.set_result, result)
    try:
        return await future
    finally:
        timer.cancel()


def jump(work: Callable[[JumpingLoop], Coroutine[Any, Any, T]]) -> T:
    """The result of *work* in an event loop where an hour of waiting takes no time; longer is a failure."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(asyncio.wait_for(work(loop), 3600))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class LoopThread:
    """An event loop that runs in a thread of its own while the block lasts."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, daemon=True)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin *work* there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of *work* there."""
        return self.start(work).result(WATCHDOG)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WATCHDOG)
        assert not self._thread.is_alive(), "the event loop of a thread hangs"
        self.loop.close()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


# -- threads ----------------------------------------------------------------


class Running(threading.Thread, Generic[T]):
    """*function* in a thread; `result` gives what it returns or raises, and hanging is a failure."""

    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._outcome: Future[T] = Future()
        self.start()

    def run(self) -> None:
        try:
            self._outcome.set_result(self._function())
        except BaseException as error:
            self._outcome.set_exception(error)

    def result(self) -> T:
        outcome = self._outcome.result(WATCHDOG)
        self.join(WATCHDOG)
        return outcome


class Waiting(Running[T]):
    """The same for a function that is about to wait: made once its thread stands at a closed gate.

    Unless it *may_wait*, standing there is a failure.
    """

    def __init__(self, function: Callable[[], T], may_wait: bool = True) -> None:
        self._waits = False
        self._decided = threading.Event()
        super().__init__(function)
        assert self._decided.wait(WATCHDOG), "it hangs before it waits"
        assert self._waits or not may_wait, "it did not wait"
        assert may_wait or not self._waits, "it waits"

    def run(self) -> None:
        sys.setprofile(self._watch)
        super().run()
        self._decided.set()

    def _watch(self, frame: FrameType, event: str, function: Any) -> None:
        # a pool's acquire_instance asks at the desk first, and then calls the gate's acquire
        if event == "c_call" and "acquire_instance" in frame.f_code.co_name and function.__name__ == "acquire":
            self._waits = True
            self._decided.set()
