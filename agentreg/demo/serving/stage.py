"""The stage: one run from the start of the service to its end, told to a view as it goes."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
import threading
import webbrowser
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentreg.demo.folder import list_python_files
from agentreg.demo.processes.shared import open_directory
from agentreg.demo.serving.crew import Crew
from agentreg.demo.serving.figures import Figures
from agentreg.demo.serving.helper import Helper, command, counting, serving
from agentreg.demo.serving.runtimes import Runtimes
from agentreg.demo.serving.scene import COMMAND, Scene
from agentreg.demo.serving.speaker import Speaker
from agentreg.demo.serving.views import ServingView
from agentreg.demo.stage import DemoFailed
from agentreg.extensions.coordination import AgentDirectory

__all__ = ["Assignment", "perform"]

MISHAP = 20.0  # seconds that it has to last for a runtime to be killed in the middle
READY = 20.0  # seconds that the service has to start
WRAPPED = {"line-counter": "*.py", "page-counter": "*.md"}  # name -> the files that the command looks at


@dataclass(frozen=True)
class Assignment:
    """What is to be shown.

    Attributes:
        folder: Where the Python files are; or one such file.
        seconds: How long.
        limit: How many files are read at most.
        browse: Whether to open the page in a browser.
    """

    folder: Path
    seconds: float = 60.0
    limit: int = 2000
    browse: bool = False


def perform(assignment: Assignment, view: ServingView) -> Scene:
    """Run the demo until its time is up, or Ctrl-C or SIGTERM comes; nothing of it is left then.

    Raises:
        DemoFailed: A part of it could not do its work.
    """
    with _workspace() as folder:
        return asyncio.run(_Stage(assignment, view, folder).play())


class _Stage:
    def __init__(self, assignment: Assignment, view: ServingView, folder: Path) -> None:
        self.assignment = assignment
        self.view = view
        self.folder = folder
        self.scene = Scene("", assignment.seconds)
        self.service = Helper("service", folder)
        self.commands = {name: Helper(name, folder) for name in WRAPPED}
        self.over = asyncio.Event()  # somebody has had enough

    async def play(self) -> Scene:
        with _told_to_end(self.over), self.view:
            try:
                await self._open()
                if not self.over.is_set():
                    await self._show()
            finally:
                await self.service.end()
            self.view.close(self.scene.summary())
        return self.scene

    async def _open(self) -> None:
        """Start the service, and say where it is."""
        workspace = self.folder / "workspace"
        await self.service.start(serving("--port", "0", "--workspace", str(workspace)))
        line = asyncio.create_task(self.service.line())
        over = asyncio.create_task(self.over.wait())
        await asyncio.wait((line, over), timeout=READY, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not line.done():
            line.cancel()
            if not self.over.is_set():
                raise DemoFailed(f"the service was started, but says nothing in {READY:g} s")
            return
        url = line.result().rpartition(" ")[2]
        if not url.startswith("http://"):
            await self.service.wait()
            raise DemoFailed(self.service.obituary())
        self.scene = Scene(url, self.assignment.seconds)
        self.view.begin(self.scene)
        self.view.line(f"AGENTREG_WORKSPACE={workspace}")
        if self.assignment.browse:
            _browse(f"{url}/")

    async def _show(self) -> None:
        files = list_python_files(self.assignment.folder, self.assignment.limit).files
        async with open_directory(self.scene.url) as directory:
            figures = Figures(directory)
            runtimes = Runtimes(self.scene.url, files, figures, self.folder)
            speaker = Speaker(self.scene.url)
            crew = Crew(directory, figures, self.assignment.folder, self.assignment.limit, self.folder)
            try:
                await asyncio.gather(runtimes.start(), speaker.join(), self._wrap())
                await self._until_the_end(
                    self._watch(directory, figures),
                    self._service_ends(),
                    figures.keep_entering(),
                    runtimes.watch(),
                    speaker.beat(),
                    crew.work(),
                    self._mishap(runtimes),
                )
            finally:
                await asyncio.gather(runtimes.end(), speaker.leave(), *(each.end() for each in self.commands.values()))

    async def _wrap(self) -> None:
        """Start the commands, each wrapped by ``agentreg run``."""
        for (name, pattern), helper in zip(WRAPPED.items(), self.commands.values(), strict=True):
            folder = self.assignment.folder if self.assignment.folder.is_dir() else self.assignment.folder.parent
            options = ("--workspace", str(self.folder / "workspace"), "--cwd", str(folder))
            meta = json.dumps({"kind": COMMAND, "counts": pattern})
            await helper.start(command("run", *options, "--meta", meta, name, "--", *counting(folder, pattern)))

    async def _until_the_end(self, *works: Coroutine[Any, Any, None]) -> None:
        """Do all of this until the time is up, or somebody has had enough. The first that fails ends it."""
        tasks = [asyncio.create_task(work) for work in works]
        over = asyncio.create_task(self.over.wait())
        failing = asyncio.create_task(_first_failure(tasks))
        try:
            remaining = self.scene.remaining
            await asyncio.wait((over, failing), timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                failing.result()
        finally:
            for task in (over, failing, *tasks):
                task.cancel()
            await asyncio.gather(over, failing, *tasks, return_exceptions=True)

    # -- what goes on meanwhile -----------------------------------------------

    async def _watch(self, directory: AgentDirectory, figures: Figures) -> None:
        async for item in directory.watch():
            self.scene.tasks = figures.tasks
            for line in self.scene.take(item):
                self.view.heard(line)

    async def _service_ends(self) -> None:
        await self.service.wait()
        raise DemoFailed(self.service.obituary())

    async def _mishap(self, runtimes: Runtimes) -> None:
        """In the middle a runtime is killed, and comes back."""
        if self.scene.seconds < MISHAP:
            return
        await asyncio.sleep(self.scene.seconds / 2)
        self.view.line("now a runtime is killed in the middle of its work; its agents leave by themselves", mark=True)
        name = await runtimes.lose_one()
        self.view.line(f"{name} was started again", mark=True)


async def _first_failure(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


def _browse(url: str) -> None:
    # some browsers hold their caller up
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True, name="agentreg-browser").start()


@contextmanager
def _told_to_end(over: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set *over*, however often they come."""
    loop = asyncio.get_running_loop()

    def tell(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(over.set)

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _workspace() -> Iterator[Path]:
    """A new temporary folder, which is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentreg-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
