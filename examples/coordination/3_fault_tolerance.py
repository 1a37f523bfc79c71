"""A primary falls silent, its backup takes over, and the primary comes back.

Time is the example's own: a clock that it moves by hand stands for minutes of
waiting. A program of yours leaves ``clock`` out.

It prints:

    both beat: primary did 'task 1'
    25 s later only the backup has beaten: primary, backup are active
    35 s after its last beat the primary is unhealthy
    failover: backup did 'task 2'
    the primary beats again: primary, backup are active
    it is told that its disk is full: backup did 'task 3'
    repaired and set active: primary did 'task 4'
    70 s of silence: primary has expired, backup is left
    [agent_status_changed] primary active -> unhealthy
    [agent_status_changed] primary unhealthy -> active
    [agent_status_changed] primary active -> unhealthy
    [agent_status_changed] primary unhealthy -> active
    [agent_status_changed] primary active -> unhealthy
    [agent_deregistered] primary expired
"""

import asyncio

from agentreg.extensions.coordination import (
    AgentDirectory,
    AgentDirectoryConfig,
    AgentStatus,
    RegistryEvent,
    RegistryEventType,
)

CONFIG = AgentDirectoryConfig(heartbeat_timeout=30.0, auto_deregister_timeout=60.0)


class Worker:
    """Does what it is told."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.capabilities = ["task processing"]

    def run(self, task: str) -> str:
        """Do it."""
        return f"{self.agent_id} did {task!r}"


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def dispatch(directory: AgentDirectory, task: str) -> str:
    """Give *task* to the first who is fit for it."""
    fit = await directory.find_agents_by_capability("task processing", AgentStatus.ACTIVE)
    if not fit:
        raise RuntimeError("nobody is fit for it")
    return str(fit[0].agent.run(task))


async def active(directory: AgentDirectory) -> str:
    """Who is, as text."""
    return ", ".join(record.agent_id for record in await directory.find_agents_by_status(AgentStatus.ACTIVE))


async def survive(history: list[RegistryEvent]) -> None:
    """Let the primary fail in three ways."""
    clock = Clock()
    primary, backup = Worker("primary"), Worker("backup")
    async with AgentDirectory(CONFIG, clock=clock) as directory:
        for kind in (RegistryEventType.AGENT_STATUS_CHANGED, RegistryEventType.AGENT_DEREGISTERED):
            directory.subscribe(kind, history.append)
        await directory.register_agent(primary, "machine-1")
        await directory.register_agent(backup, "machine-2")
        print("both beat:", await dispatch(directory, "task 1"))

        clock.now += 25
        await directory.heartbeat_runtime("machine-2")
        print("25 s later only the backup has beaten:", await active(directory), "are active")
        clock.now += 10
        record = await directory.get_agent("primary")
        assert record is not None
        print("35 s after its last beat the primary is", record.status.value)
        print("failover:", await dispatch(directory, "task 2"))
        await directory.update_agent_heartbeat("primary")
        print("the primary beats again:", await active(directory), "are active")

        await directory.update_agent_status("primary", AgentStatus.UNHEALTHY)
        print("it is told that its disk is full:", await dispatch(directory, "task 3"))
        await directory.update_agent_status("primary", AgentStatus.ACTIVE)
        print("repaired and set active:", await dispatch(directory, "task 4"))

        for _ in range(7):
            clock.now += 10
            await directory.heartbeat_runtime("machine-2")
        print("70 s of silence: primary has expired,", await active(directory), "is left")
        await directory.deregister_agent("backup", "machine-2")


def describe(event: RegistryEvent) -> str:
    """One line of the history."""
    change = event.metadata
    what = (
        f"{change['old_status'].value} -> {change['new_status'].value}" if "new_status" in change else change["reason"]
    )
    return f"[{event.event_type.value}] {event.agent_id} {what}"


if __name__ == "__main__":
    heard: list[RegistryEvent] = []
    asyncio.run(survive(heard))
    for one in heard:
        if one.agent_id == "primary":
            print(describe(one))
