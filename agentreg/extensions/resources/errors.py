"""What can go wrong with resources: what came, what there is, and the way out."""

from __future__ import annotations

from agentreg import RegistryError

__all__ = [
    "AllocationEndedError",
    "AllocationTimeoutError",
    "AlreadyAllocatedError",
    "HostNotFoundError",
    "InsufficientResourcesError",
    "NotAllocatedError",
    "RequestTooLargeError",
    "ResourceError",
    "SizeError",
    "StaleProposalError",
]


class ResourceError(RegistryError):
    """The base of every error about resources."""


class SizeError(ResourceError, ValueError):
    """A size is of no known form.

    Attributes:
        value: The repr of what came, shortened.
        where: Which argument it was.
    """

    def __init__(self, value: str, where: str = "size") -> None:
        super().__init__(value, where)
        self.value = value
        self.where = where

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.value} is no size; write bytes as a whole number from 0 up, or text with a unit: "
            "'512 KiB', '1024mb', '1.5 GiB', '64GB' (b, k, m, g, t; a unit with or without i and b is the same "
            "power of 1024)"
        )


class RequestTooLargeError(ResourceError, ValueError):
    """A request is larger than what any host has, even an empty one: it could never be granted.

    Attributes:
        agent: Whose request it is.
        asked: What was asked for, as text.
        largest: What the hosts have at most, as text.
    """

    def __init__(self, agent: str, asked: str, largest: str) -> None:
        super().__init__(agent, asked, largest)
        self.agent = agent
        self.asked = asked
        self.largest = largest

    def __str__(self) -> str:
        return f"{self.agent!r} asks for {self.asked}, but there is only {self.largest}; ask for less, or add a host"


class InsufficientResourcesError(ResourceError):
    """An allocation can't grow where it is; it was left as it is.

    Attributes:
        agent: Whose allocation it is.
        asked: What was asked for, as text.
        free: What there is beside what it has, as text.
    """

    def __init__(self, agent: str, asked: str, free: str) -> None:
        super().__init__(agent, asked, free)
        self.agent = agent
        self.asked = asked
        self.free = free

    def __str__(self) -> str:
        return (
            f"{self.agent!r} can't grow to {self.asked}: {self.free}; it keeps what it has. Try again once others have "
            "released, or release it and allocate anew to wait in the line"
        )


class AlreadyAllocatedError(ResourceError, ValueError):
    """An agent has an allocation, or waits for one.

    Attributes:
        agent: The agent's name.
        state: The state of the allocation that there is.
    """

    def __init__(self, agent: str, state: str) -> None:
        super().__init__(agent, state)
        self.agent = agent
        self.state = state

    def __str__(self) -> str:
        return f"{self.agent!r} has an allocation already ({self.state}); resize it, or release it first"


class NotAllocatedError(ResourceError, LookupError):
    """An agent has no allocation, and waits for none.

    Attributes:
        agent: The agent's name.
    """

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent

    def __str__(self) -> str:
        return f"{self.agent!r} has no allocation, and waits for none; call allocate({self.agent!r}, ...) first"


class AllocationEndedError(ResourceError):
    """Someone waits for an allocation that has ended.

    Attributes:
        agent: Whose it was.
        state: How it ended: cancelled, released or preempted.
        reason: Why.
    """

    def __init__(self, agent: str, state: str, reason: str) -> None:
        super().__init__(agent, state, reason)
        self.agent = agent
        self.state = state
        self.reason = reason

    def __str__(self) -> str:
        return f"the allocation of {self.agent!r} was {self.state} ({self.reason}); allocate anew to ask again"


class AllocationTimeoutError(ResourceError, TimeoutError):
    """An allocation was not granted in time; it goes on waiting.

    Attributes:
        agent: Whose it is.
        timeout: The seconds that were waited.
        reason: What it waits for.
    """

    def __init__(self, agent: str, timeout: float, reason: str) -> None:
        super().__init__(agent, timeout, reason)
        self.agent = agent
        self.timeout = timeout
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the allocation of {self.agent!r} was not granted within {self.timeout:g} s ({self.reason}); it keeps its "
            "place in the line: wait again, or cancel() it"
        )


class StaleProposalError(ResourceError):
    """A proposal was made for hosts that have changed since; nothing was moved.

    Attributes:
        host: The first host that has changed.
    """

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"the proposal is stale: the host {self.host!r} has changed since; call repack() for a new one"


class HostNotFoundError(ResourceError, LookupError):
    """There is no host of that name.

    Attributes:
        host: The repr of what was asked for.
        known: The names that there are, as text.
    """

    def __init__(self, host: object, known: str) -> None:
        super().__init__(host, known)
        self.host = repr(host)
        self.known = known

    def __str__(self) -> str:
        return f"there is no host {self.host} (known: {self.known}); add it with add_host()"
