"""Three pickers of one's own: weighted, sticky, and the fastest so far.

A picker is any object with ``pick(snapshot)``. It prints:

    weighted 3, 1 and 2: big tiny big small tiny big
    sticky, by customer: {'ann': 'big', 'bob': 'tiny', 'cyd': 'small'}
    sticky, after small has left: {'ann': 'big', 'bob': 'tiny', 'cyd': 'big'}
    fastest, with nothing to go by at first: big tiny tiny tiny tiny
"""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any

from agentreg import AgentRegistry, AgentUnregistered, BaseAgent, CallFinished, RegistryEvent
from agentreg.extensions.load_balancing import LoadBalancedRegistry, Picker, Snapshot


class Weighted:
    """Turns in proportion to weights, as evenly spread as they can be."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.weights = weights
        self.credit: dict[str, int] = {}

    def pick(self, snapshot: Snapshot) -> str:
        """Everybody earns its weight; the richest is picked, and pays for all."""
        earned = {name: self.weights.get(name, 1) for name in snapshot.names}
        self.credit = {name: self.credit.get(name, 0) + weight for name, weight in earned.items()}
        richest = max(self.credit, key=self.credit.__getitem__)
        self.credit[richest] -= sum(earned.values())
        return richest


class Sticky:
    """The same agent for the same key; when agents come and go, few keys move, and nothing is kept."""

    def __init__(self, key: str) -> None:
        self.key = key

    def pick(self, snapshot: Snapshot) -> str:
        """Every pair of key and name has a number; the highest wins."""
        return max(snapshot.names, key=lambda name: zlib.crc32(f"{self.key} {name}".encode()))


class Fastest:
    """The agent whose calls took least time lately; everybody is tried once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.subscriptions = [AgentRegistry.on_call(self.measure), AgentRegistry.subscribe(self.forget)]

    def measure(self, call: CallFinished) -> None:
        """Let each call count for a fifth of the average."""
        before = self.seconds.get(call.name, call.seconds)
        self.seconds[call.name] = 0.8 * before + 0.2 * call.seconds

    def forget(self, event: RegistryEvent) -> None:
        """A successor is not as fast as who had its name before."""
        if isinstance(event, AgentUnregistered):
            self.seconds.pop(event.name, None)

    def pick(self, snapshot: Snapshot) -> str:
        """The quickest, or somebody who wasn't measured yet."""
        return min(snapshot.names, key=lambda name: self.seconds.get(name, 0.0))

    def close(self) -> None:
        """Measure no more."""
        for subscription in self.subscriptions:
            subscription.close()


class Sleeper(BaseAgent):
    """An agent that takes its time."""

    def __init__(self, name: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(name)

    async def run(self, prompt: Any, **kwargs: Any) -> str:
        await asyncio.sleep(self.seconds)
        return self.name


class Boss(BaseAgent):
    """Lets others do the work: whoever its picker picks."""

    def __init__(self, picker: Picker) -> None:
        self.picker = picker
        super().__init__("boss")

    async def run(self, prompt: Any, **kwargs: Any) -> Any:
        name = LoadBalancedRegistry.pick(self.picker, Sleeper)
        if name is None:
            return "nobody is there"
        with LoadBalancedRegistry.track(name):
            return await self.invoke_agent(name, prompt)


def assigned() -> dict[str, str | None]:
    """Who works for which customer."""
    return {customer: LoadBalancedRegistry.pick(Sticky(customer), Sleeper) for customer in ("ann", "bob", "cyd")}


async def run_pickers() -> None:
    """Make three agents, and pick."""
    sleepers = {"big": Sleeper("big", 0.1), "small": Sleeper("small", 0.1), "tiny": Sleeper("tiny", 0.001)}

    boss = Boss(Weighted({"big": 3, "tiny": 2}))
    print("weighted 3, 1 and 2:", *[await boss.run("sleep") for _ in range(6)])

    print("sticky, by customer:", assigned())
    del sleepers["small"]
    print("sticky, after small has left:", assigned())

    fastest = Fastest()
    boss.picker = fastest
    print("fastest, with nothing to go by at first:", *[await boss.run("sleep") for _ in range(5)])
    fastest.close()


if __name__ == "__main__":
    asyncio.run(run_pickers())
