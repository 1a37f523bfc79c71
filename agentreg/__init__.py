"""agentreg: which agents are there, and may I have one?

>>> import asyncio
>>> class Greeter(BaseAgent):
...     async def run(self, prompt, **kwargs):
...         return f"Hello, {prompt}!"
>>> greeter = Greeter("greeter")
>>> asyncio.run(AgentRegistry.get("greeter").run("world"))
'Hello, world!'
"""

import logging

from agentreg.agent import Agent, BaseAgent
from agentreg.errors import (
    AgentNotFoundError,
    CallDepthError,
    NameTakenError,
    PoolClosedError,
    PoolExhaustedError,
    ProviderNotFoundError,
    RegistryError,
    ReservedNameError,
    TopologyError,
)
from agentreg.events import (
    AgentRegistered,
    AgentUnregistered,
    CallFinished,
    PoolRegistered,
    PoolUnregistered,
    RegistryEvent,
    Resync,
)
from agentreg.model import Message, ModelConfig, register_provider
from agentreg.orchestra import ExecutionConfig, Orchestra, OrchestraResult
from agentreg.pool import (
    AgentPool,
    InstanceAllocation,
    cleanup_all_pools,
    create_agent_pool,
    create_agent_pool_sync,
    get_pool_statistics,
)
from agentreg.registry import AgentRegistry
from agentreg.subscription import Subscription
from agentreg.topology import Topology

__all__ = [
    "Agent",
    "AgentNotFoundError",
    "AgentPool",
    "AgentRegistered",
    "AgentRegistry",
    "AgentUnregistered",
    "BaseAgent",
    "CallDepthError",
    "CallFinished",
    "ExecutionConfig",
    "InstanceAllocation",
    "Message",
    "ModelConfig",
    "NameTakenError",
    "Orchestra",
    "OrchestraResult",
    "PoolClosedError",
    "PoolExhaustedError",
    "PoolRegistered",
    "PoolUnregistered",
    "ProviderNotFoundError",
    "RegistryError",
    "RegistryEvent",
    "ReservedNameError",
    "Resync",
    "Subscription",
    "Topology",
    "TopologyError",
    "__version__",
    "cleanup_all_pools",
    "create_agent_pool",
    "create_agent_pool_sync",
    "get_pool_statistics",
    "register_provider",
]

__version__ = "0.1.0"

logging.getLogger("agentreg").addHandler(logging.NullHandler())
