"""Conflicts: what stands in the way of a registration or a reload, and what is done about it.

A `ConflictResolver` is asked before a request is accepted. A
`ConnectionPool` shares connections to MCP servers. A `DecisionLog` keeps
what was decided, and why.
"""

from agentreg.extensions.resources.conflicts.connections import ConnectionLease, ConnectionPool, ServerUsage
from agentreg.extensions.resources.conflicts.context import (
    CONFLICTS,
    Conflict,
    ConflictContext,
    ConflictKind,
    ConnectionRoom,
    ResourceOffice,
    Share,
)
from agentreg.extensions.resources.conflicts.decision_log import DecisionLog
from agentreg.extensions.resources.conflicts.decisions import Decision, StepReport
from agentreg.extensions.resources.conflicts.errors import (
    AlreadyAnsweredError,
    ConflictRefusedError,
    ConnectionUnavailableError,
    DecisionLogError,
)
from agentreg.extensions.resources.conflicts.pending import MANUAL_STRATEGIES, Answer, PendingDecision
from agentreg.extensions.resources.conflicts.policies import ConflictPolicies
from agentreg.extensions.resources.conflicts.request import AgentRequest
from agentreg.extensions.resources.conflicts.resolution import Resolution
from agentreg.extensions.resources.conflicts.resolver import ConflictResolver
from agentreg.extensions.resources.conflicts.strategies import AUTOMATIC_STRATEGIES, Strategy, WayOut
from agentreg.extensions.resources.conflicts.tools import ToolGrant, ToolPattern, narrow_tools

__all__ = [
    "AUTOMATIC_STRATEGIES",
    "CONFLICTS",
    "MANUAL_STRATEGIES",
    "AgentRequest",
    "AlreadyAnsweredError",
    "Answer",
    "Conflict",
    "ConflictContext",
    "ConflictKind",
    "ConflictPolicies",
    "ConflictRefusedError",
    "ConflictResolver",
    "ConnectionLease",
    "ConnectionPool",
    "ConnectionRoom",
    "ConnectionUnavailableError",
    "Decision",
    "DecisionLog",
    "DecisionLogError",
    "PendingDecision",
    "Resolution",
    "ResourceOffice",
    "ServerUsage",
    "Share",
    "StepReport",
    "Strategy",
    "ToolGrant",
    "ToolPattern",
    "WayOut",
    "narrow_tools",
]
