"""The service as a process: its port, its files, its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from uuid import uuid4

import uvicorn

from agentreg import RegistryError
from agentreg.extensions.coordination import DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.processes import this_process
from agentreg.extensions.service.application import create_app, open_directory, start_directory
from agentreg.extensions.service.definitions import open_table
from agentreg.extensions.service.events.wire import FramesProtocol
from agentreg.extensions.service.limits import Limits, Timing
from agentreg.extensions.service.migration import is_original, migrate
from agentreg.extensions.service.mirror import Mirror
from agentreg.extensions.service.operations import Files, Operations, OperationsConfig
from agentreg.extensions.service.patience import HURRY, PATIENCE, PatientProtocol, close_the_silent
from agentreg.extensions.service.simple import ASGIApp
from agentreg.extensions.service.workspace import Discovery, ServiceError, Workspace, read_token

resource: Any
try:
    import resource
except ImportError:  # not everywhere is there such a limit
    resource = None

__all__ = ["PORT", "Settings", "serve"]

PORT = 7847
TRIES = 20
_FIRST_TRY = 0.1  # seconds for the discovery file, which is written at once where it can be written
_PAUSE = 1.0  # seconds between tries, where it can't
_LOOK = 0.1  # seconds between looks whether other processes have changed the file: hardly any do
_FILES = 65_536  # open files that are asked of the system: each reader and each process that is watched takes one
_SWITCH = 0.0005  # seconds until the loop lets a thread of the store have its turn, which needs one for each statement
_GRACE = 3  # seconds for what is in flight; with writing what waits, the end comes within five


@dataclass(frozen=True)
class Settings:
    """How a service is started.

    Attributes:
        host: The address to listen at. Any but the loopback interface's needs a token.
        port: The first port to try; of 20, the first that is free is taken. 0 for any.
        workspace: The folder for its files; see `Workspace`.
        backend: Where the records are kept; else ``data/agent-registry.db`` in the workspace.
        token_file: A file with the token that callers have to show; it is made if there is none.
        hosts, origins: As for `create_app`.
        timing: When an agent is stale, and when it is forgotten.
        limits: How much of anything is taken.
        mirrors: Who else is told who joins, changes and leaves.
        operations: What is allocated, sampled and watched; None: nothing.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    workspace: str | os.PathLike[str] | None = None
    backend: str | None = None
    token_file: str | os.PathLike[str] | None = None
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    mirrors: Sequence[Mirror] = ()
    operations: OperationsConfig | None = field(default_factory=OperationsConfig)


def serve(settings: Settings | None = None, ready: Callable[[Discovery], object] = lambda discovery: None) -> None:
    """Run the service until SIGTERM or SIGINT (in the main thread); *ready* is called once it answers.

    Raises:
        ServiceError: It can't be started: no token where one is needed, no
            free port, another service in the workspace, a store that can't be used.
    """
    settings = settings or Settings()
    token = None if settings.token_file is None else read_token(settings.token_file)
    if token is None and not _is_loopback(settings.host):
        raise ServiceError(
            f"{settings.host} can be reached from other machines, which needs a token: pass --token-file FILE (it is "
            "made if there is none). The token and all else is sent as plain text; put a proxy that speaks TLS in "
            "front (caddy reverse-proxy --to 127.0.0.1:7847), or tunnel (ssh -L 7847:127.0.0.1:7847 HOST) instead"
        )
    _raise_the_limit_of_files()
    workspace = Workspace(settings.workspace)
    workspace.make()
    workspace.occupy()
    try:
        with _listening(settings.host, settings.port) as listener:
            _Process(settings, token, workspace, listener, ready).run_to_its_end()
    finally:
        workspace.leave()


def _raise_the_limit_of_files() -> None:
    if resource is None:
        return
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if few != resource.RLIM_INFINITY and few < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _crowd() -> int:
    """So many connections are near to what the system allows."""
    allowed = -1 if resource is None else int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return allowed * 2 // 5 if allowed > 0 else 1 << 20


