"""How the operations of a service are set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentreg.extensions.monitoring import DEFAULT_RULES, AlertRule
from agentreg.extensions.resources import ConflictPolicies, ResourceManager

if TYPE_CHECKING:
    from agentreg.extensions.monitoring import WebhookHandler

__all__ = ["UNIQUE_NAMES", "OperationsConfig"]

UNIQUE_NAMES: Mapping[str, str] = {"refuse": "refuse", "suffix": "name_suffix", "ask": "user_intervention"}
"""What may be done about a name that is taken -> the strategy that does it."""

_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)


@dataclass(frozen=True)
class OperationsConfig:
    """What a service allocates, samples and watches.

    Raises ValueError if a field is of no use; its text says which, and what
    was expected.

    Attributes:
        memory: What there is for agents, as ``"64GB"`` or bytes; None: no budget, and every request is granted.
        reserved: What of it is kept for others.
        cpu: Cores that there are; None: they are not limited.
        hosts: Several machines instead of one, as for `ResourceManager`.
        rules: Name -> expression of alert rules that are added to the default ones, or take their place.
        interval: Seconds from one sample to the next: a divisor of 60.
        webhook: Where alerts are posted to; None: nowhere.
        unique_names: What is done about a name that is taken in the full form: ``"refuse"``, ``"suffix"`` (the present
            time is appended) or ``"ask"`` (a pending decision). None: names may repeat.
        policies: What is done about other conflicts.

    Example:
        >>> OperationsConfig(memory="64GB", rules={"busy": "task_queue_length >= 100"}).interval
        10
    """

    memory: str | int | None = None
    reserved: str | int = 0
    cpu: float | None = None
    hosts: Mapping[str, Any] | None = None
    rules: Mapping[str, str] = field(default_factory=dict)
    interval: float = 10
    webhook: str | None = None
    unique_names: str | None = None
    policies: ConflictPolicies | None = None

    def __post_init__(self) -> None:
        if self.interval not in _INTERVALS:
            raise ValueError(
                f"interval: expected one of {', '.join(map(str, _INTERVALS))} seconds, got {self.interval!r}"
            )
        if self.unique_names is not None and self.unique_names not in UNIQUE_NAMES:
            raise ValueError(f"unique_names: expected {', '.join(UNIQUE_NAMES)}, got {self.unique_names!r}")
        self.alert_rules()
        self.manager()
        self.webhook_handler()

    @property
    def has_budget(self) -> bool:
        """Whether there is less than everybody might ask for."""
        return self.memory is not None or self.hosts is not None

    def alert_rules(self) -> dict[str, AlertRule]:
        """Name -> rule: the default ones, and those that are added. Raises ValueError.

        >>> list(OperationsConfig(rules={"high_memory": "memory_usage > 95%"}).alert_rules())
        ['high_memory', 'slow_response', 'high_error_rate', 'connection_failures']
        """
        rules = {rule.name: rule for rule in DEFAULT_RULES}
        return rules | {name: _parsed(name, text) for name, text in self.rules.items()}

    def webhook_handler(self) -> WebhookHandler | None:
        """A new handler that posts alerts, if they are to be posted. Raises ValueError or ImportError."""
        if self.webhook is None:
            return None
        from agentreg.extensions.monitoring import WebhookHandler  # which needs an extra

        try:
            return WebhookHandler(self.webhook)
        except ValueError as error:
            raise ValueError(f"webhook: {error}") from error

    def manager(self, **options: Any) -> ResourceManager:
        """A new manager of the budget; without one, it grants everything. Raises ValueError.

        >>> OperationsConfig(memory="4GB", reserved="1GB").manager().available("3GB")
        True
        """
        memory = _PLENTY if self.memory is None else self.memory
        return ResourceManager(memory, self.reserved, self.cpu, self.hosts, registry=None, **options)


def _parsed(name: str, text: str) -> AlertRule:
    try:
        return AlertRule.parse(text, name=name)
    except ValueError as error:
        raise ValueError(f"rules: {name}: {error}") from error


_PLENTY = 1 << 62  # bytes
