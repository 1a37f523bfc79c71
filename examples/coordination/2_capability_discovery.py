"""Specialists come and go, a desk finds the best for each question, and a log hears of every change.

It prints:

    [agent_registered] pythonista
    [runtime_joined] development
    [agent_registered] scripter
    [agent_registered] statistician
    [runtime_joined] analytics
    'python': pythonista, statistician
    'javascript': scripter
    'statistics with python': statistician
    'cobol': nobody
    [agent_status_changed] pythonista: active -> degraded
    active for 'python': statistician
    whatever their status: pythonista, statistician
    statistician: median 3 of 5 values
"""

import asyncio
import statistics

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentMetadata,
    AgentStatus,
    RegistryEvent,
    RegistryEventType,
)


class Specialist:
    """Says on its card what it can do."""

    def __init__(self, *capabilities: str) -> None:
        self._a2a_card = {"capabilities": list(capabilities)}

    def run(self, task: str) -> str:
        """Give advice on *task*."""
        return f"on {task}: read the manual"


class Statistician(Specialist):
    """Knows numbers."""

    def run(self, task: str) -> str:
        """Describe the numbers in *task*."""
        values = [float(word) for word in task.split()]
        return f"median {statistics.median(values):g} of {len(values)} values"


class Log:
    """Prints what it hears, and knows how much that was."""

    def __init__(self) -> None:
        self.heard = 0
        self.more = asyncio.Condition()

    async def hear(self, event: RegistryEvent) -> None:
        """Take down one event."""
        kind, who = event.event_type.value, event.agent_id or event.runtime_id
        change = event.metadata
        arrow = f": {change['old_status'].value} -> {change['new_status'].value}" if "new_status" in change else ""
        print(f"[{kind}] {who}{arrow}")
        async with self.more:
            self.heard += 1
            self.more.notify_all()

    async def until(self, number: int) -> None:
        """Wait until it has heard *number* events."""
        async with self.more:
            await self.more.wait_for(lambda: self.heard >= number)


def names(found: list[AgentMetadata]) -> str:
    """The agents' ids, as text."""
    return ", ".join(record.agent_id for record in found) or "nobody"


async def discover() -> None:
    """Register three specialists, ask for them, and lose one."""
    log = Log()
    pythonista = Specialist("Python", "code review")
    scripter = Specialist("JavaScript", "web pages")
    statistician = Statistician("statistics with Python", "data cleaning")
    async with AgentDirectory(auto_heartbeat=True) as directory:
        # one callback, one queue: it hears the kinds in the order in which they happen
        for kind in ("agent_registered", "runtime_joined", "agent_status_changed"):
            directory.subscribe(RegistryEventType(kind), log.hear)
        await directory.register_agent(pythonista, "development", "pythonista")
        await directory.register_agent(scripter, "development", "scripter")
        await directory.register_agent(statistician, "analytics", "statistician")
        await log.until(5)

        for wanted in ("python", "javascript", "statistics with python", "cobol"):
            print(f"{wanted!r}:", names(await directory.find_agents_by_capability(wanted)))

        await directory.update_agent_status("pythonista", AgentStatus.DEGRADED)
        await log.until(6)
        active = await directory.find_agents_by_capability("python", AgentStatus.ACTIVE)
        print("active for 'python':", names(active))
        print("whatever their status:", names(await directory.find_agents_by_capability("python", status_filter=None)))
        print(f"{active[0].agent_id}: {active[0].agent.run('1 2 3 4 5')}")


if __name__ == "__main__":
    asyncio.run(discover())