class _Process(uvicorn.Server):
    """uvicorn, with the service's own beginning and end."""

    def __init__(
        self,
        settings: Settings,
        token: str | None,
        workspace: Workspace,
        listener: socket.socket,
        ready: Callable[[Discovery], object],
    ) -> None:
        self._workspace = workspace
        self._listener = listener
        self._ready = ready
        self._migrates = settings.backend is None
        self._directory = open_directory(settings.backend or _store_in(workspace))
        self._discovery = _discovery(settings, listener)
        self._failure: Exception | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        app = create_app(
            self._directory,
            token=token,
            hosts=(*settings.hosts, *_names(settings.host)),
            origins=settings.origins,
            timing=settings.timing,
            limits=settings.limits,
            mirrors=settings.mirrors,
            operations=_operations(settings, workspace),
            instance_id=self._discovery.instance_id,
            ending=self._ending,
            definitions=open_table(workspace.definitions),
            opens=self._open,
        )
        super().__init__(_configuration(app))

    def run_to_its_end(self) -> None:
        """Serve; raises what kept it from starting."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        try:
            self.run(sockets=[self._listener])
        finally:
            sys.setswitchinterval(before)
        if self._failure is not None:
            raise self._failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the store, listen, and say where. A store that can't be used now is waited for while listening."""
        try:
            with contextlib.suppress(DirectoryUnavailableError, DamagedStoreError):
                await self._open()
            await super().startup(sockets)
            gc.freeze()  # what is there now stays: a full collection needn't look at it
            self._announcing = asyncio.create_task(self._announce(), name="agentreg-service-announcing")
            await asyncio.wait((self._announcing,), timeout=_FIRST_TRY)
            self._ready(self._discovery)
        except (RegistryError, OSError, ImportError) as error:
            self._failure = ServiceError(f"the service can't be started: {error}")
            self._failure.__cause__ = error
            self.should_exit = True

    async def _open(self) -> None:
        if self._migrates and is_original(self._workspace.database):
            kept = await migrate(self._workspace.database)
            print(f"the original service's agents were taken over; its database is kept as {kept}", file=sys.stderr)
        await start_directory(self._directory)

    async def _announce(self) -> None:
        """Write the discovery file, as soon as it can be written."""
        said = False
        while True:
            try:
                self._workspace.announce(self._discovery)
                return
            except OSError as error:
                if not said:
                    print(f"{self._workspace.discovery} can't be written yet: {error}", file=sys.stderr)
                said = True
                await asyncio.sleep(_PAUSE)

    async def on_tick(self, counter: int) -> bool:
        """Once a second, close those that say nothing."""
        if counter % 10 == 0:
            there = self.server_state.connections
            patience = HURRY if len(there) > _crowd() else PATIENCE
            close_the_silent(list(there), asyncio.get_running_loop().time(), patience)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Nobody new comes any more; what is in flight is answered, and what waits is written."""
        if self._announcing is not None:
            self._announcing.cancel()
        self._workspace.retract(self._discovery.instance_id)
        self._ending.set()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """End well, with exit code 0, on SIGTERM and SIGINT."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._end) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.should_exit = True


def _configuration(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        http=PatientProtocol,
        ws=FramesProtocol,
        ws_per_message_deflate=False,
        ws_max_size=65_536,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )


def _operations(settings: Settings, workspace: Workspace) -> Operations | None:
    if settings.operations is None:
        return None
    shared = settings.backend is None  # metrics are kept with the records, where those are in a file of ours
    metrics = workspace.database if shared else workspace.metrics
    files = Files(str(metrics), not shared, str(workspace.alerts), str(workspace.decisions))
    return Operations(settings.operations, files)


def _store_in(workspace: Workspace) -> str:
    path = str(workspace.database)
    if "?" in path:
        raise ServiceError(f"the workspace {workspace.folder} has a ? in its path; choose another")
    return f"sqlite:///{path}?look={_LOOK}"


def _discovery(settings: Settings, listener: socket.socket) -> Discovery:
    port = listener.getsockname()[1]
    token_file = None if settings.token_file is None else os.path.abspath(os.path.expanduser(settings.token_file))
    us, url = this_process(), f"http://{_called(settings.host)}:{port}"
    return Discovery(settings.host, port, us.pid, url, time.time(), uuid4().hex, us.start, token_file)


def _called(host: str) -> str:
    """How a client on this machine writes *host*."""
    address = _numeric(host)
    if address is not None and address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"[{host}]" if ":" in host else host


def _names(host: str) -> tuple[str, ...]:
    address = _numeric(host)
    if address is not None and address.is_unspecified:
        return ("*",)
    return (_called(host),)


def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _numeric(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens at the first free port of 20. Raises ServiceError."""
    ports = range(port, min(port + TRIES, 65_536)) if port else (0,)
    problem: OSError | None = None
    for each in ports:
        try:
            return _bound(host, each)
        except OSError as error:
            problem = error
    tried = f"port {port}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}"
    raise ServiceError(f"nothing is free at {host}, {tried} ({problem}); choose another with --port") from problem


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two services share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener
