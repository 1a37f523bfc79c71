"""The company: all agents of one run, and who holds them."""

from __future__ import annotations

from pathlib import Path

from agentreg import AgentPool, AgentRegistry, BaseAgent, Topology
from agentreg.demo.board import Board
from agentreg.demo.crew import POOL, Analyst, Archivist, Dispatcher, Editor, Reporter, Reviewer, Scout

__all__ = ["FLOWS", "TOPOLOGY", "Company"]

FLOWS = ("scout -> dispatcher -> editor -> reporter", "scout -> archivist -> editor")
TOPOLOGY = Topology(["scout", "dispatcher", "archivist", "editor", "reporter"], FLOWS)

REVIEWERS = {
    "simplicity-reviewer": ["complex functions", "long functions", "large files"],
    "imports-reviewer": ["many imports"],
    "docs-reviewer": ["missing docstrings"],
}


class Company:
    """Makes the agents, which registers them, and holds them: the registry itself holds nobody but pools.

    Attributes:
        pool: The analysts.
        reviewers: Those who wait to be found.
        nodes: Those who stand in the topology, by name.
    """

    def __init__(self, folder: Path, report: Path, analysts: int, limit: int, at_least: float, board: Board) -> None:
        self.reviewers: dict[str, BaseAgent] = {}
        nodes = (
            Scout("scout", limit),
            Dispatcher("dispatcher", at_least),
            Archivist("archivist", folder / "registry.json", self.reviewers, next(iter(REVIEWERS))),
            Editor("editor"),
            Reporter("reporter", report),
        )
        self.nodes = {node.name: node for node in nodes}
        for name, can in REVIEWERS.items():
            self.reviewers[name] = Reviewer(name, description="Picks the worst places.", capabilities=can)
        self.pool = AgentPool(Analyst, analysts, name=POOL, board=board)
        AgentRegistry.register_pool(self.pool)

    async def close(self) -> None:
        """Let everybody go. Calling it again is harmless."""
        await self.pool.cleanup()
        self.reviewers.clear()
        self.nodes.clear()
