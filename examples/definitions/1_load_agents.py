"""Agents that people keep in files become agents that run.

The files are those of three tools. One agent is kept by the user and, in
another form, by the project; the project's counts.

It prints:

    planner: pi, of the user
    reviewer: claude, of the project
    tester: copilot, of the project
    reviewer of the user gives way to that of the project
    may use Bash: planner, tester
    error in broken.md, line 1: the header that begins here is not closed
    reviewer, on large: "Review what has changed." -> looks good
"""

import asyncio
import tempfile
from pathlib import Path

from agentreg import ModelConfig, register_provider
from agentreg.extensions.definitions import Catalog, discover

FILES = {
    "home/.pi/agent/agents/planner.md": "---\nname: planner\ndescription: Plans\ntools: read, Bash\n---\nPlan.\n",
    "home/.claude/agents/reviewer.md": "---\nname: reviewer\ndescription: Reviews\ntools: Read\n---\nReview.\n",
    "project/.claude/agents/reviewer.md": "---\nname: reviewer\ndescription: Reviews\ntools: Read\nmodel: large\n---\n"
    "Review what has changed.\n",
    "project/.github/agents/tester.agent.md": "---\nname: tester\ndescription: Writes tests\n---\nWrite tests.\n",
    "project/.claude/agents/broken.md": "---\nname: broken\ndescription: Has no end\n",
}


def write(root: Path) -> None:
    """Write the files of this example below *root*."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def show(catalog: Catalog) -> None:
    """Print who is there, who is hidden, and what is wrong."""
    for definition in catalog.all():
        print(f"{definition.name}: {definition.family}, of the {definition.source}")
    for shadow in catalog.shadowed():
        print(f"{shadow.name} of the {shadow.loser.source} gives way to that of the {shadow.winner.source}")
    print("may use Bash:", ", ".join(definition.name for definition in catalog.find(tool="Bash")))
    for problem in catalog.problems():
        print(f"{problem.severity} in {Path(problem.path).name}, line {problem.line}: {problem.message}")


def run(catalog: Catalog) -> None:
    """Make an agent of a definition, with the model that it names, and ask it."""
    definition = catalog.require("reviewer")
    agent = catalog.spawn("reviewer", model=ModelConfig(provider="house", name=definition.model or "small"))
    answer = asyncio.run(agent.run("How is it?"))
    print(f'{agent.name}, on {definition.model}: "{agent.instruction}" -> {answer}')


if __name__ == "__main__":
    register_provider("house", lambda config: lambda messages: "looks good")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        found = Catalog(discover(Path(folder, "project"), home=Path(folder, "home")))
        show(found)
        run(found)
