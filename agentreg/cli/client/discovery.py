"""Which service is this workspace's: the discovery file, believed only when the service itself confirms it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentreg.cli.client.errors import NoServiceError, RefusedError
from agentreg.cli.client.http import TIMEOUT, Service, ask

__all__ = ["discovery_file", "find", "health_of"]

_LONGEST = 65_536  # bytes of a discovery file, or of a token's


def discovery_file(workspace: Path) -> Path:
    """Where the service of *workspace* says where it is."""
    return workspace / "state" / "agent-registry.json"


def find(workspace: Path, timeout: float = TIMEOUT) -> Service:
    """The service of *workspace*, if it runs and answers within *timeout* seconds.

    A file that a service left behind, a process that has its pid by now, and a
    stranger on its port are told apart from it: only the service that wrote
    the file knows the file's ``instance_id``. The token is shown to nobody
    before.

    Raises:
        NoServiceError: There is none; the text says why.
    """
    file = discovery_file(workspace)
    noted = _noted(file)
    service = Service(noted["url"].rstrip("/"), None, noted["instance_id"], _pid(noted.get("pid")))
    if health_of(service, timeout).get("instance_id") != service.instance:
        raise NoServiceError(f"another service answers at {service.url} than the one that wrote {file}")
    return service._replace(token=_token(noted.get("token_file")))


def health_of(service: Service, timeout: float = TIMEOUT) -> dict[str, Any]:
    """What the service says of itself, to everybody: ok, count, uptime, instance_id, version."""
    try:
        return ask(service._replace(token=None), "GET", "/health", timeout=timeout).document
    except RefusedError as error:
        raise NoServiceError(f"{service.url} does not say how it is: {error}") from error


def _noted(file: Path) -> dict[str, Any]:
    try:
        noted = json.loads(_beginning(file))
    except FileNotFoundError:
        raise NoServiceError(f"there is no {file}") from None
    except OSError as error:
        raise NoServiceError(f"{file} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NoServiceError(f"{file} is no discovery file: it is not JSON") from error
    wanted = ("url", "instance_id")
    if not isinstance(noted, dict) or not all(isinstance(noted.get(key), str) and noted[key] for key in wanted):
        raise NoServiceError(f"{file} is no discovery file: it needs the texts {' and '.join(wanted)}")
    return noted


def _pid(noted: object) -> int | None:
    return noted if type(noted) is int and noted > 0 else None


def _token(name: object) -> str | None:
    if not isinstance(name, str) or not name:
        return None
    try:
        token = _beginning(Path(name)).decode("ascii").strip()
    except OSError as error:
        raise NoServiceError(f"the service's token can't be read from {name}: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable():
        raise NoServiceError(f"{name} holds no token: expected one line of printable ASCII characters")
    return token


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_LONGEST)
