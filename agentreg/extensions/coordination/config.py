"""How a directory behaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["AgentDirectoryConfig", "AgentRegistryConfig"]


@dataclass(frozen=True, slots=True)
class AgentDirectoryConfig:
    """How a directory behaves. Nonsense raises ValueError at once.

    Attributes:
        enable_heartbeat_monitoring: Whether an agent that is overdue becomes
            unhealthy and then leaves. Without it nobody is ever overdue.
        heartbeat_timeout: Seconds without a heartbeat until an agent is unhealthy.
        auto_deregister_timeout: Seconds without one until it is deregistered.
        enable_event_broadcasting: Whether callbacks are called.
        event_queue_size: How many events may wait for each callback.
    """

    enable_heartbeat_monitoring: bool = True
    heartbeat_timeout: float = 30.0
    auto_deregister_timeout: float = 60.0
    enable_event_broadcasting: bool = True
    event_queue_size: int = 100

    def __post_init__(self) -> None:
        for name in ("heartbeat_timeout", "auto_deregister_timeout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number of seconds above 0, got {value!r}")
        if self.auto_deregister_timeout < self.heartbeat_timeout:
            raise ValueError(
                f"auto_deregister_timeout ({self.auto_deregister_timeout}): expected at least heartbeat_timeout "
                f"({self.heartbeat_timeout}); an agent becomes unhealthy before it is removed"
            )
        size = self.event_queue_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"event_queue_size: expected a whole number from 1 up, got {size!r}")


AgentRegistryConfig = AgentDirectoryConfig
