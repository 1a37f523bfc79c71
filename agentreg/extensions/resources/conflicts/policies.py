"""ConflictPolicies: what to do about which kind of conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentreg.extensions.resources.conflicts.context import CONFLICTS
from agentreg.extensions.resources.conflicts.pending import CustomLogic
from agentreg.extensions.resources.conflicts.request import RANKED_PRIORITIES
from agentreg.extensions.resources.conflicts.tools import narrow_tools

__all__ = ["ConflictPolicies", "strategy_name"]

Choice = str | Iterable[str]

_ALSO = {
    "append_timestamp_suffix": "name_suffix",
    "name_suffix_addition": "name_suffix",
    "priority_based_queuing": "priority_queue",
    "least_privilege_principle": "least_privilege",
    "user_intervention_required": "user_intervention",
    "resource_upgrade_needed": "resource_upgrade",
    "custom_resolution_logic": "custom_logic",
}


def strategy_name(name: str) -> str:
    """The strategy that is meant by *name*, which may be a longer form.

    >>> strategy_name("append_timestamp_suffix")
    'name_suffix'
    """
    return _ALSO.get(name, name)


@dataclass(frozen=True)
class ConflictPolicies:
    """What to do about which kind of conflict, and what is allowed at all. Immutable.

    Each of the four kinds has a strategy's name, or several: the first that
    is a way out is taken, and when none is, the request is refused. One of
    the four kinds of pending decisions asks somebody.

    Attributes:
        name: ``"refuse"`` or ``"name_suffix"``.
        resources: ``"priority_queue"``, ``"resource_reallocation"``, ``"priority_adjustment"``,
            ``"graceful_degradation"`` or ``"refuse"``.
        tools: ``"least_privilege"``, ``"graceful_degradation"``, ``"accept"`` or ``"refuse"``.
        mcp: ``"connection_pooling"``, ``"graceful_degradation"`` or ``"refuse"``.
        allowed_tools: What any agent may use; None for everything.
        denied_tools: What no agent may use.
        highest_priority: Up to where ``"priority_adjustment"`` raises a priority.
        custom_logic: What answers pending decisions of the kind ``"custom_logic"``: called with the decision, it
            returns one of the choices, or None to leave it to others. It may be a coroutine function.
        timeout: Seconds until a pending decision takes its default; None for never.
        default: The choice that is then taken; of each kind, where it is a mapping.

    >>> ConflictPolicies(name="name_suffix").of("name")
    ('name_suffix',)

    Raises:
        ValueError: a permission is malformed, the priority is unknown, or there is no custom logic where it is named.
    """

    name: Choice = "refuse"
    resources: Choice = "priority_queue"
    tools: Choice = "least_privilege"
    mcp: Choice = "connection_pooling"
    allowed_tools: Iterable[str] | None = None
    denied_tools: Iterable[str] = ()
    highest_priority: str = "important"
    custom_logic: CustomLogic | None = None
    timeout: float | None = 300.0
    default: str | Mapping[str, str] = "refuse"

    def __post_init__(self) -> None:
        for key in (*CONFLICTS, "allowed_tools", "denied_tools"):
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, (value,) if isinstance(value, str) else tuple(value))
        for kind in CONFLICTS:
            object.__setattr__(self, kind, tuple(map(strategy_name, getattr(self, kind))))
            if "custom_logic" in self.of(kind) and self.custom_logic is None:
                raise ValueError(f"{kind}: the strategy 'custom_logic' needs custom_logic=, a function of the decision")
        if self.highest_priority not in RANKED_PRIORITIES:
            raise ValueError(
                f"highest_priority: expected one of {', '.join(RANKED_PRIORITIES)}, got {self.highest_priority!r}"
            )
        narrow_tools(None, {"policy": self.allowed_tools}, {"policy": self.denied_tools})  # refuses what is malformed

    def of(self, kind: str) -> tuple[str, ...]:
        """The strategies for *kind*, in the order in which they are tried."""
        strategies: tuple[str, ...] = getattr(self, kind)
        return strategies

    def default_of(self, kind: str) -> str:
        """What is chosen for a conflict of *kind* when nobody answers.

        >>> ConflictPolicies(default={"tools": "least_privilege"}).default_of("tools")
        'least_privilege'
        """
        chosen = self.default if isinstance(self.default, str) else self.default.get(kind, "refuse")
        return strategy_name(chosen)
