"""A running agent follows the file that it was made from, as far as a policy permits.

It prints:

    scout is told: Look.
    DefinitionUpdated scout
    scout is told: Look twice.
    ReloadRefused scout: the tool 'Bash' is not permitted (the check of tools)
    scout is told: Look twice.
    DefinitionDeregistered scout
    the catalog is empty, and scout still runs: I looked
"""

import asyncio
import os
import tempfile
from pathlib import Path

from agentreg.extensions.definitions import (
    Catalog,
    Checks,
    DefinitionChange,
    FolderSource,
    ReloadRefused,
    tools_permitted,
)

SCOUT = "---\nname: scout\ndescription: Looks around\ntools: Read\n---\nLook.\n"


def write(path: Path, text: str) -> None:
    """Put *text* in the place of *path* at once: nobody sees half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


async def follow(folder: Path) -> None:
    """Watch *folder* while its one file is edited, edited badly, and removed."""
    path = folder / "scout.md"
    write(path, SCOUT)
    catalog = Catalog([FolderSource(folder)], checks=Checks(tools=tools_permitted({"Read", "Grep"})))
    agent = catalog.spawn("scout", model=lambda messages: "I looked")
    print("scout is told:", agent.instruction)

    loop, changes = asyncio.get_running_loop(), asyncio.Queue[DefinitionChange]()

    def hear(change: DefinitionChange) -> None:
        """Pass *change* on to the loop: a listener is called in the thread that brings it."""
        loop.call_soon_threadsafe(changes.put_nowait, change)

    with catalog.subscribe(hear):
        watching = asyncio.create_task(catalog.watch(debounce=0.05))
        for text in (SCOUT.replace("Look.", "Look twice."), SCOUT.replace("Read", "Read, Bash")):
            write(path, text)
            change = await changes.get()
            why = f": {change.problem.message}" if isinstance(change, ReloadRefused) else ""
            print(f"{type(change).__name__} {change.name}{why}")
            print("scout is told:", agent.instruction)
        path.unlink()
        change = await changes.get()
        print(type(change).__name__, change.name)
        watching.cancel()
    answer = await agent.run("What is there?")
    print("the catalog is", "full," if catalog.all() else "empty,", "and scout still runs:", answer)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as root:
        asyncio.run(follow(Path(root)))
