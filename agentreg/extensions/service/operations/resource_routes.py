"""``/registry/resources``: the budget, who has what of it, who waits, and what would be better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentreg.extensions.resources import Allocation, Proposal, Use, Utilization, format_size, parse_size
from agentreg.extensions.service.operations.answering import Desk, answer
from agentreg.extensions.service.operations.asking import iso, only
from agentreg.extensions.service.operations.config import OperationsConfig
from agentreg.extensions.service.operations.operations import Operations
from agentreg.extensions.service.operations.shares import Advice, Shares

__all__ = ["ResourceRoutes", "resources_shown"]

Shown = dict[str, Any]


class ResourceRoutes:
    """The route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """It."""
        return [Route("/registry/resources", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        only(request)
        return answer({**resources_shown(self._desk.operations), "revision": self._desk.revision()})


def resources_shown(operations: Operations) -> Shown:
    """The whole state of the shares, as it is shown."""
    config, shares = operations.config, operations.shares
    use, current = shares.manager.utilization(), shares.current()
    held = [_Held(shares, operations.name_of, agent_id, each) for agent_id, each in current]
    return {
        "budget": _budget(config, use),
        "utilization": _utilization(config, use.total),
        "hosts": [_host(config, name, each, use.fragmentation, held) for name, each in use.hosts.items()],
        "waiting": [each.shown() | {"reason": each.held.reason} for each in held if each.held.state == "waiting"],
        "advice": [_advice(each) for each in reversed(shares.advice)],
        "proposal": _proposal(shares.manager.repack() if len(use.hosts) > 1 else None, operations.name_of),
    }


class _Held:
    """A share, or a place in the line, and whose it is."""

    def __init__(self, shares: Shares, name_of: Callable[[str], str], agent_id: str, held: Allocation) -> None:
        self.held = held
        self._shares = shares
        self._agent_id = agent_id
        self._name = name_of(agent_id)

    def shown(self) -> Shown:
        return {
            "agent_id": self._agent_id,
            "agent": self._name,
            "memory": self.held.memory,
            "priority": self.held.priority,
            "since": iso(self._shares.since(self.held)),
        }


def _budget(config: OperationsConfig, use: Utilization) -> Shown:
    reserved = parse_size(config.reserved)
    memory = use.total.memory_total if config.hosts is not None else config.memory
    whole = None if memory is None else parse_size(memory)
    return {"memory": whole, "reserved": reserved, "cpu": use.total.cpu_total}


def _utilization(config: OperationsConfig, total: Use) -> Shown:
    if not config.has_budget:
        text = f"{format_size(total.memory)} allocated, without a budget"
        return {"memory": None, "cpu": _cpu_share(total), "memory_text": text}
    share = f"{100 * total.memory_share:.0f}%"
    text = f"{share} ({format_size(total.memory)} / {format_size(total.memory_total)})"
    return {"memory": total.memory_share, "cpu": _cpu_share(total), "memory_text": text}


def _cpu_share(use: Use) -> float | None:
    return None if use.cpu_total is None else use.cpu_share


def _host(config: OperationsConfig, name: str, use: Use, fragmentation: float, held: list[_Held]) -> Shown:
    limited = config.has_budget
    return {
        "name": name,
        "memory": {
            "total": use.memory_total if limited else None,
            "allocated": use.memory,
            "free": use.memory_free if limited else None,
        },
        "cpu": None
        if use.cpu_total is None
        else {"total": use.cpu_total, "allocated": use.cpu, "free": use.cpu_total - use.cpu},
        "fragmentation": fragmentation,
        "allocations": [each.shown() for each in held if each.held.granted and each.held.host == name],
    }


def _advice(given: Advice) -> Shown:
    advice = given.advice
    return {
        "time": iso(given.time),
        "direction": advice.direction,
        "amount": advice.memory,
        "reason": advice.reason,
    }


def _proposal(proposal: Proposal | None, name_of: Callable[[str], str]) -> Shown | None:
    if proposal is None or not proposal.moves:
        return None
    return {
        "moves": [{"agent": name_of(move.agent), "from": move.source, "to": move.target} for move in proposal.moves]
    }
